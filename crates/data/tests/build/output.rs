//! Prepared folders: written, read back, refused when they were changed.

use std::collections::BTreeMap;
use std::path::Path;

use tropism_data::DataError;
use tropism_data::build::{BuildOptions, Built, build};
use tropism_data::construct::dataset::Kind;
use tropism_data::construct::*;
use tropism_data::curriculum::Curriculum;
use tropism_data::output::{MANIFEST, Manifest, Prepared, Written, write};
use tropism_data::record::{Message, Record, Response, Source, Text, Value};

use crate::support::{record, records};

fn chat(row: usize) -> Record {
    let user = Message::new("user", format!("question {row}"));
    let mut record = Record::new(Source::row("chats", row), Text::Chat(vec![Message::new("system", "é\n"), user]));
    record.tools = vec![Value::Object(vec![("name".to_owned(), "add".into())])];
    record.answer = row.is_multiple_of(2).then(|| row.to_string());
    for i in 0..4 {
        let mut message = Message::new("assistant", format!("answer {i}"));
        if i == 2 {
            message.extras = vec![("tool_calls".to_owned(), Value::List(vec!["x".into()]))];
        }
        let model = (i > 0).then(|| format!("m{i}"));
        record.responses.push(Response { model, score: Some(f64::from(i)), ..Response::new(Text::Chat(vec![message])) });
    }
    record
}

fn about(seed: u64) -> Written {
    Written { seed, config: serde_json::json!({"a": 1}), ..Written::default() }
}

fn write_to(folder: &Path, built: &Built) -> Result<Manifest, DataError> {
    write(folder, built, &about(3), &|_| ())
}

fn strategies() -> Vec<Strategy> {
    vec![
        AllPairs::default().into(),
        Curry::default().into(),
        Ranking { size: Some(3), relevance: Some(Relevance::Best(1)) }.into(),
        Unpaired { verdict: Verdict::Extremes }.into(),
        Groups::default().into(),
        Joint { responses: None, ..Joint::default() }.into(),
        Traces { threshold: 1.5, ..Traces::default() }.into(),
    ]
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let plain: Vec<Vec<f64>> = (0..9).map(|i| vec![0.0, f64::from(i), 2.5]).collect();
    for (kind, records) in [("chat", (1..30).map(chat).collect()), ("plain", records(&plain))] {
        for strategy in strategies() {
            let options = BuildOptions { construct: strategy.clone(), ..BuildOptions::default() };
            let built = build(records.clone(), &options).unwrap();
            let path = folder.path().join(format!("{kind}-{}", strategy.name()));
            let manifest = write_to(&path, &built).unwrap();
            let prepared = Prepared::open(&path).unwrap();
            assert_eq!(prepared.manifest(), &manifest);
            for part in &built.parts {
                let rows = prepared.rows(&part.name).unwrap();
                assert_eq!((rows.len(), manifest.part(&part.name).unwrap().rows), (part.rows.len(), part.rows.len()));
                for (i, row) in rows.iter().enumerate() {
                    assert_eq!(row.item, part.rows.item(i, &built.records), "{kind} {} {i}", strategy.name());
                    assert_eq!(row.numbers, part.rows.numbers(i));
                    let cells: BTreeMap<_, _> = part.rows.cells.iter().map(|(k, v)| (k.clone(), v[i].clone())).collect();
                    assert_eq!(row.cells, cells);
                }
            }
        }
    }
}

#[test]
fn same_seed_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let lists: Vec<Vec<f64>> = (0..40).map(|i| (0..5).map(|j| f64::from((3 * i + j * j) % 7)).collect()).collect();
    let options = |seed| BuildOptions {
        seed,
        construct: BestRandom { rejected: Rejected::Any, ties: Ties::HalfLabel, ..BestRandom::default() }.into(),
        controls: controls::Controls { label_noise: 0.2, balance_lengths: true, ..Default::default() },
        curriculum: Some(Curriculum { stages: 3, ..Curriculum::default() }),
        test_fraction: Some(0.2),
        ..BuildOptions::default()
    };
    let bytes = |name: &str, seed| {
        let path = folder.path().join(name);
        write_to(&path, &build(records(&lists), &options(seed)).unwrap()).unwrap();
        let read = |file: &str| std::fs::read(path.join(file)).unwrap();
        ["train.parquet", "test.parquet", MANIFEST, "audit.json", "audit.txt"].map(read)
    };
    let first = bytes("a", 1);
    assert_eq!(first, bytes("b", 1));
    assert_ne!(first[0], bytes("c", 2)[0]);
}

#[test]
fn views_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let made = |strategy: Strategy, name: &str| {
        let path = folder.path().join(name);
        let options = BuildOptions { construct: strategy, ..BuildOptions::default() };
        write_to(&path, &build((1..4).map(chat).collect(), &options).unwrap()).unwrap();
        Prepared::open(&path).unwrap()
    };
    let pairs = made(BestWorst::default().into(), "pairs");
    let found = pairs.pairs("train").unwrap();
    assert_eq!((found.len(), found[0].numbers["score_gap"], found[0].tools.len()), (3, 3.0, 1));
    let error = pairs.unpaired("train").unwrap_err().to_string();
    assert!(error.contains("holds pairs, and unpaired are asked for"), "{error}");
    let error = pairs.pairs("test").unwrap_err().to_string();
    assert!(error.contains("has no part `test`; it has train"), "{error}");
    let single = made(Unpaired { verdict: Verdict::Between(0.0, 3.0) }.into(), "single");
    let labels: Vec<bool> = single.unpaired("train").unwrap().into_iter().map(|(_, label)| label).collect();
    assert_eq!(labels, [false, true, false, true, false, true]);
    let traces = made(Traces { threshold: 1.5, ..Traces::default() }.into(), "traces");
    assert_eq!((traces.samples("positives").unwrap().len(), traces.pairs("train").unwrap().len()), (6, 3));
    assert_eq!(traces.manifest().part("positives").unwrap().kind, Kind::Samples);
}

#[test]
fn changed_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p");
    let built = build(vec![record(1, &[0.0, 1.0])], &BuildOptions::default()).unwrap();
    write_to(&path, &built).unwrap();
    let error = write_to(&path, &built).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
    let file = path.join("train.parquet");
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    std::fs::write(&file, bad).unwrap();
    let error = Prepared::open(&path).unwrap_err().to_string();
    assert!(error.contains("train.parquet") && error.contains("the manifest says"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert!(Prepared::open(&path).unwrap_err().to_string().contains("no such file"));
    std::fs::write(path.join(MANIFEST), "{}").unwrap();
    assert!(Prepared::open(&path).unwrap_err().to_string().contains("version 1 of `tropism-prepared` was expected"));
    std::fs::write(path.join(MANIFEST), "{").unwrap();
    assert!(Prepared::open(&path).unwrap_err().to_string().contains("not valid JSON"));
    assert!(!Prepared::is(folder.path()) && Prepared::is(&path));
}

#[test]
fn nothing_is_left_of_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p");
    let mixed = build(vec![record(1, &[0.0, 1.0]), chat(2)], &BuildOptions::default()).unwrap();
    let error = write_to(&path, &mixed).unwrap_err().to_string();
    assert!(error.contains("chats, row 2") && error.contains("made up, row 1 holds plain text"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
