//! Pairs of samples that someone has compared.
use super::rows_of;
use crate::Stream;
use crate::denoiser::{Condition, DenoiserError, Rows};
use dfdx::prelude::*;
use tropism_ops::{Scalar, rows};

/// Pairs of samples for one condition each, the preferred one in `chosen`.
#[derive(Clone, Debug)]
pub struct Preferences<E: Dtype> {
    /// `[B, D]`
    pub chosen: Rows<E>,
    /// `[B, D]`
    pub rejected: Rows<E>,
    /// what was asked for, and of whom; a row per pair
    pub condition: Condition<E>,
}

impl<E: Scalar> Preferences<E>
where
    Cpu: Device<E>,
{
    /// Pairs by a reward: samples 0 and 1 are a pair, 2 and 3, and so on; `reward` is given a sample's number and its values. Ties, and
    /// pairs with a reward that is not a number, are left out. `condition` has a row per pair, with the ties.
    ///
    /// ```
    /// use tropism_diffusion::denoiser::Condition;
    /// use tropism_diffusion::train::Preferences;
    ///
    /// let pairs: Preferences<f64> = Preferences::by_reward(&[1.0, 5.0, 2.0, 2.0], 1, &Condition::none(), |_, x| x[0])?;
    /// assert_eq!((pairs.len(), pairs.chosen.as_vec(), pairs.rejected.as_vec()), (1, vec![5.0], vec![1.0]));
    /// # Ok::<(), tropism_diffusion::denoiser::DenoiserError>(())
    /// ```
    ///
    /// # Errors
    /// Numbers that are no pairs of rows; no pair without a tie.
    pub fn by_reward(
        samples: &[f64],
        dim: usize,
        condition: &Condition<E>,
        mut reward: impl FnMut(usize, &[f64]) -> f64,
    ) -> Result<Self, DenoiserError> {
        let all: Rows<E> = rows_of(samples, dim)?;
        let n = all.shape().0;
        if !n.is_multiple_of(2) {
            return Err(DenoiserError::Input(format!("{n} samples are no pairs")));
        }
        let rewards: Vec<f64> = samples.chunks_exact(dim).enumerate().map(|(i, x)| reward(i, x)).collect();
        let (mut chosen, mut rejected, mut kept) = (vec![], vec![], vec![]);
        for (pair, r) in rewards.chunks_exact(2).enumerate() {
            let (a, b) = (2 * pair, 2 * pair + 1);
            if r[0] != r[1] && !r[0].is_nan() && !r[1].is_nan() {
                chosen.push(if r[0] > r[1] { a } else { b });
                rejected.push(if r[0] > r[1] { b } else { a });
                kept.push(pair);
            }
        }
        if kept.is_empty() {
            return Err(DenoiserError::Input(format!("all of {} pairs are ties: nobody prefers anything", n / 2)));
        }
        let condition = condition.rows(&kept)?;
        Ok(Preferences { chosen: rows(all.clone(), &chosen)?, rejected: rows(all, &rejected)?, condition })
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.chosen.shape().0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pairs `at`, in that order.
    ///
    /// # Errors
    /// A pair that is not there.
    pub fn rows(&self, at: &[usize]) -> Result<Self, DenoiserError> {
        Ok(Preferences {
            chosen: rows(self.chosen.clone(), at)?,
            rejected: rows(self.rejected.clone(), at)?,
            condition: self.condition.rows(at)?,
        })
    }

    /// `n` pairs at random, with repetition.
    ///
    /// # Errors
    /// When the device cannot allocate.
    pub fn batch(&self, n: usize, stream: &mut Stream) -> Result<Self, DenoiserError> {
        let at: Vec<usize> = (0..n).map(|_| stream.below(self.len())).collect();
        self.rows(&at)
    }
}
