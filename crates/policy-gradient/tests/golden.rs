//! The losses and advantages against the reference figures, and the checker against spoilt ones.
#![allow(clippy::unwrap_used)]

use tropism_policy_gradient::golden::check_losses;

const FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/losses.json"));

/// Families of this crate with the entries that the file has of them.
const FAMILIES: [(&str, usize); 5] =
    [("grpo", 148), ("gmpo", 8), ("rloo", 8), ("grpo_advantages", 16), ("rloo_advantages", 16)];

#[test]
fn every_entry_of_every_family_agrees() {
    let report = check_losses(FILE).unwrap();
    assert_eq!(report.failures, []);
    let of = |ids: &[String], family: &str| ids.iter().filter(|id| id.split('/').next() == Some(family)).count();
    for (family, entries) in FAMILIES {
        assert_eq!((of(&report.passed, family), of(&report.not_implemented, family)), (entries, 0), "{family}");
    }
    assert_eq!(report.uncompared, Vec::<String>::new());
    assert!(report.compared >= 16900, "{}", report.compared);
}
