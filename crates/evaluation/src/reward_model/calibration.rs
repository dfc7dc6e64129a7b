//! Whether confidence can be taken at its word.
use crate::error::{EvaluationError, same_length};
use crate::figures::{mean, share, shares};
use crate::likelihood::sigmoid;
use crate::stats::{Bootstrap, Figure};
use serde::Serialize;

/// How confidences are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binning {
    /// so many bins of equal width, open below but for the first
    EqualWidth(usize),
    /// so many bins of equal count, as far as the number divides; equal confidences may be split
    EqualCount(usize),
}

/// One point of a reliability curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// mean confidence
    pub confidence: f64,
    /// share that was right, with its interval and how many there are
    pub accuracy: Figure,
}

/// Calibration of confidences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// expected calibration error: `Σ n_b/n · |accuracy_b − confidence_b|`. Its interval is a bootstrap over rows; noise
    /// alone makes it positive, the more so the fewer rows a bin has
    pub ece: Figure,
    /// largest gap of a bin
    pub max_gap: f64,
    /// mean of `(confidence − correct)²`
    pub brier: Figure,
    /// mean of `−log p(what happened)` in nats
    pub nll: Figure,
    /// the reliability curve: bins that are not empty, by confidence
    pub curve: Vec<ReliabilityBin>,
}

/// Confidences that pairs are ranked rightly, and whether they are: `max(p, 1 − p)` with `p = σ(margin)`. Margins of 0
/// are neither and are left out.
pub fn pair_confidence(margins: &[f64]) -> (Vec<f64>, Vec<bool>) {
    let decided = margins.iter().filter(|m| **m != 0.0);
    decided.map(|m| (sigmoid(m.abs()), *m > 0.0)).unzip()
}

/// Calibration of confidences in `0 ..= 1` that something is correct.
///
/// # Errors
/// Empty or unequal slices, confidences outside 0 … 1, no bins or more bins than `u32` holds, too few resamples.
///
/// # Source
/// Naeini et al. 2015, Guo et al. 2017; equal counts by Nguyen and O'Connor 2015.
pub fn calibration(
    confidence: &[f64],
    correct: &[bool],
    binning: Binning,
    bootstrap: Bootstrap,
) -> Result<Calibration, EvaluationError> {
    shares("confidences", confidence)?;
    same_length("correctness", confidence.len(), correct.len())?;
    let (Binning::EqualWidth(count) | Binning::EqualCount(count)) = binning;
    if count == 0 {
        return Err(EvaluationError::Range { what: "bins", value: 0, expected: "take at least 1, such as 10" });
    }
    let hit = |i: usize| f64::from(u8::from(correct[i]));
    let error = |rows: &[usize]| {
        let gaps = bins(confidence, rows, binning).into_iter().map(|bin| gap(&bin, confidence, correct) * bin.len() as f64);
        gaps.sum::<f64>() / rows.len() as f64
    };
    let all: Vec<usize> = (0..confidence.len()).collect();
    let groups = bins(confidence, &all, binning);
    let point = |bin: &Vec<usize>| {
        let hits = bin.iter().filter(|&&i| correct[i]).count();
        let confidence = bin.iter().map(|&i| confidence[i]).sum::<f64>() / bin.len() as f64;
        Ok(ReliabilityBin { confidence, accuracy: share("rows", hits, bin.len())? })
    };
    let brier: Vec<f64> = all.iter().map(|&i| (confidence[i] - hit(i)).powi(2)).collect();
    let nll: Vec<f64> = all.iter().map(|&i| -(1.0 - hit(i) - confidence[i]).abs().ln()).collect();
    Ok(Calibration {
        ece: bootstrap.rows(confidence.len(), error)?,
        max_gap: groups.iter().map(|bin| gap(bin, confidence, correct)).fold(0.0, f64::max),
        brier: mean("rows", &brier)?,
        nll: mean("surprises", &nll)?,
        curve: groups.iter().map(point).collect::<Result<_, EvaluationError>>()?,
    })
}

/// Rows grouped by confidence; no group is empty.
fn bins(confidence: &[f64], rows: &[usize], binning: Binning) -> Vec<Vec<usize>> {
    match binning {
        Binning::EqualWidth(count) => {
            let mut groups = std::collections::BTreeMap::<usize, Vec<usize>>::new();
            // (lo, hi], the first closed; a product may be rounded up past the edge it lies on
            let bin = |c: f64| {
                let bin = (c * count as f64).ceil();
                let bin = if c <= (bin - 1.0) / count as f64 { bin - 1.0 } else { bin };
                (bin as usize).clamp(1, count)
            };
            rows.iter().for_each(|&i| groups.entry(bin(confidence[i])).or_default().push(i));
            groups.into_values().collect()
        }
        Binning::EqualCount(count) => {
            let mut sorted = rows.to_vec();
            sorted.sort_by(|&a, &b| confidence[a].total_cmp(&confidence[b]).then(a.cmp(&b)));
            let edge = |b: usize| b * sorted.len() / count;
            (0..count).map(|b| sorted[edge(b)..edge(b + 1)].to_vec()).filter(|g| !g.is_empty()).collect()
        }
    }
}

fn gap(bin: &[usize], confidence: &[f64], correct: &[bool]) -> f64 {
    let surplus: f64 = bin.iter().map(|&i| f64::from(u8::from(correct[i])) - confidence[i]).sum();
    surplus.abs() / bin.len() as f64
}
