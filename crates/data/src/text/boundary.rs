//! The boundary between a prompt and what follows it, token by token.

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use crate::DataError;
use crate::record::Source;

/// Tokens shown before and from the first one that differs.
const BEFORE: usize = 3;
const AFTER: usize = 4;

/// What to do where a tokenizer merges characters across the boundary, so that the ids of prompt and completion together
/// do not begin with the prompt's own.
///
/// A model that samples sees the prompt's own ids; training on others teaches it something else, and a cut by count (as other
/// trainers make with a warning) loses characters or puts some of the prompt's into the completion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// An error that names the row and shows the tokens on both sides.
    #[default]
    Error,
    /// The row is left out and counted.
    Drop,
    /// The completion is tokenised by itself and joined to the prompt, as a sampling model would write it; counted as a note.
    Join,
}

/// Ids of a whole that do not begin with those of its prompt.
#[derive(Debug)]
pub(super) struct Merged {
    position: usize,
    prompt: String,
    whole: String,
}

impl Merged {
    pub(super) fn into_error(self, at: &Source) -> DataError {
        DataError::Boundary { at: at.clone(), position: self.position, prompt: self.prompt, whole: self.whole }
    }
}

impl Tokenizer {
    /// Checks that the ids of the whole begin with those of the prompt. Both may lack the same first ids, `skipped` of them.
    pub(super) fn check_boundary(&self, skipped: usize, prompt: &[u32], whole: &[u32]) -> Result<(), Merged> {
        if whole.starts_with(prompt) {
            return Ok(());
        }
        let same = prompt.iter().zip(whole).take_while(|(a, b)| a == b).count();
        let window = |ids: &[u32]| {
            let shown = &ids[same.saturating_sub(BEFORE).min(ids.len())..(same + AFTER).min(ids.len())];
            let tokens: Vec<String> =
                shown.iter().map(|&id| format!("{id} {:?}", self.token(id).unwrap_or_default())).collect();
            format!("[{}]", tokens.join(", "))
        };
        Err(Merged { position: skipped + same, prompt: window(prompt), whole: window(whole) })
    }
}
