//! The record that every format is read into.

use super::{Numbers, Pair, Response, Source, Text, Tools};

/// A prompt with any number of responses: what every known format becomes, and what pairs, rankings, groups and
/// samples are built from.
///
/// ```
/// use tropism_data::record::{Record, Response, Source, Text};
/// let mut record = Record::new(Source::row("made up", 1), Text::Plain("2 + 2 =".into()));
/// for (text, rank) in [(" 4", 1.0), (" 5", 2.0)] {
///     record.responses.push(Response { rank: Some(rank), ..Response::new(Text::Plain(text.into())) });
/// }
/// assert_eq!(record.problem(), None);
/// assert_eq!(record.pair().unwrap().rejected, Text::Plain(" 5".into()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where the record came from; of several rows, the first.
    pub source: Source,
    /// The file's own name of the record.
    pub id: Option<String>,
    /// The data set that the record comes from, where the file is a mix.
    pub origin: Option<String>,
    /// What the responses answer, system messages included; may be the empty plain text.
    pub prompt: Text,
    /// Tools that the prompt offers.
    pub tools: Tools,
    /// The responses, in the file's order; none for a file of prompts.
    pub responses: Vec<Response>,
    /// The known right answer, for verifiers.
    pub answer: Option<String>,
    /// Numbers of the whole row, such as the strength of a preference.
    pub numbers: Numbers,
}

impl Record {
    /// A record without responses.
    pub fn new(source: Source, prompt: Text) -> Self {
        Self {
            source,
            id: None,
            origin: None,
            prompt,
            tools: Tools::default(),
            responses: Vec::new(),
            answer: None,
            numbers: Numbers::new(),
        }
    }

    /// What splits, groups and deduplication keep together: the prompt, or where there is none the first response.
    pub fn prompt_key(&self) -> String {
        match self.responses.first() {
            Some(first) if self.prompt.is_empty() => first.content.key(),
            _ => self.prompt.key(),
        }
    }

    /// Why nothing can be learnt from the record, as the reason that the audit counts; `None` for a sound record.
    ///
    /// Reasons: text and messages mixed; neither prompt nor responses; an empty prompt before messages. Empty and
    /// equal responses are no reason: what is built from the record decides about them ([`crate::hygiene`] can drop them).
    pub fn problem(&self) -> Option<&'static str> {
        let chat = self.responses.first().map_or(self.prompt.is_chat(), |first| first.content.is_chat());
        let mixed = self.responses.iter().any(|response| response.content.is_chat() != chat);
        if mixed || (self.prompt.is_chat() != chat && !self.prompt.is_empty()) {
            return Some("plain text and messages mixed");
        }
        if self.responses.is_empty() && self.prompt.is_empty() {
            return Some("neither prompt nor response");
        }
        (chat && self.prompt.is_empty()).then_some("empty prompt")
    }

    /// The pair of a record with two responses of different rank.
    ///
    /// # Errors
    /// The reason that the audit counts: another number of responses, no rank, a tie, or one of [`Pair::problem`].
    pub fn pair(self) -> Result<Pair, &'static str> {
        let Self { source, prompt, tools, responses, numbers, .. } = self;
        let [first, second] = <[Response; 2]>::try_from(responses).map_err(|_| "not two responses")?;
        let (Some(left), Some(right)) = (first.rank, second.rank) else {
            return Err("no preference");
        };
        if left == right {
            return Err("tie");
        }
        let (chosen, rejected) = if left < right { (first, second) } else { (second, first) };
        let pair = Pair { source, prompt, tools, chosen: chosen.content, rejected: rejected.content, numbers };
        pair.problem().map_or(Ok(pair), Err)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::Message;

    fn record(ranks: &[Option<f64>]) -> Record {
        let mut record = Record::new(Source::row("t", 1), Text::Plain("q".into()));
        let response =
            |(i, rank): (usize, &Option<f64>)| Response { rank: *rank, ..Response::new(Text::Plain(i.to_string())) };
        record.responses = ranks.iter().enumerate().map(response).collect();
        record
    }

    #[test]
    fn pairs_follow_the_rank() {
        let pair = record(&[Some(2.0), Some(1.0)]).pair().unwrap();
        assert_eq!((pair.chosen, pair.rejected), (Text::Plain("1".into()), Text::Plain("0".into())));
        assert_eq!(record(&[Some(1.0), Some(1.0)]).pair().unwrap_err(), "tie");
        assert_eq!(record(&[Some(1.0), None]).pair().unwrap_err(), "no preference");
        assert_eq!(record(&[Some(1.0); 3]).pair().unwrap_err(), "not two responses");
    }

    #[test]
    fn problems_are_named() {
        let mut one = record(&[None]);
        assert_eq!(one.problem(), None);
        one.prompt = Text::empty();
        assert_eq!((one.problem(), one.prompt_key()), (None, "\"0\"".to_owned()));
        one.prompt = Text::Chat(vec![Message::new("user", "q")]);
        assert_eq!(one.problem(), Some("plain text and messages mixed"));
        one.responses.clear();
        assert_eq!(one.problem(), None);
        one.prompt = Text::Chat(vec![]);
        assert_eq!(one.problem(), Some("neither prompt nor response"));
        one.responses = vec![Response::new(Text::Chat(vec![Message::new("assistant", "a")]))];
        assert_eq!(one.problem(), Some("empty prompt"));
    }
}
