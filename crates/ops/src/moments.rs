//! Running means of an optimiser, in the parameters' own type or in half of its memory.
use crate::raw::touched;
use crate::scalar::Scalar;
use crate::simd::simd;

/// How moments are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MomentFormat {
    /// in the parameters' own type
    #[default]
    Full,
    /// in bf16, rounded up or down at random in proportion to the distance: a mean that moves by less than a step of bf16
    /// still moves on average. The random bits follow from step and element, so a resumed run makes the same ones.
    Bf16,
}

/// One running mean of every element of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Moment<E> {
    /// the parameters' own type
    Full(Vec<E>),
    /// upper halves of f32
    Bf16(Vec<u16>),
}

/// First and second moment of one parameter's gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments<E> {
    /// running mean of the gradient
    pub first: Moment<E>,
    /// running mean of its square
    pub second: Moment<E>,
}

impl<E> Default for Moment<E> {
    fn default() -> Self {
        Moment::Full(vec![])
    }
}

impl<E> Default for Moments<E> {
    fn default() -> Self {
        Moments { first: Moment::default(), second: Moment::default() }
    }
}

impl<E> Moment<E> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Moment::Full(v) => v.len(),
            Moment::Bf16(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<E: Scalar> Moment<E> {
    pub(crate) fn zeros(n: usize, format: MomentFormat) -> Self {
        match format {
            MomentFormat::Full => Moment::Full(touched(n)),
            MomentFormat::Bf16 => Moment::Bf16(touched(n)),
        }
    }
}

simd! {
    /// bf16 to numbers
    pub(crate) fn widen<E>(from: &[u16], to: &mut [E]) {
        for (t, &f) in to.iter_mut().zip(from) { *t = E::c(f64::from(f32::from_bits(u32::from(f) << 16))); }
    }
}

simd! {
    /// numbers to bf16, rounded by the bits that `seed` and the element's number make
    pub(crate) fn narrow<E>(from: &[E], to: &mut [u16], first: u32, seed: u32) {
        for (i, (t, f)) in to.iter_mut().zip(from).enumerate() {
            let bits = (f.f() as f32).to_bits();
            // infinities and NaN have no fraction to round
            let noise = if bits & 0x7f80_0000 == 0x7f80_0000 { 0 } else { mixed(first.wrapping_add(i as u32), seed) & 0xffff };
            *t = (bits.wrapping_add(noise) >> 16) as u16;
        }
    }
}

/// Bits that look random (the finaliser of MurmurHash3).
#[inline(always)]
fn mixed(i: u32, seed: u32) -> u32 {
    let mut x = i.wrapping_mul(0x9E37_79B9) ^ seed;
    x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
    x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_right_on_average() {
        // a quarter of the way from 1 to the next bf16, 1 + 2^-7
        let from = vec![1.0f32 + 0.25 / 128.0; 1 << 16];
        let (mut to, mut back) = (vec![0u16; from.len()], vec![0f32; from.len()]);
        let mut total = 0.0;
        for seed in 0..4 {
            narrow(&from, &mut to, 0, seed * 7919);
            widen(&to, &mut back);
            assert!(back.iter().all(|&v| v == 1.0 || v == 1.0 + 1.0 / 128.0));
            total += back.iter().map(|v| f64::from(v - 1.0)).sum::<f64>() / back.len() as f64 / 4.0;
        }
        // the deviation of the mean of 2^18 such numbers is 6.6e-6
        assert!((total - 0.25 / 128.0).abs() < 3.3e-5, "{total}");
    }

    #[test]
    fn what_bf16_holds_stays() {
        let from = [0.0f32, -0.0, 1.0, -2.5, 3e38, f32::INFINITY, f32::NEG_INFINITY, 2f32.powi(-130)];
        let (mut to, mut back) = ([0u16; 8], [0f32; 8]);
        narrow(&from, &mut to, 5, 9);
        widen(&to, &mut back);
        for (a, b) in from.iter().zip(back).filter(|(a, _)| **a != 3e38) {
            assert_eq!(a.to_bits(), b.to_bits());
        }
        narrow(&[f32::NAN; 8], &mut to, 5, 9);
        widen(&to, &mut back);
        assert!(back.iter().all(|v| v.is_nan()));
    }
}
