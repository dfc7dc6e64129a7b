//! Configuration structs of the methods, and the rules for their values.
//!
//! [`options!`](crate::options!) writes the struct; a rule is a function of method, key and value.

use crate::OptionError;

/// Declares the options of a method: struct, defaults, setters, names of the keys, check.
///
/// First the error of `check`, into which [`OptionError`](crate::OptionError) and the errors of all rules convert; then
/// name, method, for methods of a table ([`methods!`](crate::methods!)) the paper or trainer that they are from, and one line per
/// option: `key: Type = default, setter, rule;`. A rule is a function such as those of [`options`](mod@crate::options). The struct
/// derives the traits of serde, so the calling crate depends on `serde`; keys that it does not know are errors, and those left out
/// take their defaults.
///
/// ```
/// use tropism_core::options::positive;
/// use tropism_core::{OptionError, options};
///
/// options! {
///     OptionError;
///     /// Options of a penalty.
///     Penalty = "penalty" {
///         /// Its weight, positive.
///         beta: f64 = 0.1, with_beta, positive;
///     }
/// }
/// assert_eq!((Penalty::NAME, Penalty::KEYS), ("penalty", ["beta"].as_slice()));
/// let error = Penalty::default().with_beta(-1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "penalty: `beta` is -1; it must be positive and finite");
/// ```
#[macro_export]
macro_rules! options {
    ($error:ty; $(#[$meta:meta])* $name:ident = $method:literal $(, $source:literal)? {
        $( $(#[$field_meta:meta])* $field:ident : $type:ty = $default:expr, $with:ident, $rule:expr; )*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            /// The method's name in configuration files.
            pub const NAME: &'static str = $method;
            /// Names of the options.
            pub const KEYS: &'static [&'static str] = &[$( stringify!($field) ),*];

            $(
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                #[must_use]
                pub fn $with(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*

            /// Checks the options.
            ///
            /// # Errors
            /// The first option with a value that the method cannot use, naming method, option and value.
            pub fn check(&self) -> Result<(), $error> {
                $( $rule(Self::NAME, stringify!($field), &self.$field)?; )*
                Ok(())
            }
        }

        $(
            impl $name {
                /// The paper or trainer that the method is from.
                pub const SOURCE: &'static str = $source;
                /// Path of the method's file in the repository.
                pub const FILE: &'static str = file!();
            }
        )?
    };
}

type Checked = Result<(), OptionError>;

/// Every value is allowed.
///
/// # Errors
/// None.
pub fn any<T>(_: &'static str, _: &'static str, _: &T) -> Checked {
    Ok(())
}

/// Declares rules for numbers: name, condition, requirement in words.
macro_rules! rules {
    ($( $(#[$meta:meta])* $name:ident: |$value:ident| $ok:expr, $requirement:literal; )*) => {
        $(
            $(#[$meta])*
            ///
            /// # Errors
            #[doc = concat!("[`OptionError::Value`] unless the value is ", $requirement, ".")]
            pub fn $name(method: &'static str, key: &'static str, value: &f64) -> Checked {
                let $value = *value;
                OptionError::check($ok, (method, key, $value), $requirement)
            }
        )*
    };
}

rules! {
    /// Positive and finite.
    positive: |x| x > 0.0 && x.is_finite(), "positive and finite";
    /// At least 0 and finite.
    not_negative: |x| x >= 0.0 && x.is_finite(), "at least 0 and finite";
    /// Finite.
    finite: |x| x.is_finite(), "finite";
    /// A share from 0 to 1.
    share: |x| (0.0..=1.0).contains(&x), "from 0 to 1";
    /// A rate of swapped labels.
    flip_rate: |x| (0.0..0.5).contains(&x), "at least 0 and below 0.5";
    /// A rate of swapped labels that must not be 0.
    positive_flip_rate: |x| x > 0.0 && x < 0.5, "above 0 and below 0.5";
}

/// An option that may be left out, and follows `rule` otherwise.
///
/// ```
/// use tropism_core::options::{optional, positive};
///
/// let cap = optional(positive);
/// assert!(cap("ppo", "cap", &None).is_ok() && cap("ppo", "cap", &Some(0.0)).is_err());
/// ```
pub fn optional<T, E>(
    rule: impl Fn(&'static str, &'static str, &T) -> Result<(), E>,
) -> impl Fn(&'static str, &'static str, &Option<T>) -> Result<(), E> {
    move |method, key, value| value.as_ref().map_or(Ok(()), |value| rule(method, key, value))
}
