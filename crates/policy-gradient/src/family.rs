//! The methods as one type, chosen by name in configuration files.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use crate::*;

tropism_core::methods! {
    ($) PolicyGradientError;
    /// One method with its options.
    ///
    /// In a configuration file the name stands in `method`, and the method's options stand beside it. Options left out
    /// take their defaults; unknown ones are errors.
    ///
    /// ```
    /// use tropism_policy_gradient::{Dapo, PolicyGradient};
    ///
    /// let method: PolicyGradient = toml::from_str("method = 'dapo'\nepsilon_high = 0.3")?;
    /// assert_eq!(method, PolicyGradient::Dapo(Dapo::default().with_epsilon_high(0.3)));
    /// assert!(toml::from_str::<PolicyGradient>("method = 'dapo'\nepsilon = 0.3").is_err());
    /// # Ok::<(), toml::de::Error>(())
    /// ```
    pub enum PolicyGradient;
    /// Option names of a method, without `method` itself; empty for an unknown method.
    ///
    /// ```
    /// assert_eq!(tropism_policy_gradient::keys("cispo")[0], "epsilon_high");
    /// ```
    pub fn keys;

    /// Group-relative policy optimisation; see [`grpo()`].
    Grpo(Grpo) = "grpo";
    /// GRPO without length and deviation; see [`dr_grpo()`].
    #[serde(alias = "dr-grpo")]
    DrGrpo(DrGrpo) = "dr_grpo";
    /// A clipped mean over tokens; see [`bnpo()`].
    Bnpo(Bnpo) = "bnpo";
    /// Clip-higher with a mean over tokens; see [`dapo()`].
    Dapo(Dapo) = "dapo";
    /// One ratio for a completion; see [`gspo()`].
    Gspo(Gspo) = "gspo";
    /// The completion's ratio with gradients by token; see [`gspo_token()`].
    GspoToken(GspoToken) = "gspo_token";
    /// The geometric mean of ratios; see [`gmpo()`].
    Gmpo(Gmpo) = "gmpo";
    /// Clipped importance weights; see [`cispo()`].
    Cispo(Cispo) = "cispo";
    /// A soft gate; see [`sapo()`].
    Sapo(Sapo) = "sapo";
    /// GSPO times the length; see [`luspo()`].
    Luspo(Luspo) = "luspo";
    /// A smooth weight of the completion; see [`vespo()`].
    Vespo(Vespo) = "vespo";
    /// REINFORCE with a leave-one-out baseline; see [`rloo()`].
    Rloo(Rloo) = "rloo";
    /// PPO's clip without a critic, also called `reinforce++`; see [`reinforce_plus_plus()`].
    #[serde(alias = "reinforce++")]
    ReinforcePlusPlus(ReinforcePlusPlus) = "reinforce_plus_plus";
    /// Proximal policy optimisation; see [`ppo()`].
    Ppo(Ppo) = "ppo";
    /// Discriminative constrained optimisation; see [`disco()`].
    Disco(Disco) = "disco";
    /// Decoupled rewards for short answers; see [`drpo()`].
    Drpo(Drpo) = "drpo";
}

impl Method for PolicyGradient {
    fn reads(&self) -> Vec<(Field, Need)> {
        with_config!(self, config => config.reads())
    }

    fn coupling(&self) -> Coupling {
        with_config!(self, config => config.coupling())
    }

    fn top_entropy_quantile(&self) -> Option<f64> {
        with_config!(self, config => config.top_entropy_quantile())
    }

    fn step_estimator(&self) -> Option<Estimator> {
        with_config!(self, config => config.step_estimator())
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        rollout: Rollout<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
        with_config!(self, config => config.loss(rollout))
    }
}
