//! Answers that may not repeat a corpus.
use crate::common::{run, text};
use crate::{json, tiny};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn go(dir: &Path, name: &str, sets: &[&str]) -> Result<Value, String> {
    let (file, out) = tiny(dir, name);
    let mut args = vec!["experiment", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    let result = run(&args);
    if !result.status.success() {
        assert!(!out.exists(), "nothing is written before all has been read");
        return Err(text(&result.stderr));
    }
    Ok(json(out.join("stages/dpo/result.json")))
}

#[test]
fn a_corpus_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let plain = go(dir.path(), "plain", &[]).unwrap();
    assert!(plain["metrics"].get("drift").is_none());
    let corpus = dir.path().join("corpus.jsonl");
    let rows = plain["answers"].as_array().unwrap().iter().map(|a| format!("{}\n", json!({ "text": a["text"] })));
    fs::write(&corpus, rows.collect::<String>()).unwrap();
    let path = format!("evaluation.veto.path={}", corpus.display());
    let sets = [path.as_str(), "evaluation.veto.window=2", "evaluation.veto.threshold=1"];

    let measured = go(dir.path(), "measured", &[&sets[..], &["evaluation.veto.penalty=0"]].concat()).unwrap();
    assert!(measured["metrics"]["drift"]["value"].as_f64().unwrap() > 0.5, "{}", measured["metrics"]);
    assert_eq!(measured["answers"], plain["answers"]);

    let vetoed = go(dir.path(), "vetoed", &sets).unwrap();
    assert_eq!(vetoed["metrics"]["drift"]["value"], 0.0);
    assert_ne!(vetoed["answers"], plain["answers"]);

    // a large penalty is a veto, a tiny one is none, and an answer counts once
    let large = go(dir.path(), "large", &[&sets[..], &["evaluation.veto.penalty=1000"]].concat()).unwrap();
    assert_eq!(large["metrics"]["drift"]["value"], 0.0);
    let tiny = go(dir.path(), "tiny", &[&sets[..], &["evaluation.veto.penalty=1e-9"]].concat()).unwrap();
    assert_eq!(tiny["answers"], plain["answers"]);
    assert_eq!(tiny["metrics"]["drift"]["n"], plain["answers"].as_array().unwrap().len());
}

#[test]
fn a_veto_names_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let said = |name: &str, sets: &[&str]| go(dir.path(), name, sets).unwrap_err();
    let missing = said("missing", &["evaluation.veto.path=/no/such.jsonl"]);
    assert!(missing.contains("/no/such.jsonl"), "{missing}");
    let broken = dir.path().join("broken.jsonl");
    fs::write(&broken, "{\"text\": \"a\"}\n{\"words\": 1}\n").unwrap();
    let path = format!("evaluation.veto.path={}", broken.display());
    let broken = said("broken", &[&path]);
    assert!(broken.contains("line 2") && broken.contains("text"), "{broken}");
    let negative = said("negative", &[&path, "evaluation.veto.penalty=-1"]);
    assert!(negative.contains("evaluation.veto.penalty"), "{negative}");
}
