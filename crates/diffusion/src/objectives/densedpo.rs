//! DenseDPO: preferences by segment of a clip, compared together.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::{from_f64, to_f64};
use tropism_core::options::{any, positive};
use tropism_core::{Column, CoreError, Diagnostics, Domain, LossTerms};

use super::SegmentPairs;
use super::method::{method, options};
use super::shared::{check_values, logistic};
use crate::DiffusionError;
use crate::tensors::{attach_rows, size};

options! {
    /// Options of [`densedpo()`].
    DenseDpo = "densedpo", "DenseDPO: Fine-Grained Temporal Preference Optimization for Video Diffusion Models, arXiv 2506.03517" {
        /// Strength `β > 0`, where Diffusion-DPO has `β/2`; 500 by default, data of few dimensions take 10 to 30.
        beta: f64 = 500.0, with_beta, positive;
        /// How segments are compared.
        segments: Segments = Segments::Mean, with_segments, any;
    }
}

/// How the segments of a pair are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Segments {
    /// One sigmoid of the mean over all elements of segments that are no ties: the authors' implementation.
    #[default]
    Mean,
    /// One sigmoid of the sum over elements: equation 7.
    Sum,
    /// A sigmoid for each segment, averaged by elements. A **different** loss, at least as large as [`Mean`](Self::Mean)'s.
    Apart,
}

method!(
    DenseDpo,
    Segments(policy, reference),
    [Column::cell("label", Domain::Any), Column::cell("size", Domain::NotNegative)],
    |this, read| densedpo(policy, reference, &read("label"), &read("size"), this)
);

/// The DenseDPO loss of `P` pairs with `K` segments each; `labels` are 1 where the first member is better, −1 where the second is, 0 for
/// ties, and `sizes` the numbers of elements, both `[P, K]` row by row.
///
/// With `δ_f = (e^θ − e^ref of the first member's segment) − (the same of the second's)` and `n_f` elements:
///
/// ```text
/// mean:  z = −β Σ l_f n_f δ_f / Σ |l_f| n_f      sum:  z = −β Σ l_f n_f δ_f
/// losses = −log σ(z)     weights = 1, 0 for a pair of ties alone
/// ∂losses/∂e_f(x⁰) = β σ(−z) l_f w_f      ∂losses/∂e_f(x¹) = −β σ(−z) l_f w_f      w_f = n_f/Σ|l|n or n_f
/// ```
///
/// Segments share the `σ(−z)` of their pair. Nothing in a tie segment reaches loss or gradient. With one segment and the mean form this
/// is Diffusion-DPO with `β_dpo = 2β`.
///
/// Source: arXiv 2506.03517, equation 7 and appendix A.3; the training code is not released.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Value`] for a label that is none of −1, 0 and 1 or a size below 1;
/// [`DiffusionError::Shape`]; [`DiffusionError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{DenseDpo, ErrorTable, SegmentPairs, Segments, densedpo};
///
/// let dev = Cpu::default();
/// let pair = |a, b| SegmentPairs::new(ErrorTable::new(dev.tensor([a]))?, ErrorTable::new(dev.tensor([b]))?);
/// let policy = pair([0.12_f64, 0.20, 0.06], [0.15, 0.08, 0.13])?;
/// let reference = pair([0.1; 3], [0.1; 3])?;
/// let config = DenseDpo::default().with_beta(8.0).with_segments(Segments::Sum);
/// let terms = densedpo(policy, reference, &[1.0, -1.0, 0.0], &[1.0; 3], &config)?;
/// assert!((terms.values()[0] - 0.2632824673).abs() < 1e-9);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn densedpo<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SegmentPairs<P, K, E, D, T>,
    reference: SegmentPairs<P, K, E, D>,
    labels: &[f64],
    sizes: &[f64],
    config: &DenseDpo,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let (rows, k) = policy.first.size();
    DiffusionError::check_shape("reference errors", (rows, k), reference.first.size())?;
    check_values("label", labels, rows * k, (|l| [-1.0, 0.0, 1.0].contains(&l), "-1, 0 or 1"))?;
    check_values("segment size", sizes, rows * k, (|n| n >= 1.0, "at least 1"))?;
    let first = changes_of(&to_f64(&policy.first.errors), &to_f64(&reference.first.errors));
    let second = changes_of(&to_f64(&policy.second.errors), &to_f64(&reference.second.errors));
    let (mut losses, mut weights, mut margins, mut slopes) = (vec![], vec![], vec![], vec![]);
    for row in 0..rows {
        let cells = row * k..(row + 1) * k;
        let gaps: Vec<f64> = cells.clone().map(|i| labels[i] * (first[i] - second[i])).collect();
        let counted: Vec<f64> = cells.clone().map(|i| labels[i].abs() * sizes[i]).collect();
        let (loss, margin, shares) = compare(&gaps, &counted, config);
        losses.push(loss);
        margins.push(margin);
        weights.push(f64::from(u8::from(counted.iter().any(|c| *c > 0.0))));
        slopes.extend(cells.zip(shares).map(|(i, share)| labels[i] * share));
    }
    CoreError::check_finite("loss", &losses)?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("rewards/margins", margins.clone())?;
    diagnostics.push("rewards/accuracies", margins.iter().map(|&z| f64::from(u8::from(z > 0.0))).collect())?;
    diagnostics
        .push("segments/labelled", labels.chunks(k).map(|l| l.iter().map(|l| l.abs()).sum::<f64>() / k as f64).collect())?;
    let opposite: Vec<f64> = slopes.iter().map(|s| -s).collect();
    let one = attach_rows(&losses, policy.first.errors, &slopes)?;
    let other = attach_rows(&vec![0.0; rows], policy.second.errors, &opposite)?;
    let both = one.try_add(other).map_err(CoreError::device)?;
    Ok(LossTerms::new(both, weights, diagnostics)?)
}

/// Loss, margin and slope in each segment's signed gap, of one pair; all 0 without a label.
fn compare(gaps: &[f64], counted: &[f64], config: &DenseDpo) -> (f64, f64, Vec<f64>) {
    let total: f64 = counted.iter().sum();
    if total == 0.0 {
        return (0.0, 0.0, vec![0.0; gaps.len()]);
    }
    let scale = if config.segments == Segments::Sum { 1.0 } else { 1.0 / total };
    let margin = -config.beta * scale * gaps.iter().zip(counted).map(|(g, n)| g * n).sum::<f64>();
    if config.segments != Segments::Apart {
        let (loss, slope) = logistic(margin);
        return (loss, margin, counted.iter().map(|n| -config.beta * slope * scale * n).collect());
    }
    let each: Vec<(f64, f64)> = gaps.iter().map(|g| logistic(-config.beta * g)).collect();
    let loss = each.iter().zip(counted).map(|((v, _), n)| v * n * scale).sum();
    (loss, margin, each.iter().zip(counted).map(|((_, s), n)| -config.beta * s * n * scale).collect())
}

fn changes_of(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(e, r)| e - r).collect()
}

/// Squared errors of each segment, averaged over its elements, `[B, K]`: `sizes` are the numbers of consecutive columns of the `K`
/// segments, the same for all rows.
///
/// # Errors
/// [`DiffusionError::Shape`] for other targets; [`DiffusionError::Core`] unless the sizes sum to the columns, and for errors that are not
/// finite.
pub fn segment_errors<B: Dim, D: Dim, E: Dtype, V: Device<E>, T: Tape<E, V>>(
    output: Tensor<(B, D), E, V, T>,
    target: &Tensor<(B, D), E, V>,
    sizes: &[usize],
) -> Result<Tensor<(B, usize), E, V, T>, DiffusionError> {
    let (rows, columns) = size(&output);
    DiffusionError::check_shape("target", (rows, columns), size(target))?;
    CoreError::check_size("elements of all segments", columns, sizes.iter().sum())?;
    let mut mean = vec![0.0; columns * sizes.len()];
    let mut start = 0;
    for (segment, &n) in sizes.iter().enumerate() {
        (start..start + n).for_each(|i| mean[i * sizes.len() + segment] = 1.0 / n as f64);
        start += n;
    }
    let device = output.device().clone();
    let mean: Tensor<(D, usize), E, V> = from_f64(&device, &mean, (output.shape().1, sizes.len()))?;
    let squares = output.try_sub(target.clone()).and_then(|d| d.try_square()).map_err(CoreError::device)?;
    let errors = squares.try_matmul(mean).map_err(CoreError::device)?;
    CoreError::check_finite("segment error", &to_f64(&errors))?;
    Ok(errors)
}
