//! What a construction makes: rows that point into the records, with columns of numbers.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::records::characters;
use super::{JointLink, Link};
use crate::record::{Message, Pair, Record, Sample, Source, Text, Tools};

/// What the rows of a data set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A prompt with a chosen and a rejected completion.
    Pairs,
    /// A chosen and a rejected completion, each with a prompt of its own.
    Joint,
    /// A prompt with completions from best to worst.
    Rankings,
    /// A prompt with one completion and whether it is desirable.
    Unpaired,
    /// A prompt with one completion to learn.
    Samples,
    /// A prompt with any number of completions and their rewards.
    Groups,
}

impl Kind {
    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Joint => "joint",
            Self::Rankings => "rankings",
            Self::Unpaired => "unpaired",
            Self::Samples => "samples",
            Self::Groups => "groups",
        }
    }
}

/// A response, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Index of the response in its record.
    pub response: usize,
    /// Bytes of its plain text; none: all of it.
    pub bytes: Option<Range<usize>>,
}

impl From<usize> for Part {
    fn from(response: usize) -> Self {
        Self { response, bytes: None }
    }
}

/// What a row's prompt is made of, beside the record's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Prompted {
    /// Nothing.
    #[default]
    Alone,
    /// The beginning of a response, so many bytes of it.
    Continued {
        /// Index of the response.
        response: usize,
        /// Bytes of its plain text.
        bytes: usize,
    },
    /// A system message, behind the one that is there.
    Told(String),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Index of its record.
    pub record: usize,
    /// Of a joint pair, the record of the rejected side.
    pub rejected_record: Option<usize>,
    /// What the prompt is made of, beside the record's.
    pub prompted: Prompted,
    /// The completions: chosen and rejected, best to worst, or a group's.
    pub parts: Vec<Part>,
}

impl Row {
    /// A row of whole responses.
    pub fn of(record: usize, responses: impl IntoIterator<Item = usize>) -> Self {
        let parts = responses.into_iter().map(Part::from).collect();
        Self { record, rejected_record: None, prompted: Prompted::Alone, parts }
    }

    /// Characters of each completion.
    pub fn characters(&self, records: &[Record]) -> Vec<usize> {
        let count = |(place, part): (usize, &Part)| {
            let record = self.rejected_record.filter(|_| place > 0).unwrap_or(self.record);
            match (&records[record].responses[part.response].content, &part.bytes) {
                (Text::Plain(text), Some(bytes)) => text[bytes.clone()].chars().count(),
                (content, _) => characters(content),
            }
        };
        self.parts.iter().enumerate().map(count).collect()
    }
}

/// A row with its texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it came from.
    pub source: Source,
    /// The prompt; of a joint pair, the chosen side's.
    pub prompt: Text,
    /// Of a joint pair, the rejected side's prompt.
    pub rejected_prompt: Option<Text>,
    /// Tools that the prompt offers.
    pub tools: Tools,
    /// The completions.
    pub completions: Vec<Text>,
    /// Who wrote them.
    pub models: Vec<Option<String>>,
    /// The known right answer.
    pub answer: Option<String>,
}

/// Rows of one kind, with a number per row in each column and a number per completion in each list of cells.
///
/// Texts stay in the records: a set of all pairs would otherwise hold every response many times.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What the rows are.
    pub kind: Kind,
    /// The rows.
    pub rows: Vec<Row>,
    /// Numbers by the name of their column, one per row.
    pub columns: BTreeMap<String, Vec<f64>>,
    /// Numbers by the name of their column, one per completion of each row.
    pub cells: BTreeMap<String, Vec<Vec<f64>>>,
}

impl Dataset {
    /// A set without rows.
    pub fn new(kind: Kind) -> Self {
        Self { kind, rows: Vec::new(), columns: BTreeMap::new(), cells: BTreeMap::new() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row with its numbers. Every row of a set has the same columns.
    pub fn push<'n>(&mut self, row: Row, numbers: impl IntoIterator<Item = (&'n str, f64)>) {
        self.rows.push(row);
        self.add_columns(numbers);
    }

    /// Adds further numbers to the last row.
    pub fn add_columns<'n>(&mut self, numbers: impl IntoIterator<Item = (&'n str, f64)>) {
        for (name, value) in numbers {
            match self.columns.get_mut(name) {
                Some(column) => column.push(value),
                None => {
                    self.columns.insert(name.to_owned(), vec![value]);
                }
            }
        }
    }

    /// Adds one number per completion to the last row.
    pub fn push_cells(&mut self, name: &str, values: Vec<f64>) {
        self.cells.entry(name.to_owned()).or_default().push(values);
    }

    pub(super) fn push_link(&mut self, row: Row, link: &Link, scores: &[f64]) {
        let values = [scores[link.chosen], scores[link.rejected]];
        self.push(row, numbers(link.gap, link.weight, link.share, link.tie, values));
        if let Some(stage) = link.stage {
            self.columns.entry("stage".to_owned()).or_default().push(stage as f64);
        }
    }

    pub(super) fn push_joint(&mut self, link: &JointLink, records: [usize; 2], values: [f64; 2]) {
        let parts = vec![Part::from(link.chosen.1), Part::from(link.rejected.1)];
        let row = Row { record: records[0], rejected_record: Some(records[1]), prompted: Prompted::Alone, parts };
        self.push(row, numbers(link.gap, link.weight, link.share, link.tie, values));
    }

    /// The rows of these indices, in that order; an index may stand several times.
    pub fn select(&self, indices: &[usize]) -> Self {
        fn pick<T: Clone>(all: &[T], indices: &[usize]) -> Vec<T> {
            indices.iter().map(|&i| all[i].clone()).collect()
        }
        Self {
            kind: self.kind,
            rows: pick(&self.rows, indices),
            columns: self.columns.iter().map(|(name, values)| (name.clone(), pick(values, indices))).collect(),
            cells: self.cells.iter().map(|(name, values)| (name.clone(), pick(values, indices))).collect(),
        }
    }

    /// The numbers of a row, by column.
    pub fn numbers(&self, row: usize) -> BTreeMap<String, f64> {
        self.columns.iter().map(|(name, values)| (name.clone(), values[row])).collect()
    }

    /// A row with its texts, from the records that the set was made of.
    pub fn item(&self, row: usize, records: &[Record]) -> Item {
        let row = &self.rows[row];
        let record = &records[row.record];
        let rejected = row.rejected_record.map(|other| &records[other]);
        let owner = |place: usize| rejected.filter(|_| place > 0).unwrap_or(record);
        let parts = || row.parts.iter().enumerate().map(|(place, part)| (&owner(place).responses[part.response], part));
        Item {
            source: record.source.clone(),
            prompt: prompt(record, &row.prompted),
            rejected_prompt: rejected.map(|other| other.prompt.clone()),
            tools: record.tools.clone(),
            completions: parts().map(|(response, part)| cut(&response.content, part)).collect(),
            models: parts().map(|(response, _)| response.model.clone()).collect(),
            answer: record.answer.clone(),
        }
    }
}

/// Columns that every pair has, by the names that losses read.
fn numbers(gap: f64, weight: f64, share: f64, tie: bool, scores: [f64; 2]) -> [(&'static str, f64); 6] {
    let [chosen, rejected] = scores;
    let tie = f64::from(u8::from(tie));
    [
        ("score/chosen", chosen),
        ("score/rejected", rejected),
        ("score_gap", gap),
        ("weight", weight),
        ("chosen_share", share),
        ("tie", tie),
    ]
}

fn prompt(record: &Record, prompted: &Prompted) -> Text {
    match (prompted, &record.prompt) {
        (Prompted::Alone, prompt) => prompt.clone(),
        (Prompted::Continued { response, bytes }, prompt) => match (prompt, &record.responses[*response].content) {
            (Text::Plain(prompt), Text::Plain(text)) => Text::Plain([prompt.as_str(), &text[..*bytes]].concat()),
            // constructions cut plain texts only
            (prompt, _) => prompt.clone(),
        },
        (Prompted::Told(system), Text::Plain(prompt)) => Text::Plain(format!("{system}\n\n{prompt}")),
        (Prompted::Told(system), Text::Chat(messages)) => Text::Chat(told(system, messages)),
    }
}

/// Messages that begin with `system`, behind a system message that is there already.
fn told(system: &str, messages: &[Message]) -> Vec<Message> {
    let mut messages = messages.to_vec();
    match messages.first_mut() {
        Some(first) if first.role == "system" => first.content = format!("{}\n\n{system}", first.content),
        _ => messages.insert(0, Message::new("system", system)),
    }
    messages
}

fn cut(content: &Text, part: &Part) -> Text {
    match (content, &part.bytes) {
        (Text::Plain(text), Some(bytes)) => Text::Plain(text[bytes.clone()].to_owned()),
        (content, _) => content.clone(),
    }
}

impl Item {
    /// The pair, of a row of pairs; numbers are those of its columns.
    pub fn into_pair(self, numbers: BTreeMap<String, f64>) -> Option<Pair> {
        let [chosen, rejected] = <[Text; 2]>::try_from(self.completions).ok()?;
        Some(Pair { source: self.source, prompt: self.prompt, tools: self.tools, chosen, rejected, numbers })
    }

    /// The sample, of a row with one completion.
    pub fn into_sample(self) -> Option<Sample> {
        let [completion] = <[Text; 1]>::try_from(self.completions).ok()?;
        Some(Sample { source: self.source, prompt: self.prompt, tools: self.tools, completion })
    }
}
