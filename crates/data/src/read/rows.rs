//! Rows of any JSONL file, for whoever knows their type.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::bytes::{Bytes, Kind};
use crate::DataError;
use crate::record::Source;

/// Reads a JSONL file (plain, gzip, zstd) into one value per line; empty lines are passed over.
///
/// ```
/// use std::io::Write;
/// use tropism_data::read::read_rows;
/// #[derive(serde::Deserialize)]
/// struct Row { model: String }
/// let mut file = tempfile::NamedTempFile::with_suffix(".jsonl")?;
/// writeln!(file, r#"{{"model": "a"}}"#)?;
/// let rows: Vec<Row> = read_rows(file.path())?;
/// assert_eq!(rows[0].model, "a");
/// writeln!(file, r#"{{"modle": "b"}}"#)?;
/// let said = read_rows::<Row>(file.path()).err().map(|e| e.to_string()).unwrap_or_default();
/// assert!(said.contains("line 2") && said.contains("model"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A file that is missing, empty or no JSONL; a line that is not JSON, or not of this type.
pub fn read_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, DataError> {
    let (mut bytes, kind) = Bytes::open(path)?;
    if kind != Kind::Jsonl {
        let reason = "not JSONL; write one JSON object per line".to_owned();
        return Err(DataError::File { path: path.to_owned(), reason });
    }
    let (mut rows, mut line, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        let read = bytes.reader().read_until(b'\n', &mut line);
        if read.map_err(|error| bytes.error(path, &error))? == 0 {
            break;
        }
        number += 1;
        if !line.iter().all(u8::is_ascii_whitespace) {
            rows.push(serde_json::from_slice(&line).map_err(|error| refuse(path, number, &error))?);
        }
    }
    Ok(rows)
}

/// A line that is no JSON, or JSON of another type.
fn refuse(path: &Path, line: usize, error: &serde_json::Error) -> DataError {
    let (file, reason) = (path.display().to_string(), error.to_string());
    if error.is_data() {
        // the parser counts within the line, which would be mistaken for the file's own lines
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        return DataError::Row { at: Source { file: file.into(), row: line, line: Some(line) }, reason };
    }
    DataError::Json { file, line, reason }
}
