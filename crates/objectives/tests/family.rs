//! The methods by name: configuration files, options and their limits, inputs that do not fit.
#![allow(clippy::unwrap_used)]

use dfdx::prelude::*;
use tropism_core::{PairLogps, SequenceLogps};
use tropism_objectives::{Dpo, Ipo, METHODS, Normalization, Objective, ObjectiveError, Sft, Simpo, keys};

fn defaults() -> [Objective; 4] {
    [
        Objective::Sft(Sft::default()),
        Objective::Dpo(Dpo::default()),
        Objective::Ipo(Ipo::default()),
        Objective::Simpo(Simpo::default()),
    ]
}

fn parse(text: &str) -> Result<Objective, String> {
    toml::from_str(text).map_err(|e| e.to_string())
}

#[test]
fn a_name_alone_gives_the_defaults() {
    for (name, want) in METHODS.iter().zip(defaults()) {
        assert_eq!(parse(&format!("method = '{name}'")).unwrap(), want);
        assert_eq!(want.name(), *name);
        want.check().unwrap();
    }
}

#[test]
fn the_defaults_are_the_published_ones() {
    assert_eq!(Dpo::default().beta, 0.1);
    let ipo = Ipo::default();
    assert_eq!((ipo.beta, ipo.normalization), (0.1, Normalization::Mean));
    let simpo = Simpo::default();
    assert_eq!((simpo.beta, simpo.gamma_beta_ratio, simpo.label_smoothing), (2.0, 0.25, 0.0));
}

#[test]
fn options_stand_beside_the_name() {
    let text = "method = 'ipo'\nnormalization = 'sum'\nbeta = 1";
    let want = Ipo::default().with_beta(1.0).with_normalization(Normalization::Sum);
    assert_eq!(parse(text).unwrap(), Objective::Ipo(want));
    let text = "gamma_beta_ratio = 0.5\nmethod = 'simpo'\nlabel_smoothing = 0.1\nbeta = 10";
    let want = Simpo::default().with_beta(10.0).with_gamma_beta_ratio(0.5).with_label_smoothing(0.1);
    assert_eq!(parse(text).unwrap(), Objective::Simpo(want));
}

#[test]
fn unknown_names_options_and_values_are_errors() {
    for (text, part) in [
        ("beta = 0.1", "method"),
        ("method = 'dpoo'", "dpoo"),
        ("method = 'dpo'\nbetta = 0.1", "betta"),
        ("method = 'dpo'\nlabel_smoothing = 0.1", "label_smoothing"),
        ("method = 'sft'\nbeta = 0.1", "beta"),
        ("method = 'ipo'\nnormalization = 'length'", "length"),
        ("method = 'simpo'\nsimpo_gamma = 0.5", "simpo_gamma"),
        ("method = 'dpo'\nbeta = 'small'", "small"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn configurations_survive_toml_and_json() {
    for objective in defaults() {
        let toml = toml::to_string(&objective).unwrap();
        assert_eq!(parse(&toml).unwrap(), objective);
        let json = serde_json::to_string(&objective).unwrap();
        assert_eq!(serde_json::from_str::<Objective>(&json).unwrap(), objective);
    }
}

#[test]
fn listed_keys_are_the_keys_of_the_configuration() {
    for objective in defaults() {
        let json = serde_json::to_value(&objective).unwrap();
        let mut found: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        found.retain(|key| *key != "method");
        let mut listed = keys(objective.name()).to_vec();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }
    assert!(keys("dpoo").is_empty());
}

#[test]
fn bad_values_are_named() {
    let bad = |objective: Objective, key: &str| match objective.check().unwrap_err() {
        ObjectiveError::Config { method, key: found, .. } => {
            assert_eq!((method, found), (objective.name(), key));
        }
        other => panic!("{other}"),
    };
    for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        bad(Objective::Dpo(Dpo::default().with_beta(beta)), "beta");
        bad(Objective::Ipo(Ipo::default().with_beta(beta)), "beta");
        bad(Objective::Simpo(Simpo::default().with_beta(beta)), "beta");
    }
    for ratio in [-0.1, f64::NAN, f64::INFINITY] {
        bad(Objective::Simpo(Simpo::default().with_gamma_beta_ratio(ratio)), "gamma_beta_ratio");
    }
    for epsilon in [-0.1, 0.5, 1.0, f64::NAN] {
        bad(Objective::Simpo(Simpo::default().with_label_smoothing(epsilon)), "label_smoothing");
    }
    let message = Dpo::default().with_beta(-1.0).check().unwrap_err().to_string();
    assert_eq!(message, "dpo: `beta` is -1; it must be positive and finite");
}

fn pairs() -> PairLogps<Const<1>, f64, Cpu> {
    let dev = Cpu::default();
    PairLogps::new(dev.tensor([-10.0]), dev.tensor([-12.0]), &[5], &[8]).unwrap()
}

#[test]
fn inputs_must_fit_the_method() {
    for objective in defaults() {
        let (pair, reference) = (objective.is_pairwise(), objective.needs_reference());
        let with = objective.pair_loss(pairs(), Some(pairs()));
        let without = objective.pair_loss(pairs(), None);
        assert_eq!(with.is_ok(), pair && reference);
        assert_eq!(without.is_ok(), pair && !reference);
        let single = SequenceLogps::new(Cpu::default().tensor([-3.0_f64]), &[2]).unwrap();
        assert_eq!(objective.sequence_loss(single).is_ok(), !pair);
    }
    let dpo = Objective::Dpo(Dpo::default());
    let simpo = Objective::Simpo(Simpo::default());
    let sft = Objective::Sft(Sft::default());
    let error = |r: Result<_, ObjectiveError>| r.map(|_: tropism_core::LossTerms<_, _, _, _>| ()).unwrap_err();
    assert_eq!(error(dpo.pair_loss(pairs(), None)), ObjectiveError::MissingReference { method: "dpo" });
    let unused = error(simpo.pair_loss(pairs(), Some(pairs())));
    assert_eq!(unused, ObjectiveError::UnusedReference { method: "simpo" });
    assert_eq!(error(sft.pair_loss(pairs(), None)), ObjectiveError::NotPairwise { method: "sft" });
}

#[test]
fn losses_check_their_options_and_references() {
    let dev = Cpu::default();
    let dpo = |config: Dpo, reference| Objective::Dpo(config).pair_loss(pairs(), Some(reference));
    assert!(matches!(dpo(Dpo::default().with_beta(0.0), pairs()), Err(ObjectiveError::Config { .. })));
    let other = PairLogps::new(dev.tensor([-10.0]), dev.tensor([-12.0]), &[5], &[9]).unwrap();
    let uneven = dpo(Dpo::default(), other).map(|_| ()).unwrap_err();
    let want = ObjectiveError::UnevenLengths { side: "rejected", row: 0, policy: 8.0, reference: 9.0 };
    assert_eq!(uneven, want);
    let rows = |n: usize| {
        let logps = || dev.tensor_from_vec(vec![-1.0_f64; n], (n,));
        PairLogps::new(logps(), logps(), &vec![1; n], &vec![1; n]).unwrap()
    };
    let ragged = Objective::Ipo(Ipo::default()).pair_loss(rows(2), Some(rows(3)));
    assert!(matches!(ragged, Err(ObjectiveError::Core(_))));
}
