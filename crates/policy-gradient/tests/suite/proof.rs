//! Every method passes the proof, by default and with the options that change its formula.

use crate::common::plain::Plain;
use crate::common::prove::{Proof, prove};
use tropism_policy_gradient::*;

#[test]
fn every_method_by_default() {
    for method in PolicyGradient::defaults() {
        match method {
            PolicyGradient::GspoToken(config) => prove_gspo_token(config),
            PolicyGradient::Cispo(config) => prove_cispo(config),
            PolicyGradient::Vespo(config) => prove_vespo(config),
            method => prove(method),
        }
    }
}

/// A token's weight in the loss of a step, by the definition of the aggregation.
fn token_weight(plain: &Plain, aggregation: Aggregation, row: usize) -> f64 {
    let tokens = |r: usize| plain.cells(r).len() as f64;
    match aggregation {
        Aggregation::TokenMean => 1.0 / (0..plain.rows).map(tokens).sum::<f64>(),
        Aggregation::SequenceMean => 1.0 / tokens(row) / plain.rows as f64,
        other => panic!("{other:?}"),
    }
}

/// Sums over the tokens of a row with the step's weight.
fn over_tokens(plain: &Plain, aggregation: Aggregation, row: usize, each: impl Fn(usize) -> f64) -> f64 {
    plain.cells(row).into_iter().map(|i| token_weight(plain, aggregation, row) * each(i)).sum()
}

/// The weight is held constant.
fn prove_cispo(config: Cispo) {
    let (cap, aggregation) = (config.epsilon_high, config.aggregation);
    let frozen = move |moved: &Plain, here: &Plain, row: usize| {
        over_tokens(here, aggregation, row, |i| {
            -(here.policy[i] - here.old[i]).exp().min(cap) * here.advantage(i) * moved.policy[i]
        })
    };
    Proof::of(config.clone()).surrogate(frozen).run();
    Proof::of(config).surrogate(frozen).by_token().run();
}

/// The completion's weight is held constant.
fn prove_vespo(config: Vespo) {
    let c = config.clone();
    let frozen = move |moved: &Plain, here: &Plain, row: usize| {
        let log_w = here.log_ratios(row).iter().sum::<f64>().clamp(1e-8_f64.ln(), 20.0);
        over_tokens(here, c.aggregation, row, |i| {
            let a = here.advantage(i);
            let (k, lambda) = if a >= 0.0 { (c.k_pos, c.lambda_pos) } else { (c.k_neg, c.lambda_neg) };
            -(lambda + k * log_w - lambda * log_w.exp()).exp() * a * moved.policy[i]
        })
    };
    Proof::of(config).surrogate(frozen).run();
}

/// The completion's ratio is held constant but for the token itself.
fn prove_gspo_token(config: GspoToken) {
    let c = config.clone();
    let frozen = move |moved: &Plain, here: &Plain, row: usize| {
        let ratios = here.log_ratios(row);
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        over_tokens(here, c.aggregation, row, |i| {
            let (ratio, a) = ((mean + moved.policy[i] - here.policy[i]).exp(), here.advantage(i));
            -(ratio * a).min(ratio.clamp(1.0 - c.epsilon_low, 1.0 + c.epsilon_high) * a)
        })
    };
    Proof::of(config.clone()).surrogate(frozen).run();
    Proof::of(config).surrogate(frozen).by_token().run();
}

#[test]
fn aggregations() {
    for aggregation in [
        Aggregation::TokenMean,
        Aggregation::SequenceMean,
        Aggregation::SequenceSum,
        Aggregation::Constant(7.0),
        Aggregation::GroupMean,
    ] {
        for ratio in [RatioLevel::Token, RatioLevel::Sequence, RatioLevel::SequenceSum] {
            prove(Grpo::default().with_aggregation(aggregation).with_ratio(ratio));
        }
        prove(Gmpo::default().with_aggregation(aggregation));
        prove(Sapo::default().with_aggregation(aggregation).with_entropy_coefficient(0.1));
    }
}

#[test]
fn clipping() {
    prove(Grpo::default().with_delta(Some(1.5)).with_epsilon_high(0.28));
    prove(Gspo::default().with_delta(Some(2.0)).with_epsilon_low(0.2).with_epsilon_high(0.3));
    prove(Dapo::default().with_epsilon_low(1.0).with_epsilon_high(10.0));
    Proof::of(Dapo::default()).by_token().run();
    Proof::of(Gspo::default().with_epsilon_low(0.2).with_epsilon_high(0.3)).by_token().run();
}

#[test]
fn kl_penalties() {
    for estimator in [Estimator::K1, Estimator::K2, Estimator::K3] {
        for weighting in [KlWeighting::None, KlWeighting::Ratio] {
            for clamp in [None, Some(0.5)] {
                let kl = KlPenalty { coefficient: 0.3, estimator, weighting, clamp };
                // The product of ratio and estimate grows too fast for differences beyond some nats.
                let ratios: &[f64] = if weighting == KlWeighting::None { &[0.3, 3.0, 12.0] } else { &[0.3, 3.0] };
                Proof::of(Dapo::default().with_kl(kl)).ratios(ratios).run();
                for ratio in [RatioLevel::Sequence, RatioLevel::SequenceSum] {
                    Proof::of(Grpo::default().with_kl(kl).with_ratio(ratio)).ratios(ratios).run();
                }
            }
        }
    }
    prove(Gmpo::default().with_kl(KlPenalty::of(0.1)));
    prove(Sapo::default().with_kl(KlPenalty::of(0.1)));
}

#[test]
fn masks_and_corrections() {
    for level in [CorrectionLevel::Token, CorrectionLevel::Sequence] {
        for out_of_bounds in [OutOfBounds::Truncate, OutOfBounds::Mask] {
            let sampler = Some(SamplerCorrection { level, out_of_bounds, cap: 2.0, floor: 0.5 });
            prove(Dapo::default().with_sampler(sampler).with_kl(KlPenalty::of(0.1)));
            prove(Gspo::default().with_sampler(sampler));
            prove(Gmpo::default().with_sampler(sampler));
        }
    }
    for quantile in [0.4, 0.0] {
        let entropies = |method: PolicyGradient| Proof::of(method).quantile(quantile).run();
        entropies(Dapo::default().with_top_entropy_quantile(quantile).with_entropy_coefficient(0.01).into());
        entropies(Gspo::default().with_top_entropy_quantile(quantile).into());
    }
    prove(Grpo::default().with_off_policy_mask_threshold(Some(0.1)));
    Proof::of(Rloo::default().with_off_policy_mask_threshold(Some(0.05))).by_token().run();
    prove(Dapo::default().with_entropy_coefficient(0.2));
}

#[test]
fn critics() {
    prove(Ppo::default().with_value_clip(ValueClip::None).with_value_coefficient(1.0));
    prove(Ppo::default().with_value_coefficient(0.0).with_delta(Some(3.0)));
    Proof::of(Ppo::default().with_value_clip(ValueClip::Range(1.0))).by_token().run();
}

#[test]
fn discriminative() {
    for estimator in [Estimator::K1, Estimator::K2, Estimator::K3] {
        for score in [Score::LogL, Score::LRatio] {
            for negatives in [Negatives::Basic, Negatives::Robust, Negatives::Logistic] {
                let config = Disco::default().with_score(score).with_negatives(negatives).with_estimator(estimator);
                // The penalty is a square of e^d.
                Proof::of(config.with_tau(1.0)).estimator(estimator).ratios(&[0.3, 3.0, 6.0]).run();
            }
        }
        Proof::of(Drpo::default().with_capacity(8.0).with_estimator(estimator))
            .estimator(estimator)
            .ratios(&[0.3, 6.0])
            .run();
    }
}
