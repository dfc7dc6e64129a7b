//! What a loss returns.

use dfdx::prelude::*;

use crate::{CoreError, Diagnostics, numerics};

/// Losses per row, before any mean, with each row's share of the denominator.
///
/// The loss of a step is `Σ losses / Σ weights` over **all** rows of the step. A trainer that splits the step into
/// micro-batches adds up the weights first and divides each part by the whole ([`into_scaled`](Self::into_scaled)):
/// then any split gives the same gradient. A weight is 1 for a pair and the number of tokens for a supervised row.
/// Weights depend on lengths and constants of the batch, never on log-probabilities, so they are known before the step.
///
/// Some losses add parts with denominators of their own, such as a mean over pairs and a mean over tokens
/// ([`with`](Self::with)); then there is one denominator per part.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{Diagnostics, LossTerms};
///
/// let losses = Cpu::default().tensor([3.0_f64, 5.0]);
/// let terms = LossTerms::new(losses.leaky_trace(), vec![1.0, 3.0], Diagnostics::default())?;
/// assert_eq!(terms.weight(), 4.0);
/// let mean = terms.mean()?;
/// assert_eq!(mean.array(), 2.0);
/// assert_eq!(mean.backward().get(&losses).array(), [0.25, 0.25]);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LossTerms<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Loss of each row, `[P]`, summed over the row, not averaged; carries the tape.
    pub losses: Tensor<(P,), E, D, T>,
    /// Share of each row in the denominator.
    pub weights: Vec<f64>,
    /// Figures per row, without gradient.
    pub diagnostics: Diagnostics,
    /// Further parts: losses and weights.
    extra: Vec<(Tensor<(P,), E, D, T>, Vec<f64>)>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> LossTerms<P, E, D, T> {
    /// Gathers the parts.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] unless there is one weight per row (and one row of diagnostics, if there are any),
    /// [`CoreError::NotFinite`] for a NaN or infinite loss or weight, [`CoreError::NegativeWeight`].
    pub fn new(losses: Tensor<(P,), E, D, T>, weights: Vec<f64>, diagnostics: Diagnostics) -> Result<Self, CoreError> {
        let rows = losses.shape().0.size();
        CoreError::check_size("weights", rows, weights.len())?;
        if !diagnostics.names().is_empty() {
            CoreError::check_size("diagnostics", rows, diagnostics.rows())?;
        }
        CoreError::check_finite("loss", &numerics::to_f64(&losses))?;
        CoreError::check_finite("weight", &weights)?;
        match weights.iter().position(|&w| w < 0.0) {
            Some(row) => Err(CoreError::NegativeWeight { row, value: weights[row] }),
            None => Ok(Self { losses, weights, diagnostics, extra: Vec::new() }),
        }
    }

    /// Adds the parts of `other`, each under its own denominator; of its diagnostics, those with new names.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] when the rows differ in number.
    ///
    /// ```
    /// use dfdx::prelude::*;
    /// use tropism_core::{Diagnostics, LossTerms};
    ///
    /// let dev = Cpu::default();
    /// let part = |losses, weights: [f64; 2]| LossTerms::new(losses, weights.to_vec(), Diagnostics::default());
    /// let both = part(dev.tensor([1.0_f64, 3.0]), [1.0, 1.0])?.with(part(dev.tensor([4.0, 6.0]), [2.0, 3.0])?)?;
    /// assert_eq!(both.denominators(), [2.0, 5.0]);
    /// assert_eq!(both.mean()?.array(), 2.0 + 2.0);
    /// # Ok::<(), tropism_core::CoreError>(())
    /// ```
    pub fn with(mut self, other: Self) -> Result<Self, CoreError> {
        CoreError::check_size("further losses", self.weights.len(), other.weights.len())?;
        self.diagnostics.join(other.diagnostics)?;
        self.extra.push((other.losses, other.weights));
        self.extra.extend(other.extra);
        Ok(self)
    }

    /// All losses times `factor`; weights and diagnostics stay.
    ///
    /// # Errors
    /// [`CoreError::Device`].
    pub fn times(self, factor: f64) -> Result<Self, CoreError> {
        let scale =
            |losses: Tensor<(P,), E, D, T>| losses.try_mul(numerics::scalar::<E>(factor)?).map_err(CoreError::device);
        let extra = self.extra.into_iter().map(|(l, w)| Ok((scale(l)?, w))).collect::<Result<_, CoreError>>()?;
        Ok(Self { losses: scale(self.losses)?, extra, ..self })
    }

    /// The losses of each row, in all parts, times the row's factor; weights and diagnostics stay.
    ///
    /// # Errors
    /// [`CoreError::SizeMismatch`] unless there is one factor per row; [`CoreError::Device`].
    pub fn times_rows(self, factors: &[f64]) -> Result<Self, CoreError> {
        let scale = |losses: Tensor<(P,), E, D, T>| {
            let factors: Tensor<(P,), E, D> = numerics::from_f64(losses.device(), factors, *losses.shape())?;
            losses.try_mul(factors).map_err(CoreError::device)
        };
        let extra = self.extra.into_iter().map(|(l, w)| Ok((scale(l)?, w))).collect::<Result<_, CoreError>>()?;
        Ok(Self { losses: scale(self.losses)?, extra, ..self })
    }

    /// Losses per row of each part, as f64.
    pub fn part_values(&self) -> Vec<Vec<f64>> {
        let extra = self.extra.iter().map(|(losses, _)| numerics::to_f64(losses));
        std::iter::once(self.values()).chain(extra).collect()
    }

    /// The sum of the weights of each part.
    pub fn denominators(&self) -> Vec<f64> {
        let extra = self.extra.iter().map(|(_, weights)| weights.iter().sum());
        std::iter::once(self.weight()).chain(extra).collect()
    }

    /// Losses per row of the first part, as f64.
    pub fn values(&self) -> Vec<f64> {
        numerics::to_f64(&self.losses)
    }

    /// The denominator that these rows bring along to the first part: the sum of their weights.
    pub fn weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// Sum of the losses of a loss with one part, with the tape.
    ///
    /// # Errors
    /// [`CoreError::Denominators`] when there are several parts: use [`sum_over`](Self::sum_over); [`CoreError::Device`].
    pub fn sum(self) -> Result<Tensor<Rank0, E, D, T>, CoreError> {
        match self.extra.len() {
            0 => total(self.losses),
            more => Err(CoreError::Denominators { parts: more + 1, found: 0 }),
        }
    }

    /// The part of these rows in a step whose weights add up to `denominators`, times the first of them: the gradients of
    /// a step are sums of this, divided once by the first denominator.
    ///
    /// # Errors
    /// [`CoreError::Denominators`] unless there is one per part, [`CoreError::NoWeight`] unless the first is positive and
    /// finite; [`CoreError::Device`]. A further part whose denominator is 0 is left out.
    pub fn sum_over(self, denominators: &[f64]) -> Result<Tensor<Rank0, E, D, T>, CoreError> {
        let (first, rest) = self.split(denominators)?;
        let mut sum = total(self.losses)?;
        for ((losses, _), &denominator) in self.extra.into_iter().zip(rest).filter(|(_, d)| **d != 0.0) {
            let part = total(losses)?.try_mul(numerics::scalar::<E>(first / positive(denominator)?)?);
            sum = part.and_then(|part| sum.try_add(part)).map_err(CoreError::device)?;
        }
        Ok(sum)
    }

    /// The part of these rows in a step whose weights add up to `denominators`: `Σ losses / denominator`, summed over parts.
    ///
    /// # Errors
    /// As [`sum_over`](Self::sum_over).
    pub fn into_scaled(self, denominators: &[f64]) -> Result<Tensor<Rank0, E, D, T>, CoreError> {
        let (first, _) = self.split(denominators)?;
        let sum = self.sum_over(denominators)?;
        sum.try_div(numerics::scalar::<E>(first)?).map_err(CoreError::device)
    }

    /// `sum / weight` of these rows alone. A trainer with micro-batches divides once by the weights of the whole step
    /// instead, by [`into_scaled`](Self::into_scaled).
    ///
    /// # Errors
    /// [`CoreError::NoWeight`] when all weights of the first part are 0; [`CoreError::Device`].
    pub fn mean(self) -> Result<Tensor<Rank0, E, D, T>, CoreError> {
        let denominators = self.denominators();
        self.into_scaled(&denominators)
    }

    /// The first denominator, checked, and the others.
    fn split<'d>(&self, denominators: &'d [f64]) -> Result<(f64, &'d [f64]), CoreError> {
        let parts = self.extra.len() + 1;
        match denominators.split_first() {
            Some((&first, rest)) if rest.len() + 1 == parts => Ok((positive(first)?, rest)),
            _ => Err(CoreError::Denominators { parts, found: denominators.len() }),
        }
    }
}

/// A denominator that can be divided by.
fn positive(denominator: f64) -> Result<f64, CoreError> {
    let ok = denominator > 0.0 && denominator.is_finite();
    if ok { Ok(denominator) } else { Err(CoreError::NoWeight { weight: denominator }) }
}

/// Sum of a vector.
fn total<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    losses: Tensor<(P,), E, D, T>,
) -> Result<Tensor<Rank0, E, D, T>, CoreError> {
    losses.try_sum::<Rank0, Axis<0>>().map_err(CoreError::device)
}
