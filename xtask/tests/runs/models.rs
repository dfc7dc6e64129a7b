//! Runs whose stages read models that earlier stages made: reward models, guides, teachers.
use crate::common::{command, experiment, lines, text};
use crate::json;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

/// All stages on a model that is too small to learn anything.
const ALL: &str = r#"
name = "all"
[data]
test_fraction = 0.2
max_length = 96
[world]
samples = 80
pairs = 48
test_pairs = 20
[world.arithmetic.chains]
operands = [2, 2, 3]
tasks = 30
[world.arithmetic.mix]
terse = 0.5
reasoned = 0.5
[model.new]
vocab_size = 300
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
num_key_value_heads = 1
max_position_embeddings = 160
[evaluation]
prompts = 6
sampling = { max_new_tokens = 8 }
[[stages]]
name = "sft"
objective = { method = "sft" }
learning_rate = 3e-3
batch_size = 8
[[stages]]
name = "dpo"
init = "sft"
objective = { method = "dpo" }
learning_rate = 1e-3
batch_size = 8
[[stages]]
name = "reverse"
init = "sft"
objective = { method = "dpo" }
swap_pairs = true
learning_rate = 1e-3
batch_size = 8
[[stages]]
name = "rm"
init = "sft"
learning_rate = 1e-3
batch_size = 8
checkpoint_every = 2
reward_model = { loss = { centring = 0.01 } }
[[stages]]
name = "distil"
init = "sft"
learning_rate = 1e-3
batch_size = 8
checkpoint_every = 2
distil = { favoured = "dpo", other = "reverse" }
[[stages]]
name = "distil_on"
init = "sft"
learning_rate = 1e-3
batch_size = 4
max_steps = 3
distil = { favoured = "dpo", other = "reverse", rollout = { max_new_tokens = 8 } }
[[stages]]
name = "rto"
init = "sft"
learning_rate = 1e-3
batch_size = 4
max_steps = 3
[stages.policy_gradient]
loss = { method = "ppo" }
rollout = { group = 1, max_new_tokens = 8 }
token_rewards = { model = "dpo" }
rewards.score = { function = { type = "model", stage = "rm", normalize = true } }
[[stages]]
name = "oprl"
init = "sft"
learning_rate = 1e-3
batch_size = 3
max_steps = 12
checkpoint_every = 1
[stages.policy_gradient]
loss = { method = "grpo" }
rollout = { group = 4, max_new_tokens = 8 }
process_rewards = { learning_rate = 1e-3, loss = { pairing = "ranked" } }
rewards.score = { function = { type = "model", stage = "rm" } }
rewards.correct = { weight = 0.0, function = { type = "correct" } }
[[comparisons]]
stage = "oprl"
baseline = "rto"
"#;

fn go(dir: &Path, name: &str, sets: &[&str]) -> Output {
    experiment(dir, ALL, name, sets)
}

#[test]
fn stages_read_what_earlier_ones_made_and_a_killed_run_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let result = go(dir.path(), "whole", &[]);
    assert!(result.status.success(), "{}", text(&result.stderr));
    let whole = dir.path().join("whole");
    let all = lines(&whole);
    let first = |stage: &str| all.iter().find(|l| l["stage"] == stage).unwrap();
    for (stage, figures) in [
        ("rm", &["accuracy", "margin", "min_reward", "mean_reward", "max_reward"][..]),
        ("distil", &["divergence", "strength", "total_variation", "expected_reward", "lengths"]),
        ("distil_on", &["divergence", "completions/mean_length", "kl/teacher", "kl/favoured", "kl/other"]),
        ("rto", &["token_rewards/sum", "objective/kl", "objective/rlhf_reward", "rewards/score/mean"]),
        ("oprl", &["process/loss", "process/reward", "process/accuracies", "process/steps"]),
    ] {
        for figure in figures {
            assert!(first(stage)[figure].is_number(), "{stage}: {figure} in {}", first(stage));
        }
    }
    let summary = json(whole.join("summary.json"));
    let stage =
        |name: &str| summary["stages"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()["metrics"].clone();
    let ranking = &stage("rm")["rewards/accuracies"];
    assert!(ranking["low"].as_f64() <= ranking["value"].as_f64() && ranking["n"] == 20.0, "{ranking}");
    assert!(stage("rm").get("accuracy").is_none() && stage("oprl")["accuracy"]["n"].is_number());
    for file in ["heads.safetensors", "reward_model.json", "model.safetensors", "result.json"] {
        assert!(whole.join("stages/rm").join(file).is_file(), "{file}");
    }
    killed_in(dir.path(), "oprl");
    killed_in(dir.path(), "rm");
    // its folder is a reward model for another run
    let folder = format!(
        "stages.oprl.policy_gradient.rewards.score.function={{ type = 'model', folder = '{}' }}",
        whole.join("stages/rm").display()
    );
    let result = go(dir.path(), "other", &[&folder]);
    assert!(result.status.success(), "{}", text(&result.stderr));
    assert_eq!(lines(&dir.path().join("other")).last(), all.last());
}

/// Kills a run once a stage has a checkpoint, resumes it, and compares.
fn killed_in(dir: &Path, stage: &str) {
    let (whole, cut) = (dir.join("whole"), dir.join(format!("cut-{stage}")));
    let file = dir.join("experiment.toml");
    let mut child = command(&["experiment", file.to_str().unwrap(), "--out", cut.to_str().unwrap()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let state = cut.join("checkpoint/state.json");
    let there = || fs::read_to_string(&state).is_ok_and(|t| t.contains(&format!("\"name\": \"{stage}\"")));
    while !there() && start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let again = command(&["experiment", "--resume", cut.to_str().unwrap()]).output().unwrap();
    assert!(again.status.success(), "{}", text(&again.stderr));
    let model = |d: &Path| fs::read(d.join("model/model.safetensors")).unwrap();
    assert!(model(&cut) == model(&whole) && lines(&cut) == lines(&whole), "{stage}");
}

#[test]
fn what_is_not_there_is_named_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let said = |set: &str| {
        let result = go(dir.path(), "none", &[set]);
        assert!(!result.status.success() && !dir.path().join("none").exists(), "{set}");
        text(&result.stderr)
    };
    assert!(said("stages.rto.policy_gradient.token_rewards.model=nothing").contains("`token_rewards.model` is `nothing`"));
    assert!(said("stages.rto.policy_gradient.token_rewards.model=rm").contains("which is a reward model"));
    assert!(said("stages.rto.init=rm").contains("which is a reward model"));
    assert!(said("stages.distil.distil.favoured=oprl").contains("`favoured` is `oprl`, which is no earlier stage"));
    assert!(
        said("stages.rto.policy_gradient.rewards.score.function.stage=dpo")
            .contains("`dpo`, which is no earlier reward model")
    );
    assert!(said("stages.rto.policy_gradient.rewards.score.function.head=x").contains("head `x` of `rm`"));
    assert!(said("stages.rm.reward_model.heads={ a = { column = 'kind' } }").contains("`kind`, which not all rows have"));
    assert!(said("stages.sft.swap_pairs=true").contains("`swap_pairs`"));
    let folder = "stages.oprl.policy_gradient.rewards.score.function={ type = 'model', folder = 'nowhere' }";
    assert!(said(folder).contains("nowhere"));
}

#[test]
fn a_memory_limit_counts_the_models_beside_the_policy() {
    let dir = tempfile::tempdir().unwrap();
    let said = |limit: &str| {
        let wide = ["model.new.hidden_size=512", "model.new.num_attention_heads=8", limit];
        let result = go(dir.path(), "none", &wide);
        assert!(!result.status.success() && !dir.path().join("none").exists());
        text(&result.stderr).split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ")
    };
    // enough for six copies of the weights, not for what these stages hold beside them
    for (limit, names) in [
        ("memory_limit=325MiB", ["stage `distil`", "`dpo` as favoured 3 MiB", "`reverse` as other 3 MiB"]),
        ("memory_limit=334MiB", ["stage `oprl`", "the process reward model", "the reward model of stage rm 3 MiB"]),
    ] {
        let found = said(limit);
        names.iter().for_each(|name| assert!(found.contains(name), "{limit}: {found}"));
        assert!(found.contains("the policy with gradients and moments 12 MiB"), "{found}");
    }
}
