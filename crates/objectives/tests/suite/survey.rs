//! Losses that change one part of DPO: worked numbers, and what they turn into at special options.

use crate::common::plain::{Plain, Rng};
use crate::common::solve::solve;
use proptest::prelude::*;
use tropism_objectives::*;

/// One pair: log-probabilities of both sides under policy and reference, lengths, and the constants of the method.
fn pair(objective: &Objective, logps: [f64; 4], lengths: [usize; 2], column: f64) -> Plain {
    let mut plain = Plain::random(objective, 1, 1.0, &mut Rng(1));
    for k in 0..2 {
        plain.sides[k].policy = vec![logps[k]];
        plain.sides[k].reference = vec![logps[2 + k]];
        plain.sides[k].lengths = vec![lengths[k]];
    }
    plain.columns.iter_mut().for_each(|(_, values)| *values = vec![column]);
    plain
}

/// Loss and gradients of one pair.
fn worked(
    objective: impl Into<Objective>,
    logps: [f64; 4],
    lengths: [usize; 2],
    column: f64,
    want: [f64; 3],
    tolerance: f64,
) {
    let objective = objective.into();
    let found = solve::<f64>(&objective, &pair(&objective, logps, lengths, column));
    let found = [found.loss, found.grads[0][0], found.grads[1][0]];
    let near = found.iter().zip(want).all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(near, "{}: {found:?}, not {want:?}", objective.name());
}

#[test]
fn worked_numbers_of_the_survey() {
    let check = |objective: Objective, column, want| {
        worked(objective, [-40.0, -55.0, -42.0, -50.0], [20, 25], column, want, 6e-7);
    };
    check(Odpo::default().into(), 0.3, [0.513015, -0.040131, 0.040131]);
    check(RDpo::default().into(), 0.0, [0.420055, -0.034299, 0.034299]);
    check(Simper::default().into(), 0.0, [-0.024532, -0.006767, 0.004432]);
    check(Npo::default().into(), 0.0, [9.481540, 0.0, 0.755081]);
    check(ChiPo::default().into(), 0.0, [0.212970, -0.160918, 0.019311]);
    check(Dpop::default().into(), 0.0, [0.403186, -0.033181, 0.033181]);
    check(CalDpo::default().into(), 0.0, [9.403186, -6.033181, 0.033181]);
    check(
        Rpo::default().with_beta(0.1).with_eta(1.0).with_averaging(Averaging::Sequences).into(),
        0.0,
        [2.403186, -0.083181, 0.033181],
    );
}

#[test]
fn dpo_positive_below_the_reference() {
    let want = [1.171101, -0.413985, 0.068997];
    worked(Dpop::default(), [-45.0, -60.0, -42.0, -50.0], [20, 25], 0.0, want, 6e-7);
}

#[test]
fn worked_ties() {
    // A scaled margin of 0.7.
    let chances = |objective: Objective| {
        let loss = |h: f64, tie: f64| {
            solve::<f64>(&objective, &pair(&objective, [h - 50.0, -50.0, -50.0, -50.0], [9, 9], tie)).loss
        };
        [(-loss(7.0, 0.0)).exp(), (-loss(7.0, 1.0)).exp(), (-loss(-7.0, 0.0)).exp()]
    };
    let near = |found: [f64; 3], want: [f64; 3]| found.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 6e-7));
    near(chances(RaoKupper::default().into()), [0.549834, 0.218691, 0.231475]);
    near(chances(Davidson::default().into()), [0.454283, 0.320127, 0.225590]);
}

/// Losses and gradients of two methods on the same batch, made for the first.
fn same(a: impl Into<Objective>, b: impl Into<Objective>, seed: u64, change: fn(&mut Plain)) -> Result<(), TestCaseError> {
    let (a, b, mut rng) = (a.into(), b.into(), Rng(seed));
    let rows = rng.whole(1, 6);
    let mut plain = Plain::random(&a, rows, 20.0, &mut rng);
    change(&mut plain);
    let mut other = plain.clone();
    other.columns.retain(|(c, _)| b.columns().contains(c));
    let (x, y) = (solve::<f64>(&a, &plain), solve::<f64>(&b, &other));
    let near = |x: &[f64], y: &[f64]| x.iter().zip(y).all(|(x, y)| (x - y).abs() <= 1e-9 * y.abs().max(1.0));
    prop_assert!(near(&x.shares, &y.shares), "{:?} {:?}", x.shares, y.shares);
    for (x, y) in x.grads.iter().zip(&y.grads) {
        prop_assert!(near(x, y), "{:?} {:?}", x, y);
    }
    Ok(())
}

fn as_it_is(_: &mut Plain) {}

fn column_0(plain: &mut Plain) {
    plain.columns[0].1.fill(0.0);
}

fn column_1(plain: &mut Plain) {
    plain.columns[0].1.fill(1.0);
}

proptest! {
    #[test]
    fn odpo_without_gaps_is_dpo(seed: u64) {
        same(Odpo::default(), Dpo::default(), seed, column_0)?;
        same(Odpo::default().with_alpha(0.0), Dpo::default(), seed, as_it_is)?;
    }

    #[test]
    fn dpop_r_dpo_and_cal_dpo_without_their_terms_are_dpo(seed: u64) {
        same(Dpop::default().with_lambda(0.0), Dpo::default(), seed, as_it_is)?;
        same(RDpo::default().with_alpha(0.0), Dpo::default(), seed, as_it_is)?;
        same(CalDpo::default().with_calibration(0.0), Dpo::default(), seed, as_it_is)?;
    }

    #[test]
    fn r_dpo_of_equal_lengths_is_dpo(seed: u64) {
        same(RDpo::default(), Dpo::default(), seed, |p| p.sides.iter_mut().for_each(|s| s.lengths.fill(4)))?;
    }

    #[test]
    fn soft_dpo_with_certain_labels_is_dpo(seed: u64) {
        same(SoftDpo::default(), Dpo::default(), seed, column_1)?;
    }

    #[test]
    fn ties_that_never_happen_leave_dpo(seed: u64) {
        same(RaoKupper::default().with_nu(1e-12), Dpo::default(), seed, column_0)?;
        same(Davidson::default().with_nu(1e-12), Dpo::default(), seed, column_0)?;
    }

    #[test]
    fn win_tie_and_loss_add_up_to_1(z in -30.0..30.0_f64, nu in 0.01..3.0_f64) {
        for objective in [Objective::from(RaoKupper::default().with_nu(nu)), Davidson::default().with_nu(nu).into()] {
            let loss = |z: f64, tie: f64| {
                let plain = pair(&objective, [10.0 * z - 500.0, -500.0, -500.0, -500.0], [9, 9], tie);
                solve::<f64>(&objective, &plain).loss
            };
            let sum = (-loss(z, 0.0)).exp() + (-loss(z, 1.0)).exp() + (-loss(-z, 0.0)).exp();
            prop_assert!((sum - 1.0).abs() < 1e-10, "{} at {}", sum, z);
            prop_assert!((loss(z, 1.0) - loss(-z, 1.0)).abs() < 1e-10);
        }
    }

    #[test]
    fn weights_of_1_leave_the_base(seed: u64) {
        let simpo = || Box::new(Objective::from(Simpo::default()));
        same(DpoRc::default(), Dpo::default(), seed, column_1)?;
        same(GroupRobust::default().with_base(simpo()), Simpo::default(), seed, column_1)?;
        same(NsDpo::default(), Dpo::default(), seed, column_0)?;
        same(NsDpo::default().with_discount(1.0), Dpo::default(), seed, as_it_is)?;
    }

    #[test]
    fn dr_dpo_at_large_temperature_is_dpo(seed: u64) {
        let plain = Plain::random(&Dpo::default().into(), 5, 20.0, &mut Rng(seed));
        let robust = solve::<f64>(&DrDpo::default().with_temperature(1e8).into(), &plain);
        let dpo = solve::<f64>(&Dpo::default().into(), &plain);
        prop_assert!((robust.loss - dpo.loss).abs() < 1e-6);
        for (x, y) in robust.grads.iter().flatten().zip(dpo.grads.iter().flatten()) {
            prop_assert!((x - y).abs() < 1e-6);
        }
    }

    #[test]
    fn dr_dpo_at_small_temperature_is_the_smallest_loss(seed: u64) {
        let plain = Plain::random(&Dpo::default().into(), 5, 20.0, &mut Rng(seed));
        let robust = solve::<f64>(&DrDpo::default().with_temperature(1e-6).into(), &plain);
        let dpo = solve::<f64>(&Dpo::default().into(), &plain);
        let least = dpo.shares.iter().fold(f64::INFINITY, |m, s| m.min(5.0 * s));
        prop_assert!(robust.loss >= least - 1e-12 && robust.loss < least + 1e-5, "{} {}", robust.loss, least);
    }

    #[test]
    fn d2po_and_sampo_of_whole_completions_are_dpo(seed: u64) {
        let dpo = || LdDpo::default().with_alpha(1.0);
        same(D2po::default().with_decay(1.0), dpo(), seed, as_it_is)?;
        same(Sampo::default(), dpo(), seed, |p| p.columns.iter_mut().for_each(|(_, v)| v.fill(1.0)))?;
    }

    #[test]
    fn sampo_without_tokens_says_nothing(seed: u64) {
        let sampo = Objective::from(Sampo::default());
        let mut plain = Plain::random(&sampo, 1, 20.0, &mut Rng(seed));
        plain.columns.iter_mut().for_each(|(_, v)| v.fill(0.0));
        let solved = solve::<f64>(&sampo, &plain);
        prop_assert!((solved.loss - 2.0_f64.ln()).abs() < 1e-12);
        prop_assert!(solved.grads.iter().flatten().all(|g| *g == 0.0));
    }

    #[test]
    fn d2po_decays_by_the_token(seed: u64) {
        let d2po = Objective::from(D2po::default().with_decay(0.5));
        let plain = Plain::random(&d2po, 1, 1.0, &mut Rng(seed));
        let solved = solve::<f64>(&d2po, &plain);
        let of_completion: Vec<f64> = (0..plain.width).filter(|&i| plain.sides[0].mask[i]).map(|i| solved.grads[0][i]).collect();
        prop_assert!(of_completion.windows(2).all(|w| (0.5 * w[0] - w[1]).abs() < 1e-12));
    }

    #[test]
    fn simper_lies_between_minus_1_and_1(seed: u64) {
        let objective = Objective::from(Simper::default());
        let solved = solve::<f64>(&objective, &Plain::random(&objective, 1, 1.0, &mut Rng(seed)));
        prop_assert!(solved.loss.abs() < 1.0);
    }
}

#[test]
fn npo_at_small_beta_is_gradient_ascent_on_rejected_completions() {
    let objective = Objective::from(Npo::default().with_beta(1e-9));
    let solved = solve::<f64>(&objective, &pair(&objective, [-40.0, -55.0, -42.0, -50.0], [20, 25], 0.0));
    assert!((solved.grads[1][0] - 1.0).abs() < 1e-7 && solved.grads[0][0] == 0.0);
}

#[test]
fn simnpo_is_the_rejected_side_of_npo_per_token() {
    let (per_token, npo) = (Objective::from(Simnpo::default().with_beta(0.1)), Objective::from(Npo::default()));
    let a = solve::<f64>(&per_token, &pair(&per_token, [-40.0, -50.0, 0.0, 0.0], [20, 25], 0.0));
    let b = solve::<f64>(&npo, &pair(&npo, [-1.6, -2.0, 0.0, 0.0], [1, 1], 0.0));
    assert!((a.loss - b.loss).abs() < 1e-12 && (25.0 * a.grads[1][0] - b.grads[1][0]).abs() < 1e-12);
}

#[test]
fn chi_po_cuts_margins() {
    let objective = Objective::from(ChiPo::default().with_clip(Some(0.5)));
    let solved = solve::<f64>(&objective, &pair(&objective, [-40.0, -55.0, -42.0, -50.0], [20, 25], 0.0));
    assert!((solved.loss - (1.0 + (-0.5_f64).exp()).ln()).abs() < 1e-12);
    assert_eq!([solved.grads[0][0], solved.grads[1][0]], [0.0, 0.0]);
    let error = ChiPo::default().with_clip(Some(0.0)).check().unwrap_err().to_string();
    assert!(error.contains("clip"), "{error}");
}

#[test]
fn chi_po_is_finite_at_any_log_ratio() {
    let objective = Objective::from(ChiPo::default());
    for (w, l) in [(40.0, -40.0), (-40.0, 40.0), (800.0, -800.0), (-800.0, 800.0), (19.0, 21.0)] {
        let solved = solve::<f64>(&objective, &pair(&objective, [w - 900.0, l - 900.0, -900.0, -900.0], [9, 9], 0.0));
        assert!(solved.loss.is_finite() && solved.grads.iter().flatten().all(|g| g.is_finite()), "{w} {l}");
    }
    // Beyond 20 nats the slope is that of DPO alone: the margin is far below 0, so σ(−z) is 1.
    let solved = solve::<f64>(&objective, &pair(&objective, [-40.0, -10.0, 0.0, -50.0], [9, 9], 0.0));
    assert!((solved.grads[1][0] - 0.1).abs() < 1e-12, "{:?}", solved.grads);
}

#[test]
fn rows_are_weighted() {
    let four = |objective: Objective, column: Vec<f64>| {
        let mut plain = Plain::random(&objective, 4, 3.0, &mut Rng(5));
        plain.columns[0].1 = column;
        let alone = Plain { columns: Vec::new(), ..plain.clone() };
        let (found, base) = (solve::<f64>(&objective, &plain), solve::<f64>(&Dpo::default().into(), &alone));
        found.shares.iter().zip(&base.shares).map(|(x, y)| x / y).collect::<Vec<f64>>()
    };
    let near = |found: Vec<f64>, want: [f64; 4]| found.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    near(four(DpoRc::default().into(), vec![0.0, 0.5, 1.0, 3.0]), [0.0, 0.5, 1.0, 3.0]);
    near(four(NsDpo::default().with_discount(0.5).into(), vec![0.0, 1.0, 2.0, 0.5]), [1.0, 0.5, 0.25, 0.5_f64.sqrt()]);
    near(four(GroupRobust::default().into(), vec![2.0, 2.0, 0.0, 1.0]), [2.0, 2.0, 0.0, 1.0]);
}

#[test]
fn dr_dpo_worked() {
    // Losses of ln 2 and ln 4 at temperature 1: the mean of ½ and ¼ is ⅜.
    let objective = Objective::from(DrDpo::default().with_beta(1.0));
    let mut plain = pair(&objective, [-9.0, -9.0, -9.0, -9.0], [4, 4], 0.0);
    plain.rows = 2;
    plain.sides.iter_mut().for_each(|s| {
        (s.policy, s.reference, s.lengths) = (vec![-9.0; 2], vec![-9.0; 2], vec![4; 2]);
    });
    plain.sides[0].policy[1] = -9.0 - 3.0_f64.ln();
    let solved = solve::<f64>(&objective, &plain);
    assert!((solved.loss + (3.0_f64 / 8.0).ln()).abs() < 1e-12);
    // Shares ⅔ and ⅓ times σ(−z) of ½ and ¾.
    assert!((solved.grads[0][0] + 1.0 / 3.0).abs() < 1e-12 && (solved.grads[0][1] + 0.25).abs() < 1e-12);
    assert!((solved.diagnostics.get("weights").unwrap()[0] - 4.0 / 3.0).abs() < 1e-12);
}

#[test]
fn group_weights_stay_on_the_simplex() {
    let mut weights = GroupWeights::new(&[6, 3, 1], 1.0).unwrap();
    weights.update(&[1e4, 1.0, 0.5], &[2, 0, 1]).unwrap();
    assert!((weights.weights().iter().sum::<f64>() - 1.0).abs() < 1e-12 && weights.weights()[2] > 0.999);
    let frozen = GroupWeights::new(&[6, 3, 1], 0.0).unwrap();
    let mut moved = frozen.clone();
    moved.update(&[3.0, 1.0], &[0, 1]).unwrap();
    let apart = frozen.weights().iter().zip(moved.weights()).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f64::max) < 1e-12);
    assert!(GroupWeights::new(&[3, 0], 1.0).is_err() && GroupWeights::new(&[], 1.0).is_err());
    assert!(weights.column(&[3]).unwrap_err().to_string().contains("no group 3"));
    assert!(weights.update(&[1.0], &[0, 1]).is_err() && weights.update(&[f64::NAN], &[0]).is_err());
    assert!(GroupWeights::new(&[1], -1.0).is_err());
}
