//! Readers of preference files: JSONL (plain, gzip, zstd) and Parquet.
//!
//! | rows | prompt | recognised by |
//! |---|---|---|
//! | strings `prompt`, `chosen`, `rejected` | given | a prompt column |
//! | lists of `{role, content}` | given, or the longest common leading messages | the cells' type |
//! | HH-RLHF dialogues in `chosen` and `rejected` | the longest common leading messages | a text that begins with a human turn |
//! | strings `chosen`, `rejected` | empty | none of the above |

mod bytes;
mod cells;
mod columns;
mod frame;
mod options;
mod rows;
mod scan;

use std::path::Path;

pub use bytes::file_hash;
pub use options::{Columns, Format, ReadOptions};
pub use rows::read_rows;

use crate::DataError;
use crate::audit::Audit;
use crate::hh;
use crate::prompt::divide;
use crate::record::{Numbers, Pair, Source, Text};
use frame::Table;

/// Reads preference pairs from a file.
///
/// The audit says which rows were left out and why: identical sides, an empty completion or prompt, dialogues without a
/// usable common prompt, plain text mixed with messages. Pairs of plain text without a prompt are kept and noted.
/// A string column `prompt` beside message columns is not used (the messages hold the prompt themselves),
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
/// A file that is missing, empty or of unknown kind; a line that is not valid JSON; a column that is not there; a
/// null cell or one of a wrong type; options that make no sense; no pair left.
pub fn read_pairs(path: &Path, options: &ReadOptions) -> Result<(Vec<Pair>, Audit), DataError> {
    options.check()?;
    let table = frame::load(path, options)?;
    let rows = Rows::extract(&table, options)?;
    let (pairs, audit) = rows.into_pairs(&table)?;
    if pairs.is_empty() {
        let reason = format!("all {} rows were left out ({})", audit.read, audit.reasons());
        return Err(DataError::NoRows { what: format!("file {}", table.file), reason });
    }
    Ok((pairs, audit))
}

/// How prompts are found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Given,
    Implicit,
    Dialogue,
}

struct Rows {
    shape: Shape,
    prompts: Vec<Text>,
    chosen: Vec<Text>,
    rejected: Vec<Text>,
    numbers: Vec<(String, Vec<f64>)>,
    ignored_prompt: bool,
}

impl Rows {
    fn extract(table: &Table, options: &ReadOptions) -> Result<Self, DataError> {
        let chosen = cells::texts(table, &table.names.chosen)?;
        let rejected = cells::texts(table, &table.names.rejected)?;
        let mut prompts = match &table.names.prompt {
            Some(name) => cells::texts(table, name)?,
            None => Vec::new(),
        };
        let kinds_differ = match (prompts.first(), chosen.first()) {
            (Some(prompt), Some(side)) => !prompt.is_chat() && side.is_chat(),
            _ => false,
        };
        let ignored_prompt = kinds_differ && options.columns.prompt.is_none();
        if ignored_prompt {
            prompts.clear();
        }
        let shape = match options.format {
            Format::Hh => Shape::Dialogue,
            _ if !prompts.is_empty() => Shape::Given,
            Format::Auto if chosen.first().is_some_and(is_dialogue) => Shape::Dialogue,
            _ => Shape::Implicit,
        };
        let number = |name: &String| Ok((name.clone(), cells::numbers(table, name)?));
        let numbers = table.names.numbers.iter().map(number).collect::<Result<_, DataError>>()?;
        Ok(Self { shape, prompts, chosen, rejected, numbers, ignored_prompt })
    }

    fn into_pairs(self, table: &Table) -> Result<(Vec<Pair>, Audit), DataError> {
        let (mut pairs, mut audit) = (Vec::with_capacity(self.chosen.len()), Audit::default());
        let mut prompts = self.prompts.into_iter();
        for (index, (chosen, rejected)) in self.chosen.into_iter().zip(self.rejected).enumerate() {
            let source = table.source(index);
            let row = source.row;
            let pair = match prompts.next() {
                Some(prompt) => given(source, prompt, chosen, rejected),
                None => without_prompt(self.shape, source, chosen, rejected),
            };
            match pair {
                Ok(mut pair) => {
                    audit.keep();
                    pair.numbers = self.numbers.iter().map(|(name, values)| (name.clone(), values[index])).collect();
                    if pair.prompt.is_empty() {
                        audit.note("no prompt", row);
                    }
                    if self.ignored_prompt {
                        audit.note("prompt column of text not used beside messages", row);
                    }
                    pairs.push(pair);
                }
                Err(reason) => audit.drop_row(reason, row),
            }
        }
        Ok((pairs, audit))
    }
}

fn is_dialogue(text: &Text) -> bool {
    matches!(text, Text::Plain(text) if hh::is_dialogue(text))
}

fn given(source: Source, prompt: Text, chosen: Text, rejected: Text) -> Result<Pair, &'static str> {
    let pair = Pair { source, prompt, chosen, rejected, numbers: Numbers::new() };
    pair.problem().map_or(Ok(pair), Err)
}

fn without_prompt(shape: Shape, source: Source, chosen: Text, rejected: Text) -> Result<Pair, &'static str> {
    match (chosen, rejected) {
        (Text::Plain(chosen), Text::Plain(rejected)) if shape == Shape::Dialogue => hh::pair(source, &chosen, &rejected),
        (Text::Chat(chosen), Text::Chat(rejected)) if shape != Shape::Dialogue => {
            let parts = divide(chosen, rejected)?;
            given(source, Text::Chat(parts.prompt), Text::Chat(parts.chosen), Text::Chat(parts.rejected))
        }
        (Text::Chat(_), _) | (_, Text::Chat(_)) if shape == Shape::Dialogue => {
            Err("messages where a Human/Assistant dialogue was expected")
        }
        (chosen, rejected) => given(source, Text::empty(), chosen, rejected),
    }
}
