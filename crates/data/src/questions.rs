//! Questions with known answers: JSONL files of two text columns, such as GSM8K's.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::DataError;
use crate::audit::Audit;
use crate::record::{Message, Sample, Source, Text};

/// Names of the columns of a file of questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Questions {
    /// The column of the questions. Default: `question`.
    pub question: String,
    /// The column of the known answers, whole solutions or results. Default: `answer`.
    pub answer: String,
}

impl Default for Questions {
    fn default() -> Self {
        Self { question: "question".to_owned(), answer: "answer".to_owned() }
    }
}

/// Reads questions with their answers, at most `limit` of them: each the prompt of a sample, its answer the completion, as
/// messages. For a tokenizer without a chat template see [`plain`].
///
/// Rows whose question or answer is blank are left out and counted.
///
/// ```
/// use std::io::Write;
/// use tropism_data::questions::{Questions, read_questions};
/// let mut file = tempfile::NamedTempFile::with_suffix(".jsonl")?;
/// writeln!(file, r#"{{"question": "What is 2 + 2?", "answer": "2 + 2 = 4\n#### 4"}}"#)?;
/// let (samples, audit) = read_questions(file.path(), &Questions::default(), None)?;
/// assert_eq!((samples.len(), audit.kept), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A file that cannot be read, a line that is no JSON object, a missing column, a cell that is no text, no question left;
/// with file, line and column.
pub fn read_questions(path: &Path, options: &Questions, limit: Option<usize>) -> Result<(Vec<Sample>, Audit), DataError> {
    let file: Arc<str> = Arc::from(path.display().to_string());
    let (mut samples, mut audit, mut row) = (Vec::new(), Audit::default(), 0);
    for (index, line) in BufReader::new(open(path)?).lines().enumerate() {
        let line = line.map_err(|error| failed(path, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        if limit.is_some_and(|limit| row >= limit) {
            break;
        }
        row += 1;
        let source = Source { file: Arc::clone(&file), row, line: Some(index + 1) };
        let cells: Map<String, Value> = serde_json::from_str(line.trim_start_matches('\u{feff}'))
            .map_err(|error| DataError::row(&source, format!("is no JSON object: {error}")))?;
        let (question, answer) = (cell(&cells, &options.question, &source)?, cell(&cells, &options.answer, &source)?);
        if question.trim().is_empty() || answer.trim().is_empty() {
            audit.drop_row("empty question or answer", row);
            continue;
        }
        audit.keep();
        let message = |role: &str, text: &str| Text::Chat(vec![Message::new(role, text)]);
        let (prompt, completion) = (message("user", question), message("assistant", answer));
        samples.push(Sample { source, prompt, tools: vec![], completion });
    }
    if samples.is_empty() {
        let reason = format!("it holds no question with an answer among {} rows", audit.read);
        return Err(DataError::NoRows { what: format!("file {file}"), reason });
    }
    Ok((samples, audit))
}

/// The text of a question or an answer without the conversation around it; a question ends with a line of its own.
///
/// ```
/// use tropism_data::{questions::plain, record::{Message, Text}};
/// let question = Text::Chat(vec![Message::new("user", "What is 2 + 2?")]);
/// assert_eq!(plain(&question), Text::Plain("What is 2 + 2?\n".into()));
/// ```
pub fn plain(text: &Text) -> Text {
    let Text::Chat(messages) = text else { return text.clone() };
    let end = |role: &str| if role == "user" { "\n" } else { "" };
    Text::Plain(messages.iter().map(|m| format!("{}{}", m.content, end(&m.role))).collect())
}

/// A text cell.
fn cell<'c>(cells: &'c Map<String, Value>, column: &str, source: &Source) -> Result<&'c str, DataError> {
    match cells.get(column) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(DataError::row(source, format!("column `{column}` is no text"))),
        None => {
            let names: Vec<&str> = cells.keys().map(String::as_str).collect();
            Err(DataError::row(source, format!("has no column `{column}`; it has: {}", names.join(", "))))
        }
    }
}

/// The file's text, unpacked where it is packed.
fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let mut file = BufReader::new(File::open(path).map_err(|error| failed(path, &error))?);
    let head = file.fill_buf().map_err(|error| failed(path, &error))?;
    let (gzip, zstd) = (head.starts_with(&[0x1f, 0x8b]), head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    if gzip {
        return Ok(Box::new(flate2::read::MultiGzDecoder::new(file)));
    }
    if zstd {
        let decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(|error| failed(path, &error))?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(file))
}

fn failed(path: &Path, error: &std::io::Error) -> DataError {
    DataError::File { path: path.to_owned(), reason: format!("cannot be read: {error}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    fn read(text: &str, limit: Option<usize>) -> Result<(Vec<Sample>, Audit), DataError> {
        let mut file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_questions(file.path(), &Questions::default(), limit)
    }

    #[test]
    fn rows_become_samples_and_blank_ones_are_counted() {
        let text = "{\"question\":\"a\",\"answer\":\"1\"}\n\n{\"question\":\" \",\"answer\":\"2\"}\n{\"question\":\"c\",\"answer\":\"3\"}";
        let (samples, audit) = read(text, None).unwrap();
        assert_eq!((samples.len(), audit.read, audit.kept), (2, 3, 2));
        assert_eq!((samples[1].source.row, samples[1].source.line), (3, Some(4)));
        assert_eq!(samples[0].prompt, Text::Chat(vec![Message::new("user", "a")]));
        assert_eq!(read(text, Some(1)).unwrap().0.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let said = |text: &str| read(text, None).unwrap_err().to_string();
        assert!(said("{\"question\":\"a\",\"answer\":\"1\"}\n{\"q").contains("line 2"));
        assert!(said("{\"question\":\"a\"}").contains("no column `answer`; it has: question"));
        assert!(said("{\"question\":3,\"answer\":\"1\"}").contains("`question` is no text"));
        assert!(said("").contains("no question"));
        let missing = read_questions(Path::new("/no/such.jsonl"), &Questions::default(), None);
        assert!(missing.unwrap_err().to_string().contains("/no/such.jsonl"));
    }
}
