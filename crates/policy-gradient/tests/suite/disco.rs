//! The worked figures and invariants of DisCO and DRPO.

use crate::common::close;
use crate::common::plain::Plain;
use crate::common::rng::Rng;
use crate::common::solve::{Solved, solve};
use proptest::prelude::*;
use tropism_policy_gradient::*;

/// Two questions with four completions each, of up to four tokens.
fn worked() -> Plain {
    let old: [&[f64]; 8] = [
        &[-0.60, -0.40],
        &[-0.30, -0.20, -1.10],
        &[-1.80],
        &[-1.20, -0.90, -0.50, -0.40],
        &[-1.10, -0.70, -0.90],
        &[-0.20, -1.00],
        &[-0.40, -0.80],
        &[-0.50],
    ];
    let by: [&[f64]; 8] = [
        &[0.05, -0.02],
        &[-0.04, -0.06, -0.10],
        &[-0.08],
        &[0.03, 0.02, 0.0, -0.01],
        &[-0.02, 0.01, -0.05],
        &[-0.03, 0.02],
        &[0.04, 0.06],
        &[-0.07],
    ];
    let padded =
        |rows: [&[f64]; 8]| rows.iter().flat_map(|r| (0..4).map(|c| r.get(c).copied().unwrap_or(0.0))).collect::<Vec<f64>>();
    let mask = old.iter().flat_map(|r| (0..4).map(|c| c < r.len())).collect();
    let (old, by) = (padded(old), padded(by));
    Plain {
        rows: 8,
        width: 4,
        mask,
        policy: old.iter().zip(&by).map(|(a, b)| a + b).collect(),
        old,
        rewards: vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0],
        groups: vec![0, 0, 0, 0, 1, 1, 1, 1],
        entropies: vec![0.0; 32],
        values: vec![0.0; 32],
        kept: vec![true; 8],
        ..Plain::default()
    }
}

const PENALTY: f64 = 0.09506673;
/// Slope of the penalty in each token.
const MULTIPLIER: f64 = -0.766049382716;

fn solved(method: impl Into<PolicyGradient>, plain: &Plain) -> Solved {
    solve::<f64>(&method.into(), plain)
}

/// Gradients of the score part in the scores of `log_l`: the tokens' gradients without the penalty's, times the length.
fn in_scores(solved: &Solved, plain: &Plain, penalty: f64) -> Vec<f64> {
    (0..plain.rows).map(|row| plain.cells(row).iter().map(|&i| solved.grads[0][i] - penalty).sum()).collect()
}

#[test]
fn worked_penalty_and_scores() {
    let plain = worked();
    let kl = old_policy_kl(&plain.policy, &plain.old, &plain.mask, Estimator::K1).unwrap();
    close(&[kl], &[0.013888888889], 1e-11);
    let found = solved(Disco::default(), &plain);
    close(&[found.parts[1].iter().sum::<f64>() / 18.0], &[PENALTY], 1e-8);
    assert_eq!(found.denominators, [2.0, 18.0]);
    let scores = [-0.485, -0.6, -1.88, -0.74, -0.92, -0.605, -0.55, -0.57];
    close(found.diagnostics.get("scores").unwrap(), &scores, 1e-12);
    let ratio = solved(Disco::default().with_score(Score::LRatio), &plain);
    let scores = [1.01573488, 0.93579713, 0.92311635, 1.01017643, 0.98049275, 0.99532344, 1.05132366, 0.93239382];
    close(ratio.diagnostics.get("scores").unwrap(), &scores, 1e-8);
    let kl = metrics(&found.diagnostics).into_iter().find(|(name, _)| *name == "old_policy_kl").unwrap().1;
    close(&[kl], &[0.013888888889], 1e-11);
}

#[test]
fn worked_losses() {
    let plain = worked();
    let basic = Disco::default().with_negatives(Negatives::Basic);
    let ratio = Disco::default().with_score(Score::LRatio).with_tau(1.0);
    let found = [
        solved(basic.clone(), &plain).loss,
        solved(Disco::default(), &plain).loss,
        solved(Disco::default().with_tau(1.0), &plain).loss,
        solved(basic.with_score(Score::LRatio), &plain).loss,
        solved(ratio, &plain).loss,
    ];
    close(&found, &[-0.29284994, -0.28199985, -0.19080604, 0.01235711, 0.01254663], 1e-8);
}

#[test]
fn worked_gradients() {
    let plain = worked();
    let robust = solved(Disco::default(), &plain);
    let want = [-0.25, 0.26597819, 0.23402181, -0.25, 0.16299275, 0.16820874, -0.5, 0.16879851];
    close(&in_scores(&robust, &plain, MULTIPLIER), &want, 1e-8);
    let basic = solved(Disco::default().with_negatives(Negatives::Basic), &plain);
    let sixth = 1.0 / 6.0;
    let want = [-0.25, 0.25, 0.25, -0.25, sixth, sixth, -0.5, sixth];
    close(&in_scores(&basic, &plain, MULTIPLIER), &want, 1e-8);
    close(&[robust.grads[0][4], robust.grads[0][14]], &[-0.677389985916, -0.828549382716], 1e-11);
    let ratio = solved(Disco::default().with_score(Score::LRatio).with_tau(1.0), &plain);
    let want = 0.25158508 * (-0.04_f64).exp() / 3.0 - 0.76604938;
    close(&[ratio.grads[0][4]], &[want], 1e-8);
    close(&[ratio.grads[0][4]], &[-0.685475954455], 1e-11);
    // The old log-ratio of the other token is 0, so that both scores move alike.
    close(&[ratio.grads[0][14]], &[-0.828549382716], 1e-11);
}

#[test]
fn worked_drpo() {
    let plain = worked();
    let at = |lambda: f64| solved(Drpo::default().with_capacity(8.0).with_lambda(lambda), &plain);
    let found = [0.1, 0.5, 1e9].map(|lambda| at(lambda).loss);
    close(&found, &[-0.336077929177, -0.297613411858, -0.281999847137], 1e-11);
    let weights = |lambda| length_weights(&[2, 4], 8.0, lambda);
    close(&weights(0.1), &[0.92414182, 0.07585818], 1e-8);
    close(&weights(0.5), &[0.62245933, 0.37754067], 1e-8);
    close(&in_scores(&at(0.1), &plain, MULTIPLIER)[..4], &[-0.46207091, 0.26597819, 0.23402181, -0.03792909], 1e-8);
    close(&in_scores(&at(0.5), &plain, MULTIPLIER)[..4], &[-0.31122967, 0.26597819, 0.23402181, -0.18877033], 1e-8);
    close(&[at(0.1).grads[0][14]], &[-0.775531655219], 1e-11);
}

#[test]
fn worked_sign_flip_of_penalised_grpo() {
    let lengths = [0.1, 0.3, 0.9, 0.5, 0.5, 0.5];
    let config = GroupNormalized::default().with_deviation(Deviation::Population).with_epsilon(0.0);
    let of = |alpha: f64| {
        let rewards: Vec<f64> = lengths.iter().enumerate().map(|(i, n)| if i < 3 { 1.0 - alpha * n } else { 0.0 }).collect();
        group_normalized(&RewardTable::single(&rewards).unwrap(), &Groups::new(&[0; 6]).unwrap(), &config).unwrap().values
    };
    close(&of(0.0), &[1.0, 1.0, 1.0, -1.0, -1.0, -1.0], 1e-12);
    let wrong = -0.95600361;
    close(&of(0.5), &[1.36281366, 1.11872763, 0.38646954, wrong, wrong, wrong], 1e-8);
    let wrong = -0.76255422;
    close(&of(1.0), &[1.65967682, 1.12140326, -0.49341743, wrong, wrong, wrong], 1e-8);
}

/// A random rollout of two questions that have both sides.
fn random(seed: u64, ratio: f64) -> Plain {
    let mut rng = Rng(seed);
    let mut plain = Plain::random(8, ratio, &mut rng);
    for row in 0..8 {
        plain.groups[row] = row / 4;
        plain.rewards[row] = if row % 4 == 0 { 1.0 } else { [0.0, 1.0][rng.whole(0, 2)] };
        plain.mask[row * plain.width + 1] = true;
    }
    plain.rewards[1] = 0.0;
    plain.rewards[6] = 0.0;
    plain
}

proptest! {
    #[test]
    fn invariant_1_the_ends_of_tau(seed: u64) {
        let plain = random(seed, 0.5);
        let of = |negatives, tau| solved(Disco::default().with_negatives(negatives).with_tau(tau), &plain);
        let (wide, basic) = (of(Negatives::Robust, 1e8), of(Negatives::Basic, 1.0));
        close(&[wide.loss], &[basic.loss], 1e-6);
        close(&wide.grads[0], &basic.grads[0], 1e-6);
        // A tiny temperature leaves the hardest wrong completion alone.
        let narrow = of(Negatives::Robust, 1e-6);
        let first = plain.cells(0);
        let penalty = basic.grads[0][first[0]] + 0.5 / right(&plain, 0) / first.len() as f64;
        let slopes = in_scores(&narrow, &plain, penalty);
        let scores = narrow.diagnostics.get("scores").unwrap();
        let wrong: Vec<usize> = (0..4).filter(|&r| plain.rewards[r] == 0.0).collect();
        let hardest = wrong.iter().copied().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        prop_assert!((slopes[hardest] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn invariant_2_the_robust_objective_is_at_most_the_basic_one(seed: u64, tau in 0.05..20.0_f64) {
        let plain = random(seed, 0.5);
        let of = |negatives| solved(Disco::default().with_negatives(negatives).with_tau(tau), &plain).loss;
        prop_assert!(of(Negatives::Robust) >= of(Negatives::Basic) - 1e-12);
    }

    #[test]
    fn invariant_3_slopes_of_a_question_sum_to_0_and_shifts_do_not_matter(seed: u64, shift in -2.0..2.0_f64) {
        let plain = random(seed, 0.5);
        // Policy and old policy move together, so that the divergence stays.
        let add = |values: &[f64]| values.iter().map(|v| v + shift).collect::<Vec<f64>>();
        let moved = Plain { policy: add(&plain.policy), old: add(&plain.old), ..plain.clone() };
        for negatives in [Negatives::Basic, Negatives::Robust, Negatives::Logistic] {
            let config = Disco::default().with_negatives(negatives);
            let (a, b) = (solved(config.clone(), &plain), solved(config, &moved));
            close(&[b.loss], &[a.loss], 1e-9);
            close(&b.grads[0], &a.grads[0], 1e-9);
        }
        // DRPO's invariants 5 and 6: no right completion is pushed down, no wrong one up.
        for method in [PolicyGradient::from(Disco::default()), Drpo::default().with_capacity(8.0).into()] {
            let inside = Plain { old: plain.policy.clone(), ..plain.clone() };
            let slopes = in_scores(&solve::<f64>(&method, &inside), &inside, 0.0);
            prop_assert!(slopes[..4].iter().sum::<f64>().abs() < 1e-12 && slopes[4..].iter().sum::<f64>().abs() < 1e-12);
            for (slope, reward) in slopes.iter().zip(&plain.rewards) {
                let fits = if *reward == 1.0 { *slope < 0.0 } else { *slope >= 0.0 };
                prop_assert!(fits, "{} {}", slope, reward);
            }
        }
    }

    #[test]
    fn invariant_4_doubled_wrong_completions_leave_the_value(seed: u64) {
        let plain = random(seed, 0.5);
        let rows: Vec<usize> = (0..8).chain((0..8).filter(|&r| plain.rewards[r] == 0.0)).collect();
        let doubled = plain.pick(&rows);
        let questions = |plain: &Plain| solved(Disco::default(), plain).parts[0].iter().sum::<f64>();
        prop_assert!((questions(&doubled) - questions(&plain)).abs() < 1e-12);
    }

    #[test]
    fn invariant_5_one_sided_questions_count_without_a_score(seed: u64) {
        let mut plain = random(seed, 0.5);
        (4..8).for_each(|row| plain.rewards[row] = 1.0);
        for method in [PolicyGradient::from(Disco::default()), Drpo::default().into()] {
            let found = solve::<f64>(&method, &plain);
            prop_assert!((found.denominators[0] - 2.0).abs() < 1e-12);
            prop_assert!(found.parts[0][4..].iter().all(|l| *l == 0.0));
            prop_assert_eq!(found.diagnostics.get("valid").unwrap(), [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
            let tokens = plain.mask.iter().filter(|&&m| m).count() as f64;
            prop_assert_eq!(found.denominators[1], tokens);
        }
    }

    #[test]
    fn invariant_6_inside_the_region_there_is_no_penalty(seed: u64) {
        let plain = random(seed, 0.5);
        let wide = solved(Disco::default().with_delta(1e3), &plain);
        prop_assert!(wide.parts[1].iter().all(|p| *p == 0.0));
        let on_policy = solved(Disco::default().with_delta(0.0), &Plain { old: plain.policy.clone(), ..plain.clone() });
        prop_assert!(on_policy.parts[1].iter().all(|p| *p == 0.0));
        prop_assert!(on_policy.diagnostics.get("old_policy_kl").unwrap().iter().all(|k| *k == 0.0));
    }

    #[test]
    fn invariant_7_on_policy_ratios_give_the_gradient_of_log_probabilities(seed: u64) {
        let plain = random(seed, 0.5);
        let plain = Plain { old: plain.policy.clone(), ..plain };
        let basic = Disco::default().with_negatives(Negatives::Basic);
        let ratio = solved(basic.clone().with_score(Score::LRatio), &plain);
        prop_assert!(ratio.diagnostics.get("scores").unwrap().iter().all(|s| *s == 1.0));
        prop_assert!(ratio.loss.abs() < 1e-12);
        close(&ratio.grads[0], &solved(basic, &plain).grads[0], 1e-12);
    }

    #[test]
    fn invariant_8_questions_weigh_the_same_however_hard(right in 1usize..8, lambda in 0.05..2.0_f64) {
        let n = 8;
        let plain = Plain {
            rows: n, width: 2, mask: (0..2 * n).map(|i| i % 2 == 0 || i % 3 == 0).collect(),
            policy: (0..2 * n).map(|i| -0.1 * i as f64).collect(), old: (0..2 * n).map(|i| -0.1 * i as f64).collect(),
            rewards: (0..n).map(|i| if i < right { 1.0 } else { 0.0 }).collect(), groups: vec![0; n],
            entropies: vec![0.0; 2 * n], values: vec![0.0; 2 * n], kept: vec![true; n], ..Plain::default()
        };
        let drpo = Drpo::default().with_capacity(8.0).with_lambda(lambda);
        for method in [PolicyGradient::from(Disco::default()), drpo.into()] {
            let slopes = in_scores(&solve::<f64>(&method, &plain), &plain, 0.0);
            prop_assert!((slopes[..right].iter().sum::<f64>() + 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn invariant_9_the_printed_surrogate_has_the_same_gradient(seed: u64, tau in 0.5..12.0_f64) {
        // −J + sg[β max(K − δ, 0)] K with τ S / sg[S] in place of the log, by differences around the point.
        let plain = random(seed, 0.5);
        let config = Disco::default().with_tau(tau);
        let found = solved(config.clone(), &plain);
        let tokens = plain.mask.iter().filter(|&&m| m).count() as f64;
        let kl = |p: &Plain| (0..p.mask.len()).filter(|&i| p.mask[i]).map(|i| p.old[i] - p.policy[i]).sum::<f64>() / tokens;
        let score = |p: &Plain, row: usize| {
            let cells = p.cells(row);
            cells.iter().map(|&i| p.policy[i]).sum::<f64>() / cells.len() as f64
        };
        let sum = |p: &Plain, q: usize| {
            let wrong = (4 * q..4 * q + 4).filter(|&r| p.rewards[r] == 0.0);
            wrong.map(|r| (score(p, r) / tau).exp()).sum::<f64>()
        };
        let printed = |moved: &Plain| {
            let question = |q: usize| {
                let good: Vec<usize> = (4 * q..4 * q + 4).filter(|&r| plain.rewards[r] == 1.0).collect();
                good.iter().map(|&r| score(moved, r)).sum::<f64>() / good.len() as f64 - tau * sum(moved, q) / sum(&plain, q)
            };
            let multiplier = config.beta * (kl(&plain) - config.delta).max(0.0);
            -(question(0) + question(1)) / 2.0 + multiplier * kl(moved)
        };
        for i in (0..plain.mask.len()).filter(|&i| plain.mask[i]) {
            let at = |by: f64| {
                let mut moved = plain.clone();
                moved.policy[i] += by;
                printed(&moved)
            };
            let want = (at(1e-5) - at(-1e-5)) / 2e-5;
            prop_assert!((found.grads[0][i] - want).abs() < 1e-6 * want.abs().max(1.0), "{} {}", found.grads[0][i], want);
        }
    }

    #[test]
    fn drpo_invariant_1_a_large_lambda_is_disco(seed: u64) {
        let plain = random(seed, 0.5);
        let (a, b) = (solved(Drpo::default().with_lambda(1e9), &plain), solved(Disco::default(), &plain));
        close(&[a.loss], &[b.loss], 1e-9);
        close(&a.grads[0], &b.grads[0], 1e-9);
    }

    #[test]
    fn drpo_invariants_2_3_4_8_weights_of_lengths(
        lengths in prop::collection::vec(1usize..4000, 1..7),
        lambda in 0.05..2.0_f64, by in 0usize..4000, scale in 0.1..9.0_f64,
    ) {
        let weights = length_weights(&lengths, 8192.0, lambda);
        prop_assert!(weights.iter().all(|w| *w > 0.0) && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let longer: Vec<usize> = lengths.iter().map(|n| n + by).collect();
        close(&length_weights(&longer, 8192.0, lambda), &weights, 1e-12);
        close(&length_weights(&lengths, 8192.0 * scale, lambda / scale), &weights, 1e-9);
        for (i, &n) in lengths.iter().enumerate() {
            for (j, &m) in lengths.iter().enumerate() {
                prop_assert!(n >= m || weights[i] > weights[j], "{i} {j}");
            }
        }
        let shortest = *lengths.iter().min().unwrap();
        let ties = lengths.iter().filter(|&&n| n == shortest).count() as f64;
        for (n, w) in lengths.iter().zip(length_weights(&lengths, 1.0, 1e-3)) {
            let want = if *n == shortest { 1.0 / ties } else { 0.0 };
            prop_assert!((w - want).abs() < 1e-12);
        }
        let even = vec![1.0 / lengths.len() as f64; lengths.len()];
        close(&length_weights(&vec![7; lengths.len()], 8192.0, lambda), &even, 1e-12);
    }

    #[test]
    fn drpo_invariants_5_6_right_completions_are_never_pushed_down(seed: u64, lambda in 0.02..3.0_f64) {
        let plain = random(seed, 0.5);
        let inside = Plain { old: plain.policy.clone(), ..plain };
        let found = solved(Drpo::default().with_capacity(8.0).with_lambda(lambda), &inside);
        let slopes = in_scores(&found, &inside, 0.0);
        prop_assert!(slopes[..4].iter().sum::<f64>().abs() < 1e-12 && slopes[4..].iter().sum::<f64>().abs() < 1e-12);
        for (row, slope) in slopes.iter().enumerate() {
            let right = inside.rewards[row] == 1.0;
            prop_assert!(if right { *slope < 0.0 } else { *slope >= 0.0 }, "{} {}", row, slope);
        }
        // GRPO with a price for length in the reward does push one down: see the worked sign flip.
    }

    #[test]
    fn drpo_invariant_9_the_penalty_is_that_of_disco(seed: u64) {
        let plain = random(seed, 0.5);
        let (a, b) = (solved(Drpo::default(), &plain), solved(Disco::default(), &plain));
        prop_assert_eq!(&a.parts[1], &b.parts[1]);
        let wide = solved(Drpo::default().with_delta(1e3), &plain);
        prop_assert!(wide.parts[1].iter().all(|p| *p == 0.0));
    }

    #[test]
    fn drpo_invariant_7_lengths_of_wrong_completions_do_not_matter(seed: u64) {
        // A wrong completion twice as long with the same mean score.
        let mut plain = random(seed, 0.5);
        plain.policy.iter_mut().zip(&mut plain.old).enumerate().for_each(|(i, (lp, old))| {
            if plain.rewards[i / plain.width] == 0.0 {
                (*lp, *old) = (-0.5, -0.5);
            }
        });
        let mut longer = plain.clone();
        for i in 0..plain.mask.len() {
            longer.mask[i] |= plain.rewards[i / plain.width] == 0.0;
        }
        let scores = |plain: &Plain| solved(Drpo::default().with_capacity(8.0), plain).parts[0].iter().sum::<f64>();
        prop_assert!((scores(&longer) - scores(&plain)).abs() < 1e-12);
    }
}

/// Right completions of a question.
fn right(plain: &Plain, question: usize) -> f64 {
    (4 * question..4 * question + 4).filter(|&r| plain.rewards[r] == 1.0).count() as f64
}
