//! Gradients of losses on the tape, and the ways to follow them.

use dfdx::prelude::*;
use tropism_core::{CoreError, numerics};

use crate::ToyError;

/// Parameters, or what was computed from them, on the tape.
pub(crate) type Traced = Tensor<(usize,), f64, Cpu, OwnedTape<f64, Cpu>>;
/// A loss on the tape.
pub(crate) type Loss = Tensor<Rank0, f64, Cpu, OwnedTape<f64, Cpu>>;

/// Value and gradient of a loss at `parameters`.
///
/// # Errors
/// Those of the loss; [`ToyError::Core`] when value or gradient is no number.
pub(crate) fn gradient(
    parameters: &[f64],
    loss: impl FnOnce(Traced) -> Result<Loss, ToyError>,
) -> Result<(f64, Vec<f64>), ToyError> {
    let at: Tensor<(usize,), f64, Cpu> = numerics::from_f64(&Cpu::default(), parameters, (parameters.len(),))?;
    let loss = loss(at.leaky_trace())?;
    let value = loss.array();
    let gradients = loss.try_backward().map_err(|e| CoreError::device(format!("{e:?}")))?;
    Ok((value, gradients.get(&at).as_vec()))
}

/// A rule of descent with its step size and state.
#[derive(Clone, Debug)]
pub(crate) struct Descent {
    rule: Rule,
    rate: f64,
    steps: usize,
}

#[derive(Clone, Debug)]
enum Rule {
    Plain,
    Normalized,
    Adam { mean: Vec<f64>, square: Vec<f64> },
}

impl Descent {
    /// `θ − rate · g`.
    pub(crate) fn plain(rate: f64) -> Self {
        Self { rule: Rule::Plain, rate, steps: 0 }
    }

    /// `θ − rate · g / ‖g‖`: every step has the same length.
    pub(crate) fn normalized(rate: f64) -> Self {
        Self { rule: Rule::Normalized, rate, steps: 0 }
    }

    /// Adam with moments 0.9 and 0.999 and `ε = 1e-8`, no decay.
    pub(crate) fn adam(rate: f64) -> Self {
        Self { rule: Rule::Adam { mean: Vec::new(), square: Vec::new() }, rate, steps: 0 }
    }

    /// One step along `gradient`.
    ///
    /// # Errors
    /// [`ToyError::Diverged`] for a gradient or parameter that is no number.
    pub(crate) fn step(&mut self, parameters: &mut [f64], gradient: &[f64]) -> Result<(), ToyError> {
        finite("the gradient", self.steps, gradient)?;
        self.steps += 1;
        for (p, d) in parameters.iter_mut().zip(self.direction(gradient)) {
            *p -= self.rate * d;
        }
        finite("a parameter", self.steps, parameters)
    }

    fn direction(&mut self, gradient: &[f64]) -> Vec<f64> {
        let steps = self.steps as i32;
        match &mut self.rule {
            Rule::Plain => gradient.to_vec(),
            Rule::Normalized => {
                let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                // at a stationary point there is no direction to follow
                gradient.iter().map(|g| if norm > 0.0 { g / norm } else { 0.0 }).collect()
            }
            Rule::Adam { mean, square } => {
                mean.resize(gradient.len(), 0.0);
                square.resize(gradient.len(), 0.0);
                let (full_mean, full_square) = (1.0 - 0.9f64.powi(steps), 1.0 - 0.999f64.powi(steps));
                let moments = mean.iter_mut().zip(square.iter_mut()).zip(gradient);
                moments
                    .map(|((m, s), g)| {
                        *m = 0.9 * *m + 0.1 * g;
                        *s = 0.999 * *s + 0.001 * g * g;
                        (*m / full_mean) / ((*s / full_square).sqrt() + 1e-8)
                    })
                    .collect()
            }
        }
    }
}

fn finite(what: &'static str, step: usize, values: &[f64]) -> Result<(), ToyError> {
    match values.iter().find(|v| !v.is_finite()) {
        Some(&value) => Err(ToyError::Diverged { what, step, value }),
        None => Ok(()),
    }
}

/// `steps` steps down the same loss.
///
/// # Errors
/// Those of the loss; [`ToyError::Diverged`].
pub(crate) fn descend(
    parameters: &mut [f64],
    mut rule: Descent,
    steps: usize,
    loss: impl Fn(Traced) -> Result<Loss, ToyError>,
) -> Result<(), ToyError> {
    for _ in 0..steps {
        let (_, slopes) = gradient(parameters, &loss)?;
        rule.step(parameters, &slopes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bowl(x: Traced) -> Result<Loss, ToyError> {
        Ok(x.square().sum())
    }

    #[test]
    fn every_rule_goes_down() {
        assert_eq!(gradient(&[3.0, -4.0], bowl).unwrap(), (25.0, vec![6.0, -8.0]));
        let after = |rule, steps| {
            let mut x = [3.0, -4.0];
            descend(&mut x, rule, steps, bowl).unwrap();
            x
        };
        assert_eq!(after(Descent::plain(0.25), 1), [1.5, -2.0]);
        assert_eq!(after(Descent::normalized(2.5), 2), [0.0, 0.0]);
        assert_eq!(after(Descent::normalized(2.5), 3), [0.0, 0.0]);
        let adam = after(Descent::adam(0.5), 1);
        assert!((adam[0] - 2.5).abs() < 1e-8 && (adam[1] + 3.5).abs() < 1e-8, "{adam:?}");
    }

    #[test]
    fn too_large_steps_are_an_error() {
        let error = descend(&mut [3.0], Descent::plain(1e200), 3, bowl).unwrap_err();
        assert!(error.to_string().contains("take smaller steps"), "{error}");
    }
}
