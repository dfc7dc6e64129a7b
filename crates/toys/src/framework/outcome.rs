//! What came out over all seeds.

use serde::Serialize;
use tropism_evaluation::{self as evaluation, mean_interval};

use super::{Decided, Run, Toy, ToyError, Verdict};

/// A figure over the seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// what was measured
    pub name: String,
    /// its unit
    pub unit: &'static str,
    /// mean over the seeds with its 95 % interval
    #[serde(flatten)]
    pub estimate: evaluation::Figure,
}

/// The result of a toy.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// figures of each seed
    pub runs: Vec<Run>,
    /// figures over the seeds, in the toy's order
    pub figures: Vec<Measured>,
    /// the relations, in the toy's order
    pub relations: Vec<Decided>,
}

impl Outcome {
    /// Summarises the runs of `toy`.
    ///
    /// # Errors
    /// [`ToyError::Uneven`], [`ToyError::NotFinite`], [`ToyError::NoFigure`]; [`ToyError::Evaluation`] without runs.
    pub fn of(toy: &Toy, runs: Vec<Run>) -> Result<Self, ToyError> {
        for run in &runs {
            if !run.figures.same_names(&runs[0].figures) {
                return Err(ToyError::Uneven { toy: toy.row, seed: run.seed });
            }
            if let Some(f) = run.figures.iter().find(|f| !f.value.is_finite()) {
                let figure = f.name.clone();
                return Err(ToyError::NotFinite { toy: toy.row, figure, seed: run.seed, value: f.value });
            }
        }
        let values = |i: usize| runs.iter().filter_map(|r| r.figures.iter().nth(i)).map(|f| f.value).collect::<Vec<_>>();
        let first = runs.first().map(|r| r.figures.clone()).unwrap_or_default();
        let measured = |(i, f): (usize, &super::Figure)| {
            Ok(Measured { name: f.name.clone(), unit: f.unit, estimate: mean_interval(&values(i))? })
        };
        let figures = first.iter().enumerate().map(measured).collect::<Result<_, ToyError>>()?;
        let relations = toy.relations.iter().map(|r| r.decide(toy, &runs)).collect::<Result<_, _>>()?;
        Ok(Self { runs, figures, relations })
    }

    /// A figure by name.
    pub fn figure(&self, name: &str) -> Option<&Measured> {
        self.figures.iter().find(|f| f.name == name)
    }

    /// How many relations have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.relations.iter().filter(|r| r.verdict == verdict).count()
    }
}
