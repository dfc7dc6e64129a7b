//! SAIL: worked numbers and invariants.

use crate::common::{close, pair, row, traced};
use tropism_core::{PairTokens, TokenLogps};
use tropism_credit::*;

const POLICY: [&[f64]; 2] = [&[-1.0, -0.5, -2.0], &[-0.7, -1.5]];
const REFERENCE: [&[f64]; 2] = [&[-1.2, -0.6, -1.5], &[-0.9, -1.0]];
const SCORER: [&[f64]; 2] = [&[-0.8, -0.6, -1.0], &[-1.5, -0.8]];

fn worked(scorer: [&[f64]; 2], config: &Sail) -> (f64, Vec<f64>, Vec<f64>) {
    traced(POLICY[0], POLICY[1], |policy| sail(policy, pair(REFERENCE[0], REFERENCE[1]), scorer, config))
}

fn attended(attention: [&[f64]; 2]) -> (f64, Vec<f64>, Vec<f64>) {
    traced(POLICY[0], POLICY[1], |policy| {
        sail_attention(policy, pair(REFERENCE[0], REFERENCE[1]), attention, &SailAttention::default())
    })
}

fn dpo() -> (f64, Vec<f64>, Vec<f64>) {
    traced(POLICY[0], POLICY[1], |policy| token_dpo(policy, pair(REFERENCE[0], REFERENCE[1]), &TokenDpo::default()))
}

#[test]
fn worked_example() {
    let (loss, chosen, rejected) = worked(SCORER, &Sail::default());
    close(&[loss], &[0.6891302809], 1e-10);
    close(&chosen, &[-0.0507947261, -0.0497987511, -0.0510437198], 1e-10);
    close(&rejected, &[0.0512927136, 0.0493007636], 1e-10);
    close(&[worked(SCORER, &Sail::default().with_alpha(0.0)).0], &[0.6881596805], 1e-10);
    let terms = sail(pair(POLICY[0], POLICY[1]), pair(REFERENCE[0], REFERENCE[1]), SCORER, &Sail::default()).unwrap();
    close(terms.diagnostics.get("margins/weighted").unwrap(), &[0.00805], 1e-14);
}

#[test]
fn invariant_1_without_credit_it_is_dpo() {
    assert_eq!(worked(SCORER, &Sail::default().with_alpha(0.0)), dpo());
    assert_eq!(worked(REFERENCE, &Sail::default()), dpo());
    let even = attended([&[0.25; 3], &[0.5; 2]]);
    close(&[even.0], &[dpo().0], 1e-15);
    close(&even.1, &dpo().1, 1e-15);
}

#[test]
fn invariant_2_a_scorer_that_prefers_a_token_raises_its_weight_if_chosen_and_lowers_it_if_rejected() {
    let (_, chosen, rejected) = worked(SCORER, &Sail::default());
    // Token 1 of the chosen side is scored as by the reference: weight 1.
    assert!(chosen[0].abs() > chosen[1].abs() && chosen[2].abs() > chosen[1].abs());
    // The scorer likes the second rejected token and dislikes the first.
    assert!(rejected[1] < chosen[1].abs() && rejected[0] > chosen[1].abs());
}

#[test]
fn invariant_2_a_weight_below_zero_needs_more_than_20_nats() {
    let count = |nats: f64| {
        let rejected = [-0.9 + nats, -1.0];
        let scorer: [&[f64]; 2] = [SCORER[0], &rejected];
        let terms = sail(pair(POLICY[0], POLICY[1]), pair(REFERENCE[0], REFERENCE[1]), scorer, &Sail::default());
        terms.unwrap().diagnostics.get("token_weights/rejected_negative").unwrap()[0]
    };
    assert_eq!((count(19.9), count(20.1)), (0.0, 1.0));
}

#[test]
fn invariant_3_permuted_and_masked_tokens_leave_the_loss() {
    let turn = |v: &[f64]| v.iter().rev().copied().collect::<Vec<f64>>();
    let [p, r, s] = [POLICY, REFERENCE, SCORER].map(|m| (turn(m[0]), turn(m[1])));
    let turned = sail(pair(&p.0, &p.1), pair(&r.0, &r.1), [&s.0, &s.1], &Sail::default()).unwrap();
    close(&turned.values(), &[worked(SCORER, &Sail::default()).0], 1e-15);
    let masked = |v: &[f64]| {
        let mask: Vec<bool> = (0..=v.len()).map(|i| i > 0).collect();
        TokenLogps::new(row(&[&[f64::NAN], v].concat()), &mask).unwrap()
    };
    let pairs = |v: [&[f64]; 2]| PairTokens::new(masked(v[0]), masked(v[1])).unwrap();
    let scorer = SCORER.map(|s| [&[40.0], s].concat());
    let found = sail(pairs(POLICY), pairs(REFERENCE), [&scorer[0], &scorer[1]], &Sail::default()).unwrap();
    close(&found.values(), &turned.values(), 1e-15);
}

#[test]
fn invariant_7_attention_weights_average_to_1_and_know_no_scale() {
    let attention: [&[f64]; 2] = [&[0.1, 0.5, 0.3], &[0.2, 0.05]];
    let weights = attention_weights(attention[0], &[true; 3], 3).unwrap();
    close(&[weights.iter().sum::<f64>()], &[3.0], 1e-14);
    let large: Vec<f64> = attention[0].iter().map(|c| 1e6 * c).collect();
    close(&attended([&large, attention[1]]).1, &attended(attention).1, 1e-14);
    let want = dpo().1[0].abs();
    assert!(attended(attention).1[1].abs() > want && attended(attention).1[0].abs() < want);
}

#[test]
fn attention_to_an_instruction_is_a_mean_over_heads() {
    // Two heads, two answer tokens, four keys of which the second and third are the instruction.
    let maps = [0.1, 0.2, 0.3, 0.4, 0.0, 0.5, 0.5, 0.0, 0.7, 0.1, 0.1, 0.1, 1.0, 0.0, 0.0, 0.0];
    close(&instruction_attention(&maps, [2, 2, 4], 1..3).unwrap(), &[0.35, 0.5], 1e-15);
    // All keys: what each query attends to, all of it.
    close(&instruction_attention(&maps, [2, 2, 4], 0..4).unwrap(), &[1.0, 1.0], 1e-15);
    // Uniform attention makes DPO of the loss.
    let even = instruction_attention(&[0.25; 12], [1, 3, 4], 0..2).unwrap();
    assert_eq!(attention_weights(&even, &[true; 3], 3).unwrap(), [1.0; 3]);
    let fails = |maps: &[f64], size, span| instruction_attention(maps, size, span).unwrap_err().to_string();
    assert!(fails(&maps, [2, 2, 3], 0..1).starts_with("attention maps has 16 entries where 12 are needed"));
    assert!(fails(&maps, [2, 2, 4], 2..5).starts_with("instruction key 4 of row 0 is not below 4"));
    assert!(fails(&maps, [2, 2, 4], 2..2).starts_with("instruction key 2 of row 0 is not below 2"));
    assert!(
        fails(&[0.9, 0.9], [1, 1, 2], 0..1).starts_with("attention of query of row 0 is 1.8; it must be made of shares")
    );
    assert!(fails(&[0.5, -0.1], [1, 1, 2], 0..1).starts_with("attention of query of row 0 is NaN"));
    assert!(instruction_attention(&[], [0, 1, 2], 0..1).is_err());
}

#[test]
fn bad_attention_is_named() {
    let fails = |attention: [&[f64]; 2]| {
        let reference = pair(REFERENCE[0], REFERENCE[1]);
        let found = sail_attention(pair(POLICY[0], POLICY[1]), reference, attention, &SailAttention::default());
        found.unwrap_err().to_string()
    };
    let error = fails([&[0.1, -0.1, 0.2], &[0.1; 2]]);
    let want = "sail_attention: entry 1 of the column `instruction_attention/chosen` is -0.1; it must be at least 0";
    assert_eq!(error, want);
    assert!(fails([&[0.0; 3], &[0.1; 2]]).starts_with("summed attention of row 0 is 0; it must be positive"));
}
