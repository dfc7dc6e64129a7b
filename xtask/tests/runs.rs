//! Whole runs over the command line.
#![allow(clippy::unwrap_used)]
#[path = "runs/agents.rs"]
mod agents;
mod common;
#[path = "runs/denoise.rs"]
mod denoise;
#[path = "runs/fresh.rs"]
mod fresh;
#[path = "runs/models.rs"]
mod models;
#[path = "runs/online.rs"]
mod online;
#[path = "runs/veto.rs"]
mod veto;
use common::{TINY, command, golden, run, text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tropism_lm::{Config, Decoder, Loaded, Sizes, load};

fn json(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn tiny(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (file, out) = (dir.join("tiny.toml"), dir.join(name));
    fs::write(&file, TINY).unwrap();
    (file, out)
}

#[test]
fn a_run_folder_holds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = tiny(dir.path(), "out");
    let result = run(&["experiment", file.to_str().unwrap(), "--seed", "7", "--out", out.to_str().unwrap()]);
    assert!(result.status.success(), "{}", text(&result.stderr));

    let config: toml::Table = fs::read_to_string(out.join("config.toml")).unwrap().parse().unwrap();
    assert_eq!(config["seed"].as_integer(), Some(7));
    assert_eq!(config["provenance"]["versions"]["dfdx"].as_str(), Some("0.13.0"));
    assert!(config["provenance"]["hashes"]["tokenizer"].as_str().is_some_and(|h| h.len() == 64));

    let summary = json(out.join("summary.json"));
    assert_eq!((&summary["experiment"], &summary["seed"]), (&Value::from("tiny"), &Value::from(7)));
    let names: Vec<&str> = summary["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["model", "sft", "dpo"]);
    for metric in
        ["win_rate", "reward", "rewards/accuracies", "rewards/margins", "ranking/accuracy", "kl", "completions/mean_length"]
    {
        let e = &summary["final"][metric];
        let get = |k: &str| e[k].as_f64().unwrap_or_else(|| panic!("{metric}.{k}"));
        assert!(get("low") <= get("value") && get("value") <= get("high") && get("n") >= 1.0, "{metric}: {e}");
    }
    assert_eq!(json(out.join("audit.json"))["pairs"]["kept"], 120);

    let lines: Vec<Value> =
        fs::read_to_string(out.join("metrics.jsonl")).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.iter().filter(|l| l["stage"] == "sft").count(), 40);
    assert_eq!(lines.iter().filter(|l| l["stage"] == "dpo").count(), 30);
    assert!((lines[40]["loss"].as_f64().unwrap() - 2f64.ln()).abs() < 1e-4, "{}", lines[40]);
    assert!(lines[69]["rewards/margins"].is_number() && lines[0]["grad_norm"].is_number());

    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("tiny") && html.contains("win_rate"));
    let model: Decoder<Loaded, f32> = load(&out.join("model"), |c| Ok(Loaded::new(c))).unwrap();
    assert_eq!(model.config().eos, [1]);
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        assert!(out.join("model").join(name).exists());
    }
    assert!(!out.join("checkpoint").exists());
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (file, whole) = tiny(dir.path(), "whole");
    let longer = ["--set", "stages.sft.epochs=8", "--set", "stages.dpo.epochs=4"];
    let args = |out: &str| {
        let mut a = vec!["experiment".to_owned(), file.display().to_string(), "--out".into(), out.to_owned()];
        a.extend(longer.map(str::to_owned));
        a
    };
    let all = args(whole.to_str().unwrap());
    assert!(run(&all.iter().map(String::as_str).collect::<Vec<_>>()).status.success());

    for wait in ["checkpoint/state.json", "stages/sft/result.json"] {
        let cut = dir.path().join(wait.replace('/', "-"));
        let some = args(cut.to_str().unwrap());
        let mut child = command(&some.iter().map(String::as_str).collect::<Vec<_>>())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while !cut.join(wait).exists() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!cut.join("summary.json").exists(), "the run was killed in its middle");
        let again = run(&["experiment", "--resume", cut.to_str().unwrap()]);
        assert!(again.status.success(), "{}", text(&again.stderr));
        for name in ["model/model.safetensors", "metrics.jsonl", "config.toml"] {
            assert!(fs::read(cut.join(name)).unwrap() == fs::read(whole.join(name)).unwrap(), "{name} differs after {wait}");
        }
        let metrics = |d: &Path| json(d.join("summary.json"))["final"].clone();
        assert_eq!(metrics(&cut), metrics(&whole));
    }
}

#[test]
fn a_model_folder_comes_back_better_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let data: String =
        (0..60).map(|i| format!("{{\"prompt\":\"Say {i}:\",\"chosen\":\" yes\",\"rejected\":\" no\"}}\n")).collect();
    let file = dir.path().join("pairs.jsonl");
    fs::write(&file, data).unwrap();
    for name in ["llama_tied", "llama_untied", "qwen3", "gemma2", "gpt2"] {
        let out = dir.path().join(name);
        let result = command(&["experiment", "dpo", "--out", out.to_str().unwrap()])
            .args(["--set", &format!("model.path={}", golden("models").join(name).display())])
            .args(["--set", &format!("model.tokenizer={}", golden("tokenizer").display())])
            .args(["--set", &format!("data.path={}", file.display())])
            .args(["--set", "stages.dpo.learning_rate=1e-3", "--set", "stages.dpo.epochs=4"])
            .output()
            .unwrap();
        assert!(result.status.success(), "{}", text(&result.stderr));
        let summary = json(out.join("summary.json"));
        assert!(summary["final"]["rewards/accuracies"]["value"].as_f64().unwrap() > 0.9, "{summary}");
        let read = |d: PathBuf| load::<Loaded, f32>(&d, |c| Ok(Loaded::new(c))).unwrap();
        let (a, b) = (read(out.join("model")), read(out.join("stages/dpo")));
        let tree = tropism_ops::Tree::sequences(&[5]).unwrap();
        let logits = |m: &Decoder<Loaded, f32>| m.logits(&[3, 4, 5, 6, 7], &tree, &[4]).unwrap().as_vec();
        assert_eq!(logits(&a), logits(&b));
        let mut config = json(out.join("model/config.json"));
        let was = json(golden("models").join(name).join("config.json"));
        config["eos_token_id"] = was["eos_token_id"].clone();
        assert_eq!(config, was);
    }
}

#[test]
fn a_stage_with_an_adapter_keeps_it_and_the_merged_model() {
    let dir = tempfile::tempdir().unwrap();
    let data: String =
        (0..60).map(|i| format!("{{\"prompt\":\"Say {i}:\",\"chosen\":\" yes\",\"rejected\":\" no\"}}\n")).collect();
    let (file, out, base) = (dir.path().join("pairs.jsonl"), dir.path().join("out"), golden("models").join("gpt2"));
    fs::write(&file, data).unwrap();
    let go = |lora: &str, out: &Path| {
        command(&["experiment", "dpo", "--out", out.to_str().unwrap()])
            .args(["--set", &format!("model.path={}", base.display())])
            .args(["--set", &format!("model.tokenizer={}", golden("tokenizer").display())])
            .args(["--set", &format!("data.path={}", file.display())])
            .args(["--set", "stages.dpo.learning_rate=1e-2", "--set", "stages.dpo.epochs=4"])
            .args(["--set", &format!("stages.dpo.lora={lora}")])
            .output()
            .unwrap()
    };
    let result = go(r#"{ r = 2, alpha = 4, target_modules = ["c_attn", "mlp.c_proj"] }"#, &out);
    assert!(result.status.success(), "{}", text(&result.stderr));
    let summary = json(out.join("summary.json"));
    assert!(summary["final"]["rewards/accuracies"]["value"].as_f64().unwrap() > 0.9, "{summary}");
    let read = |d: PathBuf| load::<Loaded, f32>(&d, |c| Ok(Loaded::new(c))).unwrap();
    let tree = tropism_ops::Tree::sequences(&[5]).unwrap();
    let logits = |m: &Decoder<Loaded, f32>| m.logits(&[3, 4, 5, 6, 7], &tree, &[4]).unwrap().as_vec();
    let adapted = read(base.clone()).with_adapter_folder(&out.join("stages/dpo/adapter")).unwrap();
    assert_eq!(json(out.join("stages/dpo/adapter/adapter_config.json"))["base_model_name_or_path"], *base.to_str().unwrap());
    assert_eq!(logits(&adapted.clone().merged().unwrap()), logits(&read(out.join("model"))));
    assert_ne!(logits(&adapted), logits(&read(base.clone())));
    // what does not fit the model is found before anything is written
    let wrong = dir.path().join("wrong");
    let said = text(&go(r#"{ r = 2, alpha = 4, target_modules = ["q_proj"] }"#, &wrong).stderr);
    assert!(said.contains("`q_proj`") && said.contains("stage `dpo`") && !wrong.exists(), "{said}");
}

#[test]
fn frozen_tensors_stay_and_stop_texts_end_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = tiny(dir.path(), "out");
    let result = command(&["experiment", file.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .args(["--set", r#"stages.sft.freeze=["model.embed_tokens.weight", "*norm.weight"]"#])
        .args(["--set", r#"evaluation.stop=["e", "1"]"#, "--set", "evaluation.batching={ slots = 2 }"])
        .args(["--set", "stages.dpo.init=model", "--set", "stages.dpo.reference=model"])
        .output()
        .unwrap();
    assert!(result.status.success(), "{}", text(&result.stderr));
    let read = |stage: &str| load::<Loaded, f32>(&out.join("stages").join(stage), |c| Ok(Loaded::new(c))).unwrap();
    let (sft, dpo) = (read("sft"), read("dpo"));
    let embedding = |m: &Decoder<Loaded, f32>| m.embed.dense().unwrap().values.as_vec();
    let up = |m: &Decoder<Loaded, f32>| m.layers[0].ff.up.weight.dense().unwrap().values.as_vec();
    // the stage after is not frozen: it started from the same model and moved away
    assert!(embedding(&sft) != embedding(&dpo) && up(&sft) != up(&dpo));
    let norm = |m: &Decoder<Loaded, f32>| m.norm.weight.values.as_vec();
    assert!(norm(&sft).iter().all(|v| *v == 1.0) && norm(&dpo).iter().any(|v| *v != 1.0));
    let result = json(out.join("stages/sft/result.json"));
    for a in result["answers"].as_array().unwrap() {
        let said = a["text"].as_str().unwrap();
        assert!(!said.contains(['e', '1']), "{said}");
    }
}

/// Most memory that a command held, in MiB, and what it said.
fn peak(mut c: std::process::Command) -> (u64, std::process::Output) {
    let child = c.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while let Ok(text) = fs::read_to_string(&status) {
            let Some(line) = text.lines().find_map(|l| l.strip_prefix("VmHWM:")) else { break };
            most = line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024;
            std::thread::sleep(Duration::from_millis(2));
        }
        most
    });
    let output = child.wait_with_output().unwrap();
    (watch.join().unwrap(), output)
}

#[test]
fn a_memory_limit_holds_for_adapters_and_frozen_tensors() {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: this system does not tell how much memory a process holds");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sizes = Sizes { vocab: 384, hidden: 512, ff: 2048, layers: 6, heads: 8, kv_heads: 8, head_dim: 64, positions: 128 };
    let model = Decoder::<Loaded, f32>::random(Loaded::new(Config::new(sizes, true).unwrap()), 1).unwrap();
    let (base, file, mib) = (dir.path().join("base"), dir.path().join("pairs.jsonl"), model.parameters() >> 18);
    fs::create_dir(&base).unwrap();
    model.save(&base, tropism_lm::WeightDtype::F32).unwrap();
    let data: String =
        (0..40).map(|i| format!("{{\"prompt\":\"Say {i}:\",\"chosen\":\" yes\",\"rejected\":\" no\"}}\n")).collect();
    fs::write(&file, data).unwrap();
    // room for four copies of the weights and some activations, not for the six of a stage that trains all
    let limit = 300 + 4 * mib + mib / 2;
    let go = |name: &str, set: &str| {
        let mut c = command(&["experiment", "dpo", "--memory-limit", &format!("{limit}MiB")]);
        c.args(["--out", dir.path().join(name).to_str().unwrap()])
            .args(["--set", &format!("model.path={}", base.display())])
            .args(["--set", &format!("model.tokenizer={}", golden("tokenizer").display())])
            .args(["--set", &format!("data.path={}", file.display()), "--set", "stages.dpo.max_steps=2"])
            .args(["--set", "evaluation.prompts=2", "--set", set]);
        peak(c)
    };
    for (name, set) in [
        ("lora", r#"stages.dpo.lora={ r = 4, alpha = 8, target_modules = "all-linear" }"#),
        ("freeze", r#"stages.dpo.freeze=["model.embed_tokens.*", "*_proj.weight"]"#),
    ] {
        let (most, output) = go(name, set);
        assert!(output.status.success(), "{}", text(&output.stderr));
        println!("{name}: {most} MiB of {limit}, a copy of the weights takes {mib}");
        assert!(most > 2 * mib as u64 && most <= limit as u64, "{name}: {most} MiB of {limit}");
    }
    let (_, output) = go("all", "stages.dpo.epochs=1");
    assert!(text(&output.stderr).contains("is not enough"), "{}", text(&output.stderr));
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = tiny(dir.path(), "out");
    let result = run(&["experiment", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "--dry-run"]);
    assert!(result.status.success());
    assert!(
        text(&result.stdout).contains("learning_rate = 0.003")
            && text(&result.stderr).contains("stage sft: sft, 160 rows, 40 steps")
    );
    assert!(!out.exists());
}

#[test]
fn recipes_are_listed() {
    let result = run(&["experiment", "--list"]);
    assert!(result.status.success());
    for name in ["quickstart", "hh", "dpo", "grpo", "gsm8k"] {
        assert!(text(&result.stdout).lines().any(|l| l.starts_with(name) && l.len() > 30));
    }
}

#[test]
fn golden_figures_pass_and_a_changed_one_fails() {
    let result = run(&["golden"]);
    let said = text(&result.stdout);
    assert!(result.status.success(), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.contains(" passed, 0 failed, ") && last.ends_with(" not implemented"), "{last}");

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("changed");
    fs::create_dir(&folder).unwrap();
    for f in ["config.json", "model.safetensors", "policy.safetensors", "forward.json"] {
        fs::copy(golden("models/llama_tied").join(f), folder.join(f)).unwrap();
    }
    let mut figures = json(folder.join("forward.json"));
    figures["dpo"]["loss"] = 0.5.into();
    fs::write(folder.join("forward.json"), figures.to_string()).unwrap();
    let result = run(&["golden", "--models", dir.path().to_str().unwrap()]);
    let said = text(&result.stdout);
    assert_eq!(result.status.code(), Some(1), "{said}");
    assert!(
        said.contains("FAILED changed/f32/loss: [0] expected 0.5, found 1.01") && said.contains("FAILED changed/bf16/loss"),
        "{said}"
    );
    assert!(said.lines().last().unwrap().contains(", 3 failed, 0 not implemented"), "{said}");
}

#[test]
fn a_toy_reports_figures_and_relations() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let args = ["experiment", "simpo-toy", "--seed", "3", "--seeds", "5", "--out", out.to_str().unwrap()];
    let result = run(&args);
    assert!(result.status.success(), "{}", text(&result.stderr));
    let printed = text(&result.stdout);
    assert!(printed.contains("length(dpo) > length(simpo)") && printed.contains("relations: "), "{printed}");

    let config: toml::Table = fs::read_to_string(out.join("config.toml")).unwrap().parse().unwrap();
    assert_eq!((config["seed"].as_integer(), config["seeds"].as_integer()), (Some(3), Some(5)));
    let lines: Vec<Value> =
        fs::read_to_string(out.join("figures.jsonl")).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.iter().map(|l| l["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    let summary = json(out.join("summary.json"));
    let length = summary["figures"].as_array().unwrap().iter().find(|f| f["name"] == "length(dpo)").unwrap().clone();
    let mean = lines.iter().map(|l| l["length(dpo)"].as_f64().unwrap()).sum::<f64>() / 5.0;
    assert!((length["value"].as_f64().unwrap() - mean).abs() < 1e-12 && length["n"] == 5, "{length}");
    assert!(length["low"].as_f64().unwrap() < mean && mean < length["high"].as_f64().unwrap());
    assert_eq!(summary["relations"][0]["verdict"], "came_out");

    let again = run(&args);
    assert!(!again.status.success() && text(&again.stderr).contains("exists already"));
    let listed = text(&run(&["experiment", "--list"]).stdout);
    assert!(listed.contains("quickstart ") && listed.contains("simpo-toy "), "{listed}");
}
