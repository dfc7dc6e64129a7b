//! Figures per completion.

use dfdx::prelude::*;
use tropism_core::{CoreError, Diagnostics};

use super::common::{Common, Parts, Surrogate, flag};
use crate::Rollout;
use crate::row::{Row, mean};
use crate::sampler::mean_gap;

/// Columns that are filled row by row.
pub(super) struct Figures {
    columns: Vec<(&'static str, Vec<f64>)>,
    figure: Option<&'static str>,
    by_completion: bool,
}

impl Figures {
    /// The columns of a surrogate under its options.
    pub(super) fn new<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        surrogate: &impl Surrogate,
        common: &Common,
        rollout: &Rollout<P, C, E, D, T>,
    ) -> Self {
        let mut names = vec!["advantages", "lengths", "policy/approxkl", "policy/ratio"];
        if surrogate.clips() {
            names.extend(["clip_ratio/low", "clip_ratio/high", "clip_ratio/region", "clip_ratio/weight"]);
        }
        names.extend(surrogate.figure());
        names.extend(common.kl.is_on().then_some("kl"));
        names.extend(rollout.entropies.is_some().then_some("entropy"));
        names.extend(common.off_policy_mask_threshold.is_some().then_some("off_policy_mask"));
        if common.sampler.is_some() {
            names.extend(["sampling/sampling_logp_difference", "sampling/importance_sampling_ratio"]);
        }
        let columns = names.into_iter().map(|name| (name, Vec::new())).collect();
        Self { columns, figure: surrogate.figure(), by_completion: surrogate.level().is_whole() }
    }

    /// The figures of a row; lengths and weights are 0 for one that is dropped.
    pub(super) fn add(&mut self, row: &Row, parts: &Parts, kept: bool) {
        let ratios = row.log_ratios();
        let share = |flags: &[bool]| mean(&flags.iter().map(|&f| flag(f)).collect::<Vec<f64>>());
        let policy = &parts.policy;
        let region: Vec<bool> = policy.low.iter().zip(&policy.high).map(|(&l, &h)| l || h).collect();
        let tokens = if kept { row.len() as f64 } else { 0.0 };
        let weight = if self.by_completion { flag(kept) } else { tokens };
        for (name, column) in &mut self.columns {
            column.push(match *name {
                "advantages" => mean(&row.advantages),
                "lengths" => tokens,
                "policy/approxkl" => mean(&ratios.iter().map(|r| 0.5 * r * r).collect::<Vec<f64>>()),
                "policy/ratio" => mean(&ratios.iter().map(|r| r.exp()).collect::<Vec<f64>>()),
                "clip_ratio/low" => share(&policy.low),
                "clip_ratio/high" => share(&policy.high),
                "clip_ratio/region" => share(&region),
                "clip_ratio/weight" => weight,
                "kl" => parts.kl.as_ref().map_or(0.0, |kl| mean(&kl.estimates)),
                "entropy" => row.entropies.as_deref().map_or(0.0, mean),
                "off_policy_mask" => parts.off_policy,
                "sampling/sampling_logp_difference" => row.sampler.as_deref().map_or(0.0, |s| mean_gap(row, s)),
                "sampling/importance_sampling_ratio" => parts.corrections.as_deref().map_or(0.0, mean),
                name if Some(name) == self.figure => policy.figure.unwrap_or(0.0),
                _ => 0.0,
            });
        }
    }

    /// The columns.
    pub(super) fn finish(self) -> Result<Diagnostics, CoreError> {
        let mut diagnostics = Diagnostics::default();
        for (name, column) in self.columns {
            diagnostics.push(name, column)?;
        }
        Ok(diagnostics)
    }
}
