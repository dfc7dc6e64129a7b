//! The verdict on labelled solutions of GSM8K, where the data are at hand.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::path::PathBuf;

use tropism_rewards::{Marked, Verdict};

fn file(name: &str) -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("TROPISM_DATA").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let path = folder.join("gsm8k").join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        println!("skipped: {} is not there; set TROPISM_DATA to the folder of data sets", path.display());
        return None;
    };
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    Some(text)
}

#[test]
fn verdicts_agree_with_the_labels_of_all_solutions() {
    let Some(text) = file("example_model_solutions.jsonl.gz") else { return };
    let (marked, mut seen, mut unreadable) = (Marked { marker: "A:".into(), closing: None }, 0, 0);
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let truth = row["ground_truth"].as_str().unwrap();
        for solution in row.as_object().unwrap().values().filter(|v| v.is_object()) {
            let verdict = marked.verdict(solution["solution"].as_str().unwrap(), truth).unwrap();
            assert_eq!(verdict == Verdict::Correct, solution["is_correct"].as_bool().unwrap(), "{solution}");
            unreadable += usize::from(verdict == Verdict::Unreadable);
            seen += 1;
        }
    }
    println!("{seen} solutions, {unreadable} of them without a readable answer");
    assert_eq!(seen, 5276);
}

#[test]
fn reference_solutions_are_read() {
    for name in ["train.jsonl.gz", "test.jsonl.gz"] {
        let Some(text) = file(name) else { return };
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let answer = row["answer"].as_str().unwrap();
            assert_eq!(Marked::default().verdict(answer, answer), Some(Verdict::Correct), "{answer}");
        }
    }
}

#[test]
fn hostile_texts_end() {
    let marked = Marked { marker: "A:".into(), closing: None };
    let n = 4_000_000;
    for part in ["A:", "A:\n", "A: -", "-", "$,", "0", "1", ".", "\\boxed{", "}", "\n", "٣", "a\u{301}"] {
        let text = part.repeat(n);
        for verifier in [&marked, &Marked::boxed()] {
            let verdict = verifier.verdict(&text, "18").unwrap();
            assert_ne!(verdict, Verdict::Correct, "{part}");
            // what stands behind the judged part is not read
            assert_eq!(verifier.verdict(&format!("{text}\nA: 18 \\boxed{{18}}"), "18"), Some(verdict), "{part}");
        }
    }
}
