//! A run over many pairs: threads, both orders, and verdicts that outlive an interruption.
use super::ask::ask;
use super::error::JudgeError;
use super::journal::{Journal, Said, settled};
use super::key::content_key;
use super::order::Orders;
use super::verdict::{Choice, Judge, Question};
use crate::{Bootstrap, EvaluationError, PositionBias, position_bias};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A prompt with two answers to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgePair {
    /// names the pair, for people who read the verdicts
    pub id: String,
    /// the prompt
    pub prompt: String,
    /// the answer whose score is wanted
    pub a: String,
    /// the other one
    pub b: String,
}

/// How a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// which orders are asked; a judge that does not read the order is asked once in any case
    pub orders: Orders,
    /// questions asked at the same time
    pub workers: usize,
    /// the run ends after so many questions in a row without an answer
    pub stop_after: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions { orders: Orders::default(), workers: 4, stop_after: 8 }
    }
}

/// What was said about one pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// names the pair
    pub id: String,
    /// how far `a` wins, 0 to 1; nothing where a verdict is missing
    pub score: Option<f64>,
    /// why it is missing
    pub failure: Option<String>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdicts {
    /// one entry per pair, in their order
    pub pairs: Vec<Judged>,
    /// of pairs with verdicts on both orders, the score of `a` shown first and shown second
    pub both_orders: Vec<[f64; 2]>,
    /// pairs of equal answers: ties that nobody was asked about
    pub identical: usize,
    /// questions asked in this run
    pub asked: usize,
    /// questions answered by an earlier run
    pub resumed: usize,
}

/// One question of a run.
pub(super) struct Task<'a> {
    pub(super) key: String,
    pub(super) id: &'a str,
    pub(super) question: Question<'a>,
}

/// Asks about every pair, and keeps what was said in `journal` (JSONL, appended).
///
/// Questions that the file already answers, for a judge of the same [`Judge::identity`], are not asked again; neither are
/// equal questions twice. Equal answers are a tie without a question. `progress` is told the questions done and in all.
///
/// ```
/// use tropism_evaluation::judge::{ExactReward, JudgePair, RunOptions, judge_pairs};
/// let longer = ExactReward::new("longer", |_: &str, answer: &str| answer.len() as f64);
/// let pair = |a: &str, b: &str| JudgePair { id: "1".into(), prompt: "?".into(), a: a.into(), b: b.into() };
/// let pairs = [pair("long", "no"), pair("no", "no")];
/// let verdicts = judge_pairs(&longer, &pairs, &RunOptions::default(), None, |_, _| {})?;
/// assert_eq!((verdicts.pairs[0].score, verdicts.pairs[1].score), (Some(1.0), Some(0.5)));
/// # Ok::<(), tropism_evaluation::judge::JudgeError>(())
/// ```
///
/// # Errors
/// A file that cannot be used, or a judge that stops answering: then all verdicts so far are in the file.
pub fn judge_pairs(
    judge: &dyn Judge,
    pairs: &[JudgePair],
    options: &RunOptions,
    journal: Option<&Path>,
    progress: impl FnMut(usize, usize),
) -> Result<Verdicts, JudgeError> {
    let identity = judge.identity();
    let both = judge.reads_order() && options.orders != Orders::One;
    let tasks: Vec<Task> = pairs.iter().filter(|p| p.a != p.b).flat_map(|p| questions(p, &identity, both)).collect();
    let (mut journal, mut said) = match journal {
        Some(path) => Journal::open(path).map(|(j, s)| (Some(j), s))?,
        None => (None, BTreeMap::new()),
    };
    said.retain(|_, s| settled(s));
    let mut seen = BTreeSet::new();
    let unique: Vec<&Task> = tasks.iter().filter(|t| seen.insert(t.key.as_str())).collect();
    let open: Vec<&Task> = unique.iter().copied().filter(|t| !said.contains_key(&t.key)).collect();
    let resumed = unique.len() - open.len();
    let counts = (resumed, unique.len());
    let asked = ask(judge, &open, options, journal.as_mut(), &mut said, counts, progress);
    if let Some(journal) = &mut journal {
        journal.sync()?;
    }
    let asked = asked?;
    Ok(gather(pairs, &tasks, &said, options, both, [asked, resumed]))
}

/// The questions about one pair, with their keys.
fn questions<'a>(pair: &'a JudgePair, identity: &str, both: bool) -> Vec<Task<'a>> {
    let given = Question { prompt: &pair.prompt, a: &pair.a, b: &pair.b };
    let task = |question: Question<'a>| {
        let key = content_key(&[identity, question.prompt, question.a, question.b]);
        Task { key, id: &pair.id, question }
    };
    if both { vec![task(given), task(given.swapped())] } else { vec![task(given)] }
}

/// Brings the answers together, pair by pair.
fn gather(
    pairs: &[JudgePair],
    tasks: &[Task],
    said: &BTreeMap<String, Said>,
    options: &RunOptions,
    both: bool,
    [asked, resumed]: [usize; 2],
) -> Verdicts {
    let mut both_orders = vec![];
    let mut answers = tasks.iter().map(|t| said.get(&t.key));
    let mut one = |pair: &JudgePair| {
        if pair.a == pair.b {
            return Judged { id: pair.id.clone(), score: Some(0.5), failure: None };
        }
        let given = answers.next().flatten();
        let exchanged = if both { answers.next().flatten() } else { None };
        let score = score(given, exchanged, options.orders, &mut both_orders);
        let (score, failure) = score.map_or_else(|why| (None, Some(why)), |s| (Some(s), None));
        Judged { id: pair.id.clone(), score, failure }
    };
    let judged = pairs.iter().map(&mut one).collect();
    let identical = pairs.iter().filter(|p| p.a == p.b).count();
    Verdicts { pairs: judged, both_orders, identical, asked, resumed }
}

/// One score from the answers to one or both orders.
fn score(
    given: Option<&Said>,
    exchanged: Option<&Said>,
    orders: Orders,
    both_orders: &mut Vec<[f64; 2]>,
) -> Result<f64, String> {
    let verdict = |said: &Said| said.as_ref().copied().map_err(|f| f.reason.clone());
    let first = given.map_or_else(|| Err("it was not asked".into()), verdict)?.score();
    let (Some(exchanged), Orders::Both(rule)) = (exchanged, orders) else { return Ok(first) };
    let second = verdict(exchanged)?.swapped().score();
    both_orders.push([first, second]);
    Ok(rule.combine(first, second))
}

impl Verdicts {
    /// What the order of the answers does to the verdicts; nothing where no pair was judged in both orders.
    ///
    /// # Errors
    /// Those of [`position_bias`].
    pub fn position_bias(&self, bootstrap: &Bootstrap) -> Result<Option<PositionBias>, EvaluationError> {
        let (first, second): (Vec<f64>, Vec<f64>) = self.both_orders.iter().map(|b| (b[0], b[1])).unzip();
        if first.is_empty() { Ok(None) } else { position_bias(&first, &second, bootstrap).map(Some) }
    }

    /// Scores of the pairs that have one, with their positions among the pairs.
    pub fn scores(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.pairs.iter().enumerate().filter_map(|(i, p)| p.score.map(|s| (i, s)))
    }

    /// Pairs without a verdict.
    pub fn missing(&self) -> usize {
        self.pairs.iter().filter(|p| p.score.is_none()).count()
    }

    /// (wins, ties, losses) of the pairs' first answers.
    pub fn tally(&self) -> [usize; 3] {
        let choice = |s: f64| Choice::larger(s, 0.5, 0.0);
        let count = |want: Choice| self.scores().filter(|(_, s)| choice(*s) == want).count();
        [count(Choice::A), count(Choice::Tie), count(Choice::B)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SwapRule;
    use crate::judge::{Failure, FailureKind, Verdict};

    /// Prefers whatever comes first, and refuses to answer about some prompts.
    struct First;

    impl Judge for First {
        fn identity(&self) -> String {
            "first".into()
        }
        fn judge(&self, q: Question<'_>) -> Result<Verdict, Failure> {
            match q.prompt {
                "silent" => Err(Failure::new(FailureKind::NoVerdict, "it says nothing")),
                _ => Ok(Verdict { choice: Choice::A, probability: Some(0.75) }),
            }
        }
    }

    fn pair(prompt: &str, a: &str, b: &str) -> JudgePair {
        JudgePair { id: format!("{prompt}/{a}/{b}"), prompt: prompt.into(), a: a.into(), b: b.into() }
    }

    #[test]
    fn position_bias_is_counted_and_cancelled() {
        let pairs = [pair("p", "x", "y"), pair("p", "y", "x"), pair("q", "x", "x"), pair("silent", "x", "y")];
        let run = |orders| {
            let options = RunOptions { orders, ..RunOptions::default() };
            judge_pairs(&First, &pairs, &options, None, |_, _| {}).map_err(|e| e.to_string())
        };
        let agree = run(Orders::default()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(agree.pairs.iter().map(|p| p.score).collect::<Vec<_>>(), [Some(0.5), Some(0.5), Some(0.5), None]);
        let bias = agree.position_bias(&Bootstrap::default()).unwrap_or_else(|e| panic!("{e}"));
        // the judge gives the answer shown first three quarters
        assert_eq!(bias.map(|b| (b.bias.value, b.consistency.value, b.favours_first)), Some((0.25, 0.0, 2)));
        // both orders of both pairs are the same two questions
        assert_eq!((agree.asked, agree.identical, agree.missing(), agree.tally()), (4, 1, 1, [0, 3, 0]));
        let mean = run(Orders::Both(SwapRule::Average)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(mean.pairs[0].score, Some(0.5));
        let one = run(Orders::One).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((one.pairs[0].score, one.both_orders.len(), one.asked), (Some(0.75), 0, 3));
    }
}
