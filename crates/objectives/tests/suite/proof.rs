//! Every method passes the proof, by default and with the options that change its formula.

use crate::common::plain::Plain;
use crate::common::prove::{Proof, prove};
use crate::common::solve::{Solved, solve};
use tropism_objectives::*;

#[test]
fn every_method_by_default() {
    for objective in Objective::defaults() {
        match &objective {
            // Nothing to prove without methods; see below.
            Objective::Sum(_) => {}
            Objective::Wpo(config) => prove_wpo(config.clone()),
            Objective::NashMd(config) => prove_nash_md(config.clone()),
            Objective::BetaDpo(config) => prove_beta_dpo(config.clone()),
            // Something has to be left to divide by.
            Objective::SafeDpo(config) => Proof::of(config.clone()).adjust(|p, _| p.columns[0].1[0] = 0.0).run(),
            // Its curvature grows with e^h: differences are exact enough for small log-ratios alone.
            Objective::ChiPo(config) => Proof::of(config.clone()).ratios(&[0.3, 3.0, 6.0]).run(),
            _ => prove(objective),
        }
    }
}

/// The weights are held constant.
fn prove_wpo(config: Wpo) {
    let (proved, objective) = (config.clone(), Objective::from(config.clone()));
    let frozen = move |moved: &Plain, here: &Plain, row: usize| {
        let (moved, here) = (solve::<f64>(&objective, moved), solve::<f64>(&objective, here));
        let weight = |s: &Solved| {
            let product =
                s.diagnostics.get("weights/chosen").unwrap()[row] * s.diagnostics.get("weights/rejected").unwrap()[row];
            if config.clip { product.min(1.0) } else { product }
        };
        moved.shares[row] * weight(&here) / weight(&moved)
    };
    Proof::of(proved).surrogate(frozen).run();
}

/// The log-ratios are held constant.
fn prove_nash_md(config: NashMd) {
    let beta = config.beta;
    let frozen = move |moved: &Plain, here: &Plain, row: usize| {
        let (side, preference) = (&here.sides[0], here.columns[0].1[row]);
        let cells = (row * here.width..(row + 1) * here.width).filter(|&i| side.mask[i]);
        let share =
            cells.map(|i| (beta * (side.policy[i] - side.reference[i]) - (preference - 0.5)) * moved.sides[0].policy[i]);
        share.sum::<f64>() / here.rows as f64
    };
    Proof::of(config).surrogate(frozen).run();
}

/// The batch's `β` is held constant.
fn prove_beta_dpo(config: BetaDpo) {
    let objective = Objective::from(config.clone());
    let frozen = move |moved: &Plain, here: &Plain, row: usize| {
        let beta = solve::<f64>(&objective, here).diagnostics.get("beta").unwrap()[row];
        let alone = Plain { columns: Vec::new(), ..moved.clone() };
        solve::<f64>(&Dpo::default().with_beta(beta).into(), &alone).shares[row]
    };
    Proof::of(config).surrogate(frozen).run();
}

#[test]
fn divergences() {
    for divergence in [Divergence::ForwardKl, Divergence::Js, Divergence::Alpha(0.5), Divergence::Alpha(-0.5)] {
        let methods: [Objective; 11] = [
            Dpo::default().with_divergence(divergence).into(),
            Cdpo::default().with_divergence(divergence).into(),
            Robust::default().with_divergence(divergence).into(),
            Hinge::default().with_divergence(divergence).into(),
            Ipo::default().with_divergence(divergence).into(),
            Exo::default().with_divergence(divergence).into(),
            Nca::default().with_divergence(divergence).into(),
            BcoPair::default().with_divergence(divergence).into(),
            Sppo::default().with_divergence(divergence).into(),
            Discopop::default().with_tau(0.5).with_divergence(divergence).into(),
            LnDpo::default().with_divergence(divergence).into(),
        ];
        for objective in methods {
            Proof::of(objective).ratios(&[0.3, 3.0]).run();
        }
        prove(Dpo::default().with_divergence(Divergence::Alpha(2.0)));
    }
}

#[test]
fn without_a_reference() {
    prove(Dpo::default().with_reference(Reference::Uniform));
    prove(Cdpo::default().with_reference(Reference::Uniform));
    prove(Hinge::default().with_reference(Reference::Uniform));
    prove(Ipo::default().with_reference(Reference::Uniform));
}

#[test]
fn options_that_change_the_formula() {
    prove(Ipo::default().with_normalization(Normalization::Sum));
    prove(Discopop::default().with_tau(0.5));
    prove(Aot::default().with_label_smoothing(0.2));
    prove(AotUnpaired::default().with_label_smoothing(0.2));
    prove(Simpo::default().with_label_smoothing(0.1));
    prove(Alphapo::default().with_alpha(-0.5));
    prove(Alphapo::default().with_alpha(0.1).with_beta(0.1).with_normalization(Normalization::Sum));
    for averaging in [Averaging::Sequences, Averaging::Sums] {
        prove(ChosenNll::default().with_averaging(averaging));
        prove(Cpo::default().with_averaging(averaging).with_nll_weight(0.3));
    }
    prove(Orpo::default().with_likelihood(Likelihood::Completion).with_lambda(1.0));
    prove(Bco::default().with_density_ratio(Some(DensityRatio { min: 0.5, max: 10.0 })));
    prove(Kto::default().with_beta(1.0).with_desirable_weight(1.33).with_undesirable_weight(0.7));
    for link in [ConvexLink::Logistic, ConvexLink::Hinge, ConvexLink::Squared, ConvexLink::Exponential] {
        prove(Gpo::default().with_link(link));
    }
    for gamma in [0.0, 1.5] {
        prove(AttenuatedDpo::default().with_gamma(gamma));
    }
    prove(Bonbon::default().with_samples(2).with_alpha(0.5));
    prove(Hypo::default().with_kl_weight(2.0));
    prove_beta_dpo(BetaDpo::default().with_alpha(3.0).with_floor(0.5));
    prove(OfsDpo::default().with_role(Role::Slow).with_beta(0.5));
    prove(CofsDpo::default().with_beta(0.5));
    prove(Tars::default().with_beta(0.1).with_spectral_beta(0.5).with_spectral_weight(2.0));
    prove(BradleyTerry::default().with_margin(RewardMargin::Column).with_centring(0.01));
}

#[test]
fn wrappers_and_sums() {
    let boxed = |o: Objective| Box::new(o);
    prove(LdDpo::default().with_alpha(0.2).with_tempered(Tempered::Policy));
    prove(LdDpo::default().with_base(boxed(Ipo::default().into())));
    prove_wpo(Wpo::default().with_base(boxed(Sppo::default().into())));
    prove_wpo(Wpo::default().with_clip(true));
    prove(TisDpo::default().with_base(boxed(Ipo::default().into())));
    prove(Tracealign::default().with_lambda(1.0).with_sides(TracedSides::Chosen).with_base(boxed(Simpo::default().into())));
    prove(Tpo::default().with_nll_weight(0.5).with_base(boxed(Simpo::default().into())));
    prove(Xpo::default().with_alpha(0.05).with_base(boxed(Cpo::default().with_nll_weight(0.5).into())));
    let sum = |text: &str| prove(toml::from_str::<Objective>(&format!("method = 'sum'\nterms = [{text}]")).unwrap());
    sum("{weight=0.8, method='dpo'}, {weight=0.2, method='bco_pair'}, {weight=1.0, method='chosen_nll'}");
    sum("{weight=1.0, method='chosen_nll'}, {weight=0.5, method='simpo'}, {weight=0.1, method='xpo', alpha=0.5}");
    sum("{weight=1.0, method='orpo'}, {weight=0.5, method='ld_dpo'}");
    sum("{weight=1.0, method='kto'}, {weight=2.0, method='sft'}");
}
