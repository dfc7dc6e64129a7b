//! MT-Bench: single answers graded from 1 to 10, in two turns.
use crate::error::{EvaluationError, finite};
use crate::stats::{Bootstrap, Figure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One grade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtBenchRow {
    /// question, by number; both turns share it
    pub question: usize,
    /// 1 or 2
    pub turn: usize,
    /// category of the question
    pub category: String,
    /// grade in 1..=10; −1 where the judge's answer held none
    pub rating: f64,
}

/// Averages over rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtBench {
    /// over all rows
    pub score: Figure,
    /// by turn
    pub turns: BTreeMap<usize, Figure>,
    /// by category
    pub categories: BTreeMap<String, Figure>,
    /// rows without a grade, left out
    pub unparsed: usize,
}

/// MT-Bench averages: means over all (question, turn) rows, with bootstrap intervals over questions, since the two turns of a question
/// are one conversation.
///
/// # Errors
/// No graded row, a grade outside 1..=10 that is not −1, the errors of [`Bootstrap`].
///
/// # Source
/// `lm-sys/FastChat`, `llm_judge/show_result.py`.
pub fn mt_bench(rows: &[MtBenchRow], bootstrap: &Bootstrap) -> Result<MtBench, EvaluationError> {
    let mut graded = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        match row.rating {
            r if (1.0..=10.0).contains(&r) => graded.push(row),
            -1.0 => {}
            r => {
                let problem = format!("rating {r}; a number in 1..=10, or -1 for none, is expected");
                return Err(EvaluationError::Row { what: "rows", index, problem });
            }
        }
    }
    let average = |rows: Vec<&MtBenchRow>| -> Result<Figure, EvaluationError> {
        let questions: Vec<usize> = rows.iter().map(|r| r.question).collect();
        let mean = |drawn: &[usize]| drawn.iter().map(|&i| rows[i].rating).sum::<f64>() / drawn.len() as f64;
        bootstrap.clusters(&questions, mean)
    };
    let mut turns: BTreeMap<usize, Vec<&MtBenchRow>> = BTreeMap::new();
    let mut categories: BTreeMap<String, Vec<&MtBenchRow>> = BTreeMap::new();
    for row in &graded {
        turns.entry(row.turn).or_default().push(row);
        categories.entry(row.category.clone()).or_default().push(row);
    }
    Ok(MtBench {
        unparsed: rows.len() - graded.len(),
        turns: turns.into_iter().map(|(t, r)| Ok((t, average(r)?))).collect::<Result<_, EvaluationError>>()?,
        categories: categories.into_iter().map(|(c, r)| Ok((c, average(r)?))).collect::<Result<_, EvaluationError>>()?,
        score: average(graded)?,
    })
}

/// The score of the first of two graded answers in a comparison: 1, ½ or 0; a tie when the grades differ by at most 0.1.
///
/// # Errors
/// Grades that are not finite, or −1 (no grade).
pub fn mt_bench_pair(first: f64, second: f64) -> Result<f64, EvaluationError> {
    finite("ratings", &[first, second])?;
    if let Some(value) = [first, second].into_iter().find(|r| *r < 0.0) {
        return Err(EvaluationError::Value { what: "rating", value, expected: "leave out pairs without a grade" });
    }
    Ok(match first - second {
        // grades come in tenths, whose differences are not exact
        d if d.abs() <= 0.1 + 1e-9 => 0.5,
        d if d > 0.0 => 1.0,
        _ => 0.0,
    })
}
