//! Responses and records from which nothing can be learnt, and bounds that are asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::digest::of_parts;
use crate::record::Record;

/// What to leave out.
///
/// Empty responses, and responses that repeat an earlier one of the same record, are always taken out; where that leaves
/// fewer than two of several responses, the record goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Lowest values of [`Record::numbers`], such as `score_ratio = 2` for SHP; a record without the number goes.
    pub minimum: BTreeMap<String, f64>,
    /// Highest values.
    pub maximum: BTreeMap<String, f64>,
    /// Only so many records of one prompt, the first ones.
    pub most_per_prompt: Option<usize>,
}

/// A filter at work.
#[derive(Debug)]
pub(super) struct Filtering {
    options: Filter,
    prompts: HashMap<[u8; 16], usize>,
}

impl Filtering {
    pub(super) fn new(options: &Filter) -> Result<Self, DataError> {
        if options.most_per_prompt == Some(0) {
            return Err(DataError::config("most_per_prompt", 0, "must be at least 1; leave it out for no cap"));
        }
        for (key, bounds) in [("minimum", &options.minimum), ("maximum", &options.maximum)] {
            if let Some((name, value)) = bounds.iter().find(|(_, value)| !value.is_finite()) {
                return Err(DataError::config(&format!("{key}.{name}"), value, "must be a finite number"));
            }
        }
        Ok(Self { options: options.clone(), prompts: HashMap::new() })
    }

    /// The record without its unusable responses, with remarks, or why it goes.
    pub(super) fn apply(&self, mut record: Record) -> Result<(Record, Vec<&'static str>), String> {
        self.check_numbers(&record)?;
        let (before, mut notes) = (record.responses.len(), Vec::new());
        record.responses.retain(|response| !is_blank(&response.content.words()) || calls(&response.content));
        let filled = record.responses.len();
        if filled < before {
            notes.push("empty response taken out");
        }
        let mut seen = BTreeSet::new();
        record.responses.retain(|response| seen.insert(response.content.key()));
        let kept = record.responses.len();
        if kept < filled {
            notes.push("repeated response taken out");
        }
        match (before, filled, kept) {
            (1.., 0, _) | (2.., 1, _) => Err("empty response".to_owned()),
            (2.., _, 1) => Err("identical responses".to_owned()),
            _ => Ok((record, notes)),
        }
    }

    /// Counts a record that stays against the cap of its prompt.
    pub(super) fn count(&mut self, record: &Record) -> Result<(), String> {
        let Some(most) = self.options.most_per_prompt else {
            return Ok(());
        };
        let mut key = [0; 16];
        key.copy_from_slice(&of_parts(&[record.prompt_key().as_bytes()])[..16]);
        let count = self.prompts.entry(key).or_default();
        if *count == most {
            return Err("more records of one prompt than `most_per_prompt`".to_owned());
        }
        *count += 1;
        Ok(())
    }

    fn check_numbers(&self, record: &Record) -> Result<(), String> {
        let bounds = self.options.minimum.keys().chain(self.options.maximum.keys());
        for name in bounds {
            let Some(value) = record.numbers.get(name) else {
                return Err(format!("`{name}` is missing"));
            };
            if self.options.minimum.get(name).is_some_and(|least| value < least) {
                return Err(format!("`{name}` below the minimum"));
            }
            if self.options.maximum.get(name).is_some_and(|most| value > most) {
                return Err(format!("`{name}` above the maximum"));
            }
        }
        Ok(())
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

/// True where a message says something by its further keys, such as tool calls.
fn calls(text: &crate::record::Text) -> bool {
    matches!(text, crate::record::Text::Chat(messages) if messages.iter().any(|message| !message.extras.is_empty()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::{Message, Response, Source, Text, Value};

    fn record(texts: &[&str]) -> Record {
        let mut record = Record::new(Source::row("t", 1), Text::Plain("p".into()));
        record.responses = texts.iter().map(|text| Response::new(Text::Plain((*text).into()))).collect();
        record
    }

    fn left(texts: &[&str]) -> Result<usize, String> {
        let filtering = Filtering::new(&Filter::default()).unwrap();
        filtering.apply(record(texts)).map(|(record, _)| record.responses.len())
    }

    #[test]
    fn responses_are_taken_out() {
        assert_eq!(left(&[]), Ok(0));
        assert_eq!(left(&["a"]), Ok(1));
        assert_eq!(left(&["a", "b", " ", "a"]), Ok(2));
        for texts in [&[" \n"][..], &["a", ""], &["", ""]] {
            assert_eq!(left(texts), Err("empty response".to_owned()), "{texts:?}");
        }
        for texts in [&["a", "a"][..], &["a", "a", ""]] {
            assert_eq!(left(texts), Err("identical responses".to_owned()), "{texts:?}");
        }
    }

    #[test]
    fn tool_calls_are_something() {
        let mut call = Message::new("assistant", "");
        call.extras.push(("tool_calls".to_owned(), Value::List(vec![])));
        let mut one = record(&[]);
        one.responses = vec![Response::new(Text::Chat(vec![call]))];
        let filtering = Filtering::new(&Filter::default()).unwrap();
        assert_eq!(filtering.apply(one).unwrap().0.responses.len(), 1);
    }

    #[test]
    fn bounds_and_caps() {
        let options: Filter = serde_json::from_str(r#"{"minimum":{"r":2},"maximum":{"r":5},"most_per_prompt":2}"#).unwrap();
        let mut filtering = Filtering::new(&options).unwrap();
        let mut at = |value: Option<f64>| {
            let mut record = record(&["a", "b"]);
            record.numbers.extend(value.map(|value| ("r".to_owned(), value)));
            filtering.apply(record).and_then(|(record, _)| filtering.count(&record))
        };
        assert_eq!(at(None), Err("`r` is missing".to_owned()));
        assert_eq!(at(Some(1.9)), Err("`r` below the minimum".to_owned()));
        assert_eq!(at(Some(5.1)), Err("`r` above the maximum".to_owned()));
        assert_eq!((at(Some(2.0)), at(Some(5.0))), (Ok(()), Ok(())));
        assert!(at(Some(3.0)).unwrap_err().contains("most_per_prompt"));
        assert!(Filtering::new(&Filter { most_per_prompt: Some(0), ..Filter::default() }).is_err());
        let minimum = [("r".to_owned(), f64::NAN)].into();
        assert!(Filtering::new(&Filter { minimum, ..Filter::default() }).is_err());
    }
}
