//! Kendall's tau.
use super::correlation::check;
use crate::error::EvaluationError;
use crate::figures::fisher;
use crate::stats::Figure;
use serde::Serialize;

/// Concordance of two rankings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kendall {
    /// `(C − D) / √((C + D + Tₓ)(C + D + T_y))`, which is 1 for equal rankings with ties
    pub tau_b: Figure,
    /// `(C − D) / (n(n−1)/2)`
    pub tau_a: f64,
    /// pairs in the same order
    pub concordant: u64,
    /// pairs in opposite order
    pub discordant: u64,
    /// pairs tied in `x` only
    pub ties_x: u64,
    /// pairs tied in `y` only
    pub ties_y: u64,
    /// pairs tied in both
    pub joint_ties: u64,
}

/// Kendall's tau, in `n log n` by Knight's method. The interval is Fisher's with the variance `0.437/(n − 4)`
/// (Fieller, Hartley and Pearson 1957; Bonett and Wright 2000), all of −1 … 1 for four observations and fewer.
///
/// # Errors
/// Fewer than two observations, slices of unequal length, values that are not finite, a side that is constant.
///
/// # Source
/// Kendall 1938, 1945; Knight 1966.
pub fn kendall(x: &[f64], y: &[f64]) -> Result<Kendall, EvaluationError> {
    check(x, y)?;
    let n = x.len();
    let mut order: Vec<usize> = (0..n).collect();
    let key = |values: &[f64], i: usize| values[i] + 0.0;
    order.sort_by(|&a, &b| key(x, a).total_cmp(&key(x, b)).then(key(y, a).total_cmp(&key(y, b))));
    let tied_x = pairs_in_runs(&order, |a, b| x[a] == x[b]);
    let joint_ties = pairs_in_runs(&order, |a, b| x[a] == x[b] && y[a] == y[b]);
    let mut sorted: Vec<f64> = order.iter().map(|&i| key(y, i)).collect();
    let discordant = inversions(&mut sorted);
    let tied_y = pairs_in_runs(&(0..n).collect::<Vec<_>>(), |a, b| sorted[a] == sorted[b]);
    let all = (n as u64) * (n as u64 - 1) / 2;
    let concordant = all + joint_ties - tied_x - tied_y - discordant;
    let surplus = concordant as f64 - discordant as f64;
    let tau_b = surplus / (((all - tied_x) as f64).sqrt() * ((all - tied_y) as f64).sqrt());
    Ok(Kendall {
        tau_b: fisher(tau_b.clamp(-1.0, 1.0), n, 0.437, 4.0),
        tau_a: surplus / all as f64,
        concordant,
        discordant,
        ties_x: tied_x - joint_ties,
        ties_y: tied_y - joint_ties,
        joint_ties,
    })
}

/// Pairs within runs of neighbours that are the same.
fn pairs_in_runs(order: &[usize], same: impl Fn(usize, usize) -> bool) -> u64 {
    order.chunk_by(|&a, &b| same(a, b)).map(|run| run.len() as u64 * (run.len() as u64 - 1) / 2).sum()
}

/// Sorts and counts the pairs that stood in strictly falling order.
fn inversions(values: &mut [f64]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(values.len() / 2);
    let mut count = inversions(left) + inversions(right);
    let (mut merged, mut i, mut j) = (Vec::with_capacity(left.len() + right.len()), 0, 0);
    while i < left.len() || j < right.len() {
        if j == right.len() || (i < left.len() && left[i] <= right[j]) {
            merged.push(left[i]);
            i += 1;
        } else {
            // all that is left on the left side is larger
            count += (left.len() - i) as u64;
            merged.push(right[j]);
            j += 1;
        }
    }
    values.copy_from_slice(&merged);
    count
}
