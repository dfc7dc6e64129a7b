//! The strategies as one type, chosen by name in configuration files.

use serde::{Deserialize, Serialize};

use super::dataset::Kind;
use super::*;
use crate::DataError;

/// The table of strategies: `Variant(Options) = "name" => kind of rows`.
macro_rules! strategies {
    ($( $(#[$meta:meta])* $variant:ident($options:ident) = $name:literal => $kind:ident, $check:expr; )*) => {
        /// Names of all strategies, in the order of [`Strategy`]'s variants.
        pub const STRATEGIES: &[&str] = &[$( $name ),*];

        /// One strategy with its options.
        ///
        /// In a configuration file the name stands in `strategy`, and the strategy's options stand beside it. Options left out
        /// take their defaults; unknown ones are errors.
        ///
        /// ```
        /// use tropism_data::construct::Strategy;
        /// let strategy: Strategy = serde_json::from_str(r#"{"strategy": "ranking", "size": 8}"#)?;
        /// assert_eq!(strategy.name(), "ranking");
        /// assert!(serde_json::from_str::<Strategy>(r#"{"strategy": "ranking", "seize": 8}"#).is_err());
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "strategy")]
        #[non_exhaustive]
        pub enum Strategy {
            $( $(#[$meta])* #[serde(rename = $name)] $variant($options), )*
        }

        $(
            impl From<$options> for Strategy {
                fn from(options: $options) -> Self {
                    Self::$variant(options)
                }
            }
        )*

        impl Strategy {
            /// All strategies with their default options, in the order of [`STRATEGIES`]. Some cannot be used without further
            /// options, such as the name of an aspect.
            pub fn defaults() -> Vec<Self> {
                vec![$( Self::$variant($options::default()) ),*]
            }

            /// The strategy's name, one of [`STRATEGIES`].
            pub fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $options::NAME, )* }
            }

            /// What the rows are.
            pub fn kind(&self) -> Kind {
                match self { $( Self::$variant(_) => Kind::$kind, )* }
            }

            /// Checks the strategy's options.
            ///
            /// # Errors
            /// Names the first option that makes no sense, with what it should be.
            pub fn check(&self) -> Result<(), DataError> {
                match self {
                    $( Self::$variant(options) => {
                        let check: fn(&$options) -> Result<(), DataError> = $check;
                        check(options)
                    } )*
                }
            }
        }

        #[cfg(test)]
        const NAMES: &[(&str, &str)] = &[$( ($name, $options::NAME) ),*];
    };
}

strategies! {
    /// The best response against the worst.
    BestWorst(BestWorst) = "best_worst" => Pairs, |o| o.rule().check();
    /// The best response against a random other one.
    BestRandom(BestRandom) = "best_random" => Pairs, |o| o.rule().check();
    /// Every pair of responses.
    AllPairs(AllPairs) = "all_pairs" => Pairs, |o| o.rule().check();
    /// Neighbours in the ranking.
    Adjacent(Adjacent) = "adjacent" => Pairs, |o| o.rule().check();
    /// Pairs whose gap lies within bounds.
    Margin(Margin) = "margin" => Pairs, Margin::check;
    /// The best few against the worst few.
    TopBottom(TopBottom) = "top_bottom" => Pairs, |o| o.check().and_then(|()| o.rule().check());
    /// The best response against every other, from easy to hard.
    Curry(Curry) = "curry" => Pairs, |o| o.check().and_then(|()| o.rule().check());
    /// Rankings of K responses.
    Ranking(Ranking) = "ranking" => Rankings, Ranking::check;
    /// Single responses with a verdict.
    Unpaired(Unpaired) = "unpaired" => Unpaired, Unpaired::check;
    /// Groups of responses with rewards.
    Groups(Groups) = "groups" => Groups, Groups::check;
    /// Pairs by one aspect, with margins from the others.
    AspectPairs(AspectPairs) = "aspect_pairs" => Pairs, AspectPairs::check;
    /// The best response for a direction of rewards.
    Directions(Directions) = "directions" => Samples, Directions::check;
    /// Instances of different prompts against each other.
    Joint(Joint) = "joint" => Joint, Joint::check;
    /// Pairs by who wrote the responses.
    Origins(Origins) = "origins" => Pairs, Origins::check;
    /// Right and wrong traces of reasoning.
    Traces(Traces) = "traces" => Pairs, |o| match o.threshold.is_finite() {
        true => Ok(()),
        false => Err(DataError::config("threshold", o.threshold, "must be a number")),
    };
    /// Pairs cut to the segment in which they part.
    Segments(Segments) = "segments" => Pairs, |o| o.rule().check();
    /// Rejected responses by the rule of differential information.
    Information(Information) = "information" => Pairs, Information::check;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_agree_and_defaults_come_back_from_their_name() {
        assert!(NAMES.iter().all(|(listed, own)| listed == own));
        for (strategy, name) in Strategy::defaults().into_iter().zip(STRATEGIES) {
            let bare: Strategy = serde_json::from_str(&format!("{{\"strategy\": \"{name}\"}}")).unwrap();
            assert_eq!(bare, strategy);
            let written = serde_json::to_string(&strategy).unwrap();
            assert_eq!(serde_json::from_str::<Strategy>(&written).unwrap(), strategy, "{written}");
            let unknown = format!("{{\"strategy\": \"{name}\", \"colour\": 1}}");
            let error = serde_json::from_str::<Strategy>(&unknown).unwrap_err().to_string();
            assert!(error.contains("colour"), "{error}");
        }
    }

    #[test]
    fn defaults_are_sound_but_for_what_only_the_user_knows() {
        for strategy in Strategy::defaults() {
            let error = strategy.check().err().map(|error| error.to_string()).unwrap_or_default();
            let needed = match strategy.name() {
                "aspect_pairs" => "`aspect` is not set",
                "directions" => "`aspects` is",
                "origins" => "`policy` is not set",
                _ => "",
            };
            assert!(error.starts_with(needed) && error.is_empty() == needed.is_empty(), "{}: {error}", strategy.name());
        }
    }
}
