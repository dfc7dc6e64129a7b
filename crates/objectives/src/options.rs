//! The options of this crate's methods: [`tropism_core::options!`] with this crate's error, and rules for methods.

use tropism_core::OptionError;
pub(crate) use tropism_core::options::{
    any, finite, flip_rate, not_negative, optional, positive, positive_flip_rate, share,
};

use crate::{InputKind, Objective, ObjectiveError};

/// [`tropism_core::options!`] with this crate's error; the method's paper or trainer follows its name.
macro_rules! options {
    ($($declaration:tt)*) => {
        tropism_core::options! { crate::ObjectiveError; $($declaration)* }
    };
}
pub(crate) use options;

type Checked = Result<(), ObjectiveError>;

/// A valid method on pairs.
pub(crate) fn pair_method(method: &'static str, key: &'static str, value: &Objective) -> Checked {
    value.check()?;
    let found = value.input();
    if found == InputKind::Pairs {
        return Ok(());
    }
    let problem = format!("is {}, which reads {found}; take a method that reads {}", value.name(), InputKind::Pairs);
    Err(OptionError::Problem { method, key, problem }.into())
}

/// A valid method on pairs that reads no reference model.
pub(crate) fn free_pair_method(method: &'static str, key: &'static str, value: &Objective) -> Checked {
    pair_method(method, key, value)?;
    if !value.needs_reference() {
        return Ok(());
    }
    let problem = format!("is {}, which reads a reference model; take one that does not", value.name());
    Err(OptionError::Problem { method, key, problem }.into())
}
