//! Figures of a step out of figures per completion.

use tropism_core::Diagnostics;

/// The scalars of a step under TRL's names, from the figures per row of all its micro-batches.
///
/// Figures of tokens are averaged over tokens, not over rows: `kl`, `old_policy_kl`, `entropy`, `policy/*`,
/// `clip_ratio/low_mean`, `…/high_mean`, `…/region_mean` (over completions where a completion has one ratio),
/// `cispo_clip_ratio`, `sampling/*/mean`, `off_policy_mask`; `val/clipfrac` over values. `clip_ratio/low_min` and
/// `…/high_max` are the least and largest share of a completion with a token; all others are means over completions.
///
/// ```
/// use tropism_core::Diagnostics;
/// use tropism_policy_gradient::metrics;
///
/// let mut rows = Diagnostics::default();
/// rows.push("lengths", vec![1.0, 3.0])?;
/// rows.push("kl", vec![0.4, 0.0])?;
/// assert_eq!(metrics(&rows), [("kl", 0.1)]);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
pub fn metrics(rows: &Diagnostics) -> Vec<(&'static str, f64)> {
    let column = |name: &str| rows.get(name).unwrap_or_default();
    let (tokens, shares, values) = (column("lengths"), column("clip_ratio/weight"), column("val/weight"));
    let all = vec![1.0; rows.rows()];
    let mut found = Vec::new();
    for (name, figures) in rows.iter() {
        match name {
            "clip_ratio/low" => {
                found.push(("clip_ratio/low_mean", weighted(figures, shares)));
                found.push(("clip_ratio/low_min", extreme(figures, shares, f64::min)));
            }
            "clip_ratio/high" => {
                found.push(("clip_ratio/high_mean", weighted(figures, shares)));
                found.push(("clip_ratio/high_max", extreme(figures, shares, f64::max)));
            }
            "clip_ratio/region" => found.push(("clip_ratio/region_mean", weighted(figures, shares))),
            "val/clipfrac" => found.push((name, weighted(figures, values))),
            "vespo/phi" => found.push(("vespo/phi_seq_mean", weighted(figures, &all))),
            "sampling/sampling_logp_difference" => {
                found.push(("sampling/sampling_logp_difference/mean", weighted(figures, tokens)));
            }
            "sampling/importance_sampling_ratio" => {
                found.push(("sampling/importance_sampling_ratio/mean", weighted(figures, tokens)));
            }
            "lengths" | "clip_ratio/weight" | "val/weight" => {}
            "kl" | "entropy" | "policy/approxkl" | "policy/ratio" | "cispo_clip_ratio" | "off_policy_mask"
            | "old_policy_kl" => {
                found.push((name, weighted(figures, tokens)));
            }
            _ => found.push((name, weighted(figures, &all))),
        }
    }
    found
}

/// Weighted mean; 0 without weight.
fn weighted(figures: &[f64], weights: &[f64]) -> f64 {
    let whole: f64 = weights.iter().sum();
    if whole == 0.0 {
        return 0.0;
    }
    figures.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() / whole
}

/// The extreme figure of rows with weight; 0 without.
fn extreme(figures: &[f64], weights: &[f64], pick: fn(f64, f64) -> f64) -> f64 {
    let counted = figures.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(x, _)| *x);
    counted.reduce(pick).unwrap_or(0.0)
}
