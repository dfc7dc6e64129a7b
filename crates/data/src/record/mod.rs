//! Preference records before tokenisation.

mod canonical;
mod message;
mod pair;
mod response;
mod source;
mod text;
mod value;

use std::collections::BTreeMap;

pub use canonical::Record;
pub use message::Message;
pub use pair::{Pair, Sample};
pub use response::{Response, Step};
pub use source::Source;
pub use text::Text;
pub use value::Value;

/// Numbers of a row by the name of their column, such as the gap between two scores.
pub type Numbers = BTreeMap<String, f64>;

/// Tools that a prompt offers, as the chat template's `tools`: JSON schemas of functions. Empty for none.
pub type Tools = Vec<Value>;
