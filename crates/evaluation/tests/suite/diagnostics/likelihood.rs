//! Worked examples and identities of likelihood diagnostics.
use super::{all_close, close, logs, near};
use proptest::prelude::*;
use tropism_evaluation::Bootstrap;
use tropism_evaluation::likelihood::*;

const CHOSEN: [f64; 4] = [-42.0, -30.0, -80.0, -55.0];
const REJECTED: [f64; 4] = [-40.0, -36.0, -50.0, -55.5];
const REF_CHOSEN: [f64; 4] = [-45.0, -31.0, -90.0, -52.0];
const REF_REJECTED: [f64; 4] = [-38.0, -33.0, -48.0, -58.0];
const TOKENS: [[usize; 4]; 2] = [[21, 12, 40, 25], [16, 18, 20, 30]];
const ALPHA: [f64; 4] = [0.75, 1.0, 0.75, 0.5];

fn sheet() -> ScoredPairs<'static> {
    let pairs = ScoredPairs::new(&CHOSEN, &REJECTED).unwrap().with_reference(&REF_CHOSEN, &REF_REJECTED).unwrap();
    pairs.with_tokens(&TOKENS[0], &TOKENS[1]).unwrap()
}

#[test]
fn ranking_accuracy_worked() {
    let report = ranking_report(&sheet()).unwrap();
    close(report.accuracy.value, 0.5);
    close(report.accuracy_normalized.unwrap().value, 0.5);
    close(report.reward_accuracy.unwrap().value, 0.75);
    close(report.reward_margin.unwrap().value, (5.0 + 4.0 + 12.0 - 5.5) / 4.0);
    // c = 7, −2, 42, −6: the reference is right on the second and the fourth
    close(report.reference_accuracy.unwrap().value, 0.5);
    let flips = report.flips.unwrap();
    assert_eq!((flips.kept_right, flips.righted, flips.unlearnt, flips.kept_wrong), (2, 0, 0, 2));
    assert_eq!((flips.flip_rate.unwrap().value, flips.unlearnt_rate.unwrap().n), (0.0, 2));
}

#[test]
fn difficulties_worked() {
    let all = difficulties(&sheet(), 0.1).unwrap();
    assert_eq!(all.iter().map(|d| d.pair).collect::<Vec<_>>(), [3, 1, 0, 2]);
    all_close(all.iter().map(|d| d.c), &[-6.0, -2.0, 7.0, 42.0]);
    all_close(all.iter().map(|d| d.required_loss), &[1.037488, 0.798139, 0.403186, 0.014884]);
    all_close(all.iter().map(|d| d.loss), &[1.005492, 0.513015, 0.474077, 0.263282]);
    // the lowest loss of the batch, and still ranked wrongly
    assert_eq!(all.iter().map(Difficulty::ranked_rightly).collect::<Vec<_>>(), [true, true, false, false]);
}

#[test]
fn idealised_accuracy_worked() {
    let ideal = idealised_accuracy(&sheet(), Raters::Shares(&ALPHA), &BETA_GRID).unwrap();
    all_close(ideal.by_beta.iter().map(|(_, f)| f.value), &[1.0, 0.75, 0.5, 0.5, 0.5]);
    let normalized = ideal.by_beta_normalized.unwrap();
    all_close(normalized.iter().map(|(_, f)| f.value), &[0.75, 0.75, 0.75, 0.75, 0.5]);
    let gap = alignment_gap(&sheet(), Raters::Shares(&ALPHA), &BETA_GRID, Bootstrap::default()).unwrap();
    // most β rank exactly as the policy does, in every resample
    assert_eq!((gap.raw.value, gap.raw.low, gap.raw.high), (0.0, 0.0, 0.0));
    let normalized = gap.normalized.unwrap();
    close(normalized.value, 0.25);
    assert!(normalized.low <= 0.0 && normalized.high >= 0.5, "{normalized}");
    // small beta follows the raters, large beta the reference
    let at =
        |beta: f64, alpha: &[f64]| idealised_accuracy(&sheet(), Raters::Shares(alpha), &[beta]).unwrap().by_beta[0].1.value;
    close(at(1e-6, &[0.4, 0.6, 0.9, 0.2]), 0.5);
    close(at(1e6, &[0.4, 0.6, 0.9, 0.2]), 0.5);
    close(at(1.0, &[0.5; 4]), 0.5);
    let same = idealised_accuracy(&sheet(), Raters::Same(0.75), &[0.1]).unwrap();
    close(same.by_beta[0].1.value, 0.75);
}

#[test]
fn ties_and_lists() {
    // equal within 0.01 in probability where raters tie, else in the majority's direction
    let first = [-1.0, -1.0, -1.0, -1.0];
    let second = [-1.001, -2.0, -2.0, -0.5];
    close(tie_aware_accuracy(&first, &second, &[0.5, 0.5, 0.9, 0.1], 0.01).unwrap().value, 0.75);
    let lists: [&[f64]; 2] = [&[-1.0, -3.0, -2.0], &[-1.0, -2.0, -3.0]];
    close(exact_match_accuracy(&lists, &[&[1, 3, 2], &[1, 3, 2]]).unwrap().value, 0.5);
    let two: Vec<[f64; 2]> = CHOSEN.iter().zip(REJECTED).map(|(w, l)| [*w, l]).collect();
    let (two, places) = (two.iter().map(<[f64; 2]>::as_slice).collect::<Vec<_>>(), vec![&[0usize, 1][..]; 4]);
    close(exact_match_accuracy(&two, &places).unwrap().value, 0.5);
}

#[test]
fn policy_that_is_the_reference() {
    let pairs = ScoredPairs::new(&REF_CHOSEN, &REF_REJECTED).unwrap().with_reference(&REF_CHOSEN, &REF_REJECTED).unwrap();
    let report = ranking_report(&pairs).unwrap();
    assert_eq!(report.reward_accuracy.unwrap().value, 0.0);
    assert_eq!(report.accuracy.value, report.reference_accuracy.unwrap().value);
    difficulties(&pairs, 0.1).unwrap().iter().for_each(|d| close(d.loss, std::f64::consts::LN_2));
    let moved = displacement(&pairs).unwrap();
    assert_eq!((moved.chosen.value, moved.both_fell.value), (0.0, 0.0));
}

#[test]
fn displacement_by_hand() {
    let moved = displacement(&sheet()).unwrap();
    close(moved.chosen.value, (3.0 + 1.0 + 10.0 - 3.0) / 4.0);
    close(moved.rejected.value, (-2.0 - 3.0 - 2.0 + 2.5) / 4.0);
    close(moved.chosen_fell.value, 0.25);
    close(moved.both_fell.value, 0.0);
    close(moved.per_token.unwrap()[0].value, (3.0 / 21.0 + 1.0 / 12.0 + 0.25 - 3.0 / 25.0) / 4.0);
}

#[test]
fn three_d_worked() {
    let at = |plus: f64, minus: f64, betas: [f64; 2]| {
        let g = log_gradients([plus.ln(), minus.ln()], [(plus / 0.2).ln(), (minus / 0.1).ln()], betas);
        [g.chosen.exp(), g.rejected.exp()]
    };
    all_close(at(0.2, 0.1, [0.1; 2]), &[0.25, 0.5]);
    all_close(at(0.3, 1e-2, [0.1; 2]), &[0.14423649, 4.32709474]);
    let [g, big] = at(0.3, 1e-4, [0.1; 2]);
    close(g, 0.10830156);
    near(big, 324.90468219, 1e-6);
    near(at(0.3, 1e-6, [0.1; 2])[1], 23293.01831976, 1e-4);
    all_close(at(0.3, 1e-2, [0.1, 0.08]), &[0.14801567, 3.55237605]);
    // in logs nothing overflows
    let far = log_gradients([-2.0, -500.0], [0.0, -495.0], [0.1; 2]);
    near(far.rejected - far.chosen, 498.0, 1e-9);
    assert!(far.rejected.is_finite());
}

#[test]
fn three_d_report() {
    let [chosen, rejected] = [[-1.0, -2.0], [-9.0, -12.0]];
    let [ref_chosen, ref_rejected] = [[-1.2, -1.6], [-3.0, -3.0]];
    let pairs = ScoredPairs::new(&chosen, &rejected).unwrap().with_reference(&ref_chosen, &ref_rejected).unwrap();
    let found = three_d_properties(&pairs, [0.1; 2], Some([&[-4.0, -5.0], &[-4.5, -6.5]])).unwrap();
    close(found.imbalance.value, 9.0);
    close(found.drop_ratio, 75.0);
    close(found.unseen.unwrap().value, 1.0);
    let flex = three_d_properties(&pairs, [0.1, 0.05], None).unwrap();
    close(flex.imbalance.value, 9.0 + 0.5f64.ln());
}

#[test]
fn divergence_worked() {
    let [p, q] = [[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]];
    let (lp, lq) = (logs(&p), logs(&q));
    close(kl_exact(&lp, &lq).unwrap(), 0.025267);
    let each = |i: usize| kl_estimates(&lp[i..=i], &lq[i..=i], &[0]).unwrap();
    let expected = |of: fn(&KlEstimates) -> f64| (0..3).map(|i| p[i] * of(&each(i))).sum::<f64>();
    close(expected(|k| k.k1.value), 0.025267);
    close(expected(|k| k.k2.value), 0.024862);
    close(expected(|k| k.k3.value), 0.025267);
    let variance = |of: fn(&KlEstimates) -> f64| {
        let mean = expected(of);
        (0..3).map(|i| p[i] * (of(&each(i)) - mean).powi(2)).sum::<f64>()
    };
    close(variance(|k| k.k1.value), 0.049086);
    close(variance(|k| k.k3.value), 0.000255);
}

#[test]
fn divergence_of_sequences_worked() {
    let kl = |p: [f64; 2], q: [f64; 2]| kl_exact(&logs(&p), &logs(&q)).unwrap();
    let (first, zero, one) = (kl([0.7, 0.3], [0.5; 2]), kl([0.6, 0.4], [0.5; 2]), kl([0.2, 0.8], [0.4, 0.6]));
    all_close([first, zero, one, first + 0.7 * zero + 0.3 * one], &[0.082283, 0.020136, 0.091516, 0.123833]);
    let (policy, reference) = (logs(&[0.7, 0.4]), logs(&[0.5, 0.5]));
    let found = kl_estimates(&policy, &reference, &[5, 5]).unwrap();
    all_close([found.k1.value, found.k3.value, found.k2.value], &[0.113329, 0.077614, 0.081503]);
    assert_eq!(found.k1.n, 1);
    close(kl_rao_blackwell(&[first, zero], &[5, 5]).unwrap().value, 0.102418);
    let whole = kl_estimates(&[policy[0] + policy[1]], &[reference[0] + reference[1]], &[0]).unwrap();
    close(whole.k3.value, 0.006186);
    close(entropy(&logs(&[0.25; 4])).unwrap(), 4f64.ln());
    let mean = mean_entropy(&[1.0, 3.0, 4.0], &[0, 0, 1]).unwrap();
    assert_eq!((mean.value, mean.n), (3.0, 2));
    assert_eq!(kl_exact(&[0.0, f64::NEG_INFINITY], &logs(&[0.5, 0.5])).unwrap(), 2f64.ln());
}

fn table() -> (Vec<f64>, Vec<f64>) {
    (logs(&[0.4, 0.3, 0.2, 0.1]), logs(&[0.10, 0.15, 0.25, 0.50]))
}

#[test]
fn did_worked() {
    let (reference, star) = table();
    let found = did(&star, &reference).unwrap();
    all_close(found.log_q.iter().map(|l| l.exp()), &[0.035714286, 0.071428571, 0.178571429, 0.714285714]);
    all_close([found.entropy, found.log_normalizer], &[0.855485603, 7f64.ln()]);
    all_close([entropy(&reference).unwrap(), entropy(&star).unwrap()], &[1.279854226, 1.207973688]);
    close(expected_displacement(&reference, &star).unwrap(), -0.556889397);
    let rejected = optimal_rejected(&reference, &star, 0.5).unwrap();
    all_close(rejected.iter().map(|l| l.exp()), &[0.552535463, 0.293026180, 0.123550686, 0.030887671]);
    let label = |w, l| source_preference(&reference, &rejected, w, l).unwrap();
    all_close([label(3, 0), label(3, 1), label(2, 0), label(0, 2)], &[0.817256002, 0.759746927, 0.690983006, 0.309016994]);
    all_close(reconstruct(&reference, &found.log_q).unwrap(), &star);
}

#[test]
fn did_from_samples_worked() {
    let (reference, star) = table();
    let at = |table: &[f64]| [0, 0, 1, 3].map(|i| table[i]);
    let by = |proposal: &[f64]| did_entropy_sampled(&at(&star), &at(&reference), &at(proposal)).unwrap();
    let found = by(&reference);
    all_close([found.log_normalizer, found.entropy, found.effective], &[2.582423988, 1.116273770, 1.118477]);
    let found = by(&star);
    all_close([found.log_normalizer, found.entropy, found.effective], &[1.522426535, 1.148658351, 2.719101]);
}

#[test]
fn log_margins_are_ordered_under_the_right_sampler() {
    let (reference, star) = table();
    let rejected = optimal_rejected(&reference, &star, 0.5).unwrap();
    let margins = |table: &[f64]| (0..12).map(|i| table[i / 3] - table[(i / 3 + 1 + i % 3) % 4]).collect::<Vec<_>>();
    let found = log_margin_order(&margins(&rejected), &margins(&reference), &margins(&star)).unwrap();
    assert_eq!(found.ordered.value, 1.0);
    all_close([found.slope, found.explained], &[0.5, 1.0]);
    let uniform = log_margin_order(&[0.0; 12], &margins(&reference), &margins(&star)).unwrap();
    assert!(uniform.ordered.value < 0.5 && uniform.slope < 0.0, "{uniform:?}");
}

#[test]
fn reinforcing_and_smoothing() {
    let (reference, _) = table();
    let power = |s: f64| reconstruct(&reference, &reference.iter().map(|l| s * l).collect::<Vec<_>>()).unwrap();
    for (s, sharper) in [(1.0, true), (-0.5, false)] {
        let policy = power(s);
        assert_eq!(entropy(&policy).unwrap() < entropy(&reference).unwrap(), sharper);
        assert!(did(&policy, &reference).unwrap().entropy < 4f64.ln());
    }
}

fn simplex(n: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.01f64..1.0, n).prop_map(|w| {
        let sum: f64 = w.iter().sum();
        w.iter().map(|w| (w / sum).ln()).collect()
    })
}

proptest! {
    #[test]
    fn theorem_4_1(rows in prop::collection::vec((-60.0f64..-1.0, -60.0f64..-1.0, -60.0f64..-1.0, -60.0f64..-1.0), 1..40), beta in 0.01f64..5.0) {
        let column = |k: usize| rows.iter().map(|r| [r.0, r.1, r.2, r.3][k]).collect::<Vec<_>>();
        let columns = [0, 1, 2, 3].map(column);
        let pairs = ScoredPairs::new(&columns[0], &columns[1]).unwrap().with_reference(&columns[2], &columns[3]).unwrap();
        for d in difficulties(&pairs, beta).unwrap() {
            // where the margin is not within rounding of 0
            let margin = columns[0][d.pair] - columns[1][d.pair];
            prop_assume!(margin.abs() > 1e-6);
            prop_assert!(d.loss == d.required_loss || d.ranked_rightly() == (margin >= 0.0), "{d:?} {margin}");
            prop_assert!(!(d.c <= 0.0 && d.loss <= 0.6) || margin >= 0.0);
        }
        let ideal = |alpha: f64| idealised_accuracy(&pairs, Raters::Same(alpha), &[beta]).unwrap().by_beta[0].1.value;
        prop_assert!(ideal(0.2) <= ideal(0.5) && ideal(0.5) <= ideal(0.9));
        let strict = columns[2].iter().zip(&columns[3]).filter(|(w, l)| w > l).count() as f64 / rows.len() as f64;
        prop_assert!((ideal(0.5) - strict).abs() < 1e-12);
    }

    #[test]
    fn did_identities(pi in simplex(6), rho in simplex(6), shift in -3.0f64..3.0, beta in 0.05f64..2.0) {
        let q = did(&pi, &rho).unwrap();
        let moved: Vec<f64> = pi.iter().map(|l| l + shift).collect();
        did(&moved, &rho).unwrap().log_q.iter().zip(&q.log_q).for_each(|(a, b)| near(*a, *b, 1e-12));
        reconstruct(&rho, &q.log_q).unwrap().iter().zip(&pi).for_each(|(a, b)| near(*a, *b, 1e-12));
        near(did(&pi, &pi).unwrap().entropy, 6f64.ln(), 1e-12);
        prop_assert!(q.entropy <= 6f64.ln() + 1e-12);
        near(expected_displacement(&rho, &pi).unwrap(), -kl_exact(&rho, &pi).unwrap(), 1e-15);
        // labels by source are the Bradley–Terry labels of the log-ratio reward
        let rejected = optimal_rejected(&rho, &pi, beta).unwrap();
        for (w, l) in [(0, 1), (2, 5), (4, 3)] {
            let reward = |y: usize| beta * q.log_q[y];
            let expected = 1.0 / (1.0 + (reward(l) - reward(w)).exp());
            near(source_preference(&rho, &rejected, w, l).unwrap(), expected, 1e-12);
        }
        // all outcomes as their own sample, weighted by the proposal: the estimate of the normaliser is exact for uniform samples
        let js = jensen_shannon(&pi, &rho).unwrap();
        prop_assert!((0.0..=std::f64::consts::LN_2).contains(&js));
        near(js, jensen_shannon(&rho, &pi).unwrap(), 1e-14);
    }

    #[test]
    fn estimators_keep_their_signs(rows in prop::collection::vec((-5.0f64..0.0, -5.0f64..0.0, 0usize..4), 1..60)) {
        let column = |of: fn(&(f64, f64, usize)) -> f64| rows.iter().map(of).collect::<Vec<_>>();
        let completions: Vec<usize> = rows.iter().map(|r| r.2).collect();
        let found = kl_estimates(&column(|r| r.0), &column(|r| r.1), &completions).unwrap();
        prop_assert!(found.k2.value >= 0.0 && found.k3.value >= 0.0);
        let sum: f64 = rows.iter().map(|r| r.0 - r.1).sum();
        near(found.k1.value * found.k1.n as f64, sum, 1e-9);
    }
}
