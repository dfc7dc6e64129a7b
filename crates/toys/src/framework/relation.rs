//! Statements about figures, and whether they came out.

use serde::Serialize;
use tropism_evaluation::{self as evaluation, mean_interval};

use super::toy::Chance;
use super::{Figures, Run, Toy, ToyError};

/// A named statement about the figures of a seed, such as `length(dpo) > length(simpo)`.
///
/// It is decided over the seeds by the 95 % interval of its *slack*, a number per seed that is positive where the
/// statement holds: figures of one seed share data and start, so their difference is paired.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relation {
    left: &'static str,
    right: Right,
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Right {
    Figure(&'static str),
    Value(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    /// left > right + by
    Above { by: f64 },
    /// left < right
    Below,
    /// |left − right| < within
    Near { within: f64 },
}

impl Relation {
    /// `left > right`.
    pub const fn above(left: &'static str, right: &'static str) -> Self {
        Self { left, right: Right::Figure(right), order: Order::Above { by: 0.0 } }
    }

    /// `left > right + by`; with a negative `by`: not worse by more than that.
    pub const fn above_by(left: &'static str, right: &'static str, by: f64) -> Self {
        Self { left, right: Right::Figure(right), order: Order::Above { by } }
    }

    /// `left > value`.
    pub const fn above_value(left: &'static str, value: f64) -> Self {
        Self { left, right: Right::Value(value), order: Order::Above { by: 0.0 } }
    }

    /// `left < value`.
    pub const fn below_value(left: &'static str, value: f64) -> Self {
        Self { left, right: Right::Value(value), order: Order::Below }
    }

    /// `|left − right| < within`: the same for practical purposes.
    pub const fn near(left: &'static str, right: &'static str, within: f64) -> Self {
        Self { left, right: Right::Figure(right), order: Order::Near { within } }
    }

    /// `|left − value| < within`.
    pub const fn near_value(left: &'static str, value: f64, within: f64) -> Self {
        Self { left, right: Right::Value(value), order: Order::Near { within } }
    }

    /// The statement in words of figures.
    pub fn statement(&self) -> String {
        let left = self.left;
        let right = match self.right {
            Right::Figure(name) => name.to_owned(),
            Right::Value(value) => number(value),
        };
        match self.order {
            Order::Above { by: 0.0 } => format!("{left} > {right}"),
            Order::Above { by } if by < 0.0 => format!("{left} > {right} - {}", number(-by)),
            Order::Above { by } => format!("{left} > {right} + {}", number(by)),
            Order::Below => format!("{left} < {right}"),
            Order::Near { within } => format!("|{left} - {right}| < {}", number(within)),
        }
    }

    /// Left minus right under one seed.
    fn difference(&self, toy: &Toy, figures: &Figures) -> Result<f64, ToyError> {
        let get = |name| figures.get(name).ok_or(ToyError::NoFigure { toy: toy.row, figure: name });
        let right = match self.right {
            Right::Figure(name) => get(name)?,
            Right::Value(value) => value,
        };
        Ok(get(self.left)? - right)
    }

    /// Decides the statement over the seeds.
    ///
    /// # Errors
    /// [`ToyError::NoFigure`]; [`ToyError::Evaluation`] without runs.
    pub(crate) fn decide(&self, toy: &Toy, runs: &[Run]) -> Result<Decided, ToyError> {
        let differences: Vec<f64> = runs.iter().map(|r| self.difference(toy, &r.figures)).collect::<Result<_, _>>()?;
        let difference = mean_interval(&differences)?;
        let single = runs.len() == 1 && toy.chance != Chance::None;
        let verdict = if single { Verdict::Undecided } else { self.verdict(&difference) };
        Ok(Decided { statement: self.statement(), difference, verdict })
    }

    fn verdict(&self, d: &evaluation::Figure) -> Verdict {
        // (surely holds, surely fails)
        let (holds, fails) = match self.order {
            Order::Above { by } => (d.low > by, d.high <= by),
            Order::Below => (d.high < 0.0, d.low >= 0.0),
            Order::Near { within } => (d.low > -within && d.high < within, d.low >= within || d.high <= -within),
        };
        match (holds, fails) {
            (true, _) => Verdict::CameOut,
            (_, true) => Verdict::DidNot,
            _ => Verdict::Undecided,
        }
    }
}

/// A constant as a reader writes it.
fn number(value: f64) -> String {
    let small = value != 0.0 && value.abs() < 1e-3;
    if small { format!("{value:e}") } else { format!("{value}") }
}

/// Whether a relation holds, as far as the seeds tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// the whole interval agrees with the statement
    CameOut,
    /// the whole interval contradicts it
    DidNot,
    /// the interval holds both, or there is only one seed
    Undecided,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Verdict::CameOut => "came out",
            Verdict::DidNot => "did not come out",
            Verdict::Undecided => "undecided",
        })
    }
}

/// A relation with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decided {
    /// the statement
    pub statement: String,
    /// left minus right over the seeds, paired
    pub difference: evaluation::Figure,
    /// what follows from it
    pub verdict: Verdict,
}
