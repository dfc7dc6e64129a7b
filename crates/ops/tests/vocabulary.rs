//! Figures of whole distributions: gradients by differences, chunks, threads, accumulation.
#![allow(clippy::unwrap_used)]
mod common;
use common::{Matrix, check, matrix, weigh};
use dfdx::prelude::*;
use tropism_core::VocabularyFigure;
use tropism_ops::*;

/// Cross-entropy of model 0 under model 1, `-sum_v q_v log p_v`, and how many logits were read in the last pass.
#[derive(Clone)]
struct CrossEntropy;

/// Maxima and sums of exponentials of both models, the figure, and the count.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    sums: [(f64, f64); 2],
    entropy: f64,
    read: usize,
}

impl Seen {
    fn lse(&self, k: usize) -> f64 {
        self.sums[k].0 + self.sums[k].1.ln()
    }
}

impl VocabularyFigure for CrossEntropy {
    type Token = Seen;

    fn models(&self) -> usize {
        2
    }

    fn passes(&self) -> usize {
        2
    }

    fn start(&self) -> Seen {
        Seen { sums: [(f64::NEG_INFINITY, 0.0); 2], entropy: 0.0, read: 0 }
    }

    fn read(&self, pass: usize, seen: &mut Seen, logits: &[&[f64]]) {
        if pass == 0 {
            for (sum, x) in seen.sums.iter_mut().zip(logits) {
                let top = x.iter().copied().fold(sum.0, f64::max);
                let before = if sum.1 > 0.0 { sum.1 * (sum.0 - top).exp() } else { 0.0 };
                *sum = (top, before + x.iter().map(|v| (v - top).exp()).sum::<f64>());
            }
            return;
        }
        let (own, other) = (seen.lse(0), seen.lse(1));
        seen.entropy -= logits[0].iter().zip(logits[1]).map(|(x, y)| (y - other).exp() * (x - own)).sum::<f64>();
        seen.read += logits[0].len();
    }

    fn value(&self, seen: &Seen) -> f64 {
        seen.entropy
    }

    fn slopes(&self, seen: &Seen, logits: &[&[f64]], slopes: &mut [f64]) {
        for ((s, x), y) in slopes.iter_mut().zip(logits[0]).zip(logits[1]) {
            *s = (x - seen.lse(0)).exp() - (y - seen.lse(1)).exp();
        }
    }
}

fn other(seed: u64, n: usize, vocab: usize, limit: Option<f64>) -> OtherHead<f64> {
    let dev = Cpu::default();
    OtherHead::new(matrix(&dev, seed, n, 3), &matrix(&dev, seed + 1, vocab, 3), limit, Precision::Full).unwrap()
}

#[test]
fn gradients() {
    for (n, d, vocab, limit) in [(1, 1, 1, None), (3, 2, 5, None), (4, 3, 17, Some(0.7)), (2, 2, 1030, None)] {
        let head = [other(9, n, vocab, limit.map(|l| 2.0 * l))];
        check(&[(n, d), (vocab.min(40), d)], 3, |x| {
            // The head's gradient is checked on small vocabularies alone.
            if vocab > 40 {
                let weight = matrix(&Cpu::default(), 77, vocab, d);
                let unused = x[1].retaped::<OwnedTape<f64, Cpu>>().sum();
                let found = vocabulary_figure(x[0].leaky_trace(), &weight, limit, Precision::Full, &head, CrossEntropy);
                return weigh(found.unwrap().values) + unused * 0.0;
            }
            let found = vocabulary_figure(x[0].leaky_trace(), &x[1], limit, Precision::Full, &head, CrossEntropy);
            weigh(found.unwrap().values)
        });
    }
}

#[test]
fn every_logit_is_read_once_a_pass_and_threads_change_nothing() {
    let dev = Cpu::default();
    for vocab in [1, 1023, 1024, 1025, 3000] {
        let (hidden, weight) = (matrix(&dev, 1, 37, 4), matrix(&dev, 2, vocab, 4));
        let run = |threads| {
            with_threads(threads, || {
                let head = [other(5, 37, vocab, None)];
                let found = vocabulary_figure(hidden.clone(), &weight, None, Precision::Full, &head, CrossEntropy);
                let found = found.unwrap();
                assert!(found.tokens.iter().all(|t| t.read == vocab));
                found.values.as_vec()
            })
            .unwrap()
        };
        assert_eq!(run(1), run(3));
    }
}

#[test]
fn weights_that_are_not_trained_get_no_gradient_and_strided_states_their_own() {
    let dev = Cpu::default();
    let (turned, weight): (Matrix, Matrix) = (matrix(&dev, 1, 3, 5), matrix(&dev, 2, 7, 3));
    let head = [other(5, 5, 7, None)];
    let frozen = Param { values: weight.clone(), trained: false };
    let run = |x: Tensor<(usize, usize), f64, Cpu, OwnedTape<f64, Cpu>>| {
        vocabulary_figure(x, &frozen, None, Precision::Full, &head, CrossEntropy).unwrap().values.sum().backward()
    };
    let grads = run(turned.leaky_trace().permute::<_, Axes2<1, 0>>());
    let straight = dev.tensor_from_vec(turned.clone().permute::<_, Axes2<1, 0>>().contiguous().as_vec(), (5, 3));
    let want = run(straight.leaky_trace()).get(&straight);
    let found = grads.get(&turned).permute::<_, Axes2<1, 0>>().as_vec();
    assert!(found.iter().zip(want.as_vec()).all(|(a, b)| (a - b).abs() < 1e-14));
}

#[test]
fn huge_logits_stay_finite() {
    let dev = Cpu::default();
    let hidden: Tensor<(usize, usize), f32, Cpu> = dev.tensor_from_vec(vec![1e4, -1e4], (2, 1));
    let weight: Tensor<(usize, usize), f32, Cpu> = dev.tensor_from_vec(vec![1.0, -1.0, 0.5], (3, 1));
    let head = [OtherHead::new(hidden.clone(), &weight, None, Precision::Full).unwrap()];
    let found = vocabulary_figure(hidden.leaky_trace(), &weight, None, Precision::Full, &head, CrossEntropy).unwrap();
    assert_eq!(found.values.as_vec(), [0.0; 2]);
    assert_eq!(found.values.sum().backward().get(&hidden).as_vec(), [0.0; 2]);
}
