//! A run over many pairs: threads, both orders, and verdicts that outlive an interruption.
use super::error::JudgeError;
use super::journal::{Journal, Said, settled};
use super::key::content_key;
use super::order::{Orders, PositionCounts};
use super::verdict::{Choice, FailureKind, Judge, Question};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};

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
    /// where the winners stood
    pub position: PositionCounts,
    /// pairs of equal answers: ties that nobody was asked about
    pub identical: usize,
    /// questions asked in this run
    pub asked: usize,
    /// questions answered by an earlier run
    pub resumed: usize,
}

struct Task<'a> {
    key: String,
    id: &'a str,
    question: Question<'a>,
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

/// Asks the open questions on several threads and writes each answer down as it comes; returns how many were asked.
fn ask(
    judge: &dyn Judge,
    open: &[&Task],
    options: &RunOptions,
    mut journal: Option<&mut Journal>,
    said: &mut BTreeMap<String, Said>,
    (resumed, total): (usize, usize),
    mut progress: impl FnMut(usize, usize),
) -> Result<usize, JudgeError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..options.workers.clamp(1, open.len().max(1)) {
            let (send, next, stop) = (send.clone(), &next, &stop);
            scope.spawn(move || work(judge, open, next, stop, &send));
        }
        drop(send);
        let (mut asked, mut silent, mut ended) = (0, 0, None);
        for (i, answer) in answers {
            let task: &Task = open[i];
            asked += 1;
            let kind = answer.as_ref().err().map(|f| f.kind);
            let kept = journal.as_mut().map_or(Ok(()), |j| j.append(&task.key, task.id, &answer));
            silent = if kind == Some(FailureKind::NotAnswered) { silent + 1 } else { 0 };
            let over = kind == Some(FailureKind::Setup) || silent >= options.stop_after.max(1);
            if let (None, true, Err(failure)) = (&ended, over, &answer) {
                ended = Some(failure.reason.clone());
            }
            said.insert(task.key.clone(), answer);
            if kept.is_err() || ended.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
            kept?;
            progress(resumed + asked, total);
        }
        let done = said.values().filter(|s| settled(s)).count().min(total);
        ended.map_or(Ok(asked), |reason| Err(JudgeError::Stopped { done, total, reason }))
    })
}

fn work(judge: &dyn Judge, open: &[&Task], next: &AtomicUsize, stop: &AtomicBool, send: &Sender<(usize, Said)>) {
    while !stop.load(Ordering::Relaxed) {
        let i = next.fetch_add(1, Ordering::Relaxed);
        let Some(task) = open.get(i) else { return };
        if send.send((i, judge.judge(task.question))).is_err() {
            return;
        }
    }
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
    let mut position = PositionCounts::default();
    let mut answers = tasks.iter().map(|t| said.get(&t.key));
    let mut one = |pair: &JudgePair| {
        if pair.a == pair.b {
            return Judged { id: pair.id.clone(), score: Some(0.5), failure: None };
        }
        let given = answers.next().flatten();
        let exchanged = if both { answers.next().flatten() } else { None };
        let score = score(given, exchanged, options.orders, &mut position);
        let (score, failure) = score.map_or_else(|why| (None, Some(why)), |s| (Some(s), None));
        Judged { id: pair.id.clone(), score, failure }
    };
    let judged = pairs.iter().map(&mut one).collect();
    let identical = pairs.iter().filter(|p| p.a == p.b).count();
    Verdicts { pairs: judged, position, identical, asked, resumed }
}

/// One score from the answers to one or both orders.
fn score(
    given: Option<&Said>,
    exchanged: Option<&Said>,
    orders: Orders,
    position: &mut PositionCounts,
) -> Result<f64, String> {
    let verdict = |said: &Said| said.as_ref().copied().map_err(|f| f.reason.clone());
    let given = given.map_or_else(|| Err("it was not asked".into()), verdict)?;
    let Some(exchanged) = exchanged else { return Ok(given.score()) };
    let exchanged = verdict(exchanged)?;
    position.add(given, exchanged);
    match orders {
        Orders::Both(rule) => Ok(rule.combine(given, exchanged)),
        Orders::One => Ok(given.score()),
    }
}

impl Verdicts {
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
    use crate::judge::{Failure, SwapRule, Verdict};

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
        assert_eq!((agree.position.bias(), agree.position.consistency()), (Some(0.5), Some(0.0)));
        // both orders of both pairs are the same two questions
        assert_eq!((agree.asked, agree.identical, agree.missing(), agree.tally()), (4, 1, 1, [0, 3, 0]));
        let mean = run(Orders::Both(SwapRule::Mean)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(mean.pairs[0].score, Some(0.5));
        let one = run(Orders::One).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((one.pairs[0].score, one.position.bias(), one.asked), (Some(0.75), None, 3));
    }
}
