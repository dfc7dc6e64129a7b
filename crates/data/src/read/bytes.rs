//! Bytes of a file, decompressed as they are read, and the kind of data in them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::DataError;
use crate::digest::hex;

/// Kind of data after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jsonl,
    Csv {
        delimiter: u8,
    },
    Parquet,
    /// Arrow IPC with a footer (also Feather version 2).
    ArrowFile,
    /// Arrow IPC as a stream, as `datasets` keeps it.
    ArrowStream,
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const PARQUET: &[u8] = b"PAR1";
const ARROW: &[u8] = b"ARROW1";
const ARROW_STREAM: &[u8] = &[0xff, 0xff, 0xff, 0xff];
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF16: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];
/// Bytes read at a time.
const BUFFER: usize = 1 << 18;

/// SHA-256 of a file's bytes as they lie on disk, in lower-case hexadecimal.
///
/// # Errors
/// Where the file cannot be read.
pub fn file_hash(path: &Path) -> Result<String, DataError> {
    use sha2::{Digest, Sha256};
    let mut file = File::open(path).map_err(|error| failed(path, &error))?;
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

/// Extension in lower case, without `.gz` or `.zst` after it.
pub(super) fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    name.rsplit_once('.').map(|(_, extension)| extension.to_owned())
}

/// A file's bytes, decompressed while they are read.
pub(super) struct Bytes {
    reader: Box<dyn BufRead + Send>,
    codec: Option<&'static str>,
}

impl Bytes {
    /// Opens a file and finds the kind of its data, by the extension (before `.gz`, `.zst`), else by the first bytes.
    pub(super) fn open(path: &Path) -> Result<(Self, Kind), DataError> {
        let file = File::open(path).map_err(|error| failed(path, &error))?;
        let mut raw = BufReader::with_capacity(BUFFER, file);
        let head = raw.fill_buf().map_err(|error| failed(path, &error))?;
        let (codec, reader): (_, Box<dyn BufRead + Send>) = if head.starts_with(GZIP) {
            let decoder = flate2::bufread::MultiGzDecoder::new(raw);
            (Some("gzip"), Box::new(BufReader::with_capacity(BUFFER, decoder)))
        } else if head.starts_with(ZSTD) {
            let decoder = zstd::stream::read::Decoder::with_buffer(raw).map_err(|error| broken(path, "zstd", &error))?;
            (Some("zstd"), Box::new(BufReader::with_capacity(BUFFER, decoder)))
        } else {
            (None, Box::new(raw))
        };
        let mut bytes = Self { reader, codec };
        let kind = bytes.kind(path)?;
        Ok((bytes, kind))
    }

    /// How the file is compressed as a whole, if it is.
    pub(super) fn codec(&self) -> Option<&'static str> {
        self.codec
    }

    /// The reader.
    pub(super) fn reader(&mut self) -> &mut (dyn BufRead + Send) {
        &mut *self.reader
    }

    /// The reader for good.
    pub(super) fn into_reader(self) -> Box<dyn BufRead + Send> {
        self.reader
    }

    /// An error of reading, which in a compressed file is mostly damage.
    pub(super) fn error(&self, path: &Path, error: &std::io::Error) -> DataError {
        match self.codec {
            Some(codec) => broken(path, codec, error),
            None => failed(path, error),
        }
    }

    /// Passes over a byte order mark and tells the kind of data by name and first bytes.
    fn kind(&mut self, path: &Path) -> Result<Kind, DataError> {
        let head = match self.reader.fill_buf() {
            Ok(head) => head,
            Err(error) => return Err(self.error(path, &error)),
        };
        let mark = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let kind = kind(path, &head[mark..], head.is_empty())?;
        self.reader.consume(mark);
        Ok(kind)
    }
}

fn kind(path: &Path, head: &[u8], empty: bool) -> Result<Kind, DataError> {
    if empty {
        return Err(no_rows(path, "the file is empty"));
    }
    let refuse = |reason: &str| Err(DataError::File { path: path.to_owned(), reason: reason.to_owned() });
    if head.starts_with(PARQUET) {
        return Ok(Kind::Parquet);
    }
    if head.starts_with(ARROW) {
        return Ok(Kind::ArrowFile);
    }
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    match extension(path).as_deref() {
        Some("parquet" | "pq") => refuse("is named as Parquet but does not begin as Parquet does; fetch the file again"),
        Some("arrow" | "arrows" | "ipc" | "feather") if head.starts_with(ARROW_STREAM) => Ok(Kind::ArrowStream),
        Some("arrow" | "arrows" | "ipc" | "feather") => {
            refuse("is named as Arrow IPC but does not begin as Arrow IPC does; fetch the file again")
        }
        _ if UTF16.iter().any(|mark| head.starts_with(mark)) && !head.starts_with(ARROW_STREAM) => {
            refuse("is UTF-16 text; save it as UTF-8")
        }
        Some("csv") => Ok(Kind::Csv { delimiter: b',' }),
        Some("tsv") => Ok(Kind::Csv { delimiter: b'\t' }),
        Some("jsonl" | "ndjson" | "json") if first == Some(&b'[') => {
            refuse("a JSON list; write one JSON object per line (JSONL) instead")
        }
        Some("jsonl" | "ndjson" | "json") => Ok(Kind::Jsonl),
        _ if head.starts_with(ARROW_STREAM) => Ok(Kind::ArrowStream),
        _ if first == Some(&b'{') => Ok(Kind::Jsonl),
        _ => refuse(
            "neither JSONL, CSV, Parquet nor Arrow IPC; name it .jsonl, .csv, .tsv, .parquet or .arrow (text also with .gz \
             or .zst)",
        ),
    }
}

/// The error for a file without rows.
pub(super) fn no_rows(path: &Path, reason: &str) -> DataError {
    DataError::NoRows { what: format!("file {}", path.display()), reason: reason.to_owned() }
}

pub(super) fn failed(path: &Path, error: &std::io::Error) -> DataError {
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
