//! Teachers whose logits mix those of two models, and how far the student is from them.

use serde::{Deserialize, Serialize};
use tropism_core::OptionError;

/// How a teacher's logits `z*` are made of those of a favoured model `z_a` and another model `z_b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Teacher {
    /// `z* = z_a + s (z_a − z_b)`: the contrastive reward `log(π_a / π_b)` on top of the favoured model.
    #[default]
    Extrapolated,
    /// `z* = z_b + s (z_a − z_b)`: the same reward on top of the other model, such as a reference.
    Interpolated,
}

impl Teacher {
    /// Weights of `z_a` and `z_b` at strength `s`; they add up to 1.
    pub(crate) fn weights(self, strength: f64) -> [f64; 2] {
        match self {
            Self::Extrapolated => [1.0 + strength, -strength],
            Self::Interpolated => [strength, 1.0 - strength],
        }
    }
}

/// How strong the reward is in the teacher, `s` of [`Teacher`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Strength {
    /// `s_t = ratio · TV_t + floor`, with the total variation `½ Σ_v |π_a − π_b|` of the two models at the token.
    Adaptive {
        /// Strength where the models have nothing in common, above the floor; at least 0. The authors' code leaves out the
        /// ½, so its value is half of this one.
        ratio: f64,
        /// Strength where the models agree, positive: the loss is divided by it.
        floor: f64,
    },
    /// The same for all tokens, positive.
    Constant(f64),
}

impl Default for Strength {
    fn default() -> Self {
        Self::Adaptive { ratio: 20.0, floor: 1e-3 }
    }
}

impl Strength {
    /// The rule of the option.
    pub(crate) fn check(method: &'static str, key: &'static str, value: &Self) -> Result<(), OptionError> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let (ok, value, requirement) = match *value {
            Self::Constant(s) => (positive(s), s, "positive and finite"),
            Self::Adaptive { ratio, .. } if !(ratio >= 0.0 && ratio.is_finite()) => {
                (false, ratio, "at least 0 and finite in `ratio`")
            }
            Self::Adaptive { floor, .. } => (positive(floor), floor, "positive and finite in `floor`"),
        };
        OptionError::check(ok, (method, key, value), requirement)
    }
}

/// How far the student's distribution `p` is from the teacher's `q`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// `KL(p ‖ q) = Σ_v p (log p − log q)`.
    #[default]
    ReverseKl,
    /// `KL(q ‖ p) = Σ_v q (log q − log p)`.
    ForwardKl,
    /// `½ Σ_v |p − q|`, from 0 to 1.
    TotalVariation,
}

/// A divergence of a student from a teacher at each token; see [`AlignDistil::distillation`](crate::AlignDistil).
#[derive(Clone, Debug, PartialEq)]
pub struct Distillation {
    pub(crate) beta: f64,
    pub(crate) teacher: Teacher,
    pub(crate) strength: Strength,
    pub(crate) distance: Distance,
    pub(crate) temperature: f64,
}

impl Distillation {
    /// Whether the models' total variation is needed.
    pub(crate) fn adaptive(&self) -> bool {
        matches!(self.strength, Strength::Adaptive { .. })
    }

    /// Strength at a token with the given total variation.
    pub(crate) fn strength_at(&self, total_variation: f64) -> f64 {
        match self.strength {
            Strength::Adaptive { ratio, floor } => ratio * total_variation + floor,
            Strength::Constant(s) => s,
        }
    }
}
