//! What an SFT objective does with implicit rewards: the concave functions of the f-divergence family.

use serde::{Deserialize, Serialize};

use crate::ObjectiveError;

/// The divergence between demonstrations and policy that an objective of the family minimises; it says what becomes of an
/// implicit reward `u`.
///
/// | divergence | `φ(u)` | `φ'(u)` | where |
/// |---|---|---|---|
/// | total variation | `u` | 1 | everywhere |
/// | Pearson's `χ²` | `u − u²/4` | `1 − u/2` | rises up to 2 |
/// | squared Hellinger | `u/(1+u)` | `1/(1+u)²` | above −1 |
/// | Jensen–Shannon | `log(2 − e^{−u})` | `e^{−u}/(2 − e^{−u})` | above `−ln 2` |
/// | reverse KL | `−e^{−(u+1)}` | `e^{−(u+1)}` | everywhere |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SftDivergence {
    /// Supervised fine-tuning as it is known, times `β`.
    TotalVariation,
    /// Demonstrations far above the reference are pushed less, from 2 on not at all.
    ChiSquared,
    /// The force decays and never changes its sign.
    Hellinger,
    /// As Hellinger's, faster.
    JensenShannon,
    /// As Hellinger's; at the reference it is `1/e` of SFT's.
    ReverseKl,
}

/// What an objective does where `φ` is not defined, nearly steep as a wall, or falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// `φ` goes on along its tangent: below −0.9 (Hellinger) and −0.6 (Jensen–Shannon), above 2 (`χ²`, at its maximum of 1).
    #[default]
    Tangent,
    /// `φ` stays at its value there, and there is no gradient.
    Constant,
    /// `φ` as it is: `χ²` falls beyond 2, and a reward outside Hellinger's or Jensen–Shannon's domain is an error.
    Raw,
}

impl SftDivergence {
    /// `φ(u)` and its slope.
    fn raw(self, u: f64) -> (f64, f64) {
        match self {
            Self::TotalVariation => (u, 1.0),
            Self::ChiSquared => (u - 0.25 * u * u, 1.0 - 0.5 * u),
            Self::Hellinger => (u / (1.0 + u), (1.0 + u).powi(-2)),
            Self::JensenShannon => ((2.0 - (-u).exp()).ln(), 1.0 / (2.0 * u.exp() - 1.0)),
            Self::ReverseKl => (-(-u - 1.0).exp(), (-u - 1.0).exp()),
        }
    }

    /// The nearest reward to `u` at which `φ` is taken as it is.
    fn held(self, u: f64) -> f64 {
        match self {
            Self::TotalVariation | Self::ReverseKl => u,
            Self::ChiSquared => u.min(2.0),
            Self::Hellinger => u.max(-0.9),
            Self::JensenShannon => u.max(-0.6),
        }
    }

    /// Whether `φ` is defined at `u`.
    fn holds(self, u: f64) -> bool {
        match self {
            Self::TotalVariation | Self::ReverseKl | Self::ChiSquared => true,
            Self::Hellinger => u > -1.0,
            Self::JensenShannon => u > -std::f64::consts::LN_2,
        }
    }

    /// `φ(u)` and its slope, with `outside` beyond the bounds.
    pub(crate) fn reward(
        self,
        u: f64,
        outside: Outside,
        (method, row): (&'static str, usize),
    ) -> Result<(f64, f64), ObjectiveError> {
        let held = self.held(u);
        match outside {
            Outside::Raw if !self.holds(u) => {
                let problem = format!(
                    "is raw and the implicit reward of row {row} is {u}, where {self:?} is not defined; lower `beta`, or take another value"
                );
                Err(ObjectiveError::Option { method, key: "outside", problem })
            }
            Outside::Raw => Ok(self.raw(u)),
            Outside::Constant if held != u => Ok((self.raw(held).0, 0.0)),
            Outside::Tangent | Outside::Constant => {
                let (value, slope) = self.raw(held);
                Ok((value + slope * (u - held), slope))
            }
        }
    }
}
