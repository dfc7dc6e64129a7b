//! Inversion on one-dimensional Gaussian data, for which the denoiser is known.

use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::sample::*;
use tropism_diffusion::schedule::*;
use tropism_diffusion::{DiffusionError, Stream};

use crate::common::{Rows, close, rows};

fn linear() -> NoiseSchedule {
    NoiseSchedule::new(BetaSchedule::Linear, 1000).unwrap()
}

/// The exact noise prediction for data of variance 1/4.
fn model(schedule: &NoiseSchedule) -> impl Fn(&Rows, &[f64]) -> Result<Rows, DiffusionError> {
    let schedule = schedule.clone();
    move |x, t| {
        let a = schedule.alpha_bar(t[0] as usize)?;
        Ok(x.clone() * ((1.0 - a).sqrt() / (0.25 * a + 1.0 - a)))
    }
}

fn options(renoise: bool) -> Inversion {
    Inversion::default().with_renoise(renoise.into())
}

#[test]
fn inversion_to_a_time_worked_numbers() {
    let schedule = linear();
    let x0 = rows(&[&[0.8]]);
    let level = [schedule.level(499).unwrap()];
    let at = |moves: usize, renoise: bool| {
        let times = [inversion_times(499, moves).unwrap()];
        let points = invert(model(&schedule), &schedule, Prediction::Noise, &x0, &times, &options(renoise)).unwrap();
        assert_eq!(points.len(), moves + 1);
        let last = points[moves].clone();
        let tau = recovered_noise(&last, &x0, &level).unwrap();
        // Data and recovered noise make the point.
        let again = tropism_diffusion::prediction::noised(&x0, &tau, &level).unwrap();
        close(&again.as_vec(), &last.as_vec(), 1e-12);
        (last.as_vec()[0], tau.as_vec()[0])
    };
    let (plain, corrected) = (at(5, false), at(5, true));
    close(&[plain.0, plain.1], &[1.5389933310, 1.3696453942], 1e-9);
    close(&[corrected.0, corrected.1], &[1.7058095403, 1.5434299339], 1e-9);
    close(&[at(10, false).0, at(10, true).0], &[1.5670447541, 1.6581753258], 1e-9);
    close(&[at(50, false).0, at(50, true).0], &[1.5588931640, 1.5779246947], 1e-9);
    // The recovered noise is not what the network predicts.
    let predicted = model(&schedule)(&rows(&[&[corrected.0]]), &[499.0]).unwrap().as_vec()[0];
    close(&[(corrected.1 - predicted).powi(2)], &[0.0386260676], 1e-9);
}

#[test]
fn inverting_and_sampling_back_worked_numbers() {
    let schedule = linear();
    let back = |moves: usize, renoise: bool| {
        let grid: Vec<usize> = (0..moves).map(|i| i * 1000 / moves).collect();
        let x0 = rows(&[&[0.8]]);
        let options = options(renoise);
        let points =
            invert(model(&schedule), &schedule, Prediction::Noise, &x0, std::slice::from_ref(&grid), &options).unwrap();
        let down: Vec<usize> = grid.into_iter().rev().collect();
        let moves = ddim_moves(&schedule, Prediction::Noise, &down, &Ddim::default()).unwrap();
        let last = points.last().unwrap();
        sample(model(&schedule), &moves, last, &mut Stream::new(0, 0)).unwrap().as_vec()[0]
    };
    let known = [(5, 0.3783559501, 0.4404685694), (10, 0.5820316718, 0.6466720896), (20, 0.6920598995, 0.7342262580)];
    for (moves, plain, corrected) in known {
        close(&[back(moves, false), back(moves, true)], &[plain, corrected], 1e-9);
    }
    // The error falls with the moves and with the correction.
    let errors: Vec<f64> = [5, 10, 20, 100].iter().flat_map(|&s| [0.8 - back(s, false), 0.8 - back(s, true)]).collect();
    assert!(errors.windows(3).all(|w| w[2] < w[0]) && errors.chunks(2).all(|w| w[1].abs() < w[0].abs()), "{errors:?}");
}

#[test]
fn rows_go_to_times_of_their_own_and_equal_times_stay() {
    let schedule = linear();
    let constant = |x: &Rows, _: &[f64]| Ok::<_, DiffusionError>(x.clone() * 0.0 + 0.3);
    let run = |x: &Rows, times: &[Vec<usize>]| {
        invert(constant, &schedule, Prediction::Noise, x, times, &Inversion::default()).unwrap()
    };
    let both = run(&rows(&[&[0.8], &[-0.2]]), &[vec![100, 499], vec![3, 3]]);
    let (first, second) = (run(&rows(&[&[0.8]]), &[vec![100, 499]]), run(&rows(&[&[-0.2]]), &[vec![3]]));
    close(&both[2].as_vec(), &[first[2].as_vec()[0], second[1].as_vec()[0]], 1e-15);
    assert_eq!(both[2].as_vec()[1], both[1].as_vec()[1]);
    // With the true noise of a sample, inversion is the forward process whatever the grid.
    let level = schedule.level(499).unwrap();
    close(&[both[2].as_vec()[0]], &[level.signal * 0.8 + level.noise * 0.3], 1e-12);
}

#[test]
fn the_first_move_may_start_at_the_level_of_time_0() {
    let schedule = linear();
    let options = Inversion::default().with_from_first_level(true);
    let x0 = rows(&[&[0.8]]);
    let points = invert(model(&schedule), &schedule, Prediction::Noise, &x0, &[vec![499]], &options).unwrap();
    let (from, to) = (schedule.level(0).unwrap(), schedule.level(499).unwrap());
    let eps = model(&schedule)(&x0, &[499.0]).unwrap().as_vec()[0];
    let want = to.signal * (0.8 - from.noise * eps) / from.signal + to.noise * eps;
    close(&points[1].as_vec(), &[want], 1e-12);
}

#[test]
fn a_v_prediction_inverts_as_the_noise_that_it_means() {
    let schedule = linear();
    let noise = model(&schedule);
    let as_v = |x: &Rows, t: &[f64]| {
        let to = Prediction::Noise.to(Prediction::V, schedule.level(t[0] as usize)?)?;
        Ok::<_, DiffusionError>(x.clone() * to.state + noise(x, t)? * to.output)
    };
    let (x0, times) = (rows(&[&[0.8]]), [inversion_times(499, 7).unwrap()]);
    let v = invert(as_v, &schedule, Prediction::V, &x0, &times, &options(true)).unwrap();
    let eps = invert(model(&schedule), &schedule, Prediction::Noise, &x0, &times, &options(true)).unwrap();
    close(&v[7].as_vec(), &eps[7].as_vec(), 1e-10);
}

#[test]
fn inversion_refuses_what_it_cannot_follow() {
    let schedule = linear();
    let x0 = rows(&[&[0.8], &[0.1]]);
    let run = |times: &[Vec<usize>], options: &Inversion| {
        invert(model(&schedule), &schedule, Prediction::Noise, &x0, times, options).unwrap_err().to_string()
    };
    let plain = Inversion::default();
    assert!(run(&[vec![1], vec![1, 2]], &plain).contains("same length"));
    assert!(
        run(&[vec![2, 1], vec![1, 2]], &plain).contains("ascends") && run(&[vec![], vec![]], &plain).contains("at least 1")
    );
    assert!(run(&[vec![1]], &plain).contains("times has 1 entries where 2 are needed"));
    assert!(run(&[vec![1000], vec![1]], &plain).contains("0 to 999"));
    assert_eq!(run(&[vec![1], vec![1]], &plain.clone().with_renoise(2)), "inversion: `renoise` is 2; it must be 0 or 1");
    assert!(recovered_noise(&x0, &x0, &[Level::CLEAN; 2]).is_err());
}
