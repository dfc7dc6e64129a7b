//! `c (+)= x w^T` with every row of `x` by itself: a row's result has the same bits whatever other rows there are.
//!
//! Each element is a dot product of two contiguous rows. Its terms go into [`LANES`] sums, term k into sum k mod LANES, with
//! fused multiply-adds; then the sums are added pairwise. Tiles of several rows by several weight rows only save loads. The
//! weights are read where they lie and once per [`BLOCK`] rows: a few rows cost one pass through memory.
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::mm::View;
use crate::par::{Ptr, split};
use crate::scalar::Scalar;
use crate::simd::simd;
use std::ops::Range;

/// Independent sums of a dot product; part of the result's bits, so it is the same on every processor.
const LANES: usize = 16;
/// Rows whose numbers stay in the second-level cache while the weights pass by.
const BLOCK: usize = 96;
/// Weight rows of a tile.
const COLUMNS: usize = 4;
/// Multiply-adds that are worth a thread of their own.
const LEAST: usize = 1 << 18;

/// The product, over all threads; `w` holds a row per column of `c`. False, and nothing done, when rows are not contiguous.
pub(crate) fn product<E: Scalar>(c: &mut [E], stride: usize, acc: bool, x: View<E>, w: View<E>) -> bool {
    let (m, n, depth) = (x.rows(), w.rows(), x.cols());
    if !x.row_major() || !w.row_major() {
        return false;
    }
    assert_eq!(depth, w.cols(), "inner sizes of a product");
    assert!(m == 0 || n == 0 || (m - 1) * stride + n <= c.len(), "product outside its slice");
    let to = Target { c: Ptr::of(c), stride, acc };
    split(n.div_ceil(COLUMNS), LEAST / (COLUMNS * depth * m).max(1) + 1, |first, end| {
        let columns = first * COLUMNS..(end * COLUMNS).min(n);
        if !E::by_row(x, w, columns.clone(), to) {
            plain(x, w, columns, to);
        }
    });
    true
}

/// Where results go.
#[derive(Clone, Copy)]
pub struct Target<E> {
    c: Ptr<E>,
    stride: usize,
    acc: bool,
}

impl<E: Scalar> Target<E> {
    #[inline(always)]
    fn put(&self, row: usize, column: usize, values: &[E]) {
        // SAFETY: `product` checked the size of the destination, and tasks have disjoint columns
        let to = unsafe { self.c.range(row * self.stride + column, values.len()) };
        for (to, &v) in to.iter_mut().zip(values) {
            *to = if self.acc { *to + v } else { v };
        }
    }
}

/// [`product`] of f32 for some columns by AVX-512; false, and nothing done, where the processor lacks it.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub(crate) fn by_avx512(x: View<f32>, w: View<f32>, columns: Range<usize>, to: Target<f32>) -> bool {
    #[cfg(target_arch = "x86_64")]
    if crate::simd::level() == 2 {
        // SAFETY: `level` found the features
        unsafe { avx512::product(x, w, columns, to) };
        return true;
    }
    false
}

simd! {
    /// any float on any processor: one row by one weight row at a time
    fn plain<E>(x: View<E>, w: View<E>, columns: Range<usize>, to: Target<E>) {
        for first in (0..x.rows()).step_by(BLOCK) {
            for j in columns.clone() {
                for i in first..(first + BLOCK).min(x.rows()) {
                    to.put(i, j, &[dot(x.row(i), w.row(j))]);
                }
            }
        }
    }
}

#[inline(always)]
fn dot<E: Scalar>(x: &[E], w: &[E]) -> E {
    let ((xs, x_rest), (ws, w_rest)) = (x.as_chunks::<LANES>(), w.as_chunks::<LANES>());
    let mut sums = [E::zero(); LANES];
    for (x, w) in xs.iter().zip(ws) {
        for l in 0..LANES {
            sums[l] = x[l].mul_add(w[l], sums[l]);
        }
    }
    for ((sum, x), w) in sums.iter_mut().zip(x_rest).zip(w_rest) {
        *sum = x.mul_add(*w, *sum);
    }
    total(sums)
}

/// Sum of the lanes, pairwise.
#[inline(always)]
fn total<E: Scalar>(mut lanes: [E; LANES]) -> E {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mm::{Parallelism, mm};

    fn numbers(n: usize, seed: f64) -> Vec<f32> {
        (0..n).map(|i| ((i as f64 + seed) * 12.9898).sin() as f32).collect()
    }

    fn check<E: Scalar>(m: usize, k: usize, n: usize, acc: bool, tolerance: f64) {
        let make = |len: usize, s: f64| (0..len).map(|i| E::c(((i as f64 + s) * 12.9898).sin())).collect::<Vec<E>>();
        let (x, w, before) = (make(m * k, 0.5), make(n * k, 0.25), make(m * (n + 3), 0.75));
        let (mut c, mut want) = (before.clone(), before.clone());
        assert!(product(&mut c, n + 3, acc, View::new(&x, m, k), View::new(&w, n, k)));
        mm(&mut want, n + 3, acc, View::new(&x, m, k), View::new(&w, n, k).t(), Parallelism::None);
        for (i, (a, b)) in c.iter().zip(&want).enumerate() {
            assert!((a.f() - b.f()).abs() <= tolerance * (k as f64 + 1.0), "{m}x{k}x{n} element {i}: {a:?} {b:?}");
        }
        for i in 0..m {
            let mut one = before[i * (n + 3)..][..n].to_vec();
            assert!(product(&mut one, n, acc, View::new(&x[i * k..], 1, k), View::new(&w, n, k)));
            assert_eq!(one, c[i * (n + 3)..][..n], "row {i} of {m}x{k}x{n} depends on its company");
        }
    }

    #[test]
    fn products_equal_those_of_gemm_and_rows_stand_alone() {
        for (m, k, n) in [(1, 1, 1), (2, 17, 3), (7, 64, 33), (13, 100, 5), (100, 31, 9), (193, 40, 70)] {
            for acc in [false, true] {
                check::<f32>(m, k, n, acc, 1e-6);
                check::<f64>(m, k, n, acc, 1e-15);
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (x, w) = (numbers(20 * 300, 0.0), numbers(400 * 300, 0.3));
        let run = |threads| {
            let mut c = vec![0f32; 20 * 400];
            let done = || product(&mut c, 400, false, View::new(&x, 20, 300), View::new(&w, 400, 300));
            assert!(crate::with_threads(threads, done).is_ok_and(|d| d));
            c
        };
        assert_eq!(run(1), run(3));
    }
}
