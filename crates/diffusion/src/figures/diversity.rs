//! How different the samples of a set are.
use super::{distance, mean_within, rows};
use crate::DiffusionError;

/// Mean distance between two different samples of a set: 0 when all are the same.
///
/// # Errors
/// [`DiffusionError::Input`] for fewer than two samples, numbers that are no rows, and numbers that are not finite.
pub fn mean_distance(set: &[f64], dim: usize) -> Result<f64, DiffusionError> {
    Ok(mean_within(&rows("mean distance", set, dim, 2)?, distance))
}

/// Entropy of how often each kind occurs, in nats: `ln` of the number of kinds when all are as frequent, 0 when there is one.
///
/// ```
/// use tropism_diffusion::figures::entropy;
///
/// assert!((entropy(&[5, 5, 5, 5]) - 4f64.ln()).abs() < 1e-12);
/// assert_eq!(entropy(&[0, 7]), 0.0);
/// ```
pub fn entropy(counts: &[usize]) -> f64 {
    let all: usize = counts.iter().sum();
    let term = |&n: &usize| {
        let p = n as f64 / all as f64;
        p * libm::log(p)
    };
    -counts.iter().filter(|n| **n > 0).map(term).sum::<f64>() + 0.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Stream;

    #[test]
    fn a_uniform_set() {
        // E|U − U'| = 1/3
        let mut stream = Stream::new(3, 0);
        let set: Vec<f64> = (0..3000).map(|_| stream.uniform()).collect();
        assert!((mean_distance(&set, 1).unwrap() - 1.0 / 3.0).abs() < 0.01);
        assert_eq!(mean_distance(&[2.0; 6], 2).unwrap(), 0.0);
    }
}
