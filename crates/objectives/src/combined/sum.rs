//! Weighted sums of methods that read the same kind of input.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, LossTerms};

use crate::options::{finite, options};
use crate::{Batch, Column, InputKind, Method, Objective, ObjectiveError};

/// One method of a [`Sum`] with its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// Factor of the method's loss, after its own mean; finite.
    pub weight: f64,
    /// Method and options.
    #[serde(flatten)]
    pub objective: Objective,
}

options! {
    /// A weighted sum of methods that read the same kind of input.
    ///
    /// ```text
    /// loss of the step = Σ_k weight_k · (loss of the step by method k)
    /// ```
    ///
    /// Each method keeps its own denominators ([`LossTerms::with`]). Where several methods report a figure, the first one's
    /// counts; `terms/0`, `terms/1`, … are the methods' losses per row, before weight and mean.
    ///
    /// TRL's `rpo` is `sigmoid` and `sft`, `mpo` is `sigmoid`, `bco_pair` and `sft`, with TRL's default weights:
    ///
    /// ```
    /// use tropism_objectives::{InputKind, Objective};
    ///
    /// let mpo: Objective = toml::from_str("method = 'sum'\nterms = [
    ///     { weight = 0.8, method = 'dpo', beta = 0.1 },
    ///     { weight = 0.2, method = 'bco_pair', beta = 0.1 },
    ///     { weight = 1.0, method = 'chosen_nll' },
    /// ]")?;
    /// mpo.check()?;
    /// assert_eq!((mpo.input(), mpo.needs_reference()), (InputKind::Pairs, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Sum = "sum", "TRL's DPO trainer with several loss types" {
        /// The methods with their weights; at least one.
        terms: Vec<Term> = Vec::new(), with_terms, check_terms;
    }
}

/// Names of the methods' losses.
const NAMES: [&str; 8] = ["terms/0", "terms/1", "terms/2", "terms/3", "terms/4", "terms/5", "terms/6", "terms/7"];

/// Fails unless there are one to eight valid methods of one kind of input.
fn check_terms(method: &'static str, key: &'static str, terms: &Vec<Term>) -> Result<(), ObjectiveError> {
    let refuse = |problem: String| Err(ObjectiveError::Option { method, key, problem });
    let Some(first) = terms.first() else {
        return refuse("is empty; give methods, as in [{ weight = 1.0, method = \"dpo\" }]".into());
    };
    if terms.len() > NAMES.len() {
        return refuse(format!("has {} methods; {} are allowed", terms.len(), NAMES.len()));
    }
    for term in terms {
        finite(method, "weight", &term.weight)?;
        term.objective.check()?;
        let (name, input) = (term.objective.name(), term.objective.input());
        if input != first.objective.input() {
            let (other, kind) = (first.objective.name(), first.objective.input());
            return refuse(format!("mixes {other}, which reads {kind}, and {name}, which reads {input}"));
        }
    }
    Ok(())
}

impl Method for Sum {
    const INPUT: InputKind = InputKind::Pairs;

    fn input(&self) -> InputKind {
        self.terms.first().map_or(Self::INPUT, |t| t.objective.input())
    }

    fn needs_reference(&self) -> bool {
        self.terms.iter().any(|t| t.objective.needs_reference())
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns: Vec<Column> = Vec::new();
        for column in self.terms.iter().flat_map(|t| t.objective.columns()) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns
    }

    fn reads_prompt(&self) -> bool {
        self.terms.iter().any(|t| t.objective.reads_prompt())
    }

    fn couples_rows(&self) -> bool {
        self.terms.iter().any(|t| t.objective.couples_rows())
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        check_terms(Self::NAME, "terms", &self.terms)?;
        let forks = self.terms[1..].iter().map(|t| batch.fork_for(&t.objective)).collect::<Result<Vec<_>, _>>()?;
        let first = batch.keep_for(&self.terms[0].objective)?;
        let mut sum: Option<LossTerms<P, E, D, T>> = None;
        for ((term, part), name) in self.terms.iter().zip(std::iter::once(first).chain(forks)).zip(NAMES) {
            let mut terms = term.objective.loss(part)?;
            terms.diagnostics.push(name, terms.values())?;
            let terms = terms.times(term.weight)?;
            sum = Some(match sum {
                None => terms,
                Some(sum) => sum.with(terms)?,
            });
        }
        sum.ok_or(ObjectiveError::Core(CoreError::Empty { what: "terms" }))
    }
}
