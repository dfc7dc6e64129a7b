//! Configuration structs and the rules for their values.

use crate::{InputKind, Objective, ObjectiveError};

/// Declares the options of a method: struct, defaults, setters, names of the keys, check.
///
/// `key: Type = default, setter, rule;` — the rule is a function of this module.
macro_rules! options {
    ($(#[$meta:meta])* $name:ident = $method:literal {
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
            /// [`ObjectiveError::Config`](crate::ObjectiveError::Config) or
            /// [`ObjectiveError::Option`](crate::ObjectiveError::Option), naming method, option and value.
            pub fn check(&self) -> Result<(), crate::ObjectiveError> {
                $( $rule(Self::NAME, stringify!($field), &self.$field)?; )*
                Ok(())
            }
        }
    };
}
pub(crate) use options;

type Checked = Result<(), ObjectiveError>;

/// Every value is allowed.
pub(crate) fn any<T>(_: &'static str, _: &'static str, _: &T) -> Checked {
    Ok(())
}

/// Positive and finite.
pub(crate) fn positive(method: &'static str, key: &'static str, value: &f64) -> Checked {
    ObjectiveError::check(*value > 0.0 && value.is_finite(), (method, key, *value), "positive and finite")
}

/// At least 0 and finite.
pub(crate) fn not_negative(method: &'static str, key: &'static str, value: &f64) -> Checked {
    ObjectiveError::check(*value >= 0.0 && value.is_finite(), (method, key, *value), "at least 0 and finite")
}

/// Finite.
pub(crate) fn finite(method: &'static str, key: &'static str, value: &f64) -> Checked {
    ObjectiveError::check(value.is_finite(), (method, key, *value), "finite")
}

/// A share from 0 to 1.
pub(crate) fn share(method: &'static str, key: &'static str, value: &f64) -> Checked {
    ObjectiveError::check((0.0..=1.0).contains(value), (method, key, *value), "from 0 to 1")
}

/// A rate of swapped labels.
pub(crate) fn flip_rate(method: &'static str, key: &'static str, value: &f64) -> Checked {
    ObjectiveError::check((0.0..0.5).contains(value), (method, key, *value), "at least 0 and below 0.5")
}

/// A rate of swapped labels that must not be 0.
pub(crate) fn positive_flip_rate(method: &'static str, key: &'static str, value: &f64) -> Checked {
    ObjectiveError::check(*value > 0.0 && *value < 0.5, (method, key, *value), "above 0 and below 0.5")
}

/// A valid method on pairs.
pub(crate) fn pair_method(method: &'static str, key: &'static str, value: &Objective) -> Checked {
    value.check()?;
    let found = value.input();
    if found == InputKind::Pairs {
        return Ok(());
    }
    let problem = format!("is {}, which reads {found}; take a method that reads {}", value.name(), InputKind::Pairs);
    Err(ObjectiveError::Option { method, key, problem })
}

/// A valid method on pairs that reads no reference model.
pub(crate) fn free_pair_method(method: &'static str, key: &'static str, value: &Objective) -> Checked {
    pair_method(method, key, value)?;
    if !value.needs_reference() {
        return Ok(());
    }
    let problem = format!("is {}, which reads a reference model; take one that does not", value.name());
    Err(ObjectiveError::Option { method, key, problem })
}
