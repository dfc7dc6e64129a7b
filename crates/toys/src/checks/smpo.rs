//! SmPO: labels and margins by scores against noisy labels; inversion on top.

use tropism_diffusion::denoiser::{Condition, DenoiserError};
use tropism_diffusion::objectives::{DiffusionDpo, PairErrors, Smoothing, Smpo, diffusion_dpo, smpo};
use tropism_diffusion::sample::{Inversion, invert, recovered_noise};
use tropism_diffusion::schedule::inversion_times;
use tropism_diffusion::train::{Noised, Training, errors_at};
use tropism_diffusion::{Stream, prediction::Prediction};

use crate::worlds::ring::{BATCH, Both, Net, Ring, Traced, batch, pair_errors, pairs_by_reward, picked, points, say, schedule};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const BETA: f64 = 250.0;
/// Moves of an inversion.
pub(super) const MOVES: usize = 5;

/// RING-8: 4000 pairs of the base; noisy labels are swapped with probability `σ(−gap/0.5)`. 600 steps of Adam at 1e-4 on batches of 256,
/// β = 250: DPO on the noisy labels, DPO on clean ones, SmPO's smoothing with clean ones (γ chosen so that the mean factor is 1) at
/// forward noise, at 5-move inversions, and at those with ReNoise. With clean labels DPO does as well as smoothing here: what the
/// smoothing brings in this toy is that the reward labels, and no gain of inversion is claimed.
pub(super) const TOY: Toy = Toy {
    row: "smpo",
    title: "Smoothed Preference Optimization via ReNoise Inversion for Aligning Diffusion Models with Varied Human Preferences",
    arxiv: "2506.02698",
    claim: "Preferences smoothed by the scores of a reward model raise the reward above DPO on the labels of varied annotators.",
    chance: Chance::Seeds(5),
    relations: &[Relation::above_by("reward(smoothed)", "reward(dpo, noisy labels)", 0.2)],
    run,
};

/// How a member is brought to its time.
#[derive(Clone, Copy, PartialEq)]
enum Points {
    Forward,
    Inverted(usize),
}

fn run(seed: u64) -> Result<Figures, ToyError> {
    let ring = Ring::diffusion(seed)?;
    let [chosen, rejected] = pairs_by_reward(&ring.drawn(8000)?);
    let gaps: Vec<f64> = chosen.chunks(2).zip(rejected.chunks(2)).map(|(w, l)| w[0] - l[0]).collect();
    let mut figures = Figures::default();
    ring.report(&mut figures, "base", &ring.base)?;
    let (noisy, flipped) = with_noise([&chosen, &rejected], &gaps, &mut ring.stream(3));
    figures.push("swapped labels", "", flipped);
    let ones = vec![1.0; gaps.len()];
    let scores = chosen.iter().step_by(2).chain(rejected.iter().step_by(2)).copied();
    let range = scores.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), r| (low.min(r), high.max(r)));
    let factors = mean_one(&chosen, &rejected, range)?;
    let clean = [&chosen[..], &rejected[..]];
    let settings = [
        ("dpo, noisy labels", [&noisy[0][..], &noisy[1][..]], &ones, Points::Forward),
        ("dpo, clean labels", clean, &ones, Points::Forward),
        ("smoothed", clean, &factors, Points::Forward),
        ("smoothed, inverted", clean, &factors, Points::Inverted(0)),
        ("smoothed, renoise", clean, &factors, Points::Inverted(1)),
    ];
    for (name, sides, factors, at) in settings {
        let model = train(&ring, sides, factors, at)?;
        ring.report(&mut figures, name, &model)?;
    }
    Ok(figures)
}

/// Members swapped with probability `σ(−gap/0.5)`, and how many were.
fn with_noise(sides: [&[f64]; 2], gaps: &[f64], stream: &mut Stream) -> ([Vec<f64>; 2], f64) {
    let (mut noisy, mut flipped) = ([Vec::new(), Vec::new()], 0.0);
    for (i, gap) in gaps.iter().enumerate() {
        let swap = stream.chance(1.0 / (1.0 + (gap / 0.5).exp()));
        flipped += f64::from(u8::from(swap)) / gaps.len() as f64;
        let order = if swap { [1, 0] } else { [0, 1] };
        (0..2).for_each(|side| noisy[side].extend_from_slice(&sides[order[side]][2 * i..2 * i + 2]));
    }
    (noisy, flipped)
}

/// Factors whose mean is 1.
fn mean_one(chosen: &[f64], rejected: &[f64], (low, high): (f64, f64)) -> Result<Vec<f64>, ToyError> {
    let smoothing = Smoothing::default().with_gamma(1.0).with_min(low).with_max(high);
    let one = |(w, l): (&[f64], &[f64])| smoothing.factor(w[0], l[0]);
    let factors = chosen.chunks(2).zip(rejected.chunks(2)).map(one).collect::<Result<Vec<_>, _>>()?;
    let mean = factors.iter().sum::<f64>() / factors.len() as f64;
    Ok(factors.iter().map(|f| f / mean).collect())
}

fn train(ring: &Ring, sides: [&[f64]; 2], factors: &[f64], at: Points) -> Result<Net, ToyError> {
    let mut training = Training::new(ring.base.clone(), ring.config(600, 1e-4))?;
    let (dpo, smooth) = (DiffusionDpo::default().with_beta(BETA), Smpo::default().with_beta(BETA));
    training.run(
        |model, stream, tape| {
            let rows = batch(factors.len(), BATCH, stream);
            let members = [&picked(sides[0], &rows)[..], &picked(sides[1], &rows)[..]];
            let (ours, theirs) = match at {
                Points::Forward => pair_errors((model, &ring.base), &ring.process, members, true, stream, tape)?,
                Points::Inverted(renoise) => inverted_errors((model, &ring.base), ring, members, renoise, stream, tape)?,
            };
            let factors: Vec<f64> = rows.iter().map(|&row| factors[row]).collect();
            Ok(match factors.iter().all(|f| *f == 1.0) {
                true => diffusion_dpo(ours, theirs, &dpo)?,
                false => smpo(ours, theirs, &factors, &smooth)?,
            })
        },
        |_| (),
    )?;
    Ok(training.into_model())
}

/// Errors to the noise that inversion by the current policy recovers, at one time per pair.
pub(super) fn inverted_errors(
    (policy, reference): (&Net, &Net),
    ring: &Ring,
    members: [&[f64]; 2],
    renoise: usize,
    stream: &mut Stream,
    tape: Traced,
) -> Result<Both, DenoiserError> {
    let schedule = schedule().map_err(|error| DenoiserError::Config(error.to_string()))?;
    let times = ring.process.draw_times(members[0].len() / 2, stream);
    let grids = times.iter().map(|&t| inversion_times(t as usize, MOVES)).collect::<Result<Vec<_>, _>>()?;
    let levels = schedule.levels(&times.iter().map(|&t| t as usize).collect::<Vec<_>>())?;
    let options = Inversion::default().with_renoise(renoise);
    let at = |member: &[f64]| -> Result<Noised<f32>, DenoiserError> {
        let data = points(member)?;
        let mut way = invert(say(&ring.process, policy), &schedule, Prediction::Noise, &data, &grids, &options)?;
        let x = way.pop().unwrap_or(data.clone());
        let target = recovered_noise(&x, &data, &levels)?;
        Ok(Noised { x, target, times: times.iter().map(|t| t / ring.process.scale()).collect() })
    };
    let (won, lost) = (at(members[0])?, at(members[1])?);
    let none = Condition::none();
    let ours = PairErrors::new(errors_at(policy, &won, &none, tape)?, errors_at(policy, &lost, &none, Traced::default())?)?;
    let frozen = |at: &Noised<f32>| errors_at(reference, at, &none, dfdx::prelude::NoneTape);
    Ok((ours, PairErrors::new(frozen(&won)?, frozen(&lost)?)?))
}
