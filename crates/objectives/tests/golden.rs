//! The losses against the reference figures, and the checker against spoilt ones.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tropism_objectives::golden::{GoldenError, check_losses, passed_by_method};

const FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/losses.json"));

/// One entry of each way to compute figures.
const SAMPLES: [&str; 17] = [
    "dpo/sigmoid",
    "dpo/ipo",
    "dpo/sft",
    "dpo/aot",
    "dpo/mpo",
    "dpo/ipo+ld_alpha",
    "dpo/nca_pair+wpo",
    "dpo_legacy/ipo_sum",
    "cpo/simpo+label_smoothing",
    "cpo/cpo_ipo",
    "orpo/orpo",
    "tpo/tpo-l",
    "kto/kto",
    "bco/bco+density_ratio",
    "reward/margin+center",
    "xpo/xpo_sigmoid",
    "nash_md/nash_md",
];

/// The file with only the entries `ids`, changed by `change`.
fn spoilt(ids: &[&str], change: impl Fn(&mut Value)) -> String {
    let mut file: Value = serde_json::from_str(FILE).unwrap();
    let entries = file["entries"].as_array_mut().unwrap();
    entries.retain(|e| ids.contains(&e["id"].as_str().unwrap()));
    assert_eq!(entries.len(), ids.len());
    entries.iter_mut().for_each(change);
    file.to_string()
}

/// Families of this crate with the entries that the file has of them.
const FAMILIES: [(&str, usize); 11] = [
    ("dpo", 179),
    ("dpo_legacy", 16),
    ("cpo", 44),
    ("orpo", 4),
    ("tpo", 16),
    ("kto", 12),
    ("bco", 11),
    ("reward", 12),
    ("xpo", 8),
    ("nash_md", 4),
    ("a2po", 4),
];

#[test]
fn every_entry_of_every_family_agrees() {
    let report = check_losses(FILE).unwrap();
    assert_eq!(report.failures, []);
    let of = |ids: &[String], family: &str| ids.iter().filter(|id| id.split('/').next() == Some(family)).count();
    for (family, entries) in FAMILIES {
        assert_eq!((of(&report.passed, family), of(&report.not_implemented, family)), (entries, 0), "{family}");
    }
    let whole: usize = FAMILIES.iter().map(|f| f.1).sum();
    assert_eq!((report.passed.len(), report.not_implemented.len()), (whole, 506 - whole));
    assert!(report.compared >= 45000, "{}", report.compared);
    // The trainers behind these figures log rewards that the loss does not define.
    let other = ["dpo/sft/", "dpo_legacy/reference_free/"];
    assert!(report.uncompared.iter().all(|name| other.iter().any(|o| name.starts_with(o))));
    assert_eq!(report.uncompared.len(), 2 * 4 * 4);
}

#[test]
fn each_spoilt_number_is_found() {
    for id in SAMPLES.map(|id| format!("{id}/s1")) {
        let file: Value = serde_json::from_str(&spoilt(&[&id], |_| ())).unwrap();
        let entry = &file["entries"][0];
        let names = |part: &str| entry[part].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let expected = names("expected").into_iter().map(|n| ("expected", n));
        for (part, name) in expected.chain(names("grad").into_iter().map(|n| ("grad", n))) {
            let undefined = id.starts_with("dpo/sft")
                && ["rewards_chosen", "rewards_rejected", "margins", "accuracies"].contains(&name.as_str())
                && part == "expected";
            let json = spoilt(&[&id], |e| nudge(&mut e[part][&name], 1e-4));
            let report = check_losses(&json).unwrap();
            assert_eq!(report.failures.is_empty(), undefined, "{id} {part} {name}");
            assert!(report.failures.iter().all(|f| f.id == id && f.figure.contains(&name)));
        }
    }
}

/// Moves the first number in `value` up by `by`.
fn nudge(value: &mut Value, by: f64) {
    match value {
        Value::Object(table) => table.values_mut().for_each(|v| nudge(v, by)),
        Value::Array(items) => nudge(&mut items[0], by),
        number => *number = json!(number.as_f64().unwrap() + by),
    }
}

#[test]
fn tolerances_differ_by_dtype() {
    let json = spoilt(&["dpo/sigmoid/s0"], |e| nudge(&mut e["expected"]["loss"], 1e-7));
    let report = check_losses(&json).unwrap();
    let figures: Vec<&str> = report.failures.iter().map(|f| f.figure.as_str()).collect();
    assert_eq!(figures, ["f64 loss[0]"]);
    assert_eq!(report.passed, Vec::<String>::new());
    let json = spoilt(&["dpo/sigmoid/s0"], |e| nudge(&mut e["expected"]["loss"], 1e-11));
    assert_eq!(check_losses(&json).unwrap().passed, ["dpo/sigmoid/s0"]);
}

#[test]
fn options_that_are_not_read_are_not_implemented() {
    let cases = [
        ("dpo/sigmoid/s0", "f_alpha_divergence_coef", json!(0.7)),
        ("dpo/sigmoid/s0", "label_smoothing", json!(0.1)),
        ("dpo/sigmoid/s0", "loss_weights", json!([0.5])),
        ("dpo/sigmoid/s0", "discopop_tau", json!(0.5)),
        ("dpo/apo_zero/s0", "f_divergence_type", json!("forward_kl")),
        ("dpo/sigmoid/s0", "f_divergence_type", json!("chi_squared")),
        ("dpo/sigmoid/s0", "loss_type", json!(["sigmoid", "unknown"])),
        ("cpo/cpo_hinge/s0", "label_smoothing", json!(0.1)),
        ("cpo/cpo/s0", "simpo_gamma", json!(0.7)),
        ("tpo/hinge/s0", "label_smoothing", json!(0.1)),
        ("bco/bco+density_ratio/s0", "max_density_ratio", json!(null)),
        ("dpo/sigmoid/s0", "some_new_option", json!(0)),
        ("dpo/sigmoid/s0", "beta", json!(-0.1)),
        ("cpo/simpo/s0", "label_smoothing", json!(0.5)),
        ("cpo/simpo/s0", "simpo_gamma", json!(null)),
    ];
    for (id, key, value) in cases {
        let report = check_losses(&spoilt(&[id], |e| e["params"][key] = value.clone())).unwrap();
        assert_eq!(report.not_implemented, [id], "{key} = {value}");
        assert!(report.passed.is_empty() && report.failures.is_empty());
    }
    let missing = spoilt(&["cpo/simpo/s0"], |e| {
        e["params"].as_object_mut().unwrap().remove("cpo_alpha");
    });
    assert_eq!(check_losses(&missing).unwrap().not_implemented, ["cpo/simpo/s0"]);
}

#[test]
fn options_that_are_read_matter() {
    for (id, key, value) in [
        ("dpo/sigmoid/s0", "beta", json!(0.2)),
        ("dpo/ipo/s0", "beta", json!(0.2)),
        ("cpo/simpo/s0", "beta", json!(2.5)),
        ("cpo/simpo/s0", "simpo_gamma", json!(0.6)),
        ("cpo/simpo/s0", "label_smoothing", json!(0.1)),
        ("cpo/simpo/s0", "alpha", json!(0.25)),
        ("cpo/simpo/s0", "cpo_alpha", json!(0.5)),
        ("dpo/sigmoid/s0", "ld_alpha", json!(0.5)),
        ("dpo/sigmoid/s0", "use_weighting", json!(true)),
        ("dpo/sigmoid/s0", "f_divergence_type", json!("forward_kl")),
        ("dpo/sigmoid/s0", "loss_type", json!(["sigmoid", "sft"])),
        ("dpo/rpo/s0", "loss_weights", json!([1.0, 0.5])),
        ("dpo_legacy/ipo_sum/s0", "reference_free", json!(true)),
        ("orpo/orpo/s0", "beta", json!(0.2)),
        ("tpo/sigmoid/s0", "tpo_alpha", json!(0.5)),
        ("kto/kto/s0", "undesirable_weight", json!(0.5)),
        ("bco/bco/s0", "beta", json!(0.2)),
        ("reward/margin/s0", "use_margin", json!(false)),
        ("xpo/xpo_ipo/s0", "alpha", json!(0.1)),
        ("nash_md/nash_md/s0", "beta", json!(0.2)),
        ("a2po/a2po/s0", "beta2", json!(0.2)),
    ] {
        let report = check_losses(&spoilt(&[id], |e| e["params"][key] = value.clone())).unwrap();
        assert!(!report.failures.is_empty(), "{id} {key}");
    }
}

#[test]
fn an_entry_without_figures_has_not_passed() {
    let json = spoilt(&["dpo/sigmoid/s0"], |e| {
        e["expected"] = json!({});
        e["grad"] = json!({});
    });
    let report = check_losses(&json).unwrap();
    assert_eq!((report.passed.len(), report.failures.len(), report.compared), (0, 1, 0));
    let json = spoilt(&["dpo/sigmoid/s0"], |e| e["expected"]["loss"] = json!(null));
    assert!(!check_losses(&json).unwrap().failures.is_empty());
    let json = spoilt(&["dpo/sigmoid/s0"], |e| e["expected"]["margins"] = json!([0.0]));
    assert!(check_losses(&json).unwrap().failures.iter().any(|f| f.figure.contains("elements")));
}

#[test]
fn bad_files_are_errors() {
    assert!(matches!(check_losses("{"), Err(GoldenError::Json(_))));
    let lost = spoilt(&["dpo/sigmoid/s0"], |e| e["inputs"] = json!("pair/s9"));
    assert!(matches!(check_losses(&lost), Err(GoldenError::Input { key, .. }) if key == "pair/s9"));
    let mut file: Value = serde_json::from_str(&spoilt(&["dpo/sigmoid/s0"], |_| ())).unwrap();
    file["inputs"]["pair/s0"]["chosen_mask"] = json!([[1], [1, 0]]);
    assert!(matches!(check_losses(&file.to_string()), Err(GoldenError::Input { key, .. }) if key == "chosen_mask"));
    file["inputs"]["pair/s0"]["chosen_mask"] = json!([[1]]);
    let report = check_losses(&file.to_string()).unwrap();
    assert!(report.failures.iter().all(|f| f.found.is_nan()) && !report.failures.is_empty());
}

#[test]
fn passed_entries_are_counted_for_every_method_that_has_a_part_in_them() {
    let counts = passed_by_method(&spoilt(&["dpo/sigmoid/s0", "dpo/mpo/s1"], |_| ())).unwrap();
    let of = |name: &str| counts.get(name).copied();
    assert_eq!((of("dpo"), of("bco_pair"), of("sum"), of("aot")), (Some(2), Some(1), Some(1), None));
    let wrong = spoilt(&["dpo/sigmoid/s0"], |e| nudge(&mut e["expected"]["loss"], 1e-4));
    assert!(passed_by_method(&wrong).unwrap().is_empty());
}
