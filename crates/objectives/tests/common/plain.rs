//! Batches of any kind as plain numbers, made at random.

use tropism_objectives::{Column, Domain, InputKind, Objective, Per};

pub(crate) use super::rng::Rng;

/// One side of a batch: what the policy and the reference give to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    /// `[rows]`, or `[rows, width]` row by row.
    pub(crate) policy: Vec<f64>,
    pub(crate) reference: Vec<f64>,
    /// Cells that count, and cells of the prompt; empty for sides without cells.
    pub(crate) mask: Vec<bool>,
    pub(crate) prompt: Vec<bool>,
    /// Tokens: one per row, or one per cell of a list.
    pub(crate) lengths: Vec<usize>,
}

/// A batch of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) kind: InputKind,
    pub(crate) rows: usize,
    /// Cells per row; 1 for kinds without.
    pub(crate) width: usize,
    pub(crate) sides: Vec<Side>,
    pub(crate) columns: Vec<(Column, Vec<f64>)>,
}

/// How many sides a kind has, and whether they have cells.
pub(crate) fn shape(kind: InputKind) -> (usize, bool) {
    match kind {
        InputKind::Completions => (1, false),
        InputKind::Pairs | InputKind::Scores => (2, false),
        InputKind::Triples => (3, false),
        // Log-probabilities of both sides, then their scores.
        InputKind::ScoredPairs => (4, false),
        // Chosen and rejected: plain, after the rejected one, after the chosen one.
        InputKind::Revisions => (6, false),
        // Tokens, then the values of their states.
        InputKind::ValuedTokens => (2, true),
        InputKind::CompletionTokens | InputKind::Lists | InputKind::ScoreTables => (1, true),
        InputKind::PairTokens => (2, true),
        other => panic!("the harness does not know {other}"),
    }
}

/// What a side of a mixed kind is like.
fn part(kind: InputKind, side: usize) -> InputKind {
    match (kind, side) {
        (InputKind::ScoredPairs, 0 | 1) | (InputKind::Revisions, _) => InputKind::Completions,
        (InputKind::ScoredPairs, _) => InputKind::Scores,
        (InputKind::ValuedTokens, 0) => InputKind::CompletionTokens,
        (InputKind::ValuedTokens, _) => InputKind::ScoreTables,
        (kind, _) => kind,
    }
}

impl Plain {
    /// A random batch for `objective`; log-ratios of whole completions have the given size in nats.
    pub(crate) fn random(objective: &Objective, rows: usize, ratio: f64, rng: &mut Rng) -> Self {
        let kind = objective.input();
        let (sides, cells) = shape(kind);
        let width = if cells { rng.whole(3, 7) } else { 1 };
        let sides = (0..sides).map(|k| Side::random(part(kind, k), rows, width, ratio, rng)).collect();
        let mut plain = Self { kind, rows, width, sides, columns: Vec::new() };
        plain.agree(rng);
        for column in objective.columns() {
            let entries = if column.per == Per::Row { rows } else { rows * width };
            let values = column_values(&column, entries, width, rng);
            plain.columns.push((column, values));
        }
        plain
    }

    /// Lets the sides agree on what they share.
    fn agree(&mut self, rng: &mut Rng) {
        match self.kind {
            InputKind::Revisions => {
                let lengths = [self.sides[0].lengths.clone(), self.sides[1].lengths.clone()];
                self.sides.iter_mut().enumerate().for_each(|(k, side)| side.lengths.clone_from(&lengths[k % 2]));
            }
            InputKind::ValuedTokens => {
                // A value for each token, and for some rows one of the state after the last token.
                let completion = self.sides[0].mask.clone();
                let follows = |i: usize| !i.is_multiple_of(self.width) && completion[i - 1] && !completion[i];
                self.sides[1].mask =
                    (0..completion.len()).map(|i| completion[i] || follows(i) && rng.whole(0, 2) > 0).collect();
            }
            _ => {}
        }
    }

    /// The rows `range`.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Self {
        self.pick(&range.collect::<Vec<_>>())
    }

    /// The given rows, in that order.
    pub(crate) fn pick(&self, rows: &[usize]) -> Self {
        let width = self.width;
        let sides = self.sides.iter().map(|s| Side {
            policy: pick(&s.policy, self.rows, rows),
            reference: pick(&s.reference, self.rows, rows),
            mask: pick(&s.mask, self.rows, rows),
            prompt: pick(&s.prompt, self.rows, rows),
            lengths: pick(&s.lengths, self.rows, rows),
        });
        let columns = self.columns.iter().map(|(c, v)| (*c, pick(v, self.rows, rows)));
        Self { kind: self.kind, rows: rows.len(), width, sides: sides.collect(), columns: columns.collect() }
    }

    /// The batch with `junk` in all cells that must not count.
    pub(crate) fn with_junk(&self, junk: f64) -> Self {
        let mut plain = self.clone();
        for side in &mut plain.sides {
            for i in 0..side.mask.len() {
                if !side.mask[i] && !side.prompt[i] {
                    (side.policy[i], side.reference[i]) = (junk, junk);
                }
            }
        }
        plain
    }
}

/// The entries of some rows.
fn pick<V: Clone>(values: &[V], rows: usize, picked: &[usize]) -> Vec<V> {
    let each = values.len() / rows;
    picked.iter().flat_map(|&r| values[r * each..(r + 1) * each].to_vec()).collect()
}

impl Side {
    fn random(kind: InputKind, rows: usize, width: usize, ratio: f64, rng: &mut Rng) -> Self {
        match kind {
            InputKind::CompletionTokens | InputKind::PairTokens => Self::tokens(rows, width, ratio, rng),
            InputKind::Lists => {
                let mask = Self::places(rows, width, rng);
                let lengths = (0..rows * width).map(|_| rng.whole(1, 9)).collect();
                Self { mask, prompt: vec![false; rows * width], ..Self::sequences(lengths, ratio, rng) }
            }
            InputKind::Scores | InputKind::ScoreTables => {
                let policy = (0..rows * width).map(|_| rng.real(-ratio, ratio)).collect();
                let reference = (0..rows * width).map(|_| rng.real(-ratio, ratio)).collect();
                let mask = Self::places(rows, width, rng);
                Self { policy, reference, mask, prompt: vec![false; rows * width], lengths: vec![1; rows] }
            }
            _ => Self::sequences((0..rows).map(|_| rng.whole(1, 9)).collect(), ratio, rng),
        }
    }

    /// Summed log-probabilities of completions of the given lengths.
    fn sequences(lengths: Vec<usize>, ratio: f64, rng: &mut Rng) -> Self {
        let policy: Vec<f64> = lengths.iter().map(|&n| -rng.real(0.05, 2.5) * n as f64).collect();
        let reference = policy.iter().map(|lp| lp - rng.real(-ratio, ratio)).collect();
        Self { policy, reference, lengths, ..Self::default() }
    }

    /// Perhaps a prompt, then completion, then padding.
    fn tokens(rows: usize, width: usize, ratio: f64, rng: &mut Rng) -> Self {
        let mut side = Self::default();
        for _ in 0..rows {
            let (start, end) = (rng.whole(0, 2), rng.whole(2, width + 1));
            for column in 0..width {
                let lp = -rng.real(0.02, 3.0);
                side.policy.push(lp);
                side.reference.push(lp - rng.real(-ratio, ratio) / (end - start) as f64);
                side.mask.push((start..end).contains(&column));
                side.prompt.push(column < start);
            }
            side.lengths.push(end - start);
        }
        side
    }

    /// Which places of a list or table hold something: the first of each row for certain.
    fn places(rows: usize, width: usize, rng: &mut Rng) -> Vec<bool> {
        (0..rows * width).map(|i| i % width == 0 || rng.whole(0, 4) > 0).collect()
    }
}

/// Random values of a constant; indices of cells are a permutation in each row.
fn column_values(column: &Column, entries: usize, width: usize, rng: &mut Rng) -> Vec<f64> {
    match (column.domain, column.per) {
        (Domain::Index, Per::Cell) => {
            let mut values = Vec::new();
            for _ in 0..entries / width {
                let mut row: Vec<f64> = (0..width).map(|i| i as f64).collect();
                (1..width).for_each(|i| row.swap(i, rng.whole(0, i + 1)));
                values.extend(row);
            }
            values
        }
        (Domain::Index, _) => (0..entries).map(|_| rng.whole(0, 3) as f64).collect(),
        (Domain::Flag, _) => (0..entries).map(|_| rng.whole(0, 2) as f64).collect(),
        (Domain::Share, _) => (0..entries).map(|_| rng.real(0.05, 0.95)).collect(),
        (Domain::NotNegative, _) => (0..entries).map(|_| rng.real(0.0, 2.0)).collect(),
        (Domain::Any, _) => (0..entries).map(|_| rng.real(-2.0, 2.0)).collect(),
    }
}
