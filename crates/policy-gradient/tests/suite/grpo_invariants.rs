//! The invariants of GRPO and its variants.

use crate::common::close;
use crate::common::plain::Plain;
use crate::common::rng::Rng;
use crate::common::solve::solve;
use proptest::prelude::*;
use tropism_policy_gradient::*;

/// Completions of one token, without log-probabilities and advantages.
fn one_token(rows: usize) -> Plain {
    Plain {
        rows,
        width: 1,
        mask: vec![true; rows],
        entropies: vec![0.0; rows],
        values: vec![0.0; rows],
        groups: vec![0; rows],
        kept: vec![true; rows],
        ..Plain::default()
    }
}

/// Rewards of `groups` groups of `size`.
fn random_rewards(groups: usize, size: usize, rng: &mut Rng) -> (Vec<f64>, Groups) {
    let rewards = (0..groups * size).map(|_| rng.real(-2.0, 2.0)).collect();
    (rewards, Groups::of_size(groups * size, size).unwrap())
}

proptest! {
    #[test]
    fn invariant_1_advantages_sum_to_0_and_ignore_affine_changes(seed: u64, shift in -3.0..3.0_f64, scale in 0.5..4.0_f64) {
        let mut rng = Rng(seed);
        let (rewards, groups) = random_rewards(3, 5, &mut rng);
        let of = |rewards: &[f64], epsilon: f64| {
            let config = GroupNormalized::default().with_epsilon(epsilon);
            group_normalized(&RewardTable::single(rewards).unwrap(), &groups, &config).unwrap().values
        };
        let found = of(&rewards, 1e-4);
        for rows in groups.members() {
            prop_assert!(rows.iter().map(|&r| found[r]).sum::<f64>().abs() < 1e-12);
        }
        let moved: Vec<f64> = rewards.iter().map(|r| scale * r + shift).collect();
        close(&of(&moved, 0.0), &of(&rewards, 0.0), 1e-9);
        close(&of(&moved, 1e-4), &found, 1e-2);
    }

    #[test]
    fn invariant_1_equal_rewards_give_exactly_0(reward in -5.0..5.0_f64, size in 1usize..9) {
        // Sums of such numbers are rounded, so that a mean may differ from them.
        let (rewards, groups) = (vec![reward / 3.0; 2 * size], Groups::of_size(2 * size, size).unwrap());
        let table = RewardTable::single(&rewards).unwrap();
        for scale in [ScaleRewards::Group, ScaleRewards::Batch, ScaleRewards::None] {
            let found = group_normalized(&table, &groups, &GroupNormalized::default().with_scale_rewards(scale)).unwrap();
            prop_assert!(found.values.iter().all(|&a| a == 0.0));
            prop_assert_eq!(found.zero_variance, 2);
        }
        let several = normalize_then_sum(&table, &groups, &NormalizeThenSum::default()).unwrap();
        let others = leave_one_out(&table, &[], &groups, &LeaveOneOut::default()).unwrap();
        prop_assert!(several.values.iter().chain(&others.values).all(|&a| a == 0.0));
    }

    #[test]
    fn invariant_2_on_policy_all_gradients_are_minus_the_advantage(seed: u64) {
        let mut rng = Rng(seed);
        let plain = Plain { old: Vec::new(), ..Plain::random(5, 1.0, &mut rng) };
        let tokens = plain.mask.iter().filter(|&&m| m).count() as f64;
        if tokens == 0.0 {
            return Ok(());
        }
        let methods: [PolicyGradient; 7] = [
            Dapo::default().into(),
            Bnpo::default().into(),
            Cispo::default().into(),
            Gspo::default().with_aggregation(Aggregation::TokenMean).into(),
            GspoToken::default().with_aggregation(Aggregation::TokenMean).into(),
            Sapo::default().with_aggregation(Aggregation::TokenMean).into(),
            Vespo::default().into(),
        ];
        for method in methods {
            let solved = solve::<f64>(&method, &plain);
            for i in 0..plain.mask.len() {
                let want = if plain.mask[i] { -plain.advantage(i) / tokens } else { 0.0 };
                prop_assert!((solved.grads[0][i] - want).abs() < 1e-12, "{}", method.name());
            }
            // Only the clip family's value is the mean advantage.
            let value = |each: &dyn Fn(usize) -> f64| {
                (0..plain.mask.len()).filter(|&i| plain.mask[i]).map(each).sum::<f64>() / tokens
            };
            let want = match method {
                PolicyGradient::Sapo(_) => value(&|i| {
                    let a = plain.advantage(i);
                    -2.0 * a / if a > 0.0 { 1.0 } else { 1.05 }
                }),
                PolicyGradient::Cispo(_) | PolicyGradient::Vespo(_) => value(&|i| -plain.advantage(i) * plain.policy[i]),
                _ => value(&|i| -plain.advantage(i)),
            };
            prop_assert!((solved.loss - want).abs() < 1e-12, "{}", method.name());
        }
    }

    #[test]
    fn invariant_3_aggregations_agree_where_they_must(seed: u64) {
        let mut rng = Rng(seed);
        let mut plain = Plain::random(6, 2.0, &mut rng);
        let tokens = plain.mask.iter().filter(|&&m| m).count() as f64;
        if tokens == 0.0 {
            return Ok(());
        }
        let dapo = solve::<f64>(&Dapo::default().into(), &plain);
        let bnpo = solve::<f64>(&Bnpo::default().with_epsilon_high(0.28).into(), &plain);
        prop_assert_eq!(dapo.loss, bnpo.loss);
        let constant = DrGrpo::default().with_epsilon_high(0.28).with_aggregation(Aggregation::Constant(9.0));
        close(&[solve::<f64>(&constant.into(), &plain).loss], &[dapo.loss * tokens / (6.0 * 9.0)], 1e-12);
        plain.mask = (0..plain.mask.len()).map(|i| i % plain.width < 3).collect();
        let grpo = Grpo::default().with_kl(KlPenalty::none());
        close(&[solve::<f64>(&grpo.into(), &plain).loss], &[solve::<f64>(&Bnpo::default().into(), &plain).loss], 1e-12);
    }

    #[test]
    fn the_group_mean_counts_every_prompt_the_same(seed: u64) {
        let plain = Plain { old: Vec::new(), ..Plain::random(6, 2.0, &mut Rng(seed)) };
        // On policy a token's loss is minus its advantage.
        let of_group = |group: usize| {
            let cells: Vec<usize> = (0..6).filter(|&r| plain.groups[r] == group).flat_map(|r| plain.cells(r)).collect();
            -cells.iter().map(|&i| plain.advantage(i)).sum::<f64>() / cells.len().max(1) as f64
        };
        let groups = *plain.groups.iter().max().unwrap() + 1;
        let there: Vec<usize> = (0..groups).filter(|g| plain.groups.contains(g)).collect();
        let want = there.iter().map(|&g| of_group(g)).sum::<f64>() / there.len() as f64;
        let found = solve::<f64>(&Dapo::default().with_aggregation(Aggregation::GroupMean).into(), &plain);
        close(&[found.loss, found.denominators[0]], &[want, there.len() as f64], 1e-12);
    }

    #[test]
    fn invariant_4_one_token_or_a_constant_log_ratio_make_levels_coincide(seed: u64, ratio in -1.0..1.0_f64) {
        let mut rng = Rng(seed);
        let single = Plain::random(4, 2.0, &mut rng);
        let constant = Plain {
            old: single.policy.iter().map(|lp| lp - ratio).collect(),
            ..single.clone()
        };
        let single = Plain { mask: (0..single.mask.len()).map(|i| i % single.width == 1).collect(), ..single };
        let with = |ratio| Grpo::default().with_kl(KlPenalty::none()).with_ratio(ratio);
        for (plain, levels) in [
            (&single, [RatioLevel::Sequence, RatioLevel::SequenceToken, RatioLevel::SequenceSum].as_slice()),
            (&constant, &[RatioLevel::Sequence, RatioLevel::SequenceToken]),
        ] {
            let want = solve::<f64>(&with(RatioLevel::Token).into(), plain);
            for &level in levels {
                let found = solve::<f64>(&with(level).into(), plain);
                close(&[found.loss], &[want.loss], 1e-12);
                close(&found.grads[0], &want.grads[0], 1e-12);
            }
        }
    }

    #[test]
    fn invariant_5_cispo_without_a_cap_is_the_policy_gradient(seed: u64) {
        let mut rng = Rng(seed);
        let plain = Plain::random(4, 2.0, &mut rng);
        let tokens = plain.mask.iter().filter(|&&m| m).count() as f64;
        if tokens == 0.0 {
            return Ok(());
        }
        let solved = solve::<f64>(&Cispo::default().with_epsilon_high(1e300).into(), &plain);
        for i in (0..plain.mask.len()).filter(|&i| plain.mask[i]) {
            let want = -(plain.policy[i] - plain.old[i]).exp() * plain.advantage(i) / tokens;
            prop_assert!((solved.grads[0][i] - want).abs() <= 1e-12 * want.abs().max(1.0));
        }
    }

    #[test]
    fn invariant_6_estimates_of_the_divergence(logits in prop::collection::vec(-4.0..4.0_f64, 10)) {
        for estimator in [Estimator::K1, Estimator::K2, Estimator::K3] {
            prop_assert_eq!(estimator.at(0.0).0, 0.0);
        }
        let normal = |x: &[f64]| {
            let sum = x.iter().map(|x| x.exp()).sum::<f64>().ln();
            x.iter().map(|x| x - sum).collect::<Vec<f64>>()
        };
        let (policy, reference) = (normal(&logits[..5]), normal(&logits[5..]));
        let exact: f64 = policy.iter().zip(&reference).map(|(p, r)| p.exp() * (p - r)).sum();
        for estimator in [Estimator::K1, Estimator::K3] {
            let mean: f64 = policy.iter().zip(&reference).map(|(p, r)| p.exp() * estimator.at(r - p).0).sum();
            prop_assert!((mean - exact).abs() < 1e-12);
        }
        prop_assert!(policy.iter().zip(&reference).all(|(p, r)| Estimator::K3.at(r - p).0 >= 0.0));
        // The mean slope of k2 is the gradient of the divergence, in the policy's logits.
        let gradient = |i: usize| {
            let each = policy.iter().zip(&reference).enumerate();
            each.map(|(j, (p, r))| {
                let moves = if i == j { 1.0 } else { 0.0 } - policy[i].exp();
                p.exp() * Estimator::K2.at(r - p).1 * moves
            }).sum::<f64>()
        };
        for i in 0..5 {
            let want = policy[i].exp() * (policy[i] - reference[i] - exact);
            prop_assert!((gradient(i) - want).abs() < 1e-12);
        }
    }

    #[test]
    fn invariant_7_gradients_vanish_in_two_corners_alone(log_ratio in -2.0..2.0_f64, positive: bool) {
        let advantage = if positive { 1.0 } else { -1.0 };
        let plain = Plain {
            policy: vec![-1.0 + log_ratio], old: vec![-1.0], advantages: vec![advantage], ..one_token(1)
        };
        let solved = solve::<f64>(&Bnpo::default().into(), &plain);
        let ratio = log_ratio.exp();
        let cut = if positive { ratio > 1.2 } else { ratio < 0.8 };
        let want = if cut { 0.0 } else { -ratio * advantage };
        prop_assert!((solved.grads[0][0] - want).abs() < 1e-12);
        let share = |name| solved.diagnostics.get(name).unwrap()[0] == 1.0;
        prop_assert_eq!((share("clip_ratio/high"), share("clip_ratio/low")), (cut && positive, cut && !positive));
    }

    #[test]
    fn invariant_8_leave_one_out_is_a_scaled_difference_from_the_mean(seed: u64, size in 2usize..8) {
        let mut rng = Rng(seed);
        let (rewards, groups) = random_rewards(2, size, &mut rng);
        let found = leave_one_out(&RewardTable::single(&rewards).unwrap(), &[], &groups, &LeaveOneOut::default()).unwrap();
        for rows in groups.members() {
            let mean = rows.iter().map(|&r| rewards[r]).sum::<f64>() / size as f64;
            for &row in rows {
                let want = size as f64 / (size as f64 - 1.0) * (rewards[row] - mean);
                prop_assert!((found.values[row] - want).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn invariant_9_permuted_rows_permute_advantages(seed: u64) {
        let mut rng = Rng(seed);
        let rewards: Vec<f64> = (0..8).map(|_| rng.real(-1.0, 1.0)).collect();
        let ids: Vec<usize> = (0..8).map(|_| rng.whole(0, 3)).collect();
        let mut order: Vec<usize> = (0..8).collect();
        (1..8).for_each(|i| order.swap(i, rng.whole(0, i + 1)));
        let turn = |values: &[f64]| order.iter().map(|&i| values[i]).collect::<Vec<f64>>();
        let turned_ids: Vec<usize> = order.iter().map(|&i| ids[i]).collect();
        type Estimate = fn(&RewardTable, &Groups) -> Advantages;
        let estimates: [Estimate; 3] = [
            |r, g| group_normalized(r, g, &GroupNormalized::default()).unwrap(),
            |r, g| leave_one_out(r, &[], g, &LeaveOneOut::default()).unwrap(),
            |r, g| normalize_then_sum(r, g, &NormalizeThenSum::default()).unwrap(),
        ];
        for estimate in estimates {
            let of = |r: &[f64], g: &[usize]| estimate(&RewardTable::single(r).unwrap(), &Groups::new(g).unwrap()).values;
            close(&of(&turn(&rewards), &turned_ids), &turn(&of(&rewards, &ids)), 1e-12);
        }
    }

    #[test]
    fn invariant_10_binary_rewards_weigh_questions_by_difficulty(right in 1usize..8) {
        let rewards: Vec<f64> = (0..8).map(|i| if i < right { 1.0 } else { 0.0 }).collect();
        let p = right as f64 / 8.0;
        let of = |config: GroupNormalized| {
            let groups = Groups::new(&[0; 8]).unwrap();
            group_normalized(&RewardTable::single(&rewards).unwrap(), &groups, &config).unwrap().values
        };
        let scaled = of(GroupNormalized::default().with_deviation(Deviation::Population).with_epsilon(0.0));
        prop_assert!((scaled[0] - ((1.0 - p) / p).sqrt()).abs() < 1e-12);
        let mass = |a: &[f64]| a.iter().take(right).sum::<f64>() / 8.0;
        prop_assert!((mass(&scaled) - (p * (1.0 - p)).sqrt()).abs() < 1e-12);
        let plain = of(GroupNormalized::default().with_scale_rewards(ScaleRewards::None));
        prop_assert!((mass(&plain) - p * (1.0 - p)).abs() < 1e-12);
    }

    #[test]
    fn gspo_token_is_gspo_for_one_advantage_per_completion(seed: u64) {
        let plain = Plain::random(5, 0.5, &mut Rng(seed));
        let gspo = solve::<f64>(&Gspo::default().with_epsilon_low(0.1).with_epsilon_high(0.1).into(), &plain);
        let token = solve::<f64>(&GspoToken::default().with_epsilon_low(0.1).with_epsilon_high(0.1).into(), &plain);
        close(&[token.loss], &[gspo.loss], 1e-12);
        close(&token.grads[0], &gspo.grads[0], 1e-12);
    }

    #[test]
    fn luspo_is_gspo_by_the_token_times_the_mean_length(seed: u64) {
        let plain = Plain::random(5, 0.5, &mut Rng(seed));
        let tokens = plain.mask.iter().filter(|&&m| m).count() as f64;
        if tokens == 0.0 {
            return Ok(());
        }
        let luspo = solve::<f64>(&Luspo::default().into(), &plain);
        let gspo = Gspo::default().with_epsilon_low(2e-3).with_epsilon_high(2.5e-3).with_aggregation(Aggregation::TokenMean);
        close(&[luspo.loss], &[solve::<f64>(&gspo.into(), &plain).loss * tokens / 5.0], 1e-12);
    }

    #[test]
    fn a_weighted_divergence_is_unbiased_on_samples_of_the_old_policy(logits in prop::collection::vec(-3.0..3.0_f64, 15)) {
        // One token per completion, every token of a small vocabulary once, weighted by the old policy.
        let normal = |x: &[f64]| {
            let sum = x.iter().map(|x| x.exp()).sum::<f64>().ln();
            x.iter().map(|x| x - sum).collect::<Vec<f64>>()
        };
        let (policy, old, reference) = (normal(&logits[..5]), normal(&logits[5..10]), normal(&logits[10..]));
        let exact: f64 = policy.iter().zip(&reference).map(|(p, r)| p.exp() * (p - r)).sum();
        let kl = KlPenalty { coefficient: 1.0, weighting: KlWeighting::Ratio, ..KlPenalty::default() };
        let plain = Plain {
            policy: policy.clone(), old: old.clone(), reference, advantages: vec![0.0; 5], ..one_token(5)
        };
        let solved = solve::<f64>(&Dapo::default().with_kl(kl).into(), &plain);
        let mean: f64 = solved.parts[0].iter().zip(&old).map(|(l, o)| o.exp() * l).sum();
        prop_assert!((mean - exact).abs() < 1e-12);
    }
}
