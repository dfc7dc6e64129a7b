//! The general layout: a line per verdict, and a line per response.
use super::data::{Board, ModelRows, choose, share};
use crate::error::XtaskError;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tropism_data::read::read_rows;

#[derive(Deserialize)]
struct Judgment {
    prompt: Value,
    a: String,
    b: String,
    score: f64,
}

#[derive(Deserialize)]
struct Response {
    prompt: Value,
    model: String,
    text: String,
}

pub(super) fn read(judgments: &Path, responses: Option<&Path>, asked: Option<&str>) -> Result<Board, XtaskError> {
    let verdicts: Vec<Judgment> = read_rows(judgments)?;
    let mut prompts: BTreeMap<String, usize> = BTreeMap::new();
    let mut judged: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, verdict) in verdicts.iter().enumerate() {
        share(verdict.score, || format!("{}, row {}", judgments.display(), i + 1), "score")?;
        if verdict.a == verdict.b {
            let problem = format!("{}, row {}: `a` and `b` are both {}", judgments.display(), i + 1, verdict.a);
            return Err(XtaskError::usage(problem, "a verdict compares two models"));
        }
        let fresh = prompts.len();
        prompts.entry(verdict.prompt.to_string()).or_insert(fresh);
        for name in [&verdict.a, &verdict.b] {
            *judged.entry(name.as_str()).or_default() += 1;
        }
    }
    let names: Vec<&str> = judged.keys().copied().collect();
    let most = judged.values().max().copied().unwrap_or(0);
    let mut top = judged.iter().filter(|(_, n)| **n == most).map(|(name, _)| *name);
    let guess = top.next().filter(|_| top.next().is_none());
    let baseline = choose(judgments, asked, &names, guess)?;
    let mut models: BTreeMap<&str, Rows> = names.iter().map(|n| (*n, Rows::default())).collect();
    for verdict in &verdicts {
        let prompt = prompts[&verdict.prompt.to_string()];
        let (name, score) = match (verdict.a == baseline, verdict.b == baseline) {
            (false, true) => (verdict.a.as_str(), verdict.score),
            (true, false) => (verdict.b.as_str(), 1.0 - verdict.score),
            _ => continue,
        };
        models.entry(name).or_default().scores.entry(prompt).or_default().push(score);
    }
    let lengths = responses.map(|path| lengths(path, &prompts)).transpose()?.unwrap_or_default();
    let rows = models.into_iter().filter(|(name, rows)| *name != baseline && !rows.scores.is_empty());
    Ok(Board {
        baseline: baseline.to_owned(),
        prompts: prompts.len(),
        models: rows.map(|(name, rows)| rows.finish(name, baseline, &lengths)).collect(),
        battles: verdicts.iter().map(|v| (v.a.clone(), v.b.clone(), v.score)).collect(),
        ..Board::default()
    })
}

/// Scores by prompt; a prompt may have several verdicts.
#[derive(Default)]
struct Rows {
    scores: BTreeMap<usize, Vec<f64>>,
}

type Lengths = BTreeMap<(String, usize), usize>;

impl Rows {
    /// One score per prompt: the mean of its verdicts.
    fn finish(self, name: &str, baseline: &str, lengths: &Lengths) -> ModelRows {
        let mean = |(prompt, s): (usize, Vec<f64>)| (prompt, s.iter().sum::<f64>() / s.len() as f64);
        let mut out = ModelRows { name: name.to_owned(), ..ModelRows::default() };
        out.scores = self.scores.into_iter().map(mean).collect();
        for &prompt in out.scores.keys() {
            let of = |model: &str| lengths.get(&(model.to_owned(), prompt)).copied();
            let Some(own) = of(name) else { continue };
            out.lengths.insert(prompt, own);
            if let Some(base) = of(baseline) {
                out.differences.insert(prompt, base as f64 - own as f64);
            }
        }
        out
    }
}

fn lengths(path: &Path, prompts: &BTreeMap<String, usize>) -> Result<Lengths, XtaskError> {
    let rows: Vec<Response> = read_rows(path)?;
    let mut out = Lengths::new();
    for (i, row) in rows.into_iter().enumerate() {
        let Some(&prompt) = prompts.get(&row.prompt.to_string()) else { continue };
        if out.insert((row.model.clone(), prompt), row.text.chars().count()).is_some() {
            let problem =
                format!("{}, row {}: a second response of {} to prompt {}", path.display(), i + 1, row.model, row.prompt);
            return Err(XtaskError::usage(problem, "keep one response of each model to each prompt"));
        }
    }
    Ok(out)
}
