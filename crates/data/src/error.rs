//! Everything that can go wrong between a file and a packed batch.

use std::path::PathBuf;

use crate::record::Source;

/// Error of data preparation. Messages name the file, line or row, and say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read or written.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// A line of a JSONL file is not valid JSON or not an object.
    #[error("file {file}, line {line}: not valid JSON: {reason}; fix or remove the line")]
    Json {
        /// The file.
        file: String,
        /// Line number, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// A column that the options name or the format needs is not in the file.
    #[error(
        "file {file} has no column `{column}`; its columns are {present}; set `columns` to those to read, or another \
         `format` than `{format}`"
    )]
    MissingColumn {
        /// The file.
        file: String,
        /// The column that was asked for.
        column: String,
        /// The format that was asked for, or the one that comes nearest.
        format: String,
        /// The columns there, nearest name first.
        present: String,
    },
    /// No known format has anything in common with the file.
    #[error(
        "file {file}: no known format reads any of its columns {columns}; name the `format` and set `columns` to where its \
         columns stand in the file"
    )]
    UnknownFormat {
        /// The file.
        file: String,
        /// The columns there.
        columns: String,
    },
    /// More than one format fits the file.
    #[error("file {file} can be read in more than one way: {formats}; set `format` to the one that is meant")]
    AmbiguousFormat {
        /// The file.
        file: String,
        /// The formats that fit.
        formats: String,
    },
    /// A column whose type cannot be read as what it is to hold.
    #[error("file {file}, column `{column}`: {reason}")]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One row cannot be used.
    #[error("file {at}: {reason}")]
    Row {
        /// Where the row stands.
        at: Source,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing is left to work with.
    #[error("{what}: no usable rows: {reason}")]
    NoRows {
        /// The file or step.
        what: String,
        /// Why, and what to do.
        reason: String,
    },
    /// An option has a value that makes no sense.
    #[error("`{key}` is {value}: {reason}")]
    Config {
        /// Name of the option.
        key: String,
        /// Its value.
        value: String,
        /// What it should be.
        reason: String,
    },
    /// A tokenizer could not be loaded, trained or used.
    #[error("tokenizer {name}: {reason}")]
    Tokenizer {
        /// Folder or name of the tokenizer.
        name: String,
        /// What failed.
        reason: String,
    },
    /// The chat template could not be compiled or rendered.
    #[error("chat template: {reason}")]
    Template {
        /// What failed.
        reason: String,
    },
    /// The rendered prompt does not begin the rendered conversation.
    #[error(
        "file {at}: the rendered prompt is not a prefix of the rendered conversation: they differ from character \
         {position}, where the prompt has {prompt:?} and the conversation {conversation:?}; the chat template changes \
         earlier turns or the turn after the prompt is not the assistant's; use a template that only appends"
    )]
    NotPrefix {
        /// Where the row stands.
        at: Source,
        /// Position of the first difference, in characters from 0.
        position: usize,
        /// What the prompt has there.
        prompt: String,
        /// What the conversation has there.
        conversation: String,
    },
    /// The tokens of prompt and completion together do not begin with the prompt's.
    #[error(
        "file {at}: the tokens of the prompt are not those that prompt and completion together begin with: they differ from \
         token {position}, where the prompt has {prompt} and the whole {whole}; the tokenizer merges characters across the \
         boundary: move white space from the prompt's end to the completion's beginning, or choose to drop or to join such rows"
    )]
    Boundary {
        /// Where the row stands.
        at: Source,
        /// Position of the first token that differs, from 0.
        position: usize,
        /// The prompt's tokens around it, with their ids.
        prompt: String,
        /// The whole's tokens around it.
        whole: String,
    },
    /// A thread to work on could not be started.
    #[error("cannot start a thread: {reason}; allow the process more memory or threads")]
    Threads {
        /// What the system says.
        reason: String,
    },
    /// A token id that the model does not know.
    #[error("file {at}: token id {id} is not below the vocabulary size {vocab}; tokenizer and model do not belong together")]
    Vocabulary {
        /// Where the row stands.
        at: Source,
        /// The token id.
        id: u32,
        /// The vocabulary size.
        vocab: usize,
    },
}

impl DataError {
    /// An error about the option `key`.
    pub(crate) fn config(key: &str, value: impl ToString, reason: impl Into<String>) -> Self {
        Self::Config { key: key.to_owned(), value: value.to_string(), reason: reason.into() }
    }

    /// An error about one row.
    pub(crate) fn row(at: &Source, reason: impl Into<String>) -> Self {
        Self::Row { at: at.clone(), reason: reason.into() }
    }
}
