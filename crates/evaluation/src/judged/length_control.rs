//! AlpacaEval 2's length-controlled win rate.
use crate::error::{EvaluationError, finite, same_length, share};
use crate::stats::{
    Bootstrap, Figure, Logistic, LogisticRows, choose_c, default_grid, mean, sample_sd, sigmoid, standard_error,
};
use serde::{Deserialize, Serialize};

/// Weights of the model `logit P(win on i) = length · tanh(Δ_i / sd(Δ)) + difficulty · d_i + model`, with `Δ_i` the baseline's length
/// minus the model's, in Unicode characters, and `d_i` the instruction's difficulty.
///
/// # Source
/// Dubois et al. 2024, "Length-Controlled AlpacaEval", equation 1; `tatsu-lab/alpaca_eval`, `metrics/glm_winrate.py`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthWeights {
    /// of the length term (φ)
    pub length: f64,
    /// of the instruction's difficulty (ψ)
    pub difficulty: f64,
    /// of the model itself (θ)
    pub model: f64,
}

impl LengthWeights {
    /// Probabilities of a win at equal lengths: `σ(difficulty · d_i + model)`.
    pub fn probabilities(&self, difficulty: &[f64]) -> Vec<f64> {
        difficulty.iter().map(|d| sigmoid(self.difficulty * d + self.model)).collect()
    }

    /// The length-controlled win rate against the baseline of the fit, from weights alone: the mean of
    /// [`LengthWeights::probabilities`]. Weights carry no sampling error, so the figure has no interval.
    ///
    /// # Errors
    /// No difficulties, values that are not finite.
    ///
    /// ```
    /// use tropism_evaluation::LengthWeights;
    /// let weights = LengthWeights { length: -1.8, difficulty: 1.0, model: -2.0 };
    /// let controlled = weights.win_rate(&[0.0, -0.101360, -1.356213])?;
    /// assert!((100.0 * controlled.rate.value - 8.728666).abs() < 5e-6);
    /// # Ok::<(), tropism_evaluation::EvaluationError>(())
    /// ```
    pub fn win_rate(&self, difficulty: &[f64]) -> Result<LengthControlled, EvaluationError> {
        finite("difficulty", difficulty)?;
        finite("weights", &[self.length, self.difficulty, self.model])?;
        let p = self.probabilities(difficulty);
        let rate = Figure::exact(mean(&p)?, p.len());
        Ok(LengthControlled { rate, weights: *self, c: None, prompt_spread: standard_error(&p)? })
    }

    /// Weights for a comparison with another model than the baseline of the fits: differences. The length weight has no meaning then,
    /// since the two fits scale lengths by their own spread; it is 0.
    #[must_use]
    pub fn against(&self, other: &Self) -> Self {
        Self { length: 0.0, difficulty: self.difficulty - other.difficulty, model: self.model - other.model }
    }
}

/// A length-controlled win rate; shares, not percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthControlled {
    /// mean probability of a win at equal lengths
    pub rate: Figure,
    /// the weights
    pub weights: LengthWeights,
    /// weight of the data against the penalty, where there was one
    pub c: Option<f64>,
    /// standard error of the mean of the probabilities over prompts (`lc_standard_error`): their spread, not the error of the fit
    pub prompt_spread: f64,
}

/// A model's rows, one per instruction.
#[derive(Clone, Copy, Debug)]
pub struct LengthRows<'a> {
    /// the judge's scores of the model, in 0..=1
    pub scores: &'a [f64],
    /// length of the baseline's answer minus the model's, in Unicode characters
    pub length_differences: &'a [f64],
    /// difficulty of each instruction
    pub difficulty: &'a [f64],
}

/// Rows of the baseline's concise and verbose runs against itself, which hold the length weight in place. AlpacaEval does not
/// publish them.
#[derive(Clone, Copy, Debug)]
pub struct GamedRows<'a> {
    /// scores, in 0..=1
    pub scores: &'a [f64],
    /// length differences, each divided by the standard deviation of its own run
    pub scaled_lengths: &'a [f64],
    /// difficulty of each instruction
    pub difficulty: &'a [f64],
    /// weight of a row, a model's own rows having 1; AlpacaEval: 0.2 over two runs, 0.1
    pub weight: f64,
}

/// The penalty of the fit, all of L1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Penalty {
    /// Maximum likelihood.
    None,
    /// A given weight of the data.
    Fixed {
        /// weight of the data against the penalty
        c: f64,
    },
    /// The best of a grid by held-out log-loss.
    CrossValidated {
        /// folds; 5
        folds: usize,
        /// values of `c`; `None`: ten from 1e-4 to 1e4, evenly in logarithms
        grid: Option<Vec<f64>>,
    },
}

/// How to fit the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LengthControl {
    /// the penalty; cross-validated in five folds, as AlpacaEval's is
    pub penalty: Penalty,
    /// whether the model has the difficulty term; `false` is the paper's minimal variant
    pub difficulty: bool,
}

impl Default for LengthControl {
    fn default() -> Self {
        Self { penalty: Penalty::CrossValidated { folds: 5, grid: None }, difficulty: true }
    }
}

impl LengthControl {
    /// Fits the model and predicts the win rate at equal lengths. The figure's interval is a bootstrap over instructions that fits each
    /// resample anew (with `c` kept), which takes the error of the fit in; `None` leaves the interval out.
    ///
    /// Without gamed rows this is the paper's unregularised variant, which differs from the published leaderboard by about a
    /// point. A baseline against itself gets 0.5: all its scores are.
    ///
    /// # Errors
    /// Empty or unequal columns, values that are not finite, scores outside 0..=1, lengths that all differ by the same amount but
    /// 0 (they cannot be scaled), a fit without an optimum, the errors of [`Bootstrap::vectors`].
    pub fn fit(
        &self,
        rows: &LengthRows,
        gamed: Option<&GamedRows>,
        bootstrap: Option<&Bootstrap>,
    ) -> Result<LengthControlled, EvaluationError> {
        check(rows.scores, rows.length_differences, rows.difficulty)?;
        if let Some(g) = gamed {
            check(g.scores, g.scaled_lengths, g.difficulty)?;
        }
        let all: Vec<usize> = (0..rows.scores.len()).collect();
        let design = Design::new(rows, gamed, self.difficulty, &all)?;
        let (penalty, c) = self.penalty(&design)?;
        let start = penalty.fit(&design.rows(), &vec![0.0; design.columns])?;
        let fitted = self.weights(&start).win_rate(rows.difficulty)?;
        let resampled = |drawn: &[usize]| {
            let beta = penalty.fit(&Design::new(rows, gamed, self.difficulty, drawn)?.rows(), &start)?;
            let difficulty: Vec<f64> = drawn.iter().map(|&i| rows.difficulty[i]).collect();
            Ok(vec![mean(&self.weights(&beta).probabilities(&difficulty))?])
        };
        let interval = bootstrap.map(|b| b.vectors(all.len(), resampled)).transpose()?;
        let rate = interval.and_then(|f| f.first().copied()).unwrap_or(fitted.rate);
        Ok(LengthControlled { rate: Figure { value: fitted.rate.value, ..rate }, c, ..fitted })
    }

    fn penalty(&self, design: &Design) -> Result<(Logistic, Option<f64>), EvaluationError> {
        let c = match &self.penalty {
            Penalty::None => return Ok((Logistic { c: 1.0, l1: 0.0, l2: 0.0 }, None)),
            Penalty::Fixed { c } => *c,
            Penalty::CrossValidated { folds, grid } => {
                let grid = grid.clone().unwrap_or_else(default_grid);
                choose_c(&design.rows(), Logistic::l1(1.0), &grid, *folds)?
            }
        };
        Ok((Logistic::l1(c), Some(c)))
    }

    fn weights(&self, beta: &[f64]) -> LengthWeights {
        match *beta {
            [length, difficulty, model] => LengthWeights { length, difficulty, model },
            [length, model] => LengthWeights { length, difficulty: 0.0, model },
            _ => LengthWeights::default(),
        }
    }
}

fn check(scores: &[f64], lengths: &[f64], difficulty: &[f64]) -> Result<(), EvaluationError> {
    finite("scores", scores)?;
    finite("lengths", lengths)?;
    finite("difficulty", difficulty)?;
    same_length("lengths", scores.len(), lengths.len())?;
    same_length("difficulty", scores.len(), difficulty.len())?;
    scores.iter().try_for_each(|&s| share("score", s))
}

/// Features (length term, difficulty, model), targets and weights; gamed rows come first, as in AlpacaEval, and have no model term.
struct Design {
    features: Vec<f64>,
    columns: usize,
    targets: Vec<f64>,
    weights: Vec<f64>,
}

impl Design {
    fn new(
        rows: &LengthRows,
        gamed: Option<&GamedRows>,
        difficulty: bool,
        drawn: &[usize],
    ) -> Result<Self, EvaluationError> {
        let lengths: Vec<f64> = drawn.iter().map(|&i| rows.length_differences[i]).collect();
        let spread = sample_sd(&lengths)?;
        if spread == 0.0 && lengths[0] != 0.0 {
            let problem = format!("all rows differ by {}; the length term needs a spread", lengths[0]);
            return Err(EvaluationError::Undefined { what: "scaled length differences", problem });
        }
        let mut all = Self { features: Vec::new(), columns: 2 + usize::from(difficulty), targets: vec![], weights: vec![] };
        let mut push = |length: f64, hardness: f64, model: f64, score: f64, weight: f64| {
            all.features.push(length.tanh());
            all.features.extend(difficulty.then_some(hardness));
            all.features.push(model);
            all.targets.push(score);
            all.weights.push(weight);
        };
        if let Some(g) = gamed {
            (0..g.scores.len()).for_each(|i| push(g.scaled_lengths[i], g.difficulty[i], 0.0, g.scores[i], g.weight));
        }
        for (&i, length) in drawn.iter().zip(&lengths) {
            let scaled = if spread > 0.0 { length / spread } else { 0.0 };
            push(scaled, rows.difficulty[i], 1.0, rows.scores[i], 1.0);
        }
        Ok(all)
    }

    fn rows(&self) -> LogisticRows<'_> {
        LogisticRows { features: &self.features, columns: self.columns, targets: &self.targets, weights: &self.weights }
    }
}
