//! Schedules, times and weights against known numbers.

use proptest::prelude::*;
use tropism_diffusion::DiffusionError;
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::schedule::*;

use crate::common::close;

fn schedule(kind: BetaSchedule) -> NoiseSchedule {
    NoiseSchedule::new(kind, 1000).unwrap()
}

fn alphas(schedule: &NoiseSchedule, times: &[usize]) -> Vec<f64> {
    times.iter().map(|&t| schedule.alpha_bar(t).unwrap()).collect()
}

#[test]
fn schedules_worked_numbers() {
    let linear = schedule(BetaSchedule::Linear);
    close(&alphas(&linear, &[0, 249]), &[0.9999, 0.524085], 5e-7);
    close(&alphas(&linear, &[499, 749, 999]), &[0.0785872429, 0.00335055, 4.03583e-5], 5e-9);
    let scaled = schedule(BetaSchedule::ScaledLinear);
    close(&alphas(&scaled, &[499, 999]), &[0.2776696505, 0.0046600985], 1e-10);
    let cosine = schedule(BetaSchedule::Cosine);
    close(&[cosine.betas()[499], cosine.alpha_bar(499).unwrap()], &[0.0031458862, 0.4938435904], 1e-10);
    let short = NoiseSchedule::new(BetaSchedule::Linear, 100).unwrap();
    close(&alphas(&short, &[24, 49]), &[0.5279163842, 0.0741969967], 1e-10);
    close(&[short.alpha_bar(99).unwrap()], &[2.0390e-5], 1e-9);
    close(&[short.betas()[0], short.betas()[99]], &[1e-3, 0.2], 1e-15);
}

#[test]
fn zero_terminal_snr_worked_numbers() {
    let linear = schedule(BetaSchedule::Linear).with_zero_terminal_snr().unwrap();
    let scaled = schedule(BetaSchedule::ScaledLinear).with_zero_terminal_snr().unwrap();
    close(&alphas(&linear, &[499, 749]), &[0.0760287505, 0.0026895217], 1e-10);
    close(&alphas(&scaled, &[499, 749]), &[0.2423591666, 0.0331714828], 1e-10);
    for (rescaled, kind) in [(linear, BetaSchedule::Linear), (scaled, BetaSchedule::ScaledLinear)] {
        assert_eq!(rescaled.alpha_bar(999).unwrap(), 0.0);
        assert_eq!(rescaled.betas()[999], 1.0);
        close(&[rescaled.alpha_bar(0).unwrap()], &[schedule(kind).alpha_bar(0).unwrap()], 1e-15);
        // The variances are those of the new products.
        let again = NoiseSchedule::from_betas(rescaled.betas().to_vec()).unwrap();
        close(again.alphas_bar(), rescaled.alphas_bar(), 1e-12);
    }
}

#[test]
fn schedules_descend_within_0_and_1() {
    for kind in [BetaSchedule::Linear, BetaSchedule::ScaledLinear, BetaSchedule::Cosine] {
        for steps in [1, 2, 7, 20, 100, 1000, 4000] {
            let schedule = NoiseSchedule::new(kind, steps).unwrap();
            let a = schedule.alphas_bar();
            assert_eq!((a.len(), schedule.steps()), (steps, steps));
            assert!(a.iter().all(|&a| a > 0.0 && a < 1.0) && a.windows(2).all(|w| w[1] < w[0]), "{kind:?} {steps}");
        }
    }
}

#[test]
fn schedules_refuse_what_they_cannot_be() {
    let problem = |betas: Vec<f64>| NoiseSchedule::from_betas(betas).unwrap_err().to_string();
    assert!(problem(vec![]).contains("no steps"));
    assert_eq!(problem(vec![0.1, -0.2]), "beta of row 1 is -0.2; it must be above 0 and at most 1");
    assert!(problem(vec![f64::NAN]).contains("NaN") && problem(vec![1.5]).contains("1.5"));
    assert!(matches!(NoiseSchedule::new(BetaSchedule::Linear, 0), Err(DiffusionError::Input { .. })));
    let error = schedule(BetaSchedule::Linear).alpha_bar(1000).unwrap_err();
    assert_eq!(error.to_string(), "noise schedule at t = 1000: the schedule has times 0 to 999");
    assert!(NoiseSchedule::from_betas(vec![0.5]).unwrap().with_zero_terminal_snr().is_err());
    assert!(Level::flow(1.01).is_err() && Level::flow(f64::NAN).is_err() && Level::diffusion(-0.1).is_err());
}

#[test]
fn posterior_worked_numbers() {
    let linear = schedule(BetaSchedule::Linear);
    let p = linear.posterior(499, Some(498)).unwrap();
    let (x, x0) = ([0.7602853992, -1.1000695542], [1.0, -0.5]);
    let mean: Vec<f64> = (0..2).map(|i| p.data * x0[i] + p.state * x[i]).collect();
    close(&mean, &[0.7588748578, -1.0951215170], 1e-9);
    close(&[p.variance], &[0.0100313554], 1e-9);
    let last = linear.posterior(0, None).unwrap();
    close(&[last.data, last.state, last.variance], &[1.0, 0.0, 0.0], 1e-12);
    assert!(linear.posterior(5, Some(5)).is_err() && linear.posterior(5, Some(7)).is_err());
}

/// KL divergence of the posterior from a step with the same variance, for means that differ by the estimate of the data.
#[test]
fn elbo_weights_are_the_kl_three_ways() {
    let linear = schedule(BetaSchedule::Linear);
    let (eps, eps_hat) = ([0.5, -1.0], [0.3, -0.7]);
    let on_noise = elbo_weight(&linear, Prediction::Noise, 499, None).unwrap();
    let squared: f64 = (0..2).map(|i| f64::powi(eps[i] - eps_hat[i], 2)).sum();
    close(&[on_noise, on_noise * squared], &[0.0055081965, 7.16065546e-4], 1e-10);
    let snr = |t| linear.level(t).unwrap().snr();
    let on_data = elbo_weight(&linear, Prediction::Data, 499, None).unwrap();
    close(&[on_data / (0.5 * (snr(498) - snr(499)))], &[1.0], 1e-11);
    let a = linear.alpha_bar(499).unwrap();
    close(&[on_noise], &[on_data * (1.0 - a) / a], 1e-14);
    // Another variance of the reverse step, by the formula on noise.
    let beta = linear.betas()[499];
    let want = beta * beta / (2.0 * beta * (1.0 - beta) * (1.0 - a));
    close(&[elbo_weight(&linear, Prediction::Noise, 499, Some(beta)).unwrap()], &[want], 1e-12);
    assert!(elbo_weight(&linear, Prediction::Noise, 0, None).unwrap_err().to_string().contains("t = 0"));
}

#[test]
fn min_snr_weights_agree_between_predictions() {
    for a in [0.999, 0.9, 0.5, 0.01] {
        let level = Level::diffusion(a).unwrap();
        let snr = a / (1.0 - a);
        let capped = snr.min(5.0);
        let weight = |p| min_snr_weight(p, level, 5.0).unwrap();
        close(&[weight(Prediction::Data)], &[capped], 1e-12);
        close(&[weight(Prediction::Noise), weight(Prediction::V)], &[capped / snr, capped / (snr + 1.0)], 1e-12);
    }
    let dark = Level::diffusion(0.0).unwrap();
    assert_eq!(min_snr_weight(Prediction::V, dark, 5.0).unwrap(), 0.0);
    assert!(min_snr_weight(Prediction::Noise, dark, 5.0).is_err());
}

#[test]
fn times_of_samplers_and_inversions() {
    assert_eq!(sampling_times(100, 20).unwrap()[..3], [99, 94, 89]);
    assert_eq!(sampling_times(1, 1).unwrap(), [0]);
    assert_eq!(sampling_times(4, 4).unwrap(), [3, 2, 1, 0]);
    // Halves go up: 1 · 5/2 = 2.5.
    assert_eq!(sampling_times(6, 3).unwrap(), [5, 3, 0]);
    assert!(sampling_times(4, 5).is_err() && sampling_times(4, 0).is_err() && flow_times(0).is_err());
    assert_eq!(inversion_times(3, 5).unwrap(), [1, 1, 2, 2, 3]);
    assert_eq!(inversion_times(0, 3).unwrap(), [0, 0, 0]);
    assert_eq!(flow_times(4).unwrap(), [1.0, 0.75, 0.5, 0.25, 0.0]);
}

proptest! {
    #[test]
    fn times_are_as_many_and_end_where_they_must(steps in 2usize..1500, moves in 2usize..60, t in 0usize..1500) {
        let moves = moves.min(steps);
        let times = sampling_times(steps, moves).unwrap();
        prop_assert!(times.len() == moves && times[0] == steps - 1 && times[moves - 1] == 0);
        prop_assert!(times.windows(2).all(|w| w[1] < w[0]));
        let up = inversion_times(t, moves).unwrap();
        prop_assert!(up.len() == moves && up[moves - 1] == t && up.windows(2).all(|w| w[0] <= w[1]));
    }
}

#[test]
fn logit_normal_times_have_the_asked_median() {
    let mut stream = tropism_diffusion::Stream::new(3, 0);
    let mut times: Vec<f64> = (0..20001).map(|_| logit_normal_time(&mut stream, 1.0, 1.0)).collect();
    times.sort_by(f64::total_cmp);
    assert!(times[0] > 0.0 && times[20000] < 1.0);
    // The median is σ(1); its standard error is about 0.002.
    close(&[times[10000]], &[0.7310585786], 0.01);
}
