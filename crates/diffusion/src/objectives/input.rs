//! What the losses read: errors and log-densities, with or without a tape.

use dfdx::prelude::*;
use tropism_core::CoreError;
use tropism_core::numerics::to_f64;

use crate::DiffusionError;

/// Squared errors of the preferred and the rejected member of `P` pairs, `[P]` each, **averaged over dimensions**
/// ([`squared_errors`](crate::prediction::squared_errors)). Errors are of the network's own target: noise, `v` or velocity.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PairErrors<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Of the preferred members.
    pub chosen: Tensor<(P,), E, D, T>,
    /// Of the rejected members.
    pub rejected: Tensor<(P,), E, D, T>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> PairErrors<P, E, D, T> {
    /// Joins both sides.
    ///
    /// # Errors
    /// [`DiffusionError::Core`] for no or different numbers of rows and errors that are not finite; [`DiffusionError::Value`] for a
    /// negative one, which is no mean of squares.
    pub fn new(chosen: Tensor<(P,), E, D, T>, rejected: Tensor<(P,), E, D, T>) -> Result<Self, DiffusionError> {
        CoreError::check_size("rejected errors", chosen.shape().0.size(), rejected.shape().0.size())?;
        check_errors("chosen error", &to_f64(&chosen), 1)?;
        check_errors("rejected error", &to_f64(&rejected), 1)?;
        Ok(Self { chosen, rejected })
    }

    /// Number of pairs.
    pub fn rows(&self) -> usize {
        self.chosen.shape().0.size()
    }
}

/// Squared errors `[P, K]`, averaged over dimensions: of `K` ranked samples of a prompt, or of `K` segments of a sample.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ErrorTable<P: Dim, K: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// The errors.
    pub errors: Tensor<(P, K), E, D, T>,
}

impl<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> ErrorTable<P, K, E, D, T> {
    /// Checks a table of errors.
    ///
    /// # Errors
    /// As [`PairErrors::new`].
    pub fn new(errors: Tensor<(P, K), E, D, T>) -> Result<Self, DiffusionError> {
        check_errors("error", &to_f64(&errors), errors.shape().1.size())?;
        Ok(Self { errors })
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        let (rows, columns) = *self.errors.shape();
        (rows.size(), columns.size())
    }
}

/// Segment errors of both members of a pair, `[P, K]` each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SegmentPairs<P: Dim, K: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Of the first members.
    pub first: ErrorTable<P, K, E, D, T>,
    /// Of the second members.
    pub second: ErrorTable<P, K, E, D, T>,
}

impl<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> SegmentPairs<P, K, E, D, T> {
    /// Joins both members.
    ///
    /// # Errors
    /// [`DiffusionError::Shape`] unless both have the same rows and segments.
    pub fn new(first: ErrorTable<P, K, E, D, T>, second: ErrorTable<P, K, E, D, T>) -> Result<Self, DiffusionError> {
        DiffusionError::check_shape("second member's errors", first.size(), second.size())?;
        Ok(Self { first, second })
    }
}

/// Log-densities of one denoising step of both members of a pair, `[P]` each, in nats **averaged over dimensions**
/// ([`step_logps`](crate::sample::step_logps)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StepPairs<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// Of the first members.
    pub first: Tensor<(P,), E, D, T>,
    /// Of the second members.
    pub second: Tensor<(P,), E, D, T>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> StepPairs<P, E, D, T> {
    /// Joins both members.
    ///
    /// # Errors
    /// [`DiffusionError::Core`] for no or different numbers of rows and log-densities that are not finite.
    pub fn new(first: Tensor<(P,), E, D, T>, second: Tensor<(P,), E, D, T>) -> Result<Self, DiffusionError> {
        CoreError::check_size("second member's logps", first.shape().0.size(), second.shape().0.size())?;
        check_finite("first member's logps", &to_f64(&first))?;
        check_finite("second member's logps", &to_f64(&second))?;
        Ok(Self { first, second })
    }

    /// Number of pairs.
    pub fn rows(&self) -> usize {
        self.first.shape().0.size()
    }
}

/// Errors of samples under advantage-weighted matching: `[P]` each, a row for each sample and time of training.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MatchErrors<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// To the target, `mean_D (v_θ − u)²`.
    pub target: Tensor<(P,), E, D, T>,
    /// To the reference, `mean_D (v_θ − v_ref)²`.
    pub reference: Option<Tensor<(P,), E, D, T>>,
    /// To the slow copy, `mean_D (v_θ − v_ema)²`.
    pub ema: Option<Tensor<(P,), E, D, T>>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> MatchErrors<P, E, D, T> {
    /// Joins the errors.
    ///
    /// # Errors
    /// As [`PairErrors::new`].
    pub fn new(
        target: Tensor<(P,), E, D, T>,
        reference: Option<Tensor<(P,), E, D, T>>,
        ema: Option<Tensor<(P,), E, D, T>>,
    ) -> Result<Self, DiffusionError> {
        let rows = target.shape().0.size();
        check_errors("error to the target", &to_f64(&target), 1)?;
        for (what, part) in [("error to the reference", &reference), ("error to the slow copy", &ema)] {
            if let Some(part) = part {
                CoreError::check_size(what, rows, part.shape().0.size())?;
                check_errors(what, &to_f64(part), 1)?;
            }
        }
        Ok(Self { target, reference, ema })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.target.shape().0.size()
    }
}

/// Log-densities of sampled steps, `[P]`, a row for each sample and step, and their distance from the reference's steps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SampledSteps<P: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    /// In nats, averaged over dimensions ([`step_logps`](crate::sample::step_logps)).
    pub logps: Tensor<(P,), E, D, T>,
    /// See [`step_deviations`](crate::sample::step_deviations).
    pub deviations: Option<Tensor<(P,), E, D, T>>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> SampledSteps<P, E, D, T> {
    /// Joins log-densities and distances.
    ///
    /// # Errors
    /// [`DiffusionError::Core`] and [`DiffusionError::Value`] as for [`PairErrors::new`].
    pub fn new(logps: Tensor<(P,), E, D, T>, deviations: Option<Tensor<(P,), E, D, T>>) -> Result<Self, DiffusionError> {
        check_finite("logps", &to_f64(&logps))?;
        if let Some(deviations) = &deviations {
            CoreError::check_size("deviations", logps.shape().0.size(), deviations.shape().0.size())?;
            check_errors("deviation", &to_f64(deviations), 1)?;
        }
        Ok(Self { logps, deviations })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.logps.shape().0.size()
    }
}

/// Fails for no values, and for the first that is not finite.
fn check_finite(what: &'static str, values: &[f64]) -> Result<(), DiffusionError> {
    if values.is_empty() {
        return Err(CoreError::Empty { what }.into());
    }
    Ok(CoreError::check_finite(what, values)?)
}

/// Fails for no values, and for the first that is no mean of squares.
pub(crate) fn check_errors(what: &'static str, values: &[f64], columns: usize) -> Result<(), DiffusionError> {
    if values.is_empty() {
        return Err(CoreError::Empty { what }.into());
    }
    match values.iter().position(|&v| !(v.is_finite() && v >= 0.0)) {
        None => Ok(()),
        Some(at) => {
            let requirement = "finite and at least 0, a mean of squares";
            Err(DiffusionError::Value { what, row: at / columns, value: values[at], requirement })
        }
    }
}
