//! The methods as one type, chosen by name in configuration files.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::LossTerms;

use crate::*;

/// The table of methods: `Variant(Config) = "name"`.
macro_rules! methods {
    ($( $(#[$meta:meta])* $variant:ident($config:ident) = $name:literal; )*) => {
        /// Names of all methods, in the order of [`PolicyGradient`]'s variants.
        pub const METHODS: &[&str] = &[$( $name ),*];

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
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "method")]
        #[non_exhaustive]
        pub enum PolicyGradient {
            $( $(#[$meta])* #[serde(rename = $name)] $variant($config), )*
        }

        $(
            impl From<$config> for PolicyGradient {
                fn from(config: $config) -> Self {
                    Self::$variant(config)
                }
            }
        )*

        /// Option names of a method, without `method` itself; empty for an unknown method.
        ///
        /// ```
        /// assert_eq!(tropism_policy_gradient::keys("cispo")[0], "epsilon_high");
        /// ```
        pub fn keys(method: &str) -> &'static [&'static str] {
            match method {
                $( $name => $config::KEYS, )*
                _ => &[],
            }
        }

        impl PolicyGradient {
            /// All methods with their default options, in the order of [`METHODS`].
            pub fn defaults() -> Vec<Self> {
                vec![$( Self::$variant($config::default()) ),*]
            }

            /// The method's name, one of [`METHODS`].
            pub fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $config::NAME, )* }
            }

            /// Checks the method's options.
            ///
            /// # Errors
            /// [`PolicyGradientError::Option`], naming method, option and value.
            pub fn check(&self) -> Result<(), PolicyGradientError> {
                match self { $( Self::$variant(config) => config.check(), )* }
            }
        }

        impl Method for PolicyGradient {
            fn reads(&self) -> Vec<(Field, Need)> {
                match self { $( Self::$variant(config) => config.reads(), )* }
            }

            fn coupling(&self) -> Coupling {
                match self { $( Self::$variant(config) => config.coupling(), )* }
            }

            fn top_entropy_quantile(&self) -> Option<f64> {
                match self { $( Self::$variant(config) => config.top_entropy_quantile(), )* }
            }

            fn step_estimator(&self) -> Option<Estimator> {
                match self { $( Self::$variant(config) => config.step_estimator(), )* }
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                rollout: Rollout<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
                match self { $( Self::$variant(config) => config.loss(rollout), )* }
            }
        }
    };
}

methods! {
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
