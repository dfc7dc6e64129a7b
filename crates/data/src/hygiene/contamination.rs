//! Records that hold texts of an evaluation, found by shared runs of words.
//!
//! A word of an evaluation text is covered where it lies in a run of [`Contamination::words`] words that the record has
//! too; the score is the share of covered words in the text that the record covers most of. Records with a score above
//! [`Contamination::threshold`] are left out. Source: the decontamination of open-instruct, which scores by the best
//! single training document in the same way; run length and threshold are the user's choice there and 8 and 0.5 here.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::words::{hashes, run, texts};
use crate::DataError;
use crate::record::{Record, Text};

/// How contamination is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contamination {
    /// Words in a run.
    pub words: usize,
    /// Share of covered words above which a record is left out.
    pub threshold: f64,
}

impl Default for Contamination {
    fn default() -> Self {
        Self { words: 8, threshold: 0.5 }
    }
}

/// The evaluation text that a record holds most of.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Name of the evaluation.
    pub evaluation: String,
    /// Share of the text's words that the record covers, in (0, 1].
    pub score: f64,
}

/// An index of evaluation texts.
///
/// ```
/// use tropism_data::hygiene::contamination::{Contamination, Decontaminator};
/// use tropism_data::record::{Record, Source, Text};
/// let mut index = Decontaminator::new(&Contamination { words: 3, threshold: 0.5 })?;
/// index.add("quiz", ["how many legs has a spider"]);
/// let record = |text: &str| Record::new(Source::row("made up", 1), Text::Plain(text.into()));
/// let hit = index.check(&record("Tell me: how many legs has an ant?"));
/// assert_eq!(hit.map(|hit| hit.score), Some(4.0 / 6.0));
/// assert_eq!(index.check(&record("How many wings has an ant?")), None);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct Decontaminator {
    options: Contamination,
    evaluations: Vec<String>,
    /// evaluation and number of words of each text
    texts: Vec<(u32, u32)>,
    /// texts and places in them where a run begins
    runs: HashMap<u64, Vec<(u32, u32)>>,
    ignored: usize,
}

impl Decontaminator {
    /// An index without texts.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn new(options: &Contamination) -> Result<Self, DataError> {
        if options.words == 0 {
            return Err(DataError::config("words", 0, "must be at least 1"));
        }
        if !(0.0..1.0).contains(&options.threshold) {
            return Err(DataError::config("threshold", options.threshold, "must lie in [0, 1)"));
        }
        let options = options.clone();
        Ok(Self { options, evaluations: Vec::new(), texts: Vec::new(), runs: HashMap::new(), ignored: 0 })
    }

    /// Adds texts of an evaluation. Texts of fewer words than a run cannot be found and are counted as ignored.
    pub fn add<'a>(&mut self, evaluation: &str, texts: impl IntoIterator<Item = &'a str>) {
        let name = self.evaluations.len() as u32;
        self.evaluations.push(evaluation.to_owned());
        for text in texts {
            let words = hashes(text);
            if words.len() < self.options.words {
                self.ignored += 1;
                continue;
            }
            let id = self.texts.len() as u32;
            self.texts.push((name, words.len() as u32));
            for (at, words) in words.windows(self.options.words).enumerate() {
                self.runs.entry(run(words)).or_default().push((id, at as u32));
            }
        }
    }

    /// Adds the prompts of an evaluation; of messages, the user's turns together.
    pub fn add_prompts<'a>(&mut self, evaluation: &str, prompts: impl IntoIterator<Item = &'a Text>) {
        let text = |prompt: &Text| match prompt {
            Text::Plain(text) => text.clone(),
            Text::Chat(messages) => {
                let asked = messages.iter().filter(|message| message.role == "user");
                asked.map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
            }
        };
        let texts: Vec<String> = prompts.into_iter().map(text).collect();
        self.add(evaluation, texts.iter().map(String::as_str));
    }

    /// Number of evaluation texts that can be found.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// True where no text can be found.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Number of texts that were too short.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// The evaluation text that the record covers most of, where that is above the threshold.
    pub fn check(&self, record: &Record) -> Option<Hit> {
        let mut covered: HashMap<u32, Vec<bool>> = HashMap::new();
        for text in texts(record) {
            for words in hashes(text).windows(self.options.words) {
                for &(id, at) in self.runs.get(&run(words)).into_iter().flatten() {
                    let length = self.texts[id as usize].1 as usize;
                    let marks = covered.entry(id).or_insert_with(|| vec![false; length]);
                    marks[at as usize..at as usize + self.options.words].fill(true);
                }
            }
        }
        let score = |marks: &[bool]| marks.iter().filter(|mark| **mark).count() as f64 / marks.len() as f64;
        // the lowest id among equals, so that the answer does not depend on the map's order
        let best = covered.iter().map(|(id, marks)| (score(marks), std::cmp::Reverse(*id)));
        let (score, id) = best.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?;
        let evaluation = self.evaluations[self.texts[id.0 as usize].0 as usize].clone();
        (score > self.options.threshold).then_some(Hit { evaluation, score })
    }
}

#[cfg(feature = "files")]
impl Decontaminator {
    /// Adds the prompts of evaluation files in any format that the readers know; returns how many.
    ///
    /// # Errors
    /// As for [`crate::read::RecordReader`].
    pub fn add_file(&mut self, path: &std::path::Path, options: &crate::read::ReadOptions) -> Result<usize, DataError> {
        let (records, _) = crate::read::read_records(path, options)?;
        self.add_prompts(&path.display().to_string(), records.iter().map(prompt_of));
        Ok(records.len())
    }
}

/// The prompt, or where there is none the first response.
#[cfg(feature = "files")]
fn prompt_of(record: &Record) -> &Text {
    match record.responses.first() {
        Some(first) if record.prompt.is_empty() => &first.content,
        _ => &record.prompt,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::{Response, Source};

    fn record(prompt: &str, response: &str) -> Record {
        let mut record = Record::new(Source::row("t", 1), Text::Plain(prompt.into()));
        record.responses.push(Response::new(Text::Plain(response.into())));
        record
    }

    fn index() -> Decontaminator {
        let mut index = Decontaminator::new(&Contamination { words: 3, threshold: 0.5 }).unwrap();
        index.add("first", ["a b c d e f g h", "x y"]);
        index.add("second", ["c d e f"]);
        index
    }

    #[test]
    fn scores_are_shares_of_covered_words() {
        let index = index();
        assert_eq!((index.len(), index.ignored(), index.is_empty()), (2, 1, false));
        // two runs that overlap count their words once: 4 of 8, and 2 runs of the second text
        let hit = index.check(&record("so c d e f", "")).unwrap();
        assert_eq!((hit.evaluation.as_str(), hit.score), ("second", 1.0));
        let hit = index.check(&record("A, b, c, d, e, f", "g")).unwrap();
        assert_eq!((hit.evaluation.as_str(), hit.score), ("second", 1.0));
        // exactly the threshold stays
        assert_eq!(index.check(&record("a b c x", "h")), None);
        let hit = index.check(&record("a b c d", "e f g")).unwrap();
        assert_eq!((hit.evaluation.as_str(), hit.score), ("first", 7.0 / 8.0));
    }

    #[test]
    fn runs_do_not_span_texts() {
        assert_eq!(index().check(&record("c d", "e f")), None);
    }

    #[test]
    fn options_are_checked() {
        assert!(Decontaminator::new(&Contamination { words: 0, threshold: 0.5 }).is_err());
        assert!(Decontaminator::new(&Contamination { words: 8, threshold: 1.0 }).is_err());
    }
}
