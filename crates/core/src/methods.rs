//! Tables of methods: one type for all methods of a crate, chosen by name in configuration files.
//!
//! [`methods!`](crate::methods!) writes the type.

/// Where a method is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The method's name.
    pub method: &'static str,
    /// The name of its options in Rust.
    pub options: &'static str,
    /// Its file in the repository.
    pub file: &'static str,
    /// The paper or trainer, by title and number.
    pub source: &'static str,
}

impl Origin {
    /// The entry of a method; [`methods!`](crate::methods!) calls it.
    ///
    /// # Panics
    /// When the method's options have another name; at compile time in a constant.
    pub const fn new(names: [&'static str; 2], options: &'static str, file: &'static str, source: &'static str) -> Self {
        assert!(same(names[0], names[1]), "the table's name is not the method's");
        Self { method: names[0], options, file, source }
    }
}

/// Whether two names are the same, at compile time.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Declares the enum of a crate's methods: a variant for each, by the name that it has in configuration files.
///
/// First `($)` and the error of the methods' `check`; then the enum's docs and name, the docs of `keys`, and one line per
/// method: `Variant(Options) = "name";`. The options are declared by [`options!`](crate::options!) with a source.
///
/// Beside the enum with `defaults`, `name`, `check` and a `From` for each method, this defines `METHODS`, `ORIGINS`, `keys` and,
/// for what the crate's methods have in common, a macro: `with_config!(value, config => expression)` evaluates the expression on
/// the options of whatever method the value is. The calling crate depends on `serde`.
///
/// ```
/// use tropism_core::{OptionError, methods, options, options::positive};
///
/// options! {
///     OptionError;
///     /// Options of a penalty.
///     Penalty = "penalty", "no paper" {
///         /// Its weight, positive.
///         beta: f64 = 0.1, with_beta, positive;
///     }
/// }
/// methods! {
///     ($) OptionError;
///     /// One method with its options.
///     pub enum Method;
///     /// Option names of a method.
///     pub fn keys;
///     /// A penalty.
///     Penalty(Penalty) = "penalty";
/// }
/// let method = Method::from(Penalty::default().with_beta(-1.0));
/// assert!(method.name() == METHODS[0] && keys("penalty") == ["beta"] && method.check().is_err());
/// assert_eq!(with_config!(&method, config => config.beta), -1.0);
/// assert_eq!((ORIGINS[0].source, Method::defaults()), ("no paper", vec![Penalty::default().into()]));
/// ```
#[macro_export]
macro_rules! methods {
    (
        ($d:tt) $error:ty;
        $(#[$enum_meta:meta])* pub enum $enum:ident;
        $(#[$keys_meta:meta])* pub fn keys;
        $( $(#[$meta:meta])* $variant:ident($config:ident) = $name:literal; )*
    ) => {
        #[doc = concat!("Names of all methods, in the order of [`", stringify!($enum), "`]'s variants.")]
        pub const METHODS: &[&str] = &[$( $name ),*];

        /// Where each method is from, in the order of [`METHODS`].
        pub const ORIGINS: &[$crate::Origin] = &[
            $( $crate::Origin::new([$name, $config::NAME], stringify!($config), $config::FILE, $config::SOURCE), )*
        ];

        $(#[$enum_meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "method")]
        #[non_exhaustive]
        pub enum $enum {
            $( $(#[$meta])* #[serde(rename = $name)] $variant($config), )*
        }

        $(
            impl From<$config> for $enum {
                fn from(config: $config) -> Self {
                    Self::$variant(config)
                }
            }
        )*

        $(#[$keys_meta])*
        pub fn keys(method: &str) -> &'static [&'static str] {
            match method {
                $( $name => $config::KEYS, )*
                _ => &[],
            }
        }

        /// The options of a method, whichever it is.
        macro_rules! with_config {
            ($d this:expr, $d config:ident => $d body:expr) => {
                match $d this { $( $enum::$variant($d config) => $d body, )* }
            };
        }

        impl $enum {
            /// All methods with their default options, in the order of [`METHODS`].
            pub fn defaults() -> Vec<Self> {
                vec![$( Self::$variant($config::default()) ),*]
            }

            /// The method's name, one of [`METHODS`].
            pub fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }

            /// Checks the method's options.
            ///
            /// # Errors
            /// The first option with a value that the method cannot use, naming method, option and value.
            pub fn check(&self) -> Result<(), $error> {
                match self { $( Self::$variant(config) => config.check(), )* }
            }
        }
    };
}
