//! What losses turn into at special options or inputs, each by the name of the identity.

use crate::common::plain::{Plain, Rng};
use crate::common::solve::{Solved, solve};
use proptest::prelude::*;
use tropism_objectives::*;

/// Losses and gradients of two methods on the same batch, made for the first.
fn same(a: impl Into<Objective>, b: impl Into<Objective>, seed: u64, change: fn(&mut Plain)) -> Result<(), TestCaseError> {
    let (a, b, mut rng) = (a.into(), b.into(), Rng(seed));
    let rows = rng.whole(1, 6);
    let mut plain = Plain::random(&a, rows, 20.0, &mut rng);
    change(&mut plain);
    let mut other = plain.clone();
    other.columns.retain(|(c, _)| b.columns().contains(c));
    let (x, y): (Solved, Solved) = (solve::<f64>(&a, &plain), solve::<f64>(&b, &other));
    let near = |x: &[f64], y: &[f64]| x.iter().zip(y).all(|(x, y)| (x - y).abs() <= 1e-10 * y.abs().max(1.0));
    prop_assert!(near(&x.shares, &y.shares), "{:?} {:?}", x.shares, y.shares);
    for (x, y) in x.grads.iter().zip(&y.grads) {
        prop_assert!(near(x, y), "{:?} {:?}", x, y);
    }
    Ok(())
}

fn as_it_is(_: &mut Plain) {}

fn one_token(plain: &mut Plain) {
    plain.sides.iter_mut().for_each(|s| s.lengths.fill(1));
}

fn equal_lengths(plain: &mut Plain) {
    let first = plain.sides[0].mask.clone();
    let (prompt, lengths) = (plain.sides[0].prompt.clone(), plain.sides[0].lengths.clone());
    plain.sides[1] = crate::common::plain::Side { mask: first, prompt, lengths, ..plain.sides[1].clone() };
}

proptest! {
    #[test]
    fn cdpo_and_robust_without_noise_are_dpo(seed: u64) {
        same(Cdpo::default().with_label_smoothing(0.0), Dpo::default(), seed, as_it_is)?;
        same(Robust::default().with_label_smoothing(0.0), Dpo::default(), seed, as_it_is)?;
    }

    #[test]
    fn alpha_divergence_at_1_is_reverse_kl(seed: u64) {
        same(Dpo::default().with_divergence(Divergence::Alpha(1.0)), Dpo::default(), seed, as_it_is)?;
    }

    #[test]
    fn alpha_divergence_at_0_is_forward_kl(seed: u64) {
        let at = |divergence| Dpo::default().with_divergence(divergence);
        same(at(Divergence::Alpha(0.0)), at(Divergence::ForwardKl), seed, as_it_is)?;
    }

    #[test]
    fn ln_dpo_of_single_tokens_is_dpo(seed: u64) {
        same(LnDpo::default().with_beta(0.1), Dpo::default(), seed, one_token)?;
    }

    #[test]
    fn ipo_of_single_tokens_is_the_same_summed_or_averaged(seed: u64) {
        same(Ipo::default(), Ipo::default().with_normalization(Normalization::Sum), seed, one_token)?;
    }

    #[test]
    fn alphapo_without_bend_is_simpo(seed: u64) {
        same(Alphapo::default().with_alpha(0.0), Simpo::default(), seed, as_it_is)?;
    }

    #[test]
    fn cpo_without_likelihood_is_dpo_without_reference(seed: u64) {
        same(Cpo::default().with_nll_weight(0.0), Dpo::default().with_reference(Reference::Uniform), seed, as_it_is)?;
    }

    #[test]
    fn ld_dpo_at_alpha_1_ignores_lengths(seed: u64) {
        let policy = LdDpo::default().with_alpha(1.0).with_tempered(Tempered::Policy);
        same(LdDpo::default().with_alpha(1.0), policy, seed, as_it_is)?;
    }

    #[test]
    fn ld_dpo_of_equal_lengths_ignores_alpha(seed: u64) {
        same(LdDpo::default().with_alpha(0.3), LdDpo::default().with_alpha(1.0), seed, equal_lengths)?;
    }

    #[test]
    fn kto_with_baseline_0_is_apo_zero_unpaired(seed: u64) {
        let zero = |plain: &mut Plain| plain.columns[1].1.fill(0.0);
        same(Kto::default(), ApoZeroUnpaired::default(), seed, zero)?;
    }

    #[test]
    fn xpo_without_optimism_is_its_base(seed: u64) {
        same(Xpo::default().with_alpha(0.0), Dpo::default(), seed, as_it_is)?;
    }

    #[test]
    fn a_sum_of_halves_is_the_whole(seed: u64) {
        let half = || Term { weight: 0.5, objective: Cpo::default().into() };
        same(Sum::default().with_terms(vec![half(), half()]), Cpo::default(), seed, as_it_is)?;
    }

    #[test]
    fn robust_is_unbiased(z in -300.0..300.0_f64, epsilon in 0.0..0.49_f64) {
        let at = |objective: Objective, z: f64| {
            let (mut plain, mut rng) = (Vec::new(), Rng(1));
            plain.push(Plain::random(&objective, 1, 1.0, &mut rng));
            plain[0].sides[0].reference[0] = plain[0].sides[0].policy[0] - 10.0 * z;
            plain[0].sides[1].reference[0] = plain[0].sides[1].policy[0];
            solve::<f64>(&objective, &plain[0]).loss
        };
        let robust = |z| at(Robust::default().with_label_smoothing(epsilon).into(), z);
        let mixed = (1.0 - epsilon) * robust(z) + epsilon * robust(-z);
        let clean = at(Dpo::default().into(), z);
        prop_assert!((mixed - clean).abs() <= 1e-9 * z.abs().max(1.0) / (1.0 - 2.0 * epsilon), "{} {}", mixed, clean);
    }

    #[test]
    fn aot_unpaired_does_not_know_which_rejected_belongs_to_which_chosen(seed: u64) {
        let (objective, mut rng) = (Objective::from(AotUnpaired::default()), Rng(seed));
        let plain = Plain::random(&objective, 5, 20.0, &mut rng);
        let mut turned = plain.clone();
        turned.sides[1] = turned.pick(&[4, 2, 0, 1, 3]).sides[1].clone();
        let (a, b) = (solve::<f64>(&objective, &plain), solve::<f64>(&objective, &turned));
        prop_assert!((a.loss - b.loss).abs() < 1e-12);
    }

    #[test]
    fn plackett_luce_of_two_is_dpo(seed: u64) {
        let (list, dpo) = (Objective::from(PlackettLuce::default()), Objective::from(Dpo::default()));
        let pair = Plain::random(&dpo, 3, 20.0, &mut Rng(seed));
        let mut lists = Plain::random(&list, 3, 20.0, &mut Rng(seed));
        lists.width = 2;
        let weave = |f: fn(&crate::common::plain::Side) -> &Vec<f64>| {
            let sides = f(&pair.sides[0]).iter().zip(f(&pair.sides[1]));
            sides.flat_map(|(w, l)| [*w, *l]).collect::<Vec<f64>>()
        };
        lists.sides[0].policy = weave(|s| &s.policy);
        lists.sides[0].reference = weave(|s| &s.reference);
        (lists.sides[0].mask, lists.sides[0].prompt, lists.sides[0].lengths) = (vec![true; 6], vec![false; 6], vec![1; 6]);
        lists.columns[0].1 = [0.0, 1.0].repeat(3);
        let (a, b) = (solve::<f64>(&list, &lists), solve::<f64>(&dpo, &pair));
        prop_assert!(a.shares.iter().zip(&b.shares).all(|(x, y)| (x - y).abs() < 1e-10));
        prop_assert!((0..6).all(|i| (a.grads[0][i] - b.grads[i % 2][i / 2]).abs() < 1e-10));
    }
}
