//! Folders that appear whole or not at all.
use crate::error::LmError;
use std::fs;
use std::path::{Path, PathBuf};

/// Files beside the weights that belong to a tokenizer or to generation, and are kept as they are.
const COMPANIONS: [&str; 11] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "LICENSE",
];

/// Copies the tokenizer, its chat template and the generation settings of one folder to another, byte by byte.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_tokenizer_files(from: &Path, to: &Path) -> Result<(), LmError> {
    for name in COMPANIONS {
        let file = from.join(name);
        if file.is_file() {
            fs::copy(&file, to.join(name)).map_err(LmError::io(&file))?;
        }
    }
    Ok(())
}

/// Writes into a temporary folder beside its target; [`FolderWriter::finish`] puts it in place. Dropped before that, it
/// leaves nothing behind.
#[derive(Debug)]
pub struct FolderWriter {
    target: PathBuf,
    temporary: PathBuf,
}

impl FolderWriter {
    /// Makes the temporary folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(target: &Path) -> Result<Self, LmError> {
        let name = target.file_name().ok_or_else(|| LmError::file(target, "is no name for a folder"))?;
        let temporary = target.with_file_name(format!(".{}.part", name.to_string_lossy()));
        // what an interrupted writer may have left
        for left in [temporary.clone(), temporary.with_extension("old")] {
            if left.exists() {
                fs::remove_dir_all(&left).map_err(LmError::io(&left))?;
            }
        }
        fs::create_dir_all(&temporary).map_err(LmError::io(&temporary))?;
        Ok(FolderWriter { target: target.into(), temporary })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Puts the folder in place; one that stood there is replaced.
    ///
    /// # Errors
    /// When the system refuses to rename.
    pub fn finish(self) -> Result<(), LmError> {
        let old = self.temporary.with_extension("old");
        if self.target.exists() {
            fs::rename(&self.target, &old).map_err(LmError::io(&self.target))?;
        }
        fs::rename(&self.temporary, &self.target).map_err(LmError::io(&self.target))?;
        if old.exists() {
            fs::remove_dir_all(&old).map_err(LmError::io(&old))?;
        }
        Ok(())
    }
}

impl Drop for FolderWriter {
    fn drop(&mut self) {
        // after `finish` there is nothing to remove; otherwise a failure to clean up must not hide the first error
        let _ = fs::remove_dir_all(&self.temporary);
    }
}
