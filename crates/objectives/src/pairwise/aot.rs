//! Alignment via optimal transport: the whole batch's margins are moved above the reference's, rank by rank.

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::smoothed;
use crate::method::on_pairs;
use crate::options::{flip_rate, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`aot()`].
    Aot = "aot", "AOT, arXiv 2406.05882" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Assumed share of swapped labels, `0 ≤ ε < 0.5`; 0 by default.
        label_smoothing: f64 = 0.0, with_label_smoothing, flip_rate;
    }
}

options! {
    /// Options of [`aot_unpaired()`].
    AotUnpaired = "aot_unpaired", "AOT, arXiv 2406.05882" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Assumed share of swapped labels, `0 ≤ ε < 0.5`; 0 by default.
        label_smoothing: f64 = 0.0, with_label_smoothing, flip_rate;
    }
}

on_pairs!(Aot, aot, |_c| true, true);
on_pairs!(AotUnpaired, aot_unpaired, |_c| true, true);

/// The paired AOT loss: the policy's margins dominate the reference's in distribution.
///
/// With `a = lp_w − lp_l` and `c = rf_w − rf_l`, each sorted over the batch, and `z_i = β (a_(i) − c_(i))`:
///
/// ```text
/// losses = −(1−ε) log σ(z_i) − ε log σ(−z_i), at the row of a_(i)     weights = 1
/// ∂losses/∂a_(i) = β [ε σ(z_i) − (1−ε) σ(−z_i)]
/// ```
///
/// Rows depend on each other: a step must be one batch, and its size changes the loss. Where `a` and `c` sort alike it is
/// [`cdpo()`](crate::cdpo()). Systems that sort per device get another loss for every split.
///
/// Source: Melnyk et al. 2024, arXiv 2406.05882; TRL's loss type `aot`, which lists the losses in sorted order.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Aot, aot};
///
/// let (dev, n) = (Cpu::default(), [1; 3]);
/// let policy = PairLogps::new(dev.tensor([-10.0_f64, -9.0, -14.0]), dev.tensor([-12.0, -9.5, -13.0]), &n, &n)?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64, -9.2, -12.0]), dev.tensor([-11.5, -9.0, -13.2]), &n, &n)?;
/// let terms = aot(policy, reference, &Aot::default())?;
/// assert!((terms.mean()?.array() - 0.69368037).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn aot<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Aot,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let reference = reference.into();
    let margins = |w: &[f64], l: &[f64]| w.iter().zip(l).map(|(w, l)| w - l).collect::<Vec<f64>>();
    let target = reference.as_ref().map(|r| margins(&to_f64(&r.chosen), &to_f64(&r.rejected))).unwrap_or_default();
    let own = margins(&to_f64(&policy.chosen), &to_f64(&policy.rejected));
    let scored = Scored::new(Aot::NAME, policy, reference, &Scoring::RATIOS, config.beta)?;
    scored.by_batch(|_, _| {
        let (values, up, _) = transport(&own, &target, config.beta, config.label_smoothing);
        let down = up.iter().map(|s| -s).collect();
        (values, [up, down])
    })
}

/// The unpaired AOT loss: the log-ratios of chosen completions dominate those of rejected ones in distribution.
///
/// With log-ratios `h` of both sides, each sorted over the batch, and `z_i = β (h_w(i) − h_l(i))`:
///
/// ```text
/// losses = −(1−ε) log σ(z_i) − ε log σ(−z_i), at the row of h_w(i)     weights = 1
/// ∂/∂h_w(i) = β [ε σ(z_i) − (1−ε) σ(−z_i)] = −∂/∂h_l(i)
/// ```
///
/// Which rejected completion stands beside which chosen one does not matter. Rows depend on each other: a step must be one
/// batch.
///
/// Source: Melnyk et al. 2024, arXiv 2406.05882; TRL's loss type `aot_unpaired`.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{AotUnpaired, aot_unpaired};
///
/// let (dev, n) = (Cpu::default(), [1; 3]);
/// let policy = PairLogps::new(dev.tensor([-10.0_f64, -9.0, -14.0]), dev.tensor([-12.0, -9.5, -13.0]), &n, &n)?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64, -9.2, -12.0]), dev.tensor([-11.5, -9.0, -13.2]), &n, &n)?;
/// let terms = aot_unpaired(policy, reference, &AotUnpaired::default())?;
/// assert!((terms.mean()?.array() - 0.69455452).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn aot_unpaired<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &AotUnpaired,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scored = Scored::new(AotUnpaired::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    scored.by_batch(|chosen, rejected| {
        let (values, up, down) = transport(chosen, rejected, config.beta, config.label_smoothing);
        (values, [up, down])
    })
}

/// Losses by row of `high`, and their gradients in `high` and `low`, when the two are matched by rank.
fn transport(high: &[f64], low: &[f64], beta: f64, epsilon: f64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut values, mut up, mut down) = (vec![0.0; high.len()], vec![0.0; high.len()], vec![0.0; low.len()]);
    for (i, j) in order(high).into_iter().zip(order(low)) {
        let (value, slope) = smoothed(beta * (high[i] - low[j]), epsilon);
        (values[i], up[i], down[j]) = (value, beta * slope, -beta * slope);
    }
    (values, up, down)
}

/// Places of the values in ascending order; equal ones keep their order.
fn order(values: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    places
}
