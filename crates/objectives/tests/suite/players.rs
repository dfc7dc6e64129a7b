//! Losses of two players: SRPO, OFS-DPO, COFS-DPO. Worked numbers, identities and limits.

use crate::common::given::{check, solved};
use crate::common::pairs::close;
use crate::common::plain::{Plain, Rng};
use crate::common::prove::prove;
use crate::common::solve::solve;
use proptest::prelude::*;
use tropism_objectives::*;

/// One pair with the log-ratios `g_w`, `g_l`, `t_wl`, `t_ll`, `t_ww`, `t_lw`, and a soft label where the method reads it.
fn srpo_of(config: Srpo, ratios: [f64; 6], share: f64) -> crate::common::solve::Solved {
    let policy = ratios.map(|h| [h - 20.0]);
    let sides: Vec<(&[f64], &[f64])> = policy.iter().map(|p| (p.as_slice(), [-20.0].as_slice())).collect();
    solved(config, &sides, &[&[share]])
}

fn at(beta: f64, alpha: f64) -> Srpo {
    Srpo::default().with_beta(beta).with_alpha(alpha)
}

#[test]
fn srpo_worked() {
    let ratios = [0.3, -0.2, 0.6, 0.1, 0.4, -0.1];
    let grads = [-0.05, 0.05, -0.1125, 0.0625, -0.0625, 0.1125];
    check(&srpo_of(at(0.5, 0.5), ratios, 0.0), 0.05125, &grads, 1e-12);
    close(&[srpo_of(at(0.5, 0.0), ratios, 0.0).loss, srpo_of(at(0.5, 1.0), ratios, 0.0).loss], &[0.04, 0.0625], 1e-12);
    // At the reference both parts are a quarter.
    let start = srpo_of(at(0.5, 0.3), [0.0; 6], 0.0);
    close(&[start.loss, start.grads[0][0]], &[0.25, -0.7 * 0.5 / 2.0], 1e-12);
}

#[test]
fn srpo_that_ignores_what_is_shown_is_ipo() {
    // IPO's target is 1/(2β), so its square is that of SRPO over β².
    let (beta, w, l) = (0.3, 0.7, -0.4);
    let ipo = Ipo::default().with_beta(beta).with_normalization(Normalization::Sum);
    let ipo = solved(ipo, &[(&[w - 20.0], &[-20.0]), (&[l - 20.0], &[-20.0])], &[]).loss;
    for alpha in [0.0, 0.4, 1.0] {
        let found = srpo_of(at(beta, alpha), [w, l, w, l, w, l], 0.0);
        close(&[found.loss], &[beta * beta * ipo], 1e-12);
    }
}

#[test]
fn srpo_is_proven_with_other_options() {
    prove(at(0.7, 0.2).with_labels(Labels::Column));
    prove(at(0.1, 0.0));
    prove(at(0.1, 1.0));
}

proptest! {
    #[test]
    fn srpo_of_swapped_completions_with_the_opposite_label_is_the_same(seed: u64, share in 0.0..1.0_f64) {
        let mut rng = Rng(seed);
        let [gw, gl, wl, ll, ww, lw] = [0; 6].map(|_| rng.real(-9.0, 9.0));
        let config = || at(0.4, 0.3).with_labels(Labels::Column);
        let (a, b) = (srpo_of(config(), [gw, gl, wl, ll, ww, lw], share), srpo_of(config(), [gl, gw, lw, ww, ll, wl], 1.0 - share));
        prop_assert!((a.loss - b.loss).abs() < 1e-10 * a.loss.max(1.0));
        prop_assert!((a.grads[2][0] - b.grads[5][0]).abs() < 1e-10 && (a.grads[0][0] - b.grads[1][0]).abs() < 1e-10);
    }

    #[test]
    fn srpo_does_not_see_equal_shifts(seed: u64, by in -9.0..9.0_f64) {
        let objective = Objective::from(at(0.4, 0.0));
        let plain = Plain::random(&objective, 3, 9.0, &mut Rng(seed));
        // A constant in both plain ratios; the same function of the unordered pair in t_wl and t_lw.
        for sides in [[0, 1], [2, 5]] {
            let mut moved = plain.clone();
            sides.iter().for_each(|&k: &usize| moved.sides[k].policy.iter_mut().for_each(|lp| *lp += by));
            let (a, b) = (solve::<f64>(&objective, &plain).loss, solve::<f64>(&objective, &moved).loss);
            prop_assert!((a - b).abs() < 1e-10 * a.max(1.0));
        }
    }
}

/// Any preferences, cyclic ones included: row over column.
const PREFERENCES: [[f64; 3]; 3] = [[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]];

/// Log-ratios of the reviser and of the plain policy at the solution of the game in closed form.
fn solution(beta: f64, reference: [f64; 3]) -> ([[f64; 3]; 3], [f64; 3]) {
    // By the shown answer first: π† ∝ π_ref e^{p/β} with normaliser Z†, and π ∝ π_ref / Z†.
    let z = [0, 1, 2].map(|shown| (0..3).map(|y: usize| reference[y] * (PREFERENCES[y][shown] / beta).exp()).sum::<f64>());
    let revised = [0, 1, 2].map(|shown: usize| [0, 1, 2].map(|y: usize| PREFERENCES[y][shown] / beta - z[shown].ln()));
    let total: f64 = (0..3).map(|y| reference[y] / z[y]).sum();
    (revised, z.map(|z| -z.ln() - total.ln()))
}

#[test]
fn srpo_is_least_at_the_solution_of_its_game() {
    // With soft labels every square is 0 there, whatever the reference and however pairs are sampled.
    let beta = 0.5;
    for reference in [[1.0 / 3.0; 3], [0.7, 0.2, 0.1]] {
        let (revised, plain) = solution(beta, reference);
        for (w, l) in [(0, 1), (1, 2), (2, 0), (0, 2)] {
            let ratios = [plain[w], plain[l], revised[l][w], revised[l][l], revised[w][w], revised[w][l]];
            let found = srpo_of(at(beta, 0.5).with_labels(Labels::Column), ratios, PREFERENCES[w][l]);
            close(&[found.loss], &[0.0], 1e-12);
            assert!(found.grads.iter().flatten().all(|g| g.abs() < 1e-12));
        }
    }
    let plain = solution(beta, [1.0 / 3.0; 3]).1.map(|h| h.exp() / 3.0);
    close(&plain, &[0.352455, 0.305493, 0.342053], 1e-6);
}

#[test]
fn srpo_checks_its_labels() {
    use dfdx::prelude::*;
    use tropism_core::{PairLogps, RevisionLogps};
    let dev = Cpu::default();
    let pair = || PairLogps::new(dev.tensor([-1.0_f64]), dev.tensor([-2.0]), &[1], &[1]).unwrap();
    let all = || RevisionLogps::new(pair(), pair(), pair()).unwrap();
    let run = |shares: Option<&[f64]>, config: Srpo| srpo(all(), all(), shares, &config).map(|_| ()).unwrap_err();
    let (method, column) = ("srpo", "chosen_share");
    assert_eq!(run(Some(&[0.5]), Srpo::default()), ObjectiveError::UnusedColumn { method, column });
    let soft = || Srpo::default().with_labels(Labels::Column);
    assert_eq!(run(None, soft()), ObjectiveError::MissingColumn { method, column });
    assert!(run(Some(&[1.5]), soft()).to_string().contains("from 0 to 1"));
    assert!(run(Some(&[0.5, 0.5]), soft()).to_string().contains("chosen_share has 2 entries"));
    assert!(run(None, Srpo::default().with_alpha(1.5)).to_string().contains("alpha"));
}

/// The loss of one module with margins `own` and `other`, and its slope in its own margin.
fn chase(config: OfsDpo, own: f64, other: f64) -> (f64, f64) {
    let (w, l) = ([0.5 * own - 900.0], [-0.5 * own - 900.0]);
    let sides: [(&[f64], &[f64]); 2] = [(&w, &[-900.0]), (&l, &[-900.0])];
    let found = solved(config, &sides, &[&[0.5 * other - 900.0], &[-0.5 * other - 900.0]]);
    assert_eq!(found.grads[0][0], -found.grads[1][0]);
    (found.loss, found.grads[0][0])
}

fn slow() -> OfsDpo {
    OfsDpo::default().with_role(Role::Slow)
}

#[test]
fn ofs_dpo_worked() {
    let near = |(loss, slope): (f64, f64), want: [f64; 2]| close(&[loss, slope], &want, 6e-11);
    near(chase(OfsDpo::default(), 6.0, 2.0), [0.5913925262, -0.0474737396]);
    near(chase(slow(), 2.0, 6.0), [0.4442342937, -0.0570559705]);
}

#[test]
fn ofs_dpo_keeps_its_force_where_dpo_is_saturated() {
    for (margin, dpo, chased) in [(10.0, -0.0268941421, -0.0418941421), (50.0, -0.0006692851, -0.0156692851)] {
        let force = |alpha| chase(OfsDpo::default().with_alpha(alpha), margin, margin).1;
        close(&[force(0.0), force(0.3)], &[dpo, chased], 6e-11);
        close(&[chase(slow(), margin, margin).1], &[chased], 6e-11);
    }
    close(&[chase(OfsDpo::default(), 200.0, 200.0).1], &[-0.0150000002], 6e-11);
}

#[test]
fn ofs_dpo_without_the_chase_is_dpo() {
    for margin in [-30.0, -1.0, 0.0, 4.0, 60.0] {
        let dpo = solved(Dpo::default(), &[(&[margin - 9.0], &[-9.0]), (&[-9.0], &[-9.0])], &[]);
        for config in [OfsDpo::default(), slow()] {
            let (loss, slope) = chase(config.with_alpha(0.0), margin, 3.0);
            close(&[loss, slope], &[dpo.loss, dpo.grads[0][0]], 1e-12);
        }
    }
}

#[test]
fn ofs_dpo_chase_does_not_see_the_reference() {
    // DPO's part taken off, what is left depends on the difference of the margins alone.
    let left = |config: OfsDpo, own: f64, other: f64| {
        chase(config.clone(), own, other).0 - chase(config.with_alpha(0.0), own, other).0
    };
    for shift in [-7.0, 3.0] {
        let (a, b) = (left(OfsDpo::default(), 4.0, 1.0), left(OfsDpo::default(), 4.0 + shift, 1.0 + shift));
        close(&[a, left(slow(), 4.0, 1.0)], &[b, left(slow(), 4.0 + shift, 1.0 + shift)], 1e-12);
    }
    close(&[left(OfsDpo::default(), 5.0, 5.0), left(slow(), 5.0, 5.0)], &[0.3 * 2.0_f64.ln(), -0.3 * 2.0_f64.ln()], 1e-12);
}

#[test]
fn ofs_dpo_chases_cancel_without_stop_gradients() {
    // One joint backward pass through both losses would add these two forces on the fast margin.
    let (fast, other) = (4.0, 1.0);
    let alone = chase(OfsDpo::default().with_alpha(0.0), fast, other).1;
    let direct = chase(OfsDpo::default(), fast, other).1 - alone;
    let h = 1e-6;
    let through = (chase(slow(), other, fast + h).0 - chase(slow(), other, fast - h).0) / (2.0 * h);
    close(&[direct + through], &[0.0], 1e-8);
}

#[test]
fn chasing_roles_follow_the_losses() {
    let mut roles = ChasingRoles::new(1).unwrap();
    assert!(!roles.record([0.5, 0.5]).unwrap() && roles.role(0) == Role::Fast);
    assert!(roles.record([0.5, 0.4]).unwrap() && roles.role(0) == Role::Slow && roles.role(1) == Role::Fast);
    assert!(!roles.record([0.5, 0.4]).unwrap() && roles.role(1) == Role::Fast);
    assert!(roles.record([0.3, 0.4]).unwrap() && roles.role(0) == Role::Fast);
    assert!(ChasingRoles::new(0).is_err() && roles.record([f64::NAN, 0.0]).is_err());
}

#[test]
fn cofs_dpo_adds_up_the_domains() {
    let sides: [(&[f64], &[f64]); 2] = [(&[-6.0, -10.0, -8.5], &[-9.0; 3]), (&[-9.0; 3], &[-9.0; 3])];
    let run = |objective: Objective, columns: &[&[f64]]| solved(objective, &sides, columns);
    let cofs = |domains: [f64; 3]| run(CofsDpo::default().into(), &[&domains]);
    // The worked numbers of MAH-DPO, whose mean over two objectives is half the sum.
    let mah = run(MahDpo::default().into(), &[&[0.0, 0.0, 1.0]]);
    let found = cofs([0.0, 0.0, 1.0]);
    close(&[found.loss, found.grads[0][1]], &[2.0 * 0.6589178001, 2.0 * mah.grads[0][1]], 2e-10);
    close(&[cofs([5.0, 5.0, 0.0]).loss], &[found.loss], 1e-14);
    // One domain is DPO.
    close(&[cofs([1.0; 3]).loss], &[run(Dpo::default().into(), &[]).loss], 1e-14);
}

#[test]
fn cofs_combination_is_never_worse_than_a_single_module() {
    // Log-linear policies on feature differences: the margin of a pair is its difference times the parameters.
    let mut rng = Rng(7);
    for _ in 0..20 {
        let modules = [0; 3].map(|_| [0; 4].map(|_| rng.real(-3.0, 3.0)));
        let pairs: Vec<[f64; 4]> = (0..12).map(|_| [0; 4].map(|_| rng.real(-1.0, 1.0))).collect();
        let domains: Vec<f64> = (0..12).map(|i| f64::from(i % 3)).collect();
        let mut at = |weights: &[f64]| {
            let theta = [0, 1, 2, 3].map(|i| (0..3).map(|k| weights[k] * modules[k][i]).sum::<f64>());
            let margins: Vec<f64> = pairs.iter().map(|x| x.iter().zip(theta).map(|(x, t)| x * t).sum()).collect();
            let (w, zero) = (margins, vec![-50.0; 12]);
            let w: Vec<f64> = w.iter().map(|m| m - 50.0).collect();
            let found = solved(CofsDpo::default().with_beta(1.0), &[(&w, &zero), (&zero, &zero)], &[&domains]);
            let by_theta = [0, 1, 2, 3].map(|i| found.grads[0].iter().zip(&pairs).map(|(g, x)| g * x[i]).sum::<f64>());
            let gradient = modules.iter().map(|m| m.iter().zip(by_theta).map(|(m, g)| m * g).sum()).collect();
            Ok::<_, ObjectiveError>((found.loss, gradient))
        };
        let alone = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|w| at(&w).unwrap().0);
        let weights = fit_combination(3, 60, 0.5, &mut at).unwrap();
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12 && weights.iter().all(|w| *w >= 0.0));
        let fitted = at(&weights).unwrap().0;
        assert!(alone.iter().all(|loss| fitted <= loss + 1e-12), "{fitted} {alone:?}");
    }
    // The least value inside is found.
    let bowl = |w: &[f64]| {
        let gaps = [w[0] - 0.5, w[1] - 0.3, w[2] - 0.2];
        Ok::<_, ObjectiveError>((gaps.iter().map(|g| g * g).sum(), gaps.iter().map(|g| 2.0 * g).collect()))
    };
    close(&fit_combination(3, 400, 0.5, bowl).unwrap(), &[0.5, 0.3, 0.2], 1e-6);
    // Where one module is best in every direction, it is kept whole.
    let weights = fit_combination(2, 9, 0.1, |w| Ok::<_, ObjectiveError>((w[1], vec![0.0, 1.0]))).unwrap();
    assert_eq!(weights, [1.0, 0.0]);
    let bad = fit_combination(2, 9, 0.1, |_| Ok::<_, ObjectiveError>((f64::NAN, vec![0.0; 2])));
    assert!(bad.is_err() && fit_combination(0, 9, 0.1, |_| Ok::<_, ObjectiveError>((0.0, vec![]))).is_err());
}
