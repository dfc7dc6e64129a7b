//! Every loss passes the proof, by default and with the options that change its formula.

use tropism_diffusion::objectives::*;

use crate::common::prove::{Asked, prove};

const ROWS: Asked = Asked { group: 1, splits: true };

/// The on-policy value of AWM is constant by design, so its slope is proved off-policy.
fn differentiable(objective: DiffusionObjective) -> DiffusionObjective {
    match objective {
        DiffusionObjective::Awm(config) => config.with_off_policy(true).into(),
        other => other,
    }
}

#[test]
fn every_loss_by_default() {
    assert_eq!((DiffusionObjective::defaults().len(), METHODS.len()), (14, 14));
    for objective in DiffusionObjective::defaults() {
        prove(differentiable(objective), ROWS);
    }
}

#[test]
fn options_that_change_the_formula() {
    prove(DiffusionDpo::default().with_beta(20.0), ROWS);
    prove(Smpo::default().with_beta(3.0), ROWS);
    prove(DsoDro::default().with_scale(5.0), ROWS);
    prove(DsoUnpaired::default().with_scale(0.3), ROWS);
    prove(DsoUnpaired::default().with_balanced(true), Asked { group: 1, splits: false });
    prove(RankDpo::default().with_beta(7.0).with_normalized(true).with_discount(Discount::Binary), ROWS);
    for segments in [Segments::Sum, Segments::Apart] {
        prove(DenseDpo::default().with_beta(4.0).with_segments(segments), ROWS);
    }
    for form in [InversionForm::Released, InversionForm::PolicyTrajectory] {
        prove(InversionDpo::default().with_beta(3.0).with_form(form), ROWS);
    }
    for margin in [0.0, 0.1, 10.0] {
        prove(DiffusionDro::default().with_margin(margin), ROWS);
    }
    prove(D3po::default().with_beta(2.0).with_clip(None), ROWS);
    prove(D3po::default().with_beta(2.0).with_clip(Some(0.4)), ROWS);
    prove(Ddpo::default().with_clip(0.2), ROWS);
    prove(FlowGrpo::default().with_clip(0.2).with_beta(0.7), ROWS);
    prove(FlowGrpo::default().with_beta(0.0), ROWS);
}

#[test]
fn awm_with_every_option() {
    let awm = Awm::default().with_off_policy(true);
    for proxy in [Proxy::Uniform, Proxy::Time, Proxy::SquaredTime, Proxy::Huber, Proxy::GeneralHuber] {
        prove(awm.clone().with_proxy(proxy).with_clip(0.2), ROWS);
    }
    prove(awm.clone().with_kappa(0.5).with_beta(0.0), ROWS);
    prove(awm.clone().with_kl_weight(KlWeight::Elbo).with_beta(0.3).with_beta_ema(0.0), ROWS);
    prove(awm.with_ratio(Ratio::SumFirst).with_times(3), Asked { group: 3, splits: true });
}
