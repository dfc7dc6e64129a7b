//! Batches of any kind as plain numbers, made at random.

use tropism_core::{Column, Domain, Per};
use tropism_credit::{Credit, CreditKind};

/// A small generator of random numbers (SplitMix64); the seed comes from proptest.
#[derive(Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `low..high`.
    pub(crate) fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `low..high`.
    pub(crate) fn whole(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low) as u64) as usize
    }

    pub(crate) fn reals(&mut self, n: usize, low: f64, high: f64) -> Vec<f64> {
        (0..n).map(|_| self.real(low, high)).collect()
    }
}

/// A batch: what is differentiated, what is not, masks or lengths of its sides, columns. All lists go row by row.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) kind: CreditKind,
    pub(crate) rows: usize,
    pub(crate) leaves: Vec<Vec<f64>>,
    pub(crate) reference: Vec<Vec<f64>>,
    /// For kinds with tokens.
    pub(crate) masks: Vec<Vec<bool>>,
    /// Cells of the prompt.
    pub(crate) prompts: Vec<Vec<bool>>,
    /// For the others.
    pub(crate) lengths: Vec<Vec<usize>>,
    pub(crate) columns: Vec<(Column, Vec<f64>)>,
}

impl Plain {
    /// A random batch for `credit`; log-ratios of whole completions have the given size in nats.
    pub(crate) fn random(credit: &Credit, rows: usize, ratio: f64, rng: &mut Rng) -> Self {
        let kind = credit.input();
        let empty = Self {
            kind,
            rows,
            leaves: vec![],
            reference: vec![],
            masks: vec![],
            prompts: vec![],
            lengths: vec![],
            columns: vec![],
        };
        let mut plain = match kind {
            CreditKind::PairTokens => empty.pair_tokens(ratio, rng),
            CreditKind::Steps => empty.sequences(1, ratio, rng),
            CreditKind::Divergences => Self {
                leaves: vec![rng.reals(rows, 0.0, ratio)],
                lengths: vec![(0..rows).map(|_| rng.whole(0, 9)).collect()],
                ..empty
            },
            _ => {
                let mut plain = empty.sequences(2, ratio, rng);
                (0..2).for_each(|_| plain.leaves.push(rng.reals(rows, 0.1, 0.1 + ratio)));
                plain
            }
        };
        let groups = groups(rows, rng);
        for column in credit.columns() {
            let values = plain.column(&column, &groups, rng);
            plain.columns.push((column, values));
        }
        plain
    }

    /// Two sides of different widths; perhaps a prompt or masked cells first, then tokens, perhaps none, then padding.
    fn pair_tokens(mut self, ratio: f64, rng: &mut Rng) -> Self {
        let prompted = rng.whole(0, 2) == 0;
        for _ in 0..2 {
            let width = rng.whole(1, 6);
            let (mut leaf, mut reference, mut mask, mut prompt) = (vec![], vec![], vec![], vec![]);
            for _ in 0..self.rows {
                let start = rng.whole(0, 2).min(width - 1);
                let end = if rng.whole(0, 8) == 0 { start } else { rng.whole(start + 1, width + 1) };
                for column in 0..width {
                    let lp = -rng.real(0.02, 3.0);
                    leaf.push(lp);
                    reference.push(lp - rng.real(-ratio, ratio) / (end - start).max(1) as f64);
                    mask.push((start..end).contains(&column));
                    prompt.push(prompted && column < start);
                }
            }
            self.leaves.push(leaf);
            self.reference.push(reference);
            self.masks.push(mask);
            self.prompts.push(prompt);
        }
        self
    }

    fn sequences(mut self, sides: usize, ratio: f64, rng: &mut Rng) -> Self {
        for _ in 0..sides {
            let lengths: Vec<usize> = (0..self.rows).map(|_| rng.whole(1, 9)).collect();
            let leaf: Vec<f64> = lengths.iter().map(|&n| -rng.real(0.05, 2.5) * n as f64).collect();
            self.reference.push(leaf.iter().map(|lp| lp - rng.real(-ratio, ratio)).collect());
            self.leaves.push(leaf);
            self.lengths.push(lengths);
        }
        self
    }

    fn column(&self, column: &Column, groups: &[[usize; 3]], rng: &mut Rng) -> Vec<f64> {
        let entries = match column.per {
            Per::ChosenToken => self.leaves[0].len(),
            Per::RejectedToken => self.leaves[1].len(),
            _ => self.rows,
        };
        match (column.name, column.domain) {
            ("group", _) => groups.iter().map(|g| g[0] as f64).collect(),
            ("trajectory", _) => groups.iter().map(|g| g[1] as f64).collect(),
            ("outcome", _) => groups.iter().map(|g| g[2] as f64).collect(),
            (name, _) if name.contains("logps") => rng.reals(entries, -8.0, -0.02),
            (_, Domain::NotNegative) => rng.reals(entries, 0.05, 3.0),
            _ => rng.reals(entries, -0.5, 2.0),
        }
    }

    /// The given rows, in that order.
    pub(crate) fn pick(&self, rows: &[usize]) -> Self {
        Self {
            kind: self.kind,
            rows: rows.len(),
            leaves: self.leaves.iter().map(|v| pick(v, self.rows, rows)).collect(),
            reference: self.reference.iter().map(|v| pick(v, self.rows, rows)).collect(),
            masks: self.masks.iter().map(|v| pick(v, self.rows, rows)).collect(),
            prompts: self.prompts.iter().map(|v| pick(v, self.rows, rows)).collect(),
            lengths: self.lengths.iter().map(|v| pick(v, self.rows, rows)).collect(),
            columns: self.columns.iter().map(|(c, v)| (*c, pick(v, self.rows, rows))).collect(),
        }
    }

    /// The batch with `junk` in all cells that must not count.
    pub(crate) fn with_junk(&self, junk: f64) -> Self {
        let mut plain = self.clone();
        for (side, mask) in self.masks.iter().enumerate() {
            for i in (0..mask.len()).filter(|&i| !mask[i] && !self.prompts[side][i]) {
                (plain.leaves[side][i], plain.reference[side][i]) = (junk, junk);
                // Columns hold finite numbers only.
                for (column, values) in &mut plain.columns {
                    let own = [Per::ChosenToken, Per::RejectedToken][side];
                    if column.per == own && junk.is_finite() {
                        values[i] = junk;
                    }
                }
            }
        }
        plain
    }

    /// Where the batch may be cut: between groups, if there are any.
    pub(crate) fn cuts(&self) -> Vec<usize> {
        let group = self.columns.iter().find(|(c, _)| c.name == "group");
        let whole = |&at: &usize| group.is_none_or(|(_, g)| g[at] != g[at - 1]);
        (1..self.rows).filter(whole).collect()
    }
}

/// Group, trajectory and outcome of each row: the first group has a success and a failure when there are two rows.
fn groups(rows: usize, rng: &mut Rng) -> Vec<[usize; 3]> {
    let mut found: Vec<[usize; 3]> = Vec::new();
    for row in 0..rows {
        let before = found.last().copied();
        let next = match before {
            None => [0, 0, 1],
            Some([0, 0, 1]) if row == 1 => [0, 1, 0],
            Some(last) => match rng.whole(0, 4) {
                0 | 1 => last,
                2 => [last[0], last[1] + 1, rng.whole(0, 2)],
                _ => [last[0] + 1, last[1] + 1, rng.whole(0, 2)],
            },
        };
        found.push(next);
    }
    found
}

/// The entries of some rows.
pub(crate) fn pick<V: Clone>(values: &[V], rows: usize, picked: &[usize]) -> Vec<V> {
    let each = values.len() / rows;
    picked.iter().flat_map(|&r| values[r * each..(r + 1) * each].to_vec()).collect()
}
