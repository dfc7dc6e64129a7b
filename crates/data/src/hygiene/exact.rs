//! Exact duplicates: the same prompt with the same responses, but for case, white space and the order of the responses.

use std::collections::HashMap;

use crate::digest::of_parts;
use crate::record::{Record, Response, Text};

/// Remembers the records that it has admitted.
///
/// A record whose responses are those of an earlier one with the opposite preference is not the same record but
/// contradicts it; it is left out too, under a reason of its own.
#[derive(Debug, Default)]
pub struct Exact {
    /// by what prompt and responses say: how the responses were ordered
    seen: HashMap<[u8; 16], [u8; 16]>,
}

impl Exact {
    /// Admits a record that is no duplicate.
    ///
    /// # Errors
    /// The reason that the audit counts.
    pub fn admit(&mut self, record: &Record) -> Result<(), String> {
        let mut texts: Vec<(String, &Response)> =
            record.responses.iter().map(|response| (normal(&response.content), response)).collect();
        texts.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut parts = vec![normal(&record.prompt)];
        parts.extend(texts.iter().map(|(text, _)| text.clone()));
        let order = order(&texts.iter().map(|(_, response)| *response).collect::<Vec<_>>());
        match self.seen.insert(digest(&parts), order) {
            None => Ok(()),
            Some(before) => {
                // the first one stays the one to compare with
                self.seen.insert(digest(&parts), before);
                let reason =
                    if before == order { "duplicate of an earlier record" } else { "contradicts an earlier record" };
                Err(reason.to_owned())
            }
        }
    }
}

/// How responses compare with one another by rank, score and label: the sign for each pair of neighbours in a fixed
/// order of the responses. Other figures do not contradict.
fn order(responses: &[&Response]) -> [u8; 16] {
    let figure = |response: &Response| {
        let label = response.label.map(f64::from);
        [response.rank.map(|rank| -rank), response.score, label]
    };
    let sign = |pair: &[&Response]| {
        let signs = figure(pair[0]).into_iter().zip(figure(pair[1])).map(|(a, b)| match a.partial_cmp(&b) {
            Some(std::cmp::Ordering::Less) => "<",
            Some(std::cmp::Ordering::Greater) => ">",
            _ => "=",
        });
        signs.collect::<String>()
    };
    let mut parts: Vec<String> = responses.windows(2).map(sign).collect();
    // a single response contradicts another verdict on it
    if let [one] = responses {
        parts.push(format!("{:?}", one.label));
    }
    digest(&parts)
}

/// Text in lower case with single spaces, roles and further keys of messages included.
fn normal(text: &Text) -> String {
    let squeeze = |text: &str| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    match text {
        Text::Plain(text) => squeeze(text),
        Text::Chat(messages) => {
            let turns = messages.iter().map(|message| {
                let mut turn = message.clone();
                turn.content = squeeze(&turn.content);
                turn
            });
            Text::Chat(turns.collect()).key()
        }
    }
}

fn digest(parts: &[String]) -> [u8; 16] {
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    let mut head = [0; 16];
    head.copy_from_slice(&of_parts(&parts)[..16]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Message, Source};

    fn record(prompt: &str, responses: &[(&str, f64)]) -> Record {
        let mut record = Record::new(Source::row("t", 1), Text::Plain(prompt.into()));
        let response = |(text, rank): &(&str, f64)| Response {
            rank: Some(*rank),
            ..Response::new(Text::Chat(vec![Message::new("assistant", *text)]))
        };
        record.responses = responses.iter().map(response).collect();
        record
    }

    #[test]
    fn case_space_and_order_do_not_matter() {
        let mut exact = Exact::default();
        assert_eq!(exact.admit(&record("A  prompt", &[("x", 1.0), ("y", 2.0)])), Ok(()));
        let duplicate = Err("duplicate of an earlier record".to_owned());
        assert_eq!(exact.admit(&record("a prompt\n", &[("Y", 2.0), (" X ", 1.0)])), duplicate);
        let opposite = Err("contradicts an earlier record".to_owned());
        assert_eq!(exact.admit(&record("a prompt", &[("x", 2.0), ("y", 1.0)])), opposite);
        assert_eq!(exact.admit(&record("a prompt", &[("x", 1.0), ("y", 2.0)])), duplicate);
        assert_eq!(exact.admit(&record("a prompt", &[("x", 1.0), ("z", 2.0)])), Ok(()));
        assert_eq!(exact.admit(&record("another", &[("x", 1.0), ("y", 2.0)])), Ok(()));
        assert_eq!(exact.admit(&record("a prompt", &[])), Ok(()));
    }
}
