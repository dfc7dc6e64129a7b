//! RING-8: pre-training and sampling.
use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::{Condition, Mlp, MlpConfig};
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::schedule::{BetaSchedule, NoiseSchedule};
use tropism_diffusion::train::{Process, TrainConfig, Training, denoising, rows_of};
use tropism_diffusion::worlds::{Mixture, World, draw_many};

/// Entropy and mode distance of 2000 samples after `steps` steps.
fn trained(process: &Process, steps: u64) -> (f64, f64, f64) {
    let ring = Mixture::ring(8, 1.0, 0.08);
    let model: Mlp<f32> = Mlp::new(&MlpConfig::default(), 1).unwrap();
    let config = TrainConfig { steps, lr: 2e-3, end_lr: Some(4e-5), seed: 1, ..TrainConfig::default() };
    let mut training = Training::new(model, config).unwrap();
    let none = Condition::none();
    let clock = std::time::Instant::now();
    training
        .run(
            |model, stream, tape| {
                let data = rows_of(&draw_many(&ring, 256, stream).0, 2)?;
                denoising(model, process, (&data, &none), stream, tape)
            },
            |_| {},
        )
        .unwrap();
    let seconds = clock.elapsed().as_secs_f64();
    let samples = process.sample(training.model(), &none, 2000, 20, &mut Stream::new(1, 5)).unwrap();
    let ideal = ring.compare(&samples);
    let reward = samples.chunks_exact(2).map(|x| ring.reward(x, 0)).sum::<f64>() / 2000.0;
    println!("{steps} steps in {seconds:.2} s: reward {reward:.3}, {ideal:?}");
    (reward, ideal.mode_distance, ideal.entropy)
}

#[test]
fn a_diffusion_learns_the_ring() {
    let schedule = NoiseSchedule::new(BetaSchedule::Linear, 100).unwrap();
    let (reward, distance, entropy) = trained(&Process::diffusion(schedule, Prediction::Noise), 2000);
    assert!(reward.abs() < 0.15 && distance < 0.3 && entropy > 1.9, "{reward}, {distance}, {entropy}");
}

#[test]
fn a_flow_learns_the_ring() {
    let (reward, distance, entropy) = trained(&Process::flow(None), 2000);
    assert!(reward.abs() < 0.15 && distance < 0.2 && entropy > 1.9, "{reward}, {distance}, {entropy}");
}
