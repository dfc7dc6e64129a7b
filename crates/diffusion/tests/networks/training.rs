//! The loop: the same seed gives the same bits, stopped or not.
use crate::common::{ALL, condition, normals, stirred, times};
use dfdx::prelude::*;
use tropism_core::{Diagnostics, LossTerms};
use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::{Denoiser, DenoiserError, Network, Stored};
use tropism_diffusion::train::{Loss, StepFigures, Traced, TrainConfig, Training};
use tropism_ops::Scalar;

const CONFIG: TrainConfig = TrainConfig {
    steps: 9,
    lr: 3e-3,
    end_lr: Some(1e-4),
    warmup_steps: 2,
    max_grad_norm: Some(1.0),
    weight_decay: 0.01,
    betas: [0.9, 0.999],
    eps: 1e-8,
    seed: 11,
};

/// Errors at noise that the step draws.
fn loss<E: Scalar>(model: &Network<E>, stream: &mut Stream, tape: Traced<E>) -> Result<Loss<E>, DenoiserError>
where
    Cpu: Device<E>,
{
    let noise: Vec<E> = stream.normals(3 * model.width()).into_iter().map(E::c).collect();
    let noise: Tensor<(usize, usize), E, Cpu> = Cpu::default().tensor_from_vec(noise, (3, model.width()));
    let x = normals::<E>(1, 3, model.width());
    let error = model.predict((x + noise.clone()).put_tape(tape), &times(3), &condition(3))? - noise;
    let errors = error.square().mean::<(usize,), Axis<1>>();
    let mut seen = Diagnostics::default();
    seen.push("errors", errors.as_vec().into_iter().map(|e| e.f()).collect())?;
    Ok(LossTerms::new(errors, vec![1.0; 3], seen)?)
}

fn weights<E: Scalar>(model: &Network<E>) -> Vec<E>
where
    Cpu: Device<E>,
{
    let numbers = |p: Stored<E>| match p {
        Stored::Matrix(p) => p.values.as_vec(),
        Stored::Vector(p) => p.values.as_vec(),
    };
    model.stored().into_iter().flat_map(|(_, p)| numbers(p)).collect()
}

fn resumed<E: Scalar>()
where
    Cpu: Device<E>,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.safetensors");
    for config in ALL {
        let start = || Training::new(stirred::<E>(&config, 2), CONFIG).unwrap();
        let run = |training: &mut Training<Network<E>, E>| {
            let mut seen: Vec<StepFigures> = vec![];
            training.run(loss, |figures| seen.push(figures.clone())).unwrap();
            seen
        };
        let mut whole = start();
        let seen = run(&mut whole);
        assert_eq!(seen.len(), 9);
        assert_eq!(seen[8].diagnostics[0].0, "errors");
        assert!((seen[0].loss - seen[0].diagnostics[0].1).abs() < 1e-6);
        for stop in [0, 1, 5] {
            let mut first = start();
            (0..stop).for_each(|_| drop(first.step(loss).unwrap()));
            first.save(&path).unwrap();
            let mut second = Training::restore(Network::new(&config, 99).unwrap(), CONFIG, &path).unwrap();
            assert_eq!(second.done(), stop);
            assert_eq!(run(&mut second), seen[stop as usize..]);
            assert_eq!(weights(second.model()), weights(whole.model()), "{config:?} stopped at {stop}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_stopped_training_goes_on_to_the_same_bits() {
    resumed::<f32>();
    resumed::<f64>();
}

#[test]
fn other_seeds_draw_other_noise() {
    let last = |seed| {
        let mut training = Training::new(stirred::<f64>(&ALL[0], 2), TrainConfig { seed, ..CONFIG }).unwrap();
        training.run(loss, |_| {}).unwrap();
        weights(training.model())
    };
    assert_eq!(last(1), last(1));
    assert_ne!(last(1), last(2));
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    let mut training = Training::new(stirred::<f32>(&ALL[0], 2), CONFIG).unwrap();
    training.step(loss).unwrap();
    training.save(&path).unwrap();
    let refused = |model: Network<f32>, config| Training::restore(model, config, &path).unwrap_err().to_string();
    let fresh = |config| Network::<f32>::new(config, 0).unwrap();
    assert!(refused(fresh(&ALL[0]), TrainConfig { lr: 1.0, ..CONFIG }).contains("other options"));
    assert!(refused(fresh(&ALL[1]), CONFIG).contains("other trained parameters"));
    let mut frozen = fresh(&ALL[0]);
    frozen.train_only(|name| name.starts_with("users.")).unwrap();
    assert!(refused(frozen, CONFIG).contains("other trained parameters"));
    let double = Training::restore(Network::<f64>::new(&ALL[0], 0).unwrap(), CONFIG, &path).unwrap_err().to_string();
    assert!(double.contains("other floats: f32, now f64"), "{double}");
}

#[test]
fn a_loss_that_is_no_number_stops_before_the_weights() {
    let mut training = Training::new(stirred::<f64>(&ALL[0], 2), CONFIG).unwrap();
    let before = weights(training.model());
    let error = training
        .step(|model, _, tape| {
            let y = model.predict(normals(1, 3, 2).put_tape(tape), &times(3), &condition(3))?;
            let huge = (y * 1e200).square().mean::<(usize,), Axis<1>>();
            Ok(LossTerms::new(huge, vec![1.0; 3], Diagnostics::default())?)
        })
        .unwrap_err();
    assert!(error.to_string().contains("inf"), "{error}");
    assert_eq!(weights(training.model()), before);
    // gradients of a failed step are gone
    training.step(loss).unwrap();
}
