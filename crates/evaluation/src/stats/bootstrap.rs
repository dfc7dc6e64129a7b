//! The bootstrap: seeded, on all threads, the same on any number of them.
use super::figure::{Figure, Method};
use super::interval::cluster_means;
use super::resample::{redraw_counts, row, stream};
use super::summary::quantile_of_sorted;
use super::{normal_cdf, normal_quantile};
use crate::error::{EvaluationError, finite, level_in_range};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A mean of at most so many distinct values is resampled by their counts.
const DISTINCT: usize = 16;

/// How the ends of an interval are read off the resamples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootstrapKind {
    /// Quantiles (type 7) of the resamples.
    #[default]
    Percentile,
    /// Bias-corrected and accelerated: quantiles at shares moved by the resamples' median bias and by the skewness of the
    /// statistic, from deleting one row (or cluster) at a time, which costs one evaluation per row. Efron 1987.
    Bca,
}

/// A bootstrap: rows drawn with replacement `resamples` times. Resample `r` has a ChaCha8 stream of its own, so a figure depends on the
/// seed alone, not on the number of threads.
///
/// ```
/// use tropism_evaluation::Bootstrap;
/// let scores = [1.0, 1.0, 0.5, 0.0, 1.0, 1.0, 0.0, 0.5, 1.0, 0.0];
/// let rate = Bootstrap { resamples: 2000, seed: 42, ..Bootstrap::default() }.mean(&scores)?;
/// assert_eq!(rate.value, 0.6);
/// assert!(rate.low < 0.4 && rate.high > 0.8);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    /// number of resamples, at least 100; 1000
    pub resamples: usize,
    /// nominal coverage; 0.95
    pub level: f64,
    /// seed; 0
    pub seed: u64,
    /// how ends are read off; percentile
    pub kind: BootstrapKind,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 1000, level: 0.95, seed: 0, kind: BootstrapKind::default() }
    }
}

impl Bootstrap {
    /// The mean of independent values. Of few distinct values (verdicts with ties), the counts are drawn instead of the rows: the same
    /// law, hardly any work.
    ///
    /// # Errors
    /// An empty slice, a value that is not finite, fewer than 100 resamples, a level outside 0..1; with
    /// [`BootstrapKind::Bca`] resamples that all lie on one side of the estimate.
    pub fn mean(&self, values: &[f64]) -> Result<Figure, EvaluationError> {
        let value = super::mean(values)?;
        let n = values.len() as f64;
        let found = match classes(values) {
            Some((values, counts)) => self.replicates(|rng| {
                let mut drawn = vec![0; counts.len()];
                redraw_counts(rng, &counts, &mut drawn);
                Ok(drawn.iter().zip(&values).map(|(d, v)| *d as f64 * v).sum::<f64>() / n)
            }),
            None => self.replicates(|rng| Ok((0..values.len()).map(|_| values[row(rng, values.len())]).sum::<f64>() / n)),
        }?;
        // deleting row i leaves (n·mean − x_i)/(n − 1)
        let deleted = || Ok(values.iter().map(|x| (value * n - x) / (n - 1.0)).collect());
        self.figure(value, found, values.len(), deleted)
    }

    /// The mean over clusters of the clusters' means, clusters resampled whole: for prompts with several answers.
    ///
    /// # Errors
    /// As [`Bootstrap::mean`]; slices of different lengths.
    pub fn clustered_mean(&self, values: &[f64], clusters: &[usize]) -> Result<Figure, EvaluationError> {
        self.mean(&cluster_means(values, clusters)?)
    }

    /// Any statistic of a list of values.
    ///
    /// # Errors
    /// As [`Bootstrap::mean`]; a statistic that is not finite.
    pub fn statistic(&self, values: &[f64], statistic: impl Fn(&[f64]) -> f64 + Sync) -> Result<Figure, EvaluationError> {
        finite("values", values)?;
        self.rows(values.len(), |rows| statistic(&rows.iter().map(|&i| values[i]).collect::<Vec<_>>()))
    }

    /// Any statistic of `n` rows, given the rows that were drawn.
    ///
    /// # Errors
    /// As [`Bootstrap::statistic`].
    pub fn rows(&self, n: usize, statistic: impl Fn(&[usize]) -> f64 + Sync) -> Result<Figure, EvaluationError> {
        let figures = self.vectors(n, |rows| Ok(vec![statistic(rows)]))?;
        figures.into_iter().next().ok_or(EvaluationError::Empty { what: "statistic" })
    }

    /// Any statistic of rows that come in clusters, which are drawn whole; the statistic is given the rows of the drawn
    /// clusters. `n` of the figure is the number of clusters.
    ///
    /// # Errors
    /// As [`Bootstrap::statistic`].
    pub fn clusters(
        &self,
        clusters: &[usize],
        statistic: impl Fn(&[usize]) -> f64 + Sync,
    ) -> Result<Figure, EvaluationError> {
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        clusters.iter().enumerate().for_each(|(i, c)| members.entry(*c).or_default().push(i));
        let members: Vec<Vec<usize>> = members.into_values().collect();
        self.rows(members.len(), |drawn| statistic(&drawn.iter().flat_map(|&c| &members[c]).copied().collect::<Vec<_>>()))
    }

    /// Several statistics of the same resamples of `n` rows, such as all ratings of a Bradley–Terry fit.
    ///
    /// # Errors
    /// As [`Bootstrap::statistic`]; whatever the statistic returns; a changing number of figures.
    pub fn vectors(
        &self,
        n: usize,
        statistic: impl Fn(&[usize]) -> Result<Vec<f64>, EvaluationError> + Sync,
    ) -> Result<Vec<Figure>, EvaluationError> {
        if n == 0 {
            return Err(EvaluationError::Empty { what: "rows" });
        }
        let all: Vec<usize> = (0..n).collect();
        let values = statistic(&all)?;
        finite("statistic", &values)?;
        let found = self.replicates(|rng| statistic(&(0..n).map(|_| row(rng, n)).collect::<Vec<_>>()))?;
        let deleted = match self.kind {
            BootstrapKind::Percentile => Vec::new(),
            BootstrapKind::Bca => (0..n)
                .into_par_iter()
                .map(|out| statistic(&all.iter().copied().filter(|&i| i != out).collect::<Vec<_>>()))
                .collect::<Result<Vec<_>, _>>()?,
        };
        let column = |from: &[Vec<f64>], k: usize| -> Result<Vec<f64>, EvaluationError> {
            let changed = |len| EvaluationError::Length { what: "statistic", expected: values.len(), found: len };
            from.iter().map(|f| f.get(k).copied().ok_or_else(|| changed(f.len()))).collect()
        };
        (0..values.len()).map(|k| self.figure(values[k], column(&found, k)?, n, || column(&deleted, k))).collect()
    }

    /// What `draw` makes of each resample's stream, in order.
    pub(crate) fn replicates<T: Send>(
        &self,
        draw: impl Fn(&mut ChaCha8Rng) -> Result<T, EvaluationError> + Sync,
    ) -> Result<Vec<T>, EvaluationError> {
        if self.resamples < 100 {
            let value = self.resamples;
            return Err(EvaluationError::Range { what: "resamples", value, expected: "take at least 100" });
        }
        level_in_range(self.level)?;
        (0..self.resamples as u64).into_par_iter().map(|r| draw(&mut stream(self.seed, r))).collect()
    }

    /// The figure of an estimate and its resamples; `deleted` gives the estimates without one row each.
    pub(crate) fn figure(
        &self,
        value: f64,
        mut found: Vec<f64>,
        n: usize,
        deleted: impl FnOnce() -> Result<Vec<f64>, EvaluationError>,
    ) -> Result<Figure, EvaluationError> {
        finite("statistic", &found)?;
        found.sort_unstable_by(f64::total_cmp);
        let Self { kind, level, resamples, seed } = *self;
        let tail = 0.5 * (1.0 - level);
        let [low, high] = match kind {
            BootstrapKind::Bca if n > 1 => bca_shares(value, &found, &deleted()?, tail)?,
            _ => [tail, 1.0 - tail],
        };
        let at = |share| quantile_of_sorted(&found, share);
        Ok(Figure { value, low: at(low), high: at(high), n, method: Method::Bootstrap { kind, level, resamples, seed } })
    }
}

/// Distinct values and how often each occurs, when they are few.
fn classes(values: &[f64]) -> Option<(Vec<f64>, Vec<usize>)> {
    let (mut distinct, mut counts) = (Vec::<f64>::new(), Vec::<usize>::new());
    for v in values {
        match distinct.iter().position(|d| d == v) {
            Some(i) => counts[i] += 1,
            None if distinct.len() == DISTINCT => return None,
            None => {
                distinct.push(*v);
                counts.push(1);
            }
        }
    }
    Some((distinct, counts))
}

/// The shares of the sorted resamples at which the two ends lie.
fn bca_shares(value: f64, sorted: &[f64], deleted: &[f64], tail: f64) -> Result<[f64; 2], EvaluationError> {
    finite("statistic without one row", deleted)?;
    let (below, up_to) = (sorted.partition_point(|x| *x < value), sorted.partition_point(|x| *x <= value));
    let bias = normal_quantile(0.5 * (below + up_to) as f64 / sorted.len() as f64);
    if !bias.is_finite() {
        let problem = "all resamples lie on one side of the estimate; use the percentile interval".to_owned();
        return Err(EvaluationError::Undefined { what: "BCa interval", problem });
    }
    let centre = deleted.iter().sum::<f64>() / deleted.len() as f64;
    let power = |k: i32| deleted.iter().map(|d| (centre - d).powi(k)).sum::<f64>();
    let squares = power(2);
    let acceleration = if squares > 0.0 { power(3) / (6.0 * squares.powf(1.5)) } else { 0.0 };
    let share = |z: f64| normal_cdf(bias + (bias + z) / (1.0 - acceleration * (bias + z)));
    let z = normal_quantile(tail);
    Ok([share(z), share(-z)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Ends that scipy reads off the same resamples.
    #[test]
    fn bca_ends_of_given_resamples() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/evaluation/stats.json");
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default();
        let numbers = |v: &Value| v.as_array().into_iter().flatten().filter_map(Value::as_f64).collect::<Vec<_>>();
        let (x, found) = (numbers(&golden["bca"]["x"]), numbers(&golden["bca"]["resamples"]));
        assert_eq!((x.len(), found.len()), (15, 60));
        let variance = |x: &[f64]| crate::sample_sd(x).map(|s| s * s);
        let without = |i: usize| variance(&[&x[..i], &x[i + 1..]].concat());
        let bca = Bootstrap { kind: BootstrapKind::Bca, ..Bootstrap::default() };
        let figure = variance(&x).and_then(|v| bca.figure(v, found, x.len(), || (0..x.len()).map(without).collect()));
        let ends = numbers(&golden["bca"]["ends"]);
        let near = |f: &Figure| (f.low - ends[0]).abs() < 1e-8 && (f.high - ends[1]).abs() < 1e-8;
        assert!(figure.as_ref().is_ok_and(near), "{figure:?} against {ends:?}");
    }
}
