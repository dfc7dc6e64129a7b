//! RTO: worked numbers and invariants, with the estimates and losses of PPO where its rewards go.

use crate::common::{Tokens, close, row, tokens};
use dfdx::prelude::*;
use tropism_core::{ScoreTable, TokenLogps};
use tropism_credit::*;
use tropism_policy_gradient::{
    Aggregation, Critic, Gae, Ppo, Returns, Rollout, Shift, TokenRewards, Variance, gae, ppo, token_rewards, whiten,
};

const OLD: [f64; 4] = [-1.0, -0.5, -2.0, -0.3];
const REFERENCE: [f64; 4] = [-1.2, -0.6, -1.5, -0.3];
const DPO: [f64; 4] = [-0.9, -2.1, -1.0, -0.2];

fn solve(dpo: Option<&[f64]>, ends: Option<&[bool]>, config: &Rto) -> RtoRewards {
    let (old, reference, dpo) = (tokens(&OLD), tokens(&REFERENCE), dpo.map(tokens));
    rto_rewards(&RtoModels { old: &old, reference: &reference, dpo: dpo.as_ref() }, &[1.2], ends, config).unwrap()
}

const VALUES: [f64; 4] = [0.4, 0.5, 0.7, 0.9];
const NEW: [f64; 4] = [-0.90, -0.75, -1.70, -0.35];

/// Advantages and returns of PPO.
fn advantages(rewards: &[f64], gamma: f64, lambda: f64) -> Returns {
    gae(rewards, &VALUES, &[true; 4], 4, &Gae { gamma, lambda }).unwrap()
}

/// The advantages of the worked example over the buffer of its one completion.
fn normalised() -> (Vec<f64>, Returns) {
    let found = advantages(&solve(Some(&DPO), None, &Rto::default()).rewards, 1.0, 0.95);
    (whiten(&found.advantages, &[true; 4], Variance::Population, Shift::ToZero).unwrap(), found)
}

/// Loss of policy and critic, and their gradients.
fn by_ppo(new: &[f64], values: &[f64]) -> ([f64; 2], Vec<f64>, Vec<f64>) {
    let (advantages, found) = normalised();
    let config = Ppo::default().with_aggregation(Aggregation::SequenceMean).with_value_coefficient(1.0);
    let (logps, leaf) = (row(new), row(values));
    let policy = TokenLogps::new(logps.leaky_trace(), &[true; 4]).unwrap();
    let table = ScoreTable::new(leaf.retaped(), &[true; 4]).unwrap();
    let critic = Critic::new(table, &VALUES, &found.returns).unwrap();
    let rollout = Rollout::new(policy).with_advantages(&advantages).unwrap().with_old(tokens(&OLD)).unwrap();
    let terms = ppo(rollout.with_critic(critic).unwrap(), &config).unwrap();
    let (parts, divided) = (terms.part_values(), terms.denominators());
    let losses = [0, 1].map(|k| parts[k].iter().sum::<f64>() / divided[k]);
    let grads = terms.mean().unwrap().backward();
    (losses, grads.get(&logps).as_vec(), grads.get(&leaf).as_vec())
}

#[test]
fn worked_example() {
    let found = solve(Some(&DPO), None, &Rto::default());
    close(&found.dpo, &[0.015, -0.05, 0.025, 0.005], 1e-14);
    close(&found.kl.iter().map(|k| -0.01 * k).collect::<Vec<f64>>(), &[-0.002, -0.001, 0.005, 0.0], 1e-14);
    close(&found.rewards, &[0.013, -0.051, 0.030, 1.205], 1e-14);
    close(&[found.rewards.iter().sum()], &[1.197], 1e-14);
    let ppo = advantages(&found.rewards, 1.0, 0.95);
    close(&ppo.advantages, &[0.723624375, 0.6427625, 0.51975, 0.305], 1e-12);
    close(&ppo.returns, &[1.123624375, 1.1427625, 1.21975, 1.205], 1e-12);
    let without = solve(None, None, &Rto::default());
    close(&advantages(&without.rewards, 1.0, 0.95).advantages, &[0.729275, 0.6645, 0.49, 0.3], 1e-12);
    let raw = solve(Some(&DPO), None, &Rto::default().with_dpo_clip(f64::INFINITY));
    close(&raw.dpo, &[0.015, -0.075, 0.025, 0.005], 1e-14);
    assert_eq!((found.clipped, raw.clipped), (vec![1], vec![0]));
}

#[test]
fn worked_example_of_policy_and_critic() {
    close(&normalised().0, &[1.11394626, 0.60168680, -0.17759660, -1.53803647], 6e-9);
    let moved = [0.7, 0.4, 0.75, 0.5];
    let (losses, policy, critic) = by_ppo(&NEW, &moved);
    close(&losses, &[0.000765177018, 0.192946085000], 1e-12);
    close(&policy, &[-0.30777525, -0.11714854, 0.05993258, 0.36575639], 6e-9);
    close(&critic, &[0.0, -0.185690625, -0.1174375, -0.17625], 1e-12);
}

#[test]
fn invariant_1_without_a_dpo_model_it_is_ppo_with_a_penalty_in_the_reward() {
    let config = TokenRewards::default().with_kl_coefficient(0.01);
    let want = token_rewards(&OLD, &REFERENCE, &[true; 4], &[1.2], &config).unwrap();
    close(&solve(None, None, &Rto::default()).rewards, &want, 1e-15);
    let other = Rto::default().with_kl_weight(0.5).with_score_weight(2.0);
    let want = token_rewards(&OLD, &REFERENCE, &[true; 4], &[2.4], &config.with_kl_coefficient(0.5)).unwrap();
    close(&solve(None, None, &other).rewards, &want, 1e-15);
}

#[test]
fn invariant_2_a_dpo_model_that_is_the_reference_pays_nothing() {
    let found = solve(Some(&REFERENCE), None, &Rto::default());
    assert_eq!(found.dpo, [0.0; 4]);
    assert_eq!(found.rewards, solve(None, None, &Rto::default()).rewards);
}

#[test]
fn invariant_3_sums_add_up() {
    for payout in [Payout::Tokens, Payout::End] {
        let found = solve(Some(&DPO), None, &Rto::default().with_payout(payout).with_dpo_clip(f64::INFINITY));
        let ratio: f64 = DPO.iter().zip(REFERENCE).map(|(d, r)| d - r).sum();
        let want = 0.05 * ratio - 0.01 * found.kl.iter().sum::<f64>() + 1.2;
        close(&[found.rewards.iter().sum()], &[want], 1e-14);
    }
}

#[test]
fn invariant_4_redistributed_totals_do_not_depend_on_the_dpo_model() {
    let total = |scale| {
        let config = Rto::default().with_payout(Payout::Redistributed).with_dpo_scale(scale);
        solve(Some(&DPO), None, &config).rewards.iter().sum::<f64>()
    };
    let want = solve(None, None, &Rto::default()).rewards.iter().sum::<f64>();
    close(&[total(0.05), total(3.0)], &[want, want], 1e-14);
}

#[test]
fn invariants_5_6_the_ends_of_gamma_and_lambda() {
    let rewards = solve(Some(&DPO), None, &Rto::default()).rewards;
    let to_go: Vec<f64> = (0..4).map(|t| rewards[t..].iter().sum()).collect();
    let whole = advantages(&rewards, 1.0, 1.0);
    close(&whole.returns, &to_go, 1e-14);
    close(&whole.advantages, &to_go.iter().zip(VALUES).map(|(r, v)| r - v).collect::<Vec<f64>>(), 1e-14);
    let delta: Vec<f64> = (0..4).map(|t| rewards[t] + VALUES.get(t + 1).unwrap_or(&0.0) - VALUES[t]).collect();
    close(&advantages(&rewards, 1.0, 0.0).advantages, &delta, 1e-14);
    let free = gae(&rewards, &[0.0; 4], &[true; 4], 4, &Gae::default().with_lambda(1.0)).unwrap();
    close(&free.advantages, &to_go, 1e-14);
}

#[test]
fn invariants_7_8_a_buffer_has_mean_0_and_variance_1_and_on_policy_gradients_are_advantages() {
    let (white, _) = normalised();
    let squares: f64 = white.iter().map(|a| a * a).sum();
    close(&[white.iter().sum(), squares / 4.0], &[0.0, 1.0], 1e-12);
    let (losses, policy, _) = by_ppo(&OLD, &VALUES);
    close(&[losses[0]], &[0.0], 1e-12);
    close(&policy, &white.iter().map(|a| -a / 4.0).collect::<Vec<f64>>(), 1e-14);
}

#[test]
fn sentences_are_paid_at_their_ends() {
    let config = Rto::default().with_payout(Payout::Sentences);
    let found = solve(Some(&DPO), Some(&[false, true, false, false]), &config);
    close(&found.dpo, &[0.0, -0.035, 0.0, 0.03], 1e-14);
    let one = solve(Some(&DPO), Some(&[false; 4]), &config);
    assert_eq!(one, solve(Some(&DPO), None, &Rto::default().with_payout(Payout::End)));
}

#[test]
fn invariant_9_the_clip_acts_on_the_scaled_ratio_and_scores_are_bounded() {
    let found = solve(Some(&[-300.0, -1.0, 0.0, -0.2]), None, &Rto::default());
    assert!(found.dpo.iter().all(|g| g.abs() <= 0.05));
    let (old, reference) = (tokens(&OLD), tokens(&REFERENCE));
    let models = RtoModels { old: &old, reference: &reference, dpo: None };
    let at = |score| rto_rewards(&models, &[score], None, &Rto::default()).unwrap().rewards[3];
    assert_eq!((at(1e6), at(-1e6)), (10.0, -10.0));
    let config = Rto::default().with_score_clip(2.0).with_score_weight(0.5);
    assert_eq!(rto_rewards(&models, &[7.0], None, &config).unwrap().rewards[3], 1.0);
}

#[test]
fn the_score_goes_to_the_last_counted_token_and_masked_cells_get_nothing() {
    let masked = |v: &[f64], junk: f64| -> Tokens {
        let cells = [junk, v[0], v[1], junk];
        TokenLogps::new(row(&cells), &[false, true, true, false]).unwrap()
    };
    for junk in [0.0, f64::NAN, f64::NEG_INFINITY] {
        let (old, reference, dpo) = (masked(&OLD, junk), masked(&REFERENCE, junk), masked(&DPO, junk));
        let models = RtoModels { old: &old, reference: &reference, dpo: Some(&dpo) };
        let found = rto_rewards(&models, &[1.2], None, &Rto::default()).unwrap();
        close(&found.rewards, &[0.0, 0.013, 1.149, 0.0], 1e-14);
    }
    // A completion without tokens gets nothing, a completion of one token all.
    let none = TokenLogps::new(row(&[-1.0]), &[false]).unwrap();
    let models = RtoModels { old: &none, reference: &none, dpo: None };
    assert_eq!(rto_rewards(&models, &[1.2], None, &Rto::default()).unwrap().rewards, [0.0]);
    let (old, one) = (tokens(&[-1.0]), tokens(&[-2.0]));
    let models = RtoModels { old: &old, reference: &one, dpo: Some(&old) };
    close(&rto_rewards(&models, &[1.2], None, &Rto::default()).unwrap().rewards, &[0.05 - 0.01 + 1.2], 1e-14);
}

#[test]
fn options_that_do_not_go_together_are_named() {
    let (old, reference) = (tokens(&OLD), tokens(&REFERENCE));
    let models = RtoModels { old: &old, reference: &reference, dpo: None };
    let fails = |ends, config: &Rto| rto_rewards(&models, &[1.2], ends, config).unwrap_err().to_string();
    let sentences = Rto::default().with_payout(Payout::Sentences);
    assert!(fails(None, &sentences).starts_with("rto: `payout` is \"sentences\", and nothing says where these end"));
    let ends = [true; 4];
    assert!(fails(Some(&ends), &Rto::default()).starts_with("rto: `payout` does not read the ends of sentences"));
    assert_eq!(fails(None, &Rto::default().with_dpo_scale(0.0)), "rto: `dpo_scale` is 0; it must be positive and finite");
    let config: Rto = toml::from_str("dpo_clip = inf\npayout = 'redistributed'").unwrap();
    assert_eq!(config, Rto::default().with_dpo_clip(f64::INFINITY).with_payout(Payout::Redistributed));
    assert!(toml::from_str::<Rto>("dpo_clipp = 1.0").is_err());
}
