//! What the output of a network means: noise, data, `v` or velocity; conversions, targets and errors.

mod errors;
mod meaning;

pub use errors::{noised, squared_errors, targets};
pub use meaning::{Linear, Prediction};
