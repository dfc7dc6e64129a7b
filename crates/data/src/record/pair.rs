//! A prompt with one or two completions.

use super::{Numbers, Source, Text, Tools};

/// A prompt with a preferred and a dispreferred completion.
///
/// ```
/// use tropism_data::record::{Pair, Source, Text};
/// let pair = Pair {
///     source: Source::row("made up", 1),
///     prompt: Text::Plain("2 + 2 =".into()),
///     tools: Default::default(),
///     chosen: Text::Plain(" 4".into()),
///     rejected: Text::Plain(" 5".into()),
///     numbers: Default::default(),
/// };
/// assert_eq!(pair.problem(), None);
/// assert_eq!(pair.chosen_sample().completion, Text::Plain(" 4".into()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Where the pair came from.
    pub source: Source,
    /// What both completions answer; may be the empty plain text.
    pub prompt: Text,
    /// Tools that the prompt offers.
    pub tools: Tools,
    /// The preferred completion.
    pub chosen: Text,
    /// The dispreferred completion.
    pub rejected: Text,
    /// Further columns that a loss reads.
    pub numbers: Numbers,
}

/// A prompt with one completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where the sample came from.
    pub source: Source,
    /// What the completion answers; may be the empty plain text.
    pub prompt: Text,
    /// Tools that the prompt offers.
    pub tools: Tools,
    /// The completion.
    pub completion: Text,
}

impl Pair {
    /// The chosen side alone.
    pub fn chosen_sample(&self) -> Sample {
        self.sample(&self.chosen)
    }

    /// The rejected side alone.
    pub fn rejected_sample(&self) -> Sample {
        self.sample(&self.rejected)
    }

    fn sample(&self, side: &Text) -> Sample {
        Sample {
            source: self.source.clone(),
            prompt: self.prompt.clone(),
            tools: self.tools.clone(),
            completion: side.clone(),
        }
    }

    /// What [`crate::split::split_by_prompt`] keeps together: the prompt, or where there is none the chosen side.
    pub fn prompt_key(&self) -> String {
        let key = if self.prompt.is_empty() { &self.chosen } else { &self.prompt };
        key.key()
    }

    /// Why the pair cannot teach anything, as the reason that the audit counts; `None` for a sound pair.
    ///
    /// Reasons: an empty completion, identical sides, a chat prompt without content, and sides that are
    /// partly plain text and partly messages.
    pub fn problem(&self) -> Option<&'static str> {
        let chat = self.chosen.is_chat();
        if self.rejected.is_chat() != chat || (self.prompt.is_chat() != chat && !self.prompt.is_empty()) {
            return Some("plain text and messages mixed");
        }
        if self.chosen.is_empty() {
            return Some("empty chosen completion");
        }
        if self.rejected.is_empty() {
            return Some("empty rejected completion");
        }
        if chat && self.prompt.is_empty() {
            return Some("empty prompt");
        }
        (self.chosen == self.rejected).then_some("identical sides")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::Message;

    fn plain(prompt: &str, chosen: &str, rejected: &str) -> Pair {
        Pair {
            source: Source::row("t", 1),
            prompt: Text::Plain(prompt.into()),
            tools: Tools::default(),
            chosen: Text::Plain(chosen.into()),
            rejected: Text::Plain(rejected.into()),
            numbers: Numbers::new(),
        }
    }

    #[test]
    fn problems_are_named() {
        assert_eq!(plain("p", "a", "b").problem(), None);
        assert_eq!(plain("", "a", "b").problem(), None);
        assert_eq!(plain("p", "", "b").problem(), Some("empty chosen completion"));
        assert_eq!(plain("p", "a", "").problem(), Some("empty rejected completion"));
        assert_eq!(plain("p", "a", "a").problem(), Some("identical sides"));
        let mut mixed = plain("p", "a", "b");
        mixed.rejected = Text::Chat(vec![Message::new("assistant", "b")]);
        assert_eq!(mixed.problem(), Some("plain text and messages mixed"));
        mixed.chosen = Text::Chat(vec![Message::new("assistant", "c")]);
        assert_eq!(mixed.problem(), Some("plain text and messages mixed"));
        mixed.prompt = Text::Chat(vec![]);
        assert_eq!(mixed.problem(), Some("empty prompt"));
        mixed.prompt = Text::Chat(vec![Message::new("user", "q")]);
        assert_eq!(mixed.problem(), None);
    }
}
