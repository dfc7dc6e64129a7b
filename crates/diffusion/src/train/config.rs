//! Options of a training.
use crate::denoiser::DenoiserError;
use serde::{Deserialize, Serialize};

/// Options of AdamW and of its learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// steps
    pub steps: u64,
    /// learning rate after the warm-up
    pub lr: f64,
    /// learning rate at the end of a cosine; the same as `lr` for a constant one
    pub end_lr: Option<f64>,
    /// steps over which the rate rises to `lr`
    pub warmup_steps: u64,
    /// largest norm of all gradients together, by which they are shortened; no limit when it is missing
    pub max_grad_norm: Option<f64>,
    /// decoupled weight decay of weights, not of biases
    pub weight_decay: f64,
    /// decay rates of the moments
    pub betas: [f64; 2],
    /// added to the root of the second moment
    pub eps: f64,
    /// seed of the steps' random numbers
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            steps: 1000,
            lr: 1e-4,
            end_lr: None,
            warmup_steps: 0,
            max_grad_norm: None,
            weight_decay: 0.0,
            betas: [0.9, 0.999],
            eps: 1e-8,
            seed: 0,
        }
    }
}

impl TrainConfig {
    /// Checks the options.
    ///
    /// # Errors
    /// The first option with a value that cannot be used.
    pub fn check(&self) -> Result<(), DenoiserError> {
        let refuse = |key: &str, value: f64, rule: &str| {
            Err(DenoiserError::Config(format!("training: `{key}` is {value}; it must be {rule}")))
        };
        let not_negative = |v: f64| v >= 0.0 && v.is_finite();
        for (key, value) in [("lr", self.lr), ("end_lr", self.end_lr.unwrap_or(0.0)), ("weight_decay", self.weight_decay)] {
            if !not_negative(value) {
                return refuse(key, value, "0 or more, and finite");
            }
        }
        if let Some(beta) = self.betas.into_iter().find(|b| !(0.0..1.0).contains(b)) {
            return refuse("betas", beta, "from 0 to below 1");
        }
        for (key, value) in [("eps", self.eps), ("max_grad_norm", self.max_grad_norm.unwrap_or(1.0))] {
            if !(value > 0.0 && value.is_finite()) {
                return refuse(key, value, "positive and finite");
            }
        }
        Ok(())
    }

    /// The learning rate of a step, counted from 0: a linear warm-up, then `end + (lr − end)(1 + cos(π s / steps)) / 2` for the
    /// s-th of the steps behind it.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.lr * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let Some(end) = self.end_lr else { return self.lr };
        let (at, all) = (step - self.warmup_steps, self.steps.saturating_sub(self.warmup_steps).max(1));
        let share = (at as f64 / all as f64).min(1.0);
        end + (self.lr - end) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * share))
    }

    /// The factor by which gradients of this norm are shortened.
    pub(super) fn clip(&self, norm: f64) -> f64 {
        match self.max_grad_norm {
            Some(most) if norm > most => most / norm,
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let config = TrainConfig { steps: 110, lr: 2.0, end_lr: Some(1.0), warmup_steps: 10, ..TrainConfig::default() };
        let near = |step, rate: f64| assert!((config.rate(step) - rate).abs() < 1e-12, "at {step}: {}", config.rate(step));
        near(0, 0.2);
        near(9, 2.0);
        near(10, 2.0);
        near(60, 1.5);
        near(110, 1.0);
        assert_eq!(TrainConfig::default().rate(999), 1e-4);
    }

    #[test]
    fn options_without_meaning_are_refused() {
        let refused = |config: TrainConfig| config.check().unwrap_err().to_string();
        assert!(refused(TrainConfig { lr: f64::NAN, ..TrainConfig::default() }).contains("`lr` is NaN"));
        assert!(refused(TrainConfig { betas: [0.9, 1.0], ..TrainConfig::default() }).contains("`betas` is 1"));
        assert!(refused(TrainConfig { max_grad_norm: Some(0.0), ..TrainConfig::default() }).contains("`max_grad_norm`"));
    }
}
