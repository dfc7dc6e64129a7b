//! Bytes of a file, decompressed, and the kind of data in them.

use std::io::Read;
use std::path::Path;

use crate::DataError;
use crate::digest::hex;

/// Kind of data after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jsonl,
    Parquet,
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const PARQUET: &[u8] = b"PAR1";
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// SHA-256 of a file's bytes as they lie on disk, in lower-case hexadecimal.
///
/// # Errors
/// Where the file cannot be read.
pub fn file_hash(path: &Path) -> Result<String, DataError> {
    use sha2::{Digest, Sha256};
    let mut file = std::fs::File::open(path).map_err(|error| failed(path, &error))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(|error| failed(path, &error))?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Reads and decompresses a file. The kind comes from the extension (before `.gz`, `.zst`), else from the first bytes.
pub(super) fn load(path: &Path) -> Result<(Vec<u8>, Kind), DataError> {
    let mut bytes = std::fs::read(path).map_err(|error| failed(path, &error))?;
    if bytes.starts_with(GZIP) {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]);
        decoder.read_to_end(&mut plain).map_err(|error| broken(path, "gzip", &error))?;
        bytes = plain;
    } else if bytes.starts_with(ZSTD) {
        bytes = zstd::stream::decode_all(&bytes[..]).map_err(|error| broken(path, "zstd", &error))?;
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let what = format!("file {}", path.display());
        return Err(DataError::NoRows { what, reason: "the file is empty".to_owned() });
    }
    let kind = kind(path, &bytes)?;
    Ok((bytes, kind))
}

fn kind(path: &Path, bytes: &[u8]) -> Result<Kind, DataError> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    let by_name = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("jsonl" | "ndjson" | "json") => Some(Kind::Jsonl),
        Some("parquet" | "pq") => Some(Kind::Parquet),
        _ => None,
    };
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match (by_name, first) {
        (Some(Kind::Jsonl), Some(b'[')) => {
            let reason = "a JSON list; write one JSON object per line (JSONL) instead".to_owned();
            Err(DataError::File { path: path.to_owned(), reason })
        }
        (Some(kind), _) => Ok(kind),
        (None, _) if bytes.starts_with(PARQUET) => Ok(Kind::Parquet),
        (None, Some(b'{')) => Ok(Kind::Jsonl),
        _ => {
            let reason = "neither JSONL nor Parquet; name it .jsonl or .parquet (JSONL also with .gz or .zst)".to_owned();
            Err(DataError::File { path: path.to_owned(), reason })
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> DataError {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file; check the path".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    DataError::File { path: path.to_owned(), reason }
}

fn broken(path: &Path, codec: &str, error: &std::io::Error) -> DataError {
    let reason = format!("the {codec} data is damaged or cut short: {error}; fetch the file again");
    DataError::File { path: path.to_owned(), reason }
}
