//! Products of a few rows with a large matrix: the decoder's step, which is bound by reading the weights once.
//!
//! A general product copies its operands into panels first; for a few rows that costs more than the product. Here the
//! weights are read in place. Every element of the result is summed in an order that depends on the inner size alone, so a
//! row's result is the same bits whatever rows stand beside it.
use crate::mm::View;
use crate::par::{Ptr, split};
use crate::scalar::Scalar;
use crate::simd::simd;

/// Most rows for which reading in place wins.
pub(crate) const MOST_ROWS: usize = 64;
/// Rows of either side that are multiplied together.
pub(crate) const TILE: usize = 4;
/// Numbers that are summed side by side.
const LANES: usize = 16;

/// 4 rows of one side.
pub(crate) type Four<'a, E> = [&'a [E]; TILE];
/// All products of 4 rows with 4 rows.
pub(crate) type Products<E> = [[E; TILE]; TILE];

simd! {
    /// all products of 4 rows with 4 rows, for any type and processor
    pub(crate) fn portable<E>(a: Four<E>, b: Four<E>) -> Products<E> {
        let mut out = [[E::zero(); TILE]; TILE];
        for (out, a) in out.iter_mut().zip(a) {
            for (out, b) in out.iter_mut().zip(b) {
                let (mut sums, b) = ([E::zero(); LANES], &b[..a.len()]);
                let (heads, tails) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
                for (x, y) in heads.0.iter().zip(tails.0) {
                    for l in 0..LANES { sums[l] = x[l].mul_add(y[l], sums[l]); }
                }
                let rest = heads.1.iter().zip(tails.1).fold(E::zero(), |s, (&x, &y)| x.mul_add(y, s));
                *out = halves(sums) + rest;
            }
        }
        out
    }
}

/// Sum of the lanes, pairwise.
#[inline(always)]
fn halves<E: Scalar>(mut x: [E; LANES]) -> E {
    let mut n = LANES / 2;
    while n > 0 {
        for i in 0..n {
            x[i] += x[i + n];
        }
        n /= 2;
    }
    x[0]
}

/// [`portable`] with all sums in AVX-512 registers, where the processor has them.
#[inline]
pub(crate) fn four_by_four(a: Four<f32>, b: Four<f32>) -> Products<f32> {
    #[cfg(target_arch = "x86_64")]
    if crate::simd::level() == 2 {
        let n = a[0].len();
        assert!(a.iter().chain(&b).all(|r| r.len() == n), "rows of one length");
        // SAFETY: `level` found the features, the rows have n numbers
        return unsafe { registers(a, b, n) };
    }
    portable(a, b)
}

/// # Safety
/// Every row must hold `n` numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
unsafe fn registers(a: Four<f32>, b: Four<f32>, n: usize) -> Products<f32> {
    use std::arch::x86_64::*;
    let mut sums = [[_mm512_setzero_ps(); TILE]; TILE];
    for at in (0..n).step_by(LANES) {
        let mask = if n - at >= LANES { u16::MAX } else { (1 << (n - at)) - 1 };
        // SAFETY: the mask keeps to the n numbers of each row
        let load = |row: &[f32]| unsafe { _mm512_maskz_loadu_ps(mask, row.as_ptr().add(at)) };
        let right = b.map(load);
        for (sums, a) in sums.iter_mut().zip(a) {
            let left = load(a);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_fmadd_ps(left, right, *sum);
            }
        }
    }
    sums.map(|row| row.map(|s| _mm512_reduce_add_ps(s)))
}

/// `c (+)= a b` for an `a` of contiguous rows and a `b` of contiguous columns; false, and nothing done, for other shapes.
pub(crate) fn product<E: Scalar>(c: &mut [E], stride: usize, acc: bool, a: View<E>, b: View<E>) -> bool {
    let (m, n, b) = (a.rows(), b.cols(), b.t());
    if m > MOST_ROWS || !a.row_major() || !b.row_major() || a.cols() == 0 {
        return false;
    }
    assert!(m == 0 || n == 0 || (m - 1) * stride + n <= c.len(), "product outside its slice");
    let to = Ptr::of(c);
    let least = (1 << 16) / (a.cols() * m * TILE).max(1) + 1;
    split(n.div_ceil(TILE), least, |first, end| {
        for j in (first * TILE..(end * TILE).min(n)).step_by(TILE) {
            let columns: [&[E]; TILE] = std::array::from_fn(|t| b.row((j + t).min(n - 1)));
            for i in (0..m).step_by(TILE) {
                let rows: [&[E]; TILE] = std::array::from_fn(|t| a.row((i + t).min(m - 1)));
                for (r, sums) in E::four_by_four(rows, columns).iter().enumerate().take(m - i) {
                    // SAFETY: the columns j.. belong to this task alone; rows and columns end inside c, checked above
                    let c = unsafe { to.range((i + r) * stride + j, TILE.min(n - j)) };
                    for (c, &sum) in c.iter_mut().zip(sums) {
                        *c = if acc { *c + sum } else { sum };
                    }
                }
            }
        }
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.0 - 1.0).collect()
    }

    #[test]
    fn products_equal_sums_of_products() {
        for (m, k, n) in [(1, 1, 1), (3, 15, 5), (4, 16, 4), (7, 33, 18), (17, 100, 31)] {
            let (a, b, before) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * (n + 2), 3));
            for acc in [false, true] {
                let mut c = before.clone();
                assert!(product(&mut c, n + 2, acc, View::new(&a, m, k), View::new(&b, n, k).t()));
                for (at, (&found, &old)) in c.iter().zip(&before).enumerate() {
                    let (i, j) = (at / (n + 2), at % (n + 2));
                    let sum = |j: usize| (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum::<f64>();
                    let want = if j >= n { old } else { sum(j) + if acc { old } else { 0.0 } };
                    assert!((found - want).abs() < 1e-12, "{m}x{k}x{n} at {i},{j}: {found} {want}");
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_companions() {
        let (k, n) = (77, 50);
        let a: Vec<f32> = numbers(9 * k, 1).iter().map(|&x| x as f32).collect();
        let b: Vec<f32> = numbers(n * k, 2).iter().map(|&x| x as f32).collect();
        let run = |rows: &[f32]| {
            let mut c = vec![0.0; rows.len() / k * n];
            assert!(product(&mut c, n, false, View::new(rows, rows.len() / k, k), View::new(&b, n, k).t()));
            c
        };
        let all = run(&a);
        for i in 0..9 {
            assert_eq!(run(&a[i * k..(i + 1) * k]), all[i * n..(i + 1) * n]);
        }
    }

    #[test]
    fn other_shapes_are_left_to_the_general_product() {
        let (a, mut c) = (numbers(6, 1), vec![0.0; 4]);
        assert!(!product(&mut c, 2, false, View::new(&a, 3, 2).t(), View::new(&a, 2, 3).t()));
        assert!(!product(&mut c, 2, false, View::new(&a, 2, 3), View::new(&a, 3, 2)));
        let tall = numbers(2 * (MOST_ROWS + 1), 1);
        assert!(!product(&mut c, 2, false, View::new(&tall, MOST_ROWS + 1, 2), View::new(&a, 3, 2).t()));
    }
}
