//! RTO: worked numbers and invariants.

use crate::common::{Tokens, close, row, tokens};
use tropism_core::TokenLogps;
use tropism_credit::*;

const OLD: [f64; 4] = [-1.0, -0.5, -2.0, -0.3];
const REFERENCE: [f64; 4] = [-1.2, -0.6, -1.5, -0.3];
const DPO: [f64; 4] = [-0.9, -2.1, -1.0, -0.2];

fn solve(dpo: Option<&[f64]>, ends: Option<&[bool]>, config: &Rto) -> RtoRewards {
    let (old, reference, dpo) = (tokens(&OLD), tokens(&REFERENCE), dpo.map(tokens));
    rto_rewards(&RtoModels { old: &old, reference: &reference, dpo: dpo.as_ref() }, &[1.2], ends, config).unwrap()
}

/// Generalised advantage estimates of one sequence.
fn advantages(rewards: &[f64], values: &[f64], gamma: f64, lambda: f64) -> Vec<f64> {
    let (mut found, mut after) = (vec![0.0; rewards.len()], 0.0);
    for t in (0..rewards.len()).rev() {
        let next = values.get(t + 1).unwrap_or(&0.0);
        after = rewards[t] + gamma * next - values[t] + gamma * lambda * after;
        found[t] = after;
    }
    found
}

#[test]
fn worked_example() {
    let found = solve(Some(&DPO), None, &Rto::default());
    close(&found.dpo, &[0.015, -0.05, 0.025, 0.005], 1e-14);
    close(&found.kl.iter().map(|k| -0.01 * k).collect::<Vec<f64>>(), &[-0.002, -0.001, 0.005, 0.0], 1e-14);
    close(&found.rewards, &[0.013, -0.051, 0.030, 1.205], 1e-14);
    let values = [0.4, 0.5, 0.7, 0.9];
    close(&advantages(&found.rewards, &values, 1.0, 0.95), &[0.723624375, 0.6427625, 0.51975, 0.305], 1e-12);
    let without = solve(None, None, &Rto::default());
    close(&advantages(&without.rewards, &values, 1.0, 0.95), &[0.729275, 0.6645, 0.49, 0.3], 1e-12);
    let raw = solve(Some(&DPO), None, &Rto::default().with_dpo_clip(f64::INFINITY));
    close(&raw.dpo, &[0.015, -0.075, 0.025, 0.005], 1e-14);
    assert_eq!((found.clipped, raw.clipped), (vec![1], vec![0]));
}

#[test]
fn a_dpo_model_that_is_the_reference_pays_nothing() {
    let found = solve(Some(&REFERENCE), None, &Rto::default());
    assert_eq!(found.dpo, [0.0; 4]);
    assert_eq!(found.rewards, solve(None, None, &Rto::default()).rewards);
}

#[test]
fn sums_add_up() {
    for payout in [Payout::Tokens, Payout::End] {
        let found = solve(Some(&DPO), None, &Rto::default().with_payout(payout).with_dpo_clip(f64::INFINITY));
        let ratio: f64 = DPO.iter().zip(REFERENCE).map(|(d, r)| d - r).sum();
        let want = 0.05 * ratio - 0.01 * found.kl.iter().sum::<f64>() + 1.2;
        close(&[found.rewards.iter().sum()], &[want], 1e-14);
    }
}

#[test]
fn redistributed_totals_do_not_depend_on_the_dpo_model() {
    let total = |scale| {
        let config = Rto::default().with_payout(Payout::Redistributed).with_dpo_scale(scale);
        solve(Some(&DPO), None, &config).rewards.iter().sum::<f64>()
    };
    let want = solve(None, None, &Rto::default()).rewards.iter().sum::<f64>();
    close(&[total(0.05), total(3.0)], &[want, want], 1e-14);
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
fn the_clip_acts_on_the_scaled_ratio_and_scores_are_bounded() {
    let found = solve(Some(&[-300.0, -1.0, 0.0, -0.2]), None, &Rto::default());
    assert!(found.dpo.iter().all(|g| g.abs() <= 0.05));
    let (old, reference) = (tokens(&OLD), tokens(&REFERENCE));
    let models = RtoModels { old: &old, reference: &reference, dpo: None };
    let at = |score| rto_rewards(&models, &[score], None, &Rto::default()).unwrap().rewards[3];
    assert_eq!((at(1e6), at(-1e6)), (10.0, -10.0));
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
