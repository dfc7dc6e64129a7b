//! The likelihood of the chosen completions: the supervised part of combined pairwise losses.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::diagnostics::PairFigures;
use crate::method::free_pairs;
use crate::options::{any, options};

/// What a likelihood term is averaged over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// All tokens of the step: long completions count for more.
    #[default]
    Tokens,
    /// Rows, each averaged over its own tokens.
    Sequences,
    /// Rows, each summed over its tokens.
    Sums,
}

options! {
    /// Options of [`chosen_nll()`].
    ChosenNll = "chosen_nll", "Direct Preference Optimization and its standard loss variants, arXiv 2305.18290 (the likelihood term)" {
        /// A mean over `"tokens"` (the default), over rows of token means (`"sequences"`) or of token sums (`"sums"`).
        averaging: Averaging = Averaging::Tokens, with_averaging, any;
    }
}

free_pairs!(ChosenNll, chosen_nll);

/// Negative log-likelihood of the chosen completions of pairs.
///
/// With the summed log-probability `lp_w` (nats) and length `n_w` (tokens; 0 counts as 1 where it divides):
///
/// ```text
/// "tokens"      losses = −lp_w          weights = n_w
/// "sequences"   losses = −lp_w / n_w    weights = 1
/// "sums"        losses = −lp_w          weights = 1
/// ```
///
/// The rejected side has no part in it. TRL's loss type `sft` and the likelihood term of its CPO are means over all tokens;
/// papers that add a likelihood term often mean one of the others.
///
/// # Errors
/// [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Averaging, ChosenNll, chosen_nll};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-3.0_f64, -5.0]), dev.tensor([-9.0, -9.0]), &[2, 6], &[4, 4])?;
/// assert_eq!(chosen_nll(policy.clone(), &ChosenNll::default())?.mean()?.array(), 1.0);
/// let rows = ChosenNll::default().with_averaging(Averaging::Sequences);
/// assert!((chosen_nll(policy, &rows)?.mean()?.array() - (1.5 + 5.0 / 6.0) / 2.0).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn chosen_nll<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &ChosenNll,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let figures = PairFigures::of(&policy);
    let lengths = figures.lengths.clone();
    let diagnostics = figures.diagnostics(None, None, false)?;
    let divisor = |n: f64| if config.averaging == Averaging::Sequences { n.max(1.0) } else { 1.0 };
    let slopes: Vec<f64> = lengths[0].iter().map(|&n| -1.0 / divisor(n)).collect();
    let values: Vec<f64> = to_f64(&policy.chosen).iter().zip(&slopes).map(|(lp, s)| lp * s).collect();
    let weights = match config.averaging {
        Averaging::Tokens => lengths[0].clone(),
        Averaging::Sequences | Averaging::Sums => vec![1.0; values.len()],
    };
    // Both sides on the tape: the rejected one with a gradient of 0.
    let none = vec![0.0; values.len()];
    let losses = attach(&values, [(policy.chosen, slopes), (policy.rejected, none)])?;
    Ok(LossTerms::new(losses, weights, diagnostics)?)
}
