//! One answer to a prompt, with everything that is known about it.

use std::collections::BTreeMap;

use super::{Text, Value};

/// One answer to a prompt, with what raters, models and files say about it.
///
/// Nothing is made up: a figure that the file does not have is `None`. Which of the figures orders the responses of a
/// record is the choice of whoever builds pairs or rankings from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The answer, without the prompt.
    pub content: Text,
    /// The model or person that wrote it.
    pub model: Option<String>,
    /// An overall score; higher is better. The scale is the file's own.
    pub score: Option<f64>,
    /// Scores by aspect, such as `helpfulness` and `honesty`, in the file's own scale and direction.
    pub aspects: BTreeMap<String, f64>,
    /// Place among the record's responses, from 1 for the best; equal ranks are a tie.
    pub rank: Option<f64>,
    /// A verdict on this response alone: good or bad, right or wrong.
    pub label: Option<bool>,
    /// The steps that make up the content, for supervision by step; empty where the file has none.
    pub steps: Vec<Step>,
    /// Further facts, such as a critique or the reason for a rating, by the file's names.
    pub extras: Vec<(String, Value)>,
}

impl Response {
    /// A response of which only the content is known.
    ///
    /// ```
    /// use tropism_data::record::{Response, Text};
    /// let response = Response { rank: Some(1.0), ..Response::new(Text::Plain("4".into())) };
    /// assert_eq!(response.score, None);
    /// ```
    pub fn new(content: Text) -> Self {
        Self {
            content,
            model: None,
            score: None,
            aspects: BTreeMap::new(),
            rank: None,
            label: None,
            steps: Vec::new(),
            extras: Vec::new(),
        }
    }
}

/// One step of a response.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The step's text; the texts of all steps, joined by line breaks, are the content.
    pub text: String,
    /// Whether the step is right.
    pub label: Option<bool>,
    /// The step's score where there is one, such as the rating −1, 0 or 1 of a process reward data set.
    pub score: Option<f64>,
}
