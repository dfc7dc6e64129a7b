//! More of the survey: β-DPO, e-DPO, GPO, BoNBoN, SafeDPO, HyPO, attenuated references, and the numbers that other tests lack.

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_core::{ListLogps, PairTokens, SequenceLogps, TokenLogps};
use tropism_objectives::*;

use crate::common::given::{check, solved};
use crate::common::pairs::close;
use crate::common::plain::{Plain, Rng};
use crate::common::solve::solve;

/// The survey's pair: `h_w = 2`, `h_l = −5`.
const PAIR: [(&[f64], &[f64]); 2] = [(&[-40.0], &[-42.0]), (&[-55.0], &[-50.0])];

/// The same with its lengths of 20 and 25 tokens, by token.
fn by_token(dev: &Cpu) -> [Tensor<Rank2<1, 25>, f64, Cpu>; 2] {
    [dev.tensor([[-2.0; 25]]), dev.tensor([[-2.2; 25]])]
}

#[test]
fn orpo_and_cpo_worked() {
    let dev = Cpu::default();
    let [w, l] = by_token(&dev);
    let mask: Vec<bool> = (0..25).map(|i| i < 20).collect();
    let chosen = TokenLogps::new(w.leaky_trace(), &mask).unwrap();
    let policy = PairTokens::new(chosen, TokenLogps::new(l.leaky_trace(), &[true; 25]).unwrap()).unwrap();
    let loss = orpo(policy, &Orpo::default().with_likelihood(Likelihood::Completion)).unwrap().mean().unwrap();
    assert!((loss.array() - 2.058564).abs() < 6e-7);
    let grads = loss.backward();
    close(&[grads.get(&w).array()[0][0], grads.get(&l).array()[0][0]], &[-0.052563, 0.001994], 6e-7);
    let plain = |mut plain: Plain| {
        (0..2).for_each(|k| plain.sides[k].policy = PAIR[k].0.to_vec());
        (plain.sides[0].lengths, plain.sides[1].lengths) = (vec![20], vec![25]);
        plain
    };
    let cpo = Objective::from(Cpo::default());
    let found = solve::<f64>(&cpo, &plain(Plain::random(&cpo, 1, 1.0, &mut Rng(1))));
    check(&found, 2.201413, &[-0.068243, 0.018243], 6e-7);
}

#[test]
fn kto_worked() {
    let dev = Cpu::default();
    let logps = dev.tensor([-40.0_f64, -55.0]);
    let policy = SequenceLogps::new(logps.leaky_trace(), &[20, 25]).unwrap();
    let reference = SequenceLogps::new(dev.tensor([-42.0, -50.0]), &[20, 25]).unwrap();
    let loss = kto(policy, reference, &[true, false], &[0.5; 2], &Kto::default()).unwrap().sum().unwrap();
    assert!((loss.array() - 0.828435).abs() < 6e-7);
    close(&loss.backward().get(&logps).array(), &[-0.024860, 0.023201], 6e-7);
}

#[test]
fn worked_lists_and_sorted_batches() {
    let dev = Cpu::default();
    let list = |v: [f64; 4]| ListLogps::new(dev.tensor([v]), &[true; 4], &[5; 4]).unwrap();
    let policy = list([0.5, 0.2, -0.1, -0.6].map(|s| s - 9.0));
    // Relevance (3, 1, 2, 0): the third answer comes second.
    let ranks = [0.0, 2.0, 1.0, 3.0];
    let loss = plackett_luce(policy, list([-9.0; 4]), &ranks, &PlackettLuce::default().with_beta(1.0)).unwrap();
    assert!((loss.values()[0] - 2.419198).abs() < 6e-7);
    let sorted = solved(AotUnpaired::default(), &[(&[2.0, -1.0], &[0.0; 2]), (&[-5.0, 1.0], &[0.0; 2])], &[]);
    close(&[sorted.loss], &[0.578706], 6e-7);
}

/// The ranking study's four pairs.
const FOUR: [(&[f64], &[f64]); 2] = [
    (&[-42.0, -30.0, -80.0, -55.0], &[-45.0, -31.0, -90.0, -52.0]),
    (&[-40.0, -36.0, -50.0, -55.5], &[-38.0, -33.0, -48.0, -58.0]),
];

#[test]
fn attenuated_dpo_worked() {
    for (gamma, want) in [(0.0, 1.238168), (0.5, 0.790532), (1.0, 0.563967), (2.0, 0.572752)] {
        let found = solved(AttenuatedDpo::default().with_gamma(gamma), &FOUR, &[]);
        close(&[found.loss], &[want], 6e-7);
        if gamma == 1.0 {
            close(&found.grads[0], &[-0.009439, -0.010033, -0.005787, -0.015853], 6e-7);
        }
    }
    // A loss of at most softplus(−βγ (rf_w − rf_l)…) says that the pair is ranked rightly.
    let found = solved(AttenuatedDpo::default(), &FOUR, &[]);
    for row in 0..4 {
        let bound = (1.0 + (0.05 * (FOUR[0].1[row] - FOUR[1].1[row])).exp()).ln();
        assert_eq!(4.0 * found.shares[row] <= bound, FOUR[0].0[row] > FOUR[1].0[row], "{row}");
    }
}

#[test]
fn attenuated_dpo_of_the_whole_reference_is_dpo() {
    let dpo = solved(Dpo::default(), &FOUR, &[]);
    check(&solved(AttenuatedDpo::default().with_gamma(1.0), &FOUR, &[]), dpo.loss, &dpo.grads.concat(), 1e-14);
    let free = solved(Dpo::default().with_reference(Reference::Uniform), &FOUR, &[]);
    check(&solved(AttenuatedDpo::default().with_gamma(0.0), &FOUR, &[]), free.loss, &free.grads.concat(), 1e-14);
}

#[test]
fn beta_dpo_follows_the_batch() {
    let run = |config: BetaDpo, usual: f64| solved(config, &FOUR, &[&[usual; 4]]);
    let at = |beta: f64| solved(Dpo::default().with_beta(beta), &FOUR, &[]);
    // Gaps of 0.5, 0.4, 1.2 and −0.55: a mean of 0.3875.
    let found = run(BetaDpo::default(), 0.1);
    let beta = 0.1 * (1.0 + 0.6 * 0.2875);
    check(&found, at(beta).loss, &at(beta).grads.concat(), 1e-13);
    close(found.diagnostics.get("beta").unwrap(), &[beta; 4], 1e-14);
    // The usual batch, or no dependence, is DPO; far below it is held at the floor.
    for same in [run(BetaDpo::default(), 0.3875), run(BetaDpo::default().with_alpha(0.0), 9.0)] {
        check(&same, at(0.1).loss, &at(0.1).grads.concat(), 1e-13);
    }
    close(run(BetaDpo::default(), 90.0).diagnostics.get("beta").unwrap(), &[0.001; 4], 1e-16);
    let mut moments = GapMoments { mean: 1.0, deviation: 2.0 };
    moments.update(&[2.0, 4.0], 0.9).unwrap();
    close(&[moments.mean, moments.deviation], &[1.2, 1.9], 1e-14);
    close(&moments.likelihoods(&[1.2, 3.1, -0.7]), &[1.0, (-0.5_f64).exp(), (-0.5_f64).exp()], 1e-14);
    assert!(moments.update(&[], 0.9).is_err() && moments.update(&[1.0], 1.5).is_err());
}

#[test]
fn e_dpo_is_least_at_the_margin_of_the_rewards() {
    check(&solved(EDpo::default(), &PAIR, &[&[0.7]]), 0.0, &[0.0, 0.0], 1e-12);
    check(&solved(EDpo::default(), &PAIR, &[&[1.2]]), 0.25, &[-0.1, 0.1], 1e-12);
    // IPO on sums regresses on 1/2, in units of β.
    let ipo = solved(Ipo::default().with_normalization(Normalization::Sum), &FOUR, &[]);
    check(
        &solved(EDpo::default(), &FOUR, &[&[0.5; 4]]),
        0.01 * ipo.loss,
        &ipo.grads.concat().iter().map(|g| 0.01 * g).collect::<Vec<_>>(),
        1e-13,
    );
    // An ensemble has the gradient of its mean.
    let [a, b, mean] = [0.3, 1.5, 0.9].map(|g| solved(EDpo::default(), &PAIR, &[&[g]]).grads[0][0]);
    close(&[0.5 * (a + b)], &[mean], 1e-14);
    // Which completion is called chosen does not matter.
    let turned = solved(EDpo::default(), &[PAIR[1], PAIR[0]], &[&[-1.2]]);
    check(&turned, 0.25, &[0.1, -0.1], 1e-12);
}

#[test]
fn gpo_by_its_other_names() {
    let run = |link| solved(Gpo::default().with_link(link), &FOUR, &[]);
    for (link, named) in
        [(ConvexLink::Logistic, Objective::from(Dpo::default())), (ConvexLink::Hinge, Hinge::default().into())]
    {
        let named = solved(named, &FOUR, &[]);
        check(&run(link), named.loss, &named.grads.concat(), 1e-14);
    }
    let ipo = Ipo::default().with_beta(0.05).with_normalization(Normalization::Sum);
    close(&[run(ConvexLink::Squared).loss], &[0.01 * solved(ipo, &FOUR, &[]).loss], 1e-13);
    // Gaps of 0.5, 0.4, 1.2, −0.55: the third is beyond the truncation.
    let cut: f64 = [0.25, 0.36, 0.0, 1.55 * 1.55].iter().sum();
    close(&[run(ConvexLink::TruncatedSquared).loss], &[cut / 4.0], 1e-13);
    let tail: f64 = [0.5_f64, 0.4, 1.2, -0.55].iter().map(|z| (-z).exp()).sum();
    close(&[run(ConvexLink::Exponential).loss], &[tail / 4.0], 1e-13);
}

#[test]
fn bonbon_worked() {
    // n = 3: a margin of 2 · (1 + ½) = 3.
    let found = solved(Bonbon::default().with_samples(3).with_alpha(0.5), &PAIR, &[]);
    check(&found, 0.5 * 40.0 + 0.5 * 16.0, &[-0.5 + 4.0, -4.0], 1e-12);
    for (samples, alpha) in [(1, 0.5), (0, 0.5), (3, 1.5), (3, f64::NAN)] {
        assert!(Bonbon::default().with_samples(samples).with_alpha(alpha).check().is_err());
    }
}

#[test]
fn bonbon_without_likelihood_is_ipo() {
    for (samples, margin) in [(2, 1.0), (3, 3.0), (4, 3.0 * (1.0 + 0.5 + 1.0 / 3.0))] {
        let ipo = Ipo::default().with_beta(0.5 / margin).with_normalization(Normalization::Sum);
        let ipo = solved(ipo, &FOUR, &[]);
        let found = solved(Bonbon::default().with_samples(samples).with_alpha(0.0), &FOUR, &[]);
        check(&found, ipo.loss, &ipo.grads.concat(), 1e-10);
    }
}

#[test]
fn bonbon_aims_at_the_margin_of_the_best_of_n() {
    // Quantiles of best and worst of n uniform samples; the log-ratio of best-of-n is (n − 1) log F up to a constant.
    let (n, draws, mut rng) = (5, 200_000, Rng(11));
    let sum: f64 = (0..draws)
        .map(|_| {
            let samples: Vec<f64> = (0..n).map(|_| rng.real(0.0, 1.0)).collect();
            let extreme = |f: fn(f64, f64) -> f64| samples.iter().copied().reduce(f).unwrap();
            4.0 * (extreme(f64::max).ln() - extreme(f64::min).ln())
        })
        .sum();
    let mean = sum / f64::from(draws);
    // At the margin that it aims at, IPO's part is still.
    let config = Bonbon::default().with_samples(n).with_alpha(0.0);
    let force = solved(config, &[(&[mean - 50.0], &[-50.0]), (&[-50.0], &[-50.0])], &[]).grads[0][0];
    assert!(force.abs() < 0.1, "{mean} {force}");
}

#[test]
fn safe_dpo_turns_and_drops_pairs() {
    let run = |w: f64, l: f64| solved(SafeDpo::default(), &FOUR, &[&[w, w, w, 0.0], &[l, l, l, 0.0]]);
    let log = |z: f64| (1.0 + (-z).exp()).ln();
    let (gaps, last) = ([0.5, 0.4, 1.2], log(-0.55));
    let each = |f: &dyn Fn(f64) -> f64| gaps.iter().map(|&z| f(z)).sum::<f64>() + last;
    close(&[run(0.0, 0.0).loss], &[each(&|z| log(z)) / 4.0], 1e-13);
    close(&[run(0.0, 1.0).loss], &[each(&|z| log(z - 1.0)) / 4.0], 1e-13);
    close(&[run(1.0, 0.0).loss], &[each(&|z| log(-z - 1.0)) / 4.0], 1e-13);
    let dropped = run(1.0, 1.0);
    close(&[dropped.loss, dropped.grads[0][0], dropped.grads[1][2]], &[last, 0.0, 0.0], 1e-13);
}

#[test]
fn safe_dpo_of_safe_completions_is_dpo() {
    let dpo = solved(Dpo::default(), &FOUR, &[]);
    check(&solved(SafeDpo::default(), &FOUR, &[&[0.0; 4], &[0.0; 4]]), dpo.loss, &dpo.grads.concat(), 1e-14);
    // Without a margin an unsafe rejected completion changes nothing.
    let free = SafeDpo::default().with_margin(0.0);
    check(&solved(free, &FOUR, &[&[0.0; 4], &[1.0; 4]]), dpo.loss, &dpo.grads.concat(), 1e-14);
}

#[test]
fn hypo_without_penalty_is_dpo() {
    let triple = [PAIR[0], PAIR[1], (&[-48.0][..], &[-45.0][..])];
    let dpo = solved(Dpo::default(), &PAIR, &[]);
    let alone = solved(Hypo::default().with_kl_weight(0.0), &triple, &[]);
    check(&alone, dpo.loss, &[dpo.grads.concat(), vec![0.0]].concat(), 1e-14);
    let found = solved(Hypo::default(), &triple, &[]);
    check(&found, dpo.loss + 0.025 * 9.0, &[dpo.grads.concat(), vec![0.05 * -3.0]].concat(), 1e-14);
}

#[test]
fn hypo_pulls_by_the_gradient_of_the_divergence() {
    // A softmax policy: the expectation over its samples of the gradient, against differences of the exact KL.
    let (logits, reference) = ([0.3, -0.8, 1.1], [0.5_f64, 0.2, 0.3]);
    let probabilities = |logits: [f64; 3]| {
        let total: f64 = logits.iter().map(|l: &f64| l.exp()).sum();
        logits.map(|l| l.exp() / total)
    };
    let kl = |logits: [f64; 3]| probabilities(logits).iter().zip(reference).map(|(p, r)| p * (p / r).ln()).sum::<f64>();
    let p = probabilities(logits);
    let slope = |y: usize| {
        let triple: [(&[f64], &[f64]); 3] = [PAIR[0], PAIR[1], (&[p[y].ln()], &[reference[y].ln()])];
        solved(Hypo::default().with_kl_weight(1.0), &triple, &[]).grads[2][0]
    };
    for i in 0..3 {
        let expected: f64 = (0..3).map(|y| p[y] * slope(y) * (f64::from(u8::from(i == y)) - p[i])).sum();
        let moved = |by: f64| {
            let mut moved = logits;
            moved[i] += by;
            kl(moved)
        };
        assert!((expected - (moved(1e-6) - moved(-1e-6)) / 2e-6).abs() < 1e-8);
    }
}

proptest! {
    #[test]
    fn margin_losses_know_the_difference_alone(seed: u64, by in -9.0..9.0_f64) {
        for objective in [Objective::from(Gpo::default()), EDpo::default().into(), SafeDpo::default().into(), BetaDpo::default().into()] {
            let mut plain = Plain::random(&objective, 3, 9.0, &mut Rng(seed));
            plain.columns.iter_mut().for_each(|(_, v)| v[0] = 0.0);
            let mut moved = plain.clone();
            moved.sides.iter_mut().for_each(|s| s.policy.iter_mut().for_each(|lp| *lp += by));
            let (a, b) = (solve::<f64>(&objective, &plain).loss, solve::<f64>(&objective, &moved).loss);
            prop_assert!((a - b).abs() < 1e-10 * a.max(1.0), "{} {} {}", objective.name(), a, b);
        }
    }
}
