//! From paths, patterns and folders to files in a fixed order.

use std::path::{Path, PathBuf};

use super::bytes::{extension, file_hash};
use crate::DataError;
use crate::digest::Content;

/// Extensions of the files that a folder is searched for.
const EXTENSIONS: [&str; 11] =
    ["jsonl", "ndjson", "json", "parquet", "pq", "csv", "tsv", "arrow", "ipc", "feather", "arrows"];

/// The files that a path stands for, sorted by name.
///
/// A file is itself. A folder stands for the data files directly in it (by extension; hidden files and those whose
/// name begins with `_` are passed over). A path with `*`, `?` or `[` that is no file stands for all files that match
/// the pattern. Names are ordered with numbers by value, so that `part-2` comes before `part-10`.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// for name in ["part-10.jsonl", "part-2.jsonl.gz", "notes.txt"] {
///     std::fs::write(folder.path().join(name), "")?;
/// }
/// let files = tropism_data::read::files_of(folder.path())?;
/// let names: Vec<_> = files.iter().filter_map(|path| path.file_name()).collect();
/// assert_eq!(names, ["part-2.jsonl.gz", "part-10.jsonl"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A path that is not there, a folder without data files, a pattern that is wrong or matches nothing.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    if path.is_dir() {
        return in_folder(path);
    }
    match path.to_str() {
        Some(pattern) if !path.exists() && pattern.contains(['*', '?', '[']) => matching(path, pattern),
        _ => Ok(vec![path.to_owned()]),
    }
}

/// SHA-256 over what a path stands for: of a file its bytes, of several files their names and hashes.
///
/// # Errors
/// As for [`files_of`], and where a file cannot be read.
pub fn content_hash(path: &Path) -> Result<String, DataError> {
    let files = files_of(path)?;
    if let [file] = &files[..] {
        return file_hash(file);
    }
    let mut content = Content::default();
    for file in &files {
        content.part(file.file_name().unwrap_or_default().as_encoded_bytes());
        content.part(file_hash(file)?.as_bytes());
    }
    Ok(content.hex())
}

fn in_folder(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |error: std::io::Error| file(path, format!("the folder cannot be read: {error}"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        let known = extension(&entry).is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()));
        if known && entry.is_file() && !is_hidden(&entry) {
            found.push(entry);
        }
    }
    if found.is_empty() {
        let list = EXTENSIONS.join(", ");
        return Err(file(path, format!("the folder has no data files; it is searched for {list} (also with .gz, .zst)")));
    }
    Ok(sorted(found))
}

fn matching(path: &Path, pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let paths = glob::glob(pattern).map_err(|error| file(path, format!("is no pattern for files: {error}")))?;
    let mut found = Vec::new();
    for entry in paths {
        let entry = entry.map_err(|error| file(path, format!("a folder of the pattern cannot be read: {error}")))?;
        if entry.is_file() {
            found.push(entry);
        }
    }
    if found.is_empty() {
        return Err(file(path, "no file matches the pattern; check the path".to_owned()));
    }
    Ok(sorted(found))
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    matches!(name.first(), Some(b'.' | b'_'))
}

fn sorted(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort_by_cached_key(|path| pieces(&path.to_string_lossy()));
    paths
}

/// A piece of a name; numbers come by value, and before text.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// Digits without leading zeros, by length first, then all digits as written.
    Number(usize, String, String),
    Text(String),
}

fn pieces(name: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        found.push(if digits {
            let value = piece.trim_start_matches('0').to_owned();
            Piece::Number(value.len(), value, piece.to_owned())
        } else {
            Piece::Text(piece.to_owned())
        });
        rest = after;
    }
    found
}

fn file(path: &Path, reason: String) -> DataError {
    DataError::File { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_are_ordered_by_value() {
        let names = ["b", "a10", "a9", "a09", "a010x", "a", "é2", "a99999999999999999999999"];
        let paths = sorted(names.iter().map(PathBuf::from).collect());
        let found: Vec<_> = paths.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(found, ["a", "a09", "a9", "a010x", "a10", "a99999999999999999999999", "b", "é2"]);
    }

    #[test]
    fn patterns_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("sub.jsonl")).unwrap();
        for name in ["x-1.jsonl", "x-0.parquet", ".hidden.jsonl", "_SUCCESS.csv", "readme.md"] {
            std::fs::write(root.join(name), "a").unwrap();
        }
        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(files_of(root).unwrap()), ["x-0.parquet", "x-1.jsonl"]);
        assert_eq!(names(files_of(&root.join("x-*")).unwrap()), ["x-0.parquet", "x-1.jsonl"]);
        assert_eq!(names(files_of(&root.join("readme.md")).unwrap()), ["readme.md"]);
        let error = files_of(&root.join("y-*")).unwrap_err().to_string();
        assert!(error.contains("no file matches"), "{error}");
        assert!(files_of(&root.join("[")).unwrap_err().to_string().contains("no pattern"));
        std::fs::create_dir(root.join("empty")).unwrap();
        assert!(files_of(&root.join("empty")).unwrap_err().to_string().contains("no data files"));
        assert_eq!(content_hash(&root.join("x-1.jsonl")).unwrap(), file_hash(&root.join("x-1.jsonl")).unwrap());
        assert_ne!(content_hash(root).unwrap(), content_hash(&root.join("x-1.jsonl")).unwrap());
    }
}
