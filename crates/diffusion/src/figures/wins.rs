//! How often one set of samples beats another.
use super::Estimate;
use super::estimate::Z;
use crate::DiffusionError;

/// The share of all pairs of a reward of `ours` and one of `theirs` in which ours is higher, ties counting half: the probability that a
/// sample of one model beats one of the other. The interval is that of a two-sample U-statistic.
///
/// Source of the interval: DeLong et al. 1988, "Comparing the areas under two or more correlated receiver operating characteristic
/// curves", for a single curve.
///
/// # Errors
/// [`DiffusionError::Input`] for fewer than two rewards on a side, and for one that is not finite.
///
/// ```
/// use tropism_diffusion::figures::win_rate;
///
/// assert_eq!(win_rate(&[1.0, 3.0], &[0.0, 3.0])?.value, (1.0 + 0.0 + 1.0 + 0.5) / 4.0);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn win_rate(ours: &[f64], theirs: &[f64]) -> Result<Estimate, DiffusionError> {
    super::rows("win rate", ours, 1, 2)?;
    super::rows("win rate", theirs, 1, 2)?;
    let shares = |of: &[f64], against: &[f64]| {
        let mut sorted = against.to_vec();
        sorted.sort_by(f64::total_cmp);
        let share = |x: &f64| {
            let (below, not_above) = (sorted.partition_point(|y| y < x), sorted.partition_point(|y| y <= x));
            (below + not_above) as f64 / (2 * sorted.len()) as f64
        };
        of.iter().map(share).collect::<Vec<f64>>()
    };
    let (wins, losses) = (shares(ours, theirs), shares(theirs, ours));
    let value = wins.iter().sum::<f64>() / wins.len() as f64;
    let variance = |shares: &[f64]| {
        let n = shares.len() as f64;
        let mean = shares.iter().sum::<f64>() / n;
        shares.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / (n - 1.0) / n
    };
    let half = Z * (variance(&wins) + variance(&losses)).sqrt();
    Ok(Estimate { value, low: (value - half).max(0.0), high: (value + half).min(1.0), n: ours.len() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Stream;

    #[test]
    fn normals_apart() {
        // P(X > Y) for N(1, 1) and N(0, 1) is Φ(1/√2)
        let expected = 0.760_249_938_906_524_5;
        let mut hit = 0;
        for seed in 0..40 {
            let mut s = Stream::new(seed, 0);
            let ours: Vec<f64> = s.normals(300).into_iter().map(|x| x + 1.0).collect();
            let e = win_rate(&ours, &s.normals(200)).unwrap();
            hit += usize::from(e.low < expected && expected < e.high);
            assert!((e.value - expected).abs() < 0.1);
        }
        assert!(hit >= 34, "{hit} of 40 intervals hold the truth");
    }

    #[test]
    fn every_pair_counts_once() {
        let (a, b) = ([3.0, 1.0, 2.0, 2.0], [2.0, 0.0, 5.0]);
        let mut sum = 0.0;
        for x in a {
            for y in b {
                sum += if x > y {
                    1.0
                } else if x == y {
                    0.5
                } else {
                    0.0
                };
            }
        }
        assert!((win_rate(&a, &b).unwrap().value - sum / 12.0).abs() < 1e-12);
        assert!((win_rate(&b, &a).unwrap().value - 1.0 + sum / 12.0).abs() < 1e-12);
    }
}
