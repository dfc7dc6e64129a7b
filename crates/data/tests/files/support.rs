//! Files to read and shorthands, for the tests of the readers.
use std::io::Write;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use tropism_data::DataError;
use tropism_data::audit::Audit;
use tropism_data::formats::Format;
use tropism_data::read::{ReadOptions, RecordReader, read_pairs, read_records};
use tropism_data::record::{Message, Pair, Record, Text};

pub const PLAIN: &str = "{\"prompt\": \"p1\", \"chosen\": \"a\", \"rejected\": \"b\"}\n\n \
                     {\"rejected\": \"é\\n\", \"other\": [1, {\"x\": null}], \"prompt\": \"p2\", \"chosen\": \"c\"}\r\n";

pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

pub fn read(path: &Path) -> Result<(Vec<Pair>, Audit), DataError> {
    read_pairs(path, &ReadOptions::default())
}

pub fn read_text(text: &str) -> Result<(Vec<Pair>, Audit), DataError> {
    let folder = Folder::new();
    read(&folder.write("x.jsonl", text))
}

pub fn error_of(text: &str) -> String {
    read_text(text).unwrap_err().to_string()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn texts(pairs: &[Pair]) -> Vec<[Text; 3]> {
    pairs.iter().map(|pair| [pair.prompt.clone(), pair.chosen.clone(), pair.rejected.clone()]).collect()
}

pub fn chat(turns: &[(&str, &str)]) -> Text {
    Text::Chat(turns.iter().map(|(role, content)| Message::new(*role, *content)).collect())
}

pub fn options(json: &str) -> ReadOptions {
    serde_json::from_str(json).unwrap()
}

/// Records of a JSONL text, with the format that was recognised.
pub fn records(text: &str) -> (Format, Vec<Record>, Audit) {
    let folder = Folder::new();
    let path = folder.write("x.jsonl", text);
    let format = RecordReader::open(&path, &ReadOptions::default()).unwrap().format();
    let (records, audit) = read_records(&path, &ReadOptions::default()).unwrap();
    (format, records, audit)
}

/// The error of reading a JSONL text as records.
pub fn record_error(text: &str, options: &ReadOptions) -> String {
    let folder = Folder::new();
    read_records(&folder.write("x.jsonl", text), options).unwrap_err().to_string()
}

/// The contents of the messages, with roles, for short comparisons: `user: q | assistant: a`.
pub fn said(text: &Text) -> String {
    match text {
        Text::Plain(text) => text.clone(),
        Text::Chat(messages) => {
            let turns: Vec<String> = messages.iter().map(|m| format!("{}: {}", m.role, m.content)).collect();
            turns.join(" | ")
        }
    }
}

pub fn parquet(mut frame: DataFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    bytes
}

pub fn arrow_file(mut frame: DataFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    IpcWriter::new(&mut bytes).finish(&mut frame).unwrap();
    bytes
}

pub fn arrow_stream(mut frame: DataFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    IpcStreamWriter::new(&mut bytes).finish(&mut frame).unwrap();
    bytes
}

/// Role, content and name of a message.
pub type Turn = (&'static str, Option<&'static str>, Option<&'static str>);

/// A column of lists of messages.
pub fn chats(name: &str, turns: &[&[Turn]]) -> Column {
    let lists: Vec<Series> = turns
        .iter()
        .map(|turns| {
            let column = |name: &str, get: &dyn Fn(&Turn) -> Option<String>| {
                Series::new(name.into(), turns.iter().map(get).collect::<Vec<Option<String>>>())
            };
            let fields = [
                column("role", &|turn| Some(turn.0.to_owned())),
                column("content", &|turn| turn.1.map(str::to_owned)),
                column("name", &|turn| turn.2.map(str::to_owned)),
            ];
            StructChunked::from_series("".into(), turns.len(), fields.iter()).unwrap().into_series()
        })
        .collect();
    Series::new(name.into(), lists).into()
}
