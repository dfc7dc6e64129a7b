//! Which layers attend elsewhere under conflicting instructions.
use crate::error::{EvaluationError, same_length};
use crate::figures::{mean, outside, positive};
use crate::likelihood::jensen_shannon;
use crate::stats::Figure;
use serde::Serialize;
use std::ops::Range;

/// Attention of a prompt, `[layers, heads, queries, keys]`; queries are the positions of the answer.
#[derive(Clone, Copy, Debug)]
pub struct AttentionMap<'a> {
    shape: [usize; 4],
    weights: &'a [f64],
}

impl<'a> AttentionMap<'a> {
    /// Weights in row-major order.
    ///
    /// # Errors
    /// An axis of 0, another number of weights than the shape has, negative or not finite weights.
    pub fn new(shape: [usize; 4], weights: &'a [f64]) -> Result<Self, EvaluationError> {
        if shape.contains(&0) {
            return Err(EvaluationError::Range {
                what: "an axis",
                value: 0,
                expected: "layers, heads, queries and keys are needed",
            });
        }
        same_length("attention weights", shape.iter().product(), weights.len())?;
        match weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            Some(index) => Err(outside("attention weights", index, weights[index], "a weight is at least 0")),
            None => Ok(Self { shape, weights }),
        }
    }

    fn row(&self, layer: usize, head: usize, query: usize) -> &'a [f64] {
        let [_, heads, queries, keys] = self.shape;
        let start = ((layer * heads + head) * queries + query) * keys;
        &self.weights[start..start + keys]
    }
}

/// Drift of the attention of one pair of prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// mean Jensen–Shannon divergence over queries, by layer and head: between 0 and `ln 2`
    pub heads: Vec<Vec<f64>>,
}

impl Drift {
    /// Mean over the heads of each layer.
    pub fn layers(&self) -> Vec<f64> {
        self.heads.iter().map(|h| h.iter().sum::<f64>() / h.len() as f64).collect()
    }
}

/// Drift between the maps of a prompt without and with a conflict. `keys` pairs the positions that both have; attention is
/// renormalised over them. A query that gives them no attention at all in one of the maps is left out.
///
/// # Errors
/// Maps of different layers, heads or queries; no shared keys, or keys that a map does not have.
///
/// # Source
/// SAIL (arXiv 2509.23188) localises conflicts by attention; neither text nor code gives the formula, this one is ours.
pub fn attention_drift(
    clean: &AttentionMap<'_>,
    conflict: &AttentionMap<'_>,
    keys: &[(usize, usize)],
) -> Result<Drift, EvaluationError> {
    let [layers, heads, queries, _] = clean.shape;
    for (what, axis) in [("layers", 0), ("heads", 1), ("queries", 2)] {
        same_length(what, clean.shape[axis], conflict.shape[axis])?;
    }
    if keys.is_empty() {
        return Err(EvaluationError::Empty { what: "the list of shared keys" });
    }
    for (a, b) in keys {
        if *a >= clean.shape[3] || *b >= conflict.shape[3] {
            return Err(EvaluationError::Range { what: "a shared key", value: *a.max(b), expected: "there are fewer keys" });
        }
    }
    let head = |layer: usize, head: usize| {
        let (mut sum, mut n) = (0.0, 0.0);
        for query in 0..queries {
            let (a, b) = (clean.row(layer, head, query), conflict.row(layer, head, query));
            let sides = [keys.iter().map(|k| a[k.0]).collect(), keys.iter().map(|k| b[k.1]).collect()].map(log_shares);
            if let [Some(a), Some(b)] = &sides {
                sum += jensen_shannon(a, b)?;
                n += 1.0;
            }
        }
        Ok(if n > 0.0 { sum / n } else { 0.0 })
    };
    let layer = |l: usize| (0..heads).map(|h| head(l, h)).collect::<Result<Vec<f64>, EvaluationError>>();
    Ok(Drift { heads: (0..layers).map(layer).collect::<Result<_, _>>()? })
}

/// Logs of the shares of weights; none if they are all 0.
fn log_shares(weights: Vec<f64>) -> Option<Vec<f64>> {
    let total: f64 = weights.iter().sum();
    (total > 0.0).then(|| weights.iter().map(|w| (w / total).ln()).collect())
}

/// Where conflicts are handled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Localised {
    /// mean drift of each layer over pairs of prompts
    pub layers: Vec<Figure>,
    /// the neighbouring layers that drift most
    pub focal: Range<usize>,
}

/// The `count` neighbouring layers with the largest drift over pairs of prompts. `weights`, such as each pair's drop in CRAS,
/// weight the pairs; with weights the figures are means of `weight · drift`, weights brought to a mean of 1.
///
/// # Errors
/// No pairs, pairs with different numbers of layers, more layers asked for than there are, weights that are not positive.
pub fn localise(drifts: &[Drift], weights: Option<&[f64]>, count: usize) -> Result<Localised, EvaluationError> {
    let layers = drifts.first().ok_or(EvaluationError::Empty { what: "the list of drifts" })?.heads.len();
    drifts.iter().try_for_each(|d| same_length("layers", layers, d.heads.len()))?;
    if count == 0 || count > layers {
        let expected = "take at least 1 and no more than there are";
        return Err(EvaluationError::Range { what: "focal layers", value: count, expected });
    }
    let weights = match weights {
        Some(w) => {
            same_length("weights", drifts.len(), w.len())?;
            positive("weights", w)?;
            let scale = w.len() as f64 / w.iter().sum::<f64>();
            w.iter().map(|w| w * scale).collect()
        }
        None => vec![1.0; drifts.len()],
    };
    let by_pair: Vec<Vec<f64>> = drifts.iter().map(Drift::layers).collect();
    let figure = |l: usize| mean("drifts", &by_pair.iter().zip(&weights).map(|(d, w)| w * d[l]).collect::<Vec<_>>());
    let figures: Vec<Figure> = (0..layers).map(figure).collect::<Result<_, _>>()?;
    let sum = |start: usize| figures[start..start + count].iter().map(|f| f.value).sum::<f64>();
    let start = (0..=layers - count).fold(0, |best, s| if sum(s) > sum(best) { s } else { best });
    Ok(Localised { layers: figures, focal: start..start + count })
}
