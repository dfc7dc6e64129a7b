//! What the machine could do at most: the yardstick of benches.
use crate::bf16::Bf16Path;
use crate::par::split;
use crate::simd::{fold, simd};
use std::hint::black_box;
use std::time::Instant;

/// Numbers that the multiply-add loop works on: enough independent ones to hide the instruction's latency.
const NUMBERS: usize = 256;

simd! {
    /// `rounds` multiply-adds on each of 256 numbers
    fn fma<E>(rounds: usize) -> E {
        let (mut x, a, b) = ([E::one(); NUMBERS], E::c(0.999), E::c(1e-3));
        for _ in 0..rounds {
            for v in x.iter_mut() { *v = v.mul_add(a, b); }
        }
        x.into_iter().fold(E::zero(), |s, v| s + v)
    }
}

simd! {
    fn total<E>(x: &[E]) -> E { fold(x, E::zero(), |a, v| a + v, |a, b| a + b) }
}

/// Peak rates of the current thread pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// threads of the pool
    pub threads: usize,
    /// f32 multiply-adds, GFLOP/s
    pub f32_gflops: f64,
    /// multiply-adds of bf16 numbers, GFLOP/s; none where the processor has none
    pub bf16_gflops: Option<f64>,
    /// the instructions that these were
    pub bf16_path: Bf16Path,
    /// reading from memory, GB/s
    pub read_gbs: f64,
}

impl Machine {
    /// Measures for a few seconds.
    pub fn measure() -> Self {
        let (threads, rounds) = (rayon::current_num_threads(), 1 << 24);
        let each = (threads * rounds) as f64;
        let f32_gflops = rate(each * 2.0 * NUMBERS as f64, |_, _| fma::<f32>(black_box(rounds)));
        let per_round = crate::bf16::peak_flops();
        let bf16_gflops =
            crate::bf16::available().then(|| rate(each * per_round, |_, _| crate::bf16::peak(black_box(rounds))));
        let numbers = vec![1f32; 1 << 26];
        let part = numbers.len() / threads;
        let bytes = (part * threads * size_of::<f32>()) as f64;
        let read_gbs = rate(bytes, |a, b| total(&numbers[a * part..b * part]));
        Machine { threads, f32_gflops, bf16_gflops, bf16_path: crate::bf16::path(), read_gbs }
    }
}

/// `work` over the time of `f` on every thread, best of five, in units of 1e9 per second.
fn rate(work: f64, f: impl Fn(usize, usize) -> f32 + Sync + Send) -> f64 {
    let run = || {
        let clock = Instant::now();
        split(rayon::current_num_threads(), 1, |a, b| {
            black_box(f(a, b));
        });
        clock.elapsed().as_secs_f64()
    };
    work / (0..5).map(|_| run()).fold(f64::INFINITY, f64::min) / 1e9
}
