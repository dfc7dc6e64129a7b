//! The worked figures and invariants of agents: tools, turns, searches.

use crate::common::close;
use crate::common::plain::Plain;
use crate::common::rng::Rng;
use crate::common::solve::solve;
use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_core::TokenLogps;
use tropism_policy_gradient::*;

const TURN: [f64; 4] = [1.0, 0.0, 1.0, 1.0];
const OUTCOME: [f64; 4] = [1.0, 0.0, 0.0, 1.0];

/// Advantages of the group's four trajectories, of two tokens each with the first result at column 1, or none.
fn mixture(coefficient: f64, first_result: Option<usize>, turn: &[f64; 4]) -> Vec<f64> {
    let config = TurnMixture::default().with_coefficient(coefficient);
    let groups = Groups::new(&[0; 4]).unwrap();
    turn_mixture(turn, &OUTCOME, &[first_result; 4], &[true; 8], 2, &groups, &config).unwrap()
}

fn grpo(rewards: &[f64]) -> Vec<f64> {
    let table = RewardTable::single(rewards).unwrap();
    group_normalized(&table, &Groups::new(&vec![0; rewards.len()]).unwrap(), &GroupNormalized::default()).unwrap().values
}

#[test]
fn worked_turn_mixture() {
    close(&grpo(&TURN), &[0.49990002, -1.49970006, 0.49990002, 0.49990002], 1e-8);
    let outcome = [0.86587543, -0.86587543, -0.86587543, 0.86587543];
    close(&grpo(&OUTCOME), &outcome, 1e-8);
    let found = mixture(1.0, Some(1), &TURN);
    let column = |c: usize| found.iter().copied().skip(c).step_by(2).collect::<Vec<f64>>();
    close(&column(0), &[1.36577545, -2.36557549, -0.36597541, 1.36577545], 1e-8);
    close(&column(1), &outcome, 1e-8);
    let combined: Vec<f64> = mixture(1.0, None, &TURN).into_iter().step_by(2).collect();
    close(&combined, &[0.78326764, -1.30544607, -0.26108921, 0.78326764], 1e-8);
}

#[test]
fn worked_searches() {
    let round = |documents: &[usize], similarities: &[f64]| SearchRound {
        documents: documents.to_vec(),
        similarities: similarities.to_vec(),
    };
    let rounds = [round(&[1], &[0.8, 0.1]), round(&[2, 3], &[0.5, 0.2, 0.3, 0.6]), round(&[2, 3], &[0.5, 0.2, 0.3, 0.6])];
    let found = search_steps(&rounds, 2).unwrap();
    close(&found.iter().map(|s| s.gain).collect::<Vec<_>>(), &[0.45, 0.25, 0.0], 1e-12);
    close(&found.iter().map(|s| s.redundancy).collect::<Vec<_>>(), &[0.0, 0.0, 1.0], 0.0);
    close(&[0.6 * found[2].reward()], &[-0.6], 1e-12);
}

proptest! {
    #[test]
    fn invariant_1_tokens_of_tools_do_not_matter(seed: u64, junk in -50.0..0.0_f64) {
        let plain = Plain::random(5, 2.0, &mut Rng(seed));
        if !plain.mask.contains(&true) {
            return Ok(());
        }
        for method in [PolicyGradient::from(Dapo::default().with_kl(KlPenalty::of(0.1))), Ppo::default().into()] {
            let (a, b) = (solve::<f64>(&method, &plain), solve::<f64>(&method, &plain.with_junk(junk)));
            prop_assert_eq!(a.loss, b.loss);
            prop_assert_eq!(&a.grads[0], &b.grads[0]);
        }
    }

    #[test]
    fn invariant_2_without_turns_it_is_grpo_of_the_outcome(reward in -1.0..1.0_f64) {
        let outcome: Vec<f64> = grpo(&OUTCOME).iter().flat_map(|&a| [a, a]).collect();
        prop_assert_eq!(mixture(1.0, Some(1), &[reward; 4]), outcome.clone());
        prop_assert_eq!(mixture(0.0, Some(1), &TURN), outcome.clone());
        // Equal turn rewards shift the combined reward alone.
        close(&mixture(1.0, None, &[reward; 4]), &outcome, 1e-9);
    }

    #[test]
    fn invariant_3_gains_sum_to_at_most_1_and_repeats_are_redundant(seed: u64) {
        let mut rng = Rng(seed);
        let mut rounds: Vec<SearchRound> = (0..4).map(|_| {
            let documents: Vec<usize> = (0..rng.whole(1, 4)).map(|_| rng.whole(0, 9)).collect();
            let similarities = (0..documents.len() * 3).map(|_| rng.real(0.0, 1.0)).collect();
            SearchRound { documents, similarities }
        }).collect();
        rounds.push(rounds[3].clone());
        let found = search_steps(&rounds, 3).unwrap();
        prop_assert!(found.iter().map(|s| s.gain).sum::<f64>() <= 1.0 + 1e-12);
        prop_assert!(found.iter().all(|s| s.gain >= 0.0 && (0.0..=1.0).contains(&s.redundancy)));
        prop_assert_eq!((found[4].gain, found[4].redundancy), (0.0, 1.0));
    }

    #[test]
    fn invariant_5_kept_tasks_are_solved_sometimes(rates in prop::collection::vec(0usize..9, 1..20), bins in 1usize..5) {
        let rates: Vec<f64> = rates.iter().map(|&p| p as f64 / 8.0).collect();
        let found = pass_rate_bins(&rates, bins).unwrap();
        for (rate, bin) in rates.iter().zip(&found) {
            prop_assert_eq!(bin.is_some(), *rate > 0.0 && *rate < 1.0);
            let holds = |b: usize| (b as f64..(b + 1) as f64).contains(&(rate * bins as f64));
            prop_assert!(bin.is_none_or(|b| b < bins && holds(b)));
        }
        prop_assert_eq!(&pass_rate_bins(&rates, bins).unwrap(), &found);
    }

    #[test]
    fn invariant_7_logps_of_a_trajectory_sum_its_actions(seed: u64, junk in -90.0..0.0_f64) {
        let plain = Plain::random(6, 2.0, &mut Rng(seed));
        let sums = |plain: &Plain| {
            let table = Cpu::default().tensor_from_vec(plain.policy.clone(), (plain.rows, plain.width));
            TokenLogps::new(table, &plain.mask).unwrap().sum().unwrap().logps.as_vec()
        };
        let want: Vec<f64> = (0..6).map(|r| plain.cells(r).iter().map(|&i| plain.policy[i]).sum()).collect();
        close(&sums(&plain), &want, 1e-12);
        prop_assert_eq!(sums(&plain.with_junk(junk)), sums(&plain));
    }

    #[test]
    fn invariant_8_a_curriculum_reaches_every_bin_and_stays_below_what_is_open(
        rates in prop::collection::vec(0usize..9, 1..30), bins in 1usize..5, seed: u64,
    ) {
        let rates: Vec<f64> = rates.iter().map(|&p| p as f64 / 8.0).collect();
        let binned = pass_rate_bins(&rates, bins).unwrap();
        let Ok(mut curriculum) = Curriculum::new(&binned) else {
            prop_assert!(binned.iter().all(Option::is_none));
            return Ok(());
        };
        let mut present: Vec<usize> = binned.iter().flatten().copied().collect();
        present.sort_unstable();
        present.dedup();
        prop_assert_eq!(curriculum.levels(), present.len());
        let mut rng = Rng(seed);
        loop {
            // The easiest bins are open, and each of them comes up.
            let open = &present[present.len() - curriculum.open()..];
            let mut seen: Vec<usize> = (0..400)
                .map(|_| binned[curriculum.draw([rng.real(0.0, 1.0), rng.real(0.0, 1.0)]).unwrap()].unwrap())
                .collect();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(&seen, open);
            prop_assert!(!curriculum.advance(0.4, 0.5).unwrap());
            if !curriculum.advance(0.5, 0.5).unwrap() {
                break;
            }
        }
        prop_assert_eq!(curriculum.open(), curriculum.levels());
        // Every task comes up, and none twice.
        let mut tasks: Vec<usize> = (0..curriculum.levels()).flat_map(|l| curriculum.tasks(l).to_vec()).collect();
        tasks.sort_unstable();
        let kept: Vec<usize> = (0..rates.len()).filter(|&t| binned[t].is_some()).collect();
        prop_assert_eq!(tasks, kept);
        prop_assert!(curriculum.draw([1.0, 0.0]).is_err() && curriculum.advance(f64::NAN, 0.5).is_err());
    }

    #[test]
    fn steps_of_the_last_token_alone_are_grpo_of_the_outcome(seed: u64) {
        let mut rng = Rng(seed);
        let outcome: Vec<f64> = (0..4).map(|_| rng.real(-1.0, 1.0)).collect();
        let rewards: Vec<f64> = outcome.iter().flat_map(|&r| [f64::NAN, f64::NAN, r]).collect();
        let found = step_normalized(&rewards, &[true; 12], 3, &Groups::new(&[0; 4]).unwrap(), &Steps::default()).unwrap();
        let want: Vec<f64> = grpo(&outcome).iter().flat_map(|&a| [a; 3]).collect();
        close(&found, &want, 1e-12);
    }

    #[test]
    fn invariant_4_step_rewards_stand_at_counted_tokens_alone(seed: u64) {
        let mut rng = Rng(seed);
        let none = f64::NAN;
        let (a, b) = (rng.real(-1.0, 1.0), rng.real(-1.0, 1.0));
        // The second column is a tool's; the step that ends after it also credits the token before.
        let mask = [true, false, true, true, false, true];
        let rewards = [none, none, a, b, none, none];
        let groups = Groups::new(&[0, 0]).unwrap();
        let found = step_normalized(&rewards, &mask, 3, &groups, &Steps::default()).unwrap();
        let z = grpo(&[a, b]);
        close(&found, &[z[0], 0.0, z[0], z[1], 0.0, 0.0], 1e-12);
        let misplaced = step_normalized(&[none, a, none, b, none, none], &mask, 3, &groups, &Steps::default());
        prop_assert!(matches!(misplaced, Err(PolicyGradientError::Entry { entry: 1, .. })), "{:?}", misplaced);
    }

    #[test]
    fn whitened_returns_of_reinforce_are_those_of_the_batch(seed: u64, gamma in 0.0..1.0_f64) {
        let mut rng = Rng(seed);
        let rewards: Vec<f64> = (0..12).map(|_| rng.real(-1.0, 1.0)).collect();
        let found = reinforce(&rewards, &[true; 12], 4, &Reinforce::default().with_gamma(gamma)).unwrap();
        let to_go = |i: usize| (i..i - i % 4 + 4).map(|j| gamma.powi((j - i) as i32) * rewards[j]).sum::<f64>();
        let returns: Vec<f64> = (0..12).map(to_go).collect();
        let mean = returns.iter().sum::<f64>() / 12.0;
        let sd = (returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 11.0 + 1e-8).sqrt();
        close(&found, &returns.iter().map(|r| (r - mean) / sd).collect::<Vec<_>>(), 1e-9);
    }

    #[test]
    fn the_baseline_estimator_whitens_differences_by_token(seed: u64) {
        let mut rng = Rng(seed);
        let rewards: Vec<f64> = (0..4).map(|_| rng.real(-1.0, 1.0)).collect();
        let mask = [true, false, false, true, true, false, true, true, true, true, true, true];
        let table = RewardTable::single(&rewards).unwrap();
        let groups = Groups::new(&[0, 0, 1, 1]).unwrap();
        let found = reinforce_baseline(&table, &groups, &mask, 3, &ReinforceBaseline::default()).unwrap();
        let d = [(rewards[0] - rewards[1]) / 2.0, (rewards[2] - rewards[3]) / 2.0];
        let (d, n) = ([d[0], -d[0], d[1], -d[1]], [1.0, 2.0, 3.0, 3.0]);
        let mean = (0..4).map(|i| n[i] * d[i]).sum::<f64>() / 9.0;
        let sd = ((0..4).map(|i| n[i] * (d[i] - mean).powi(2)).sum::<f64>() / 8.0 + 1e-8).sqrt();
        close(&found.values, &d.map(|d| (d - mean) / sd), 1e-9);
    }
}
