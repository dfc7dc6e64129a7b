//! Random rows and counts. Resample `r` draws from a stream of its own, so results do not depend on threads.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The generator of resample `index`.
pub(crate) fn stream(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

/// A uniform row below `n`, without bias: 32 random bits times `n`, the upper word kept, the short part of each row's
/// range rejected (Lemire 2019); 64 bits above 2³² rows.
#[inline]
pub(crate) fn row(rng: &mut impl Rng, n: usize) -> usize {
    let Ok(small) = u32::try_from(n) else { return wide_row(rng, n as u64) };
    loop {
        let product = u64::from(rng.next_u32()) * u64::from(small);
        let low = product as u32;
        if low >= small || low >= small.wrapping_neg() % small {
            return (product >> 32) as usize;
        }
    }
}

#[cold]
fn wide_row(rng: &mut impl Rng, n: u64) -> usize {
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(n);
        if product as u64 >= n.wrapping_neg() % n {
            return (product >> 64) as usize;
        }
    }
}

/// Uniform on `[0, 1)` with 53 bits.
pub(crate) fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// How often each of the classes comes up in `n` draws with replacement from `n = Σ counts` rows: what drawing rows and
/// counting classes gives, in law, at a cost of `√n` per class.
pub(crate) fn redraw_counts(rng: &mut impl Rng, counts: &[usize], drawn: &mut [usize]) {
    let mut rows: usize = counts.iter().sum();
    let mut left = rows;
    for (count, drawn) in counts.iter().zip(drawn) {
        *drawn = if *count == rows { left } else { binomial(rng, left, *count as f64 / rows as f64) };
        left -= *drawn;
        rows -= count;
    }
}

/// Successes in `n` trials of probability `p`, by inversion from the mode outwards.
fn binomial(rng: &mut impl Rng, n: usize, p: f64) -> usize {
    if n == 0 || p <= 0.0 {
        return 0;
    }
    let (count, odds) = (n as f64, p / (1.0 - p));
    let mode = (((count + 1.0) * p).floor() as usize).min(n);
    let log_choose = libm::lgamma(count + 1.0) - libm::lgamma(mode as f64 + 1.0) - libm::lgamma((n - mode) as f64 + 1.0);
    let at_mode = (log_choose + mode as f64 * p.ln() + (n - mode) as f64 * (-p).ln_1p()).exp();
    let mut left = uniform(rng) - at_mode;
    let (mut up, mut above, mut down, mut below) = (mode, at_mode, mode, at_mode);
    while left >= 0.0 {
        if up == n && down == 0 {
            return mode;
        }
        if up < n {
            above *= (n - up) as f64 / (up + 1) as f64 * odds;
            up += 1;
            left -= above;
            if left < 0.0 {
                return up;
            }
        }
        if down > 0 {
            below *= down as f64 / (n - down + 1) as f64 / odds;
            down -= 1;
            left -= below;
            if left < 0.0 {
                return down;
            }
        }
    }
    mode
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_uniform() {
        let mut rng = stream(3, 0);
        let mut seen = [0usize; 7];
        (0..70_000).for_each(|_| seen[row(&mut rng, 7)] += 1);
        assert!(seen.iter().all(|s| s.abs_diff(10_000) < 450), "{seen:?}");
    }

    #[test]
    fn binomials_have_the_right_law() {
        for (n, p) in [(1usize, 0.3), (9, 0.5), (40, 0.02), (100, 0.93)] {
            let mut rng = stream(5, n as u64);
            let mut seen = vec![0.0; n + 1];
            (0..200_000).for_each(|_| seen[binomial(&mut rng, n, p)] += 1.0);
            let mut pmf = (1.0 - p).powi(n as i32);
            for (k, s) in seen.iter().enumerate() {
                let expected = 200_000.0 * pmf;
                assert!((s - expected).abs() < 5.0 * expected.sqrt() + 5.0, "n {n} p {p} k {k}: {s} against {expected}");
                pmf *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
            }
        }
    }

    #[test]
    fn large_binomials_keep_mean_and_variance() {
        let (n, p, draws) = (100_000usize, 0.37, 20_000);
        let mut rng = stream(6, 0);
        let x: Vec<f64> = (0..draws).map(|_| binomial(&mut rng, n, p) as f64).collect();
        let mean = x.iter().sum::<f64>() / draws as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws as f64;
        let truth = n as f64 * p * (1.0 - p);
        assert!((mean - n as f64 * p).abs() < 5.0 * (truth / draws as f64).sqrt(), "{mean}");
        assert!((variance / truth - 1.0).abs() < 0.05, "{variance} against {truth}");
    }
}
