//! Which of a response's figures ranks it.

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::record::{Record, Response, Text};

/// Which figure of the responses is their score; higher is better.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreBy {
    /// `score` where every response has one, else `rank`, else `label`.
    #[default]
    Auto,
    /// The overall score.
    Score,
    /// The rank, turned round: the first of three has 0, the last −2.
    Rank,
    /// The label: 1 for good, 0 for bad.
    Label,
    /// The mean of all aspects; every response must have the same ones.
    MeanAspects,
    /// One aspect.
    Aspect(String),
    /// Characters, so that longer is better: a baseline for what length alone explains.
    Length,
    /// The same for all: for constructions that do not look at scores.
    None,
}

impl ScoreBy {
    /// The figure that [`ScoreBy::Auto`] stands for in these records.
    ///
    /// # Errors
    /// Responses of which some lack each of the figures.
    pub fn settle(&self, records: &[Record]) -> Result<Self, DataError> {
        if *self != Self::Auto {
            return Ok(self.clone());
        }
        let all = |by: &Self| records.iter().flat_map(|r| &r.responses).all(|response| by.of(response).is_some());
        if let Some(by) = [Self::Score, Self::Rank, Self::Label].into_iter().find(all) {
            return Ok(by);
        }
        let aspects: Vec<&String> =
            records.iter().flat_map(|r| &r.responses).take(1).flat_map(|r| r.aspects.keys()).collect();
        let reason = format!(
            "neither score nor rank nor label stands at every response; name the figure that ranks them; the first response \
             has the aspects {aspects:?}"
        );
        Err(DataError::config("score", "auto", reason))
    }

    /// The figure of one response; none where it is missing.
    pub fn of(&self, response: &Response) -> Option<f64> {
        match self {
            Self::Auto | Self::Score => response.score,
            Self::Rank => response.rank.map(|rank| 1.0 - rank),
            Self::Label => response.label.map(|good| f64::from(u8::from(good))),
            Self::MeanAspects if response.aspects.is_empty() => None,
            Self::MeanAspects => Some(response.aspects.values().sum::<f64>() / response.aspects.len() as f64),
            Self::Aspect(name) => response.aspects.get(name).copied(),
            Self::Length => Some(characters(&response.content) as f64),
            Self::None => Some(0.0),
        }
        .filter(|figure| figure.is_finite())
    }
}

/// Characters of a text, or of all its messages.
pub fn characters(text: &Text) -> usize {
    match text {
        Text::Plain(text) => text.chars().count(),
        Text::Chat(messages) => messages.iter().map(|message| message.content.chars().count()).sum(),
    }
}
