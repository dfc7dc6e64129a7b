//! Readers: what is wrong with a file, a line, a column or a cell is named.

use crate::support::{Folder, PLAIN, error_of, gzip, read};
use polars::prelude::*;
use tropism_data::read::{Columns, ReadOptions, read_pairs};
use tropism_data::record::Text;

#[test]
fn broken_lines_are_named() {
    let good = r#"{"chosen":"a","rejected":"b"}"#;
    for (bad, reason) in [
        (r#"{"chosen": "a", "rejected": }"#, "expected value"),
        (r#"{"chosen": "a", "rejected": "b"} x"#, "trailing characters"),
        (r#"{"chosen": "a", "rejected": "b""#, "EOF"),
        (r#"["a", "b"]"#, "expected a JSON object"),
        (r#"{"chosen": "a", "chosen": "c", "rejected": "b"}"#, "key `chosen` stands twice"),
    ] {
        let error = error_of(&format!("{good}\n\n{bad}\n{good}\n"));
        assert!(error.contains("x.jsonl, line 3: not valid JSON") && error.contains(reason), "{error}");
        assert!(!error.contains("at line 1"), "{error}");
    }
    let folder = Folder::new();
    let error = read(&folder.write("u.jsonl", [good.as_bytes(), b"\n{\"chosen\": \"\xff\"}"].concat())).unwrap_err();
    assert!(error.to_string().contains("line 2: not valid JSON"), "{error}");
}

#[test]
fn cells_of_wrong_type_are_named() {
    let good = r#"{"chosen":"a","rejected":"b"}"#;
    for (bad, reason) in [
        (r#"{"chosen": 3, "rejected": "b"}"#, "line 2: column `chosen` holds a number"),
        (r#"{"chosen": "a", "rejected": true}"#, "line 2: column `rejected` holds true or false"),
        (
            r#"{"chosen": {"role": "user", "content": "c"}, "rejected": "b"}"#,
            "line 2: column `chosen` holds a single message instead of a list",
        ),
        (r#"{"chosen": [{"rule": "user"}], "rejected": "b"}"#, "line 2: column `chosen` holds a list of something else"),
        (r#"{"chosen": [{"role": "user"}], "rejected": "b"}"#, "line 2: column `chosen` holds a message without `content`"),
        (
            r#"{"chosen": [{"role":"user","content":"q"},{"role":"assistant","content":"a"}], "rejected": [{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}"#,
            "x.jsonl, line 1 holds text; use one kind",
        ),
        (r#"{"chosen": null, "rejected": "b"}"#, "line 2: column `chosen` is null or missing"),
        (r#"{"chosen": "a"}"#, "line 2: column `rejected` is null or missing"),
    ] {
        let error = error_of(&format!("{good}\n{bad}\n"));
        assert!(error.contains("x.jsonl") && error.contains(reason), "{error}");
    }
}

#[test]
fn missing_columns_and_files() {
    let error = error_of(r#"{"chosen":"a","reject":"b","zzzzzzzzzzzz":"c"}"#);
    let expected = "has no column `rejected`; its columns are `reject`, `chosen`, `zzzzzzzzzzzz`";
    assert!(error.contains(expected), "{error}");
    let folder = Folder::new();
    let path = folder.write("x.jsonl", r#"{"good":"a","bad":"b","question":"q"}"#);
    let columns = Columns::new([("prompt", "ask"), ("chosen", "good"), ("rejected", "bad")]);
    let mut options = ReadOptions { columns, ..ReadOptions::default() };
    assert!(read_pairs(&path, &options).unwrap_err().to_string().contains("no column `ask`"));
    options.columns = Columns::new([("prompt", "question"), ("chosen", "good"), ("rejected", "bad")]);
    assert_eq!(read_pairs(&path, &options).unwrap().0[0].prompt, Text::Plain("q".into()));
    let error = read(&folder.0.path().join("none.jsonl")).unwrap_err().to_string();
    assert!(error.contains("none.jsonl: there is no such file"), "{error}");
}

#[test]
fn useless_files() {
    let folder = Folder::new();
    for (name, bytes, reason) in [
        ("e.jsonl", Vec::new(), "the file is empty"),
        ("b.jsonl", b" \n\r\n".to_vec(), "the file is empty"),
        ("g.jsonl.gz", gzip(PLAIN.as_bytes())[..40].to_vec(), "the gzip data is damaged"),
        ("z.jsonl.zst", vec![0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3], "the zstd data is damaged"),
        ("l.json", b"[{}]".to_vec(), "a JSON list"),
        ("t.txt", b"hello".to_vec(), "neither JSONL, CSV, Parquet nor Arrow IPC"),
        ("p.parquet", b"PAR1 but no more".to_vec(), "cannot be read, it is damaged"),
    ] {
        let error = read(&folder.write(name, bytes)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(reason), "{error}");
    }
    let mut frame = df!("chosen" => Vec::<String>::new(), "rejected" => Vec::<String>::new()).unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    let error = read(&folder.write("none.parquet", &bytes)).unwrap_err().to_string();
    assert!(error.contains("the file has no rows"), "{error}");
}
