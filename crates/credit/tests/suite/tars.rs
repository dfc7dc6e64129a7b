//! TARS: worked numbers and invariants.

use crate::common::close;
use crate::common::plain::Rng;
use dfdx::prelude::*;
use tropism_core::{PairLogps, PairScores};
use tropism_credit::*;

const Z_W: [f64; 6] = [1.0, 0.0, 0.5, -1.0, 0.0, 2.0];
const R_W: [f64; 6] = [1.0, 0.2, 0.3, -1.0, 0.0, 1.8];
const Z_R: [f64; 6] = [0.0, 1.0, 1.0, 1.0, -1.0, 0.5];
const R_R: [f64; 6] = [0.1, 1.0, 1.0, 0.8, -1.0, 0.7];

/// Sum of squares of the real part of the transform, from the matrix of cosines.
fn by_cosines(z: &[f64], features: usize) -> f64 {
    let n = z.len() / features;
    let bin = |k: usize, d: usize| -> f64 {
        let angle = |l: usize| 2.0 * std::f64::consts::PI * (k * l) as f64 / n as f64;
        (0..n).map(|l| z[l * features + d] * angle(l).cos()).sum()
    };
    (0..n).flat_map(|k| (0..features).map(move |d| (k, d))).map(|(k, d)| bin(k, d).powi(2)).sum()
}

/// Loss of one pair whose log-ratios differ by `h`.
fn loss(energies: [f64; 2], reference: [f64; 2], h: f64, config: &Tars) -> f64 {
    let dev = Cpu::default();
    let pairs = |c: f64| PairLogps::new(dev.tensor([c]), dev.tensor([-12.0]), &[5], &[8]).unwrap();
    let energies = PairScores::new(dev.tensor([energies[0]]), dev.tensor([energies[1]])).unwrap();
    let terms = tars(pairs(-10.0 + h), pairs(-10.0), energies, [&[reference[0]], &[reference[1]]], config);
    terms.unwrap().values()[0]
}

#[test]
fn worked_example() {
    let energy = |z: &[f64]| spectral_energy(z, 2).unwrap().0;
    close(&[&Z_W, &R_W, &Z_R, &R_R].map(|z| energy(z)), &[4.875, 4.215, 6.375, 6.405], 1e-12);
    let (own, reference) = ([4.875, 6.375], [4.215, 6.405]);
    // Two losses that differ by the weight alone give the spectral part.
    let with = |weight| loss(own, reference, 0.8, &Tars::default().with_spectral_weight(weight));
    close(&[with(0.0)], &[0.3711006659], 1e-10);
    close(&[with(1.0) - with(0.0)], &[0.6208805618], 1e-10);
    close(&[with(0.1)], &[0.4331887221], 1e-10);
}

#[test]
fn worked_gradients_reach_the_states() {
    let dev = Cpu::default();
    let states = |z: [f64; 6]| -> Tensor<Rank3<1, 3, 2>, f64, _> { dev.tensor_from_vec(z.to_vec(), Default::default()) };
    let (w, r) = (states(Z_W), states(Z_R));
    let (f_w, f_r) = (spectral_energies(w.leaky_trace(), &[3]).unwrap(), spectral_energies(r.leaky_trace(), &[3]).unwrap());
    let pairs = || PairLogps::new(dev.tensor([-1.0]), dev.tensor([-2.0]), &[5], &[8]).unwrap();
    let policy = PairLogps::new(dev.tensor([-1.0]).retaped(), dev.tensor([-2.0]).retaped(), &[5], &[8]).unwrap();
    let energies = PairScores::new(f_w, f_r).unwrap();
    let config = Tars::default().with_spectral_weight(1.0);
    let terms = tars(policy, pairs(), energies, [&[4.215], &[6.405]], &config).unwrap();
    let grads = terms.mean().unwrap().backward();
    let want = [-0.5692665196, 0.0, -0.1423166299, -0.2846332599, -0.1423166299, -0.2846332599];
    close(&grads.get(&w).as_vec(), &want, 1e-10);
    close(&grads.get(&r).as_vec(), &[0.0, 0.4353214563, 0.0, 0.3264910922, 0.0, 0.3264910922], 1e-10);
}

#[test]
fn the_energy_is_that_of_the_cosine_transform_and_its_gradient_fits() {
    let mut rng = Rng(5);
    for (tokens, features) in [(1, 1), (1, 3), (2, 2), (3, 1), (4, 2), (7, 3), (16, 2)] {
        let z = rng.reals(tokens * features, -3.0, 3.0);
        let (energy, slopes) = spectral_energy(&z, features).unwrap();
        close(&[energy], &[by_cosines(&z, features)], 1e-12);
        for i in 0..z.len() {
            let at = |by: f64| {
                let mut moved = z.clone();
                moved[i] += by;
                by_cosines(&moved, features)
            };
            close(&[slopes[i]], &[(at(1e-4) - at(-1e-4)) / 2e-4], 1e-8);
        }
    }
}

#[test]
fn energies_are_not_negative_and_grow_with_the_square() {
    let mut rng = Rng(9);
    for _ in 0..50 {
        let z = rng.reals(12, -1.0, 1.0);
        let energy = spectral_energy(&z, 2).unwrap().0;
        let scaled: Vec<f64> = z.iter().map(|x| -3.0 * x).collect();
        assert!(energy >= -1e-12);
        close(&[spectral_energy(&scaled, 2).unwrap().0], &[9.0 * energy], 1e-12);
    }
    let common = [4.875 * 49.0, 6.375 * 49.0];
    let config = Tars::default();
    close(&[loss(common, [4.215, 6.405], 0.3, &config)], &[loss([4.875, 6.375], [4.215, 6.405], 0.3, &config)], 1e-13);
}

#[test]
fn one_token_and_permutations() {
    assert_eq!(spectral_energy(&[3.0, 4.0], 2).unwrap(), (25.0, vec![6.0, 8.0]));
    let columns_swapped: Vec<f64> = Z_W.chunks(2).flat_map(|t| [t[1], t[0]]).collect();
    close(&[spectral_energy(&columns_swapped, 2).unwrap().0], &[4.875], 1e-13);
    let tokens_turned: Vec<f64> = [&Z_W[2..4], &Z_W[..2], &Z_W[4..]].concat();
    assert!((spectral_energy(&tokens_turned, 2).unwrap().0 - 4.875).abs() > 0.1);
}

#[test]
fn without_perturbation_and_weight_it_is_dpo_and_at_the_reference_ln_2() {
    let dpo = |h: f64| (1.0 + (-h).exp()).ln();
    let off = Tars::default().with_spectral_weight(0.0);
    close(&[loss([1.0, 2.0], [3.0, 4.0], 0.7, &off)], &[dpo(0.7)], 1e-13);
    let at_reference = loss([3.0, 4.0], [3.0, 4.0], 0.7, &Tars::default().with_spectral_weight(1.0));
    close(&[at_reference - dpo(0.7)], &[2.0_f64.ln()], 1e-13);
}

#[test]
fn the_least_relevant_tokens_are_chosen() {
    assert_eq!(perturbed_tokens(&[0.31, 0.22, 0.18, 0.16, 0.10], 0.1).unwrap(), [3, 4]);
    // Float noise of 0.27 − 0.25 must not change the floor.
    let size = |relevance: &[f64]| perturbation_size(relevance, 0.1).unwrap();
    assert_eq!(size(&[0.25, 0.27, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]), 6);
    // Fewer with a larger gap, all with none, never more than there are.
    assert!(size(&[0.1, 0.2, 0.5, 0.6]) < size(&[0.1, 0.15, 0.5, 0.6]));
    assert_eq!((size(&[0.3, 0.3, 0.9]), size(&[0.5]), size(&[0.1, 0.101])), (3, 1, 2));
    let mut rng = Rng(1);
    for _ in 0..50 {
        let relevance = rng.reals(9, 0.0, 0.5);
        let chosen = perturbed_tokens(&relevance, 0.1).unwrap();
        assert_eq!(chosen.len(), size(&relevance));
        let highest = chosen.iter().map(|&i| relevance[i]).fold(0.0, f64::max);
        let rest = (0..9).filter(|i| !chosen.contains(i)).map(|i| relevance[i]);
        assert!(rest.into_iter().all(|r| r >= highest));
    }
}

#[test]
fn bad_energies_and_lengths_are_named() {
    let dev = Cpu::default();
    let pairs = || PairLogps::new(dev.tensor([-1.0]), dev.tensor([-2.0]), &[5], &[8]).unwrap();
    let energies = |w: f64| PairScores::new(dev.tensor([w]), dev.tensor([1.0])).unwrap();
    let error = tars(pairs(), pairs(), energies(0.0), [&[1.0], &[1.0]], &Tars::default()).unwrap_err();
    assert_eq!(error.to_string(), "chosen spectral energy of row 0 is 0; it must be positive and finite");
    let states: Tensor<Rank3<1, 2, 1>, f64, _> = dev.tensor([[[1.0], [2.0]]]);
    for length in [0, 3] {
        let error = spectral_energies(states.clone(), &[length]).unwrap_err();
        assert!(matches!(error, CreditError::Outside { row: 0, bound: 2, .. }), "{error}");
    }
}
