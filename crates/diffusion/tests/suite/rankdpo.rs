//! RankDPO: worked numbers and identities.

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_diffusion::objectives::*;

use crate::common::pairs::{frozen, softplus_of_minus, solved};
use crate::common::{close, rows};

const PHI: [f64; 4] = [0.9, 0.6, 0.4, 0.1];
const S: [f64; 4] = [0.02, -0.05, 0.01, -0.03];

fn config() -> RankDpo {
    RankDpo::default().with_beta(20.0)
}

/// Loss of one list and its gradient in the changes `s`.
fn ranked(s: &[f64], phi: &[f64], config: &RankDpo) -> (f64, Vec<f64>) {
    let base = vec![0.5; s.len()];
    let errors: Vec<f64> = s.iter().map(|s| 0.5 + s).collect();
    let leaf = rows(&[&errors]);
    let policy = ErrorTable::new(leaf.leaky_trace()).unwrap();
    let mean = rankdpo(policy, ErrorTable::new(rows(&[&base])).unwrap(), phi, config).unwrap().mean().unwrap();
    (mean.array(), mean.backward().get(&leaf).as_vec())
}

#[test]
fn worked_list_with_its_gradient() {
    let delta = config().pair_weights(&PHI);
    let found = [delta[1], delta[2], delta[3], delta[6], delta[7], delta[11]];
    close(&found, &[0.1865455839, 0.3942583102, 0.6524001891, 0.0370621878, 0.1282570682, 0.0247765628], 1e-10);
    let (loss, grads) = ranked(&S, &PHI, &config());
    close(&[loss], &[1.2503182417], 1e-10);
    close(&grads, &[7.3771747086, -0.5377775389, -2.0527673747, -4.7866297949], 1e-9);
    let (loss, grads) = ranked(&[0.0; 4], &PHI, &config());
    close(&[loss], &[0.9865563141], 1e-10);
    close(&grads, &[6.1660204162, -0.1061316398, -2.0327196760, -4.0271691004], 1e-9);
    close(&[ranked(&S, &PHI, &config().with_discount(Discount::Binary)).0], &[0.8666545640], 1e-10);
    let two = ranked(&S[..2], &PHI[..2], &config());
    close(&[config().pair_weights(&PHI[..2])[1], two.0], &[0.1865455839, 0.2057944856], 1e-10);
}

#[test]
fn weights_are_those_of_discounted_gains() {
    let w = config().pair_weights(&PHI);
    assert!(w.iter().all(|w| *w >= 0.0) && (0..16).all(|at| at / 4 < at % 4 || w[at] == 0.0));
    assert!(w.iter().all(|x| *x <= w[3]) && w[3] > w[6]);
    assert_eq!(config().pair_weights(&[0.5; 3]), [0.0; 9]);
    let total: f64 = config().with_normalized(true).pair_weights(&PHI).iter().sum();
    close(&[total], &[6.0], 1e-12);
    assert_eq!(config().with_normalized(true).pair_weights(&[0.5; 3]), [0.0; 9]);
    let binary = config().with_discount(Discount::Binary).pair_weights(&PHI);
    close(&binary, &w.iter().map(|w| w * 2.0_f64.ln()).collect::<Vec<_>>(), 1e-15);
}

/// Formula of the paper by two loops.
fn plainly(s: &[f64], phi: &[f64], beta: f64) -> f64 {
    let rank = |i: usize| 1.0 + phi.iter().filter(|p| **p > phi[i]).count() as f64;
    let mut loss = 0.0;
    for i in 0..s.len() {
        for j in (0..s.len()).filter(|&j| phi[i] > phi[j]) {
            let gain = (2.0_f64.powf(phi[i]) - 2.0_f64.powf(phi[j])).abs();
            let discount = (1.0 / (1.0 + rank(i)).ln() - 1.0 / (1.0 + rank(j)).ln()).abs();
            loss += gain * discount * softplus_of_minus(-beta / 2.0 * (s[i] - s[j]));
        }
    }
    loss
}

proptest! {
    #[test]
    fn loops_give_the_same_in_any_order(
        list in proptest::collection::vec((-0.4..0.4f64, 0.0..1.0f64), 2..6), by in 0usize..6, shift in -0.05..0.05f64,
    ) {
        let (s, phi): (Vec<f64>, Vec<f64>) = list.iter().copied().unzip();
        let (loss, grads) = ranked(&s, &phi, &config());
        prop_assert!((loss - plainly(&s, &phi, 20.0)).abs() < 1e-10);
        prop_assert!(grads.iter().sum::<f64>().abs() < 1e-10);
        let shifted: Vec<f64> = s.iter().map(|s| s + shift).collect();
        prop_assert!((ranked(&shifted, &phi, &config()).0 - loss).abs() < 1e-10);
        let mut turned = list.clone();
        turned.rotate_left(by % list.len());
        let (s, phi): (Vec<f64>, Vec<f64>) = turned.into_iter().unzip();
        prop_assert!((ranked(&s, &phi, &config()).0 - loss).abs() < 1e-10);
    }

    #[test]
    fn rates_of_votes_are_shares(scores in proptest::collection::vec(proptest::collection::vec(-1.0..1.0f64, 4), 1..6)) {
        let rates = win_rates(&scores).unwrap();
        prop_assert!(rates.iter().all(|r| (0.0..=1.0).contains(r)));
        prop_assert!((rates.iter().sum::<f64>() - 2.0).abs() < 1e-12);
    }
}

#[test]
fn the_best_samples_error_raises_the_loss() {
    let (plain, _) = ranked(&S, &PHI, &config());
    let with = |i: usize| {
        let mut s = S;
        s[i] += 0.01;
        ranked(&s, &PHI, &config()).0
    };
    assert!(with(0) > plain && with(3) < plain);
}

#[test]
fn two_samples_and_weight_1_are_diffusion_dpo() {
    let leaf = rows(&[&[0.065, 0.26]]);
    let policy = ErrorTable::new(leaf.leaky_trace()).unwrap();
    let reference = ErrorTable::new(rows(&[&[0.125, 0.10]])).unwrap();
    let terms = weighted_ranking(policy, reference, &[0.0, 1.0, 0.0, 0.0], 20.0).unwrap();
    let dpo = DiffusionDpo::default().with_beta(20.0);
    let (loss, ..) = solved(&[0.065], &[0.26], |p| diffusion_dpo(p, frozen(&[0.125], &[0.10]), &dpo));
    assert_eq!((terms.values()[0], terms.diagnostics.mean("rewards/accuracies")), (loss, Some(1.0)));
    let delta = config().pair_weights(&[0.9, 0.6])[1];
    close(&[delta], &[(2.0_f64.powf(0.9) - 2.0_f64.powf(0.6)) * (1.0 / 2.0_f64.ln() - 1.0 / 3.0_f64.ln())], 1e-12);
}

#[test]
fn what_is_no_ranking_is_refused() {
    let table = |values: &[f64]| ErrorTable::new(rows(&[values])).unwrap();
    let one = rankdpo(table(&[0.1]), table(&[0.1]), &[0.5], &config()).unwrap_err();
    assert!(one.to_string().contains("a list of one sample has no pairs"), "{one}");
    assert!(rankdpo(table(&[0.1, 0.2]), table(&[0.1, 0.2]), &[0.5, 1.5], &config()).is_err());
    assert!(rankdpo(table(&[0.1, 0.2]), table(&[0.1]), &[0.5, 0.5], &config()).is_err());
    assert!(win_rates(&[]).is_err() && win_rates(&[vec![1.0]]).is_err() && win_rates(&[vec![1.0, f64::NAN]]).is_err());
    let ties = ranked(&S, &[0.5; 4], &config());
    assert_eq!(ties, (0.0, vec![0.0; 4]));
}
