//! Files to read and shorthands, for the tests of the readers.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

use std::io::Write;
use std::path::{Path, PathBuf};

use tropism_data::DataError;
use tropism_data::audit::Audit;
use tropism_data::read::{ReadOptions, read_pairs};
use tropism_data::record::{Message, Pair, Text};

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
