//! Runs whose stages make their rows of fresh samples, or learn from revisions.
use crate::common::{experiment, text};
use crate::json;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Every kind of such a stage in one run, on a model that is too small to learn much.
const ALL: &str = r#"
name = "fresh"
[data]
test_fraction = 0.2
max_length = 96
[world]
samples = 80
pairs = 40
test_pairs = 10
[model.new]
vocab_size = 300
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
num_key_value_heads = 1
max_position_embeddings = 320
tie_word_embeddings = false
[evaluation]
prompts = 6
answers_per_prompt = 2
sampling = { max_new_tokens = 8 }
[revision]
rounds = 1
[[stages]]
name = "sft"
objective = { method = "sft" }
learning_rate = 3e-3
batch_size = 8
[[stages]]
name = "srpo"
init = "sft"
objective = { method = "srpo" }
learning_rate = 1e-3
batch_size = 8
max_steps = 2
[[stages]]
name = "selm"
init = "sft"
learning_rate = 1e-3
batch_size = 4
max_steps = 3
checkpoint_every = 2
[stages.online_preference]
objective = { method = "selm", alpha = 0.1 }
data_completions = true
reference_every = 2
rollout = { group = 1, max_new_tokens = 8 }
rewards.world = { function = { type = "world" } }
[[stages]]
name = "dpa"
init = "sft"
learning_rate = 1e-3
batch_size = 4
max_steps = 3
[stages.rejection_sampling]
objective = { method = "sft" }
rollout = { group = 2, max_new_tokens = 8 }
rewards.correct = { function = { type = "correct" } }
rewards.brevity = { function = { type = "token_length", capacity = 8 } }
directions = { rewards = ["correct", "brevity"], angles = [-45, 0, 45], plain_steps = 1 }
[[stages]]
name = "mah"
init = "sft"
learning_rate = 1e-3
batch_size = 4
max_steps = 3
micro_batch_tokens = 16384
[stages.online_preference]
objective = { method = "mah_dpo" }
heads = { noise = 1e-3 }
rollout = { group = 2, max_new_tokens = 8 }
rewards.correct = { function = { type = "correct" } }
rewards.brevity = { function = { type = "token_length", capacity = 8 } }
[[comparisons]]
stage = "mah"
baseline = "sft"
[[comparisons]]
stage = "dpa"
baseline = "model"
"#;

fn go(dir: &Path, name: &str, text: &str, sets: &[&str]) -> Output {
    experiment(dir, text, name, sets)
}

#[test]
fn every_kind_of_fresh_stage_runs_is_measured_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let result = go(dir.path(), "out", ALL, &[]);
    assert!(result.status.success(), "{}", text(&result.stderr));
    let out = dir.path().join("out");
    let summary = json(out.join("summary.json"));
    let stages = summary["stages"].as_array().unwrap();
    let names = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    for stage in stages {
        for name in [
            "revision/1/reward",
            "revision/1/accuracy",
            "direction/-45/weighted",
            "direction/45/brevity",
            "mix/0.25:0.75/weighted",
        ] {
            assert!(names(&stage["metrics"]).contains(name), "{}: {name}", stage["name"]);
        }
    }
    let comparisons = summary["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 2);
    for (c, stage, baseline) in [(&comparisons[0], "mah", "sft"), (&comparisons[1], "dpa", "model")] {
        assert_eq!((&c["stage"], &c["baseline"]), (&Value::from(stage), &Value::from(baseline)));
        for name in ["win_rate", "accuracy_gain", "reward_gain", "mix/1:0/weighted_gain", "direction/0/correct_gain"] {
            let e = &c["metrics"][name];
            let get = |k: &str| e[k].as_f64().unwrap_or_else(|| panic!("{name}.{k}"));
            assert!(get("low") <= get("value") && get("value") <= get("high"), "{name}: {e}");
        }
    }
    let printed = text(&result.stdout);
    assert!(printed.contains("mah against sft") && printed.contains("accuracy_gain"), "{printed}");
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.contains("mah against sft") && html.contains("direction/-45/weighted_gain"));
    let audit = json(out.join("audit.json"));
    assert_eq!(audit["questions of pairs"]["kept"], 40);
    assert_eq!(audit["revisions"]["kept"], 40);
    assert_eq!(audit["questions of dpa"]["kept"].as_u64(), audit["questions"]["kept"].as_u64().map(|n| 3 * n));
    for file in
        ["stages/mah/heads/language_heads.safetensors", "stages/mah/heads/model.safetensors", "stages/mah/model.safetensors"]
    {
        assert!(out.join(file).is_file(), "{file}");
    }
}

#[test]
fn what_fresh_stages_cannot_do_is_named_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let said = |sets: &[&str]| {
        let result = go(dir.path(), "out", ALL, sets);
        assert!(!result.status.success() && !dir.path().join("out").exists(), "{sets:?}");
        text(&result.stderr).split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ")
    };
    let cases: [(&[&str], &str); 10] = [
        (&["comparisons=[{ stage = 'mha', baseline = 'sft' }]"], "did you mean `mah`?"),
        (&["comparisons=[{ stage = 'mah', baseline = 'mah' }]"], "compared with itself"),
        (&["comparisons=[{ stage = 'mah', base = 'sft' }]"], "unknown key `comparisons.?.base`"),
        (&["evaluation.prompts=0"], "`evaluation.prompts` is 0"),
        (&["revision.request=' '"], "`revision.request` is empty"),
        (&["revision.round=1"], "did you mean `rounds`?"),
        (&["model.new.tie_word_embeddings=true"], "tie_word_embeddings = false"),
        (&["stages.dpa.rejection_sampling.directions.rewards=['correct', 'long']"], "names `long`, which is no reward"),
        (&["stages.dpa.rejection_sampling.heads={}"], "pairs of sft have no objective"),
        (&["stages.selm.online_preference.pairs={ choose = 'all' }"], "rows of selm are not made by it"),
    ];
    for (sets, want) in cases {
        let found = said(sets);
        assert!(found.contains(want), "{sets:?}: {found}");
    }
    let without = ALL.replace("[revision]\nrounds = 1\n", "");
    let result = go(dir.path(), "out", &without, &[]);
    assert!(text(&result.stderr).contains("`revision` is not set"), "{}", text(&result.stderr));
}
