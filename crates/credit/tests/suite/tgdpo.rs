//! TGDPO: worked numbers and invariants.

use crate::common::{close, pair, tokens, traced};
use dfdx::prelude::*;
use tropism_core::{PairTokens, TokenLogps};
use tropism_credit::*;

const POLICY: [&[f64]; 2] = [&[-1.2, -0.7, -2.0], &[-1.0, -1.6]];
const REFERENCE: [&[f64]; 2] = [&[-1.5, -0.6, -2.3], &[-0.8, -1.9]];
const GUIDE: [&[f64]; 2] = [&[-0.9, -1.1, -1.8], &[-1.4, -1.2]];

fn reference() -> PairTokens<usize, usize, f64, Cpu> {
    pair(REFERENCE[0], REFERENCE[1])
}

/// Loss and gradients of the worked pair.
fn worked(guide: [&[f64]; 2], config: &Tgdpo) -> (f64, Vec<f64>, Vec<f64>) {
    traced(POLICY[0], POLICY[1], |policy| tgdpo(policy, reference(), guide, config))
}

/// What the guide's rewards are at inverse temperature 0.1.
fn rewards() -> [Vec<f64>; 2] {
    [0, 1].map(|k| GUIDE[k].iter().zip(REFERENCE[k]).map(|(g, r)| 0.1 * (g - r)).collect())
}

#[test]
fn worked_example() {
    let (loss, chosen, rejected) = worked(GUIDE, &Tgdpo::default());
    close(&[loss], &[0.671609237140], 1e-12);
    close(&chosen, &[-0.050378764706, -0.047688636493, -0.050134207596], 1e-12);
    close(&rejected, &[0.050378764706, 0.047199522273], 1e-12);
    let [w, l] = guidance_weights([&rewards()[0], &rewards()[1]], &Tgdpo::default());
    close(&w, &[1.03, 0.975, 1.025], 1e-14);
    close(&l, &[1.03, 0.965], 1e-14);
    close(&[worked(GUIDE, &Tgdpo::default().with_alpha(2.0)).0], &[0.666414340622], 1e-12);
    close(&[worked(GUIDE, &Tgdpo::default().with_alpha(0.0)).0], &[0.673347167228], 1e-12);
    let terms = tgdpo(pair(POLICY[0], POLICY[1]), reference(), GUIDE, &Tgdpo::default()).unwrap();
    close(terms.diagnostics.get("margins/weighted").unwrap(), &[0.043550], 1e-12);
    // Rewards are those of unweighted log-ratios.
    close(terms.diagnostics.get("rewards/margins").unwrap(), &[0.04], 1e-12);
}

#[test]
fn invariants_1_2_alpha_0_and_a_guide_that_is_the_reference_are_dpo() {
    let dpo = traced(POLICY[0], POLICY[1], |policy| token_dpo(policy, reference(), &TokenDpo::default()));
    assert_eq!(worked(GUIDE, &Tgdpo::default().with_alpha(0.0)), dpo);
    assert_eq!(worked(REFERENCE, &Tgdpo::default().with_alpha(3.0)), dpo);
}

#[test]
fn invariant_3_at_the_reference_the_loss_is_ln_2_and_the_gradient_half_beta_times_the_weight() {
    let config = Tgdpo::default().with_alpha(2.0);
    let (loss, chosen, rejected) = traced(REFERENCE[0], REFERENCE[1], |policy| tgdpo(policy, reference(), GUIDE, &config));
    close(&[loss], &[2.0_f64.ln()], 1e-15);
    close(&chosen, &[-0.05 * 1.12, -0.05 * 0.9, -0.05 * 1.1], 1e-14);
    close(&rejected, &[0.05 * 1.12, 0.05 * 0.86], 1e-14);
}

#[test]
fn invariant_4_alpha_times_c_and_guidance_over_c_is_the_same() {
    let c = 7.0;
    let weaker: Vec<Vec<f64>> =
        [0, 1].map(|k| REFERENCE[k].iter().zip(GUIDE[k]).map(|(r, g)| r + (g - r) / c).collect()).to_vec();
    let scaled = worked([&weaker[0], &weaker[1]], &Tgdpo::default().with_alpha(0.5 * c));
    let plain = worked(GUIDE, &Tgdpo::default());
    close(&[scaled.0], &[plain.0], 1e-14);
    close(&scaled.1, &plain.1, 1e-14);
    // The same as a guide of another inverse temperature.
    let guided = worked([&weaker[0], &weaker[1]], &Tgdpo::default().with_guide_beta(Some(0.1 * c)));
    close(&[guided.0], &[plain.0], 1e-14);
}

#[test]
fn invariant_5_masked_tokens_contribute_nothing() {
    let plain = worked(GUIDE, &Tgdpo::default());
    for junk in [0.0, -30.0, f64::NAN, f64::NEG_INFINITY] {
        let padded = |v: &[f64], junk: f64| [&[junk], v, &[junk, junk]].concat();
        let side = |v: &[f64]| {
            let mask: Vec<bool> = (0..v.len() + 3).map(|i| (1..=v.len()).contains(&i)).collect();
            TokenLogps::new(crate::common::row(&padded(v, junk)), &mask).unwrap()
        };
        let pairs = |v: [&[f64]; 2]| PairTokens::new(side(v[0]), side(v[1])).unwrap();
        // Columns hold numbers.
        let guide = GUIDE.map(|v| padded(v, if junk.is_finite() { junk } else { 7.0 }));
        let terms = tgdpo(pairs(POLICY), pairs(REFERENCE), [&guide[0], &guide[1]], &Tgdpo::default()).unwrap();
        assert_eq!(terms.values(), [plain.0]);
    }
}

#[test]
fn invariant_6_gradients_follow_the_guide_within_a_pair() {
    let (_, chosen, rejected) = worked(GUIDE, &Tgdpo::default());
    let [r_w, r_l] = rewards();
    // Chosen: the larger the reward the harder the push; rejected: the other way round.
    assert!(r_w[0] > r_w[2] && r_w[2] > r_w[1]);
    assert!(chosen[0].abs() > chosen[2].abs() && chosen[2].abs() > chosen[1].abs());
    assert!(r_l[0] < r_l[1] && rejected[0] > rejected[1]);
}

#[test]
fn invariant_7_swapped_sides_and_minus_alpha_negate_the_margin() {
    let margin = |policy: [&[f64]; 2], reference: [&[f64]; 2], guide, alpha| {
        let (policy, reference) = (pair(policy[0], policy[1]), pair(reference[0], reference[1]));
        let terms = tgdpo(policy, reference, guide, &Tgdpo::default().with_alpha(alpha)).unwrap();
        terms.diagnostics.get("margins/weighted").unwrap()[0]
    };
    let d = margin(POLICY, REFERENCE, GUIDE, 1.3);
    let turned = margin([POLICY[1], POLICY[0]], [REFERENCE[1], REFERENCE[0]], [GUIDE[1], GUIDE[0]], -1.3);
    close(&[turned], &[-d], 1e-15);
}

/// Reference and guide come without a tape, so no gradient can reach them.
#[test]
fn invariant_8_cached_weights_give_the_same_loss() {
    let weights = guidance_weights([&rewards()[0], &rewards()[1]], &Tgdpo::default());
    let cached = traced(POLICY[0], POLICY[1], |policy| {
        weighted_token_dpo(policy, reference(), weights, &WeightedTokenDpo::default())
    });
    let given = traced(POLICY[0], POLICY[1], |policy| {
        tgdpo_with_rewards(policy, reference(), [&rewards()[0], &rewards()[1]], &Tgdpo::default())
    });
    let whole = worked(GUIDE, &Tgdpo::default());
    close(&[cached.0, given.0], &[whole.0, whole.0], 1e-15);
    close(&[cached.1, given.2].concat(), &[whole.1, whole.2].concat(), 1e-15);
}

#[test]
fn negative_weights_are_counted_or_raised_to_the_floor() {
    let config = Tgdpo::default().with_alpha(20.0);
    let terms = tgdpo(pair(POLICY[0], POLICY[1]), reference(), GUIDE, &config).unwrap();
    assert_eq!(terms.diagnostics.get("token_weights/rejected_negative"), Some([1.0].as_slice()));
    let [_, l] = guidance_weights([&rewards()[0], &rewards()[1]], &config);
    close(&l, &[2.2, -0.4], 1e-14);
    let raised = tgdpo(pair(POLICY[0], POLICY[1]), reference(), GUIDE, &config.with_floor(Some(0.0))).unwrap();
    assert_eq!(raised.diagnostics.get("token_weights/rejected_negative"), Some([0.0].as_slice()));
    close(raised.diagnostics.get("token_weights/rejected").unwrap(), &[1.1], 1e-14);
}

#[test]
fn the_sft_term_is_a_mean_over_the_chosen_tokens() {
    let plain = worked(GUIDE, &Tgdpo::default());
    let (loss, chosen, rejected) = worked(GUIDE, &Tgdpo::default().with_sft_weight(0.6));
    close(&[loss], &[plain.0 + 0.6 * 1.3], 1e-14);
    let want: Vec<f64> = plain.1.iter().map(|g| g - 0.2).collect();
    close(&chosen, &want, 1e-14);
    assert_eq!(rejected, plain.2);
}

#[test]
fn bad_input_is_named() {
    let fails =
        |guide, config: &Tgdpo| tgdpo(pair(POLICY[0], POLICY[1]), reference(), guide, config).unwrap_err().to_string();
    let error = fails(GUIDE, &Tgdpo::default().with_beta(0.0));
    assert_eq!(error, "tgdpo: `beta` is 0; it must be positive and finite");
    let short: [&[f64]; 2] = [&[-1.0], GUIDE[1]];
    let error = fails(short, &Tgdpo::default());
    assert_eq!(error, "chosen guide logps has 1 entries where 3 are needed; give one per row");
    let nan: [&[f64]; 2] = [GUIDE[0], &[-1.0, f64::NAN]];
    let error = fails(nan, &Tgdpo::default());
    assert!(error.starts_with("rejected token weights of row 0 is NaN"), "{error}");
    let short = TokenLogps::new(crate::common::row(&[-1.5, -0.6, -2.3]), &[true, true, false]).unwrap();
    let uneven = PairTokens::new(short, tokens(REFERENCE[1])).unwrap();
    let error = tgdpo(pair(POLICY[0], POLICY[1]), uneven, GUIDE, &Tgdpo::default()).unwrap_err();
    assert!(matches!(error, CreditError::UnevenMasks { row: 0, column: 2, .. }), "{error}");
    let config = Tgdpo::default().with_guide_beta(Some(1.0));
    let given = tgdpo_with_rewards(pair(POLICY[0], POLICY[1]), reference(), GUIDE, &config);
    assert!(given.unwrap_err().to_string().contains("`guide_beta` is not read"));
}
