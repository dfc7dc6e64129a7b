//! Distances between two sets of samples.
use super::{distance, mean_between, mean_within, rows};
use crate::DiffusionError;

/// `2 E|X − Y| − E|X − X'| − E|Y − Y'|`, each mean over pairs of different samples: unbiased, so near 0 (and sometimes below) for sets of
/// one distribution, larger the further apart they are. Costs a distance for each pair of samples.
///
/// Source: Székely and Rizzo 2013, "Energy statistics".
///
/// # Errors
/// [`DiffusionError::Input`] for fewer than two samples, numbers that are no rows, and numbers that are not finite.
pub fn energy_distance(a: &[f64], b: &[f64], dim: usize) -> Result<f64, DiffusionError> {
    let (a, b) = (rows("energy distance", a, dim, 2)?, rows("energy distance", b, dim, 2)?);
    Ok(2.0 * mean_between(&a, &b, distance) - mean_within(&a, distance) - mean_within(&b, distance))
}

/// Squared maximum mean discrepancy under the kernel `exp(−|x − y|²/(2 σ²))`, unbiased: `E k(X, X') + E k(Y, Y') − 2 E k(X, Y)`.
/// [`median_distance`] is a common bandwidth `σ`.
///
/// Source: Gretton et al. 2012, "A kernel two-sample test", equation 3.
///
/// # Errors
/// As [`energy_distance`]; a bandwidth that is not positive.
pub fn mmd(a: &[f64], b: &[f64], dim: usize, bandwidth: f64) -> Result<f64, DiffusionError> {
    if !(bandwidth > 0.0 && bandwidth.is_finite()) {
        let requirement = "positive and finite";
        return Err(DiffusionError::Value { what: "bandwidth", row: 0, value: bandwidth, requirement });
    }
    let (a, b) = (rows("mmd", a, dim, 2)?, rows("mmd", b, dim, 2)?);
    let kernel = |x: &[f64], y: &[f64]| {
        let d = distance(x, y) / bandwidth;
        libm::exp(-0.5 * d * d)
    };
    Ok(mean_within(&a, kernel) + mean_within(&b, kernel) - 2.0 * mean_between(&a, &b, kernel))
}

/// Median of the distances between different samples of a set.
///
/// # Errors
/// As [`energy_distance`].
pub fn median_distance(set: &[f64], dim: usize) -> Result<f64, DiffusionError> {
    let rows = rows("median distance", set, dim, 2)?;
    let mut all: Vec<f64> = rows.iter().enumerate().flat_map(|(i, a)| rows[..i].iter().map(|b| distance(a, b))).collect();
    all.sort_by(f64::total_cmp);
    let n = all.len();
    Ok((all[n / 2] + all[(n - 1) / 2]) / 2.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Stream;

    fn normals(seed: u64, n: usize, mean: f64) -> Vec<f64> {
        Stream::new(seed, 0).normals(n).into_iter().map(|x| x + mean).collect()
    }

    #[test]
    fn two_points() {
        let (a, b) = ([0.0, 0.0, 0.0, 0.0], [3.0, 4.0, 3.0, 4.0]);
        assert_eq!(energy_distance(&a, &b, 2).unwrap(), 10.0);
        let expected = 2.0 - 2.0 * (-12.5f64).exp();
        assert!((mmd(&a, &b, 2, 1.0).unwrap() - expected).abs() < 1e-12);
        assert_eq!(median_distance(&[0.0, 1.0, 3.0], 1).unwrap(), 2.0);
    }

    #[test]
    fn normals_apart() {
        let (a, b) = (normals(1, 3000, 0.0), normals(2, 3000, 1.5));
        // E|N(m, 2)| = 2/√π exp(−m²/4) + m erf(m/2)
        let folded = |m: f64| 2.0 / std::f64::consts::PI.sqrt() * (-m * m / 4.0).exp() + m * libm::erf(m / 2.0);
        let expected = 2.0 * folded(1.5) - 2.0 * folded(0.0);
        let found = energy_distance(&a, &b, 1).unwrap();
        assert!((found - expected).abs() < 0.08, "{found} against {expected}");
        // E k = σ/√(σ² + 2) exp(−m²/(2 (σ² + 2)))
        let (s2, m) = (0.7f64 * 0.7, 1.5f64);
        let kernel = |m: f64| (s2 / (s2 + 2.0)).sqrt() * (-m * m / (2.0 * (s2 + 2.0))).exp();
        let found = mmd(&a, &b, 1, 0.7).unwrap();
        assert!((found - 2.0 * (kernel(0.0) - kernel(m))).abs() < 0.02, "{found}");
    }

    #[test]
    fn one_distribution_has_no_distance_on_average() {
        let (mut energy, mut kernel) = (0.0, 0.0);
        for seed in 0..200 {
            let (a, b) = (normals(2 * seed, 20, 0.0), normals(2 * seed + 1, 30, 0.0));
            energy += energy_distance(&a, &b, 1).unwrap() / 200.0;
            kernel += mmd(&a, &b, 1, 1.0).unwrap() / 200.0;
        }
        assert!(energy.abs() < 0.02 && kernel.abs() < 0.01, "{energy}, {kernel}");
    }

    #[test]
    fn sets_that_are_none_are_refused() {
        let text = |r: Result<f64, DiffusionError>| r.unwrap_err().to_string();
        assert!(text(energy_distance(&[1.0, 2.0, 3.0], &[0.0; 4], 2)).contains("3 numbers are no rows of 2"));
        assert!(text(energy_distance(&[1.0, 2.0], &[0.0; 4], 2)).contains("1 samples; give at least 2"));
        assert!(text(mmd(&[0.0; 2], &[0.0, f64::INFINITY], 1, 1.0)).contains("sample 1 holds inf"));
        assert!(text(mmd(&[0.0; 2], &[0.0; 2], 1, 0.0)).contains("bandwidth"));
    }
}
