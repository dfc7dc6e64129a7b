//! Does a judge agree with people?
use crate::error::{EvaluationError, same_length};
use crate::stats::{Figure, Method, two_sided_normal, wilson};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Who is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// the first answer
    A,
    /// neither
    Tie,
    /// the second answer
    B,
}

impl Verdict {
    /// From a score of the first answer: above, at or below ½.
    pub fn of(score: f64) -> Self {
        if score > 0.5 {
            Self::A
        } else if score < 0.5 {
            Self::B
        } else {
            Self::Tie
        }
    }
}

/// Agreement of two raters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// share of rows with the same verdict, ties being a verdict (MT-Bench's setup S1), with Wilson's interval
    pub all: Figure,
    /// the same over rows where neither says tie (setup S2); `None` if there are none
    pub decided: Option<Figure>,
    /// Cohen's κ over all rows; `None` where both raters always give one and the same verdict
    pub kappa: Option<Figure>,
}

/// How often a judge agrees with people (or two of either).
///
/// # Errors
/// Empty or unequal slices.
///
/// # Source
/// Zheng et al. 2023, "Judging LLM-as-a-judge with MT-Bench and Chatbot Arena", section 4.2. Chance is 1/3 for `all` and 1/2 for `decided`.
pub fn agreement(judge: &[Verdict], people: &[Verdict]) -> Result<Agreement, EvaluationError> {
    same_length("people's verdicts", judge.len(), people.len())?;
    let same = |keep: fn(Verdict, Verdict) -> bool| {
        let rows: Vec<bool> = judge.iter().zip(people).filter(|(a, b)| keep(**a, **b)).map(|(a, b)| a == b).collect();
        (rows.iter().filter(|s| **s).count(), rows.len())
    };
    let (agree, all) = same(|_, _| true);
    let (agree_decided, decided) = same(|a, b| a != Verdict::Tie && b != Verdict::Tie);
    let kappa = cohen_kappa(judge, people)?;
    Ok(Agreement {
        all: wilson(agree, all)?,
        decided: (decided > 0).then(|| wilson(agree_decided, decided)).transpose()?,
        kappa,
    })
}

/// Cohen's κ: `(p_o − p_e)/(1 − p_e)` with `p_o` the share of equal labels and `p_e` what the raters' own frequencies would give by chance.
/// 95 % interval from the standard error of Fleiss, Cohen and Everitt (1969). `None` where `p_e = 1`: both raters give all rows one label.
///
/// # Errors
/// Empty or unequal slices.
pub fn cohen_kappa<L: Ord + Copy>(a: &[L], b: &[L]) -> Result<Option<Figure>, EvaluationError> {
    if a.is_empty() {
        return Err(EvaluationError::Empty { what: "labels" });
    }
    same_length("second rater's labels", a.len(), b.len())?;
    let labels: BTreeSet<L> = a.iter().chain(b).copied().collect();
    let n = a.len() as f64;
    let place = |l: &L| labels.range(..*l).count();
    let k = labels.len();
    let mut table = vec![0.0; k * k];
    a.iter().zip(b).for_each(|(x, y)| table[place(x) * k + place(y)] += 1.0 / n);
    let row: Vec<f64> = (0..k).map(|i| table[i * k..(i + 1) * k].iter().sum()).collect();
    let column: Vec<f64> = (0..k).map(|j| (0..k).map(|i| table[i * k + j]).sum()).collect();
    if k == 1 {
        return Ok(None);
    }
    let seen: f64 = (0..k).map(|i| table[i * k + i]).sum();
    let chance: f64 = row.iter().zip(&column).map(|(r, c)| r * c).sum();
    let value = (seen - chance) / (1.0 - chance);
    let mut variance = -(value - chance * (1.0 - value)).powi(2);
    for i in 0..k {
        for j in 0..k {
            let from_ends = (column[i] + row[j]) * (1.0 - value);
            variance += table[i * k + j] * if i == j { (1.0 - from_ends).powi(2) } else { from_ends.powi(2) };
        }
    }
    let half = two_sided_normal(0.95) * (variance.max(0.0) / n).sqrt() / (1.0 - chance);
    let figure = Figure { value, low: value - half, high: value + half, n: a.len(), method: Method::Delta { level: 0.95 } };
    Ok(Some(figure.clamped(-1.0, 1.0)))
}

/// The verdict of most raters; a tie where no verdict has more votes than every other.
///
/// # Errors
/// No votes.
pub fn majority(votes: &[Verdict]) -> Result<Verdict, EvaluationError> {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    votes.iter().for_each(|v| *counts.entry(*v).or_default() += 1);
    let most = counts.values().copied().max().ok_or(EvaluationError::Empty { what: "votes" })?;
    let mut leaders = counts.iter().filter(|(_, c)| **c == most).map(|(v, _)| *v);
    let first = leaders.next().unwrap_or(Verdict::Tie);
    Ok(if leaders.next().is_some() { Verdict::Tie } else { first })
}

/// Chance that two different raters of one item agree, averaged over items with at least two votes: what a judge can be measured
/// against. Student's interval over items.
///
/// # Errors
/// No item with two votes.
pub fn mutual_agreement(votes: &[Vec<Verdict>]) -> Result<Figure, EvaluationError> {
    let one = |v: &Vec<Verdict>| {
        let n = v.len() as f64;
        let pairs: f64 = [Verdict::A, Verdict::Tie, Verdict::B]
            .iter()
            .map(|w| v.iter().filter(|x| *x == w).count() as f64)
            .map(|c| c * (c - 1.0))
            .sum();
        pairs / (n * (n - 1.0))
    };
    let shares: Vec<f64> = votes.iter().filter(|v| v.len() > 1).map(one).collect();
    if shares.is_empty() {
        return Err(EvaluationError::Empty { what: "items with two votes" });
    }
    Ok(crate::stats::mean_interval(&shares)?.clamped(0.0, 1.0))
}
