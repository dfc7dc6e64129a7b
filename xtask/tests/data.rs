//! `data build`, `inspect` and `audit` over the command line, and a prepared folder in an experiment.
#![allow(clippy::unwrap_used)]
mod common;
use common::{command, golden, run, text};
use std::fs;
use std::path::{Path, PathBuf};

/// AlpacaEval lists of four responses with scores.
fn lists(dir: &Path, rows: usize) -> PathBuf {
    let path = dir.join("lists.jsonl");
    let row = |i: usize| {
        let response = |j: usize| serde_json::json!({"text": format!("answer {j} to {i}"), "model": format!("m{j}"), "preference": 0.2 * j as f64});
        serde_json::json!({"instruction": format!("question {i}?"), "responses": (0..4).map(response).collect::<Vec<_>>()})
            .to_string()
    };
    fs::write(&path, (0..rows).map(|i| row(i) + "\n").collect::<String>()).unwrap();
    path
}

fn ok(args: &[&str]) -> String {
    let result = run(args);
    assert!(result.status.success(), "{args:?}: {}", text(&result.stderr));
    text(&result.stdout)
}

fn refused(args: &[&str]) -> String {
    let result = run(args);
    let said = text(&result.stderr);
    assert_eq!(result.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn built_looked_at_and_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (lists(dir.path(), 40), dir.path().join("prepared"));
    let config = dir.path().join("data.toml");
    let toml = format!(
        "test_fraction = 0.25\n[source]\npath = {:?}\n[construct]\nstrategy = \"curry\"\n[curriculum]\nby = \"stage\"\n",
        str(&source)
    );
    fs::write(&config, toml).unwrap();
    let said = ok(&["data", "build", str(&config), "--seed", "3", "--out", str(&out)]);
    assert!(said.contains("stage 2") && said.contains("pairs in train.parquet"), "{said}");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let rows = |i: usize| manifest["files"][i]["rows"].as_u64().unwrap();
    assert_eq!((rows(0) + rows(1), manifest["seed"].as_u64()), (120, Some(3)));
    assert_eq!(manifest["sources"][0]["sha256"].as_str().unwrap().len(), 64);
    assert!(manifest["versions"]["polars"].is_string() && manifest["versions"]["tropism-data"].is_string());

    let audit = ok(&["data", "audit", str(&out)]);
    assert!(audit.contains("2 files as the manifest says, seed 3"), "{audit}");
    let tokenizer = golden("tokenizer");
    let seen = ok(&["data", "inspect", str(&out), "--tokenizer", str(&tokenizer), "--row", "2", "--ids", "--template"]);
    assert!(
        seen.contains("mask 0 (read, not trained)") && seen.contains("== chosen:") && seen.contains("== rejected:"),
        "{seen}"
    );
    assert!(seen.contains("score_gap = ") && !seen.contains('\x1b'), "{seen}");

    let model = golden("models").join("llama_tied");
    let sets = [
        format!("data.path={}", out.display()),
        format!("model.path={}", model.display()),
        format!("model.tokenizer={}", tokenizer.display()),
        "stages.dpo.data_stage=1".to_owned(),
        "stages.dpo.shuffle=false".to_owned(),
        "stages.dpo.batch_size=8".to_owned(),
        "evaluation.prompts=0".to_owned(),
    ];
    let folder = dir.path().join("run");
    let mut args = vec!["experiment", "dpo", "--out", str(&folder)];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    ok(&args);
    let lines = fs::read_to_string(folder.join("metrics.jsonl")).unwrap().lines().count();
    assert_eq!(lines, (rows(0) as usize / 3).div_ceil(8));
    let config = fs::read_to_string(folder.join("config.toml")).unwrap();
    assert!(config.contains(manifest["files"][0]["sha256"].as_str().unwrap()), "{config}");

    let refuse = |set: &str| {
        let again = dir.path().join("again");
        let mut args = args.clone();
        args[3] = str(&again);
        let said = refused(&[&args[..], &["--set", set]].concat());
        assert!(!again.exists());
        said
    };
    assert!(refuse("stages.dpo.data_stage=7").contains("no pairs of `data_stage` 7"));
    let file = out.join("train.parquet");
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(refuse("data.limit=5").contains("the manifest says"));
    assert!(refused(&["data", "audit", str(&out)]).contains("prepare the data again"));
}

#[test]
fn plain_files_are_looked_at_too() {
    let dir = tempfile::tempdir().unwrap();
    let source = lists(dir.path(), 3);
    let audit = ok(&["data", "audit", str(&source)]);
    assert!(audit.contains("records.responses") && audit.contains("alpaca_eval"), "{audit}");
    let json: serde_json::Value = serde_json::from_str(&ok(&["data", "audit", str(&source), "--json"])).unwrap();
    assert_eq!((json["records"]["responses"].as_u64(), json["read"]["kept"].as_u64()), (Some(12), Some(3)));
    let tokenizer = golden("tokenizer");
    let args = ["data", "inspect", str(&source), "--tokenizer", str(&tokenizer), "--rows", "2"];
    let seen = ok(&args);
    assert_eq!(seen.matches("response 4: m3, score 0.6").count(), 2, "{seen}");
    // colour is for terminals only
    let forced = command(&args).env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR").output().unwrap();
    assert!(!text(&forced.stdout).contains('\x1b'));
}

#[test]
fn mistakes_are_named_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (lists(dir.path(), 5), dir.path().join("prepared"));
    let build = |more: &[&str]| {
        let said = refused(&[&["data", "build", "--source", str(&source), "--out", str(&out)], more].concat());
        assert!(!out.exists(), "{said}");
        said
    };
    let said = build(&["--strategy", "best_wurst"]);
    assert!(said.contains("unknown name `best_wurst`") && said.contains("did you mean `best_worst`?"), "{said}");
    let said = build(&["--set", "construct.strategy=margin", "--set", "construct.mim=0.1"]);
    assert!(said.contains("unknown key `construct.mim`") && said.contains("did you mean `min`?"), "{said}");
    assert!(build(&["--strategy", "margin", "--set", "construct.min=0"]).contains("`min` is 0"));
    assert!(build(&["--set", "curriculum.by={ column = 'age' }"]).contains("`curriculum.by` is age"));
    assert!(build(&["--set", "score={ aspect = 'honesty' }"]).contains("no score: 20"));
    assert!(build(&["--set", "test_fraction=1.5"]).contains("`test_fraction` is 1.5"));
    assert!(build(&["--set", "clean=false", "--set", "hygiene.exact_duplicates=false"]).contains("no effect"));
    assert!(build(&["--format", "nectar"]).contains("lists.jsonl"));
    assert!(refused(&["data", "build", "--out", str(&out)]).contains("`source.path` is not set"));
    assert!(refused(&["data", "build", "--source", str(&source)]).contains("--out is not set"));
    assert!(refused(&["data", "audit", str(&out)]).contains("prepared"));
    let tokenizer = golden("tokenizer");
    let said = refused(&["data", "inspect", str(&source), "--tokenizer", str(&tokenizer), "--row", "9"]);
    assert!(said.contains("has no row 9"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the source");
    assert!(ok(&["data", "build", "--source", str(&source), "--dry-run"]).contains("\"strategy\": \"best_worst\""));
}

#[test]
fn ties_that_no_stage_reads_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("ties.jsonl");
    let row = |i: usize| {
        format!(
            "{{\"instruction\": \"q{i}\", \"responses\": [{{\"text\": \"a{i}\", \"preference\": 0.5}}, {{\"text\": \"b{i}\", \"preference\": 0.5}}]}}\n"
        )
    };
    fs::write(&source, (0..20).map(row).collect::<String>()).unwrap();
    let model = golden("models").join("llama_tied");
    for (ties, message) in [("half_label", "half a label"), ("{ keep = 0.5 }", "no stage weighs pairs")] {
        let out = dir.path().join(message.replace(' ', "-"));
        ok(&[
            "data",
            "build",
            "--source",
            str(&source),
            "--set",
            "construct.strategy=best_worst",
            "--set",
            &format!("construct.ties={ties}"),
            "--out",
            str(&out),
        ]);
        let sets = [
            format!("data.path={}", out.display()),
            format!("model.path={}", model.display()),
            format!("model.tokenizer={}", golden("tokenizer").display()),
        ];
        let mut args = vec!["experiment", "dpo", "--dry-run"];
        sets.iter().for_each(|set| args.extend(["--set", set]));
        let said = refused(&args);
        assert!(said.contains(message), "{said}");
    }
}
