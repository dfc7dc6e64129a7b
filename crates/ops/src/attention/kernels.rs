//! Inner loops of the sampler's attention, four query rows at a time.
use super::pages::PAGE;
use crate::scalar::Scalar;
use crate::simd::simd;

/// Columns of the values that stay in registers.
const LANES: usize = 32;

/// Scores of `q`'s rows (at most any number) with the tokens of one page; row i goes to `out[i * stride..][..PAGE]`.
pub(super) fn scores<E: Scalar>(q: &[&[E]], keys: &[[E; PAGE]], out: &mut [E], stride: usize) {
    for (i, q) in q.chunks(4).enumerate() {
        let out = &mut out[4 * i * stride..];
        match q.len() {
            4 => scores4(q, keys, out, stride),
            3 => scores3(q, keys, out, stride),
            2 => scores2(q, keys, out, stride),
            _ => scores1(q, keys, out, stride),
        }
    }
}

/// Adds to `sums` (rows of `d`) the values, a token's after the other's, times each row's weights `p[i * stride..]`.
pub(super) fn weigh<E: Scalar>(sums: &mut [E], p: &[E], stride: usize, values: &[E], d: usize) {
    for (i, sums) in sums.chunks_mut(4 * d).enumerate() {
        let p = &p[4 * i * stride..];
        match sums.len() / d {
            4 => weigh4(sums, p, stride, values, d),
            3 => weigh3(sums, p, stride, values, d),
            2 => weigh2(sums, p, stride, values, d),
            _ => weigh1(sums, p, stride, values, d),
        }
    }
}

// Named sums, not an array of them: only so does the compiler keep them in registers.
macro_rules! kernels {
    ($scores:ident, $weigh:ident, $($i:literal = $sum:ident),+) => {
        simd! {
            fn $scores<E>(q: &[&[E]], keys: &[[E; PAGE]], out: &mut [E], stride: usize) {
                $(let mut $sum = [E::zero(); PAGE];)+
                for (k, key) in keys.iter().enumerate() {
                    $(
                        let x = q[$i][k];
                        for l in 0..PAGE { $sum[l] = x.mul_add(key[l], $sum[l]); }
                    )+
                }
                $(out[$i * stride..][..PAGE].copy_from_slice(&$sum);)+
            }
        }

        simd! {
            fn $weigh<E>(sums: &mut [E], p: &[E], stride: usize, values: &[E], d: usize) {
                for at in (0..d / LANES * LANES).step_by(LANES) {
                    $(
                        let mut $sum = [E::zero(); LANES];
                        $sum.copy_from_slice(&sums[$i * d + at..][..LANES]);
                    )+
                    for (t, v) in values.chunks_exact(d).enumerate() {
                        let v = &v[at..at + LANES];
                        $(
                            let x = p[$i * stride + t];
                            for l in 0..LANES { $sum[l] = x.mul_add(v[l], $sum[l]); }
                        )+
                    }
                    $(sums[$i * d + at..][..LANES].copy_from_slice(&$sum);)+
                }
                for at in d / LANES * LANES..d {
                    for (t, v) in values.chunks_exact(d).enumerate() {
                        $(sums[$i * d + at] = p[$i * stride + t].mul_add(v[at], sums[$i * d + at]);)+
                    }
                }
            }
        }
    };
}
kernels!(scores4, weigh4, 0 = a, 1 = b, 2 = c, 3 = e);
kernels!(scores3, weigh3, 0 = a, 1 = b, 2 = c);
kernels!(scores2, weigh2, 0 = a, 1 = b);
kernels!(scores1, weigh1, 0 = a);
