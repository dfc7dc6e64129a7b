//! The clipped loss of a value function.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, Diagnostics, LossTerms, OptionError, ScoreTable};

use crate::PolicyGradientError;
use crate::row::mean;

/// Predictions of a critic, on a tape, with what they are compared to.
///
/// The table's mask says which values count; it may differ from the policy's.
#[derive(Clone, Debug)]
pub struct Critic<P: Dim, C: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    pub(crate) values: ScoreTable<P, C, E, D, T>,
    old: Vec<f64>,
    returns: Vec<f64>,
}

impl<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Critic<P, C, E, D, T> {
    /// Joins values with those at sampling time and the returns, both `[P, C]` row by row.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`]; [`CoreError::NotFinite`] for a number of a cell that counts.
    pub fn new(values: ScoreTable<P, C, E, D, T>, old: &[f64], returns: &[f64]) -> Result<Self, PolicyGradientError> {
        let (mask, columns) = (values.mask(), values.size().1);
        for (what, numbers) in [("old values", old), ("returns", returns)] {
            CoreError::check_size(what, mask.len(), numbers.len())?;
            if let Some(at) = numbers.iter().zip(mask).position(|(x, &m)| m && !x.is_finite()) {
                return Err(CoreError::NotFinite { what, row: at / columns, value: numbers[at] }.into());
            }
        }
        Ok(Self { values, old: old.to_vec(), returns: returns.to_vec() })
    }
}

/// How far a new value may be from the one at sampling time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueClip {
    /// At most this far.
    Range(f64),
    /// Any distance.
    None,
}

impl ValueClip {
    /// Checks the range.
    pub(crate) fn check(method: &'static str, key: &'static str, value: &Self) -> Result<(), OptionError> {
        match value {
            Self::Range(range) => tropism_core::options::positive(method, key, range),
            Self::None => Ok(()),
        }
    }

    /// Loss, slope in the value, and whether the clipped square is the larger one.
    fn at(self, value: f64, old: f64, target: f64) -> (f64, f64, bool) {
        let gap = value - target;
        let plain = (0.5 * gap * gap, gap, false);
        let Self::Range(range) = self else { return plain };
        let cut = value.clamp(old - range, old + range) - target;
        if cut * cut <= gap * gap {
            return plain;
        }
        // Where the cut value is the larger error and differs from the value, it does not move with it.
        (0.5 * cut * cut, 0.0, true)
    }
}

/// The clipped loss of a value function, by value that counts.
///
/// With `V`, the value at sampling time `V_old` and the return `R`:
///
/// ```text
/// V_c    = clamp(V, V_old − c, V_old + c)
/// losses = Σ_t ½ max((V − R)², (V_c − R)²)        weights = values that count
/// ∂/∂V   = V − R where the first square is at least the second, else 0
/// ```
///
/// Reports `val/clipfrac`, the share of a row's values of which the clipped square counts. Rows of which `kept` is false
/// have neither loss nor weight.
///
/// Source: Schulman et al. 2017, arXiv 1707.06347, as TRL's and OpenAI's code do it.
///
/// # Errors
/// [`PolicyGradientError::Option`] for a bad range; [`PolicyGradientError::Core`] for other numbers of rows.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ScoreTable;
/// use tropism_policy_gradient::{Critic, ValueClip, value_loss};
///
/// let values = Cpu::default().tensor([[1.0_f64, 0.5]]);
/// let critic = Critic::new(ScoreTable::new(values.leaky_trace(), &[true, true])?, &[0.5, 0.4], &[1.0, 1.5])?;
/// let loss = value_loss(critic, &[true], ValueClip::Range(0.2))?.mean()?;
/// assert!((loss.array() - (0.09 / 2.0 + 1.0 / 2.0) / 2.0).abs() < 1e-12);
/// assert_eq!(loss.backward().get(&values).array(), [[0.0, -0.5]]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn value_loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    critic: Critic<P, C, E, D, T>,
    kept: &[bool],
    clip: ValueClip,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    ValueClip::check("value_loss", "clip", &clip)?;
    let (rows, columns) = critic.values.size();
    CoreError::check_size("kept", rows, kept.len())?;
    let (values, mask) = (critic.values.values(), critic.values.mask().to_vec());
    let mut slopes = vec![0.0; mask.len()];
    let (mut losses, mut weights, mut shares) = (vec![0.0; rows], vec![0.0; rows], vec![0.0; rows]);
    for row in (0..rows).filter(|&r| kept[r]) {
        let mut clipped = Vec::new();
        for i in (row * columns..(row + 1) * columns).filter(|&i| mask[i]) {
            let (loss, slope, cut) = clip.at(values[i], critic.old[i], critic.returns[i]);
            slopes[i] = slope;
            losses[row] += loss;
            clipped.push(f64::from(u8::from(cut)));
        }
        (weights[row], shares[row]) = (clipped.len() as f64, mean(&clipped));
    }
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("val/clipfrac", shares)?;
    diagnostics.push("val/weight", weights.clone())?;
    Ok(LossTerms::new(critic.values.attach(&losses, &slopes)?, weights, diagnostics)?)
}
