//! Damaged files: whatever is done to a valid file, reading it ends in records, counted drops or a clear error.
//!
//! Mutations are drawn from a fixed stream, so that a failure can be repeated: cut, flipped and overwritten bytes, removed
//! and doubled ranges, bytes that are no UTF-8; for text also other types, huge numbers and deep nesting in the place of cells.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use polars::prelude::*;
use tropism_data::read::{ReadOptions, RecordReader};
use tropism_data::stream::Stream;

use crate::support::{Folder, arrow_file, arrow_stream, gzip, options, parquet};

const MUTATIONS: usize = 400;

/// Reads a file to its end and checks that nothing is lost without a word; a panic names the case.
fn read(path: &Path, options: &ReadOptions, case: &str) -> Result<usize, String> {
    let work = || -> Result<usize, String> {
        let mut reader = RecordReader::open(path, options).map_err(|error| error.to_string())?;
        let mut count = 0;
        for batch in reader.by_ref() {
            count += batch.map_err(|error| error.to_string())?.len();
        }
        let audit = reader.audit();
        assert_eq!(audit.read, audit.kept + audit.dropped_count(), "{case}");
        assert_eq!(audit.kept, count, "{case}");
        Ok(count)
    };
    let found = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| panic!("panic: {case}"));
    if let Err(error) = &found {
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(error.contains(&*name), "{case}: the file is not named: {error}");
        assert!(error.len() < 3000, "{case}: the error is {} long", error.len());
    }
    found
}

/// Does one random thing to the bytes.
fn mutate(bytes: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = stream.below(bytes.len());
    let len = 1 + stream.below(16.min(bytes.len() - at));
    match stream.below(7) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << stream.below(8),
        2 => bytes[at..at + len].fill_with(|| stream.below(256) as u8),
        3 => bytes[at..at + len].fill([0, 0xff, 0x7f, 0x80][stream.below(4)]),
        4 => drop(bytes.drain(at..at + len)),
        5 => {
            let copy = bytes[at..at + len].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => {
            let strange =
                [&b"\xc3\x28"[..], b"\xed\xa0\x80", b"\xff\xfe", b"\0", b"\"", b"\n", b"\xf0\x9f"][stream.below(7)];
            bytes.splice(at..at, strange.iter().copied());
        }
    }
    bytes
}

fn frame() -> DataFrame {
    let texts = |name: &str| (0..40).map(|i| format!("{name} number {i}, é")).collect::<Vec<String>>();
    let lists: Vec<Series> =
        (0..40).map(|i| Series::new("".into(), (0..i % 4).map(|j| format!("{j}")).collect::<Vec<_>>())).collect();
    let labels: Vec<Option<bool>> = (0..40u32).map(|i| Some(i.is_multiple_of(2))).collect();
    let mut frame =
        df!("prompt" => texts("p"), "completion" => texts("c"), "label" => labels, "x" => (0..40).collect::<Vec<i64>>())
            .unwrap();
    frame.with_column(Series::new("lists".into(), lists).into()).unwrap();
    let fields = [Series::new("a".into(), texts("a")), Series::new("b".into(), (0..40).collect::<Vec<i32>>())];
    frame.with_column(StructChunked::from_series("deep".into(), 40, fields.iter()).unwrap().into_series().into()).unwrap();
    frame
}

fn jsonl() -> Vec<u8> {
    let row = |i: usize| serde_json::json!({"prompt": [{"role": "user", "content": format!("p {i} é")}], "completion": [{"role": "assistant", "content": "c", "tool_calls": [{"n": i}]}], "label": i.is_multiple_of(2)});
    (0..40).map(|i| format!("{}\n", row(i))).collect::<String>().into_bytes()
}

fn csv() -> Vec<u8> {
    let row = |i: usize| format!("\"p {i}, é\nx\",\"c \"\"{i}\"\"\",{}\n", i.is_multiple_of(2));
    let rows: String = (0..40).map(row).collect();
    format!("prompt,completion,label\n{rows}").into_bytes()
}

/// Reads mutations of a file in both ways to treat broken rows; returns how many gave records and how many an error.
fn torture(name: &str, valid: &[u8]) -> (usize, usize) {
    let folder = Folder::new();
    let (stop, drop) = (options("{}"), options(r#"{"broken_rows":"drop"}"#));
    assert_eq!(read(&folder.write(name, valid), &stop, "valid"), Ok(40), "{name}");
    let mut stream = Stream::new(17, name);
    let (mut fine, mut failed) = (0, 0);
    for number in 0..MUTATIONS {
        let path = folder.write(name, mutate(valid, &mut stream));
        let case = format!("{name}, mutation {number}");
        let strict = read(&path, &stop, &case);
        let lenient = read(&path, &drop, &case);
        // what the strict way reads the lenient way reads too
        if let Ok(count) = strict {
            assert_eq!(lenient, Ok(count), "{case}");
        }
        if lenient.is_ok() { fine += 1 } else { failed += 1 }
    }
    (fine, failed)
}

#[test]
fn damaged_text() {
    let (fine, failed) = torture("a.jsonl", &jsonl());
    assert!(fine > MUTATIONS / 2 && failed < MUTATIONS / 10, "{fine} {failed}");
    torture("a.csv", &csv());
}

#[test]
fn damaged_compression() {
    let (_, failed) = torture("a.jsonl.gz", &gzip(&jsonl()));
    assert!(failed > MUTATIONS / 2, "{failed}");
    let (_, failed) = torture("a.jsonl.zst", &zstd::encode_all(&jsonl()[..], 1).unwrap());
    assert!(failed > MUTATIONS / 2, "{failed}");
}

#[test]
fn damaged_parquet() {
    torture("a.parquet", &parquet(frame()));
}

#[test]
fn damaged_arrow() {
    torture("a.arrow", &arrow_file(frame()));
    torture("b.arrow", &arrow_stream(frame()));
}

#[test]
fn strange_cells() {
    let folder = Folder::new();
    let deep = |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let cells = [
        "null".to_owned(),
        "true".to_owned(),
        "3".to_owned(),
        "-0.0".to_owned(),
        "1e999".to_owned(),
        "123456789012345678901234567890123456789012345678901234567890".to_owned(),
        "\"\"".to_owned(),
        "\"\\ud800\"".to_owned(),
        "[]".to_owned(),
        "[null]".to_owned(),
        "[[]]".to_owned(),
        "{}".to_owned(),
        r#"[{"role":null,"content":"a"}]"#.to_owned(),
        r#"[{"role":"user"}]"#.to_owned(),
        r#"[{"role":"user","content":[{"type":"image"}]}]"#.to_owned(),
        r#"[{"role":"user","content":"a","role":"user"}]"#.to_owned(),
        r#"[{"from":"nobody","value":"a"}]"#.to_owned(),
        deep("[", "]", 100),
        deep("[", "]", 100_000),
        deep("{\"a\":", "}", 100_000),
        format!("\"{}\"", "x".repeat(1 << 20)),
        "NaN".to_owned(),
        "".to_owned(),
    ];
    let formats: Vec<String> = tropism_data::formats::Format::all().iter().map(|format| format.to_string()).collect();
    for format in &formats {
        let parsed: tropism_data::formats::Format = serde_json::from_value(format.as_str().into()).unwrap();
        for columns in parsed.columns() {
            for (at, cell) in cells.iter().enumerate() {
                // one strange cell in each column in turn, the others text; and all strange
                for strange in 0..=columns.len() {
                    let row = columns.iter().enumerate().map(|(i, name)| {
                        let cell = if i == strange || strange == columns.len() { cell.as_str() } else { "\"text\"" };
                        format!("\"{name}\":{cell}")
                    });
                    let row = format!("{{{}}}", row.collect::<Vec<_>>().join(","));
                    let case = format!("{format}, cell {at}, column {strange}");
                    let path = folder.write("x.jsonl", row);
                    let _ = read(&path, &options(&format!("{{\"format\":\"{format}\"}}")), &case);
                    let _ = read(&path, &options(r#"{"broken_rows":"drop"}"#), &case);
                }
            }
        }
    }
}
