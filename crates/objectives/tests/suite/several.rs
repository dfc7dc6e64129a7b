//! Several objectives and iterations: MODPO, MAH-DPO, DNO, SELM. Worked numbers, identities and limits.

use crate::common::given::{check, solved};
use crate::common::pairs::close;
use crate::common::prove::{Proof, prove};
use tropism_objectives::*;

const PAIR: [(&[f64], &[f64]); 2] = [(&[-30.0], &[-31.0]), (&[-35.0], &[-33.0])];

#[test]
fn modpo_worked() {
    let run = |w: f64, l: f64| solved(Modpo::default(), &PAIR, &[&[0.5 * w], &[0.5 * l]]);
    check(&run(0.2, -0.3), 0.6443966601, &[-0.0950041625, 0.0950041625], 6e-11);
    check(&run(-0.3, 0.2), 0.2873353251, &[-0.0499479789, 0.0499479789], 6e-11);
    let hinge = Modpo::default().with_link(MarginLink::Hinge);
    check(&solved(hinge, &PAIR, &[&[0.1], &[-0.15]]), 0.9, &[-0.2, 0.2], 1e-12);
}

#[test]
fn modpo_without_other_objectives_is_dpo() {
    for weight in [1.0, 0.2] {
        let modpo = solved(Modpo::default().with_weight(weight), &PAIR, &[&[4.0], &[4.0]]);
        let dpo = solved(Dpo::default().with_beta(0.1 / weight), &PAIR, &[]);
        check(&modpo, dpo.loss, &dpo.grads.concat(), 1e-12);
    }
}

#[test]
fn modpo_scales_weights_and_beta_together() {
    let base = solved(Modpo::default(), &PAIR, &[&[0.1], &[-0.15]]);
    let scaled = Modpo::default().with_beta(0.3).with_weight(1.5);
    let scaled = solved(scaled, &PAIR, &[&[0.3], &[-0.45]]);
    check(&scaled, base.loss, &base.grads.concat(), 1e-12);
}

#[test]
fn modpo_is_still_at_the_scalarised_optimum() {
    // Soft Bradley–Terry labels as two weighted pairs: the expected gradient is 0 at π_ref exp((w_k r_k + m) / β).
    let (beta, weight, reward, other) = (0.1, 0.3, [0.7, -0.4], [0.2, 0.9]);
    let lift = |i: usize| (weight * reward[i] + other[i]) / beta;
    let sides = |i: usize, j: usize| [(lift(i), i), (lift(j), j)];
    let run = |order: [(f64, usize); 2]| {
        let (w, l) = ([order[0].0 - 5.0], [order[1].0 - 5.0]);
        let columns = [[other[order[0].1]], [other[order[1].1]]];
        let config = Modpo::default().with_beta(beta).with_weight(weight);
        solved(config, &[(&w, &[-5.0]), (&l, &[-5.0])], &[&columns[0], &columns[1]]).grads.concat()
    };
    let share = 1.0 / (1.0 + f64::exp(reward[1] - reward[0]));
    let (one, two) = (run(sides(0, 1)), run(sides(1, 0)));
    close(&[share * one[0] + (1.0 - share) * two[1]], &[0.0], 1e-12);
}

const MIXED: [(&[f64], &[f64]); 2] = [(&[-6.0, -10.0, -8.5], &[-9.0; 3]), (&[-9.0; 3], &[-9.0; 3])];

#[test]
fn mah_dpo_worked() {
    let found = solved(MahDpo::default(), &MIXED, &[&[0.0, 0.0, 1.0]]);
    let h = [-0.0106389371, -0.0131244797, -0.0243751302];
    check(&found, 0.6589178001, &[h[0], h[1], h[2], -h[0], -h[1], -h[2]], 6e-11);
    let weighted = MahDpo::default().with_weights(vec![2.0, 0.5]);
    let found = solved(weighted, &MIXED, &[&[0.0, 0.0, 1.0]]);
    close(&[found.loss], &[2.0 * 0.6493759523 + 0.5 * 0.6684596480], 1e-9);
}

#[test]
fn mah_dpo_of_one_objective_is_its_base() {
    let dpo = solved(Dpo::default(), &MIXED, &[]);
    let alone = solved(MahDpo::default(), &MIXED, &[&[2.0; 3]]);
    check(&alone, dpo.loss, &dpo.grads.concat(), 1e-12);
}

#[test]
fn mah_dpo_does_not_count_pairs_of_an_objective_twice() {
    let twice: [(&[f64], &[f64]); 2] = [(&[-6.0, -10.0, -8.5, -6.0, -10.0], &[-9.0; 5]), (&[-9.0; 5], &[-9.0; 5])];
    close(&[solved(MahDpo::default(), &twice, &[&[0.0, 0.0, 1.0, 0.0, 0.0]]).loss], &[0.6589178001], 1e-10);
}

#[test]
fn mah_dpo_needs_a_weight_for_each_objective() {
    use dfdx::prelude::*;
    let dev = Cpu::default();
    let pairs = || tropism_core::PairLogps::new(dev.tensor([-1.0_f64]), dev.tensor([-2.0]), &[1], &[1]).unwrap();
    let config = MahDpo::default().with_weights(vec![1.0, 1.0]);
    let error = mah_dpo(pairs(), pairs(), &[2], &config).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`objective` is 2; it must be below the number of `weights`"), "{error}");
    assert!(MahDpo::default().with_weights(vec![-1.0]).check().is_err());
}

const RATIOS: [(&[f64], &[f64]); 2] = [(&[-9.2], &[-10.0]), (&[-10.4], &[-10.0])];

#[test]
fn dno_worked() {
    let config = || Dno::default().with_eta(0.5);
    let found = solved(config(), &RATIOS, &[&[0.7], &[0.2]]);
    check(&found, 0.6640123518, &[0.0115984875, -0.0115984875], 6e-11);
    // Swapping the two completions with their win rates changes nothing.
    let swapped = solved(config(), &[RATIOS[1], RATIOS[0]], &[&[0.2], &[0.7]]);
    check(&swapped, found.loss, &[found.grads[1][0], found.grads[0][0]], 1e-14);
}

#[test]
fn dno_of_certain_targets_is_dpo() {
    let certain = solved(Dno::default().with_eta(0.5), &RATIOS, &[&[800.0], &[0.0]]);
    check(&certain, 0.4374879505, &[-0.1771718469, 0.1771718469], 6e-11);
    let dpo = solved(Dpo::default().with_beta(0.5), &RATIOS, &[]);
    check(&certain, dpo.loss, &dpo.grads.concat(), 1e-12);
}

#[test]
fn dno_is_least_where_the_margin_is_the_gap_of_win_rates() {
    let target: f64 = 1.0 / (1.0 + (-0.6_f64).exp());
    let entropy = -target * target.ln() - (1.0 - target) * (1.0 - target).ln();
    check(&solved(Dno::default().with_eta(0.5), &RATIOS, &[&[0.8], &[0.2]]), entropy, &[0.0, 0.0], 1e-12);
}

const TRIPLE: [(&[f64], &[f64]); 3] = [(&[-40.0], &[-42.0]), (&[-55.0], &[-50.0]), (&[-48.0], &[-45.0])];

#[test]
fn selm_worked() {
    check(&solved(Selm::default(), &TRIPLE, &[]), 0.6587295555, &[-0.0048250714, 0.0048250714, 0.00001], 6e-11);
    let bold = Selm::default().with_beta(0.1).with_alpha(0.5);
    check(&solved(bold, &TRIPLE, &[]), 0.2531860489, &[-0.0331812228, 0.0331812228, 0.05], 6e-11);
}

#[test]
fn selm_without_optimism_is_dpo() {
    let dpo = solved(Dpo::default().with_beta(0.01), &TRIPLE[..2], &[]);
    let selm = solved(Selm::default().with_alpha(0.0), &TRIPLE, &[]);
    check(&selm, dpo.loss, &[dpo.grads.concat(), vec![0.0]].concat(), 1e-14);
}

#[test]
fn selm_at_the_reference_and_linear_in_alpha() {
    let start: Vec<(&[f64], &[f64])> = TRIPLE.iter().map(|s| (s.0, s.0)).collect();
    let found = solved(Selm::default(), &start, &[]);
    close(&[found.loss, found.grads[2][0]], &[std::f64::consts::LN_2, 1e-5], 1e-15);
    let at = |alpha: f64| solved(Selm::default().with_beta(0.2).with_alpha(alpha), &TRIPLE, &[]).loss;
    close(&[at(0.7) - at(0.3)], &[0.4 * 0.2 * -3.0], 1e-12);
}

#[test]
fn selm_has_the_gradient_of_xpo() {
    // The reference's sample lost: it is the rejected completion of XPO.
    let lost = [TRIPLE[0], TRIPLE[1], TRIPLE[1]];
    let selm = solved(Selm::default().with_beta(0.1).with_alpha(0.5), &lost, &[]);
    let xpo = solved(Xpo::default().with_alpha(0.05), &TRIPLE[..2], &[&[1.0]]);
    close(&[selm.grads[0][0], selm.grads[1][0] + selm.grads[2][0]], &[xpo.grads[0][0], xpo.grads[1][0]], 1e-14);
}

#[test]
fn options_that_change_the_formula() {
    prove(Modpo::default().with_weight(0.05).with_link(MarginLink::Hinge));
    prove(MahDpo::default().with_weights(vec![0.5, 2.0, 0.0]));
    prove(MahDpo::default().with_base(Box::new(Ipo::default().into())));
    Proof::of(Dno::default().with_eta(2.0)).ratios(&[0.3, 3.0]).run();
    prove(Selm::default().with_beta(0.5).with_alpha(0.5));
}
