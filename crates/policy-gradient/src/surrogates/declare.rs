//! Declarations of surrogates: their options with those that all share.

/// Options of a surrogate: `Name = "method", "source", aggregation, KL penalty, { own options }`; adds the shared options and a
/// function `common` that reads them.
macro_rules! surrogate_options {
    (
        $(#[$meta:meta])* $name:ident = $method:literal, $source:literal,
        $aggregation:expr, $kl:expr, $check_kl:expr, { $($own:tt)* }
    ) => {
        crate::options::options! {
            $(#[$meta])*
            $name = $method, $source {
                $($own)*
                /// How losses per token become the loss of a step.
                aggregation: crate::Aggregation = $aggregation, with_aggregation, crate::Aggregation::check;
                /// KL term in the loss.
                kl: crate::KlPenalty = $kl, with_kl, $check_kl;
                /// Correction for a sampler with other probabilities; none by default.
                sampler: Option<crate::SamplerCorrection> = None, with_sampler,
                    tropism_core::options::optional(crate::SamplerCorrection::check);
                /// Share of the tokens, those of highest entropy, that the policy term keeps, from 0 to 1; all by default.
                /// The threshold is of the batch at hand, unless the rollout brings that of the step.
                top_entropy_quantile: f64 = 1.0, with_top_entropy_quantile, tropism_core::options::share;
                /// Tokens with a negative advantage leave the policy term when the completion's mean `logp_old − logp` is
                /// above this, in nats; kept by default.
                off_policy_mask_threshold: Option<f64> = None, with_off_policy_mask_threshold,
                    tropism_core::options::optional(tropism_core::options::not_negative);
                /// Weight of the entropy bonus; 0 by default.
                entropy_coefficient: f64 = 0.0, with_entropy_coefficient, tropism_core::options::finite;
            }
        }

        impl $name {
            /// The options that all surrogates share.
            pub(crate) fn shared(&self) -> crate::surrogates::common::Common {
                crate::surrogates::common::Common {
                    aggregation: self.aggregation,
                    kl: self.kl,
                    sampler: self.sampler,
                    top_entropy_quantile: self.top_entropy_quantile,
                    off_policy_mask_threshold: self.off_policy_mask_threshold,
                    entropy_coefficient: self.entropy_coefficient,
                }
            }
        }
    };
}
pub(crate) use surrogate_options;

/// [`crate::Method`] for a surrogate that reads what all read.
macro_rules! on_rollouts {
    ($config:ident, $function:path) => {
        impl crate::Method for $config {
            fn reads(&self) -> Vec<(crate::Field, crate::Need)> {
                self.shared().reads()
            }

            fn coupling(&self) -> crate::Coupling {
                self.shared().coupling()
            }

            fn top_entropy_quantile(&self) -> Option<f64> {
                Some(self.top_entropy_quantile)
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                rollout: crate::Rollout<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, crate::PolicyGradientError> {
                $function(rollout, self)
            }
        }
    };
}
pub(crate) use on_rollouts;

/// A method of the clip family: `Name = "method", "source", function, [low, high], level, aggregation, KL penalty`.
macro_rules! clipped {
    (
        $(#[$meta:meta])* $name:ident = $method:literal, $source:literal, $function:path,
        [$low:expr, $high:expr], $level:expr, $aggregation:expr, $kl:expr
    ) => {
        crate::surrogates::declare::surrogate_options! {
            $(#[$meta])*
            $name = $method, $source, $aggregation, $kl, crate::KlPenalty::check, {
                /// How far below 1 a ratio counts.
                epsilon_low: f64 = $low, with_epsilon_low, crate::surrogates::declare::below_one;
                /// How far above 1 a ratio counts.
                epsilon_high: f64 = $high, with_epsilon_high, tropism_core::options::not_negative;
                /// Cap of the ratio that is not clipped, which bounds the loss of a negative advantage (two-sided clipping);
                /// none by default.
                delta: Option<f64> = None, with_delta, tropism_core::options::optional(tropism_core::options::positive);
                /// What the ratio is a ratio of.
                ratio: crate::RatioLevel = $level, with_ratio, tropism_core::options::any;
            }
        }

        impl crate::surrogates::clip::Clipped for $name {
            fn clip(&self) -> crate::surrogates::clip::Clip {
                crate::surrogates::clip::Clip {
                    low: self.epsilon_low,
                    high: self.epsilon_high,
                    cap: self.delta,
                    level: self.ratio,
                }
            }

            fn common(&self) -> crate::surrogates::common::Common {
                self.shared()
            }
        }

        crate::surrogates::declare::on_rollouts!($name, $function);
    };
}
pub(crate) use clipped;

/// From 0 to 1: ratios are positive.
pub(crate) fn below_one(method: &'static str, key: &'static str, value: &f64) -> Result<(), tropism_core::OptionError> {
    tropism_core::options::share(method, key, value)
}
