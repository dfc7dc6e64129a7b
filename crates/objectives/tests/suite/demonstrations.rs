//! Losses of demonstrations and of steps: the f-divergence SFT family, DPA, process rewards.

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_core::{ListLogps, ScoreTable, SequenceLogps, TokenLogps, ValuedTokens};
use tropism_objectives::*;

use crate::common::given::solved;
use crate::common::pairs::close;
use crate::common::plain::{Plain, Rng};
use crate::common::prove::{Proof, prove};
use crate::common::solve::solve;

const DIVERGENCES: [SftDivergence; 5] = [
    SftDivergence::TotalVariation,
    SftDivergence::ChiSquared,
    SftDivergence::Hellinger,
    SftDivergence::JensenShannon,
    SftDivergence::ReverseKl,
];

#[test]
fn f_sft_worked() {
    for (beta, want) in [
        (1.0, [-0.7, -1.0, -0.5775, -0.65, -0.41176471, -0.34602076, -0.40773899, -0.33030494, 0.18268352, -0.18268352]),
        (
            0.1,
            [-0.07, -0.1, -0.068775, -0.0965, -0.06542056, -0.08734387, -0.06541893, -0.08733500, 0.34300852, -0.03430085],
        ),
    ] {
        for (divergence, want) in DIVERGENCES.iter().zip(want.chunks(2)) {
            for outside in [Outside::Tangent, Outside::Constant, Outside::Raw] {
                let config = FSft::default().with_beta(beta).with_divergence(*divergence).with_outside(outside);
                let found = solved(config, &[(&[-2.3], &[-3.0])], &[]);
                close(&[found.loss, found.grads[0][0]], want, 6e-9);
            }
        }
    }
}

/// Log-probabilities of the sheet's three tokens by token, policy and reference.
const TOKENS: [[f64; 3]; 2] = [[-0.7, -1.2, -0.4], [-1.1, -1.0, -0.9]];

#[test]
fn f_sft_tokens_worked() {
    let dev = Cpu::default();
    let rows = |v: [f64; 3]| TokenLogps::new(dev.tensor([v]), &[true; 3]).unwrap();
    for divergence in DIVERGENCES {
        let config = FSftTokens::default().with_beta(0.5).with_divergence(divergence);
        let found = f_sft_tokens(rows(TOKENS[0]), rows(TOKENS[1]), &config).unwrap().values();
        // The sum of single tokens under the form by sequence.
        let single = FSft::default().with_beta(0.5).with_divergence(divergence);
        let each = (0..3).map(|t| solved(single.clone(), &[(&TOKENS[0][t..=t], &TOKENS[1][t..=t])], &[]).loss);
        close(&found, &[each.sum()], 1e-14);
    }
}

const LOGITS: [[f64; 3]; 3] = [[0.2, 1.1, -0.4], [0.0, 0.3, 0.9], [1.0, -0.2, 0.1]];
const REFERENCE: [[f64; 3]; 3] = [[0.1, 0.6, -0.2], [0.2, 0.1, 0.5], [0.4, 0.1, 0.0]];
const PICKED: [usize; 3] = [1, 2, 0];

/// Loss and gradient in the logits of the sheet's example of action values; `cut` lets the last state count as not the end.
fn by_values(divergence: SftDivergence, cut: Option<f64>) -> (f64, [[f64; 3]; 3]) {
    let dev = Cpu::default();
    let logits = dev.tensor(LOGITS);
    let pick = dev.tensor(PICKED);
    let logp = |t: Tensor<Rank2<3, 3>, f64, Cpu, _>| t.log_softmax::<Axis<1>>().select(pick.clone());
    let reference: Tensor<Rank1<3>, f64, Cpu> = dev.tensor(REFERENCE).log_softmax::<Axis<1>>().select(pick.clone());
    let policy: Tensor<Rank1<3>, f64, Cpu, OwnedTape<f64, Cpu>> = logp(logits.leaky_trace());
    let values = logits.leaky_trace().logsumexp::<_, Axis<1>>();
    // A fourth cell for the state after the last token.
    let wide = |t: Tensor<Rank1<3>, f64, Cpu, OwnedTape<f64, Cpu>>, last: f64| {
        let keep = dev.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
        let cells: Tensor<Rank2<1, 4>, f64, Cpu, _> = t.reshape::<Rank2<1, 3>>().matmul(keep);
        cells + dev.tensor([[0.0, 0.0, 0.0, last]])
    };
    let mask = [true, true, true, false];
    let tokens = TokenLogps::new(wide(policy, 0.0), &mask).unwrap();
    let table = ScoreTable::new(wide(values, cut.unwrap_or(0.0)), &[true, true, true, cut.is_some()]).unwrap();
    let policy = ValuedTokens::new(tokens, table).unwrap();
    let theirs = dev.tensor([[reference.array()[0], reference.array()[1], reference.array()[2], 0.0]]);
    let config = FSftValues::default().with_divergence(divergence).with_outside(Outside::Raw);
    let loss = f_sft_values(policy, TokenLogps::new(theirs, &mask).unwrap(), &config).unwrap().mean().unwrap();
    let value = loss.array();
    (value, loss.backward().get(&logits).array())
}

#[test]
fn f_sft_values_worked() {
    let ratios = 0.23229823 + 0.20951374 + 0.34491411;
    let (loss, gradient) = by_values(SftDivergence::TotalVariation, None);
    close(&[loss], &[-ratios], 2e-8);
    // Total variation is SFT: the gradient is p − onehot.
    for (t, row) in gradient.iter().enumerate() {
        let total: f64 = LOGITS[t].iter().map(|l| l.exp()).sum();
        for (a, g) in row.iter().enumerate() {
            let onehot = f64::from(u8::from(a == PICKED[t]));
            assert!((g - (LOGITS[t][a].exp() / total - onehot)).abs() < 1e-12);
        }
    }
    let (loss, gradient) = by_values(SftDivergence::ChiSquared, None);
    close(&[loss], &[0.12760128], 2e-8);
    // −φ'(u_t) at the token and +φ'(u_{t−1}) p_t, with 1 before the first.
    let u: [f64; 3] = [0.25010886, 0.24491411, 1.88009895];
    let force = u.map(|u| 1.0 - 0.5 * u);
    for (t, row) in gradient.iter().enumerate() {
        let total: f64 = LOGITS[t].iter().map(|l| l.exp()).sum();
        let before = if t == 0 { 1.0 } else { force[t - 1] };
        for (a, g) in row.iter().enumerate() {
            let own = if a == PICKED[t] { force[t] } else { 0.0 };
            assert!((g - (before * LOGITS[t][a].exp() / total - own)).abs() < 2e-8);
        }
    }
}

#[test]
fn f_sft_values_of_a_cut_row_keep_the_next_state() {
    // With total variation the values telescope to the one of the state after the cut, which is taken back.
    let (whole, _) = by_values(SftDivergence::TotalVariation, None);
    let (cut, _) = by_values(SftDivergence::TotalVariation, Some(1.3));
    close(&[cut], &[whole + 1.3], 1e-12);
    // At the last token u is 0.58009895 in place of 1.88009895.
    let phi = |u: f64| u - 0.25 * u * u;
    let (whole, _) = by_values(SftDivergence::ChiSquared, None);
    let (cut, _) = by_values(SftDivergence::ChiSquared, Some(1.3));
    close(&[cut - whole], &[phi(1.88009895) - phi(0.58009895)], 2e-8);
}

#[test]
fn f_sft_at_the_reference_is_a_share_of_sft() {
    for divergence in DIVERGENCES {
        let config = FSft::default().with_beta(0.3).with_divergence(divergence);
        let share = if divergence == SftDivergence::ReverseKl { (-1.0_f64).exp() } else { 1.0 };
        let found = solved(config, &[(&[-3.0, -5.0], &[-3.0, -5.0])], &[]);
        close(&found.grads[0], &[-0.3 * share / 2.0; 2], 1e-14);
    }
}

#[test]
fn f_sft_of_total_variation_does_not_see_the_reference() {
    let at = |reference: f64| {
        solved(FSft::default().with_divergence(SftDivergence::TotalVariation), &[(&[-3.0], &[reference])], &[]).grads
    };
    assert_eq!(at(-1.0), at(-30.0));
    let chi = |reference: f64| solved(FSft::default(), &[(&[-3.0], &[reference])], &[]).grads;
    assert_ne!(chi(-1.0), chi(-5.0));
}

#[test]
fn f_sft_beyond_the_bounds() {
    let at = |divergence, outside, u: f64| {
        let config = FSft::default().with_beta(1.0).with_divergence(divergence).with_outside(outside);
        let found = solved(config, &[(&[u - 50.0], &[-50.0])], &[]);
        [found.loss, found.grads[0][0]]
    };
    use Outside::{Constant, Raw, Tangent};
    use SftDivergence::{ChiSquared, Hellinger, JensenShannon};
    // χ²: no force from 2 on; raw it turns round.
    close(&at(ChiSquared, Raw, 2.0), &[-1.0, 0.0], 1e-12);
    close(&at(ChiSquared, Raw, 3.0), &[-0.75, 0.5], 1e-12);
    close(&at(ChiSquared, Tangent, 3.0), &[-1.0, 0.0], 1e-12);
    close(&at(ChiSquared, Constant, 3.0), &[-1.0, 0.0], 1e-12);
    // Hellinger: φ(−0.9) = −9 with slope 100.
    close(&at(Hellinger, Tangent, -1.9), &[9.0 + 100.0, -100.0], 1e-9);
    close(&at(Hellinger, Constant, -1.9), &[9.0, 0.0], 1e-9);
    let wall = (2.0 - 0.6_f64.exp(), 1.0 / (2.0 * (-0.6_f64).exp() - 1.0));
    close(&at(JensenShannon, Tangent, -1.6), &[-wall.0.ln() + wall.1, -wall.1], 1e-9);
    close(&at(JensenShannon, Constant, -1.6), &[-wall.0.ln(), 0.0], 1e-9);
    let rows = |lp: f64| SequenceLogps::new(Cpu::default().tensor([-1.0, lp]), &[3, 3]).unwrap();
    for (divergence, u) in [(Hellinger, -1.0), (JensenShannon, -0.7)] {
        let config = FSft::default().with_beta(1.0).with_divergence(divergence).with_outside(Raw);
        let error = f_sft(rows(-3.0 + u), rows(-3.0), &config).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("row 1") && error.contains("outside"), "{error}");
    }
}

#[test]
fn f_sft_is_proven_with_other_options() {
    for divergence in DIVERGENCES {
        for outside in [Outside::Tangent, Outside::Constant] {
            prove(FSft::default().with_divergence(divergence).with_outside(outside));
            prove(FSftTokens::default().with_divergence(divergence).with_outside(outside));
            let values = FSftValues::default().with_divergence(divergence).with_outside(outside);
            Proof::of(values).ratios(&[0.3, 3.0]).run();
        }
        // Inside all domains φ is taken as it is.
        let raw = FSft::default().with_beta(0.02).with_divergence(divergence).with_outside(Outside::Raw);
        Proof::of(raw).ratios(&[0.3, 3.0]).run();
    }
}

proptest! {
    #[test]
    fn f_sft_pushes_less_the_further_it_is(u in -0.59..30.0_f64, more in 0.0..9.0_f64) {
        for divergence in DIVERGENCES {
            let force = |u: f64| {
                let config = FSft::default().with_beta(1.0).with_divergence(divergence);
                solved(config, &[(&[u - 50.0], &[-50.0])], &[]).diagnostics.get("force").unwrap()[0]
            };
            prop_assert!(force(u + more) <= force(u) && force(u + more) >= 0.0);
        }
    }

    #[test]
    fn f_sft_tokens_of_total_variation_is_f_sft(seed: u64) {
        let tv = SftDivergence::TotalVariation;
        let tokens = Objective::from(FSftTokens::default().with_divergence(tv));
        let plain = Plain::random(&tokens, 3, 9.0, &mut Rng(seed));
        let found = solve::<f64>(&tokens, &plain);
        let sums = |values: &[f64]| -> Vec<f64> {
            let kept: Vec<f64> = values.iter().zip(&plain.sides[0].mask).map(|(v, &m)| if m { *v } else { 0.0 }).collect();
            kept.chunks(plain.width).map(|row| row.iter().sum()).collect()
        };
        let (policy, reference) = (sums(&plain.sides[0].policy), sums(&plain.sides[0].reference));
        let whole = solved(FSft::default().with_divergence(tv), &[(&policy, &reference)], &[]);
        prop_assert!((found.loss - whole.loss).abs() < 1e-12);
        let per_token = found.grads[0].iter().zip(&plain.sides[0].mask).all(|(g, &m)| !m || *g == whole.grads[0][0]);
        prop_assert!(per_token);
    }
}

const ANSWERS: [[f64; 2]; 4] = [[60.0, 20.0], [72.0, 55.0], [80.0, 90.0], [52.0, 8.0]];

#[test]
fn dpa_worked() {
    for (angle, rewards, kept) in [
        (-45.0, [28.284271, 12.020815, -7.071068, 31.112698], 3),
        (-15.0, [52.779169, 55.311612, 53.980352, 48.157591], 1),
        (0.0, [60.0, 72.0, 80.0, 52.0], 2),
        (30.0, [61.961524, 89.853829, 114.282032, 49.033321], 2),
    ] {
        let direction = Direction::degrees(angle).unwrap();
        close(&direction.rewards(&ANSWERS).unwrap(), &rewards, 6e-7);
        assert_eq!(direction.best(&ANSWERS).unwrap(), kept);
        let logps = Cpu::default().tensor([[-5.0_f64, -4.4, -9.0, -3.0]]);
        let list = ListLogps::new(logps.leaky_trace(), &[true; 4], &[4; 4]).unwrap();
        let loss = dpa(list, &direction.rewards(&ANSWERS).unwrap(), &Dpa::default()).unwrap().mean().unwrap();
        assert!((loss.array() + logps.array()[0][kept] / 4.0).abs() < 1e-14);
        let grads = loss.backward().get(&logps).array()[0];
        assert!((0..4).all(|i| grads[i] == if i == kept { -0.25 } else { 0.0 }));
    }
    let prompts = [-45.0, -15.0, 0.0, 30.0].map(|angle| Direction::degrees(angle).unwrap().in_prompt());
    assert_eq!(prompts, [[71, -71], [97, -26], [100, 0], [87, 50]]);
    assert!(Direction::degrees(f64::NAN).is_err() && Direction::degrees(0.0).unwrap().best(&[]).is_err());
    assert_eq!(Direction::degrees(90.0).unwrap().best(&[[1.0, 2.0], [0.0, 2.0 + 1e-30]]).unwrap(), 0);
}

proptest! {
    #[test]
    fn dpa_is_sft_of_the_best_answers(seed: u64, scale in 0.1..9.0_f64, shift in -9.0..9.0_f64) {
        let objective = Objective::from(Dpa::default());
        let mut plain = Plain::random(&objective, 4, 3.0, &mut Rng(seed));
        let found = solve::<f64>(&objective, &plain);
        let side = &plain.sides[0];
        let best = |row: usize| {
            let cells = (row * plain.width..(row + 1) * plain.width).filter(|&i| side.mask[i]);
            cells.max_by(|&i, &j| plain.columns[0].1[i].total_cmp(&plain.columns[0].1[j])).unwrap()
        };
        let kept: Vec<usize> = (0..4).map(best).collect();
        let logps: Vec<f64> = kept.iter().map(|&i| side.policy[i]).collect();
        let lengths: Vec<usize> = kept.iter().map(|&i| side.lengths[i]).collect();
        let rows = SequenceLogps::new(Cpu::default().tensor_from_vec(logps, (4usize,)), &lengths).unwrap();
        let sft = sft(rows, &Sft::default()).unwrap().mean().unwrap().array();
        prop_assert!((found.loss - sft).abs() < 1e-12);
        // Rewards on another scale keep the same answers.
        plain.columns[0].1.iter_mut().for_each(|r| *r = scale * *r + shift);
        prop_assert_eq!(solve::<f64>(&objective, &plain).grads, found.grads);
    }

    #[test]
    fn process_reward_of_single_steps_is_bradley_terry(s in -40.0..40.0_f64) {
        let dev = Cpu::default();
        let table = || ScoreTable::new(dev.tensor([[s]]), &[true]).unwrap();
        let right = process_reward(table(), &[1.0], &ProcessReward::default()).unwrap().values()[0];
        let wrong = process_reward(table(), &[0.0], &ProcessReward::default()).unwrap().values()[0];
        let pair = |w, l| {
            let scores = tropism_core::PairScores::new(dev.tensor([w]), dev.tensor([l])).unwrap();
            bradley_terry(scores, None, &BradleyTerry::default()).unwrap().values()[0]
        };
        prop_assert!((right - pair(s, 0.0)).abs() < 1e-12 && (wrong - pair(0.0, s)).abs() < 1e-12);
        // A soft label is the mean of both.
        let soft = process_reward(table(), &[0.3], &ProcessReward::default()).unwrap().values()[0];
        prop_assert!((soft - (0.3 * right + 0.7 * wrong)).abs() < 1e-12);
    }
}

#[test]
fn process_reward_worked() {
    // Two classes: cross-entropy of logits (0, 2), (1, 0) and (0.5, 0.5) with labels 1, 1, 0, over three steps of two rows.
    let dev = Cpu::default();
    let scores = dev.tensor([[2.0_f64, f64::NAN, -1.0], [f64::NAN, 0.0, 7.0]]);
    let mask = [true, false, true, false, true, false];
    let labels = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    let terms = process_reward(ScoreTable::new(scores.leaky_trace(), &mask).unwrap(), &labels, &ProcessReward::default());
    let terms = terms.unwrap();
    assert_eq!(terms.diagnostics.get("accuracies"), Some([0.5, 0.0].as_slice()));
    assert_eq!((terms.weights.clone(), terms.diagnostics.get("steps")), (vec![2.0, 1.0], Some([2.0, 1.0].as_slice())));
    let loss = terms.mean().unwrap();
    let entropy = |logits: [f64; 2], label: usize| (logits[0].exp() + logits[1].exp()).ln() - logits[label];
    let want = (entropy([0.0, 2.0], 1) + entropy([1.0, 0.0], 1) + entropy([0.5, 0.5], 0)) / 3.0;
    assert!((loss.array() - want).abs() < 1e-14);
    let sigma = |s: f64| 1.0 / (1.0 + (-s).exp());
    let grads = loss.backward().get(&scores).array().concat();
    close(&grads, &[(sigma(2.0) - 1.0) / 3.0, 0.0, (sigma(-1.0) - 1.0) / 3.0, 0.0, 0.5 / 3.0, 0.0], 1e-14);
}

#[test]
fn step_ends_refuse_what_does_not_fit() {
    assert!(step_ends(&[2, 0], &[1.0, 1.0], TrainedSteps::All).is_err());
    assert!(step_ends(&[2], &[1.0, 1.0], TrainedSteps::All).is_err());
    assert!(step_ends(&[], &[], TrainedSteps::Last).is_err());
    let bad = ScoreTable::new(Cpu::default().tensor([[1.0_f64]]), &[true]).unwrap();
    let error = process_reward(bad, &[1.5], &ProcessReward::default()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("label"), "{error}");
}
