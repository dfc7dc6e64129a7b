//! Products of matrices whose elements are rounded to bf16, with sums in f32.
//!
//! Operands stay f32 in memory. They are rounded while they are packed into panels of 16 rows (or columns), in which the
//! two neighbours along the inner axis that one multiply-add instruction takes lie side by side; so transposed operands
//! cost nothing extra.
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod pack;
mod path;
#[cfg(target_arch = "x86_64")]
mod system;
#[cfg(target_arch = "x86_64")]
mod trial;

use crate::mm::View;
pub use path::Bf16Path;
pub(crate) use path::{note, path};

/// Rows or columns of a panel.
pub(crate) const PANEL: usize = 16;

/// Packed columns.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// pairs of bf16
    Pairs(&'a [u32]),
    /// four neighbours along the inner axis in 8 bits each, and what a row is to be multiplied by
    Bytes(&'a [u32], &'a [f32]),
}

impl Source<'_> {
    /// Pairs of bf16 that it stands for.
    pub(crate) fn len(&self) -> usize {
        match self {
            Source::Pairs(v) => v.len(),
            Source::Bytes(v, _) => 2 * v.len(),
        }
    }
}

/// To the nearest bf16, ties to even.
pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// Whether this processor multiplies bf16 numbers in hardware.
pub(crate) fn available() -> bool {
    path() != Bf16Path::Missing
}

/// `c (+)= a b` with `a` and `b` rounded to bf16; false, and nothing done, where the processor has no bf16 products.
///
/// One path makes all products of a process: results of a row must not depend on how many rows there are.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub(crate) fn product(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, b: View<f32>) -> bool {
    if !a.has_unit_stride() || !b.has_unit_stride() {
        return false;
    }
    match path() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the path was found, and the process has the right to use tiles
        Bf16Path::Amx => unsafe { amx::product::<amx::Hardware>(c, stride, acc, a, b) },
        #[cfg(target_arch = "x86_64")]
        Bf16Path::Avx512 => avx512::product(c, stride, acc, a, b),
        _ => return false,
    }
    true
}

/// `c (+)= a w^T` for `n` packed rows of `w`; false, and nothing done, where [`available`] is false.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub(crate) fn with_packed(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, w: Source, n: usize) -> bool {
    if !a.has_unit_stride() {
        return false;
    }
    match path() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `product`
        Bf16Path::Amx => unsafe { amx::with_packed::<amx::Hardware>(c, stride, acc, a, w, n) },
        #[cfg(target_arch = "x86_64")]
        Bf16Path::Avx512 => avx512::with_packed(c, stride, acc, a, w, n),
        _ => return false,
    }
    true
}

/// Operations of one round of [`peak`].
pub(crate) fn peak_flops() -> f64 {
    match path() {
        #[cfg(target_arch = "x86_64")]
        Bf16Path::Amx => amx::PEAK_FLOPS,
        #[cfg(target_arch = "x86_64")]
        Bf16Path::Avx512 => avx512::PEAK_FLOPS,
        _ => 0.0,
    }
}

/// `rounds` rounds of multiply-adds that touch no memory; nothing where [`available`] is false.
pub(crate) fn peak(rounds: usize) -> f32 {
    match path() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `product`
        Bf16Path::Amx => unsafe { amx::peak::<amx::Hardware>(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the features were found
        Bf16Path::Avx512 => unsafe { avx512::peak(rounds) },
        _ => rounds as f32,
    }
}

/// As [`product`], on this thread alone, into memory whose other columns belong to other tasks.
///
/// # Safety
/// `c[i * stride + j]` must be valid for every row i and column j of the product, and nobody else may touch it meanwhile.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub(crate) unsafe fn alone(c: *mut f32, stride: usize, acc: bool, a: View<f32>, b: View<f32>) -> bool {
    if !available() || !a.has_unit_stride() || !b.has_unit_stride() {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise
    unsafe {
        avx512::alone(c, stride, acc, a, b);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rounded(x: f32) -> f64 {
        f32::from_bits(u32::from(to_bf16(x)) << 16).into()
    }

    #[test]
    fn rounding_to_bf16() {
        // 1 + 2^-8 lies half-way between 1 and 1 + 2^-7, 1 + 3 2^-8 between two others: both go to the even one
        for (x, want) in [(1.0, 1.0), (1.0 + 1.0 / 256.0, 1.0), (1.0 + 3.0 / 256.0, 1.015_625), (-2.5, -2.5)] {
            assert_eq!(rounded(x), want);
        }
        assert_eq!(rounded(1.0 + 1.01 / 256.0), 1.007_812_5);
        assert!(rounded(f32::NAN).is_nan());
        assert_eq!(rounded(f32::NEG_INFINITY), f64::NEG_INFINITY);
    }

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        let mut s = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1u32 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// A matrix as it is, or as the transpose of its transpose in memory.
    fn view(d: &[f32], rows: usize, cols: usize, turned: bool) -> View<'_, f32> {
        if turned { View::new(d, cols, rows).t() } else { View::new(d, rows, cols) }
    }

    fn check(m: usize, k: usize, n: usize, turned: (bool, bool), acc: bool) -> Result<(), TestCaseError> {
        let (a, b, before) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * (n + 3), 3));
        let (mut c, mut single) = (before.clone(), before.clone());
        let (va, vb) = (view(&a, m, k, turned.0), view(&b, k, n, turned.1));
        prop_assert!(product(&mut c, n + 3, acc, va, vb));
        // SAFETY: rows of n + 3 numbers hold the n columns of the product
        let done = unsafe { alone(single.as_mut_ptr(), n + 3, acc, va, vb) };
        prop_assert!(done);
        for i in 0..m {
            for j in 0..n + 3 {
                let old = f64::from(before[i * (n + 3) + j]);
                let at = |t: bool, r: usize, c: usize, rows: usize, cols: usize| if t { c * rows + r } else { r * cols + c };
                let term = |l: usize| rounded(a[at(turned.0, i, l, m, k)]) * rounded(b[at(turned.1, l, j, k, n)]);
                // beyond the product's columns nothing may change
                let want = if j < n { (0..k).map(term).sum::<f64>() + if acc { old } else { 0.0 } } else { old };
                for found in [c[i * (n + 3) + j], single[i * (n + 3) + j]].map(f64::from) {
                    prop_assert!((found - want).abs() < 1e-6 * (k as f64 + 1.0), "{m}x{k}x{n} at {i},{j}: {found} {want}");
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn products_equal_those_of_rounded_numbers(m in 1usize..40, k in 1usize..70, n in 1usize..100,
                turned in any::<(bool, bool)>(), acc in any::<bool>()) {
            if available() {
                check(m, k, n, turned, acc)?;
            }
        }
    }

    #[test]
    fn products_deeper_than_a_pass_and_split_both_ways() {
        if !available() {
            println!("skipped: this processor has no bf16 products");
            return;
        }
        for (m, n) in [(200, 20), (20, 500), (8, 8)] {
            for acc in [false, true] {
                check(m, 1100, n, (false, true), acc).unwrap_or_else(|e| panic!("{e}"));
            }
        }
    }
}
