//! Runs in worlds that answer back.
use crate::common::{TINY, experiment, lines, text};
use crate::json;
use serde_json::Value;
use std::path::Path;

/// Searches, by a model that is too small to learn them.
const LOOKUP: &str = r#"
name = "agents"
[data]
test_fraction = 0.2
max_length = 192
[world]
samples = 120
pairs = 0
test_pairs = 0
[world.lookup]
people = 5
[model.new]
vocab_size = 384
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
num_key_value_heads = 1
max_position_embeddings = 192
[evaluation]
prompts = 4
answers_per_prompt = 2
turn_tokens = 16
sampling = { max_new_tokens = 100 }
[[stages]]
name = "sft"
objective = { method = "sft" }
learning_rate = 1e-2
epochs = 4
batch_size = 4
[[stages]]
name = "grpo"
learning_rate = 1e-3
batch_size = 3
max_steps = 4
checkpoint_every = 1
[stages.policy_gradient]
loss = { method = "grpo" }
advantages = { method = "turn_mixture" }
rollout = { group = 4, max_new_tokens = 100, turn_tokens = 16 }
rewards.correct = { function = { type = "correct" } }
rewards.found = { weight = 0.0, function = { type = "aspect", aspect = "found" } }
"#;

fn go(dir: &Path, name: &str, sets: &[&str]) -> std::process::Output {
    experiment(dir, LOOKUP, name, sets)
}

#[test]
fn agents_are_trained_and_measured_by_their_episodes() {
    let dir = tempfile::tempdir().unwrap();
    let result = go(dir.path(), "run", &[]);
    assert!(result.status.success(), "{}", text(&result.stderr));
    let summary = json(dir.path().join("run/summary.json"));
    for metric in ["accuracy", "reward", "aspects/found", "aspects/solved", "episodes/mean_turns", "kl", "entropy"] {
        assert!(summary["final"][metric]["value"].is_number(), "{metric}: {}", summary["final"]);
    }
    let all = lines(&dir.path().join("run"));
    let steps: Vec<&Value> = all.iter().filter(|l| l["stage"] == "grpo").collect();
    assert_eq!(steps.len(), 4);
    for name in ["episodes/mean_turns", "rewards/found/mean", "turn_rewards/mean"] {
        assert!(steps.iter().all(|s| s[name].is_number()), "{name}: {}", steps[0]);
    }
    let found = json(dir.path().join("run/stages/grpo/result.json"));
    let answers = found["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 8);
    for a in answers {
        // each turn and each reply stand in the transcript
        let (shown, turns) = (a["text"].as_str().unwrap(), a["turns"].as_array().unwrap());
        assert!(turns.iter().all(|t| shown.contains(t.as_str().unwrap())), "{a}");
        let given = a["given"].as_array().map_or(0, Vec::len);
        assert!(given + 1 == turns.len() || given == turns.len(), "{a}");
    }
    assert!(dir.path().join("run/report.html").is_file());
}

#[test]
fn one_world_by_one_set_and_what_does_not_go_together_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let said = |name: &str, sets: &[&str]| {
        let result = go(dir.path(), name, sets);
        assert!(!result.status.success(), "{name} ran");
        text(&result.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let error = said("both", &["world.sokoban={}"]);
    assert!(error.contains("both set"), "{error}");
    let error = said("pairs", &["world.pairs=10"]);
    assert!(error.contains("world.pairs = 0"), "{error}");
    let error = said("unset", &["stages.grpo.policy_gradient.rollout.max_new_tokens=1000"]);
    assert!(error.contains("no prompts"), "{error}");
    let error = said("revision", &["revision={}"]);
    assert!(error.contains("one turn"), "{error}");
    let result = experiment(dir.path(), TINY, "arithmetic", &["evaluation.turn_tokens=5"]);
    assert!(text(&result.stderr).contains("answers have one turn here"), "{}", text(&result.stderr));
    let error = said("people", &["world.lookup.people=1"]);
    assert!(error.contains("`people` is 1"), "{error}");
}
