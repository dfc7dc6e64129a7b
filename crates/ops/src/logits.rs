//! What a sampler asks of one row of logits. Plain slices, no gradient; every result depends on the row alone.
use crate::simd::{fold, largest, simd};

simd! {
    /// Largest element; -inf of an empty row. NaN is passed over: see [`find_nan`].
    pub fn largest_of<E>(row: &[E]) -> E { largest(row) }
}

simd! {
    /// `ln(sum exp(row))` in nats; NaN when an element is NaN or none is finite.
    pub fn log_sum_exp<E>(row: &[E]) -> E {
        let top = largest(row);
        top + fold(row, E::zero(), |a, v| a + (v - top).vexp(), |a, b| a + b).ln()
    }
}

simd! {
    /// Whether an element is NaN.
    pub fn find_nan<E>(row: &[E]) -> bool {
        let found = |a: E, v: E| if v.is_nan() { E::one() } else { a };
        fold(row, E::zero(), found, |a, b| a + b) > E::zero()
    }
}

simd! {
    /// `out[i] = exp((row[i] - top) * scale)`, and the sum of every 64 of them in `sums`: unnormalised probabilities, at most 1
    /// when `top` is the largest logit, and the means to find where a draw falls without adding all of them up.
    pub fn weights_of<E>(row: &[E], top: E, scale: E, out: &mut Vec<E>, sums: &mut Vec<f64>) {
        out.clear();
        out.extend(row.iter().map(|&x| ((x - top) * scale).vexp()));
        sums.clear();
        sums.extend(out.chunks(64).map(|c| fold(c, E::zero(), |a, v| a + v, |a, b| a + b).f()));
    }
}

simd! {
    /// Largest element of every 64, into `out`.
    pub fn block_maxima<E>(row: &[E], out: &mut Vec<E>) {
        out.clear();
        out.extend(row.chunks(64).map(|c| largest(c)));
    }
}

simd! {
    /// Indices of the elements that are at least `cut`, ascending, into `out`.
    pub fn at_least<E>(row: &[E], cut: E, out: &mut Vec<u32>) {
        out.clear();
        for (block, c) in row.chunks(64).enumerate() {
            if largest(c) >= cut {
                out.extend((0..c.len()).filter(|&i| c[i] >= cut).map(|i| (block * 64 + i) as u32));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_length() {
        for n in [1usize, 2, 31, 64, 65, 200] {
            let row: Vec<f32> = (0..n).map(|i| ((i * 37 % 101) as f32).sin() * 9.0).collect();
            let exact = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            assert!((f64::from(log_sum_exp(&row)) - exact).abs() < 1e-5);
            let top = row.iter().copied().fold(f32::MIN, f32::max);
            assert_eq!(largest_of(&row), top);
            let (mut w, mut sums, mut found, mut tops) = (vec![], vec![], vec![], vec![]);
            weights_of(&row, top, 0.5, &mut w, &mut sums);
            assert!(w.iter().zip(&row).all(|(w, x)| (w - ((x - top) * 0.5).exp()).abs() < 1e-6));
            assert!((sums.iter().sum::<f64>() - w.iter().map(|&w| f64::from(w)).sum::<f64>()).abs() < 1e-4);
            at_least(&row, 3.0, &mut found);
            let want: Vec<u32> = (0..n as u32).filter(|&i| row[i as usize] >= 3.0).collect();
            assert_eq!(found, want);
            block_maxima(&row, &mut tops);
            assert_eq!((tops.len(), largest_of(&tops)), (n.div_ceil(64), top));
        }
    }

    #[test]
    fn nan_and_infinities() {
        let mut row = vec![0.0f32; 100];
        assert!(!find_nan(&row));
        for i in [0, 50, 99] {
            row.fill(1.0);
            row[i] = f32::NAN;
            assert!(find_nan(&row) && log_sum_exp(&row).is_nan());
        }
        assert!(log_sum_exp(&[f64::NEG_INFINITY; 3]).is_nan());
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY, 2.0]), 2.0);
        assert_eq!(largest_of::<f32>(&[]), f32::NEG_INFINITY);
    }
}
