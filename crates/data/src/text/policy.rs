//! Which tokens begin and end a sequence: decided once, saved with the tokenizer.

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::record::Source;

/// Name of the policy's file in a tokenizer's folder.
pub(super) const FILE: &str = "token_policy.json";

/// The BOS token at the beginning of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bos {
    /// In chats as the template writes it, before plain text where the tokenizer's own settings put one.
    #[default]
    Tokenizer,
    /// One, whoever writes it.
    Always,
    /// None; one that the template writes is taken away.
    Never,
}

/// The EOS token at the end of a completion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eos {
    /// In chats as the template ends the turn, after plain text one.
    #[default]
    Template,
    /// One, as the very last token: what a template writes after it, such as a line break, is left out.
    Always,
    /// None: an EOS at the end is left out with what follows it.
    Never,
}

/// How many BOS and EOS tokens a sequence has, for training, scoring and sampling alike.
///
/// | | BOS by `tokenizer` | `always` | `never` | EOS by `template` | `always` | `never` |
/// |---|---|---|---|---|---|---|
/// | chat whose template writes it | 1 | 1 | 0 | as written | 1, last | 0 |
/// | chat whose template does not | 0 | 1 | 0 | 0 | 1, last | 0 |
/// | plain text, tokenizer adds it | 1 | 1 | 0 | 1 | 1 | 0 |
/// | plain text, tokenizer does not | 0 | 1 | 0 | 1 | 1 | 0 |
///
/// A text that already begins with BOS or ends in EOS gets no second one. Two in a row are an error.
///
/// A policy other than the default is saved as `token_policy.json` in the tokenizer's folder, is part of its hash, and is
/// read back by [`crate::text::Tokenizer::load`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenPolicy {
    /// At the beginning of a prompt.
    pub bos: Bos,
    /// At the end of a completion.
    pub eos: Eos,
}

/// The policy with the ids that it speaks of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) policy: TokenPolicy,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    /// Whether the tokenizer by itself puts BOS before a text.
    pub(super) adds_bos: bool,
}

impl Ends {
    /// Whether the policy can be kept by a tokenizer with these tokens.
    pub(super) fn check(&self) -> Result<(), String> {
        let missing = |token: &str| Err(format!("the token policy wants {token} always, and the tokenizer names none"));
        match (self.policy.bos, self.policy.eos) {
            (Bos::Always, _) if self.bos.is_none() => missing("bos_token"),
            (_, Eos::Always) if self.eos.is_none() => missing("eos_token"),
            _ => Ok(()),
        }
    }

    /// Whether plain text cannot be ended as the policy wants.
    pub(super) fn needs_eos(&self) -> bool {
        self.eos.is_none() && self.policy.eos != Eos::Never
    }

    /// Brings the beginning of a prompt into order. `follows` is what all completions begin with, where they
    /// do: a BOS there counts where the prompt is empty.
    pub(super) fn begin(&self, prompt: &mut Vec<u32>, follows: Option<u32>, chat: bool) {
        let Some(bos) = self.bos else {
            return;
        };
        let there = prompt.first().copied().or(follows) == Some(bos);
        let wanted = match self.policy.bos {
            Bos::Always => true,
            Bos::Never => false,
            Bos::Tokenizer if chat => there,
            Bos::Tokenizer => there || self.adds_bos,
        };
        if wanted && !there {
            prompt.insert(0, bos);
        } else if !wanted && prompt.first() == Some(&bos) {
            prompt.remove(0);
        }
    }

    /// Brings the end of a completion into order.
    pub(super) fn end(&self, completion: &mut Vec<u32>, chat: bool) {
        let Some(eos) = self.eos else {
            return;
        };
        // in a chat, what the template writes after the last EOS is its own; in plain text an EOS ends the text
        let last = match chat {
            true => completion.iter().rposition(|&id| id == eos),
            false => completion.len().checked_sub(1).filter(|&last| completion[last] == eos),
        };
        match (self.policy.eos, last) {
            (Eos::Template, _) if chat => {}
            (Eos::Template | Eos::Always, None) => completion.push(eos),
            (Eos::Template | Eos::Always, Some(last)) => completion.truncate(last + 1),
            (Eos::Never, Some(last)) => completion.truncate(last),
            (Eos::Never, None) => {}
        }
    }

    /// Two BOS tokens at the beginning, or two EOS tokens in a row within a completion.
    pub(super) fn check_twice(&self, at: &Source, prompt: &[u32], completion: &[u32]) -> Result<(), DataError> {
        let mut first = prompt.iter().chain(completion).take(2);
        if let Some(bos) = self.bos
            && (first.next(), first.next()) == (Some(&bos), Some(&bos))
        {
            let reason = "begins with two BOS tokens; take the one out of the text that the chat template adds";
            return Err(DataError::row(at, reason));
        }
        if let Some(eos) = self.eos
            && completion.windows(2).any(|pair| pair == [eos, eos])
        {
            let reason = "has two EOS tokens in a row; take the one out of the text that the chat template adds";
            return Err(DataError::row(at, reason));
        }
        Ok(())
    }
}
