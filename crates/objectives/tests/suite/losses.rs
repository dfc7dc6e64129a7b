//! Worked numbers, extremes and masks of each loss.

use crate::common::pairs::{Batch, close, pairwise, solve};
use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps, SequenceLogps, TokenLogps};
use tropism_objectives::{Dpo, Objective, Sft, Simpo, simpo};

/// The worked example of the DPO literature sheet.
fn worked() -> Batch {
    Batch { policy: [vec![-10.0], vec![-12.0]], reference: [vec![-11.0], vec![-11.5]], lengths: [vec![5], vec![8]] }
}

#[test]
fn worked_numbers() {
    let cases: [(f64, f64, f64); 3] = [
        (0.62095705, -0.04625702, 0.04625702),
        (22.44390625, -1.89500000, 1.18437500),
        (12.25000000, -7.00000000, 7.00000000),
    ];
    for (objective, (loss, chosen, rejected)) in pairwise().iter().zip(cases) {
        let solved = solve::<f64>(objective, &worked());
        close(&solved.losses, &[loss], 1e-8);
        close(&solved.grads[0], &[chosen], 1e-8);
        close(&solved.grads[1], &[rejected], 1e-8);
        close(solved.terms.get("rewards/chosen").unwrap(), &[0.1], 1e-12);
        close(solved.terms.get("rewards/rejected").unwrap(), &[-0.05], 1e-12);
        close(solved.terms.get("rewards/margins").unwrap(), &[0.15], 1e-12);
    }
}

#[test]
fn worked_numbers_of_simpo_by_token() {
    let dev = Cpu::default();
    let chosen = dev.tensor([[-0.5_f64, -1.0, -0.3]]);
    let rejected = dev.tensor([[-0.9_f64, -1.6]]);
    let run = |config: &Simpo| {
        let policy = PairLogps::from_tokens(
            TokenLogps::new(chosen.leaky_trace(), &[true; 3]).unwrap(),
            TokenLogps::new(rejected.retaped(), &[true; 2]).unwrap(),
        )
        .unwrap();
        simpo(policy, config).unwrap()
    };
    let config = Simpo::default().with_gamma_beta_ratio(0.5);
    let terms = run(&config);
    close(&terms.values(), &[0.55435524], 1e-8);
    close(terms.diagnostics.get("mean_logps/chosen").unwrap(), &[-0.6], 1e-12);
    close(terms.diagnostics.get("mean_logps/rejected").unwrap(), &[-1.25], 1e-12);
    close(terms.diagnostics.get("logps/rejected").unwrap(), &[-2.5], 1e-12);
    let grads = terms.sum().unwrap().backward();
    close(&grads.get(&chosen).as_vec(), &[-0.28370499; 3], 1e-8);
    close(&grads.get(&rejected).as_vec(), &[0.42555748; 2], 1e-8);
    close(&run(&config.with_label_smoothing(0.1)).values(), &[0.58435524], 1e-8);
}

#[test]
fn sft_is_a_mean_over_tokens() {
    let logps = Cpu::default().tensor([-3.0_f64, -5.0, 0.0]);
    let policy = SequenceLogps::new(logps.leaky_trace(), &[2, 6, 0]).unwrap();
    let terms = Objective::Sft(Sft::default()).sequence_loss(policy).unwrap();
    assert_eq!((terms.values(), terms.weights.clone()), (vec![3.0, 5.0, 0.0], vec![2.0, 6.0, 0.0]));
    assert_eq!(terms.diagnostics.names(), ["logps", "lengths"]);
    let loss = terms.mean().unwrap();
    assert_eq!(loss.array(), 1.0);
    assert_eq!(loss.backward().get(&logps).array(), [-0.125; 3]);
}

#[test]
fn a_batch_of_empty_completions_has_no_mean() {
    let policy = SequenceLogps::new(Cpu::default().tensor([0.0_f64]), &[0]).unwrap();
    assert!(tropism_objectives::sft(policy, &Sft::default()).unwrap().mean().is_err());
}

#[test]
fn extremes_stay_finite_with_the_right_limits() {
    for ratio in [80.0, 300.0, 5000.0, -80.0, -300.0, -5000.0] {
        let batch = Batch {
            policy: [vec![ratio - 1e4], vec![-1e4]],
            reference: [vec![-1e4], vec![-1e4]],
            lengths: [vec![1], vec![1]],
        };
        let dpo = Objective::Dpo(Dpo::default().with_beta(1.0));
        let simpo = Objective::Simpo(Simpo::default().with_beta(1.0).with_gamma_beta_ratio(0.0));
        for solved in [
            solve::<f64>(&dpo, &batch),
            solve::<f64>(&simpo, &batch),
            solve::<f32>(&dpo, &batch),
            solve::<f32>(&simpo, &batch),
        ] {
            let (loss, grad) = (solved.losses[0], solved.grads[0][0]);
            if ratio < 0.0 {
                assert!((loss + ratio).abs() < 1e-9 && (grad + 1.0).abs() < 1e-9);
            } else {
                assert!((0.0..1e-30).contains(&loss) && (-1e-30..=0.0).contains(&grad));
            }
            assert_eq!(solved.grads[1][0], -grad);
        }
    }
}

#[test]
fn zero_lengths_count_as_one() {
    let batch = Batch { policy: [vec![0.0], vec![-2.0]], reference: [vec![0.0], vec![-1.0]], lengths: [vec![0], vec![2]] };
    let one = Batch { lengths: [vec![1], vec![2]], ..batch.clone() };
    for objective in pairwise() {
        let (a, b) = (solve::<f64>(&objective, &batch), solve::<f64>(&objective, &one));
        assert_eq!((a.losses, a.grads), (b.losses, b.grads));
    }
}

#[test]
fn masked_junk_changes_nothing() {
    let dev = Cpu::default();
    let side = |junk: f64| dev.tensor([[junk, -1.0, -0.5], [-2.0, junk, junk]]);
    let mask = [false, true, true, true, false, false];
    for objective in pairwise() {
        let run = |junk: f64| {
            let (c, r) = (side(junk), side(junk));
            let policy = PairLogps::from_tokens(
                TokenLogps::new(c.leaky_trace(), &mask).unwrap(),
                TokenLogps::new(r.retaped(), &mask).unwrap(),
            )
            .unwrap();
            let reference = objective.needs_reference().then(|| policy.detach().unwrap());
            let terms = objective.pair_loss(policy, reference).unwrap();
            let values = terms.values();
            let grads = terms.mean().unwrap().backward();
            (values, grads.get(&c).as_vec(), grads.get(&r).as_vec())
        };
        let clean = run(0.0);
        assert!(clean.1[0] == 0.0 && clean.1[1] != 0.0);
        for junk in [f64::NAN, f64::NEG_INFINITY, 1e300] {
            assert_eq!(run(junk), clean);
        }
    }
}

#[test]
fn a_policy_may_be_its_own_reference() {
    // The clone shares the identity of the traced tensors; used as it is, the backward pass would panic.
    let dev = Cpu::default();
    let (c, r) = (dev.tensor([-3.0_f64]), dev.tensor([-4.0]));
    let policy = PairLogps::new(c.leaky_trace(), r.retaped(), &[2], &[3]).unwrap();
    let reference = PairLogps::new(c.clone(), r.clone(), &[2], &[3]).unwrap();
    let terms = tropism_objectives::dpo(policy, reference, &Dpo::default()).unwrap();
    assert_eq!(terms.diagnostics.get("rewards/ties"), Some([1.0].as_slice()));
    assert_eq!(terms.diagnostics.get("rewards/accuracies"), Some([0.0].as_slice()));
    close(&terms.values(), &[2.0_f64.ln()], 1e-15);
    close(&terms.sum().unwrap().backward().get(&c).array(), &[-0.05], 1e-15);
}

#[test]
fn constant_and_runtime_batch_axes_agree() {
    let dev = Cpu::default();
    let values = [[-10.0_f64, -3.0, -7.5], [-12.0, -2.0, -7.0]];
    let lengths = [3, 4, 5];
    for objective in pairwise() {
        let fixed = |v: [f64; 3]| dev.tensor(v);
        let loose = |v: [f64; 3]| dev.tensor_from_vec(v.to_vec(), (3usize,));
        let (a, b) = (fixed(values[0]), fixed(values[1]));
        let (x, y) = (loose(values[0]), loose(values[1]));
        let p = PairLogps::new(a.leaky_trace(), b.retaped(), &lengths, &lengths).unwrap();
        let q = PairLogps::new(x.leaky_trace(), y.retaped(), &lengths, &lengths).unwrap();
        let (pr, qr) = (p.detach().unwrap(), q.detach().unwrap());
        let needs = objective.needs_reference();
        let p: LossTerms<Const<3>, _, _, _> = objective.pair_loss(p, needs.then_some(pr)).unwrap();
        let q: LossTerms<usize, _, _, _> = objective.pair_loss(q, needs.then_some(qr)).unwrap();
        assert_eq!((p.values(), &p.diagnostics), (q.values(), &q.diagnostics));
        let (g, h) = (p.mean().unwrap().backward(), q.mean().unwrap().backward());
        assert_eq!(g.get(&a).as_vec(), h.get(&x).as_vec());
        assert_eq!(g.get(&b).as_vec(), h.get(&y).as_vec());
    }
}
