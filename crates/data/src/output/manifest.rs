//! What a prepared folder says about itself.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::construct::dataset::Kind;

/// Name of the manifest's file.
pub const MANIFEST: &str = "manifest.json";
/// What the manifest says it is.
pub const FORMAT: &str = "tropism-prepared";
/// Version of the layout.
pub const VERSION: u32 = 1;

/// The manifest of a prepared folder. It holds no time and no name of a machine, so equal runs give equal manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Versions of the crates that made it, by name.
    pub versions: BTreeMap<String, String>,
    /// Seed of every random choice.
    pub seed: u64,
    /// The files that were read.
    pub sources: Vec<SourceFile>,
    /// The files that were written.
    pub files: Vec<PreparedFile>,
    /// The configuration, with defaults filled in.
    pub config: serde_json::Value,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its path, as given.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedFile {
    /// Its name in the folder.
    pub name: String,
    /// The part that it holds: `train`, `test` or `positives`.
    pub part: String,
    /// What its rows are.
    pub kind: Kind,
    /// Rows.
    pub rows: usize,
    /// Different prompts.
    pub prompts: usize,
    /// Rows of each stage of the curriculum; empty for a single one.
    pub stages: Vec<usize>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Size.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

impl Manifest {
    /// Reads the manifest of a folder, without checking the files.
    ///
    /// # Errors
    /// A folder without manifest, a manifest that cannot be parsed or is of another version.
    pub fn read(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(MANIFEST);
        let fail = |reason: String| DataError::File { path: path.clone(), reason };
        let bytes = std::fs::read(&path).map_err(|error| {
            fail(format!("cannot be read: {error}; a prepared folder holds it: make one by `xtask data build`"))
        })?;
        let value: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| fail(format!("not valid JSON: {error}; prepare the data again")))?;
        if value["format"] != FORMAT || value["version"] != VERSION {
            let reason = format!(
                "is `{}` of version {}; version {VERSION} of `{FORMAT}` was expected; prepare the data again",
                value["format"].as_str().unwrap_or("?"),
                value["version"]
            );
            return Err(fail(reason));
        }
        serde_json::from_value(value).map_err(|error| fail(format!("{error}; prepare the data again")))
    }

    /// The entry of a part.
    pub fn part(&self, part: &str) -> Option<&PreparedFile> {
        self.files.iter().find(|file| file.part == part)
    }
}
