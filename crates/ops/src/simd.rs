//! Loops that the compiler vectorises, picked by the processor at run time.
use crate::scalar::Scalar;

/// `simd! { fn name<E>(args) { body } }` compiles the body for AVX-512, for AVX2 with FMA and for the baseline, and calls
/// the best one that the processor has.
macro_rules! simd {
    ($(#[$m:meta])* $v:vis fn $name:ident<$E:ident>($($a:ident : $t:ty),* $(,)?) $(-> $r:ty)? $body:block) => {
        $(#[$m])*
        #[allow(clippy::too_many_arguments)]
        $v fn $name<$E: $crate::scalar::Scalar>($($a: $t),*) $(-> $r)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body<$E: $crate::scalar::Scalar>($($a: $t),*) $(-> $r)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn v4<$E: $crate::scalar::Scalar>($($a: $t),*) $(-> $r)? { body::<$E>($($a),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn v3<$E: $crate::scalar::Scalar>($($a: $t),*) $(-> $r)? { body::<$E>($($a),*) }
                match $crate::simd::level() {
                    // SAFETY: `level` found the features of v4 on this processor
                    2 => return unsafe { v4::<$E>($($a),*) },
                    // SAFETY: `level` found the features of v3 on this processor
                    1 => return unsafe { v3::<$E>($($a),*) },
                    _ => {}
                }
            }
            body::<$E>($($a),*)
        }
    };
}
pub(crate) use simd;

/// 2: AVX-512 (F, VL, BW, DQ), 1: AVX2 and FMA, 0: neither.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn level() -> u8 {
    use std::is_x86_feature_detected as has;
    if has!("avx512f") && has!("avx512vl") && has!("avx512bw") && has!("avx512dq") && has!("fma") {
        2
    } else if has!("avx2") && has!("fma") {
        1
    } else {
        0
    }
}

/// Independent accumulators of a reduction: floats are not reassociated by the compiler, so one would not vectorise.
pub(crate) const LANES: usize = 32;

/// Reduction in [`LANES`] accumulators; the order of the additions depends on the length alone.
#[inline(always)]
pub(crate) fn fold<E: Scalar>(x: &[E], init: E, f: impl Fn(E, E) -> E, join: impl Fn(E, E) -> E) -> E {
    let mut acc = [init; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for c in &mut chunks {
        for i in 0..LANES {
            acc[i] = f(acc[i], c[i]);
        }
    }
    let rest = chunks.remainder().iter().fold(init, |a, &v| f(a, v));
    acc.into_iter().fold(rest, join)
}

/// Largest element, -inf of an empty slice.
#[inline(always)]
pub(crate) fn largest<E: Scalar>(x: &[E]) -> E {
    let max = |a, v| if v > a { v } else { a };
    fold(x, E::neg_infinity(), max, max)
}

simd! {
    /// a += b
    pub(crate) fn add_assign<E>(a: &mut [E], b: &[E]) {
        for (x, y) in a.iter_mut().zip(b) { *x += *y; }
    }
}

simd! {
    /// sum of a * b
    pub(crate) fn dot<E>(a: &[E], b: &[E]) -> E {
        let n = a.len().min(b.len());
        let (a, b) = (&a[..n], &b[..n]);
        let (mut acc, full) = ([E::zero(); LANES], n / LANES * LANES);
        for o in (0..full).step_by(LANES) {
            for l in 0..LANES { acc[l] += a[o + l] * b[o + l]; }
        }
        let rest = (full..n).fold(E::zero(), |s, i| s + a[i] * b[i]);
        acc.into_iter().fold(rest, |s, v| s + v)
    }
}

simd! {
    /// sum of squares
    pub(crate) fn sum_squares<E>(x: &[E]) -> E { fold(x, E::zero(), |a, v| a + v * v, |a, b| a + b) }
}

/// Asks for memory that will be read soon; nothing on processors without such a request.
#[inline]
pub(crate) fn fetch<T>(x: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in x.chunks(64 / size_of::<T>().max(1)) {
        // SAFETY: a prefetch changes nothing that a program can see; every x86-64 processor has it
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = x;
}

/// a += b over all threads.
pub(crate) fn add_into<E: Scalar>(a: &mut [E], b: &[E]) {
    crate::par::split_rows((a, 1), (&mut [(); 0], 0), 1 << 15, |s, part, _| add_assign(part, &b[s..s + part.len()]));
}
