//! Verdicts on disk: one JSON line each, appended whole, read again by the next run.
use super::error::JudgeError;
use super::verdict::{Choice, Failure, FailureKind, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a judge said to one question.
pub(super) type Said = Result<Verdict, Failure>;

/// Verdicts reach the disk at least this often; a crash of the program alone loses none.
const SYNC_EVERY: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// of judge and question
    key: String,
    /// of the pair, for people
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    choice: Option<Choice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<Failure>,
}

/// An open file of verdicts, locked against other processes.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    synced: Instant,
}

impl Journal {
    /// Opens or makes the file and returns what stands in it. A last line that was cut off is removed.
    pub(super) fn open(path: &Path) -> Result<(Self, BTreeMap<String, Said>), JudgeError> {
        let io = || JudgeError::io(path);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JudgeError::Busy { path: path.into() }),
            Err(TryLockError::Error(e)) => return Err(io()(e)),
        }
        let mut bytes = vec![];
        file.read_to_end(&mut bytes).map_err(io())?;
        let (said, whole) = parse(path, &bytes)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(io())?;
        }
        Ok((Journal { path: path.into(), file, synced: Instant::now() }, said))
    }

    /// Appends one answer of the judge.
    pub(super) fn append(&mut self, key: &str, id: &str, said: &Said) -> Result<(), JudgeError> {
        let verdict = said.as_ref().ok();
        let line = Line {
            key: key.into(),
            id: id.into(),
            choice: verdict.map(|v| v.choice),
            probability: verdict.and_then(|v| v.probability),
            failed: said.as_ref().err().cloned(),
        };
        let io = || JudgeError::io(&self.path);
        let mut text = serde_json::to_vec(&line).map_err(|e| io()(e.into()))?;
        text.push(b'\n');
        // one write: a line is there as a whole, or is the last one and cut off
        self.file.write_all(&text).map_err(io())?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes sure that everything is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), JudgeError> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(JudgeError::io(&self.path))
    }
}

/// The verdicts, and how many bytes are whole lines. A later line on the same question replaces an earlier one.
fn parse(path: &Path, bytes: &[u8]) -> Result<(BTreeMap<String, Said>, usize), JudgeError> {
    let (mut said, mut whole) = (BTreeMap::new(), 0);
    for (i, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let last = whole + line.len() == bytes.len();
        match read_line(line) {
            Ok((key, answer)) => {
                said.insert(key, answer);
                whole += line.len();
            }
            Err(_) if last => break,
            Err(reason) => return Err(JudgeError::Journal { path: path.into(), line: i + 1, reason }),
        }
    }
    Ok((said, whole))
}

fn read_line(line: &[u8]) -> Result<(String, Said), String> {
    let line = line.strip_suffix(b"\n").ok_or("the line does not end")?;
    let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    match (line.choice, line.failed) {
        (Some(choice), None) => Ok((line.key, Ok(Verdict { choice, probability: line.probability }))),
        (None, Some(failure)) => Ok((line.key, Err(failure))),
        _ => Err("it needs either `choice` or `failed`".into()),
    }
}

/// Whether the question need not be asked again.
pub(super) fn settled(said: &Said) -> bool {
    !matches!(said, Err(Failure { kind: FailureKind::NotAnswered | FailureKind::Setup, .. }))
}
