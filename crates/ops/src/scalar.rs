//! The float types that the operations run on.
use crate::by_row::Target;
use crate::mm::View;
use dfdx::dtypes::{Dtype, NotMixedPrecision};
use num_traits::{Float, NumCast};
use std::ops::Range;

/// f32 or f64, with an exponential that compilers can vectorise.
pub trait Scalar: Dtype + Float + NotMixedPrecision + std::iter::Sum + 'static {
    /// `e^self`: 0 at -inf, +inf at +inf, NaN kept. f32: relative error at most 1e-7.
    fn vexp(self) -> Self;

    /// `c (+)= a b` by the processor's bf16 products; false, and nothing done, where it or this type has none.
    #[doc(hidden)]
    fn bf16_product(_c: &mut [Self], _stride: usize, _acc: bool, _a: View<Self>, _b: View<Self>) -> bool {
        false
    }

    /// Some columns of a product by rows, with this type's own instructions; false, and nothing done, where there are none.
    #[doc(hidden)]
    fn by_row(_x: View<Self>, _w: View<Self>, _columns: Range<usize>, _to: Target<Self>) -> bool {
        false
    }

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

    fn bf16_product(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, b: View<f32>) -> bool {
        crate::bf16::product(c, stride, acc, a, b)
    }

    fn by_row(x: View<f32>, w: View<f32>, columns: Range<usize>, to: Target<f32>) -> bool {
        crate::by_row::by_avx512(x, w, columns, to)
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn vexp(self) -> f64 {
        self.exp()
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
    fn the_fast_exponential_at_its_edges() {
        assert_eq!(f32::NEG_INFINITY.vexp(), 0.0);
        assert_eq!((-200.0f32).vexp(), 0.0);
        assert_eq!(f32::INFINITY.vexp(), f32::INFINITY);
        assert!(f32::NAN.vexp().is_nan());
        assert_eq!(0.0f32.vexp(), 1.0);
    }
}
