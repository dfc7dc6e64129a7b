//! The table of methods.

use dfdx::prelude::*;
use tropism_diffusion::DiffusionError;
use tropism_diffusion::objectives::*;

use crate::common::pairs::frozen;

type Input = DiffusionInput<usize, usize, f64, Cpu>;

#[test]
fn every_method_has_its_name_source_and_options() {
    for (method, origin) in DiffusionObjective::defaults().iter().zip(ORIGINS) {
        assert_eq!(method.name(), origin.method);
        assert!(method.check().is_ok() && origin.source.contains("arXiv") && origin.file.contains("objectives"));
        assert!(!keys(method.name()).is_empty());
        let json = serde_json::to_string(method).unwrap();
        assert_eq!(&serde_json::from_str::<DiffusionObjective>(&json).unwrap(), method);
    }
    assert!(keys("dpo").is_empty());
}

#[test]
fn forms_and_enums_read_their_names() {
    let found: DiffusionObjective =
        serde_json::from_str(r#"{"method": "inversion_dpo", "form": "policy_trajectory"}"#).unwrap();
    assert_eq!((found.input(), found.needs_reference()), (DiffusionKind::PolicyPairs, false));
    let found: DiffusionObjective =
        serde_json::from_str(r#"{"method": "awm", "proxy": "uniform", "off_policy": true}"#).unwrap();
    assert_eq!(found.columns().len(), 3);
    assert!(serde_json::from_str::<DiffusionObjective>(r#"{"method": "awm", "proxy": "huge"}"#).is_err());
}

#[test]
fn a_batch_must_be_what_the_method_reads() {
    let pairs = || Input::Pairs(frozen(&[0.1], &[0.2]), frozen(&[0.1], &[0.2]));
    let dpo = DiffusionObjective::from(DiffusionDpo::default());
    assert_eq!(dpo.loss(pairs()).unwrap().values(), [2.0_f64.ln()]);
    let error = DiffusionObjective::from(DsoDro::default()).loss(pairs()).unwrap_err();
    assert_eq!(error.to_string(), "dso_dro: it reads errors of pairs without a reference and was given errors of pairs");
    let error = DiffusionObjective::from(Smpo::default()).loss(pairs()).unwrap_err();
    assert_eq!(error.to_string(), "smpo reads the column `factor`, which the batch does not have; add it to the rows");
    let extra = Columns::default().with("factor", vec![1.0]).unwrap();
    let error = dpo.loss(DiffusionBatch::from(pairs()).with_columns(extra.clone())).unwrap_err();
    assert!(matches!(error, DiffusionError::Column(_)), "{error}");
    let smoothed = DiffusionObjective::from(Smpo::default()).loss(DiffusionBatch::from(pairs()).with_columns(extra));
    assert_eq!(smoothed.unwrap().values(), [2.0_f64.ln()]);
    assert!(DiffusionObjective::from(DiffusionDpo::default().with_beta(-1.0)).loss(pairs()).is_err());
}
