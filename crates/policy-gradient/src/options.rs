//! The options of this crate's methods: [`tropism_core::options!`] with this crate's error.

/// [`tropism_core::options!`] with this crate's error.
macro_rules! options {
    ($($declaration:tt)*) => {
        tropism_core::options! { crate::PolicyGradientError; $($declaration)* }
    };
}
pub(crate) use options;
