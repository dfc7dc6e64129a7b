//! Runs whose stages sample.
use crate::common::{command, experiment, golden, lines, text};
use crate::json;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

/// Chains of sums, answered by a model that is too small to learn them.
const CHAINS: &str = r#"
name = "chains"
[data]
test_fraction = 0.2
max_length = 96
[world]
samples = 160
pairs = 0
test_pairs = 0
[world.arithmetic.chains]
operands = [2, 2, 3]
tasks = 30
[world.arithmetic.mix]
terse = 1.0
sentence = 0.0
reasoned = 0.5
checked = 0.5
[model.new]
vocab_size = 300
hidden_size = 16
intermediate_size = 24
num_hidden_layers = 1
num_attention_heads = 2
num_key_value_heads = 1
max_position_embeddings = 160
[evaluation]
prompts = 12
sampling = { max_new_tokens = 12 }
[[stages]]
name = "sft"
objective = { method = "sft" }
learning_rate = 3e-3
batch_size = 8
[[stages]]
name = "grpo"
learning_rate = 1e-3
batch_size = 3
max_steps = 6
checkpoint_every = 2
[stages.policy_gradient]
loss = { method = "grpo" }
rollout = { group = 4, max_new_tokens = 12 }
iterations = 2
mini_batches = 2
rewards.correct = { function = { type = "correct" } }
rewards.world = { weight = 0.0, function = { type = "world" } }
"#;

fn go(dir: &Path, name: &str, sets: &[&str]) -> Output {
    experiment(dir, CHAINS, name, sets)
}

#[test]
fn a_run_with_rollouts_reports_accuracy_and_runs_with_every_method_by_one_set() {
    let dir = tempfile::tempdir().unwrap();
    for method in ["grpo", "dr-grpo", "dapo", "gspo", "rloo", "reinforce++", "ppo", "disco", "drpo"] {
        let result = go(dir.path(), method, &[&format!("stages.grpo.policy_gradient.loss.method={method}")]);
        assert!(result.status.success(), "{method}: {}", text(&result.stderr));
        let summary = json(dir.path().join(method).join("summary.json"));
        for metric in ["accuracy", "accuracy_gain", "accuracy/easy", "reward", "kl"] {
            let e = &summary["final"][metric];
            let get = |k: &str| e[k].as_f64().unwrap_or_else(|| panic!("{method}: {metric}.{k}"));
            assert!(get("low") <= get("value") && get("value") <= get("high") && get("n") >= 1.0, "{method} {metric}: {e}");
        }
        let all = lines(&dir.path().join(method));
        let steps: Vec<&Value> = all.iter().filter(|l| l["stage"] == "grpo").collect();
        assert_eq!(steps.len(), 6);
        for name in ["reward", "rewards/correct/mean", "rewards/world/mean", "completions/clipped_ratio", "entropy"] {
            assert!(steps[0][name].is_number(), "{method}: {name}");
        }
    }
}

#[test]
fn a_killed_run_with_rollouts_resumes_to_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let longer = "stages.grpo.max_steps=30";
    assert!(go(dir.path(), "whole", &[longer]).status.success());
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let file = dir.path().join("experiment.toml");
    let mut child = command(&["experiment", file.to_str().unwrap(), "--out", cut.to_str().unwrap(), "--set", longer])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !cut.join("checkpoint/state.json").exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!cut.join("summary.json").exists(), "the run was killed in its middle");
    let again = command(&["experiment", "--resume", cut.to_str().unwrap()]).output().unwrap();
    assert!(again.status.success(), "{}", text(&again.stderr));
    let model = |d: &Path| fs::read(d.join("model/model.safetensors")).unwrap();
    assert!(model(&cut) == model(&whole));
    assert_eq!(lines(&cut), lines(&whole));
    assert_eq!(json(cut.join("summary.json"))["final"], json(whole.join("summary.json"))["final"]);
}

#[test]
fn questions_are_sampled_from_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let data: String = (0..40)
        .map(|i| format!("{{\"question\":\"What is {i} + 1?\",\"answer\":\"{i} + 1 = {}\\n#### {}\"}}\n", i + 1, i + 1))
        .collect();
    let (file, out) = (dir.path().join("questions.jsonl"), dir.path().join("out"));
    fs::write(&file, data).unwrap();
    let go = |out: &Path, set: &str| {
        command(&["experiment", "gsm8k", "--out", out.to_str().unwrap()])
            .args(["--set", &format!("model.path={}", golden("models/llama_tied").display())])
            .args(["--set", &format!("model.tokenizer={}", golden("tokenizer").display())])
            .args(["--set", &format!("data.path={}", file.display()), "--set", "data.test_fraction=0.2"])
            .args(["--set", "stages.grpo.max_steps=2", "--set", "evaluation.prompts=3", "--set", set])
            .args(["--set", "evaluation.sampling.max_new_tokens=4"])
            .args(["--set", "stages.grpo.policy_gradient.rollout.max_new_tokens=4"])
            .output()
            .unwrap()
    };
    let result = go(&out, "seed=1");
    assert!(result.status.success(), "{}", text(&result.stderr));
    assert_eq!(json(out.join("summary.json"))["final"]["accuracy"]["value"], 0.0);
    let steps = lines(&out);
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0]["rewards/correct/unreadable"], 1.0);
    assert_eq!(steps[0]["frac_reward_zero_std"], 1.0);
    // a verifier that cannot read these truths is found before anything is written
    let wrong = dir.path().join("wrong");
    let said = text(&go(&wrong, "stages.grpo.policy_gradient.rewards.correct.function.type=numeric").stderr);
    assert!(said.contains("questions.jsonl, line") && said.contains("`correct`") && !wrong.exists(), "{said}");
}

#[test]
fn what_a_stage_with_rollouts_cannot_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let said = |set: &str| {
        let result = go(dir.path(), "none", &[set]);
        assert!(!result.status.success() && !dir.path().join("none").exists(), "{set}");
        text(&result.stderr)
    };
    assert!(said("stages.grpo.policy_gradient.loss.method=dappo").contains("did you mean `dapo`?"));
    assert!(said("stages.grpo.policy_gradient.rollout.groop=4").contains("did you mean `group`?"));
    assert!(said("stages.grpo.distill={}").contains("stages.grpo.distill"));
    assert!(said("stages.grpo.policy_gradient.rewards.correct.function.type=numerik").contains("did you mean `numeric`?"));
    assert!(said("stages.grpo.policy_gradient.mini_batches=4").contains("`mini_batches` is 4"));
    assert!(said("stages.grpo.policy_gradient.rollout.max_new_tokens=159").contains("no prompts"));
}

/// The same with rewards that pull apart, and a second stage to compare with.
fn aspects() -> String {
    let (head, _) = CHAINS.split_once("[[stages]]\nname = \"grpo\"").unwrap();
    let stage = |name: &str, advantages: &str| {
        format!(
            r#"
[[stages]]
name = "{name}"
init = "sft"
learning_rate = 1e-3
batch_size = 3
max_steps = 2
[stages.policy_gradient]
loss = {{ method = "grpo" }}
advantages = {{ method = "{advantages}" }}
rollout = {{ group = 4, max_new_tokens = 12, stop = ["."] }}
rewards.brief = {{ function = {{ type = "aspect", aspect = "brief" }} }}
rewards.polite = {{ function = {{ type = "aspect", aspect = "polite" }} }}
rewards.right = {{ weight = 0.0, function = {{ type = "correct" }} }}
"#
        )
    };
    let compared = "\n[[comparisons]]\nstage = \"apart\"\nbaseline = \"sum\"\n";
    format!("{head}{}{}{compared}", stage("sum", "group_normalized"), stage("apart", "normalize_then_sum"))
}

#[test]
fn aspects_difficulty_and_entropy_are_compared_between_stages() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("aspects.toml"), dir.path().join("out"));
    fs::write(&file, aspects()).unwrap();
    let go = |out: &Path| command(&["experiment", file.to_str().unwrap(), "--out", out.to_str().unwrap()]).output().unwrap();
    let result = go(&out);
    assert!(result.status.success(), "{}", text(&result.stderr));
    let summary = json(out.join("summary.json"));
    for metric in ["aspects/brief", "aspects/polite", "accuracy/hard", "entropy"] {
        let value = summary["final"][metric]["value"].as_f64().unwrap_or_else(|| panic!("no {metric}"));
        assert!((0.0..=6.0).contains(&value), "{metric}: {value}");
        let gain = &summary["comparisons"][0]["metrics"][format!("{metric}_gain")];
        assert!(gain["value"].is_number() && gain["low"].is_number(), "{metric}: {gain}");
    }
    assert!(summary["final"].get("aspects/steps").is_none(), "no reward reads it");
    for (was, is, part) in [
        ("aspect = \"polite\"", "aspect = \"loud\"", "which the world does not have; it has correct, brief, polite, steps"),
        ("stop = [\".\"]", "stop = [\"\"]", "`rollout.stop` holds an empty text"),
        (
            "stop = [\".\"]",
            "engine = { type = \"openai\", url = \"here\", model = \"m\", folder = \"p\" }",
            "`url` that has to begin",
        ),
        ("stop = [\".\"]", "rating = { timeout_s = 0.0 }", "`rollout.rating` has timeout_s 0"),
    ] {
        fs::write(&file, aspects().replace(was, is)).unwrap();
        let (bad, none) = (dir.path().join("bad"), dir.path().join("bad/config.toml"));
        let said = text(&go(&bad).stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.replace("│ ", "").contains(part) && !none.exists(), "{part}: {said}");
    }
}
