//! RPO, ASFT, REDI, Flex-DPO and DOVE: worked numbers, and what they turn into at special options.

use crate::common::pairs::{Batch, worked};
use crate::common::plain::{Plain, Rng, Side};
use crate::common::prove::prove;
use crate::common::solve::{Solved, solve};
use proptest::prelude::*;
use tropism_objectives::*;

fn batch(policy: [f64; 2], reference: [f64; 2], lengths: [usize; 2]) -> Batch {
    let (policy, reference) = (policy.map(|v| vec![v]), reference.map(|v| vec![v]));
    Batch { policy, reference, lengths: lengths.map(|n| vec![n]) }
}

#[test]
fn rpo_worked() {
    let pair = batch([-10.0, -12.0], [-11.0, -11.5], [5, 8]);
    let rpo = |averaging, eta| Rpo::default().with_beta(0.1).with_averaging(averaging).with_eta(eta);
    worked(rpo(Averaging::Sums, 0.005), &pair, [0.62595705, -0.04675702, 0.04625702], 6e-9);
    worked(rpo(Averaging::Sums, 0.2), &pair, [0.82095705, -0.06625702, 0.04625702], 6e-9);
    worked(rpo(Averaging::Sequences, 0.005), &pair, [0.63095705, -0.04725702, 0.04625702], 6e-9);
    worked(rpo(Averaging::Sequences, 0.2), &pair, [1.02095705, -0.08625702, 0.04625702], 6e-9);
}

#[test]
fn asft_worked() {
    let pair = batch([-0.6, -1.25], [0.0, 0.0], [1, 1]);
    worked(Asft::default(), &pair, [1.53757957, -2.0, 0.40155112], 6e-9);
    worked(Asft::default().with_lambda(0.5), &pair, [1.06878978, -1.5, 0.20077556], 6e-9);
    let tempered = Asft::default().with_nll_weight(0.0).with_beta(0.2);
    worked(tempered, &pair, [1.27981389, -0.21729627, 0.12740244], 6e-9);
}

#[test]
fn redi_worked() {
    let pair = batch([-1.8, -2.5], [0.0, 0.0], [3, 2]);
    let redi = |alpha| Redi::default().with_alpha(alpha);
    worked(redi(0.0), &pair, [0.6, -1.0 / 3.0, 0.0], 1e-12);
    worked(redi(0.8), &pair, [-0.4, -1.0 / 3.0, 0.4], 1e-12);
    worked(redi(1.0), &pair, [-0.65, -1.0 / 3.0, 0.5], 1e-12);
}

#[test]
fn flex_dpo_worked() {
    // By probabilities: ∂ℓ/∂π = ∂ℓ/∂lp / π.
    let check = |flex: FlexDpo, [chosen, rejected]: [f64; 2], [loss, up, down]: [f64; 3]| {
        let pair = batch([chosen.ln(), rejected.ln()], [0.2_f64.ln(), 0.1_f64.ln()], [1, 1]);
        worked(flex, &pair, [loss, up * chosen, down * rejected], 6e-9);
    };
    let dpo = || FlexDpo::default().with_beta_rejected(0.1);
    check(dpo(), [0.2, 0.1], [std::f64::consts::LN_2, -0.25, 0.5]);
    check(dpo(), [0.3, 1e-2], [0.56688372, -0.14423649, 4.32709474]);
    check(dpo(), [0.3, 1e-4], [0.39290139, -0.10830156, 324.90468219]);
    check(dpo(), [0.3, 1e-6], [0.26517746, -0.07764339, 23293.01831976]);
    check(FlexDpo::default(), [0.3, 1e-2], [0.58707153, -0.14801567, 3.55237605]);
    let likelihood = [0.68728100, -0.14423649 - 0.1 / 0.3, 4.32709474];
    check(dpo().with_nll_weight(0.1), [0.3, 1e-2], likelihood);
}

#[test]
fn flex_dpo_reports_the_three_properties() {
    let pair = batch([-2.0, -500.0], [-1.0, -3.0], [1, 1]);
    let solved = crate::common::pairs::solve::<f64>(&FlexDpo::default().with_beta_rejected(0.1).into(), &pair);
    assert_eq!(solved.terms.get("gradients/log_ratio"), Some([498.0].as_slice()));
    assert_eq!(solved.terms.get("displacement/rejected"), Some([-497.0].as_slice()));
    assert_eq!(solved.terms.get("logps/seen"), Some([-2.0].as_slice()));
}

/// Losses and gradients of two methods on the same batch.
fn same(a: impl Into<Objective>, b: impl Into<Objective>, plain: &Plain) -> Result<(), TestCaseError> {
    let (x, y): (Solved, Solved) = (solve::<f64>(&a.into(), plain), solve::<f64>(&b.into(), plain));
    let near = |x: &[f64], y: &[f64]| x.iter().zip(y).all(|(x, y)| (x - y).abs() <= 1e-10 * y.abs().max(1.0));
    prop_assert!(near(&x.shares, &y.shares), "{:?} {:?}", x.shares, y.shares);
    for (x, y) in x.grads.iter().zip(&y.grads) {
        prop_assert!(near(x, y), "{:?} {:?}", x, y);
    }
    Ok(())
}

fn random(objective: impl Into<Objective>, seed: u64) -> Plain {
    let mut rng = Rng(seed);
    let rows = rng.whole(1, 6);
    Plain::random(&objective.into(), rows, 20.0, &mut rng)
}

/// One-token completions with the given log-probabilities.
fn single_tokens(chosen: f64, rejected: f64) -> Plain {
    let mut plain = Plain::random(&Orpo::default().into(), 1, 1.0, &mut Rng(1));
    plain.width = 1;
    plain.sides = [chosen, rejected].map(|lp| side(vec![lp], vec![lp], vec![true], vec![false])).to_vec();
    plain
}

fn side(policy: Vec<f64>, reference: Vec<f64>, mask: Vec<bool>, prompt: Vec<bool>) -> Side {
    Side { lengths: vec![mask.iter().filter(|m| **m).count()], policy, reference, mask, prompt }
}

proptest! {
    #[test]
    fn rpo_without_likelihood_is_dpo(seed: u64) {
        let plain = random(Dpo::default(), seed);
        for averaging in [Averaging::Sums, Averaging::Sequences, Averaging::Tokens] {
            let rpo = Rpo::default().with_beta(0.1).with_eta(0.0).with_averaging(averaging);
            same(rpo, Dpo::default(), &plain)?;
        }
    }

    #[test]
    fn the_forms_of_rpo_agree_at_equal_lengths(seed: u64) {
        let mut plain = random(Dpo::default(), seed);
        plain.sides[0].lengths.fill(7);
        let rpo = |averaging, eta| Rpo::default().with_averaging(averaging).with_eta(eta);
        same(rpo(Averaging::Sums, 0.5), rpo(Averaging::Sequences, 0.5 * 0.01 * 7.0), &plain)?;
        same(rpo(Averaging::Tokens, 0.3), rpo(Averaging::Sequences, 0.3), &plain)?;
    }

    #[test]
    fn asft_and_redi_without_the_rejected_side_are_the_likelihood(seed: u64) {
        let plain = random(Asft::default(), seed);
        let nll = ChosenNll::default().with_averaging(Averaging::Sequences);
        same(Asft::default().with_lambda(0.0), nll.clone(), &plain)?;
        same(Redi::default().with_alpha(0.0), nll, &plain)?;
    }

    #[test]
    fn asft_is_cross_entropy_of_good_or_bad(a in -30.0..-1e-3_f64, c in -30.0..-1e-3_f64) {
        let asft = Objective::from(Asft::default());
        let mut plain = random(asft.clone(), 3).slice(0..1);
        (plain.sides[0].policy, plain.sides[1].policy) = (vec![a], vec![c]);
        plain.sides.iter_mut().for_each(|s| s.lengths.fill(1));
        let want = -2.0 * a - (-c.exp_m1()).ln();
        prop_assert!((solve::<f64>(&asft, &plain).loss - want).abs() < 1e-12 * want.max(1.0));
    }

    #[test]
    fn asft_is_orpo_and_the_chance_that_exactly_one_is_good(a in -9.0..-0.01_f64, c in -9.0..-0.01_f64) {
        let orpo = Orpo::default().with_lambda(1.0).with_likelihood(Likelihood::Completion);
        let orpo = solve::<f64>(&orpo.into(), &single_tokens(a, c)).loss;
        let asft = Objective::from(Asft::default());
        let mut plain = random(asft.clone(), 3).slice(0..1);
        (plain.sides[0].policy, plain.sides[1].policy) = (vec![a], vec![c]);
        plain.sides.iter_mut().for_each(|s| s.lengths.fill(1));
        let one = a.exp() * -c.exp_m1() + c.exp() * -a.exp_m1();
        let gap = solve::<f64>(&asft, &plain).loss - orpo;
        prop_assert!(gap >= -1e-12 && (gap + one.ln()).abs() < 1e-10, "{} {}", gap, one.ln());
    }

    #[test]
    fn symmetric_redi_changes_its_sign_with_the_sides(seed: u64) {
        let redi = Objective::from(Redi::default().with_alpha(1.0));
        let plain = random(redi.clone(), seed);
        let mut turned = plain.clone();
        turned.sides.swap(0, 1);
        let (a, b) = (solve::<f64>(&redi, &plain), solve::<f64>(&redi, &turned));
        prop_assert!((a.loss + b.loss).abs() < 1e-12);
    }

    #[test]
    fn simpo_at_small_beta_is_symmetric_redi(seed: u64) {
        let simpo = Objective::from(Simpo::default().with_beta(1e-7).with_gamma_beta_ratio(0.0));
        let plain = random(simpo.clone(), seed);
        let redi = solve::<f64>(&Redi::default().with_alpha(1.0).into(), &plain);
        let simpo = solve::<f64>(&simpo, &plain);
        for (x, y) in simpo.grads.iter().flatten().zip(redi.grads.iter().flatten()) {
            prop_assert!((x / 0.5e-7 - y).abs() < 1e-5 * y.abs(), "{} {}", x, y);
        }
    }

    #[test]
    fn flex_dpo_of_equal_scales_is_dpo(seed: u64) {
        let plain = random(Dpo::default(), seed);
        same(FlexDpo::default().with_beta_rejected(0.1), Dpo::default(), &plain)?;
        let none = solve::<f64>(&FlexDpo::default().with_beta_rejected(0.0).into(), &plain);
        prop_assert!(none.grads[1].iter().all(|g| *g == 0.0));
    }

    #[test]
    fn dove_of_the_same_prompt_is_dpo(seed: u64) {
        let mut plain = random(Dove::default(), seed);
        for i in 0..plain.sides[0].prompt.len() {
            // The rejected side's prompt: that of the chosen side, wherever it has one.
            if plain.sides[0].prompt[i] {
                let (policy, reference) = (plain.sides[0].policy[i], plain.sides[0].reference[i]);
                let other = &mut plain.sides[1];
                (other.policy[i], other.reference[i], other.prompt[i], other.mask[i]) = (policy, reference, true, false);
            } else if plain.sides[1].prompt[i] {
                plain.sides[1].prompt[i] = false;
            }
        }
        let (joint, alone) = (Dove::default(), Dove::default().with_likelihood(Likelihood::Completion));
        let (a, b) = (solve::<f64>(&joint.into(), &plain), solve::<f64>(&alone.clone().into(), &plain));
        prop_assert!(a.shares.iter().zip(&b.shares).all(|(x, y)| (x - y).abs() < 1e-10 * y.abs().max(1.0)));
        same(alone, LdDpo::default().with_alpha(1.0), &plain)?;
    }
}

#[test]
fn dove_worked() {
    let mut plain = single_tokens(-1.0, -1.0);
    plain.width = 3;
    // Prompt, completion, padding.
    let (mask, prompt) = (vec![false, true, false], vec![true, false, false]);
    let row = |p: [f64; 2], r: [f64; 2]| side(vec![p[0], p[1], 0.0], vec![r[0], r[1], 0.0], mask.clone(), prompt.clone());
    plain.sides = vec![row([-20.0, -10.0], [-20.5, -11.0]), row([-25.0, -12.0], [-24.0, -11.5])];
    let joint = solve::<f64>(&Dove::default().into(), &plain);
    assert!((joint.loss - 0.55435524).abs() < 6e-9);
    for (found, want) in joint.grads.iter().flatten().zip([-1.0, -1.0, 0.0, 1.0, 1.0, 0.0]) {
        assert!((found - 0.04255575 * want).abs() < 6e-9);
    }
    assert_eq!(joint.diagnostics.get("prompt_ratios/chosen"), Some([0.5].as_slice()));
    assert_eq!(joint.diagnostics.get("prompt_ratios/rejected"), Some([-1.0].as_slice()));
    let alone = solve::<f64>(&Dove::default().with_likelihood(Likelihood::Completion).into(), &plain);
    assert!((alone.loss - 0.62095705).abs() < 6e-9);
    assert_eq!([alone.grads[0][0], alone.grads[1][0]], [0.0, 0.0]);
}

#[test]
fn options_that_change_the_formula() {
    prove(Rpo::default().with_beta(0.1).with_eta(0.2).with_averaging(Averaging::Sequences));
    prove(Rpo::default().with_beta(0.1).with_eta(0.2).with_averaging(Averaging::Tokens));
    prove(Asft::default().with_nll_weight(0.0).with_beta(0.2));
    prove(Redi::default().with_decay(1.0).with_chosen_weight(0.5));
    prove(FlexDpo::default().with_nll_weight(0.1));
    prove(FlexDpo::default().with_beta_rejected(0.0));
    prove(Dove::default().with_likelihood(Likelihood::Completion));
}
