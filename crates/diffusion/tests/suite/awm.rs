//! AWM, DDPO and Flow-GRPO: worked numbers and identities.

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_diffusion::objectives::*;
use tropism_diffusion::prediction::{Prediction, squared_errors};
use tropism_diffusion::schedule::Level;

use crate::common::{close, rows, vector};

fn bare(proxy: Proxy) -> Awm {
    Awm::default().with_proxy(proxy).with_beta(0.0).with_beta_ema(0.0)
}

/// The two samples of the worked example: loss and gradients in the outputs.
fn two(advantages: &[f64], old: Option<&[f64]>, config: &Awm) -> (f64, Vec<f64>) {
    // Targets ε − x0 of x0 = [1, −0.5] and [−0.2, 0.3] with ε = [0.5, −1].
    let (v, u) = (rows(&[&[-0.3, -0.7], &[0.2, 0.1]]), rows(&[&[-0.5, -0.5], &[0.7, -1.3]]));
    let errors = MatchErrors::new(squared_errors(v.leaky_trace(), &u).unwrap(), None, None).unwrap();
    close(&errors.target.as_vec(), &[0.04, 1.105], 1e-12);
    let mean = awm(errors, advantages, &[0.4; 2], old, config).unwrap().mean().unwrap();
    (mean.array(), mean.backward().get(&v).as_vec())
}

fn advantages(options: &GroupAdvantages) -> Vec<f64> {
    group_advantages(&[1.0, 0.0, 0.5, 0.0], &[0; 4], options).unwrap()
}

#[test]
fn worked_advantages() {
    close(&advantages(&GroupAdvantages::default()), &[1.5071931742, -0.9043159045, 0.3014386348, -0.9043159045], 1e-9);
    close(&advantages(&GroupAdvantages::awm()), &[0.3014386348, -0.1808631809, 0.0602877270, -0.1808631809], 1e-9);
}

#[test]
fn worked_proxies() {
    let proxy = |p| bare(p).proxy(0.04, 0.4);
    let values = [Proxy::Uniform, Proxy::Time, Proxy::SquaredTime, Proxy::Huber, Proxy::GeneralHuber].map(|p| proxy(p).0);
    close(&values, &[-0.04, -0.016, -0.0064, -0.0799960001, -0.7104821090], 1e-10);
    close(&[proxy(Proxy::GeneralHuber).1], &[-4.4721359466], 1e-9);
}

#[test]
fn worked_samples_on_and_off_policy() {
    let a = &advantages(&GroupAdvantages::awm())[..2];
    let (loss, grads) = two(a, None, &bare(Proxy::Uniform));
    close(&[loss], &[-0.0602877270], 1e-9);
    close(&grads, &[0.0301438635, -0.0301438635, 0.0452157952, -0.1266042266], 1e-9);
    let off = bare(Proxy::Uniform).with_off_policy(true);
    let old = [-0.10, -0.40];
    let (loss, grads) = two(a, Some(&old), &off);
    close(&[loss], &[-0.1153562553], 1e-9);
    close(&grads, &[0.0320078559, -0.0320078559, 0.0223415121, -0.0625562339], 1e-9);
    let (loss, grads) = two(a, Some(&old), &off.with_clip(1e-4));
    close(&[loss], &[-0.0603118421], 1e-9);
    assert_eq!(grads, [0.0; 4]);
}

#[test]
fn on_policy_the_gradient_is_that_of_weighted_matching() {
    let a = [0.7, -0.3];
    for proxy in [Proxy::Uniform, Proxy::Huber] {
        let config = bare(proxy);
        let (loss, grads) = two(&a, None, &config);
        close(&[loss], &[-0.2], 1e-14);
        let slope = |m: f64| -config.proxy(m, 0.4).1;
        // ∂ mean(A W(m))/∂v = A W'(m) (v − u)/2 for two rows of two dimensions.
        let want =
            [a[0] * slope(0.04) * 0.1, a[0] * slope(0.04) * -0.1, a[1] * slope(1.105) * -0.25, a[1] * slope(1.105) * 0.7];
        close(&grads, &want, 1e-12);
    }
    // Advantages of 1 are plain flow matching; of 0, nothing.
    close(&two(&[1.0; 2], None, &bare(Proxy::Uniform)).1, &[0.1, -0.1, -0.25, 0.7], 1e-12);
    assert_eq!(two(&[0.0; 2], None, &bare(Proxy::Uniform)).1, [0.0; 4]);
}

proptest! {
    #[test]
    fn group_means_are_0_and_constants_nothing(rewards in proptest::collection::vec(-2.0..2.0f64, 6), global in prop::bool::ANY) {
        let prompts = [0, 1, 0, 1, 1, 0];
        let options = GroupAdvantages::default().with_global_std(global);
        let found = group_advantages(&rewards, &prompts, &options).unwrap();
        for prompt in 0..2 {
            let sum: f64 = found.iter().zip(prompts).filter(|(_, p)| *p == prompt).map(|(a, _)| a).sum();
            prop_assert!(sum.abs() < 1e-9);
        }
        let same: Vec<f64> = prompts.iter().map(|&p| [0.7, -3.0][p]).collect();
        prop_assert!(group_advantages(&same, &prompts, &options).unwrap().iter().all(|a| a.abs() < 1e-9));
    }

    #[test]
    fn powers_of_the_general_huber_are_the_other_proxies(m in 1e-6..10.0f64, t in 0.01..1.0f64) {
        let general = |kappa| bare(Proxy::GeneralHuber).with_kappa(kappa).proxy(m, t);
        let (time, huber) = (bare(Proxy::Time).proxy(m, t), bare(Proxy::Huber).proxy(m, t));
        prop_assert!((general(1.0).0 - time.0).abs() < 1e-9 && (general(1.0).1 - time.1).abs() < 1e-9);
        prop_assert!((general(0.5).0 - 2.0 * huber.0).abs() < 1e-9 && (general(0.5).1 - 2.0 * huber.1).abs() < 1e-6);
    }
}

#[test]
fn sum_first_has_the_gradient_of_exp_first_on_policy_only() {
    let a = [0.7, 0.7];
    let first = bare(Proxy::Uniform);
    let sum = first.clone().with_ratio(Ratio::SumFirst).with_times(2);
    close(&two(&a, None, &sum).1, &two(&a, None, &first).1, 1e-14);
    let (off_first, off_sum) = (first.with_off_policy(true), sum.clone().with_off_policy(true));
    let old = [-0.1, -0.4];
    assert!((two(&a, Some(&old), &off_first).0 - two(&a, Some(&old), &off_sum).0).abs() > 1e-3);
    let errors = MatchErrors::new(vector(&[0.1; 3]), None, None).unwrap();
    let error = awm(errors, &[1.0; 3], &[0.5; 3], None, &sum).unwrap_err();
    assert!(error.to_string().contains("3 rows are no multiple of `times` = 2"), "{error}");
}

#[test]
fn distances_are_added_with_their_weights() {
    let leaves = [vector(&[0.1, 0.2]), vector(&[0.3, 0.0]), vector(&[0.5, 0.0])];
    let errors = || MatchErrors::new(leaves[0].leaky_trace(), Some(leaves[1].retaped()), Some(leaves[2].retaped())).unwrap();
    let config = Awm::default().with_proxy(Proxy::Uniform).with_beta(0.01);
    let terms = awm(errors(), &[0.0; 2], &[0.5, 0.8], None, &config).unwrap();
    close(&terms.values(), &[0.01 * 0.3 + 0.5, 0.0], 1e-15);
    let grads = terms.sum().unwrap().backward();
    close(&grads.get(&leaves[1]).as_vec(), &[0.01; 2], 1e-15);
    close(&grads.get(&leaves[2]).as_vec(), &[1.0; 2], 1e-15);
    // Divided by 2σ² with σ² = 0.49 t/(1−t).
    let terms = awm(errors(), &[0.0; 2], &[0.5, 0.8], None, &config.clone().with_kl_weight(KlWeight::Elbo)).unwrap();
    close(&terms.values(), &[0.503 / 0.98, 0.0], 1e-12);
    assert!(awm(errors(), &[0.0; 2], &[0.0, 0.8], None, &config.with_kl_weight(KlWeight::Elbo)).is_err());
}

#[test]
fn parts_that_are_missing_or_not_read_are_refused() {
    let errors = |reference: bool| MatchErrors::new(vector(&[0.1]), reference.then(|| vector(&[0.1])), None).unwrap();
    let problem = |e, old: Option<&[f64]>, config: &Awm| awm(e, &[1.0], &[0.5], old, config).unwrap_err().to_string();
    assert!(
        problem(errors(false), None, &bare(Proxy::Time).with_beta(0.1))
            .contains("`beta` is on and errors to the reference are missing")
    );
    assert!(problem(errors(true), None, &bare(Proxy::Time)).contains("not read; leave them out"));
    assert!(problem(errors(false), Some(&[0.0]), &bare(Proxy::Time)).contains("`off_policy` is off"));
    assert!(problem(errors(false), None, &bare(Proxy::Time).with_off_policy(true)).contains("old_logps are missing"));
    assert!(awm(errors(false), &[f64::NAN], &[0.5], None, &bare(Proxy::Time)).is_err());
    assert!(awm(errors(false), &[1.0], &[1.5], None, &bare(Proxy::Time)).is_err());
    let unbounded = GroupAdvantages::default().with_clip(None).with_largest(Some(1.0));
    assert!(group_advantages(&[1.0, 2.0], &[0, 0], &unbounded).is_err());
    assert!(group_advantages(&[], &[], &GroupAdvantages::default()).is_err());
}

fn stepped(logps: &[f64], old: &[f64], a: &[f64], clip: f64) -> (Vec<f64>, Vec<f64>) {
    let leaf = vector(logps);
    let steps = SampledSteps::new(leaf.leaky_trace(), None).unwrap();
    let terms = ddpo(steps, a, old, &Ddpo::default().with_clip(clip)).unwrap();
    let losses = terms.values();
    (losses, terms.sum().unwrap().backward().get(&leaf).as_vec())
}

#[test]
fn ddpo_clips_on_the_side_that_gains() {
    let ln = |r: f64| r.ln();
    // Good and bad samples, whose ratio went up and down by 0.3, with a bound of 0.2.
    let (losses, grads) = stepped(&[ln(1.3), ln(0.7), ln(1.3), ln(0.7)], &[0.0; 4], &[1.0, 1.0, -1.0, -1.0], 0.2);
    close(&losses, &[-1.2, -0.7, 1.3, 0.8], 1e-12);
    close(&grads, &[0.0, -0.7, 1.3, 0.0], 1e-12);
    let (losses, grads) = stepped(&[-1.0, -2.0], &[-1.0, -2.0], &[0.5, -0.25], 1e-4);
    assert_eq!((losses, grads), (vec![-0.5, 0.25], vec![-0.5, 0.25]));
}

#[test]
fn ddpo_statistics_wait_for_enough_rewards_of_a_prompt() {
    let mut seen = PromptStatistics::new(3, 2).unwrap();
    let by_batch = seen.advantages(&[1.0, 5.0], &[0, 1]).unwrap();
    close(&by_batch, &[-1.0, 1.0], 1e-5);
    // Prompt 0 has now 1, 2, 3 and then drops the oldest.
    let own = seen.advantages(&[2.0, 3.0], &[0, 0]).unwrap();
    close(&own, &[0.0, 1.2247448714], 1e-5);
    let later = seen.advantages(&[4.0, 9.0], &[0, 1]).unwrap();
    close(&later, &[1.2247448714, 1.0], 1e-5);
    assert!(PromptStatistics::new(2, 3).is_err() && PromptStatistics::new(2, 0).is_err());
}

#[test]
fn flow_grpo_adds_the_divergence() {
    let (logps, kl) = (vector(&[-0.5, -0.5]), vector(&[1.5816581633e-4, 0.0]));
    let steps = SampledSteps::new(logps.leaky_trace(), Some(kl.retaped())).unwrap();
    let terms = flow_grpo(steps, &[1.0, -1.0], &[-0.5; 2], &FlowGrpo::default()).unwrap();
    close(&terms.values(), &[-1.0 + 0.04 * 1.5816581633e-4, 1.0], 1e-14);
    let grads = terms.sum().unwrap().backward();
    assert_eq!((grads.get(&logps).as_vec(), grads.get(&kl).as_vec()), (vec![-1.0, 1.0], vec![0.04; 2]));
    let missing = flow_grpo(SampledSteps::new(vector(&[0.1]), None).unwrap(), &[1.0], &[0.1], &FlowGrpo::default());
    assert!(missing.unwrap_err().to_string().contains("deviations from the reference are missing"));
    let unread = SampledSteps::new(vector(&[0.1]), Some(vector(&[0.1]))).unwrap();
    assert!(ddpo(unread.clone(), &[1.0], &[0.1], &Ddpo::default()).is_err());
    assert!(flow_grpo(unread, &[1.0], &[0.1], &FlowGrpo::default().with_beta(0.0)).is_err());
}

/// The step to a noisier target and the matching of the clean one have the same gradient as the step gets short: DDPO is matching with
/// a noisy target.
#[test]
fn a_step_log_density_is_matching_with_a_noisy_target() {
    use tropism_diffusion::Stream;
    let (t, mut correlations) = (0.5, Vec::new());
    for delta in [0.1, 0.025, 0.005] {
        let (s, mut stream) = (t - delta, Stream::new(11, 0));
        let r = (1.0 - t) / (1.0 - s);
        let sigma2 = 2.0 * t / (1.0 - t);
        let mut pairs = Vec::new();
        for _ in 0..20_000 {
            let (x0, z, z2) = (stream.normal(), stream.normal(), stream.normal());
            let xs = (1.0 - s) * x0 + s * z;
            let xt = r * xs + (t * t - r * r * s * s).sqrt() * z2;
            let v = 0.3 * xt + 0.1;
            // Step: mean as in the SDE, gradient of its log-density in v.
            let (dt, pull) = (-delta, (1.0 + sigma2 * (1.0 - t) / (2.0 * t)) * -delta);
            let mean = xt * (1.0 + sigma2 * dt / (2.0 * t)) + v * pull;
            let step = pull * (xs - mean) / (sigma2 * delta);
            let score = -(xt - r * xs) / (t * t - r * r * s * s);
            let target = -(t * score + xt) / (1.0 - t);
            pairs.push((step, -2.0 * delta * (1.0 - t) / t * (v - target)));
        }
        correlations.push(correlation(&pairs));
    }
    close(&correlations, &[0.9904, 0.99984, 0.9999987], 2e-3);
    assert!(correlations.windows(2).all(|w| w[1] > w[0]));
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (a, b) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let moment = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>();
    let both = moment(&|p| (p.0 - a) * (p.1 - b));
    both / (moment(&|p| (p.0 - a).powi(2)) * moment(&|p| (p.1 - b).powi(2))).sqrt()
}

/// Data, noise and the step's noise are independent and standard normal; what follows from them is linear.
fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Variance of `a` once `b` is known.
fn given(a: [f64; 3], b: [f64; 3]) -> f64 {
    dot(a, a) - dot(a, b).powi(2) / dot(b, b)
}

/// The variance of the velocity that regression sees at `x_t`: the one of the clean pair, and the one that the state a step
/// before would have needed, which is what the log-density of a sampler's step regresses on.
#[test]
fn the_targets_of_steps_are_noisier_than_those_of_data() {
    for (t, delta, want) in [(0.5, 0.1, 5.2), (0.5, 0.05, 10.1), (0.5, 0.025, 20.05), (0.5, 0.01, 50.02), (0.8, 0.1, 14.365)]
    {
        let (now, before) = (Level::flow(t).unwrap(), Level::flow(t - delta).unwrap());
        // x_s = (1 − s) x₀ + s z and x_t = r x_s + √(t² − r² s²) z'
        let r = now.signal / before.signal;
        let x_s = [before.signal, before.noise, 0.0];
        let x_t = [now.signal, r * before.noise, (now.noise.powi(2) - (r * before.noise).powi(2)).sqrt()];
        let (data, noise) = Prediction::Velocity.factors(now);
        // ε is what x_t holds beside the data
        let clean = [data, noise * x_t[1] / now.noise, noise * x_t[2] / now.noise];
        close(&[given(clean, x_t)], &[if t == 0.5 { 2.0 } else { 1.4706 }], 1e-4);
        // E[x_s | x_t, x₀] = a x_t + b x₀, in which x₀ follows from the velocity
        let a = before.noise.powi(2) * r / now.noise.powi(2);
        let b = before.signal - a * now.signal;
        let to = Prediction::Velocity.to(Prediction::Data, now).unwrap();
        let noisy: [f64; 3] = std::array::from_fn(|i| (x_s[i] - (a + b * to.state) * x_t[i]) / (b * to.output));
        close(&[given(noisy, x_t)], &[want], 1e-3);
        // both have the same mean there
        close(&[dot(noisy, x_t)], &[dot(clean, x_t)], 1e-12);
    }
}
