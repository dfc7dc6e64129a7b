//! A value that can be published: with its interval, the number of observations, and how the interval was made.
use super::bootstrap::BootstrapKind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A value with the ends of its interval, the number of independent observations, and the interval's method.
///
/// ```
/// use tropism_evaluation::{Method, wilson};
/// let share = wilson(7, 10)?;
/// assert_eq!((share.value, share.n), (0.7, 10));
/// assert_eq!(share.method, Method::Wilson { level: 0.95 });
/// assert_eq!(format!("{share:.3}"), "0.700 [0.397, 0.892], n = 10, Wilson 95 %");
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// the estimate
    pub value: f64,
    /// lower end
    pub low: f64,
    /// upper end
    pub high: f64,
    /// independent observations (prompts, where several answers share one)
    pub n: usize,
    /// how the interval was made
    pub method: Method,
}

/// How an interval was made; `level` is its nominal coverage, 0.95 unless asked otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "interval", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Method {
    /// No interval: both ends are the value. For counts and settings, and where one observation tells nothing of its spread.
    None,
    /// Wilson's score interval of a share.
    Wilson {
        /// nominal coverage
        level: f64,
    },
    /// Mean and standard error with the normal quantile.
    Normal {
        /// nominal coverage
        level: f64,
    },
    /// Mean and standard error with Student's quantile.
    StudentT {
        /// nominal coverage
        level: f64,
    },
    /// The normal quantile with a standard error from derivatives (Fisher information, delta method).
    Delta {
        /// nominal coverage
        level: f64,
    },
    /// Fisher's z transform of a correlation.
    FisherZ {
        /// nominal coverage
        level: f64,
    },
    /// Resampling of rows, or of clusters of rows.
    Bootstrap {
        /// how ends are read off the resamples
        kind: BootstrapKind,
        /// nominal coverage
        level: f64,
        /// number of resamples
        resamples: usize,
        /// seed of the resamples
        seed: u64,
    },
}

impl Figure {
    /// A value without an interval.
    pub fn exact(value: f64, n: usize) -> Self {
        Self { value, low: value, high: value, n, method: Method::None }
    }

    /// Value and ends times `factor`: 100 turns shares into percent. A negative factor swaps the ends.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let (a, b) = (self.low * factor, self.high * factor);
        Self { value: self.value * factor, low: a.min(b), high: a.max(b), ..self }
    }

    /// Value and ends cut to `low..=high`, for intervals that leave the range of what they measure.
    #[must_use]
    pub fn clamped(self, low: f64, high: f64) -> Self {
        let cut = |x: f64| x.max(low).min(high);
        Self { value: cut(self.value), low: cut(self.low), high: cut(self.high), ..self }
    }

    /// Whether the interval leaves out `x`.
    pub fn excludes(&self, x: f64) -> bool {
        x < self.low || x > self.high
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(4);
        write!(f, "{:.digits$}", self.value)?;
        if self.method != Method::None {
            write!(f, " [{:.digits$}, {:.digits$}]", self.low, self.high)?;
        }
        write!(f, ", n = {}, {}", self.n, self.method)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 99.9 must not print as 100
        let percent = |level: f64| (level * 1e4).round() / 1e2;
        match *self {
            Method::None => f.write_str("no interval"),
            Method::Wilson { level } => write!(f, "Wilson {} %", percent(level)),
            Method::Normal { level } => write!(f, "normal {} %", percent(level)),
            Method::StudentT { level } => write!(f, "Student t {} %", percent(level)),
            Method::Delta { level } => write!(f, "delta method {} %", percent(level)),
            Method::FisherZ { level } => write!(f, "Fisher z {} %", percent(level)),
            Method::Bootstrap { kind, level, resamples, seed } => {
                let kind = match kind {
                    BootstrapKind::Percentile => "percentile",
                    BootstrapKind::Bca => "BCa",
                };
                write!(f, "{kind} bootstrap {} %, {resamples} resamples, seed {seed}", percent(level))
            }
        }
    }
}
