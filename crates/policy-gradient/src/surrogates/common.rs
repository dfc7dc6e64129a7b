//! What all surrogates share: options, and the way from a row's formula to loss terms.

use dfdx::prelude::*;
use tropism_core::{CoreError, Diagnostics, LossTerms};

use super::figures::Figures;
use crate::kl::KlWeighting;
use crate::row::{RatioLevel, Row, mean};
use crate::{
    Aggregation, Coupling, Field, KlPenalty, Need, PolicyGradientError, Rollout, SamplerCorrection, entropy_threshold,
};

/// The options that all surrogates share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common {
    pub(crate) aggregation: Aggregation,
    pub(crate) kl: KlPenalty,
    pub(crate) sampler: Option<SamplerCorrection>,
    pub(crate) top_entropy_quantile: f64,
    pub(crate) off_policy_mask_threshold: Option<f64>,
    pub(crate) entropy_coefficient: f64,
}

impl Common {
    /// What is read from a rollout.
    pub(crate) fn reads(&self) -> Vec<(Field, Need)> {
        let entropies = self.top_entropy_quantile < 1.0 || self.entropy_coefficient != 0.0;
        let need = |required| if required { Need::Required } else { Need::Optional };
        let mut reads =
            vec![(Field::Advantages, Need::Required), (Field::Old, Need::Optional), (Field::Entropies, need(entropies))];
        if self.kl.is_on() {
            reads.push((Field::Reference, Need::Required));
        }
        if self.sampler.is_some() {
            reads.push((Field::Sampler, Need::Required));
        }
        if self.top_entropy_quantile < 1.0 {
            reads.push((Field::EntropyThreshold, Need::Optional));
        }
        if self.aggregation == Aggregation::GroupMean {
            reads.push((Field::Groups, Need::Required));
        }
        reads
    }

    /// How rows hang together.
    pub(crate) fn coupling(&self) -> Coupling {
        match self.aggregation {
            _ if self.top_entropy_quantile < 1.0 => Coupling::Step,
            Aggregation::GroupMean => Coupling::Groups,
            _ => Coupling::Rows,
        }
    }
}

/// A row's policy term.
pub(crate) struct Scored {
    /// Per token, without any weight.
    pub(crate) values: Vec<f64>,
    /// Of the weighted sum of the values, in each token's log-probability.
    pub(crate) slopes: Vec<f64>,
    /// Tokens, or the completion, of which the ratio is cut on the low side.
    pub(crate) low: Vec<bool>,
    /// The same on the high side.
    pub(crate) high: Vec<bool>,
    /// A figure of the method.
    pub(crate) figure: Option<f64>,
}

/// A formula for the tokens of one completion.
pub(crate) trait Surrogate {
    /// The ratio that a KL term is weighted by, and whether shares are counted by completion.
    fn level(&self) -> RatioLevel;

    /// Values, and the gradient of `Σ weights · values`.
    fn score(&self, row: &Row, weights: &[f64]) -> Scored;

    /// The policy term of a completion without tokens: a constant, where the completion is the unit.
    fn empty(&self, _advantage: f64) -> f64 {
        0.0
    }

    /// Name of the figure, if the method has one.
    fn figure(&self) -> Option<&'static str> {
        None
    }

    /// Whether clip ratios are reported.
    fn clips(&self) -> bool {
        true
    }
}

/// Losses per token beside the loss terms that they add up to.
pub(crate) struct Evaluated<P: Dim, E: Dtype, D: Device<E>, T> {
    pub(crate) terms: LossTerms<P, E, D, T>,
    /// By cell, 0 in cells that do not count: policy and KL terms, masks and corrections included, not aggregated.
    #[cfg_attr(not(feature = "golden"), expect(dead_code, reason = "the reference figures list them"))]
    pub(crate) per_token: Vec<f64>,
}

/// The loss of a rollout.
pub(crate) fn evaluate<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    method: &'static str,
    rollout: Rollout<P, C, E, D, T>,
    surrogate: &impl Surrogate,
    common: &Common,
) -> Result<Evaluated<P, E, D, T>, PolicyGradientError> {
    rollout.check(method, &common.reads())?;
    evaluate_checked(rollout, surrogate, common)
}

/// As [`evaluate`], for a rollout that has been checked.
pub(crate) fn evaluate_checked<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    surrogate: &impl Surrogate,
    common: &Common,
) -> Result<Evaluated<P, E, D, T>, PolicyGradientError> {
    let rows = Row::all(&rollout);
    let tokens: Vec<usize> = rows.iter().map(Row::len).collect();
    let weights = common.aggregation.weights(&tokens, &rollout.kept, rollout.groups.as_ref());
    let threshold = threshold(&rollout, &rows, common)?;
    let cells = rollout.policy.mask().len();
    let mut host =
        Host { values: Vec::new(), slopes: vec![0.0; cells], per_token: vec![0.0; cells], bonus: vec![0.0; cells] };
    let mut figures = Figures::new(surrogate, common, &rollout);
    for (row, &(weight, _)) in rows.iter().zip(&weights) {
        let parts = Parts::of(row, surrogate, common, threshold, weight);
        host.add(row, &parts, common, weight);
        if let (0, Some(value)) = (row.len(), host.values.last_mut()) {
            *value += weight * surrogate.empty(row.advantage);
        }
        figures.add(row, &parts, weight != 0.0);
    }
    let shares = weights.into_iter().map(|(_, share)| share).collect();
    let terms = host.terms(rollout, common, shares, figures.finish()?)?;
    Ok(Evaluated { terms, per_token: host.per_token })
}

/// The threshold of entropies, if tokens are chosen by them.
fn threshold<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: &Rollout<P, C, E, D, T>,
    rows: &[Row],
    common: &Common,
) -> Result<Option<f64>, PolicyGradientError> {
    if common.top_entropy_quantile >= 1.0 {
        return Ok(None);
    }
    if rollout.entropy_threshold.is_some() {
        return Ok(rollout.entropy_threshold);
    }
    let kept = rows.iter().zip(&rollout.kept).filter(|(_, kept)| **kept);
    let entropies: Vec<f64> = kept.flat_map(|(row, _)| row.entropies.clone().unwrap_or_default()).collect();
    if entropies.is_empty() {
        return Ok(None);
    }
    entropy_threshold(&entropies, common.top_entropy_quantile).map(Some)
}

/// All terms of one row.
pub(crate) struct Parts {
    pub(crate) policy: Scored,
    /// Constant factors of the policy term: masks and the sampler's correction.
    factors: Vec<f64>,
    /// Estimates, with the slopes of their weighted sum, if there is a KL term.
    pub(crate) kl: Option<Kl>,
    /// Share of the tokens that the off-policy mask drops.
    pub(crate) off_policy: f64,
    /// The sampler's factors.
    pub(crate) corrections: Option<Vec<f64>>,
}

impl Parts {
    fn of(row: &Row, surrogate: &impl Surrogate, common: &Common, threshold: Option<f64>, weight: f64) -> Self {
        let mut factors = vec![1.0; row.len()];
        if let (Some(threshold), Some(entropies)) = (threshold, &row.entropies) {
            factors.iter_mut().zip(entropies).for_each(|(f, &h)| *f *= flag(h >= threshold));
        }
        let mut off_policy = 0.0;
        if let Some(limit) = common.off_policy_mask_threshold {
            let far = mean(&row.log_ratios()) < -limit;
            let dropped: Vec<f64> = row.advantages.iter().map(|&a| flag(far && a < 0.0)).collect();
            factors.iter_mut().zip(&dropped).for_each(|(f, d)| *f *= 1.0 - d);
            off_policy = mean(&dropped);
        }
        let corrections = match (common.sampler, &row.sampler) {
            (Some(correction), Some(sampler)) => Some(correction.factors(&row.old, sampler)),
            _ => None,
        };
        if let Some(corrections) = &corrections {
            factors.iter_mut().zip(corrections).for_each(|(f, c)| *f *= c);
        }
        let weights: Vec<f64> = factors.iter().map(|f| weight * f).collect();
        let kl = Kl::of(row, surrogate.level(), &common.kl, weight);
        Self { policy: surrogate.score(row, &weights), factors, kl, off_policy, corrections }
    }
}

/// The KL term of one row.
pub(crate) struct Kl {
    /// Estimates without the coefficient.
    pub(crate) estimates: Vec<f64>,
    /// What is added to the loss of each token.
    values: Vec<f64>,
    slopes: Vec<f64>,
}

impl Kl {
    fn of(row: &Row, level: RatioLevel, penalty: &KlPenalty, weight: f64) -> Option<Self> {
        let reference = row.reference.as_ref().filter(|_| penalty.is_on())?;
        let at = row.logps.iter().zip(reference).map(|(lp, rf)| penalty.at(rf - lp));
        let (estimates, slopes): (Vec<f64>, Vec<f64>) = at.unzip();
        let beta = penalty.coefficient;
        if penalty.weighting == KlWeighting::None {
            let values = estimates.iter().map(|k| beta * k).collect();
            return Some(Self { values, slopes: slopes.iter().map(|s| weight * beta * s).collect(), estimates });
        }
        let ratios: Vec<f64> = level.log_ratios(row).iter().map(|r| r.exp()).collect();
        let estimates: Vec<f64> = estimates.iter().zip(&ratios).map(|(k, r)| k * r).collect();
        let values: Vec<f64> = estimates.iter().map(|k| beta * k).collect();
        let through = level.pull(values.iter().map(|v| weight * v).collect());
        let direct = slopes.iter().zip(&ratios).map(|(s, r)| weight * beta * s * r);
        Some(Self { slopes: direct.zip(through).map(|(a, b)| a + b).collect(), values, estimates })
    }
}

/// Sums and slopes on the host.
struct Host {
    values: Vec<f64>,
    slopes: Vec<f64>,
    per_token: Vec<f64>,
    /// Slopes in the entropies.
    bonus: Vec<f64>,
}

impl Host {
    fn add(&mut self, row: &Row, parts: &Parts, common: &Common, weight: f64) {
        let mut sum = 0.0;
        for (t, &cell) in row.cells.iter().enumerate() {
            let policy = parts.factors[t] * parts.policy.values[t];
            let (kl, kl_slope) = parts.kl.as_ref().map_or((0.0, 0.0), |kl| (kl.values[t], kl.slopes[t]));
            self.per_token[cell] = policy + kl;
            self.slopes[cell] = parts.policy.slopes[t] + kl_slope;
            sum += policy + kl;
            if common.entropy_coefficient != 0.0 {
                self.bonus[cell] = -weight * common.entropy_coefficient;
            }
        }
        self.values.push(weight * sum);
    }

    fn terms<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        rollout: Rollout<P, C, E, D, T>,
        common: &Common,
        shares: Vec<f64>,
        diagnostics: Diagnostics,
    ) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
        let losses = rollout.policy.attach(&self.values, &self.slopes)?;
        let bonus = rollout.entropies.filter(|_| common.entropy_coefficient != 0.0);
        let losses = match bonus {
            None => losses,
            Some(entropies) => {
                let columns = entropies.size().1;
                let each: Vec<f64> = entropies.values().iter().zip(&self.bonus).map(|(h, s)| h * s).collect();
                let values: Vec<f64> = each.chunks(columns).map(|row| row.iter().sum()).collect();
                losses.try_add(entropies.attach(&values, &self.bonus)?).map_err(CoreError::device)?
            }
        };
        Ok(LossTerms::new(losses, shares, diagnostics)?)
    }
}

/// 1 or 0.
pub(crate) fn flag(b: bool) -> f64 {
    f64::from(u8::from(b))
}
