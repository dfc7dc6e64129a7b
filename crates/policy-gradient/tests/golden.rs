//! The losses and advantages against the reference figures, and the checker against spoilt ones.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
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

/// The file with only the entries `ids`, changed by `change`.
fn spoilt(ids: &[&str], change: impl Fn(&mut Value)) -> String {
    let mut file: Value = serde_json::from_str(FILE).unwrap();
    let entries = file["entries"].as_array_mut().unwrap();
    entries.retain(|e| ids.contains(&e["id"].as_str().unwrap()));
    assert_eq!(entries.len(), ids.len());
    entries.iter_mut().for_each(change);
    file.to_string()
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
fn each_spoilt_number_is_found() {
    for id in
        ["grpo/grpo+kl/s1", "grpo/gspo_token/s1", "grpo/vespo/s1", "gmpo/gmpo/s1", "rloo/rloo/s1", "rloo_advantages/kl/s1"]
    {
        let file: Value = serde_json::from_str(&spoilt(&[id], |_| ())).unwrap();
        let entry = &file["entries"][0];
        let names = |part: &str| entry[part].as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let expected = names("expected").into_iter().map(|n| ("expected", n));
        for (part, name) in expected.chain(names("grad").into_iter().map(|n| ("grad", n))) {
            let report = check_losses(&spoilt(&[id], |e| nudge(&mut e[part][&name], 1e-4))).unwrap();
            assert!(!report.failures.is_empty(), "{id} {part} {name}");
            assert!(report.failures.iter().all(|f| f.id == id && f.figure.contains(&name)));
        }
    }
}

#[test]
fn options_that_are_not_read_are_not_implemented() {
    for (id, key, value) in [
        ("grpo/grpo/s0", "loss_type", json!("unknown")),
        ("grpo/grpo/s0", "importance_sampling_level", json!("turn")),
        ("grpo/grpo/s0", "some_new_option", json!(0)),
        ("grpo/grpo/s0", "beta", json!(-0.1)),
        ("grpo/cispo/s0", "delta", json!(2.0)),
        ("grpo/sapo/s0", "importance_sampling_level", json!("sequence")),
        ("gmpo/gmpo/s0", "delta", json!(2.0)),
        ("gmpo/gmpo+kl/s0", "use_bias_correction_kl", json!(true)),
        ("rloo/rloo/s0", "beta", json!(0.1)),
        ("grpo_advantages/normalize_then_sum+group/s0", "scale_rewards", json!("batch")),
        ("rloo_advantages/clip/s0", "reward_clip_range", json!([0.5])),
    ] {
        let report = check_losses(&spoilt(&[id], |e| e["params"][key] = value.clone())).unwrap();
        assert_eq!(report.not_implemented, [id], "{key} = {value}");
        assert!(report.passed.is_empty() && report.failures.is_empty());
    }
}

#[test]
fn options_that_are_read_matter() {
    for (id, key, value) in [
        ("grpo/grpo/s0", "epsilon_low", json!(0.05)),
        ("grpo/grpo/s0", "epsilon_high", json!(0.05)),
        ("grpo/grpo+kl/s0", "beta", json!(0.1)),
        ("grpo/grpo+delta/s0", "delta", json!(1.3)),
        ("grpo/grpo/s0", "importance_sampling_level", json!("sequence")),
        ("grpo/grpo/s0", "use_old_logps", json!(false)),
        ("grpo/grpo+kl/s0", "use_bias_correction_kl", json!(true)),
        ("grpo/dr_grpo/s0", "max_completion_length", json!(9)),
        ("grpo/dapo/s1", "num_items_in_batch", json!(22)),
        ("grpo/dapo/s0", "top_entropy_quantile", json!(0.5)),
        ("grpo/grpo+off_policy_mask/s0", "off_policy_mask_threshold", json!(5.0)),
        ("grpo/dapo/s0", "sampler_correction", json!(true)),
        ("grpo/sapo/s0", "temperature_neg", json!(2.0)),
        ("grpo/vespo/s0", "lambda_pos", json!(2.0)),
        ("gmpo/gmpo/s0", "epsilon_low", json!(0.1)),
        ("rloo/rloo/s0", "epsilon_low", json!(0.5)),
        ("grpo_advantages/sum_then_normalize+group/s0", "scale_rewards", json!("none")),
        ("rloo_advantages/kl/s0", "beta", json!(0.1)),
        ("rloo_advantages/plain/s0", "normalize_advantages", json!(true)),
    ] {
        let report = check_losses(&spoilt(&[id], |e| e["params"][key] = value.clone())).unwrap();
        assert!(!report.failures.is_empty(), "{id} {key}");
    }
}
