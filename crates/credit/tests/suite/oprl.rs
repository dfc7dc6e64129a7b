//! OPRL: worked numbers and invariants.

use crate::common::plain::Rng;
use crate::common::{close, tokens};
use dfdx::prelude::*;
use tropism_core::{SequenceLogps, TokenLogps};
use tropism_credit::*;

/// Summed log-ratios of the steps of two successes and a failure.
const RATIOS: [f64; 7] = [2.0, -1.0, 0.5, 1.5, 1.0, -2.0, -0.5];

fn episodes() -> Episodes {
    Episodes::new(&[0, 0, 1, 1, 1, 2, 2], &[0; 7], &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]).unwrap()
}

/// Mean loss over pairs, and its gradient in the steps' log-probabilities.
fn solve(ratios: &[f64], episodes: &Episodes, config: &Oprl) -> (f64, Vec<f64>) {
    let (dev, n) = (Cpu::default(), ratios.len());
    let old: Vec<f64> = (0..n).map(|i| -1.5 - i as f64).collect();
    let own: Vec<f64> = ratios.iter().zip(&old).map(|(q, old)| q + old).collect();
    let leaf = dev.tensor_from_vec(own, (n,));
    let lengths = vec![3; n];
    let model = SequenceLogps::new(leaf.leaky_trace(), &lengths).unwrap();
    let policy = SequenceLogps::new(dev.tensor_from_vec(old, (n,)), &lengths).unwrap();
    let loss = oprl(model, policy, episodes, config).unwrap().mean().unwrap();
    (loss.array(), loss.backward().get(&leaf).as_vec())
}

fn rewards() -> Vec<f64> {
    RATIOS.iter().map(|q| 0.05 * q).collect()
}

#[test]
fn worked_example_of_the_model_loss() {
    let (loss, grads) = solve(&RATIOS, &episodes(), &Oprl::default());
    close(&[loss], &[0.587270549176], 1e-12);
    let (a, b, c) = (-0.0114090328, -0.0107920004, 0.0222010332);
    close(&grads, &[a, a, b, b, b, c, c], 6e-11);
    let (loss, grads) = solve(&RATIOS, &episodes(), &Oprl::default().with_normalization(Normalization::Mean));
    close(&[loss], &[0.644416142451], 1e-12);
    let (a, b, c) = (-0.0059767368, -0.0039325386, 0.0118755446);
    close(&grads, &[a, a, b, b, b, c, c], 6e-11);
}

#[test]
fn worked_example_of_the_advantages() {
    let want = [1.81807944, -0.26634556, 0.77586694, 1.47067527, 1.12327110, -2.69320470, -1.65099221];
    close(&step_advantages(&rewards(), &episodes(), &StepAdvantages::default()).unwrap(), &want, 6e-9);
    let normalized = normalized_step_rewards(&rewards());
    let want = [0.99999, -0.499995, 0.2499975, 0.7499925, 0.499995, -0.99999, -0.2499975];
    close(&normalized, &want, 6e-9);
    let released = StepAdvantages::default().with_estimator(Estimator::LeaveOneOut).with_baseline(StepBaseline::FirstSteps);
    let want = [1.87498625, -0.37499125, 0.74999750, 1.49999000, 1.12499375, -2.62498375, -1.49999500];
    close(&step_advantages(&normalized, &episodes(), &released).unwrap(), &want, 6e-9);
}

#[test]
fn invariant_1_a_model_that_is_the_policy_gives_ln_2_and_episode_advantages_alone() {
    let zeros = [0.0; 7];
    close(&[solve(&zeros, &episodes(), &Oprl::default()).0], &[2.0_f64.ln()], 1e-15);
    let (up, down) = (0.57735027, -1.15470054);
    let found = step_advantages(&zeros, &episodes(), &StepAdvantages::default()).unwrap();
    close(&found, &[up, up, up, up, up, down, down], 6e-9);
    assert!(tokens(&[-1.0, -2.0]).values().len() == 2);
    let (a, b) = (tokens(&[-1.0, -2.0]), tokens(&[-1.0, -2.0]));
    assert_eq!(step_rewards(&a, &b, 0.05, None).unwrap(), [0.0]);
}

#[test]
fn invariant_2_a_split_step_changes_means_but_not_sums() {
    // The first step of the first trajectory in two.
    let split = [1.5, 0.5, -1.0, 0.5, 1.5, 1.0, -2.0, -0.5];
    let outcomes = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
    let longer = Episodes::new(&[0, 0, 0, 1, 1, 1, 2, 2], &[0; 8], &outcomes).unwrap();
    let sum = |ratios: &[f64], e: &Episodes| solve(ratios, e, &Oprl::default()).0;
    close(&[sum(&split, &longer)], &[sum(&RATIOS, &episodes())], 1e-14);
    let config = Oprl::default().with_normalization(Normalization::Mean);
    assert!((solve(&split, &longer, &config).0 - solve(&RATIOS, &episodes(), &config).0).abs() > 1e-3);
    // Tokens of a step may change places.
    let (model, old) = ([-1.0, -0.25, -2.0], [-0.5, -1.5, -0.75]);
    let turned = |v: [f64; 3]| [v[2], v[0], v[1]];
    let reward = |model: &[f64], old: &[f64]| step_rewards(&tokens(model), &tokens(old), 0.05, None).unwrap();
    assert_eq!(reward(&turned(model), &turned(old)), reward(&model, &old));
}

#[test]
fn invariant_3_a_group_with_one_outcome_has_no_pairs() {
    let alike = Episodes::new(&[0, 0, 1], &[3; 3], &[1.0; 3]).unwrap();
    let dev = Cpu::default();
    let model = dev.tensor([1.0, 2.0, 3.0]);
    let steps = || SequenceLogps::new(dev.tensor([0.0; 3]), &[1; 3]).unwrap();
    let traced = SequenceLogps::new(model.leaky_trace(), &[1; 3]).unwrap();
    let terms = oprl(traced, steps(), &alike, &Oprl::default()).unwrap();
    assert_eq!((terms.weight(), terms.values()), (0.0, vec![0.0; 3]));
    // Beside a group that has pairs it adds nothing.
    let grads = terms.sum_over(&[1.0]).unwrap().backward();
    assert_eq!(grads.get(&model).array(), [0.0; 3]);
    let advantages = step_advantages(&[0.3, 0.3, 0.3], &alike, &StepAdvantages::default()).unwrap();
    assert_eq!(advantages, [0.0; 3]);
    // Graded outcomes make pairs of their own.
    let graded = Episodes::new(&[0, 0, 1], &[3; 3], &[0.9, 0.9, 0.4]).unwrap();
    let weight = |pairing| oprl(steps(), steps(), &graded, &Oprl::default().with_pairing(pairing)).unwrap().weight();
    close(&[weight(Pairing::Success), weight(Pairing::Ranked)], &[0.0, 1.0], 1e-15);
}

#[test]
fn invariants_4_7_alpha_0_is_the_episode_estimator() {
    for estimator in [Estimator::Standardized, Estimator::LeaveOneOut, Estimator::Centered, Estimator::Scaled] {
        let config = StepAdvantages::default().with_estimator(estimator);
        let without = step_advantages(&[0.0; 7], &episodes(), &config).unwrap();
        assert_eq!(step_advantages(&rewards(), &episodes(), &config.with_alpha(0.0)).unwrap(), without);
    }
    let config = StepAdvantages::default().with_estimator(Estimator::LeaveOneOut).with_alpha(0.0);
    let found = step_advantages(&rewards(), &episodes(), &config).unwrap();
    // n / (n − 1) (r − mean), and 0 in sum over trajectories.
    close(&found, &[0.5, 0.5, 0.5, 0.5, 0.5, -1.0, -1.0], 1e-14);
    close(&[found[0] + found[2] + found[5]], &[0.0], 1e-14);
    // The step part sums to 0 over all steps against their own mean, but not against that of first steps.
    let steps = |baseline| {
        let config = StepAdvantages::default().with_estimator(Estimator::LeaveOneOut).with_baseline(baseline);
        let both = step_advantages(&rewards(), &episodes(), &config).unwrap();
        both.iter().zip(&found).map(|(b, e)| b - e).sum::<f64>()
    };
    assert!(steps(StepBaseline::AllSteps).abs() < 1e-14 && steps(StepBaseline::FirstSteps).abs() > 1e-2);
}

#[test]
fn invariant_5_pairs_never_cross_groups_and_rows_may_stand_in_any_order() {
    let mut rng = Rng(3);
    let (trajectories, groups) = ([0, 1, 0, 2, 3, 2], [0, 0, 0, 1, 1, 1]);
    let outcomes = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    let whole = Episodes::new(&trajectories, &groups, &outcomes).unwrap();
    let ratios = rng.reals(6, -20.0, 20.0);
    let (loss, grads) = solve(&ratios, &whole, &Oprl::default());
    let half = |range: std::ops::Range<usize>| {
        let part = Episodes::new(&trajectories[range.clone()], &groups[range.clone()], &outcomes[range.clone()]).unwrap();
        solve(&ratios[range], &part, &Oprl::default())
    };
    let (a, b) = (half(0..3), half(3..6));
    close(&[loss], &[0.5 * (a.0 + b.0)], 1e-13);
    let want: Vec<f64> = a.1.iter().chain(&b.1).map(|g| 0.5 * g).collect();
    close(&grads, &want, 1e-13);
    let order = [5, 2, 3, 0, 1, 4];
    let turned = Episodes::new(&order.map(|i| trajectories[i]), &order.map(|i| groups[i]), &order.map(|i| outcomes[i]));
    let (other, turned) = solve(&order.map(|i| ratios[i]), &turned.unwrap(), &Oprl::default());
    close(&[other], &[loss], 1e-13);
    close(&turned, &order.map(|i| grads[i]), 1e-13);
}

#[test]
fn invariant_6_normalised_rewards_know_no_scale_and_stay_below_1() {
    let (one, other) = (rewards(), rewards().iter().map(|r| 40.0 * r).collect::<Vec<f64>>());
    let largest = normalized_step_rewards(&one).iter().fold(0.0, |m: f64, r| m.max(r.abs()));
    close(&[largest], &[1.0 / (1.0 + 1e-6 / 0.1)], 1e-12);
    close(&normalized_step_rewards(&other), &normalized_step_rewards(&one), 2e-5);
    assert_eq!(normalized_step_rewards(&[0.0, 0.0]), [0.0, 0.0]);
}

/// The loss is smallest where the margin is the log-odds of the preference.
#[test]
fn invariant_8_converged_margins_are_log_odds() {
    let share = 0.8_f64;
    let best = (share / (1.0 - share)).ln();
    let risk = |margin: f64| {
        let loss =
            |q: f64| solve(&[q / 0.05, 0.0], &Episodes::new(&[0, 1], &[0; 2], &[1.0, 0.0]).unwrap(), &Oprl::default()).0;
        share * loss(margin) + (1.0 - share) * loss(-margin)
    };
    assert!(risk(best) < risk(best + 0.05) && risk(best) < risk(best - 0.05));
}

#[test]
fn invariant_9_clipped_rewards_are_bounded() {
    let table = |v: &[f64]| TokenLogps::new(crate::common::row(v), &[true, true, true, false]).unwrap();
    let (model, old) = (table(&[-900.0, -1.0, 0.0, f64::NAN]), table(&[-1.0, -2.0, -500.0, f64::NAN]));
    close(&step_rewards(&model, &old, 0.05, Some(3.0)).unwrap(), &[0.05 * (-3.0 + 1.0 + 3.0)], 1e-14);
    assert!(step_rewards(&model, &old, 0.05, Some(0.0)).unwrap_err().to_string().contains("clip of step rewards"));
}

#[test]
fn inconsistent_trajectories_are_named() {
    let error = Episodes::new(&[4, 4], &[0, 1], &[1.0, 1.0]).unwrap_err();
    let want = "step 1 gives trajectory 4 another group than its first step; a trajectory has one";
    assert_eq!(error.to_string(), want);
    let error = Episodes::new(&[4, 4], &[0, 0], &[1.0, 0.0]).unwrap_err();
    assert!(matches!(error, CreditError::Trajectory { row: 1, trajectory: 4, what: "outcome" }));
    assert!(Episodes::new(&[], &[], &[]).is_err());
    let text = "method = 'oprl'\nnormalization = 'mean'\npairing = 'ranked'";
    let want = Oprl::default().with_normalization(Normalization::Mean).with_pairing(Pairing::Ranked);
    assert_eq!(toml::from_str::<Credit>(text).unwrap(), want.into());
}
