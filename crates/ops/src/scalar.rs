//! The float types that the operations run on.
use crate::bf16::Source;
use crate::by_row::Target;
use crate::mm::View;
use dfdx::dtypes::{Dtype, NotMixedPrecision};
use num_traits::{Float, NumCast};
use std::ops::Range;

/// f32 or f64, with an exponential that compilers can vectorise.
pub trait Scalar: Dtype + Float + NotMixedPrecision + std::iter::Sum + 'static {
    /// `e^self`: 0 at -inf, +inf at +inf, NaN kept. f32: relative error at most 1e-7.
    fn vexp(self) -> Self;

    /// Hyperbolic tangent: relative error at most 3e-7 in f32.
    fn vtanh(self) -> Self;

    /// Complementary error function `1 - erf(self)`, exact to rounding also where it is tiny.
    fn erfc(self) -> Self;

    /// `c (+)= a b` by the processor's bf16 products; false, and nothing done, where it or this type has none.
    #[doc(hidden)]
    fn bf16_product(_c: &mut [Self], _stride: usize, _acc: bool, _a: View<Self>, _b: View<Self>) -> bool {
        false
    }

    /// As `bf16_product`, on this thread alone.
    ///
    /// # Safety
    /// `c[i * stride + j]` must be valid for every row i and column j of the product, and nobody else may touch it meanwhile.
    #[doc(hidden)]
    unsafe fn bf16_alone(_c: *mut Self, _stride: usize, _acc: bool, _a: View<Self>, _b: View<Self>) -> bool {
        false
    }

    /// `c (+)= a w^T` for `n` packed rows of `w`; false, and nothing done, where processor or type has no bf16 products.
    #[doc(hidden)]
    fn frozen_product(_c: &mut [Self], _stride: usize, _acc: bool, _a: View<Self>, _w: Source, _n: usize) -> bool {
        false
    }

    /// Some columns of a product by rows, with this type's own instructions; false, and nothing done, where there are none.
    #[doc(hidden)]
    fn by_row(_x: View<Self>, _w: View<Self>, _columns: Range<usize>, _to: Target<Self>) -> bool {
        false
    }

    /// The number with these bits in bf16.
    #[doc(hidden)]
    fn of_bf16(bits: u16) -> Self;

    /// The constant `x` in this type.
    #[inline(always)]
    fn c(x: f64) -> Self {
        <Self as NumCast>::from(x).unwrap_or_else(Self::nan)
    }

    /// The value as f64.
    #[inline(always)]
    fn f(self) -> f64 {
        <f64 as NumCast>::from(self).unwrap_or(f64::NAN)
    }
}

impl Scalar for f32 {
    #[inline(always)]
    fn vexp(self) -> f32 {
        const LOW: f32 = -87.336_54;
        const HIGH: f32 = 88.3;
        // adding 1.5 * 2^23 rounds to an integer and leaves it in the low mantissa bits
        const ROUND: f32 = 12_582_912.0;
        let x = self.clamp(LOW, HIGH);
        let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        // x - n ln 2, with ln 2 in two parts
        let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
        let mut p = 1.987_569_1e-4f32;
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
            p = p.mul_add(r, c);
        }
        let mantissa = (p * r).mul_add(r, r) + 1.0;
        let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
        let y = if self < LOW { 0.0 } else { mantissa * power };
        if self > HIGH { f32::INFINITY } else { y }
    }

    #[inline(always)]
    fn of_bf16(bits: u16) -> f32 {
        f32::from_bits((bits as u32) << 16)
    }

    fn frozen_product(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, w: Source, n: usize) -> bool {
        crate::bf16::with_packed(c, stride, acc, a, w, n)
    }

    #[inline(always)]
    fn vtanh(self) -> f32 {
        // odd polynomial near 0, where the other form cancels
        let z = self * self;
        let mut p = -5.704_988_7e-3f32;
        for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328_3e-1] {
            p = p.mul_add(z, c);
        }
        let near = (p * z).mul_add(self, self);
        let far = (1.0 - 2.0 / ((2.0 * self.abs()).vexp() + 1.0)).copysign(self);
        if self.abs() < 0.625 { near } else { far }
    }

    #[inline(always)]
    fn erfc(self) -> f32 {
        libm::erfcf(self)
    }

    fn bf16_product(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, b: View<f32>) -> bool {
        crate::bf16::product(c, stride, acc, a, b)
    }

    unsafe fn bf16_alone(c: *mut f32, stride: usize, acc: bool, a: View<f32>, b: View<f32>) -> bool {
        // SAFETY: the caller's promise
        unsafe { crate::bf16::alone(c, stride, acc, a, b) }
    }

    fn by_row(x: View<f32>, w: View<f32>, columns: Range<usize>, to: Target<f32>) -> bool {
        crate::by_row::by_avx512(x, w, columns, to)
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn of_bf16(bits: u16) -> f64 {
        f32::from_bits((bits as u32) << 16).into()
    }

    #[inline(always)]
    fn vexp(self) -> f64 {
        self.exp()
    }

    #[inline(always)]
    fn vtanh(self) -> f64 {
        self.tanh()
    }

    #[inline(always)]
    fn erfc(self) -> f64 {
        libm::erfc(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_exponential_is_exact_to_rounding() {
        for i in -872_000..882_000 {
            let x = i as f32 * 1e-4;
            let exact = (x as f64).exp();
            assert!(((x.vexp() as f64 - exact) / exact).abs() < 1.5e-7, "at {x}");
        }
    }

    #[test]
    fn the_fast_tanh_is_exact_to_rounding() {
        for i in -120_000..120_000 {
            let x = i as f32 * 1e-4 + 5e-5;
            let exact = (x as f64).tanh();
            assert!(((x.vtanh() as f64 - exact) / exact).abs() < 3e-7, "at {x}");
        }
        assert_eq!([0.0f32.vtanh(), f32::INFINITY.vtanh(), (-1e30f32).vtanh()], [0.0, 1.0, -1.0]);
        assert!(f32::NAN.vtanh().is_nan());
    }

    #[test]
    fn the_fast_exponential_at_its_edges() {
        assert_eq!(f32::NEG_INFINITY.vexp(), 0.0);
        assert_eq!((-200.0f32).vexp(), 0.0);
        assert_eq!(f32::INFINITY.vexp(), f32::INFINITY);
        assert!(f32::NAN.vexp().is_nan());
        assert_eq!(0.0f32.vexp(), 1.0);
    }
}
