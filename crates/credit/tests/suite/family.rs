//! The table of losses: names, options, and what a batch must be.

use crate::common::plain::{Plain, Rng};
use crate::common::solve::solve;
use crate::common::{pair, row};
use dfdx::prelude::*;
use tropism_core::{ColumnError, Columns, PairTokens, TokenLogps};
use tropism_credit::*;

type Batch = CreditBatch<usize, usize, f64, Cpu>;

fn batch() -> Batch {
    let pairs = pair(&[-1.0, -2.0], &[-0.5]);
    CreditInput::PairTokens(pairs.clone(), pairs).into()
}

#[test]
fn names_and_keys_are_those_of_the_defaults() {
    let defaults = Credit::defaults();
    assert_eq!(defaults.iter().map(Credit::name).collect::<Vec<_>>(), METHODS);
    for credit in defaults {
        let read: Credit = toml::from_str(&format!("method = '{}'", credit.name())).unwrap();
        assert_eq!(read, credit);
        assert_eq!(toml::from_str::<Credit>(&toml::to_string(&credit).unwrap()).unwrap(), credit);
        assert!(keys(credit.name()).contains(&"beta"));
        assert!(credit.check().is_ok());
        let unknown = toml::from_str::<Credit>(&format!("method = '{}'\nbetta = 1.0", credit.name()));
        assert!(unknown.unwrap_err().to_string().contains("betta"));
        let bad = toml::from_str::<Credit>(&format!("method = '{}'\nbeta = -1.0", credit.name())).unwrap();
        let error = bad.check().unwrap_err().to_string();
        assert_eq!(error, format!("{}: `beta` is -1; it must be positive and finite", credit.name()));
    }
    assert!(keys("dpo").is_empty());
}

#[test]
fn other_kinds_and_columns_are_refused() {
    let loss = |text: &str, batch: Batch| toml::from_str::<Credit>(text).unwrap().loss(batch).unwrap_err();
    let error = loss("method = 'tdpo1'", batch());
    assert_eq!(error.to_string(), "tdpo1 reads pairs with divergences and was given pairs by token");
    let error = loss("method = 'tgdpo'", batch());
    let want = "tgdpo reads the column `guide_logps/chosen`, which the batch does not have; add it to the rows";
    assert_eq!(error.to_string(), want);
    let columns = Columns::default().with("guide_logps/chosen", vec![-1.0; 2]).unwrap();
    let error = loss("method = 'token_dpo'", batch().with_columns(columns.clone()));
    assert_eq!(error.to_string(), "token_dpo does not read the column `guide_logps/chosen`; leave it out");
    let columns = columns.with("guide_logps/rejected", vec![-1.0; 3]).unwrap();
    let error = loss("method = 'tgdpo'", batch().with_columns(columns));
    assert!(matches!(error, CreditError::Column(ColumnError::Core(_))), "{error}");
}

#[test]
fn empty_completions_score_nothing() {
    let side = |mask: &[bool]| TokenLogps::new(row(&[-1.0, -2.0]), mask).unwrap();
    let pairs = PairTokens::new(side(&[false; 2]), side(&[true, true])).unwrap();
    let reference = pairs.clone();
    let terms = token_dpo(pairs, reference, &TokenDpo::default()).unwrap();
    assert_eq!((terms.values()[0], terms.diagnostics.get("lengths/chosen")), (2.0_f64.ln(), Some([0.0].as_slice())));
}

/// One method by its name gives what its function gives, for every kind of input.
#[test]
fn names_reach_the_functions() {
    let mut rng = Rng(1);
    for credit in Credit::defaults() {
        let plain = Plain::random(&credit, 4, 3.0, &mut rng);
        let named: Credit = toml::from_str(&toml::to_string(&credit).unwrap()).unwrap();
        let (a, b) = (solve::<f64>(&credit, &plain, None), solve::<f64>(&named, &plain, None));
        assert_eq!((a.loss, a.grads), (b.loss, b.grads));
    }
}
