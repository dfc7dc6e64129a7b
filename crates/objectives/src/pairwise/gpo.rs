//! Generalised preference optimisation: any convex function of the margin.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{LossTerms, PairLogps};

use crate::method::on_pairs;
use crate::options::{any, options, positive};
use crate::pairwise::{Scored, Scoring};
use crate::{ObjectiveError, link};

/// A convex function `f` of a margin, falling at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvexLink {
    /// `log(1 + e^{−z})`.
    Logistic,
    /// `max(0, 1 − z)`.
    Hinge,
    /// `(1 − z)²`.
    Squared,
    /// `max(0, 1 − z)²`.
    #[default]
    TruncatedSquared,
    /// `e^{−z}`.
    Exponential,
}

impl ConvexLink {
    /// Value and slope.
    fn at(self, z: f64) -> (f64, f64) {
        match self {
            Self::Logistic => link::logistic(z),
            Self::Hinge => link::hinge(z),
            Self::Squared => link::squared(z, 1.0),
            Self::TruncatedSquared => link::squared(z.min(1.0), 1.0),
            Self::Exponential => ((-z).exp(), -(-z).exp()),
        }
    }
}

options! {
    /// Options of [`gpo()`].
    Gpo = "gpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// The function of the margin; `"truncated_squared"` by default.
        link: ConvexLink = ConvexLink::TruncatedSquared, with_link, any;
    }
}

on_pairs!(Gpo, gpo, |_c| true);

/// A convex function of the scaled margin of `P` pairs.
///
/// With log-ratios `h` in nats:
///
/// ```text
/// z = β (h_w − h_l)     losses = f(z)     weights = 1     ∂losses/∂lp_w = β f'(z) = −∂losses/∂lp_l
/// ```
///
/// The logistic function is [`dpo()`](crate::dpo()), the hinge [`hinge()`](crate::hinge()), and the square is `β²` times
/// [`ipo()`](crate::ipo()) on sums with half this `β`. The truncated square and the exponential have no other name here. The
/// exponential's gradient grows without bound with the size of a wrong margin.
///
/// Source: class "divergence" of A Survey of Direct Preference Optimization, arXiv 2503.11701, which names the method (convex `f`
/// family).
///
/// # Errors
/// As [`dpo()`](crate::dpo()); [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Gpo, gpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// assert!((gpo(policy, reference, &Gpo::default())?.values()[0] - 0.09).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Gpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scored = Scored::new(Gpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    scored.by_margin(config.beta, |z| config.link.at(z))
}
