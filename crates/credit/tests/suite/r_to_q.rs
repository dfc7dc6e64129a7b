//! Token credit, soft values and trees: worked numbers and invariants of "From r to Q*".

use crate::common::plain::Rng;
use crate::common::{Pair, close, pair, tokens, traced};
use tropism_credit::*;

const BETA: f64 = 0.5;

/// State 0, then the states after its two actions.
fn worked() -> SoftTree {
    let action = |reward: f64, p: f64, next| Action { reward, reference_logp: p.ln(), next };
    SoftTree::new(vec![
        vec![action(0.0, 0.6, Some(1)), action(0.3, 0.4, Some(2))],
        vec![action(1.0, 0.7, None), action(-0.5, 0.3, None)],
        vec![action(0.2, 0.2, None), action(0.6, 0.8, None)],
    ])
    .unwrap()
}

/// A random tree of `depth` levels with `branches` actions each.
fn random(branches: usize, depth: u32, rng: &mut Rng) -> SoftTree {
    let inner = |levels: u32| (branches.pow(levels) - 1) / (branches - 1);
    let states = (0..inner(depth)).map(|state| {
        let z = rng.reals(branches, -1.5, 1.5);
        let lse = z.iter().map(|z| z.exp()).sum::<f64>().ln();
        let action = |a: usize, reward| Action {
            reward,
            reference_logp: z[a] - lse,
            next: Some(state * branches + a + 1).filter(|&next| next < inner(depth)),
        };
        let rewards = rng.reals(branches, -2.0, 2.0);
        rewards.into_iter().enumerate().map(|(a, reward)| action(a, reward)).collect()
    });
    SoftTree::new(states.collect()).unwrap()
}

/// All complete sequences of actions, with the states that they pass.
fn sequences(tree: &SoftTree) -> Vec<Vec<(usize, usize)>> {
    let (mut open, mut done) = (vec![(0, Vec::new())], Vec::new());
    while let Some((state, path)) = open.pop() {
        for (a, action) in tree.states()[state].iter().enumerate() {
            let longer: Vec<(usize, usize)> = path.iter().copied().chain([(state, a)]).collect();
            match action.next {
                Some(next) => open.push((next, longer)),
                None => done.push(longer),
            }
        }
    }
    done
}

/// Sum of a figure along a sequence.
fn along(path: &[(usize, usize)], figure: impl Fn(usize, usize) -> f64) -> f64 {
    path.iter().map(|&(s, a)| figure(s, a)).sum()
}

#[test]
fn worked_example() {
    let values = worked().solve(BETA).unwrap();
    let tables = [
        (&values.actions, [0.57680615, 0.38351232, 0.82166253, -1.10198640, -0.60471896, 0.48842822]),
        (&values.credits, [-0.00379690, 0.00564183, 0.16778104, -1.33221896, -0.34165769, 0.05834231]),
    ];
    for (found, want) in tables {
        close(&found.concat(), &want, 6e-9);
    }
    close(&values.values, &[0.83601586, 0.83221896, 0.54165769], 6e-9);
    let probabilities: Vec<f64> = values.logps.concat().iter().map(|lp| lp.exp()).collect();
    close(&probabilities, &[0.59546098, 0.40453902, 0.97910845, 0.02089155, 0.10098803, 0.89901197], 6e-9);
    let logp = |path: &[(usize, usize)]| along(path, |s, a| values.logps[s][a]);
    close(&[logp(&[(0, 0), (1, 0)])], &[-0.53953229], 6e-9);
    let score = |path: &[(usize, usize)]| BETA * logp(path) + values.values[0];
    let found = [[(0, 0), (1, 0)], [(0, 1), (2, 1)], [(0, 1), (2, 0)], [(0, 0), (1, 1)]].map(|p| score(&p));
    close(&found, &[0.56624972, 0.33028286, -0.76286432, -1.35739921], 6e-9);
    close(&[drift(&values.logps[0], &[0.6_f64.ln(), 0.4_f64.ln()], BETA).unwrap()], &[-2.1408138e-05], 1e-12);
}

#[test]
fn worked_pair() {
    let (tree, values) = (worked(), worked().solve(BETA).unwrap());
    let logps = |path: [(usize, usize); 2]| path.map(|(s, a)| values.logps[s][a]);
    let reference = |path: [(usize, usize); 2]| path.map(|(s, a)| tree.states()[s][a].reference_logp);
    let (w, l) = ([(0, 0), (1, 0)], [(0, 1), (2, 0)]);
    let (loss, chosen, rejected) = traced(&logps(w), &logps(l), |policy| {
        token_dpo(policy, pair(&reference(w), &reference(l)), &TokenDpo::default().with_beta(BETA))
    });
    close(&[loss], &[0.474076984180], 1e-12);
    close(&chosen, &[-0.188770334399; 2], 1e-12);
    close(&rejected, &[0.188770334399; 2], 1e-12);
    let credits = token_credits(&tokens(&logps(w)), &tokens(&reference(w)), BETA).unwrap();
    close(&[credits.total(0)], &[0.163984], 6e-7);
}

#[test]
fn invariant_1_credit_is_reward_shaped_by_values() {
    let mut rng = Rng(2);
    for beta in [0.1, 0.5, 3.0] {
        let tree = random(3, 4, &mut rng);
        let found = tree.solve(beta).unwrap();
        for (s, actions) in tree.states().iter().enumerate() {
            for (a, action) in actions.iter().enumerate() {
                let shaped = action.reward + action.next.map_or(0.0, |n| found.values[n]) - found.values[s];
                close(&[found.credits[s][a]], &[shaped], 1e-10);
            }
        }
    }
}

#[test]
fn invariant_2_credits_telescope_to_reward_minus_the_value_of_the_prompt() {
    let tree = random(2, 5, &mut Rng(6));
    let found = tree.solve(BETA).unwrap();
    let reward = |path: &[(usize, usize)]| along(path, |s, a| tree.states()[s][a].reward);
    let paths = sequences(&tree);
    for path in &paths {
        let [lp, rf] = [&found.logps, &tree_logps(&tree)].map(|t| path.iter().map(|&(s, a)| t[s][a]).collect::<Vec<_>>());
        let credits = token_credits(&tokens(&lp), &tokens(&rf), BETA).unwrap();
        close(&[credits.total(0)], &[reward(path) - found.values[0]], 1e-12);
        // Values and what is to come meet at every token.
        let (values, to_go, actions) = (credits.values(0), credits.to_go(0), credits.action_values(0));
        for t in 0..path.len() {
            close(&[values[t] + to_go[t]], &[credits.total(0)], 1e-12);
            close(&[actions[t]], &[values[t] + credits.row(0)[t]], 1e-12);
        }
    }
}

fn tree_logps(tree: &SoftTree) -> Vec<Vec<f64>> {
    tree.states().iter().map(|s| s.iter().map(|a| a.reference_logp).collect()).collect()
}

/// With a reward at the end alone, prefix sums of credits are the soft values of the states.
#[test]
fn sums_of_credits_are_values_when_the_reward_comes_at_the_end() {
    let mut states = random(3, 3, &mut Rng(7)).states().to_vec();
    states.iter_mut().flatten().filter(|a| a.next.is_some()).for_each(|a| a.reward = 0.0);
    let tree = SoftTree::new(states).unwrap();
    let found = tree.solve(BETA).unwrap();
    for path in sequences(&tree) {
        let [lp, rf] = [&found.logps, &tree_logps(&tree)].map(|t| path.iter().map(|&(s, a)| t[s][a]).collect::<Vec<_>>());
        let values = token_credits(&tokens(&lp), &tokens(&rf), BETA).unwrap().values(0);
        let want: Vec<f64> = path.iter().map(|&(s, _)| found.values[s] - found.values[0]).collect();
        close(&values[..path.len()], &want, 1e-12);
    }
}

#[test]
fn invariant_3_shaping_leaves_policy_preferences_and_loss() {
    let (mut rng, tree) = (Rng(11), random(3, 3, &mut Rng(10)));
    let potential = rng.reals(tree.states().len(), -4.0, 4.0);
    let mut shaped = tree.states().to_vec();
    for (s, actions) in shaped.iter_mut().enumerate() {
        for a in actions {
            a.reward += a.next.map_or(0.0, |n| potential[n]) - potential[s];
        }
    }
    let (one, two) = (tree.solve(BETA).unwrap(), SoftTree::new(shaped.clone()).unwrap().solve(BETA).unwrap());
    close(&two.logps.concat(), &one.logps.concat(), 1e-10);
    close(&two.credits.concat(), &one.credits.concat(), 1e-10);
    // Values move by the potential.
    close(&[two.values[0]], &[one.values[0] - potential[0]], 1e-10);
    // Rewards of completions all move by the root's potential, so preferences do not, nor does the loss of any pair.
    let shaped = SoftTree::new(shaped).unwrap();
    let total = |tree: &SoftTree, path: &[(usize, usize)]| along(path, |s, a| tree.states()[s][a].reward);
    let paths = sequences(&tree);
    let (w, l) = (&paths[3], &paths[20]);
    for path in &paths {
        close(&[total(&shaped, path)], &[total(&tree, path) - potential[0]], 1e-10);
    }
    let loss = |values: &TreeValues, tree: &SoftTree| {
        let of = |table: &[Vec<f64>], path: &[(usize, usize)]| path.iter().map(|&(s, a)| table[s][a]).collect::<Vec<f64>>();
        let reference = tree_logps(tree);
        let policy = pair(&of(&values.logps, w), &of(&values.logps, l));
        let reference = pair(&of(&reference, w), &of(&reference, l));
        token_dpo(policy, reference, &TokenDpo::default().with_beta(BETA)).unwrap().values()[0]
    };
    let margin = total(&tree, w) - total(&tree, l);
    close(&[loss(&two, &shaped)], &[loss(&one, &tree)], 1e-10);
    close(&[loss(&one, &tree)], &[(-margin).exp().ln_1p()], 1e-10);
}

#[test]
fn invariant_4_by_token_and_by_sequence_are_the_same_bits() {
    use tropism_core::PairLogps;
    use tropism_objectives::{Dpo, dpo};
    let mut rng = Rng(13);
    // Sums of multiples of 1/64 are exact in any order.
    let mut logps = |n: usize| (0..n).map(|_| -(rng.whole(0, 256) as f64) / 64.0).collect::<Vec<f64>>();
    for _ in 0..20 {
        let [w, l, rw, rl] = [5, 3, 5, 3].map(&mut logps);
        let by_token = traced(&w, &l, |policy| token_dpo(policy, pair(&rw, &rl), &TokenDpo::default().with_beta(0.125)));
        let by_sequence = traced(&w, &l, |policy| {
            let pairs = |tokens: Pair| PairLogps::from_tokens(tokens.chosen, tokens.rejected).unwrap();
            let summed = PairLogps::from_tokens(policy.chosen, policy.rejected).unwrap();
            dpo(summed, pairs(pair(&rw, &rl)), &Dpo::default().with_beta(0.125))
        });
        assert_eq!(by_token, by_sequence);
    }
}

#[test]
fn invariant_4_at_the_reference_the_loss_is_ln_2_and_no_token_has_credit() {
    let (w, l) = ([-1.0, -0.5, -2.0], [-0.3, -4.0]);
    let (loss, ..) = traced(&w, &l, |policy| token_dpo(policy, pair(&w, &l), &TokenDpo::default()));
    assert_eq!(loss, 2.0_f64.ln());
    assert_eq!(token_credits(&tokens(&w), &tokens(&w), 0.1).unwrap().row(0), [0.0; 3]);
}

#[test]
fn invariant_6_the_drift_is_minus_beta_times_the_divergence() {
    let mut rng = Rng(12);
    for _ in 0..50 {
        let (p, q) = (rng.reals(6, -4.0, 4.0), rng.reals(6, -4.0, 4.0));
        let logp = |z: &[f64]| soft_values(z, 1.0).unwrap().advantages;
        let kl: f64 = logp(&q).iter().zip(logp(&p)).map(|(q, p)| q.exp() * (q - p)).sum();
        let found = drift(&p, &q, 0.3).unwrap();
        close(&[found], &[-0.3 * kl], 1e-12);
        assert!(found <= 0.0);
    }
}

#[test]
fn invariant_7_a_shift_of_logits_is_a_potential() {
    let z = [0.3, -1.2, 4.0, 0.0];
    let (one, two) = (soft_values(&z, BETA).unwrap(), soft_values(&z.map(|x| x + 7.0), BETA).unwrap());
    close(&two.actions, &one.actions.iter().map(|q| q + 3.5).collect::<Vec<f64>>(), 1e-14);
    close(&[two.value], &[one.value + 3.5], 1e-14);
    close(&two.advantages, &one.advantages, 1e-14);
    // Q is beta times the logits, not the logits.
    close(&one.actions, &z.map(|x| BETA * x), 1e-15);
    let gaps: Vec<f64> = one.actions.iter().map(|q| q - one.value).collect();
    close(&gaps, &one.advantages, 1e-14);
}

#[test]
fn invariant_8_proxy_tuning_has_its_two_limits() {
    let (base, proxy, reference) = ([0.2, 1.0, -0.5], [2.0, 0.1, 0.3], [0.5, 0.5, 1.5]);
    let logp = |z: &[f64]| soft_values(z, 1.0).unwrap().advantages;
    close(&proxy_logps(&base, &proxy, &reference, 0.0).unwrap(), &logp(&base), 1e-14);
    close(&proxy_logps(&reference, &proxy, &reference, 1.0).unwrap(), &logp(&proxy), 1e-14);
    // In between all three models count: here the ratio of the first two tokens.
    let found = proxy_logps(&base, &proxy, &reference, 0.7).unwrap();
    close(&[found[0] - found[1]], &[(0.2 - 1.0) + 0.7 * ((2.0 - 0.1) - (0.5 - 0.5))], 1e-14);
    close(&[found[1] - found[2]], &[(1.0 + 0.5) + 0.7 * ((0.1 - 0.3) - (0.5 - 1.5))], 1e-14);
}

#[test]
fn profiles_say_where_credit_falls() {
    use dfdx::prelude::*;
    use tropism_core::TokenLogps;
    let dev = Cpu::default();
    let zeros: Tensor<Rank2<2, 3>, f64, _> = dev.zeros();
    let mask = [true, true, true, true, true, false];
    let policy = TokenLogps::new(dev.tensor([[1.0, -2.0, 3.0], [5.0, 0.0, f64::NAN]]), &mask).unwrap();
    let credits = token_credits(&policy, &TokenLogps::new(zeros, &mask).unwrap(), 1.0).unwrap();
    assert_eq!(credits.cells(), [1.0, -2.0, 3.0, 5.0, 0.0, 0.0]);
    assert_eq!(credits.spans(0, &[0..2, 2..3, 1..1]).unwrap(), [-1.0, 3.0, 0.0]);
    let error = credits.spans(1, &[0..0, 0..3]).unwrap_err();
    assert!(matches!(error, CreditError::Outside { row: 1, index: 3, bound: 3, .. }), "{error}");
    let profile = credits.profile().unwrap();
    assert_eq!((profile.tokens, profile.mean, profile.positive), (5, 1.4, 0.6));
    assert_eq!(profile.quartiles, [-2.0, 0.0, 1.0, 3.0, 5.0]);
    close(&[profile.std.powi(2), profile.concentration], &[5.84, 5.0 / 11.0], 1e-14);
    let means: Vec<(usize, f64, f64)> = profile.positions.iter().map(|p| (p.completions, p.mean, p.cumulative)).collect();
    assert_eq!(means, [(2, 3.0, 3.0), (2, -1.0, 2.0), (1, 3.0, 2.0)]);
    let empty = TokenLogps::new(dev.tensor([[0.0_f64]]), &[false]).unwrap();
    assert!(token_credits(&empty, &empty, 1.0).unwrap().profile().is_err());
}

#[test]
fn what_is_no_tree_is_named() {
    let action = |next| Action { reward: 0.0, reference_logp: -0.5, next };
    let fails = |states| SoftTree::new(states).unwrap_err().to_string();
    assert!(fails(vec![]).starts_with("state 0: is the root"));
    assert!(fails(vec![vec![action(Some(0))]]).contains("no later state"));
    assert!(fails(vec![vec![action(Some(1)), action(Some(1))], vec![action(None)]]).starts_with("state 1: must be led to"));
    assert!(fails(vec![vec![action(None)], vec![action(None)]]).starts_with("state 1"));
    assert!(fails(vec![vec![action(Some(1))], vec![]]).contains("has no action"));
    assert!(worked().solve(0.0).unwrap_err().to_string().contains("beta of a tree"));
}
