//! Diffusion-DRO: worked numbers and identities.

use tropism_diffusion::objectives::*;
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::sample::{Ddim, ddim_moves, trajectory};
use tropism_diffusion::schedule::{BetaSchedule, NoiseSchedule};
use tropism_diffusion::{DiffusionError, Stream};

use crate::common::pairs::{from_outputs, frozen, solved};
use crate::common::{Rows, close, rows};

fn config(margin: f64) -> DiffusionDro {
    DiffusionDro::default().with_margin(margin)
}

#[test]
fn worked_cases_on_either_side_of_the_hinge() {
    let targets: [&[f64]; 2] = [&[0.5, -1.0], &[0.4, 0.1]];
    let own = [0.35, 0.25];
    let reference = || frozen(&[0.125], &[0.0025]);
    let run = |expert: [f64; 2]| from_outputs([&expert, &own], targets, |p| diffusion_dro(p, reference(), &config(0.001)));
    assert_eq!(run([0.3, -0.7]), (0.0, vec![0.0; 2], vec![0.0; 2]));
    let (loss, expert, policy) = run([0.15, -0.55]);
    close(&[loss], &[0.0285], 1e-12);
    close(&expert, &[-0.35, 0.45], 1e-12);
    close(&policy, &[0.05, -0.15], 1e-12);
}

#[test]
fn at_the_start_the_loss_is_the_margin() {
    for margin in [0.0, 0.001, 1.0] {
        let (loss, w, _) = solved(&[0.3], &[0.0], |p| diffusion_dro(p, frozen(&[0.3], &[0.0]), &config(margin)));
        assert_eq!(loss, margin);
        // The kink itself has no gradient.
        assert_eq!(w[0], f64::from(u8::from(margin > 0.0)));
    }
}

/// Right after a sync the learner says what the policy said.
#[test]
fn after_a_sync_the_policys_term_has_no_gradient() {
    let own = [0.35, 0.25];
    let (_, expert, policy) = from_outputs([&[0.15, -0.55], &own], [&[0.5, -1.0], &own], |p| {
        diffusion_dro(p, frozen(&[0.125], &[0.0]), &config(1e9))
    });
    assert_eq!(policy, [0.0, 0.0]);
    // The rest is plain training on the expert.
    close(&expert, &[0.15 - 0.5, -0.55 + 1.0], 1e-12);
}

#[test]
fn the_papers_threshold_is_the_negative_margin() {
    for (e, q) in [(0.1, 0.4), (0.4, 0.1), (0.125, 0.0025), (0.2, 0.077)] {
        let d: f64 = (e - 0.125) - (q - 0.0025);
        let (loss, ..) = solved(&[e], &[q], |p| diffusion_dro(p, frozen(&[0.125], &[0.0025]), &config(0.05)));
        close(&[loss - 0.05], &[d.max(-0.05)], 1e-14);
    }
}

#[test]
fn a_constant_on_both_experts_changes_nothing_and_pieces_are_linear() {
    let loss = |e: f64, r: f64| solved(&[e], &[0.2], |p| diffusion_dro(p, frozen(&[r], &[0.1]), &config(0.3)));
    close(&[loss(0.5, 0.4).0], &[loss(1.5, 1.4).0], 1e-12);
    let [a, b, c] = [0.5, 0.6, 0.7].map(|e| loss(e, 0.4).0);
    close(&[a - 2.0 * b + c], &[0.0], 1e-12);
    // Rows hinge by themselves, before the mean.
    let both = solved(&[0.5, 0.0], &[0.1, 0.5], |p| diffusion_dro(p, frozen(&[0.4; 2], &[0.1; 2]), &config(0.1)));
    close(&[both.0], &[0.1], 1e-12);
    assert_eq!((both.1, both.2), (vec![0.5, 0.0], vec![-0.5, 0.0]));
    assert!(config(-0.1).check().is_err());
}

/// What a buffer of the policy's ways keeps is what the policy says at their states, until the next sync.
#[test]
fn a_buffer_holds_what_the_policy_says() {
    let schedule = NoiseSchedule::new(BetaSchedule::Linear, 100).unwrap();
    let moves = ddim_moves(&schedule, Prediction::Noise, &[99, 66, 33, 0], &Ddim::default().with_eta(1.0)).unwrap();
    let policy = |scale: f64| move |x: &Rows, t: &[f64]| Ok::<_, DiffusionError>(x.clone() * (scale * (1.0 + t[0] / 100.0)));
    let start = rows(&[&[0.3, -1.1], &[0.7, 0.2]]);
    let kept = trajectory(policy(0.4), &moves, &start, &mut Stream::new(3, 0)).unwrap();
    for (i, one) in moves.iter().enumerate() {
        let says = |scale| policy(scale)(&kept.states[i], &[one.t; 2]).unwrap().as_vec();
        assert_eq!(kept.outputs[i].as_vec(), says(0.4));
        assert_ne!(kept.outputs[i].as_vec(), says(0.5), "after a sync it is stale");
    }
}
