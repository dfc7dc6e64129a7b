//! The methods as one type, chosen by name in configuration files.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{LossTerms, PairLogps, SequenceLogps};

use crate::{Dpo, Ipo, ObjectiveError, Sft, Simpo, dpo, ipo, sft, simpo};

/// Names of all methods, in the order of [`Objective`]'s variants.
pub const METHODS: &[&str] = &[Sft::NAME, Dpo::NAME, Ipo::NAME, Simpo::NAME];

/// One method with its options.
///
/// In a configuration file the name stands in `method`, and the method's options stand beside it. Options left out take
/// their defaults; unknown ones are errors.
///
/// ```
/// use tropism_objectives::{Objective, Simpo};
///
/// let objective: Objective = toml::from_str("method = 'simpo'\nbeta = 2.5")?;
/// assert_eq!(objective, Objective::Simpo(Simpo::default().with_beta(2.5)));
/// assert!(toml::from_str::<Objective>("method = 'simpo'\nbetta = 2.5").is_err());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Objective {
    /// Supervised fine-tuning; see [`sft()`].
    Sft(Sft),
    /// Direct preference optimisation; see [`dpo()`].
    Dpo(Dpo),
    /// Identity preference optimisation; see [`ipo()`].
    Ipo(Ipo),
    /// SimPO; see [`simpo()`].
    Simpo(Simpo),
}

/// Option names of a method, without `method` itself; empty for an unknown method and for one without options.
///
/// ```
/// assert_eq!(tropism_objectives::keys("ipo"), ["beta", "normalization"]);
/// ```
pub fn keys(method: &str) -> &'static [&'static str] {
    match method {
        Dpo::NAME => &["beta"],
        Ipo::NAME => &["beta", "normalization"],
        Simpo::NAME => &["beta", "gamma_beta_ratio", "label_smoothing"],
        _ => &[],
    }
}

impl Objective {
    /// The method's name, one of [`METHODS`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sft(_) => Sft::NAME,
            Self::Dpo(_) => Dpo::NAME,
            Self::Ipo(_) => Ipo::NAME,
            Self::Simpo(_) => Simpo::NAME,
        }
    }

    /// Whether the loss compares the policy with a frozen reference model.
    pub fn needs_reference(&self) -> bool {
        matches!(self, Self::Dpo(_) | Self::Ipo(_))
    }

    /// Whether the loss reads pairs ([`pair_loss`](Self::pair_loss)) or single completions
    /// ([`sequence_loss`](Self::sequence_loss)).
    pub fn is_pairwise(&self) -> bool {
        !matches!(self, Self::Sft(_))
    }

    /// Checks the method's options.
    ///
    /// # Errors
    /// [`ObjectiveError::Config`] naming method, option and value.
    pub fn check(&self) -> Result<(), ObjectiveError> {
        match self {
            Self::Sft(config) => config.check(),
            Self::Dpo(config) => config.check(),
            Self::Ipo(config) => config.check(),
            Self::Simpo(config) => config.check(),
        }
    }

    /// The loss of pairs.
    ///
    /// # Errors
    /// [`ObjectiveError::NotPairwise`] for a method on single completions, [`ObjectiveError::MissingReference`] and
    /// [`ObjectiveError::UnusedReference`] when `reference` does not fit [`needs_reference`](Self::needs_reference),
    /// and those of the method.
    pub fn pair_loss<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        policy: PairLogps<P, E, D, T>,
        reference: Option<PairLogps<P, E, D>>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let method = self.name();
        match (self, reference) {
            (Self::Sft(_), _) => Err(ObjectiveError::NotPairwise { method }),
            (Self::Dpo(config), Some(reference)) => dpo(policy, reference, config),
            (Self::Ipo(config), Some(reference)) => ipo(policy, reference, config),
            (Self::Simpo(config), None) => simpo(policy, config),
            (Self::Simpo(_), Some(_)) => Err(ObjectiveError::UnusedReference { method }),
            (Self::Dpo(_) | Self::Ipo(_), None) => Err(ObjectiveError::MissingReference { method }),
        }
    }

    /// The loss of single completions.
    ///
    /// # Errors
    /// [`ObjectiveError::Pairwise`] for a method on pairs, and those of the method.
    pub fn sequence_loss<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        policy: SequenceLogps<P, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        match self {
            Self::Sft(config) => sft(policy, config),
            Self::Dpo(_) | Self::Ipo(_) | Self::Simpo(_) => Err(ObjectiveError::Pairwise { method: self.name() }),
        }
    }
}
