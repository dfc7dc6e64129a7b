//! The figures of a step, under TRL's names.
use super::batch::Batch;
use super::gather::{Gathered, Group};
use super::learn::Learnt;
use super::options::{PolicyGradientOptions, RolloutOptions};
use super::rewards::{RatingFailure, WeightedReward};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tropism_lm::Answer;
use tropism_policy_gradient::metrics;
use tropism_rewards::Verdict;

/// Time of the phases of a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) rollout: Duration,
    pub(crate) reward: Duration,
    /// log-probabilities of the old policy, and values
    pub(crate) old: Duration,
    pub(crate) reference: Duration,
    pub(crate) update: Duration,
}

impl Times {
    pub(crate) fn put(&self, figures: &mut Map<String, Value>) {
        let all = [
            ("time/rollout", self.rollout),
            ("time/reward", self.reward),
            ("time/old_logps", self.old),
            ("time/reference", self.reference),
            ("time/update", self.update),
        ];
        for (name, time) in all {
            figures.insert(name.into(), time.as_secs_f64().into());
        }
    }
}

/// Mean and sample deviation of the numbers that are there.
fn moments(values: &[f64]) -> (f64, f64) {
    let there: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let n = there.len() as f64;
    if there.is_empty() {
        return (0.0, 0.0);
    }
    let mean = there.iter().sum::<f64>() / n;
    let squares: f64 = there.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if n < 2.0 { 0.0 } else { (squares / (n - 1.0)).sqrt() })
}

fn share(n: usize, of: usize) -> f64 {
    n as f64 / of.max(1) as f64
}

/// All figures of a step. Those of rewards and completions are over all that was sampled, those of the loss over what was
/// learnt from.
pub(crate) fn figures(
    options: &PolicyGradientOptions,
    gathered: &Gathered,
    batch: Option<&Batch>,
    learnt: &Learnt,
    times: &Times,
) -> Map<String, Value> {
    let mut figures = Map::new();
    let groups: Vec<&Group> = gathered.kept.iter().chain(&gathered.flat).collect();
    rewards(&options.rewards, &groups, &mut figures);
    completions(&groups, &options.rollout, &mut figures);
    if options.dynamic_sampling.is_some() {
        figures.insert("dynamic_sampling/rounds".into(), gathered.rounds.into());
        figures.insert("dynamic_sampling/dropped".into(), share(gathered.flat.len(), groups.len()).into());
    }
    if let Some(batch) = batch {
        let dropped = batch.kept.iter().filter(|k| !**k).count();
        figures.insert("completions/dropped".into(), share(dropped, batch.rows()).into());
        agreement(batch, &mut figures);
        if let Some(rewards) = &batch.turn_rewards {
            let sums: Vec<f64> = rewards.iter().map(|turns| turns.iter().sum()).collect();
            figures.insert("turn_rewards/mean".into(), moments(&sums).0.into());
        }
    }
    for (name, value) in metrics(&learnt.diagnostics) {
        // the verdicts of DisCO and DRPO stand under the rewards' names
        if !["rewards", "entropy"].contains(&name) {
            figures.insert(name.into(), value.into());
        }
    }
    if learnt.entropy.1 > 0 {
        figures.insert("entropy".into(), (learnt.entropy.0 / learnt.entropy.1 as f64).into());
    }
    figures.insert("updates".into(), learnt.losses.len().into());
    times.put(&mut figures);
    figures
}

/// Figures of rewards, by name and in sum.
pub(crate) fn rewards(named: &BTreeMap<String, WeightedReward>, groups: &[&Group], figures: &mut Map<String, Value>) {
    let sums: Vec<f64> = groups.iter().flat_map(|g| g.sums.iter().copied()).collect();
    let deviations: Vec<f64> = groups.iter().map(|g| moments(&g.sums).1).collect();
    let flat = deviations.iter().filter(|d| **d == 0.0).count();
    figures.insert("reward".into(), moments(&sums).0.into());
    figures.insert("reward_std".into(), moments(&deviations).0.into());
    figures.insert("frac_reward_zero_std".into(), share(flat, groups.len()).into());
    for (k, name) in named.keys().enumerate() {
        let ratings = || groups.iter().flat_map(move |g| g.ratings.iter().map(move |r| r[k]));
        let scores: Vec<f64> = ratings().map(|r| r.score.unwrap_or(f64::NAN)).collect();
        let (mean, deviation) = moments(&scores);
        figures.insert(format!("rewards/{name}/mean"), mean.into());
        figures.insert(format!("rewards/{name}/std"), deviation.into());
        for (what, failure) in [("timed_out", RatingFailure::TimedOut), ("failed", RatingFailure::Failed)] {
            let n = ratings().filter(|r| r.failure == Some(failure)).count();
            figures.insert(format!("rewards/{name}/{what}"), share(n, scores.len()).into());
        }
        if ratings().any(|r| r.verdict.is_some()) {
            for verdict in [Verdict::Unreadable, Verdict::Abstained] {
                let n = ratings().filter(|r| r.verdict == Some(verdict)).count();
                figures.insert(format!("rewards/{name}/{}", verdict.name()), share(n, scores.len()).into());
            }
        }
    }
}

/// Figures of lengths and repeats.
pub(crate) fn completions(groups: &[&Group], rollout: &RolloutOptions, figures: &mut Map<String, Value>) {
    let answers = || groups.iter().flat_map(|g| &g.answers);
    let lengths =
        |finished: bool| -> Vec<usize> { answers().filter(|a| !finished || a.finished()).map(Answer::written).collect() };
    let cut = answers().filter(|a| !a.finished()).count();
    for (kind, lengths) in [("", lengths(false)), ("terminated_", lengths(true))] {
        let mean = share(lengths.iter().sum(), lengths.len());
        figures.insert(format!("completions/mean_{kind}length"), mean.into());
        figures.insert(format!("completions/min_{kind}length"), lengths.iter().min().copied().unwrap_or(0).into());
        figures.insert(format!("completions/max_{kind}length"), lengths.iter().max().copied().unwrap_or(0).into());
    }
    figures.insert("completions/clipped_ratio".into(), share(cut, answers().count()).into());
    if rollout.turn_tokens.is_some() {
        let n = answers().count();
        figures.insert("episodes/mean_turns".into(), share(answers().map(|a| a.turns().len()).sum(), n).into());
        let given = answers().map(|a| a.tokens.len() - a.written()).sum();
        figures.insert("episodes/mean_given_length".into(), share(given, n).into());
    }
    let distinct: usize = groups.iter().map(|g| g.answers.iter().map(|a| &a.tokens).collect::<BTreeSet<_>>().len()).sum();
    figures.insert("completions/duplicate_ratio".into(), (1.0 - share(distinct, answers().count())).into());
}

/// How far the sampler's log-probabilities are from the training code's, where both were computed.
fn agreement(batch: &Batch, figures: &mut Map<String, Value>) {
    let Some(old) = batch.old.as_ref().filter(|old| **old != batch.sampler) else { return };
    let gaps = || old.iter().flatten().zip(batch.sampler.iter().flatten()).map(|(a, b)| (a - b).abs());
    let n = gaps().count().max(1) as f64;
    figures.insert("sampling/sampling_logp_difference/mean".into(), (gaps().sum::<f64>() / n).into());
    figures.insert("sampling/sampling_logp_difference/max".into(), gaps().fold(0.0, f64::max).into());
}
