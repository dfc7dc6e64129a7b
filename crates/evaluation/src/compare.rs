//! Comparisons of two columns: preferences, rankings, wins.
use crate::error::{EvaluationError, finite, same_length};
use crate::stats::{Figure, clustered_mean, mean_interval, share_interval};

/// How often one side is above the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// the share that the metric is named for
    pub rate: Figure,
    /// rows where the first side is strictly above
    pub wins: usize,
    /// rows where both are equal
    pub ties: usize,
    /// rows where the second side is strictly above
    pub losses: usize,
}

/// (wins, ties, losses) of two columns.
fn count(names: [&'static str; 2], a: &[f64], b: &[f64]) -> Result<[usize; 3], EvaluationError> {
    finite(names[0], a)?;
    finite(names[1], b)?;
    same_length(names[1], a.len(), b.len())?;
    let wins = a.iter().zip(b).filter(|(a, b)| a > b).count();
    let ties = a.iter().zip(b).filter(|(a, b)| a == b).count();
    Ok([wins, ties, a.len() - wins - ties])
}

/// Share of rows with a strictly larger first side; ties count as failures and are reported.
fn strict(names: [&'static str; 2], a: &[f64], b: &[f64]) -> Result<Comparison, EvaluationError> {
    let [wins, ties, losses] = count(names, a, b)?;
    Ok(Comparison { rate: share_interval(wins as f64 / a.len() as f64, a.len(), 0.95), wins, ties, losses })
}

/// Share of pairs whose chosen reward is strictly above the rejected one, as TRL's `rewards/accuracies`.
///
/// # Errors
/// Empty or unequal slices, values that are not finite.
pub fn reward_accuracy(chosen: &[f64], rejected: &[f64]) -> Result<Comparison, EvaluationError> {
    strict(["chosen rewards", "rejected rewards"], chosen, rejected)
}

/// Mean of chosen minus rejected reward.
///
/// # Errors
/// As [`reward_accuracy`].
pub fn reward_margin(chosen: &[f64], rejected: &[f64]) -> Result<Figure, EvaluationError> {
    count(["chosen rewards", "rejected rewards"], chosen, rejected)?;
    mean_interval(&chosen.iter().zip(rejected).map(|(c, r)| c - r).collect::<Vec<_>>())
}

/// Ranking accuracy: share of pairs whose chosen completion has the larger log-probability (summed, nats).
///
/// # Errors
/// As [`reward_accuracy`].
///
/// # Source
/// Chen et al. 2024, "Preference learning algorithms do not learn preference rankings", definition 2.1.
pub fn ranking_accuracy(chosen: &[f64], rejected: &[f64]) -> Result<Comparison, EvaluationError> {
    strict(["chosen logps", "rejected logps"], chosen, rejected)
}

/// [`ranking_accuracy`] on log-probabilities per token; a length of 0 counts as 1.
///
/// # Errors
/// As [`reward_accuracy`]; lengths of another number.
pub fn ranking_accuracy_normalized(
    chosen: &[f64],
    rejected: &[f64],
    chosen_tokens: &[usize],
    rejected_tokens: &[usize],
) -> Result<Comparison, EvaluationError> {
    same_length("chosen tokens", chosen.len(), chosen_tokens.len())?;
    same_length("rejected tokens", rejected.len(), rejected_tokens.len())?;
    let per_token = |l: &[f64], n: &[usize]| l.iter().zip(n).map(|(l, n)| l / (*n).max(1) as f64).collect::<Vec<_>>();
    ranking_accuracy(&per_token(chosen, chosen_tokens), &per_token(rejected, rejected_tokens))
}

/// Win rate of `ours` over `theirs`, ties counted by half, rows independent.
///
/// # Errors
/// As [`reward_accuracy`].
pub fn win_rate(ours: &[f64], theirs: &[f64]) -> Result<Comparison, EvaluationError> {
    let [wins, ties, losses] = count(["ours", "theirs"], ours, theirs)?;
    let rate = share_interval((wins as f64 + 0.5 * ties as f64) / ours.len() as f64, ours.len(), 0.95);
    Ok(Comparison { rate, wins, ties, losses })
}

/// [`win_rate`] where rows of the same prompt are not independent: the mean over prompts, with an interval over prompts.
/// With one row per prompt it is [`win_rate`] itself.
///
/// # Errors
/// As [`win_rate`]; prompts of another number.
pub fn win_rate_by_prompt(ours: &[f64], theirs: &[f64], prompts: &[usize]) -> Result<Comparison, EvaluationError> {
    let mut all = win_rate(ours, theirs)?;
    let score = |(a, b): (&f64, &f64)| {
        if a > b {
            1.0
        } else if a == b {
            0.5
        } else {
            0.0
        }
    };
    let scores: Vec<f64> = ours.iter().zip(theirs).map(score).collect();
    let clustered = clustered_mean(&scores, prompts)?;
    if clustered.n < ours.len() {
        all.rate = clustered.clamped(0.0, 1.0);
    }
    Ok(all)
}
