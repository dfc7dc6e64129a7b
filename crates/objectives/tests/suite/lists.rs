//! Losses of lists: worked numbers, identities and limits.

use crate::common::pairs::close;
use crate::common::plain::{Plain, Rng};
use crate::common::prove::prove;
use crate::common::solve::solve;
use tropism_objectives::*;

/// One list with its columns, in the order in which the method names them.
fn list(objective: &Objective, policy: &[f64], reference: &[f64], columns: &[&[f64]]) -> Plain {
    let mut plain = Plain::random(objective, 1, 1.0, &mut Rng(1));
    let n = policy.len();
    plain.width = n;
    let side = &mut plain.sides[0];
    (side.policy, side.reference) = (policy.to_vec(), reference.to_vec());
    (side.mask, side.prompt, side.lengths) = (vec![true; n], vec![false; n], vec![1; n]);
    for ((_, values), given) in plain.columns.iter_mut().zip(columns) {
        *values = given.to_vec();
    }
    plain
}

/// Loss and gradient of one list.
fn solved(objective: impl Into<Objective>, policy: &[f64], reference: &[f64], columns: &[&[f64]]) -> (f64, Vec<f64>) {
    let objective = objective.into();
    let found = solve::<f64>(&objective, &list(&objective, policy, reference, columns));
    (found.loss, found.grads[0].clone())
}

fn check(objective: impl Into<Objective>, given: (&[f64], &[f64], &[&[f64]]), loss: f64, grads: &[f64], tolerance: f64) {
    let (found, slopes) = solved(objective, given.0, given.1, given.2);
    close(&[found], &[loss], tolerance);
    close(&slopes, grads, tolerance);
}

const POLICY: [f64; 4] = [-0.9, -1.4, -0.6, -1.1];
const REFERENCE: [f64; 4] = [-1.0, -1.2, -0.8, -1.3];
const LABELS: [&[f64]; 2] = [&[2.0, 0.0, 1.0, 0.0], &[0.0, 2.0, 1.0, 3.0]];

fn summed() -> InContextRanking {
    InContextRanking::default().with_preference(PositionPreference::SummedOdds)
}

#[test]
fn in_context_ranking_worked() {
    let given: (&[f64], &[f64], &[&[f64]]) = (&POLICY, &REFERENCE, &LABELS);
    let code = [-0.34632278, 0.11232695, 0.06642371, 0.16757212];
    check(InContextRanking::default(), given, 0.61147851, &code, 6e-9);
    check(summed(), given, 4.92583799, &[-2.08104716, 0.68077701, 0.38467020, 1.01559995], 6e-9);
}

#[test]
fn in_context_ranking_at_the_reference() {
    let total = 3.0 + 1.0 / 3.0_f64.log2();
    let (loss, grads) = solved(InContextRanking::default(), &POLICY, &POLICY, &LABELS);
    close(&[loss], &[std::f64::consts::LN_2 / 4.0 * total], 1e-12);
    assert!(grads[0] < 0.0 && grads.iter().sum::<f64>().abs() < 1e-15);
    close(&[solved(summed(), &POLICY, &POLICY, &LABELS).0], &[4.0_f64.ln() * total], 1e-12);
}

#[test]
fn in_context_ranking_of_two_items_is_dpo() {
    let dpo = |z: f64| (1.0 + (-z).exp()).ln();
    let labels: [&[f64]; 2] = [&[1.0, 0.0], &[0.0, 1.0]];
    let run = |config: InContextRanking| solved(config.with_beta(0.7), &[-1.0, -2.5], &[-1.5, -2.0], &labels).0;
    close(&[run(InContextRanking::default()), run(summed())], &[0.5 * dpo(0.7), dpo(0.7)], 1e-12);
}

#[test]
fn in_context_ranking_summed_is_a_weighted_softmax() {
    let ratios: Vec<f64> = POLICY.iter().zip(&REFERENCE).map(|(p, r)| p - r).collect();
    let total = ratios.iter().map(|r| r.exp()).sum::<f64>().ln();
    let want = -(3.0 * (ratios[0] - total) + (ratios[2] - total) / 3.0_f64.log2());
    close(&[solved(summed(), &POLICY, &REFERENCE, &LABELS).0], &[want], 1e-12);
}

#[test]
fn in_context_ranking_weights() {
    let nothing: [&[f64]; 2] = [&[0.0; 4], LABELS[1]];
    check(InContextRanking::default(), (&POLICY, &REFERENCE, &nothing), 0.0, &[0.0; 4], 0.0);
    let at = |discount| solved(summed().with_discount(discount), &POLICY, &POLICY, &LABELS).0 / 4.0_f64.ln();
    close(&[at(PositionDiscount::Reciprocal)], &[3.5], 1e-12);
    let discounts = 1.0 + 1.0 / 3.0_f64.log2() + 0.5 + 1.0 / 5.0_f64.log2();
    close(&[at(PositionDiscount::PositionOnly)], &[discounts], 1e-12);
}

const PRIOR: [f64; 3] = [-3.0, -2.5, -4.0];
const SAMPLED: [f64; 3] = [-2.8, -2.9, -3.5];
const REWARD: [f64; 3] = [1.0, 0.2, -0.5];

#[test]
fn brain_worked() {
    let config = Brain::default().with_gamma(0.5);
    let grads = [-0.4539382030, 0.0280322300, 0.4259059730];
    check(config.clone(), (&SAMPLED, &PRIOR, &[&REWARD]), 0.5472016165, &grads, 6e-11);
    let off = config.with_proposal(Proposal::Column);
    let columns: [&[f64]; 2] = [&REWARD, &[-2.9, -2.7, -3.8]];
    let grads = [0.3375845378 - 0.7589666240, 0.2500887766 - 0.2068425349, 0.4123266856 - 0.0341908411];
    check(off, (&SAMPLED, &PRIOR, &columns), 0.4904695311, &grads, 2e-10);
}

#[test]
fn brain_is_least_at_the_posterior() {
    let posterior: Vec<f64> = PRIOR.iter().zip(&REWARD).map(|(p, r)| p + r / 0.5 - 1.7).collect();
    check(Brain::default().with_gamma(0.5), (&posterior, &PRIOR, &[&REWARD]), 0.0, &[0.0; 3], 1e-15);
    check(Brain::default(), (&[-3.0], &[-250.0], &[&[1.0]]), 0.0, &[0.0], 0.0);
}

#[test]
fn brain_is_unmoved_by_constants_of_a_prompt() {
    let config = || Brain::default().with_gamma(0.5).with_proposal(Proposal::Column);
    let base: [Vec<f64>; 4] = [SAMPLED.to_vec(), PRIOR.to_vec(), REWARD.to_vec(), vec![-2.9, -2.7, -3.8]];
    let run = |v: &[Vec<f64>; 4]| solved(config(), &v[0], &v[1], &[&v[2], &v[3]]);
    let (loss, grads) = run(&base);
    for k in 0..4 {
        let mut moved = base.clone();
        moved[k].iter_mut().for_each(|x| *x -= 300.0);
        let found = run(&moved);
        close(&[found.0], &[loss], 1e-12);
        close(&found.1, &grads, 1e-12);
    }
}

#[test]
fn brain_of_two_samples_is_dpo_with_soft_labels() {
    let soft = 1.0 / (1.0 + (-0.8_f64 / 0.5).exp());
    let margin: f64 = 0.2 + 0.4;
    let entropy = -soft * soft.ln() - (1.0 - soft) * (1.0 - soft).ln();
    let dpo = |z: f64| (1.0 + (-z).exp()).ln();
    let want = soft * dpo(margin) + (1.0 - soft) * dpo(-margin) - entropy;
    let two = |gamma: f64| solved(Brain::default().with_gamma(gamma), &SAMPLED[..2], &PRIOR[..2], &[&REWARD[..2]]);
    close(&[two(0.5).0], &[want], 1e-12);
    // Cold rewards are hard labels, warm ones call back to the prior.
    close(&[two(1e-3).0], &[dpo(margin)], 1e-12);
    close(&two(1e12).1, &[1.0 / (1.0 + (-margin).exp()) - 0.5, 0.5 - 1.0 / (1.0 + (-margin).exp())], 1e-9);
}

const SCORES: [f64; 4] = [0.5, 0.2, -0.1, -0.6];
const GRADES: [f64; 4] = [3.0, 1.0, 2.0, 0.0];

#[test]
fn worked_list_losses() {
    let run = |o: Objective| solved(o, &SCORES, &[0.0; 4], &[&GRADES]).0;
    let lambda = LambdaRanking::default().with_beta(1.0);
    let scaled = lambda.clone().with_scale(ListScale::IdealGain);
    let softmax = SoftmaxRanking::default().with_beta(1.0);
    close(&[run(lambda.into()), run(scaled.into()), run(softmax.into())], &[3.644288, 0.387988, 1.167666], 6e-7);
}

#[test]
fn softmax_ranking_is_brain_plus_the_entropy_of_the_targets() {
    let (loss, grads) = solved(SoftmaxRanking::default().with_beta(1.0), &SCORES, &[0.0; 4], &[&GRADES]);
    let (distance, slopes) = solved(Brain::default(), &SCORES, &[0.0; 4], &[&GRADES]);
    let total: f64 = GRADES.iter().map(|g| g.exp()).sum();
    let entropy: f64 = GRADES.iter().map(|g| -g.exp() / total * (g - total.ln())).sum();
    close(&[loss], &[distance + entropy], 1e-12);
    close(&grads, &slopes, 1e-12);
}

#[test]
fn softmax_ranking_of_warm_relevance_is_that_of_less_relevance() {
    let at = |temperature: f64, grades: &[f64]| {
        let config = SoftmaxRanking::default().with_beta(1.0).with_temperature(temperature);
        solved(config, &SCORES, &[0.0; 4], &[grades])
    };
    let (warm, less) = (at(2.5, &GRADES), at(1.0, &GRADES.map(|g| g / 2.5)));
    close(&[warm.0], &[less.0], 1e-14);
    close(&warm.1, &less.1, 1e-14);
}

#[test]
fn lambda_ranking_ignores_ties_and_pays_for_swaps() {
    let run = |grades: &[f64]| solved(LambdaRanking::default().with_beta(1.0), &SCORES[..2], &[0.0; 2], &[grades]).0;
    let dpo = |z: f64| (1.0 + (-z).exp()).ln();
    let gap = 1.0 - 1.0 / 3.0_f64.log2();
    close(&[run(&[1.0, 1.0]), run(&[1.0, 0.0]), run(&[0.0, 2.0])], &[0.0, gap * dpo(0.3), 3.0 * gap * dpo(-0.3)], 1e-12);
}

#[test]
fn pairs_of_a_ranking() {
    let dpo = |z: f64| (1.0 + (-z).exp()).ln();
    let s = [0.5, -0.1, 0.2, -0.6];
    let run = |pairs, total| {
        let config = RankingPairs::default().with_beta(1.0).with_pairs(pairs).with_total(total);
        solved(config, &SCORES, &[0.0; 4], &[&[0.0, 2.0, 1.0, 3.0]]).0
    };
    let of = |pairs: &[(usize, usize)]| pairs.iter().map(|&(i, j)| dpo(s[i] - s[j])).sum::<f64>();
    for (which, pairs) in [
        (WhichPairs::All, vec![(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
        (WhichPairs::Adjacent, vec![(0, 1), (1, 2), (2, 3)]),
        (WhichPairs::BestAndOthers, vec![(0, 1), (0, 2), (0, 3)]),
        (WhichPairs::BestAndWorst, vec![(0, 3)]),
    ] {
        let (sum, n) = (of(&pairs), pairs.len() as f64);
        close(&[run(which, PairTotal::Sum), run(which, PairTotal::Mean)], &[sum, sum / n], 1e-12);
    }
}

#[test]
fn all_reductions_of_two_answers_are_plackett_luce() {
    let ranks: [&[f64]; 1] = [&[1.0, 0.0]];
    let (loss, grads) = solved(PlackettLuce::default(), &[-1.0, -2.5], &[-1.5, -2.0], &ranks);
    for pairs in [WhichPairs::All, WhichPairs::Adjacent, WhichPairs::BestAndOthers, WhichPairs::BestAndWorst] {
        let config = RankingPairs::default().with_pairs(pairs);
        check(config, (&[-1.0, -2.5], &[-1.5, -2.0], &ranks), loss, &grads, 1e-14);
    }
}

#[test]
fn options_that_change_the_formula() {
    prove(summed().with_beta(0.3).with_normalization(Normalization::Sum));
    prove(InContextRanking::default().with_discount(PositionDiscount::PositionOnly));
    prove(InContextRanking::default().with_discount(PositionDiscount::Reciprocal));
    prove(Brain::default().with_gamma(0.3).with_proposal(Proposal::Column));
    prove(LambdaRanking::default().with_scale(ListScale::IdealGain));
    prove(SoftmaxRanking::default().with_temperature(0.4));
    for pairs in [WhichPairs::Adjacent, WhichPairs::BestAndOthers, WhichPairs::BestAndWorst] {
        prove(RankingPairs::default().with_pairs(pairs).with_total(PairTotal::Sum));
    }
}
