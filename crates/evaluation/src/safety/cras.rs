//! Role adherence of agents.
use crate::error::EvaluationError;
use crate::figures::{mean, outside, share};
use crate::stats::Figure;
use serde::{Deserialize, Serialize};

/// A judge's scores of one answer, each a real number from 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cras {
    /// goal alignment
    #[serde(rename = "GA")]
    pub goal_alignment: f64,
    /// role consistency
    #[serde(rename = "RC")]
    pub role_consistency: f64,
    /// adherence to the boundary of the role's knowledge
    #[serde(rename = "KBA")]
    pub knowledge_boundary: f64,
    /// compliance with constraints
    #[serde(rename = "CC")]
    pub constraint_compliance: f64,
}

/// Means over answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CrasReport {
    /// goal alignment
    pub goal_alignment: Figure,
    /// role consistency
    pub role_consistency: Figure,
    /// knowledge boundary
    pub knowledge_boundary: Figure,
    /// constraint compliance
    pub constraint_compliance: Figure,
    /// mean of the four
    pub overall: Figure,
    /// share of judgments that could not be parsed; they are in no mean
    pub failed: Figure,
}

impl Cras {
    /// Mean of the four: the paper does not say how they become one, this is ours.
    pub fn overall(&self) -> f64 {
        self.all().iter().sum::<f64>() / 4.0
    }

    fn all(&self) -> [f64; 4] {
        [self.goal_alignment, self.role_consistency, self.knowledge_boundary, self.constraint_compliance]
    }
}

/// Means of the scores; `None` is a judgment that could not be parsed.
///
/// # Errors
/// No scores, a score outside 1 … 5.
///
/// # Source
/// CRAS (arXiv 2509.23188) and its prompts.
pub fn cras_report(scores: &[Option<Cras>]) -> Result<CrasReport, EvaluationError> {
    let parsed: Vec<(usize, &Cras)> = scores.iter().enumerate().filter_map(|(i, s)| s.as_ref().map(|s| (i, s))).collect();
    for (index, score) in &parsed {
        if let Some(value) = score.all().into_iter().find(|v| !(1.0..=5.0).contains(v)) {
            return Err(outside("CRAS", *index, value, "scores go from 1 to 5"));
        }
    }
    let figure = |of: fn(&Cras) -> f64| mean("scores", &parsed.iter().map(|(_, s)| of(s)).collect::<Vec<_>>());
    Ok(CrasReport {
        goal_alignment: figure(|s| s.goal_alignment)?,
        role_consistency: figure(|s| s.role_consistency)?,
        knowledge_boundary: figure(|s| s.knowledge_boundary)?,
        constraint_compliance: figure(|s| s.constraint_compliance)?,
        overall: figure(Cras::overall)?,
        failed: share("judgments", scores.len() - parsed.len(), scores.len())?,
    })
}
