//! AlpacaEval lists and GSM8K solutions, built and counted against closed forms. Skipped where the files are missing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tropism_data::build::{BuildOptions, Built, build};
use tropism_data::construct::dataset::Kind;
use tropism_data::construct::*;
use tropism_data::output::{Prepared, Written, write};
use tropism_data::read::{ReadOptions, read_records};
use tropism_data::record::{Record, Text};

fn records(file: &str) -> Option<Vec<Record>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("TROPISM_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = folder.join(file);
    if !path.exists() {
        println!("skipped: {} is missing; set TROPISM_DATA to the folder of the data sets", path.display());
        return None;
    }
    Some(read_records(&path, &ReadOptions::default()).unwrap().0)
}

fn made(records: &[Record], strategy: impl Into<Strategy>) -> Built {
    build(records.to_vec(), &BuildOptions { construct: strategy.into(), ..BuildOptions::default() }).unwrap()
}

fn scores(record: &Record) -> Vec<f64> {
    record.responses.iter().map(|response| response.score.unwrap()).collect()
}

/// Pairs of responses with different scores and different texts.
fn different(record: &Record, i: usize, j: usize) -> bool {
    let scores = scores(record);
    scores[i] != scores[j] && record.responses[i].content != record.responses[j].content
}

#[test]
fn alpaca_eval_lists() {
    let Some(records) = records("alpaca-eval/responses.jsonl.gz") else { return };
    assert_eq!((records.len(), records.iter().all(|record| record.responses.len() == 26)), (805, true));

    let built = made(&records, BestWorst::default());
    let rows = built.part("train").unwrap();
    let differing = records.iter().filter(|r| scores(r).iter().any(|s| *s != scores(r)[0])).count();
    println!("best_worst: {} pairs of {} prompts", rows.len(), records.len());
    assert_eq!(rows.len(), differing);

    let built = made(&records, AllPairs::default());
    let rows = built.part("train").unwrap();
    let pairs = |record: &Record, keep: &dyn Fn(f64) -> bool| {
        let scores = scores(record);
        (0..26)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .filter(|&(i, j)| different(record, i, j) && keep((scores[i] - scores[j]).abs()))
            .count()
    };
    let expected: usize = records.iter().map(|record| pairs(record, &|_| true)).sum();
    let audit = &built.audit["train"];
    let out: BTreeMap<&str, usize> = audit.left_out.iter().map(|(reason, rows)| (reason.as_str(), rows.count)).collect();
    println!("all_pairs: {} of {} pairs, left out {out:?}", rows.len(), 805 * 325);
    assert_eq!(rows.len(), expected);
    assert_eq!(rows.len() + out.values().sum::<usize>(), 805 * 325);
    assert!(rows.columns["score_gap"].iter().all(|&gap| gap > 0.0));

    let rows = made(&records, Margin { min: 0.5, max: None });
    let expected: usize = records.iter().map(|record| pairs(record, &|gap| gap >= 0.5)).sum();
    println!("margin of at least 0.5: {} pairs", rows.part("train").unwrap().len());
    assert_eq!(rows.part("train").unwrap().len(), expected);

    let built = made(&records, Curry { responses: Some(4), ..Curry::default() });
    let rows = built.part("train").unwrap();
    let left: usize = built.audit["train"].left_out.values().map(|rows| rows.count).sum();
    println!("curry: {} pairs in 3 stages, {left} left out for ties or equal texts", rows.len());
    assert_eq!(rows.len() + left, 805 * 3);
    assert!(rows.columns["stage"].iter().all(|stage| [0.0, 1.0, 2.0].contains(stage)));
}

#[test]
fn alpaca_eval_rankings_of_eight() {
    let Some(records) = records("alpaca-eval/responses.jsonl.gz") else { return };
    let options = BuildOptions { construct: Ranking { size: Some(8), relevance: None }.into(), ..BuildOptions::default() };
    let built = build(records.clone(), &options).unwrap();
    let rows = built.part("train").unwrap();
    println!("rankings of 8: {} lists", rows.len());
    assert_eq!(rows.len(), 805);
    for row in &rows.rows {
        let record = &records[row.record];
        let mut sorted = scores(record);
        sorted.sort_by(|a, b| b.total_cmp(a));
        let taken: Vec<f64> = row.parts.iter().map(|part| record.responses[part.response].score.unwrap()).collect();
        let expected: Vec<f64> = [0, 4, 7, 11, 14, 18, 21, 25].iter().map(|&place| sorted[place]).collect();
        assert_eq!(taken, expected, "{}", record.source);
    }
    // ties are broken by the seed: where scores tie the responses may differ, the scores never
    assert_eq!(build(records.clone(), &options).unwrap(), built);
    let other = build(records, &BuildOptions { seed: 1, ..options }).unwrap();
    assert_eq!(other.part("train").unwrap().cells["scores"], rows.cells["scores"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rankings");
    write(&path, &built, &Written::default(), &|_| ()).unwrap();
    let stored = Prepared::open(&path).unwrap().rows("train").unwrap();
    assert!(
        stored.iter().all(|row| row.item.completions.len() == 8 && row.cells["rank"] == [0., 1., 2., 3., 4., 5., 6., 7.])
    );
}

#[test]
fn gsm8k_solutions() {
    let Some(records) = records("gsm8k/example_model_solutions.jsonl.gz") else { return };
    assert_eq!((records.len(), records.iter().map(|r| r.responses.len()).sum::<usize>()), (1319, 1319 * 4));
    let built = made(&records, Traces { pairs: Traced::All, ..Traces::default() });
    let (rows, positives) = (built.part("train").unwrap(), built.part("positives").unwrap());
    println!("right against wrong: {} pairs, {} positives", rows.len(), positives.len());
    // the sheet's figure, from labels alone; equal texts with different labels would make it smaller
    assert_eq!(rows.len(), 2429);
    let first = made(&records, Traces::default());
    let mixed = first.part("train").unwrap().len();
    println!("first right against first wrong: {mixed} pairs");
    assert_eq!(mixed, 731);

    let built = made(&records, Groups::default());
    let rows = built.part("train").unwrap();
    println!("groups: {}", rows.len());
    assert_eq!((rows.kind, rows.len()), (Kind::Groups, 1319));
    let varied = made(&records, Groups { zero_variance: ZeroVariance::Drop, ..Groups::default() });
    assert_eq!(varied.part("train").unwrap().len(), 731);
    for row in 0..rows.len() {
        let item = rows.item(row, &built.records);
        let answer = item.answer.unwrap();
        assert!(answer.parse::<f64>().is_ok(), "{answer}");
        assert_eq!(rows.cells["rewards"][row].len(), 4);
        for (completion, &reward) in item.completions.iter().zip(&rows.cells["rewards"][row]) {
            let Text::Chat(messages) = completion else { panic!("{completion:?}") };
            let written = messages[0].content.rsplit_once("A:").map(|(_, answer)| answer.trim().replace([',', '$'], ""));
            if let Some(Ok(written)) = written.map(|answer| answer.parse::<f64>()) {
                assert_eq!(written == answer.parse::<f64>().unwrap(), reward == 1.0, "{}", item.source);
            }
        }
    }
}

#[test]
fn gsm8k_prompts_to_be_sampled() {
    let Some(records) = records("gsm8k/train.jsonl.gz") else { return };
    let built = made(&records, Groups { prompts_only: true, ..Groups::default() });
    let rows = built.part("train").unwrap();
    assert_eq!(rows.len(), 7473);
    let item = |row| rows.item(row, &built.records);
    assert!((0..rows.len()).all(|row| item(row).answer.is_some() && item(row).completions.is_empty()));
}
