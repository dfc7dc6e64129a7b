//! Prepared folders: rows in Parquet, with a manifest that says what they are and what they were made from.
//!
//! ```text
//! prepared/
//!   manifest.json      hashes of every file and source, versions, seed, counts, configuration
//!   train.parquet      the training rows, in the order of the curriculum
//!   test.parquet       the held-out rows, where some are held out
//!   positives.parquet  right traces, of the strategy `traces`
//!   audit.json         what was read, used and left out; audit.txt is the same as a table
//! ```
//!
//! Columns by kind, beside columns of numbers, `source_file`, `source_row` and, where the records have them, `tools`, `answer`
//! and the models:
//!
//! | kind | columns |
//! |---|---|
//! | pairs | `prompt`, `chosen`, `rejected`, `chosen_model`, `rejected_model` |
//! | joint | `prompt`, `chosen`, `rejected_prompt`, `rejected`, and both models |
//! | unpaired, samples | `prompt`, `completion`, `model`; `label` of the former is true or false |
//! | rankings, groups | `prompt`, `responses`, `models`, lists of numbers |
//!
//! Plain text is a string and a conversation a list of `{role, content}`, as TRL and `datasets` read them; further keys of
//! messages stand as JSON in a field `extras`, tools as JSON in `tools`. The same rows give the same bytes.

mod cells;
mod frame;
mod manifest;
mod prepared;
mod table;
mod write;

pub use manifest::{FORMAT, MANIFEST, Manifest, PreparedFile, SourceFile, VERSION};
pub use prepared::{Prepared, Stored};
pub use table::table;
pub use write::{Written, write, write_folder};
