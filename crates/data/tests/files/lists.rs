//! Lists of responses: ranked, scored, and marked right or wrong; the real files where they are.

use std::path::{Path, PathBuf};

use tropism_data::formats::Format;
use tropism_data::read::{ReadOptions, RecordReader, read_records};
use tropism_data::record::Record;

use crate::support::{options, record_error, records, said};

#[test]
fn nectar() {
    let answer = |rank: u8| format!(r#"{{"answer":"a{rank}","model":"m{rank}","rank":{rank}.0}}"#);
    let answers: Vec<String> = (1..=7).rev().map(answer).collect();
    let row = |count: u8| {
        format!(
            r#"{{"prompt":"\n\nHuman: q\n\nAssistant: ","answers":[{}],"turns":1,"num_responses":{count},"source":["x"],"good_natured":true}}"#,
            answers.join(",")
        )
    };
    let (format, found, _) = records(&row(7));
    assert_eq!((format, said(&found[0].prompt)), (Format::Nectar, "user: q".to_owned()));
    let ranks: Vec<f64> = found[0].responses.iter().filter_map(|r| r.rank).collect();
    assert_eq!(ranks, [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
    assert_eq!((found[0].responses[6].model.as_deref(), found[0].numbers["good_natured"]), (Some("m1"), 1.0));
    let error = record_error(&row(6), &options("{}"));
    assert!(error.contains("`answers` has 7 items, `num_responses` says 6"), "{error}");
    let error = record_error(r#"{"prompt":"p","answers":[{"answer":"a"}]}"#, &options("{}"));
    assert!(error.contains("item 1 lacks `answer` or `rank`"), "{error}");
}

#[test]
fn on_policy_samples() {
    let row = r#"{"prompt":"q","all_generated_responses":["a","b"],"all_rm_scores":[0.1,0.2],"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#;
    let (format, found, _) = records(row);
    assert_eq!(format, Format::OnPolicy);
    assert_eq!(found[0].responses.iter().map(|r| r.score).collect::<Vec<_>>(), [Some(0.1), Some(0.2)]);
    let error = record_error(r#"{"prompt":"q","all_generated_responses":["a"],"all_rm_scores":[]}"#, &options("{}"));
    assert!(error.contains("have 1 and 0 items"), "{error}");
}

#[test]
fn alpaca_eval() {
    let row = |preference: &str| {
        format!(
            r#"{{"index":3,"dataset":"koala","instruction":"q","responses":[{{"model":"base","text":"a","preference":0.5}},{{"model":"m","text":"b","preference":{preference}}}]}}"#
        )
    };
    let (format, found, _) = records(&row("0.75"));
    assert_eq!((format, found[0].id.as_deref(), found[0].origin.as_deref()), (Format::AlpacaEval, Some("3"), Some("koala")));
    assert_eq!(found[0].responses.iter().map(|r| r.score).collect::<Vec<_>>(), [Some(0.5), Some(0.75)]);
    assert!(record_error(&row("1.5"), &options("{}")).contains("item 2 has a preference outside [0, 1]"));
    let row = |preference: &str| {
        format!(
            r#"{{"instruction":"q","output_1":"a","generator_1":"base","dataset":"koala","output_2":"b","generator_2":"m","annotator":"x","preference":{preference}}}"#
        )
    };
    let (format, found, audit) = records(&[row("1.75"), row("1.5"), row("null"), row("1")].join("\n"));
    assert_eq!((format, audit.dropped["no preference"].rows.as_slice()), (Format::AlpacaEvalAnnotations, &[3][..]));
    let ranks: Vec<Vec<f64>> = found.iter().map(|r| r.responses.iter().filter_map(|r| r.rank).collect()).collect();
    assert_eq!(ranks, [[2.0, 1.0], [1.0, 1.0], [1.0, 2.0]]);
    assert_eq!(found[0].responses[1].score, Some(0.75));
}

#[test]
fn gsm8k() {
    let (format, found, audit) = records(
        "{\"question\":\"q\",\"answer\":\"1000+234=<<1000+234=1234>>1,234\\n#### 1,234\"}\n{\"question\":\"q\",\"answer\":\"?\"}",
    );
    assert_eq!((format, found[0].answer.as_deref()), (Format::Gsm8k, Some("1234")));
    assert_eq!(found[0].responses[0].label, Some(true));
    assert_eq!(audit.dropped["no final answer"].rows, [2]);
    let row = r#"{"question":"q","ground_truth":"so\nA: 7","small":{"is_correct":false,"solution":"A: 6"},"large":{"is_correct":true,"solution":"A: 7"}}"#;
    let (format, found, _) = records(row);
    assert_eq!((format, found[0].answer.as_deref()), (Format::Gsm8kSolutions, Some("7")));
    let found: Vec<_> = found[0].responses.iter().map(|r| (r.model.as_deref().unwrap(), r.label.unwrap())).collect();
    assert_eq!(found, [("small", false), ("large", true)]);
}

/// A real file, where it is.
fn real(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("TROPISM_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        println!("skipped: {} is missing; set TROPISM_DATA to the folder of the data sets", path.display());
        return None;
    }
    Some(path)
}

fn read(path: &Path, format: Format) -> Vec<Record> {
    assert_eq!(RecordReader::open(path, &ReadOptions::default()).unwrap().format(), format);
    let (records, audit) = read_records(path, &ReadOptions::default()).unwrap();
    assert_eq!((audit.read, audit.dropped_count()), (records.len(), 0));
    records
}

#[test]
fn real_gsm8k() {
    let Some(path) = real("gsm8k/test.jsonl.gz") else { return };
    let problems = read(&path, Format::Gsm8k);
    assert_eq!(problems.len(), 1319);
    let Some(path) = real("gsm8k/train.jsonl.gz") else { return };
    assert_eq!(read(&path, Format::Gsm8k).len(), 7473);
    let Some(path) = real("gsm8k/example_model_solutions.jsonl.gz") else { return };
    let solutions = read(&path, Format::Gsm8kSolutions);
    assert_eq!(solutions.len(), 1319);
    assert!(solutions.iter().all(|record| record.responses.len() == 4));
    let right = |record: &Record| record.responses.iter().filter(|r| r.label == Some(true)).count();
    // the counts of the data sheet: problems with right and wrong solutions, and pairs of such
    assert_eq!(solutions.iter().filter(|r| (1..4).contains(&right(r))).count(), 731);
    assert_eq!(solutions.iter().map(|r| right(r) * (4 - right(r))).sum::<usize>(), 2429);
    let same = problems.iter().zip(&solutions).filter(|(a, b)| a.answer == b.answer).count();
    assert_eq!(same, 1319, "both files know the same final answers");
}

#[test]
fn real_alpaca_eval() {
    let Some(path) = real("alpaca-eval/responses.jsonl.gz") else { return };
    let lists = read(&path, Format::AlpacaEval);
    assert_eq!(lists.len(), 805);
    for list in &lists {
        assert_eq!(list.responses.len(), 26);
        let base = list.responses.iter().find(|r| r.model.as_deref() == Some("gpt4_1106_preview")).unwrap();
        assert_eq!(base.score, Some(0.5));
        assert!(list.responses.iter().all(|r| r.score.is_some()));
    }
}

#[test]
fn real_hh() {
    let Some(path) = real("hh-rlhf/harmless-base-test.jsonl.gz") else { return };
    let mut reader = RecordReader::open(&path, &ReadOptions::default()).unwrap();
    assert_eq!(reader.format(), Format::Hh);
    let count: usize = reader.by_ref().map(|batch| batch.unwrap().len()).sum();
    assert_eq!((count, reader.audit().read), (2303, 2312));
}
