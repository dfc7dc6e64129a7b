//! Search for likely answers.

mod beam;

pub use beam::{Beam, BeamSearch, NextTokens, SearchError};
