//! The worked figures and invariants of PPO.

use crate::common::close;
use crate::common::rng::Rng;
use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_core::{ScoreTable, TokenLogps};
use tropism_policy_gradient::*;

const OLD: [f64; 8] = [-0.8, -1.1, -0.4, 0.0, -1.3, -0.2, -0.9, -0.6];
const REFERENCE: [f64; 8] = [-1.0, -1.0, -0.7, 0.0, -1.1, -0.5, -0.8, -0.9];
const VALUES: [f64; 8] = [0.1, 0.2, 0.3, 0.05, 0.0, 0.1, -0.1, 0.2];
/// The last column of the first row holds a value, but no action.
const ACTIONS: [bool; 8] = [true, true, true, false, true, true, true, true];
const STATES: [bool; 8] = [true; 8];

fn worked_rewards() -> Vec<f64> {
    let config = TokenRewards::default().with_score_place(ScorePlace::AfterLast);
    token_rewards(&OLD, &REFERENCE, &ACTIONS, &[1.0, -0.5], &config).unwrap()
}

fn worked_advantages() -> (Vec<f64>, Returns) {
    let found = gae(&worked_rewards(), &VALUES, &STATES, 4, &Gae::default()).unwrap();
    (whiten(&found.advantages, &ACTIONS, Variance::Unbiased, Shift::ToZero).unwrap(), found)
}

#[test]
fn worked_rewards_advantages_and_returns() {
    close(&worked_rewards(), &[-0.010, 0.005, -0.015, 1.0, 0.010, -0.015, 0.005, -0.515], 1e-12);
    let (white, found) = worked_advantages();
    let raw = [0.76509375, 0.710625, 0.6375, 0.95, -0.43201062, -0.57053750, -0.37425, -0.715];
    close(&found.advantages, &raw, 1e-8);
    let returns = [0.86509375, 0.910625, 0.9375, 1.0, -0.43201062, -0.47053750, -0.47425, -0.515];
    close(&found.returns, &returns, 1e-8);
    let want = [1.14445373, 1.06265030, 0.95282815, 0.0, -0.65340723, -0.86145263, -0.56665993, -1.07841239];
    close(&white, &want, 1e-8);
}

#[test]
fn worked_losses_and_gradients() {
    let (advantages, found) = worked_advantages();
    let by = [0.05, 0.4, -0.3, 0.0, -0.1, 0.02, 0.25, 0.1];
    let moved = [0.3, -0.1, 0.0, 0.5, 0.1, 0.1, 0.1, -0.4];
    let dev = Cpu::default();
    let table = |values: &[f64]| dev.tensor_from_vec(values.to_vec(), (2usize, 4usize));
    let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x + y).collect::<Vec<f64>>();
    let (logps, values) = (table(&add(&OLD, &by)), table(&add(&VALUES, &moved)));
    let rollout = || {
        let policy = TokenLogps::new(logps.leaky_trace(), &ACTIONS).unwrap();
        let critic = Critic::new(ScoreTable::new(values.retaped(), &STATES).unwrap(), &VALUES, &found.returns).unwrap();
        let old = TokenLogps::new(table(&OLD), &ACTIONS).unwrap();
        Rollout::new(policy).with_advantages(&advantages).unwrap().with_old(old).unwrap().with_critic(critic).unwrap()
    };
    let terms = ppo(rollout(), &Ppo::default()).unwrap();
    assert_eq!(terms.denominators(), [7.0, 8.0]);
    let parts = terms.part_values();
    close(&[parts[0].iter().sum::<f64>() / 7.0], &[0.029333465529], 1e-11);
    // What is left of the whole loss when the policy's part is taken off.
    close(&[parts[1].iter().sum::<f64>() / 8.0], &[0.1 * 0.198008999590], 1e-11);
    let loss = terms.mean().unwrap();
    close(&[loss.array()], &[0.049134365488], 1e-11);
    let grads = loss.backward();
    let policy = [-0.17187587, 0.0, -0.10083892, 0.0, 0.08446104, 0.12555073, 0.10394368, 0.17026143];
    close(&grads.get(&logps).as_vec(), &policy, 1e-8);
    let value = [0.0, -0.101328125, -0.0796875, 0.0, 0.06650133, 0.08381719, 0.05928125, 0.0];
    close(&grads.get(&values).as_vec(), &value.map(|v| 0.1 * v), 1e-8);
}

#[test]
fn worked_divergences() {
    let sum = |estimator| sequence_penalty(&OLD, &REFERENCE, &ACTIONS, 4, 1.0, estimator).unwrap().iter().sum::<f64>();
    close(&[Estimator::K1, Estimator::K2, Estimator::K3].map(sum), &[0.70, 0.185, 0.172930009], 1e-9);
}

/// Rewards, values and a mask of `3 · 5` cells.
fn random(seed: u64) -> (Vec<f64>, Vec<f64>, Vec<bool>) {
    let mut rng = Rng(seed);
    let mut real = || (0..15).map(|_| rng.real(-1.0, 1.0)).collect::<Vec<f64>>();
    let (rewards, values) = (real(), real());
    (rewards, values, (0..15).map(|_| rng.whole(0, 4) > 0).collect())
}

/// Counted cells of a row.
fn cells(mask: &[bool], row: usize) -> Vec<usize> {
    (row * 5..row * 5 + 5).filter(|&i| mask[i]).collect()
}

proptest! {
    #[test]
    fn invariant_1_the_ends_of_lambda(seed: u64) {
        let (rewards, values, mask) = random(seed);
        let whole = gae(&rewards, &values, &mask, 5, &Gae::default().with_lambda(1.0)).unwrap();
        let one = gae(&rewards, &values, &mask, 5, &Gae::default().with_gamma(0.9).with_lambda(0.0)).unwrap();
        for row in 0..3 {
            let cells = cells(&mask, row);
            for (k, &i) in cells.iter().enumerate() {
                let to_go: f64 = cells[k..].iter().map(|&j| rewards[j]).sum();
                prop_assert!((whole.advantages[i] - (to_go - values[i])).abs() < 1e-12);
                prop_assert!((whole.returns[i] - to_go).abs() < 1e-12);
                let next = cells.get(k + 1).map_or(0.0, |&j| values[j]);
                prop_assert!((one.advantages[i] - (rewards[i] + 0.9 * next - values[i])).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn invariant_2_the_recursion_is_the_double_sum(seed: u64, gamma in 0.0..1.0_f64, lambda in 0.0..1.0_f64) {
        let (rewards, values, mask) = random(seed);
        let found = gae(&rewards, &values, &mask, 5, &Gae { gamma, lambda }).unwrap();
        for row in 0..3 {
            let cells = cells(&mask, row);
            let delta = |k: usize| {
                let next = cells.get(k + 1).map_or(0.0, |&j| values[j]);
                rewards[cells[k]] + gamma * next - values[cells[k]]
            };
            for k in 0..cells.len() {
                let sum: f64 = (k..cells.len()).map(|u| (gamma * lambda).powi((u - k) as i32) * delta(u)).sum();
                prop_assert!((found.advantages[cells[k]] - sum).abs() < 1e-12);
            }
        }
        let outside = (0..15).filter(|&i| !mask[i]);
        prop_assert!(outside.map(|i| found.advantages[i].abs() + found.returns[i].abs()).all(|x| x == 0.0));
    }

    #[test]
    fn invariant_3_whitened_values_have_mean_0_and_variance_1(seed: u64) {
        let (rewards, _, mask) = random(seed);
        let n = mask.iter().filter(|&&m| m).count() as f64;
        if n < 3.0 {
            return Ok(());
        }
        for (variance, less) in [(Variance::Unbiased, 1.0), (Variance::Population, 0.0)] {
            let white = whiten(&rewards, &mask, variance, Shift::ToZero).unwrap();
            prop_assert!((0..15).filter(|&i| !mask[i]).all(|i| white[i] == 0.0));
            prop_assert!(white.iter().sum::<f64>().abs() < 1e-9);
            prop_assert!((white.iter().map(|x| x * x).sum::<f64>() / (n - less) - 1.0).abs() < 1e-4);
            let kept = whiten(&rewards, &mask, variance, Shift::Keep).unwrap();
            let sum = |v: &[f64]| (0..15).filter(|&i| mask[i]).map(|i| v[i]).sum::<f64>();
            prop_assert!((sum(&kept) - sum(&rewards)).abs() < 1e-9);
        }
    }

    #[test]
    fn invariant_7_the_score_moves_one_reward(seed: u64, score in -2.0..2.0_f64, after: bool) {
        let mut rng = Rng(seed);
        let mut real = || (0..4).map(|_| rng.real(-2.0, 0.0)).collect::<Vec<f64>>();
        let (old, reference) = (real(), real());
        let mask = [true, true, true, false];
        let place = if after { ScorePlace::AfterLast } else { ScorePlace::Last };
        let config = TokenRewards::default().with_score_place(place);
        let of = |score: f64| token_rewards(&old, &reference, &mask, &[score], &config).unwrap();
        let (with, without) = (of(score), of(0.0));
        let e = if after { 3 } else { 2 };
        for i in 0..4 {
            let want = if i == e { score } else { 0.0 };
            prop_assert!((with[i] - without[i] - want).abs() < 1e-12);
        }
        let penalty = sequence_penalty(&old, &reference, &mask, 4, 0.05, Estimator::K1).unwrap()[0];
        prop_assert!((with.iter().sum::<f64>() - (score - penalty)).abs() < 1e-12);
    }

    #[test]
    fn invariant_9_without_critic_and_penalty_it_is_reinforce(seed: u64, score in -2.0..2.0_f64) {
        let mut rng = Rng(seed);
        let old: Vec<f64> = (0..5).map(|_| rng.real(-2.0, 0.0)).collect();
        let config = TokenRewards::default().with_kl_coefficient(0.0);
        let mask = [true, true, false, true, false];
        let rewards = token_rewards(&old, &old, &mask, &[score], &config).unwrap();
        let found = gae(&rewards, &[0.0; 5], &mask, 5, &Gae::default().with_lambda(1.0)).unwrap();
        prop_assert_eq!(found.advantages, [score, score, 0.0, score, 0.0]);
    }
}

/// Gradients in four tokens whose ratios stand on both sides of the bounds, with junk in the padding.
fn corners(advantage: f64, junk: f64) -> (f64, Vec<f64>) {
    let (old, by) = ([-1.0; 4], [0.1, 0.5, -0.1, -0.5]);
    let logps: Vec<f64> = old.iter().zip(by).map(|(o, d)| o + d).chain([junk]).collect();
    let mask = [true, true, true, true, false];
    let leaf = Cpu::default().tensor_from_vec(logps, (1usize, 5usize));
    let before = Cpu::default().tensor_from_vec([old.as_slice(), &[junk]].concat(), (1usize, 5usize));
    let values = Cpu::default().tensor_from_vec(vec![0.0, 0.1, 0.2, 0.3, junk], (1usize, 5usize));
    let critic = Critic::new(ScoreTable::new(values.retaped(), &mask).unwrap(), &[0.0; 5], &[1.0; 5]).unwrap();
    let policy = TokenLogps::new(leaf.leaky_trace(), &mask).unwrap();
    let rollout = Rollout::new(policy).with_advantages(&[advantage]).unwrap();
    let rollout = rollout.with_old(TokenLogps::new(before, &mask).unwrap()).unwrap().with_critic(critic).unwrap();
    let loss = ppo(rollout, &Ppo::default()).unwrap().mean().unwrap();
    (loss.array(), loss.backward().get(&leaf).as_vec())
}

#[test]
fn invariant_5_gradients_vanish_in_two_corners_alone() {
    let zero = |advantage| corners(advantage, 0.0).1.iter().map(|g| *g == 0.0).collect::<Vec<bool>>();
    assert_eq!(zero(1.0), [false, true, false, false, true]);
    assert_eq!(zero(-1.0), [false, false, false, true, true]);
}

#[test]
fn invariant_8_padding_changes_no_loss() {
    for junk in [-7.0, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(corners(0.7, junk), corners(0.7, 0.0));
    }
}

/// Enumerates the tokens of one state.
#[test]
fn invariant_10_k3_is_not_negative_and_expects_the_same_as_k1() {
    let logp = |z: [f64; 4]| {
        let lse = z.iter().map(|z| z.exp()).sum::<f64>().ln();
        z.map(|z| z - lse)
    };
    let (old, reference) = (logp([0.3, -1.0, 2.0, 0.0]), logp([1.0, 0.5, -0.5, 0.0]));
    let of = |estimator| sequence_penalty(&old, &reference, &[true; 4], 1, 1.0, estimator).unwrap();
    let (k1, k3) = (of(Estimator::K1), of(Estimator::K3));
    let mean = |k: &[f64]| k.iter().zip(old).map(|(k, lp)| lp.exp() * k).sum::<f64>();
    assert!(k1.iter().any(|k| *k < 0.0) && k3.iter().all(|k| *k >= 0.0));
    close(&[mean(&k1)], &[mean(&k3)], 1e-12);
}

#[test]
fn invariant_4_on_policy_the_loss_is_minus_the_mean_advantage() {
    let (advantages, _) = worked_advantages();
    let logps = Cpu::default().tensor_from_vec(OLD.to_vec(), (2usize, 4usize));
    let policy = TokenLogps::new(logps.leaky_trace(), &ACTIONS).unwrap();
    let rollout = Rollout::new(policy).with_advantages(&advantages).unwrap();
    let terms = ppo(rollout, &Ppo::default().with_value_coefficient(0.0)).unwrap();
    let figures = metrics(&terms.diagnostics);
    let figure = |name| figures.iter().find(|(n, _)| *n == name).unwrap().1;
    assert_eq!((figure("policy/ratio"), figure("clip_ratio/region_mean")), (1.0, 0.0));
    assert!(terms.mean().unwrap().array().abs() < 1e-12);
}

#[test]
fn invariant_6_a_wide_clip_is_half_the_squared_error() {
    let loss = |clip: ValueClip, old: &[f64]| {
        let values = Cpu::default().tensor([[0.4_f64, -0.3]]);
        let table = ScoreTable::new(values.leaky_trace(), &[true; 2]).unwrap();
        let terms = value_loss(Critic::new(table, old, &[1.0, 1.0]).unwrap(), &[true], clip).unwrap();
        terms.mean().unwrap().array()
    };
    let plain = 0.5 * (0.36 + 1.69) / 2.0;
    for clip in [ValueClip::None, ValueClip::Range(1e9)] {
        close(&[loss(clip, &[0.0, 0.5])], &[plain], 1e-12);
    }
    close(&[loss(ValueClip::Range(0.2), &[0.4, -0.3])], &[plain], 1e-12);
    assert!(loss(ValueClip::Range(0.2), &[0.0, 0.5]) >= plain);
}
