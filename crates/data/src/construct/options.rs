//! How the options of constructions are declared.

/// A struct of options with defaults, by the strategy's name in configuration files.
macro_rules! options {
    ($(#[$meta:meta])* $name:ident = $text:literal { $( $(#[$field_meta:meta])* $field:ident: $kind:ty = $default:expr; )* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $kind, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            /// The strategy's name in configuration files.
            pub const NAME: &'static str = $text;
        }
    };
}
pub(super) use options;

/// [`options!`] with a rule for ties.
macro_rules! tied_options {
    ($(#[$meta:meta])* $name:ident = $text:literal { $($fields:tt)* }) => {
        crate::construct::options::options! {
            $(#[$meta])*
            $name = $text {
                $($fields)*
                /// What becomes of pairs whose scores tie.
                ties: crate::construct::Ties = crate::construct::Ties::Drop;
                /// Scores no further apart than this tie.
                tie_margin: f64 = 0.0;
            }
        }

        impl $name {
            /// The rule for ties.
            pub fn rule(&self) -> crate::construct::TieRule {
                crate::construct::TieRule { ties: self.ties, tie_margin: self.tie_margin }
            }
        }
    };
}
pub(super) use tied_options;
