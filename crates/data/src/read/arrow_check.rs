//! A look at the messages of an Arrow file before polars reads it.
//!
//! Polars asks for as much memory as a message says, and where that is not to be had the process ends. So lengths are
//! held against the file here first, from the messages' headers alone.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use polars_arrow::io::ipc::read::FileMetadata;
use polars_arrow_format::ipc::planus::ReadAsRoot;
use polars_arrow_format::ipc::{MessageHeaderRef, MessageRef, RecordBatchRef};

use super::bytes::failed;
use crate::DataError;

/// The longest buffer after decompression; what is longer has to be written in smaller batches to be read in bounded
/// memory.
const LONGEST_BUFFER: i64 = 1 << 31;
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Why a message cannot be right.
enum Wrong {
    Io(std::io::Error),
    Content(&'static str),
}

impl From<std::io::Error> for Wrong {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<polars_arrow_format::ipc::planus::Error> for Wrong {
    fn from(_: polars_arrow_format::ipc::planus::Error) -> Self {
        Self::Content("a message is no valid FlatBuffers table")
    }
}

/// Checks the messages that the footer lists.
pub(super) fn file<R: Read + Seek>(
    path: &Path,
    reader: &mut BufReader<R>,
    metadata: &FileMetadata,
) -> Result<(), DataError> {
    for block in metadata.blocks.iter().chain(metadata.dictionaries.iter().flatten()) {
        let found = u64::try_from(block.offset).map_err(|_| Wrong::Content("its footer points outside the file"));
        let checked = found.and_then(|offset| {
            reader.seek(SeekFrom::Start(offset))?;
            let (start, length) = message(reader, metadata.size)?.ok_or(Wrong::Content("a message is empty"))?;
            // polars finds the body by the footer's lengths and not by the message's
            let header = u64::try_from(block.meta_data_length).ok().and_then(|header| offset.checked_add(header));
            let same = header == Some(start) && u64::try_from(block.body_length) == Ok(length);
            if same { Ok(()) } else { Err(Wrong::Content("its footer and its messages disagree")) }
        });
        checked.map_err(|wrong| error(path, wrong))?;
    }
    Ok(())
}

/// Checks the messages of a stream from where the reader stands, and leaves the reader there.
pub(super) fn stream<R: Read + Seek>(path: &Path, reader: &mut BufReader<R>, size: u64) -> Result<(), DataError> {
    let walk = |reader: &mut BufReader<R>| -> Result<(), Wrong> {
        let start = reader.stream_position()?;
        while let Some((body, length)) = message(reader, size)? {
            reader.seek(SeekFrom::Start(body + length))?;
        }
        reader.seek(SeekFrom::Start(start))?;
        Ok(())
    };
    walk(reader).map_err(|wrong| error(path, wrong))
}

/// Reads a message's header; returns where its body begins and how long it is, `None` at the end of a stream.
fn message<R: Read + Seek>(reader: &mut BufReader<R>, size: u64) -> Result<Option<(u64, u64)>, Wrong> {
    let mut word = [0; 4];
    reader.read_exact(&mut word)?;
    if word == CONTINUATION {
        reader.read_exact(&mut word)?;
    }
    let length = u64::try_from(i32::from_le_bytes(word)).map_err(|_| Wrong::Content("a message has a negative length"))?;
    if length == 0 {
        return Ok(None);
    }
    let start = reader.stream_position()?;
    let body = start.saturating_add(length);
    if body > size {
        return Err(Wrong::Content("a message reaches beyond the file"));
    }
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header)?;
    let message = MessageRef::read_as_root(&header)?;
    let length = u64::try_from(message.body_length()?).map_err(|_| Wrong::Content("a body has a negative length"))?;
    if body.saturating_add(length) > size {
        return Err(Wrong::Content("a body reaches beyond the file"));
    }
    match message.header()? {
        Some(MessageHeaderRef::RecordBatch(batch)) => batch_is_inside(reader, batch, body, length)?,
        Some(MessageHeaderRef::DictionaryBatch(dictionary)) => match dictionary.data()? {
            Some(batch) => batch_is_inside(reader, batch, body, length)?,
            None => return Err(Wrong::Content("a dictionary has no values")),
        },
        _ => return Err(Wrong::Content("a message is neither a record batch nor a dictionary")),
    }
    Ok(Some((body, length)))
}

fn batch_is_inside<R: Read + Seek>(
    reader: &mut BufReader<R>,
    batch: RecordBatchRef<'_>,
    body: u64,
    length: u64,
) -> Result<(), Wrong> {
    let in_range = |rows: i64| (0..=LONGEST_BUFFER).contains(&rows);
    let mut nodes = batch.nodes()?.into_iter().flatten();
    if !in_range(batch.length()?) || nodes.any(|node| !in_range(node.length())) {
        return Err(Wrong::Content("a batch has an impossible number of rows"));
    }
    let compressed = batch.compression()?.is_some();
    for buffer in batch.buffers()?.into_iter().flatten() {
        let (Ok(offset), Ok(size)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
            return Err(Wrong::Content("a buffer has a negative length"));
        };
        if offset.saturating_add(size) > length {
            return Err(Wrong::Content("a buffer reaches beyond its body"));
        }
        if compressed && size >= 8 {
            reader.seek(SeekFrom::Start(body + offset))?;
            let mut plain = [0; 8];
            reader.read_exact(&mut plain)?;
            if !(-1..=LONGEST_BUFFER).contains(&i64::from_le_bytes(plain)) {
                return Err(Wrong::Content("a buffer has an impossible length; if it is right, write smaller batches"));
            }
        }
    }
    Ok(())
}

fn error(path: &Path, wrong: Wrong) -> DataError {
    let reason = match wrong {
        Wrong::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => "it ends within a message",
        Wrong::Io(error) => return failed(path, &error),
        Wrong::Content(reason) => reason,
    };
    let reason = format!("cannot be read, it is damaged or cut short: {reason}; fetch the file again");
    DataError::File { path: path.to_owned(), reason }
}
