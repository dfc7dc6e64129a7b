//! Losses that look at some tokens or at states: TARS, TraceAlign, TIS-DPO, SePO.

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_core::{PairLogps, PairScores, PairTokens, ScoredPairs, TokenLogps};
use tropism_objectives::*;

use crate::common::pairs::close;
use crate::common::plain::{Plain, Rng};
use crate::common::solve::solve;

type States = Tensor<(usize, usize, usize), f64, Cpu>;

fn states(cells: &[f64], tokens: usize, width: usize) -> States {
    Cpu::default().tensor_from_vec(cells.to_vec(), (cells.len() / tokens / width, tokens, width))
}

fn log_energy(cells: &[f64], tokens: usize, width: usize) -> f64 {
    log_spectral_energy(states(cells, tokens, width), &[tokens]).unwrap().as_vec()[0]
}

/// `‖Cz‖²` with the matrix of cosines.
fn naive(cells: &[f64], tokens: usize, width: usize) -> f64 {
    let angle = |k: usize, t: usize| 2.0 * std::f64::consts::PI * (k * t) as f64 / tokens as f64;
    let bin = |k: usize, d: usize| (0..tokens).map(|t| angle(k, t).cos() * cells[t * width + d]).sum::<f64>();
    (0..tokens).flat_map(|k| (0..width).map(move |d| (k, d))).map(|(k, d)| bin(k, d).powi(2)).sum()
}

const CHOSEN: [f64; 6] = [1.0, 0.0, 0.5, -1.0, 0.0, 2.0];
const REJECTED: [f64; 6] = [0.0, 1.0, 1.0, 1.0, -1.0, 0.5];
const REF_CHOSEN: [f64; 6] = [1.0, 0.2, 0.3, -1.0, 0.0, 1.8];
const REF_REJECTED: [f64; 6] = [0.1, 1.0, 1.0, 0.8, -1.0, 0.7];

#[test]
fn tars_worked() {
    let energies = [CHOSEN, REF_CHOSEN, REJECTED, REF_REJECTED].map(|z| log_energy(&z, 3, 2).exp());
    close(&energies, &[4.875, 4.215, 6.375, 6.405], 1e-12);
    let dev = Cpu::default();
    let (z_w, z_l) = (states(&CHOSEN, 3, 2), states(&REJECTED, 3, 2));
    let energy = |z: Tensor<_, f64, Cpu, _>| log_spectral_energy(z, &[3]).unwrap();
    let pair = |w: f64| {
        let logps = |v: f64| dev.tensor_from_vec(vec![v], (1usize,));
        PairLogps::new(logps(w), logps(-9.0), &[5], &[5]).unwrap()
    };
    let policy = PairLogps::new(pair(-8.2).chosen.retaped(), pair(-8.2).rejected.retaped(), &[5], &[5]).unwrap();
    let scores = PairScores::new(energy(z_w.leaky_trace()), energy(z_l.leaky_trace())).unwrap();
    let fixed = |z: &[f64]| log_spectral_energy(states(z, 3, 2), &[3]).unwrap();
    let theirs = PairScores::new(fixed(&REF_CHOSEN), fixed(&REF_REJECTED)).unwrap();
    let config = Tars::default().with_spectral_weight(1.0);
    let reference = ScoredPairs::new(pair(-9.0), theirs).unwrap();
    let terms = tars(ScoredPairs::new(policy, scores).unwrap(), reference, &config).unwrap();
    close(&[terms.diagnostics.get("margins/spectral").unwrap()[0]], &[0.1501653573], 6e-11);
    let parts = terms.part_values();
    close(&[parts[0][0], parts[1][0]], &[0.3711006659, 0.6208805618], 6e-11);
    let grads = terms.mean().unwrap().backward();
    let (a, b, c) = (-0.5692665196, -0.1423166299, -0.2846332599);
    close(&grads.get(&z_w).as_vec(), &[a, 0.0, b, c, b, c], 2e-10);
    close(&grads.get(&z_l).as_vec(), &[0.0, 0.4353214563, 0.0, 0.3264910922, 0.0, 0.3264910922], 2e-10);
}

#[test]
fn tars_invariant_1_without_spectra_is_dpo_and_equal_states_are_ln_2() {
    let objective = Objective::from(Tars::default().with_spectral_weight(0.0));
    let plain = Plain::random(&objective, 4, 9.0, &mut Rng(3));
    let found = solve::<f64>(&objective, &plain);
    let mut pairs = Plain::random(&Dpo::default().into(), 4, 9.0, &mut Rng(3));
    pairs.sides = plain.sides[..2].to_vec();
    let dpo = solve::<f64>(&Dpo::default().with_beta(1.0).into(), &pairs);
    close(&[found.loss], &[dpo.loss], 1e-12);
    close(&found.grads[0], &dpo.grads[0], 1e-12);
    assert!(found.grads[2].iter().all(|g| *g == 0.0));
    let mut same = plain;
    (2..4).for_each(|k| same.sides[k].reference = same.sides[k].policy.clone());
    let equal = solve::<f64>(&Objective::from(Tars::default()), &same);
    close(&equal.parts[1], &[0.1 * 2.0_f64.ln(); 4], 1e-14);
}

/// References, relevances and the choice of tokens have no tape, so no gradient can reach them (invariant 6).
#[test]
fn tars_invariants_3_6_a_common_scale_of_states_changes_nothing() {
    let objective = Objective::from(Tars::default());
    let plain = Plain::random(&objective, 4, 3.0, &mut Rng(5));
    let mut scaled = plain.clone();
    // States times c have log-energies higher by 2 log c.
    (2..4).for_each(|k| scaled.sides[k].policy.iter_mut().for_each(|e| *e += 2.0 * 3.0_f64.ln()));
    let (a, b) = (solve::<f64>(&objective, &plain), solve::<f64>(&objective, &scaled));
    close(&b.parts[1], &a.parts[1], 1e-14);
    close(&b.grads[2], &a.grads[2], 1e-14);
    assert!(a.grads[2].iter().all(|g| *g < 0.0) && a.grads[3].iter().all(|g| *g > 0.0));
}

proptest! {
    #[test]
    fn tars_invariants_3_4_5_spectral_energy_is_that_of_the_cosines(seed: u64, tokens in 1usize..9, width in 1usize..4) {
        let mut rng = Rng(seed);
        let cells: Vec<f64> = (0..tokens * width).map(|_| rng.real(-3.0, 3.0)).collect();
        let found = log_energy(&cells, tokens, width);
        prop_assert!((found - naive(&cells, tokens, width).ln()).abs() < 1e-9);
        // F(cz) = c² F(z).
        let scaled: Vec<f64> = cells.iter().map(|z| -2.5 * z).collect();
        prop_assert!((log_energy(&scaled, tokens, width) - found - 2.0 * 2.5_f64.ln()).abs() < 1e-9);
        // Columns may change places.
        let turned: Vec<f64> = cells.chunks(width).flat_map(|row| row.iter().rev().copied().collect::<Vec<f64>>()).collect();
        prop_assert!((log_energy(&turned, tokens, width) - found).abs() < 1e-9);
    }

    #[test]
    fn tars_invariant_4_spectral_energy_has_the_gradient_of_differences(seed: u64, tokens in 1usize..6) {
        let mut rng = Rng(seed);
        let width = 2;
        // Two rows in a tensor that is two tokens wider than the first of them; junk beyond.
        let mut cells: Vec<f64> = (0..2 * (tokens + 2) * width).map(|_| rng.real(0.5, 3.0)).collect();
        cells[tokens * width..(tokens + 2) * width].fill(f64::NAN);
        let lengths = [tokens, tokens + 2];
        let at = |cells: &[f64]| log_spectral_energy(states(cells, tokens + 2, width), &lengths).unwrap().as_vec();
        let leaf = states(&cells, tokens + 2, width);
        let energies = log_spectral_energy(leaf.leaky_trace(), &lengths).unwrap();
        let grads = energies.sum().backward().get(&leaf).as_vec();
        for i in 0..cells.len() {
            if (tokens * width..(tokens + 2) * width).contains(&i) {
                prop_assert_eq!(grads[i], 0.0);
                continue;
            }
            let moved = |by: f64| {
                let mut moved = cells.clone();
                moved[i] += by;
                at(&moved).iter().sum::<f64>()
            };
            let want = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            prop_assert!((grads[i] - want).abs() < 1e-6 * want.abs().max(1.0), "{} {}", grads[i], want);
        }
    }

    #[test]
    fn tars_invariant_2_perturbed_tokens_are_the_least_relevant(seed: u64, omega in 0.01..0.5_f64) {
        let mut rng = Rng(seed);
        let relevance: Vec<f64> = (0..8).map(|_| rng.real(0.0, 0.4)).collect();
        let chosen = perturbed_tokens(&relevance, omega).unwrap();
        prop_assert!((1..=8).contains(&chosen.len()));
        let worst = chosen.iter().map(|&i| relevance[i]).fold(f64::NEG_INFINITY, f64::max);
        prop_assert!((0..8).all(|i| chosen.contains(&i) || relevance[i] >= worst));
        // A wider gap perturbs no more tokens.
        let mut wider = relevance.clone();
        wider[chosen[0]] -= 0.05;
        prop_assert!(perturbed_tokens(&wider, omega).unwrap().len() <= chosen.len());
    }
}

#[test]
fn tars_invariants_2_5_spectral_energy_and_perturbed_tokens_at_the_edges() {
    // One token: the squared norm. Order of tokens matters.
    close(&[log_energy(&[3.0, 4.0], 1, 2)], &[25.0_f64.ln()], 1e-12);
    assert!((log_energy(&[1.0, 2.0, 0.0, 5.0], 4, 1) - log_energy(&[2.0, 1.0, 0.0, 5.0], 4, 1)).abs() > 1e-3);
    // An odd column has no energy.
    assert!(log_spectral_energy(states(&[0.0, 1.0, -1.0], 3, 1), &[3]).is_err());
    for lengths in [vec![], vec![0], vec![4]] {
        assert!(log_spectral_energy(states(&[1.0, 1.0, 1.0], 3, 1), &lengths).is_err());
    }
    // Floats that should be 5 tokens: 0.27 − 0.25 is a little above 0.02, 0.1/0.02 a little above or below 5.
    assert_eq!(perturbed_tokens(&[0.25, 0.27, 0.3, 0.4, 0.5, 0.6, 0.7], 0.1).unwrap().len(), 6);
    assert_eq!(perturbed_tokens(&[0.3, 0.3, 0.5], 0.1).unwrap(), [0, 1, 2]);
    assert_eq!(perturbed_tokens(&[0.3], 0.1).unwrap(), [0]);
    assert!(perturbed_tokens(&[], 0.1).is_err() && perturbed_tokens(&[0.1], 0.0).is_err());
    assert!(perturbed_tokens(&[f64::NAN], 0.1).is_err());
}

fn side<T: Tape<f64, Cpu>>(logps: Tensor<Rank2<1, 3>, f64, Cpu, T>) -> TokenLogps<Const<1>, Const<3>, f64, Cpu, T> {
    TokenLogps::new(logps, &[true; 3]).unwrap()
}

#[test]
fn tracealign_worked() {
    let dev = Cpu::default();
    let run = |probabilities: [f64; 3], conflict: &[f64]| {
        let logps = dev.tensor([probabilities.map(f64::ln)]);
        let policy = PairTokens::new(side(logps.leaky_trace()), side(dev.tensor([[-1.0; 3]]).retaped())).unwrap();
        let reference = PairTokens::new(side(logps.clone()), side(dev.tensor([[-1.0; 3]]))).unwrap();
        let config = Tracealign::default().with_base(Box::new(Dpo::default().with_beta(1e-30).into()));
        let terms = tracealign(policy, reference, (conflict, Some(&[0.0; 3])), &config).unwrap();
        let unlikelihood = terms.diagnostics.get("unlikelihood").unwrap()[0];
        let loss = terms.mean().unwrap();
        (unlikelihood, loss.array() - 2.0_f64.ln(), loss.backward().get(&logps).array()[0])
    };
    let conflict = conflict_weights(3, &[(0..3, 24.6352888424)], 20.0, 1.0).unwrap();
    let (span, added, grads) = run([0.2, 0.5, 0.4], &conflict);
    close(&[span, added], &[0.1102516087, 0.0011025161], 6e-11);
    close(&grads, &[0.0001931370, 0.0007725481, 0.0005150321], 6e-11);
    // Left unnormalised, all is 20 times larger.
    let whole: Vec<f64> = conflict.iter().map(|w| 20.0 * w).collect();
    let (span, added, grads) = run([0.2, 0.5, 0.4], &whole);
    close(&[span, added], &[2.2050321734, 0.0220503217], 6e-10);
    close(&grads, &[0.0038627407, 0.0154509628, 0.0103006419], 6e-10);
    // Nearly certain tokens: a steep tangent in place of a wall, and a force.
    let (span, _, grads) = run([1.0, 1.0 - 1e-9, 0.5], &[1.0, 1.0, 0.0]);
    assert!(span.is_finite() && (grads[0] / (0.01 * 999_999.0) - 1.0).abs() < 1e-6 && grads[1] == grads[0]);
    assert!(span > 2.0 * (1e6_f64).ln());
}

#[test]
fn tracealign_lowers_both_sides_alike() {
    let dev = Cpu::default();
    let logps = dev.tensor([[-0.3_f64, -1.0, -2.0]]);
    let run = |conflicts: [&[f64]; 2]| {
        let (w, l) = (logps.clone(), dev.tensor([[-0.3_f64, -1.0, -2.0]]));
        let policy = PairTokens::new(side(w.leaky_trace()), side(l.leaky_trace())).unwrap();
        let reference = PairTokens::new(side(logps.clone()), side(logps.clone())).unwrap();
        let config = Tracealign::default().with_lambda(1.0).with_base(Box::new(Dpo::default().with_beta(1e-30).into()));
        let loss = tracealign(policy, reference, (conflicts[0], Some(conflicts[1])), &config).unwrap().mean().unwrap();
        let grads = loss.array();
        let back = loss.backward();
        (grads, back.get(&w).array()[0].to_vec(), back.get(&l).array()[0].to_vec())
    };
    let (none, conflict) = ([0.0; 3], [0.5, 0.0, 1.0]);
    let (a, b) = (run([&conflict, &none]), run([&none, &conflict]));
    close(&[a.0], &[b.0], 1e-14);
    close(&a.1, &b.2, 1e-14);
    assert!(a.0 > 2.0_f64.ln() && b.2[0] > 0.1);
}

#[test]
fn conflict_weights_of_spans() {
    let weights = |spans: &[(std::ops::Range<usize>, f64)], cap| conflict_weights(4, spans, 20.0, cap);
    // Continuous at the threshold, nothing below, cut at the cap, shared out over the span.
    close(&weights(&[(0..2, 20.0), (2..4, 5.0)], 1.0).unwrap(), &[0.0; 4], 1e-15);
    close(&weights(&[(0..4, 30.0)], 1.0).unwrap(), &[0.125; 4], 1e-15);
    close(&weights(&[(1..3, 90.0)], 1.0).unwrap(), &[0.0, 0.5, 0.5, 0.0], 1e-15);
    close(&weights(&[(1..3, 90.0)], 9.0).unwrap(), &[0.0, 1.75, 1.75, 0.0], 1e-15);
    #[expect(clippy::reversed_empty_ranges, reason = "it must be refused")]
    let bad = [(3..5, 30.0), (2..2, 30.0), (3..2, 30.0), (0..1, f64::NAN)];
    for span in bad {
        assert!(weights(&[span], 1.0).unwrap_err().to_string().contains("spans"));
    }
    assert!(conflict_weights(1, &[], 0.0, 1.0).is_err() && conflict_weights(1, &[], 20.0, 0.0).is_err());
}

/// Losses and gradients of two methods on the same tokens; the first one's columns are `value`.
fn same_by_token(a: Objective, b: Objective, seed: u64, value: f64) -> Result<(), TestCaseError> {
    let mut plain = Plain::random(&a, 3, 9.0, &mut Rng(seed));
    plain.columns.iter_mut().for_each(|(_, v)| v.fill(value));
    let mut other = plain.clone();
    other.columns.retain(|(c, _)| b.columns().contains(c));
    let (x, y) = (solve::<f64>(&a, &plain), solve::<f64>(&b, &other));
    prop_assert!((x.loss - y.loss).abs() < 1e-12 * y.loss.abs().max(1.0));
    for (x, y) in x.grads.iter().flatten().zip(y.grads.iter().flatten()) {
        prop_assert!((x - y).abs() < 1e-12);
    }
    Ok(())
}

proptest! {
    #[test]
    fn tracealign_without_conflicts_or_weight_is_its_base(seed: u64) {
        // LD-DPO at α = 1 is DPO on tokens.
        let dpo = || Objective::from(LdDpo::default().with_alpha(1.0));
        same_by_token(Tracealign::default().into(), dpo(), seed, 0.0)?;
        same_by_token(Tracealign::default().with_lambda(0.0).into(), dpo(), seed, 0.7)?;
    }

    #[test]
    fn tis_dpo_of_equal_weights_is_its_base(seed: u64) {
        same_by_token(TisDpo::default().into(), LdDpo::default().with_alpha(1.0).into(), seed, 1.0)?;
        let doubled = Box::new(Objective::from(Dpo::default().with_beta(0.2)));
        same_by_token(TisDpo::default().into(), LdDpo::default().with_alpha(1.0).with_base(doubled).into(), seed, 2.0)?;
    }

    #[test]
    fn tis_dpo_of_flags_is_sampo(seed: u64) {
        let (tis, sampo) = (Objective::from(TisDpo::default()), Objective::from(Sampo::default()));
        let plain = Plain::random(&sampo, 3, 9.0, &mut Rng(seed));
        let mut other = plain.clone();
        other.columns.iter_mut().zip(tis.columns()).for_each(|(c, name)| c.0 = name);
        let (a, b) = (solve::<f64>(&sampo, &plain), solve::<f64>(&tis, &other));
        prop_assert_eq!((a.loss, a.grads), (b.loss, b.grads));
    }

    #[test]
    fn sepo_of_all_tokens_is_simpo_without_margin(seed: u64) {
        let simpo = Box::new(Objective::from(Simpo::default().with_gamma_beta_ratio(0.0)));
        same_by_token(Sepo::default().into(), LdDpo::default().with_alpha(1.0).with_base(simpo).into(), seed, 1.0)?;
    }
}

#[test]
fn sampo_worked() {
    // Log-ratios of 1, 2, 4 and of −3, 5, 7 nats: the sampled ones add up to 5 and to 2.
    let dev = Cpu::default();
    let chosen = dev.tensor([[-1.0_f64, -2.0, -3.0]]);
    let rejected = dev.tensor([[-5.0_f64, -6.0, -7.0]]);
    let policy = PairTokens::new(side(chosen.leaky_trace()), side(rejected.leaky_trace())).unwrap();
    let reference =
        PairTokens::new(side(dev.tensor([[-2.0, -4.0, -7.0]])), side(dev.tensor([[-2.0, -11.0, -14.0]]))).unwrap();
    let sampled: [&[f64]; 2] = [&[1.0, 0.0, 1.0], &[1.0, 1.0, 0.0]];
    let loss = sampo(policy, reference, sampled, &Sampo::default()).unwrap().mean().unwrap();
    assert!((loss.array() - (1.0 + (-0.3_f64).exp()).ln()).abs() < 1e-14);
    let (grads, force) = (loss.backward(), 0.1 / (1.0 + 0.3_f64.exp()));
    close(&grads.get(&chosen).array()[0], &[-force, 0.0, -force], 1e-14);
    close(&grads.get(&rejected).array()[0], &[force, force, 0.0], 1e-14);
}

#[test]
fn sepo_trains_key_tokens_alone() {
    let sepo = Objective::from(Sepo::default());
    let mut plain = Plain::random(&sepo, 1, 1.0, &mut Rng(4));
    plain.columns.iter_mut().for_each(|(_, v)| v.fill(0.0));
    let at = plain.sides[0].mask.iter().position(|&m| m).unwrap();
    plain.columns[0].1[at] = 1.0;
    let solved = solve::<f64>(&sepo, &plain);
    let z = 2.0 * plain.sides[0].policy[at];
    close(&[solved.loss, solved.grads[0][at]], &[(1.0 + (-z).exp()).ln(), -2.0 / (1.0 + z.exp())], 1e-12);
    assert!(solved.grads[0].iter().enumerate().all(|(i, g)| i == at || *g == 0.0));
    assert!(solved.grads[1].iter().all(|g| *g == 0.0));
    assert!(key_tokens(&[0.1], 1.5, KeySide::Largest).is_err() && key_tokens(&[f64::NAN], 0.5, KeySide::Largest).is_err());
    assert_eq!(key_tokens(&[0.5, 0.5, 0.1], 0.3, KeySide::Largest).unwrap(), [1.0, 0.0, 0.0]);
}
