//! Pairs of earlier rounds, mixed into later updates.
use super::fresh::FreshOptions;
use crate::error::TrainError;
use crate::rows::{RowKind, Rows};
use crate::stage::Stage;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use tropism_data::record::{Numbers, Source};
use tropism_data::stream::{Stream, StreamState};
use tropism_data::tokens::TokenPair;

/// Replay of older pairs: the pairs of the last rounds are kept, and a share of them joins the new pairs of each update.
///
/// A round is what lies between two references, `reference_every` steps; a step where the reference stays. Of the pairs of the
/// `j`-th last round before the present one, an update with `n` new pairs takes at most
///
/// ```text
/// ⌊n · share · decay^(j − 1)⌋     j = 1 … rounds
/// ```
///
/// drawn without replacement by a stream of the stage's. Log-probabilities, those of the reference too, are computed anew; what was
/// measured when a pair was made (rewards, win rates) stays as it was, so that losses which read win rates against the present policy
/// refuse replay.
///
/// Source: Direct Nash Optimization, arXiv 2404.03715, section 5, of which 30 % and halving are the defaults; there an iteration is a
/// round. The paper does not say what the shares are of: here, of the new pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayOptions {
    /// rounds whose pairs are kept
    pub rounds: usize,
    /// pairs of the last round for each new pair, above 0 to 1
    pub share: f64,
    /// factor of the share for each further round back, above 0 to 1
    pub decay: f64,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        ReplayOptions { rounds: 2, share: 0.3, decay: 0.5 }
    }
}

impl ReplayOptions {
    /// Most pairs of the `back`-th last round, from 0, beside `new` new ones.
    fn quota(&self, new: usize, back: usize) -> usize {
        let share = self.share * self.decay.powi(i32::try_from(back).unwrap_or(i32::MAX));
        // a share of 0.3 of ten is three
        (new as f64 * share + 1e-9).floor() as usize
    }

    /// Most old pairs beside `new` new ones.
    pub(crate) fn most(&self, new: usize) -> usize {
        (0..self.rounds).map(|back| self.quota(new, back)).sum()
    }
}

impl FreshOptions {
    /// What is wrong with the replay: key, problem.
    pub(super) fn replay_problem(&self) -> Option<(&'static str, String)> {
        let (replay, name) = (self.replay.as_ref()?, self.objective.name());
        let refuse = |problem: String| Some(("replay", problem));
        if RowKind::of(&self.objective) != Some(RowKind::Pairs) || self.against_reference() {
            return refuse(format!("is set, but {name} learns from no pairs of the policy's completions; remove it"));
        }
        if let Some(column) = self.objective.columns().iter().find(|c| c.name.starts_with("win_rate/")) {
            let column = column.name;
            return refuse(format!("is set, but {name} reads `{column}`, which is against the present policy; remove it"));
        }
        let share = |x: f64| x > 0.0 && x <= 1.0;
        let rules = [
            ("rounds", replay.rounds > 0, replay.rounds as f64, "at least 1"),
            ("share", share(replay.share), replay.share, "above 0 to 1"),
            ("decay", share(replay.decay), replay.decay, "above 0 to 1"),
        ];
        let (key, _, value, wanted) = rules.into_iter().find(|r| !r.1)?;
        refuse(format!("has {key} {value}; it must be {wanted}"))
    }
}

/// Pairs that are kept, and what draws from them.
pub(super) struct Replay {
    options: ReplayOptions,
    /// steps of a round
    every: usize,
    /// of the present round
    present: Vec<TokenPair>,
    /// of the rounds before, the last one first
    past: VecDeque<Vec<TokenPair>>,
    stream: Stream,
}

impl Replay {
    /// Nothing kept yet; `None` where the stage replays nothing.
    pub(super) fn of(stage: &Stage<FreshOptions>, seed: u64) -> Option<Self> {
        let options = stage.objective.replay?;
        let every = stage.objective.reference_every.max(1);
        let stream = stage.stream(seed, "replay");
        Some(Replay { options, every, present: vec![], past: VecDeque::new(), stream })
    }

    /// Adds older pairs to the new ones of a step, behind them; what was added, in figures.
    pub(super) fn mix(&mut self, rows: Rows, figures: &mut Map<String, Value>) -> Rows {
        let Rows::Pairs(mut pairs) = rows else { return rows };
        let new = pairs.len();
        self.present.extend(pairs.iter().cloned());
        for (back, round) in self.past.iter().enumerate() {
            let mut places: Vec<usize> = (0..round.len()).collect();
            self.stream.shuffle(&mut places);
            places.truncate(self.options.quota(new, back));
            pairs.extend(places.into_iter().map(|at| round[at].clone()));
        }
        let old = pairs.len() - new;
        figures.insert("replay/rows".into(), old.into());
        figures.insert("replay/share".into(), (old as f64 / pairs.len().max(1) as f64).into());
        figures.insert("replay/kept".into(), self.past.iter().map(Vec::len).sum::<usize>().into());
        Rows::Pairs(pairs)
    }

    /// Ends a step, of which `done` are made; a round may end with it.
    pub(super) fn end(&mut self, done: usize) {
        if done.is_multiple_of(self.every) {
            self.past.push_front(std::mem::take(&mut self.present));
            self.past.truncate(self.options.rounds);
        }
    }
}

/// The file of a checkpoint that holds the pairs.
const FILE: &str = "replay.json";

/// A pair as a checkpoint keeps it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    file: String,
    row: usize,
    line: Option<usize>,
    prompt: Vec<u32>,
    chosen: Vec<u32>,
    rejected: Vec<u32>,
    given: [Vec<Range<usize>>; 2],
    numbers: Numbers,
}

/// All that a checkpoint keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    stream: StreamState,
    present: Vec<Kept>,
    past: Vec<Vec<Kept>>,
}

impl From<&TokenPair> for Kept {
    fn from(p: &TokenPair) -> Self {
        let Source { file, row, line } = &p.source;
        let (prompt, chosen, rejected) = (p.prompt.clone(), p.chosen.clone(), p.rejected.clone());
        let (file, given, numbers) = (file.to_string(), p.given.clone(), p.numbers.clone());
        Kept { file, row: *row, line: *line, prompt, chosen, rejected, given, numbers }
    }
}

impl From<Kept> for TokenPair {
    fn from(k: Kept) -> Self {
        let source = Source { file: k.file.into(), row: k.row, line: k.line };
        let Kept { prompt, chosen, rejected, given, numbers, .. } = k;
        TokenPair { source, prompt, chosen, rejected, rejected_prompt: None, given, numbers }
    }
}

impl Replay {
    /// Writes the pairs into the folder of a checkpoint.
    pub(super) fn save(&self, folder: &Path) -> Result<(), TrainError> {
        let path = folder.join(FILE);
        let kept = |pairs: &Vec<TokenPair>| pairs.iter().map(Kept::from).collect::<Vec<_>>();
        let past = self.past.iter().map(kept).collect();
        let state = State { stream: self.stream.state(), present: kept(&self.present), past };
        let text = serde_json::to_string(&state).map_err(|e| TrainError::Io { path: path.clone(), source: e.into() })?;
        std::fs::write(&path, text).map_err(TrainError::io(&path))
    }

    /// Reads what [`save`](Self::save) wrote.
    pub(super) fn restore(&mut self, folder: &Path) -> Result<(), TrainError> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let broken = |e: serde_json::Error| {
            let problem = format!("is damaged ({e}); start the run again");
            TrainError::Checkpoint { path: path.clone(), problem }
        };
        let state: State = serde_json::from_str(&text).map_err(broken)?;
        let pairs = |kept: Vec<Kept>| kept.into_iter().map(TokenPair::from).collect::<Vec<_>>();
        self.stream = Stream::restore(&state.stream);
        self.present = pairs(state.present);
        self.past = state.past.into_iter().map(pairs).collect();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tropism_objectives::Dpo;

    fn replay(rounds: usize, every: usize) -> Replay {
        let reward = toml::from_str("function = { type = 'world' }").unwrap();
        let mut options = FreshOptions::new(Dpo::default().into(), "r", reward);
        options.replay = Some(ReplayOptions { rounds, ..ReplayOptions::default() });
        options.reference_every = every;
        Replay::of(&Stage::of("s", options, 1e-3), 5).unwrap()
    }

    /// Pairs whose prompts are numbered from `first` on.
    fn pairs(first: u32, n: u32) -> Rows {
        let pair = |i: u32| TokenPair {
            source: Source { file: "f".into(), row: i as usize + 1, line: Some(i as usize + 2) },
            prompt: vec![i],
            chosen: vec![1],
            rejected: vec![2, 3],
            rejected_prompt: None,
            given: Default::default(),
            numbers: Numbers::from([("score_gap".to_owned(), 0.1 + 0.2 * f64::from(i))]),
        };
        Rows::Pairs((first..first + n).map(pair).collect())
    }

    fn prompts(rows: &Rows) -> Vec<u32> {
        let Rows::Pairs(all) = rows else { panic!() };
        all.iter().map(|p| p.prompt[0]).collect()
    }

    #[test]
    fn shares_halve_with_each_round_and_are_never_more() {
        let options = ReplayOptions { rounds: 4, ..ReplayOptions::default() };
        assert_eq!((0..4).map(|back| options.quota(100, back)).collect::<Vec<_>>(), [30, 15, 7, 3]);
        assert_eq!([10, 3, 4, 0].map(|n| options.quota(n, 0)), [3, 0, 1, 0]);
        assert_eq!(options.most(100), 55);
    }

    #[test]
    fn a_round_joins_later_updates_and_leaves_when_it_is_old() {
        let mut replay = replay(2, 2);
        let mut seen = vec![];
        for step in 0..8u32 {
            let mut figures = Map::new();
            let rows = replay.mix(pairs(100 * step, 20), &mut figures);
            let all = prompts(&rows);
            assert_eq!(all[..20], (100 * step..100 * step + 20).collect::<Vec<_>>());
            let (old, kept) = (all.len() - 20, replay.past.iter().map(Vec::len).sum::<usize>());
            assert_eq!(
                (figures["replay/rows"].as_u64(), figures["replay/kept"].as_u64()),
                (Some(old as u64), Some(kept as u64))
            );
            assert_eq!(figures["replay/share"].as_f64(), Some(old as f64 / all.len() as f64));
            seen.push(all[20..].to_vec());
            replay.end(step as usize + 1);
        }
        assert!(seen[0].is_empty() && seen[1].is_empty());
        // steps 0 and 1 are the round before steps 2 and 3: six of them, none twice
        let rounds = |old: &[u32]| old.iter().map(|p| p / 200).collect::<Vec<_>>();
        assert_eq!(rounds(&seen[2]), [0; 6]);
        assert_eq!(seen[2].iter().collect::<std::collections::BTreeSet<_>>().len(), 6);
        assert!(seen[2] != seen[3]);
        assert_eq!(rounds(&seen[5]), [1, 1, 1, 1, 1, 1, 0, 0, 0]);
        assert_eq!(rounds(&seen[7]), [2, 2, 2, 2, 2, 2, 1, 1, 1]);
    }

    #[test]
    fn a_step_is_a_round_where_the_reference_stays_and_few_pairs_are_all_taken() {
        let mut replay = replay(1, 0);
        replay.mix(pairs(0, 2), &mut Map::new());
        replay.end(1);
        let mut mixed = prompts(&replay.mix(pairs(50, 40), &mut Map::new())).split_off(40);
        mixed.sort_unstable();
        assert_eq!(mixed, [0, 1]);
        // no new pairs, no old ones
        replay.end(2);
        assert!(replay.mix(pairs(0, 0), &mut Map::new()).is_empty());
    }

    #[test]
    fn a_restored_replay_draws_the_same() {
        let (dir, mut one) = (tempfile::tempdir().unwrap(), replay(2, 2));
        for step in 0..5 {
            one.mix(pairs(100 * step, 20), &mut Map::new());
            one.end(step as usize + 1);
        }
        one.save(dir.path()).unwrap();
        let mut other = replay(2, 2);
        other.restore(dir.path()).unwrap();
        assert!(one.present == other.present && one.past == other.past && !one.present.is_empty());
        let next = |r: &mut Replay| prompts(&r.mix(pairs(900, 20), &mut Map::new()));
        assert_eq!(next(&mut one), next(&mut other));
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(other.restore(dir.path()).unwrap_err().to_string().contains("replay.json: is damaged"));
    }
}
