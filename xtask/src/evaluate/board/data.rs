//! Responses and verdicts of many models.
use crate::error::XtaskError;
use std::collections::BTreeMap;
use std::path::Path;
use tropism_evaluation::LengthWeights;

/// Everything that a leaderboard is made from; prompts are numbered.
#[derive(Default)]
pub(super) struct Board {
    pub(super) baseline: String,
    pub(super) prompts: usize,
    /// difficulty of each prompt
    pub(super) difficulty: Option<Vec<f64>>,
    /// the models that were compared with the baseline
    pub(super) models: Vec<ModelRows>,
    /// all comparisons, for ratings
    pub(super) battles: Vec<(String, String, f64)>,
    pub(super) published: BTreeMap<String, Published>,
}

/// What is known of one model.
#[derive(Default)]
pub(super) struct ModelRows {
    pub(super) name: String,
    /// how far it wins against the baseline, by prompt
    pub(super) scores: BTreeMap<usize, f64>,
    /// characters of its answers, by prompt
    pub(super) lengths: BTreeMap<usize, usize>,
    /// characters of the baseline's answers minus its own, by prompt
    pub(super) differences: BTreeMap<usize, f64>,
}

/// A row of `leaderboard.csv`; rates in percent.
pub(super) struct Published {
    pub(super) win_rate: f64,
    pub(super) standard_error: f64,
    pub(super) lc_win_rate: f64,
    pub(super) length: usize,
    pub(super) weights: LengthWeights,
}

/// Makes sure that a score is a share.
pub(super) fn share(score: f64, place: impl Fn() -> String, what: &str) -> Result<f64, XtaskError> {
    if (0.0..=1.0).contains(&score) {
        return Ok(score);
    }
    let help = "0: the model loses, 0.5: a tie, 1: it wins; take 1 from preferences between 1 and 2";
    Err(XtaskError::usage(format!("{}: `{what}` is {score}, which is not from 0 to 1", place()), help))
}

/// Gives the model that others are compared with, if it can be told.
pub(super) fn choose<'a>(
    path: &Path,
    asked: Option<&'a str>,
    names: &[&'a str],
    guess: Option<&'a str>,
) -> Result<&'a str, XtaskError> {
    let all = names.join(", ");
    match asked {
        Some(name) if names.contains(&name) => Ok(name),
        Some(name) => {
            let near = crate::config::nearest(name, names.iter().copied());
            let near = near.map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
            let problem = format!("{} has no model `{name}`", path.display());
            Err(XtaskError::usage(problem, format!("{near}its models are {all}")))
        }
        None => guess.ok_or_else(|| {
            let problem = format!("{}: it cannot be told which model is the baseline", path.display());
            XtaskError::usage(problem, format!("name it by --baseline; its models are {all}"))
        }),
    }
}
