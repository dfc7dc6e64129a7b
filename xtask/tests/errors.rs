//! Bad input: one clear message, exit code 1, nothing half-written.
#![allow(clippy::unwrap_used)]
mod common;
use common::{TINY, golden, run, text};
use std::fs;
use std::path::Path;
use tropism_lm::{Config, Decoder, Loaded, Sizes, WeightDtype};

/// Runs an experiment that has to fail, and returns what it said. Nothing may be left of it.
fn refusal(dir: &Path, name: &str, sets: &[String]) -> String {
    let out = dir.join("out");
    let mut args = vec!["experiment", name, "--out", out.to_str().unwrap()];
    sets.iter().for_each(|s| args.extend(["--set", s]));
    let result = run(&args);
    let said = text(&result.stderr);
    assert_eq!(result.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(!out.exists(), "a refused run leaves no folder: {said}");
    said
}

/// `dpo` on a small model and a file of pairs with the given text.
fn dpo(data: &str, more: &[String]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pairs.jsonl");
    fs::write(&file, data).unwrap();
    let mut sets = vec![format!("data.path={}", file.display()), model("llama_tied"), tokenizer("tokenizer")];
    sets.extend_from_slice(more);
    refusal(dir.path(), "dpo", &sets)
}

fn model(name: &str) -> String {
    format!("model.path={}", golden("models").join(name).display())
}

fn tokenizer(name: &str) -> String {
    format!("model.tokenizer={}", golden(name).display())
}

fn pairs(n: usize) -> String {
    let line = |i| format!("{{\"prompt\":\"Say {i}:\",\"chosen\":\" yes {i}\",\"rejected\":\" no\"}}\n");
    (0..n).map(line).collect()
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    parts.iter().for_each(|p| assert!(said.contains(p), "`{p}` is not in: {said}"));
}

#[test]
fn missing_file() {
    let dir = tempfile::tempdir().unwrap();
    let sets = ["data.path=nowhere/pairs.jsonl".to_owned(), model("llama_tied"), tokenizer("tokenizer")];
    says(&refusal(dir.path(), "dpo", &sets), &["nowhere/pairs.jsonl"]);
    let sets = [format!("data.path={}", golden("losses.json").display()), "model.path=nowhere".into()];
    says(&refusal(dir.path(), "dpo", &sets), &["nowhere/config.json"]);
}

#[test]
fn unknown_column() {
    let said = dpo(&pairs(9), &["data.columns.chosen=chosne".into()]);
    says(&said, &["pairs.jsonl", "chosne", "chosen"]);
}

#[test]
fn broken_json_on_a_line() {
    let data = pairs(4) + "{\"prompt\": \"x\", \"chosen\": \n" + &pairs(4);
    says(&dpo(&data, &[]), &["pairs.jsonl", "line 5"]);
}

#[test]
fn empty_data() {
    says(&dpo("", &[]), &["pairs.jsonl"]);
    says(&dpo("\n\n", &[]), &["pairs.jsonl"]);
    let same = "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"b\"}\n";
    says(&dpo(same, &[]), &["pairs.jsonl", "identical"]);
}

#[test]
fn unknown_keys_and_names_with_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("e.toml");
    let of = |text: String, sets: &[String]| {
        fs::write(&file, text).unwrap();
        refusal(dir.path(), file.to_str().unwrap(), sets)
    };
    says(&of(TINY.replace("test_pairs = 30", "test_pears = 30"), &[]), &["world.test_pears", "did you mean `test_pairs`"]);
    says(&of(TINY.into(), &["stages.dpo.lerning_rate=1".into()]), &["stages.dpo.lerning_rate", "`learning_rate`"]);
    says(&of(TINY.into(), &["stages.dpo.objective.betta=1".into()]), &["betta", "did you mean `beta`"]);
    says(&of(TINY.into(), &["stages.dpo.objective.method=simop".into()]), &["simop", "did you mean `simpo`"]);
    says(&of(TINY.into(), &["stages.ppo.epochs=1".into()]), &["holds no `ppo`", "sft, dpo"]);
    says(&of(TINY.into(), &["stages.dpo.reference=sfd".into()]), &["`reference` is `sfd`", "sft, model"]);
    says(&of(TINY.into(), &["stages.sft.reference=model".into()]), &["`reference`", "does not read one"]);
    says(&of(TINY.into(), &["stages.dpo.learning_rate=-1".into()]), &["stage `dpo`", "learning_rate"]);
    says(&of(TINY.replace("[model.new]", "[model.new"), &[]), &["line"]);
    says(&refusal(dir.path(), "quickstrat", &[]), &["no recipe `quickstrat`", "did you mean `quickstart`"]);
    says(&refusal(dir.path(), "hh", &[]), &["`data.path` is not set", "--set data.path=FILE"]);
}

#[test]
fn truncated_safetensors() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("model");
    fs::create_dir(&folder).unwrap();
    for f in ["config.json", "model.safetensors"] {
        fs::copy(golden("models/llama_tied").join(f), folder.join(f)).unwrap();
    }
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    says(&dpo(&pairs(40), &[format!("model.path={}", folder.display())]), &["model.safetensors", "truncated"]);
}

#[test]
fn a_token_beyond_the_vocabulary() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = Sizes { vocab: 100, hidden: 8, ff: 8, layers: 1, heads: 1, kv_heads: 1, head_dim: 8, positions: 64 };
    let small = Decoder::<Loaded, f32>::random(Loaded::new(Config::new(sizes, true).unwrap()), 0).unwrap();
    small.save(dir.path(), WeightDtype::F32).unwrap();
    let said = dpo(&pairs(40), &[format!("model.path={}", dir.path().display())]);
    says(&said, &["pairs.jsonl", "100"]);
}

#[test]
fn a_prompt_that_does_not_begin_the_conversation() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden("tokenizer/tokenizer.json"), dir.path().join("tokenizer.json")).unwrap();
    let config = fs::read_to_string(golden("tokenizer/tokenizer_config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["chat_template"] = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}".into();
    fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let data: String = (0..40)
        .map(|i| {
            let turn = |role: &str, text: String| serde_json::json!([{"role": role, "content": text}]);
            let row = serde_json::json!({"prompt": turn("user", format!("q {i}")), "chosen": turn("assistant", "a".into()), "rejected": turn("assistant", "b".into())});
            format!("{row}\n")
        })
        .collect();
    let said = dpo(&data, &[format!("model.tokenizer={}", dir.path().display())]);
    says(&said, &["pairs.jsonl", "not a prefix"]);
}

#[test]
fn a_loss_that_is_no_number() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("e.toml"), dir.path().join("out"));
    fs::write(&file, TINY.replace("learning_rate = 3e-3", "learning_rate = 1e30")).unwrap();
    let result = run(&["experiment", file.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let said = text(&result.stderr);
    assert_eq!(result.status.code(), Some(1), "{said}");
    says(&said, &["stage `sft`, step 2", "world:arithmetic"]);
    for name in ["summary.json", "model", "report.html", "stages/sft"] {
        assert!(!out.join(name).exists(), "{name} was written by a run that failed");
    }
}

#[test]
fn an_output_folder_that_exists() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine.txt"), "precious").unwrap();
    let result = run(&["experiment", "quickstart", "--out", dir.path().to_str().unwrap()]);
    assert_eq!(result.status.code(), Some(1));
    says(&text(&result.stderr), &["exists already"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn stops_batches_and_patterns_that_cannot_be() {
    says(&dpo(&pairs(60), &["evaluation.stop=[\"\"]".into()]), &["`evaluation.stop` holds an empty text"]);
    says(&dpo(&pairs(60), &["evaluation.batching.slots=0".into()]), &["`evaluation.batching`", "slots is 0"]);
    says(&dpo(&pairs(60), &["stages.dpo.freeze=[\"model.lyers.*\"]".into()]), &["stage `dpo`: `freeze`", "`model.lyers.*`"]);
    says(&dpo(&pairs(60), &["stages.dpo.freeze=[\"*\"]".into()]), &["stage `dpo`: `freeze` covers every tensor"]);
}

#[test]
fn memory_that_does_not_suffice() {
    says(&dpo(&pairs(60), &["memory_limit=much".into()]), &["memory_limit", "`much`", "8GiB"]);
    says(&dpo(&pairs(60), &["memory_limit=200MiB".into()]), &["memory_limit", "200MiB is not enough", "MiB"]);
}

#[test]
fn a_step_that_must_not_be_split_is_refused_before_anything_is_written() {
    let coupled = ["stages.dpo.objective={ method = 'aot' }".to_owned(), "stages.dpo.micro_batch_tokens=20".into()];
    says(&dpo(&pairs(60), &coupled), &["stage `dpo`: `micro_batch_tokens` is 20", "aot compares its rows", "set it to"]);
}

#[test]
fn options_that_toys_or_recipes_do_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let of = |args: &[&str]| {
        let out = dir.path().join("out");
        let mut all = vec!["experiment", "--out", out.to_str().unwrap()];
        all.extend(args);
        let result = run(&all);
        assert_eq!(result.status.code(), Some(1), "{args:?}");
        assert!(!out.exists(), "{args:?}");
        text(&result.stderr)
    };
    says(&of(&["simpo-toy", "--set", "seed=1"]), &["`simpo-toy` does not read --set", "--seeds"]);
    says(&of(&["simpo-toy", "--memory-limit", "8GiB"]), &["does not read --memory-limit"]);
    says(&of(&["simpo-toy", "--seeds", "0"]), &["give at least 1"]);
    says(&of(&["simpo-toy", "--seed", "18446744073709551615"]), &["beyond 64 bits"]);
    says(&of(&["simpo-toy", "--seed", "9223372036854775808"]), &["does not fit config.toml"]);
    says(&of(&["simop-toy"]), &["did you mean `simpo-toy`"]);
    says(&of(&["quickstart", "--seeds", "3"]), &["--seeds is read by toys only"]);
}
