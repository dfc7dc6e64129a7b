//! A key that cannot be printed.
use crate::judge::error::JudgeError;
use std::fmt;

/// What stands where a key was.
const HIDDEN: &str = "[key]";

/// A key read from the environment. It is shown nowhere, and cut out of every text that came from elsewhere.
#[derive(Clone)]
pub(super) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Secret {
    /// Reads the variable.
    pub(super) fn from_env(variable: &str) -> Result<Self, JudgeError> {
        let refuse = |problem: String| Err(JudgeError::config("key_env", problem));
        let Ok(key) = std::env::var(variable) else {
            return refuse(format!("the environment has no variable {variable}; set it to the endpoint's key"));
        };
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return refuse(format!("the key in {variable} is empty or has characters that no key has"));
        }
        Ok(Secret(key.to_owned()))
    }

    /// For the header of a request.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The text without the key.
    pub(super) fn redact(&self, text: &str) -> String {
        text.replace(&self.0, HIDDEN)
    }
}
