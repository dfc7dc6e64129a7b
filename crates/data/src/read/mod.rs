//! Readers of preference files: JSONL and CSV (plain, gzip, zstd), Parquet and Arrow IPC (with a footer, or as a stream).
//!
//! A path is a file, a folder of shards or a pattern ([`files_of`]). What the columns mean is the format's business
//! ([`crate::formats`]); it is recognised, or named in [`ReadOptions::format`]. [`RecordReader`] gives records in batches,
//! [`read_records`] and [`read_pairs`] all at once.
//!
//! | container | kept in memory | read by |
//! |---|---|---|
//! | JSONL, CSV | a few MiB of text with its records | `serde_json`, `csv`: rows of any shape, errors that know their line |
//! | Parquet | a slice of a row group, about 16 MiB before decoding | polars |
//! | Arrow IPC | one record batch as it was written | polars |

mod arrow;
mod arrow_check;
mod bytes;
mod cells;
mod columnar;
mod csv;
mod inputs;
mod jsonl;
mod layout;
mod options;
mod parquet;
mod reader;
mod rows;
mod table;

use std::path::Path;

pub use bytes::file_hash;
pub use inputs::{content_hash, files_of};
pub use options::{BrokenRows, Columns, ImplicitPrompt, ReadOptions};
pub use reader::RecordReader;
pub use rows::read_rows;

use crate::DataError;
use crate::audit::Audit;
pub use crate::formats::Format;
use crate::record::{Pair, Record};
use reader::none_left;

/// Reads all records of a file, a folder or a pattern.
///
/// ```
/// use std::io::Write;
/// use tropism_data::read::{ReadOptions, read_records};
/// let mut file = tempfile::NamedTempFile::with_suffix(".csv")?;
/// writeln!(file, "question,answer\n2 + 2?,\"4, so\n#### 4\"")?;
/// let (records, audit) = read_records(file.path(), &ReadOptions::default())?;
/// assert_eq!(records[0].answer.as_deref(), Some("4"));
/// assert_eq!(audit.read, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As for [`RecordReader::open`]; a row that is not as the format says (unless such rows are to be left out); no record
/// left.
pub fn read_records(path: &Path, options: &ReadOptions) -> Result<(Vec<Record>, Audit), DataError> {
    let mut reader = RecordReader::open(path, options)?;
    let mut records = Vec::new();
    for batch in &mut reader {
        records.extend(batch?);
    }
    Ok((records, reader.audit().clone()))
}

/// Reads preference pairs from files whose records have two ranked responses.
///
/// The audit says which rows were left out and why: identical sides, an empty completion or prompt, ties, dialogues
/// without a usable common prompt, plain text mixed with messages. Pairs of plain text without a prompt are kept and
/// noted. A string column `prompt` beside message columns is not used (the messages hold the prompt themselves),
/// unless the options name it; this too is noted.
///
/// ```
/// use std::io::Write;
/// use tropism_data::read::{ReadOptions, read_pairs};
/// let mut file = tempfile::NamedTempFile::with_suffix(".jsonl")?;
/// writeln!(file, r#"{{"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}}"#)?;
/// writeln!(file, r#"{{"prompt": "2 + 3 =", "chosen": " 5", "rejected": " 5"}}"#)?;
/// let (pairs, audit) = read_pairs(file.path(), &ReadOptions::default())?;
/// assert_eq!(pairs.len(), 1);
/// assert_eq!(audit.dropped["identical sides"].rows, [2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As for [`read_records`]; no pair left.
pub fn read_pairs(path: &Path, options: &ReadOptions) -> Result<(Vec<Pair>, Audit), DataError> {
    let mut reader = RecordReader::open(path, options)?;
    let (mut pairs, mut made) = (Vec::new(), Audit::default());
    for batch in &mut reader {
        for record in batch? {
            let row = record.source.row;
            match record.pair() {
                Ok(pair) => {
                    made.keep();
                    if pair.prompt.is_empty() {
                        made.note("no prompt", row);
                    }
                    pairs.push(pair);
                }
                Err(reason) => made.drop_row(reason, row),
            }
        }
    }
    let mut audit = reader.audit().clone();
    audit.then(&made);
    if pairs.is_empty() {
        return Err(none_left(&path.display().to_string(), &audit));
    }
    Ok((pairs, audit))
}
