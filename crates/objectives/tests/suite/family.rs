//! The methods by name: configuration files, options and their limits, inputs that do not fit.

use dfdx::prelude::*;
use tropism_core::{Columns, LossTerms, PairLogps, SequenceLogps};
use tropism_objectives::*;

/// All methods that are complete by default.
fn defaults() -> Vec<Objective> {
    Objective::defaults().into_iter().filter(|o| o.name() != Sum::NAME).collect()
}

fn parse(text: &str) -> Result<Objective, String> {
    toml::from_str(text).map_err(|e| e.to_string())
}

#[test]
fn a_name_alone_gives_the_defaults() {
    for (name, want) in METHODS.iter().zip(Objective::defaults()) {
        assert_eq!(parse(&format!("method = '{name}'")).unwrap(), want);
        assert_eq!(want.name(), *name);
        assert_eq!(want.check().is_ok(), *name != Sum::NAME);
    }
    assert_eq!(METHODS.len(), Objective::defaults().len());
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
    for objective in Objective::defaults() {
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
        let plain = pair && objective.columns().is_empty();
        let with = objective.pair_loss(pairs(), Some(pairs()));
        let without = objective.pair_loss(pairs(), None);
        assert_eq!(with.is_ok(), plain && reference, "{}", objective.name());
        assert_eq!(without.is_ok(), plain && !reference, "{}", objective.name());
        let single = SequenceLogps::new(Cpu::default().tensor([-3.0_f64]), &[2]).unwrap();
        let single = objective.sequence_loss(single).is_ok();
        assert_eq!(single, objective.input() == InputKind::Completions && !reference, "{}", objective.name());
    }
    let error = |r: Result<LossTerms<_, f64, Cpu>, ObjectiveError>| r.map(|_| ()).unwrap_err();
    let missing = error(Objective::from(Dpo::default()).pair_loss(pairs(), None));
    assert_eq!(missing, ObjectiveError::MissingReference { method: "dpo" });
    let unused = error(Objective::from(Simpo::default()).pair_loss(pairs(), Some(pairs())));
    assert_eq!(unused, ObjectiveError::UnusedReference { method: "simpo" });
    let wrong = error(Objective::from(Sft::default()).pair_loss(pairs(), None)).to_string();
    assert_eq!(wrong, "sft reads single completions and was given pairs");
}

#[test]
fn constants_must_fit_the_method() {
    let xpo = |columns: Columns| {
        let batch = Batch::<_, usize, _, _, _>::pairs(pairs(), Some(pairs())).with_columns(columns);
        Objective::from(Xpo::default()).loss(batch).map(|_| ()).map_err(|e| e.to_string())
    };
    let won = |values: &[f64]| Columns::default().with("policy_sample_chosen", values.to_vec()).unwrap();
    assert_eq!(xpo(won(&[1.0])), Ok(()));
    for (columns, part) in [
        (Columns::default(), "reads the column `policy_sample_chosen`"),
        (won(&[1.0, 0.0]), "policy_sample_chosen has 2 entries where 1 are needed"),
        (won(&[0.5]), "entry 0 of the column `policy_sample_chosen` is 0.5; it must be 0 or 1"),
        (won(&[1.0]).with("margin", vec![0.0]).unwrap(), "does not read the column `margin`"),
    ] {
        let error = xpo(columns).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn combinations_are_parsed_and_checked() {
    let text =
        "method = 'sum'\nterms = [{ weight = 1, method = 'dpo', beta = 0.2 }, { weight = 0.5, method = 'chosen_nll' }]";
    let want = Sum::default().with_terms(vec![
        Term { weight: 1.0, objective: Dpo::default().with_beta(0.2).into() },
        Term { weight: 0.5, objective: ChosenNll::default().into() },
    ]);
    let sum = parse(text).unwrap();
    assert_eq!(sum, want.into());
    assert_eq!(parse(&toml::to_string(&sum).unwrap()).unwrap(), sum);
    for (terms, part) in [
        ("", "is empty"),
        ("{ weight = 1.0, method = 'dpo' }, { weight = 1.0, method = 'sft' }", "mixes dpo, which reads pairs, and sft"),
        ("{ weight = nan, method = 'dpo' }", "`weight` is NaN"),
        ("{ weight = 1.0, method = 'dpo', beta = -1.0 }", "dpo: `beta` is -1"),
    ] {
        let error = parse(&format!("method = 'sum'\nterms = [{terms}]")).unwrap().check().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    for (terms, part) in [
        ("{ weight = 1.0, method = 'dpo', betta = 0.1 }", "betta"),
        ("{ method = 'dpo' }", "weight"),
        ("{ weight = 1.0, method = 'dpoo' }", "dpoo"),
    ] {
        let error = parse(&format!("method = 'sum'\nterms = [{terms}]")).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let error = parse("method = 'ld_dpo'\nbase = { method = 'sft' }").unwrap().check().unwrap_err().to_string();
    assert_eq!(error, "ld_dpo: `base` is sft, which reads single completions; take a method that reads pairs");
    let error = parse("method = 'tpo'\nbase = { method = 'dpo' }").unwrap().check().unwrap_err().to_string();
    assert!(error.contains("reads a reference model"), "{error}");
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
