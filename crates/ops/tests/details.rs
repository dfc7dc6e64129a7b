//! Entropies, most probable tokens and sums of squared probabilities beside log-probabilities.
#![allow(clippy::unwrap_used)]
mod common;
use common::{Matrix, Taped, check, matrix, random, weigh};
use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_ops::*;

const ALL: LogpsExtras = LogpsExtras { entropy: true, top_k: 3, log_sum_squares: true };

/// A loss of log-probabilities and entropies, both weighted row by row.
fn both(found: DetailedLogps<usize, f64, OwnedTape<f64, Cpu>>) -> Taped<Rank0> {
    let entropy = found.entropy.unwrap().put_tape(OwnedTape::default());
    weigh(found.logps.put_tape(found.tape)) + weigh(entropy.square())
}

/// Entropy, `log sum p^2`, and ids with log-probabilities from the most probable on, written out.
fn written_out(logits: &[f64]) -> (f64, f64, Vec<(usize, f64)>) {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // less the largest first: next to a huge one the logarithm of the sum would be lost
    let log_sum = logits.iter().map(|x| (x - top).exp()).sum::<f64>().ln();
    let mut logps: Vec<(usize, f64)> = logits.iter().map(|x| x - top - log_sum).enumerate().collect();
    let entropy = -logps.iter().map(|(_, l)| if l.exp() > 0.0 { l.exp() * l } else { 0.0 }).sum::<f64>();
    let squares = logps.iter().map(|(_, l)| (2.0 * l).exp()).sum::<f64>().ln();
    logps.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    (entropy, squares, logps)
}

fn logits_of(h: &Matrix, w: &Matrix, limit: Option<f64>) -> Vec<f64> {
    let logits = linear(h.clone(), w, Precision::Full).unwrap();
    limit.map_or(logits.clone(), |l| softcap(logits, l).unwrap()).as_vec()
}

/// With `exact`, `logits` are those of the operation to the last bit, so that ids have to be equal. Capped ones may differ in
/// their last bit, which reorders tokens that a saturated cap has made alike: there each place has to hold its log-probability,
/// and each token its own.
fn compare(
    found: &DetailedLogps<usize, f64, NoneTape>,
    logits: &[f64],
    tolerance: f64,
    exact: bool,
) -> Result<(), TestCaseError> {
    let vocab = logits.len() / found.logps.shape().0;
    let (entropy, top) = (found.entropy.as_ref().unwrap().as_vec(), found.top.as_ref().unwrap());
    let squares = found.log_sum_squares.as_ref().unwrap();
    for (i, row) in logits.chunks(vocab).enumerate() {
        let (h, sq, best) = written_out(row);
        prop_assert!((entropy[i] - h).abs() < tolerance, "row {i}: entropy {} against {h}", entropy[i]);
        prop_assert!((squares[i] - sq).abs() < tolerance, "row {i}: squares {} against {sq}", squares[i]);
        let places = i * top.k..(i + 1) * top.k;
        let (ids, logps) = (&top.ids[places.clone()], &top.logps[places]);
        for (j, (id, logp)) in best.iter().take(top.k).enumerate() {
            prop_assert!(!exact || ids[j] == *id, "row {i}, place {j}: {} against {id}", ids[j]);
            prop_assert!(!ids[..j].contains(&ids[j]), "row {i}: {} twice", ids[j]);
            let own = best.iter().find(|b| b.0 == ids[j]).unwrap().1;
            prop_assert!((logps[j] - logp).abs() < tolerance && (logps[j] - own).abs() < tolerance, "row {i}, place {j}");
        }
        let ordered = |j: usize| logps[j] > logps[j + 1] || logps[j] == logps[j + 1] && ids[j] < ids[j + 1];
        prop_assert!((0..top.k - 1).all(ordered), "row {i}: {ids:?} with {logps:?}");
    }
    Ok(())
}

/// One column of hidden states against one column of weights, so that each logit is one product.
fn by_hand(n: usize, weights: Vec<f64>, cap: Option<f64>) -> Result<(), TestCaseError> {
    let dev = Cpu::default();
    let h: Matrix = dev.tensor_from_vec((0..n).map(|i| 1.0 + i as f64).collect(), (n, 1));
    let w: Matrix = dev.tensor_from_vec(weights.clone(), (weights.len(), 1));
    let found = linear_logps_detailed(h.clone(), &w, &vec![Logps::IGNORED; n], cap, Precision::Full, ALL).unwrap();
    prop_assert_eq!(found.logps.as_vec(), vec![0.0; n]);
    compare(&found, &logits_of(&h, &w, cap), 1e-9, cap.is_none())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn gradients_of_log_probabilities_and_entropies(n in 1usize..5, d in 1usize..5, vocab in 1usize..40, seed in 0u64..1000,
            cap in prop::option::of(0.4f64..3.0)) {
        let targets: Vec<usize> = (0..n).map(|i| if i == 1 { Logps::IGNORED } else { (i * 7 + seed as usize) % vocab }).collect();
        let extras = LogpsExtras { entropy: true, ..LogpsExtras::default() };
        check(&[(n, d), (vocab, d)], seed, |x| {
            both(linear_logps_detailed(x[0].leaky_trace(), &x[1], &targets, cap, Precision::Full, extras).unwrap())
        });
        let weight = matrix(&Cpu::default(), seed + 1, vocab, d);
        for format in [FrozenFormat::Bf16, FrozenFormat::Int8] {
            let frozen = Frozen::new(&weight, format);
            check(&[(n, d)], seed, |x| {
                both(linear_logps_detailed_frozen(x[0].leaky_trace(), &frozen, &targets, cap, extras).unwrap())
            });
        }
    }

    #[test]
    fn values_as_written_out(n in 1usize..4, vocab in prop::sample::select(vec![3usize, 31, 64, 65, 200, 2048, 2049, 4500]),
            scale in prop::sample::select(vec![1e-6, 1.0, 30.0, 1e4]), coarse in any::<bool>(), seed in 0u64..1000,
            cap in prop::option::of(0.5f64..20.0)) {
        // coarse logits repeat: ties have to go by id
        let draw = |v: f64| if coarse { (v * 4.0).round() * scale } else { v * scale };
        by_hand(n, random(seed, vocab).into_iter().map(draw).collect(), cap)?;
    }
}

/// A cap of 1.48 on logits up to 30: the largest lie within some units of their last place.
#[test]
fn a_saturated_cap_leaves_near_ties() {
    let cap = Some(1.482207439800724);
    by_hand(1, random(19, 200).into_iter().map(|v| v * 30.0).collect(), cap).unwrap();
}

#[test]
fn the_gradient_over_several_chunks() {
    let dev = Cpu::default();
    let (h, w) = (matrix(&dev, 1, 3, 4), matrix(&dev, 2, 4500, 4));
    let found = linear_logps_detailed(h.leaky_trace(), &w, &[0, 2047, 4499], None, Precision::Full, ALL).unwrap();
    let grads = both(found).backward();
    let logits = h.leaky_trace().matmul(w.retaped::<OwnedTape<f64, Cpu>>().permute::<_, Axes2<1, 0>>());
    let logps = logits.log_softmax::<Axis<1>>();
    let entropy = (logps.with_empty_tape().exp() * logps.with_empty_tape()).sum::<_, Axis<1>>().negate();
    let picked = logps.select(dev.tensor_from_vec(vec![0usize, 2047, 4499], (3,)));
    let plain = (weigh(picked) + weigh(entropy.square())).backward();
    for (a, b) in [(grads.get(&h), plain.get(&h)), (grads.get(&w), plain.get(&w))] {
        for (a, b) in a.as_vec().into_iter().zip(b.as_vec()) {
            assert!((a - b).abs() < 1e-12, "{a} against {b}");
        }
    }
}

#[test]
fn huge_and_tiny_logits_in_f32() {
    let dev = Cpu::default();
    for scale in [1e-30f32, 1e-3, 1.0, 80.0, 1e4, 1e30] {
        let h: Tensor<(usize, usize), f32, _> = dev.tensor_from_vec(vec![scale], (1, 1));
        let w: Tensor<(usize, usize), f32, _> = dev.tensor_from_vec(vec![1.0, -1.0, 1.0, 0.5], (4, 1));
        let found = linear_logps_detailed(h.leaky_trace(), &w, &[2], None, Precision::Full, ALL).unwrap();
        let (entropy, squares, best) = written_out(&[1.0, -1.0, 1.0, 0.5].map(|w| f64::from(scale) * w));
        let (got, top) = (found.entropy.clone().unwrap(), found.top.clone().unwrap());
        assert!((f64::from(got.as_vec()[0]) - entropy).abs() < 1e-5, "{scale}: {:?} against {entropy}", got.as_vec());
        assert!((f64::from(found.log_sum_squares.as_ref().unwrap()[0]) - squares).abs() < 1e-5);
        if scale > 1e-20 {
            assert_eq!(top.ids, best[..3].iter().map(|b| b.0).collect::<Vec<_>>());
        }
        let loss = found.logps.put_tape(found.tape).sum() + got.retaped::<OwnedTape<_, _>>().sum();
        assert!(loss.backward().get(&h).as_vec().iter().all(|g| g.is_finite()), "{scale}");
    }
}

#[test]
fn nothing_is_there_that_was_not_asked_for() {
    let dev = Cpu::default();
    let (h, w) = (matrix(&dev, 1, 3, 4), matrix(&dev, 2, 9, 4));
    let ask = |extras| linear_logps_detailed(h.leaky_trace(), &w, &[1, 2, 3], None, Precision::Full, extras);
    let none = ask(LogpsExtras::default()).unwrap();
    assert!(none.entropy.is_none() && none.top.is_none() && none.log_sum_squares.is_none());
    // an entropy that no loss reads changes no gradient
    let plain = weigh(none.logps.put_tape(none.tape)).backward().get(&h).as_vec();
    let all = ask(ALL).unwrap();
    assert_eq!(weigh(all.logps.put_tape(all.tape)).backward().get(&h).as_vec(), plain);
    // a loss of the entropy alone
    let all = ask(ALL).unwrap();
    assert!(weigh(all.entropy.unwrap().put_tape(all.tape)).backward().get(&h).as_vec().iter().all(|g| *g != 0.0));
    let e = ask(LogpsExtras { top_k: 10, ..ALL }).unwrap_err().to_string();
    assert!(e.contains("10 most probable") && e.contains("vocabulary has 9"), "{e}");
}

#[test]
fn an_empty_batch_has_empty_results() {
    let dev = Cpu::default();
    let h: Matrix = dev.zeros_like(&(0, 4));
    let found = linear_logps_detailed(h, &matrix(&dev, 2, 9, 4), &[], None, Precision::Full, ALL).unwrap();
    assert!(data(&found.logps).is_empty() && data(&found.entropy.unwrap()).is_empty());
    assert!(found.top.unwrap().ids.is_empty() && found.log_sum_squares.unwrap().is_empty());
}
