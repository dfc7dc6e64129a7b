//! Readers: kinds of files, layouts of rows, options and the audit.

use crate::support::{Folder, PLAIN, Turn, chat, chats, error_of, gzip, parquet, read, read_text, texts};
use polars::prelude::*;
use tropism_data::read::{Columns, Format, ReadOptions, file_hash, read_pairs};
use tropism_data::record::Text;

#[test]
fn every_compression_and_name_reads_the_same() {
    let folder = Folder::new();
    let (plain, audit) = read(&folder.write("a.jsonl", PLAIN)).unwrap();
    assert_eq!((audit.read, audit.kept), (2, 2));
    let expected = [["p1", "a", "b"], ["p2", "c", "é\n"]].map(|row| row.map(|text| Text::Plain(text.into())));
    assert_eq!(texts(&plain), expected);
    assert_eq!(plain[1].source.line, Some(3));
    assert_eq!(plain[1].source.row, 2);
    assert!(plain[1].source.to_string().ends_with("a.jsonl, line 3"));
    let two_members = [gzip(&PLAIN.as_bytes()[..30]), gzip(&PLAIN.as_bytes()[30..])].concat();
    let marked = [&[0xef, 0xbb, 0xbf], PLAIN.as_bytes()].concat();
    let zstd = zstd::encode_all(PLAIN.as_bytes(), 1).unwrap();
    for (name, bytes) in [
        ("b.jsonl.gz", gzip(PLAIN.as_bytes())),
        ("c.jsonl.gz", two_members),
        ("d.jsonl.zst", zstd.clone()),
        ("e.data", zstd),
        ("f", PLAIN.as_bytes().to_vec()),
        ("g.ndjson", marked),
    ] {
        let (pairs, again) = read(&folder.write(name, bytes)).unwrap();
        assert_eq!(texts(&pairs), expected, "{name}");
        assert_eq!(again, audit, "{name}");
    }
}

#[test]
fn parquet_reads_like_jsonl() {
    let rows = r#"{"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"a","name":"x"}],"rejected":[{"role":"assistant","content":"b"}]}
{"prompt":[{"role":"user","content":"q2"}],"chosen":[{"content":"c","role":"assistant"}],"rejected":[{"role":"assistant","content":"d"}]}
"#;
    let folder = Folder::new();
    let prompt: &[&[Turn]] = &[&[("user", Some("q"), None)], &[("user", Some("q2"), None)]];
    let chosen: &[&[Turn]] = &[&[("assistant", Some("a"), Some("x"))], &[("assistant", Some("c"), None)]];
    let rejected: &[&[Turn]] = &[&[("assistant", Some("b"), None)], &[("assistant", Some("d"), None)]];
    let columns = vec![chats("prompt", prompt), chats("chosen", chosen), chats("rejected", rejected)];
    let chat = DataFrame::new_infer_height(columns).unwrap();
    let plain = df!("prompt" => ["p1", "p2"], "chosen" => ["a", "c"], "rejected" => ["b", "é\n"]).unwrap();
    for (name, text, frame) in [("chat", rows, chat), ("plain", PLAIN, plain)] {
        let (expected, _) = read(&folder.write("x.jsonl", text)).unwrap();
        let bytes = parquet(frame);
        for file in [format!("{name}.parquet"), format!("{name}.bin")] {
            let (pairs, audit) = read(&folder.write(&file, &bytes)).unwrap();
            assert_eq!(texts(&pairs), texts(&expected));
            assert_eq!(audit.kept, 2);
            assert!(pairs[1].source.to_string().ends_with("row 2"), "{}", pairs[1].source);
        }
        let one = ReadOptions { limit: Some(1), ..ReadOptions::default() };
        assert_eq!(read_pairs(&folder.write("l.parquet", &bytes), &one).unwrap().0.len(), 1);
    }
    let bytes = parquet(df!("chosen" => [1, 2], "rejected" => ["a", "b"]).unwrap());
    let error = read(&folder.write("n.parquet", &bytes)).unwrap_err().to_string();
    assert!(error.contains("column `chosen`: holds a number; text or a list of messages"), "{error}");
    let bytes = parquet(df!("chosen" => [Some("a"), None], "rejected" => ["a", "b"]).unwrap());
    let error = read(&folder.write("null.parquet", &bytes)).unwrap_err().to_string();
    assert!(error.contains("null.parquet, row 2: column `chosen` is null"), "{error}");
}

#[test]
fn messages_with_and_without_prompt() {
    let given = r#"{"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}"#;
    let implicit = r#"{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}"#;
    let expected = [chat(&[("user", "q")]), chat(&[("assistant", "a")]), chat(&[("assistant", "b")])];
    let (pairs, _) = read_text(given).unwrap();
    assert_eq!(texts(&pairs), std::slice::from_ref(&expected));
    let (pairs, _) = read_text(implicit).unwrap();
    assert_eq!(texts(&pairs), std::slice::from_ref(&expected));
    // a prompt string beside whole conversations repeats their first turn
    let beside = implicit.replacen('{', r#"{"prompt":"q","#, 1);
    let (pairs, audit) = read_text(&beside).unwrap();
    assert_eq!(texts(&pairs), [expected]);
    assert_eq!(audit.notes["prompt column of text not used beside messages"].count, 1);
    let folder = Folder::new();
    let columns = Columns::new([("prompt", "prompt")]);
    let options = ReadOptions { columns, ..ReadOptions::default() };
    let error = read_pairs(&folder.write("x.jsonl", beside), &options).unwrap_err().to_string();
    assert!(error.contains("plain text and messages mixed: 1"), "{error}");
}

#[test]
fn unusable_rows_are_counted() {
    let rows = [
        r#"{"chosen":"a","rejected":"a"}"#,
        r#"{"chosen":"","rejected":"a"}"#,
        r#"{"chosen":"a","rejected":""}"#,
        r#"{"chosen":"a","rejected":"b"}"#,
    ];
    let (pairs, audit) = read_text(&rows.join("\n")).unwrap();
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].prompt, Text::empty());
    assert_eq!(audit.notes["no prompt"].rows, [4]);
    assert_eq!((audit.read, audit.kept, audit.dropped_count()), (4, 1, 3));
    assert_eq!(audit.dropped["identical sides"].rows, [1]);
    assert_eq!(audit.dropped["empty chosen completion"].rows, [2]);
    assert_eq!(audit.dropped["empty rejected completion"].rows, [3]);
    let error = error_of(&rows[..3].join("\n"));
    assert!(error.contains("all 3 rows were left out (empty chosen completion: 1, "), "{error}");
}

#[test]
fn dialogues() {
    let row = |chosen: &str, rejected: &str| serde_json::json!({"chosen": chosen, "rejected": rejected}).to_string();
    let good = row("\n\nHuman: q\n\nAssistant: a", "\n\nHuman: q\n\nAssistant: b");
    let text = [good.clone(), row("no dialogue", "\n\nHuman: q\n\nAssistant: b")].join("\n");
    let (pairs, audit) = read_text(&text).unwrap();
    assert_eq!(pairs[0].prompt, chat(&[("user", "q")]));
    assert_eq!(audit.dropped["chosen is not a Human/Assistant dialogue"].rows, [2]);
    let folder = Folder::new();
    let path = folder.write("x.jsonl", &good);
    let read = |format| read_pairs(&path, &ReadOptions { format, ..ReadOptions::default() }).unwrap().0;
    assert_eq!(texts(&read(Format::Hh)), texts(&pairs));
    assert_eq!(read(Format::Preference)[0].chosen, Text::Plain("\n\nHuman: q\n\nAssistant: a".into()));
    let chats = r#"{"chosen":[{"role":"user","content":"q"}],"rejected":[]}"#;
    let hh = ReadOptions { format: Format::Hh, ..ReadOptions::default() };
    let error = read_pairs(&folder.write("y.jsonl", chats), &hh).unwrap_err().to_string();
    assert!(error.contains("column `chosen`: holds a list; text was expected by the format `hh`"), "{error}");
}

#[test]
fn options_are_checked() {
    let options = |json: &str| serde_json::from_str::<ReadOptions>(json);
    let full = r#"{"format":"hh","columns":{"chosen":"a","rejected":"b"},"limit":3}"#;
    let read = options(full).unwrap();
    assert_eq!((read.format, read.limit, read.columns.file_name("chosen")), (Format::Hh, Some(3), Some("a")));
    assert!(options(r#"{"limt":3}"#).unwrap_err().to_string().contains("limt"));
    for (json, key) in [
        (r#"{"limit":0}"#, "`limit` is 0"),
        (r#"{"columns":{"chosen":"x","rejected":"x"}}"#, "`columns.rejected` is x"),
        (r#"{"numbers":["n","n"]}"#, "`numbers` is n"),
    ] {
        let error = options(json).unwrap().check().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    // a completion column called `prompt` is not also taken for the prompt
    let folder = Folder::new();
    let path = folder.write("x.jsonl", r#"{"prompt":"a","rejected":"b"}"#);
    let odd = ReadOptions { columns: Columns::new([("chosen", "prompt")]), ..ReadOptions::default() };
    assert_eq!(read_pairs(&path, &odd).unwrap().0[0].prompt, Text::empty());
    let path = folder.write("y.jsonl", r#"{"chosen":"a","rejected":"b"}"#);
    for (json, reason) in [
        (r#"{"columns":{"prompt":"chosen"}}"#, "`columns.prompt` is chosen: the format `preference` reads that"),
        (r#"{"format":"hh","columns":{"prompt":"chosen"}}"#, "`columns.prompt` is chosen"),
        (r#"{"format":"hh","columns":{"promt":"chosen"}}"#, "`columns.promt` is chosen"),
    ] {
        let error = read_pairs(&path, &options(json).unwrap()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn limits_stop_before_later_errors() {
    let folder = Folder::new();
    let path = folder.write("x.jsonl", format!("{PLAIN}broken"));
    assert!(read(&path).is_err());
    let options = ReadOptions { limit: Some(2), ..ReadOptions::default() };
    assert_eq!(read_pairs(&path, &options).unwrap().1.read, 2);
}

#[test]
fn many_rows_keep_their_order() {
    // enough for several reader threads
    let text: String = (0..5000)
        .map(|i| format!("{{\"prompt\":\"p{i}\",\"chosen\":\"{}\",\"rejected\":\"b\"}}\n", "c".repeat(i % 97 + 1)))
        .collect();
    let (pairs, _) = read_text(&text).unwrap();
    assert_eq!(pairs.len(), 5000);
    for (i, pair) in pairs.iter().enumerate() {
        assert_eq!(pair.prompt, Text::Plain(format!("p{i}")));
        assert_eq!(pair.chosen, Text::Plain("c".repeat(i % 97 + 1)));
        assert_eq!(pair.source.line, Some(i + 1));
    }
}

#[test]
fn hashes_are_sha256_of_the_bytes() {
    let folder = Folder::new();
    let hash = file_hash(&folder.write("x", "abc")).unwrap();
    // FIPS 180-2, appendix B.1
    assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(file_hash(&folder.0.path().join("none")).is_err());
}

#[test]
fn columns_of_numbers_come_along() {
    let rows = "{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"b\",\"score_gap\":2,\"tie\":false,\"note\":\"x\"}
{\"prompt\":\"p\",\"chosen\":\"same\",\"rejected\":\"same\",\"score_gap\":0,\"tie\":true}
{\"prompt\":\"q\",\"chosen\":\"c\",\"rejected\":\"d\",\"score_gap\":-0.25,\"tie\":true}\n";
    let options = ReadOptions { numbers: vec!["score_gap".into(), "tie".into()], ..ReadOptions::default() };
    let folder = Folder::new();
    let jsonl = read_pairs(&folder.write("x.jsonl", rows), &options).unwrap().0;
    // the row that is left out takes its number along
    let gaps: Vec<f64> = jsonl.iter().map(|p| p.numbers["score_gap"]).collect();
    assert_eq!((gaps, jsonl[1].numbers["tie"]), (vec![2.0, -0.25], 1.0));
    let bytes = parquet(
        df!(
            "prompt" => ["p", "p", "q"], "chosen" => ["a", "same", "c"], "rejected" => ["b", "same", "d"],
            "score_gap" => [2.0, 0.0, -0.25], "tie" => [false, true, true], "note" => [Some("x"), None, None]
        )
        .unwrap(),
    );
    let table = folder.write("x.parquet", &bytes);
    let numbers = |names: [&str; 2]| {
        let options = ReadOptions { numbers: names.map(str::to_owned).to_vec(), ..ReadOptions::default() };
        read_pairs(&table, &options).map(|(pairs, _)| pairs.into_iter().map(|p| p.numbers).collect::<Vec<_>>())
    };
    let found = numbers(["score_gap", "tie"]).unwrap();
    assert_eq!(found[1].values().copied().collect::<Vec<_>>(), [-0.25, 1.0]);
    assert!(numbers(["score_gap", "note"]).unwrap_err().to_string().contains("`note`"), "text is no number");
    assert!(numbers(["score_gap", "gap"]).unwrap_err().to_string().contains("no column `gap`"));
}

#[test]
fn cells_that_are_no_numbers_are_named() {
    let options = ReadOptions { numbers: vec!["n".into()], ..ReadOptions::default() };
    let folder = Folder::new();
    for bad in [r#""n":null"#, r#""n":"x""#, r#""m":1"#, r#""n":true"#] {
        let rows =
            format!("{{\"chosen\":\"a\",\"rejected\":\"b\",\"n\":1}}\n{{\"chosen\":\"a\",\"rejected\":\"b\",{bad}}}\n");
        let error = read_pairs(&folder.write("x.jsonl", rows), &options).unwrap_err().to_string();
        assert!(error.contains("x.jsonl") && error.contains("`n`") && error.contains("line 2"), "{bad}: {error}");
    }
}
