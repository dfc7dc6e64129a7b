//! Runs with a denoiser.
use crate::common::{command, run, text};
use crate::json;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const TINY: &str = r#"
name = "points"
[world]
kind = "ring"
[model.denoiser]
kind = "mlp"
hidden = 32
[process]
kind = "diffusion"
steps = 100
[evaluation]
samples = 200
moves = 10
shown = 50
[[stages]]
name = "pretrain"
objective = { method = "denoising" }
max_steps = 400
batch_size = 64
learning_rate = 2e-3
checkpoint_every = 20
[[stages]]
name = "align"
objective = { method = "diffusion_dpo", beta = 500.0 }
max_steps = 300
batch_size = 64
pairs = 300
learning_rate = 2e-4
checkpoint_every = 20
"#;

fn file(dir: &Path) -> String {
    let file = dir.join("points.toml");
    fs::write(&file, TINY).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_denoiser_is_trained_aligned_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (file(dir.path()), dir.path().join("out"));
    let result = run(&["experiment", &file, "--seed", "3", "--out", out.to_str().unwrap()]);
    assert!(result.status.success(), "{}", text(&result.stderr));
    let summary = json(out.join("summary.json"));
    let names: Vec<&str> = summary["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["data", "pretrain", "align"]);
    let of = |stage: usize, metric: &str| summary["stages"][stage]["metrics"][metric]["value"].as_f64().unwrap();
    assert!(of(2, "reward") > of(1, "reward") && of(2, "win_rate") > 0.5, "{summary}");
    assert!(of(0, "distance") < of(1, "distance"));
    let lines = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 70);
    assert!(lines[69]["rewards/margins"].is_number());
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.contains("samples of align") && html.contains("mean reward of these 50"));
    assert!(out.join("model.safetensors").exists() && !out.join("checkpoint").exists());
}

#[test]
fn a_killed_denoiser_goes_on_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    let path = |name: &str| dir.path().join(name);
    let whole = run(&["experiment", &file, "--out", path("whole").to_str().unwrap()]);
    assert!(whole.status.success(), "{}", text(&whole.stderr));
    for (i, stage) in ["pretrain", "align"].into_iter().enumerate() {
        let out = path(&format!("cut{i}"));
        let mut child = command(&["experiment", &file, "--out", out.to_str().unwrap()]).spawn().unwrap();
        let clock = Instant::now();
        while !out.join("checkpoint").join(format!("{stage}.safetensors")).exists() && !out.join("report.html").exists() {
            assert!(clock.elapsed() < Duration::from_secs(60), "no checkpoint of {stage}");
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        let _ = child.wait();
        let result = run(&["experiment", "--resume", out.to_str().unwrap()]);
        assert!(result.status.success(), "{}", text(&result.stderr));
        for file in ["model.safetensors", "metrics.jsonl", "stages/pretrain/model.safetensors"] {
            assert_eq!(fs::read(out.join(file)).unwrap(), fs::read(path("whole").join(file)).unwrap(), "{stage}: {file}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    let refused = |sets: &[&str], parts: &[&str]| {
        let mut args = vec!["experiment", &file, "--dry-run"];
        sets.iter().for_each(|s| args.extend(["--set", s]));
        let result = run(&args);
        let said = text(&result.stderr).replace("\n  │ ", " ");
        assert!(!result.status.success(), "{sets:?}");
        parts.iter().for_each(|p| assert!(said.contains(p), "`{p}` is not in {said}"));
    };
    assert!(run(&["experiment", &file, "--dry-run"]).status.success());
    refused(&["stages.align.objective.betta=1"], &["betta"]);
    refused(&["stages.align.objective.method=rankdpo"], &["rankdpo", "ranked"]);
    refused(&["stages.align.objective.beta=-1.0"], &["beta", "positive"]);
    refused(&["stages.align.lerning_rate=1"], &["lerning_rate"]);
    refused(&["model.denoiser.dim=3"], &["3 numbers"]);
    refused(&["model.denoiser.kind=unett"], &["unett"]);
    refused(&["world.kind=rings"], &["rings"]);
    refused(&["evaluation.moves=0"], &["moves"]);
    refused(&["stages.align.pairs=0"], &["stage `align`", "pairs"]);
    refused(&["stages.pretrain.objective.method=diffusion_dpo"], &["denoising"]);
}
