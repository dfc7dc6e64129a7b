//! Which format a file has, and where its columns stand.

use std::collections::BTreeSet;

use tropism_data::formats::Format;
use tropism_data::read::{ReadOptions, RecordReader, read_pairs, read_records};

use crate::support::{Folder, options, record_error, records, said, texts};

#[test]
fn names_are_those_of_the_options() {
    for format in Format::all() {
        let name = format.to_string();
        let read: ReadOptions = options(&format!("{{\"format\":\"{name}\"}}"));
        assert_eq!(read.format, format);
        assert!(!format.columns().is_empty(), "{name}");
    }
    let names: BTreeSet<String> = Format::all().iter().map(Format::to_string).collect();
    assert_eq!(names.len(), Format::all().len());
    assert_eq!(options(r#"{"format":"pairs"}"#).format, Format::Preference);
    assert!(serde_json::from_str::<ReadOptions>(r#"{"format":"prefrence"}"#).is_err());
}

#[test]
fn two_fits_are_an_error_that_lists_them() {
    let both = r#"{"prompt":"p","completion":"c","chosen":"a","rejected":"b"}"#;
    let error = record_error(both, &options("{}"));
    assert!(error.contains("more than one way: `prompt_completion`, `preference`; set `format`"), "{error}");
    let folder = Folder::new();
    let path = folder.write("x.jsonl", both);
    for (name, responses) in [("preference", 2), ("prompt_completion", 1)] {
        let (found, _) = read_records(&path, &options(&format!("{{\"format\":\"{name}\"}}"))).unwrap();
        assert_eq!(found[0].responses.len(), responses);
    }
    let error = record_error(r#"{"text":"t","chosen":"a","rejected":"b"}"#, &options("{}"));
    assert!(error.contains("`language_modeling`, `preference`"), "{error}");
    // prompts beside whole conversations: imitate them, or answer the prompts?
    let error = record_error(
        r#"{"prompt":"p","messages":[{"role":"user","content":"p"},{"role":"assistant","content":"a"}]}"#,
        &options("{}"),
    );
    assert!(error.contains("`language_modeling`, `prompt_only`"), "{error}");
}

#[test]
fn more_special_formats_go_first() {
    for (row, format) in [
        (r#"{"prompt":"p","completion":"c","label":true}"#, Format::Unpaired),
        (r#"{"prompt":"p","completion":"c","label":"good"}"#, Format::PromptCompletion),
        (r#"{"chosen":"\n\nHuman: q\n\nAssistant: a","rejected":"\n\nHuman: q\n\nAssistant: b"}"#, Format::Hh),
        (r#"{"prompt":"p","chosen":"\n\nHuman: q\n\nAssistant: a","rejected":"b"}"#, Format::Preference),
        (r#"{"question":"q","answer":"4\n#### 4"}"#, Format::Gsm8k),
        // unknown columns beside do not matter
        (r#"{"prompt":"p","completion":"c","id":7,"meta":{"a":[1]}}"#, Format::PromptCompletion),
    ] {
        let (found, _, _) = records(row);
        assert_eq!(found, format, "{row}");
    }
}

#[test]
fn what_does_not_fit_is_explained() {
    for (row, reasons) in [
        (r#"{"chosen":"a","reject":"b"}"#, &["has no column `rejected`", "its columns are `reject`, `chosen`"][..]),
        (r#"{"a":1,"b":2}"#, &["no known format reads any of its columns `a`, `b`"]),
        (r#"{"prompt":"q","response_0":"a","response_1":"b","is_response_0_safe":true}"#, &["no column", "safe_rlhf"]),
        (r#"{"chosen":3,"rejected":"b"}"#, &["column `chosen`: holds a number; text or a list of messages", "`preference`"]),
        (r#"{"question":"q","answer":"no number"}"#, &["holds nothing by which to tell the format", "`gsm8k`"]),
    ] {
        let error = record_error(row, &options("{}"));
        assert!(reasons.iter().all(|reason| error.contains(reason)), "{error}");
    }
    let error = record_error(r#"{"prompt":"p"}"#, &options(r#"{"format":"nectar"}"#));
    assert!(error.contains("no column `answers`") && error.contains("`nectar`"), "{error}");
    // what is asked for is done without the check that only tells it from others
    let error = record_error(r#"{"chosen":"a","rejected":"b"}"#, &options(r#"{"format":"hh"}"#));
    assert!(error.contains("chosen is not a Human/Assistant dialogue: 1"), "{error}");
}

#[test]
fn columns_are_mapped() {
    let folder = Folder::new();
    let row = r#"{"better":"a","worse":"b","ask":"q","prompt":"other","chosen":7}"#;
    let path = folder.write("x.jsonl", row);
    let mapped = options(r#"{"columns":{"chosen":"better","rejected":"worse","prompt":"ask"}}"#);
    let reader = RecordReader::open(&path, &mapped).unwrap();
    assert_eq!(reader.format(), Format::Preference);
    let (pairs, _) = read_pairs(&path, &mapped).unwrap();
    assert_eq!(texts(&pairs)[0].each_ref().map(said), ["q", "a", "b"]);
    // a column under another name is not read under its own
    let taken = options(r#"{"columns":{"completion":"prompt","prompt":"ask"}}"#);
    let (found, _) = read_records(&path, &taken).unwrap();
    assert_eq!((said(&found[0].prompt), said(&found[0].responses[0].content)), ("q".to_owned(), "other".to_owned()));
    for (json, reasons) in [
        (r#"{"columns":{"chosen":"betr"}}"#, ["no column `betr`", "`better`"]),
        (
            r#"{"columns":{"chosen":"better","rejected":"worse","propmt":"ask"}}"#,
            ["`columns.propmt` is ask", "it reads `prompt`"],
        ),
        (r#"{"columns":{"chosen":"better","rejected":"better"}}"#, ["`columns.rejected` is better", "`columns.chosen`"]),
    ] {
        let error = read_records(&path, &options(json)).unwrap_err().to_string();
        assert!(reasons.iter().all(|reason| error.contains(reason)), "{error}");
    }
    // the names of nested and many columns too
    let path = folder.write("y.jsonl", r#"{"task":"q","outputs":[{"response":"a","overall_score":3}]}"#);
    let mapped = options(r#"{"columns":{"instruction":"task","completions":"outputs"}}"#);
    assert_eq!(read_records(&path, &mapped).unwrap().0[0].responses[0].score, Some(3.0));
}

#[test]
fn broken_rows_stop_or_are_counted() {
    let rows = [
        r#"{"prompt":"a","completion":"b"}"#,
        "{broken",
        r#"{"prompt":3,"completion":"b"}"#,
        r#"{"completion":"b"}"#,
        r#"{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]}"#,
        r#"{"prompt":"c","completion":"d"}"#,
    ];
    let error = record_error(&rows.join("\n"), &options("{}"));
    assert!(error.contains("x.jsonl, line 2: not valid JSON"), "{error}");
    let folder = Folder::new();
    let path = folder.write("x.jsonl", rows.join("\n"));
    let (found, audit) = read_records(&path, &options(r#"{"broken_rows":"drop"}"#)).unwrap();
    assert_eq!((found.len(), audit.read, audit.kept, audit.dropped_count()), (2, 6, 2, 4));
    assert!(audit.dropped.keys().all(|reason| reason.starts_with("broken row: ")), "{:?}", audit.dropped);
    // every line has a reason of its own, the audit keeps some
    let many: Vec<String> = (0..60).map(|i| format!("{{\"prompt\":\"a\",\"completion\":\"b\"}}{}", "x".repeat(i))).collect();
    let many: Vec<String> = many.into_iter().enumerate().map(|(i, row)| " ".repeat(i) + &row).collect();
    let (found, audit) =
        read_records(&folder.write("y.jsonl", many.join("\n")), &options(r#"{"broken_rows":"drop"}"#)).unwrap();
    assert_eq!((found.len(), audit.dropped_count()), (1, 59));
    assert!(audit.dropped.len() <= 17 && audit.dropped["broken row: other reasons"].count > 40, "{:?}", audit.dropped);
}
