//! Replies on disk, by the content of their questions.
use crate::judge::error::JudgeError;
use crate::judge::template::Reply;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of replies: `KEY[..2]/KEY.json`, each written under a temporary name and renamed.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// tells apart the temporary files of threads
    count: AtomicU64,
}

impl Cache {
    pub(super) fn open(folder: &Path) -> Result<Self, JudgeError> {
        std::fs::create_dir_all(folder).map_err(JudgeError::io(folder))?;
        Ok(Cache { folder: folder.into(), count: AtomicU64::new(0) })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key.get(..2).unwrap_or("00")).join(format!("{key}.json"))
    }

    /// The reply, if one is kept. A file that is not a reply counts as none, and the next reply replaces it.
    pub(super) fn get(&self, key: &str) -> Option<Reply> {
        serde_json::from_slice(&std::fs::read(self.path(key)).ok()?).ok()
    }

    /// Keeps a reply.
    pub(super) fn put(&self, key: &str, reply: &Reply) -> Result<(), JudgeError> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(JudgeError::io(folder))?;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let part = folder.join(format!(".{key}.{}.{count}.part", std::process::id()));
        let text = serde_json::to_vec(reply).map_err(|e| JudgeError::io(&part)(e.into()))?;
        std::fs::write(&part, text).map_err(JudgeError::io(&part))?;
        std::fs::rename(&part, &path).map_err(JudgeError::io(&path))
    }
}
