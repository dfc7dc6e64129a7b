//! Containers: the same rows from every kind of file, shards, types of columns.

use polars::prelude::*;
use tropism_data::read::{ReadOptions, RecordReader, read_pairs, read_records};
use tropism_data::record::{Record, Text};

use crate::support::{Folder, Turn, arrow_file, arrow_stream, chats, gzip, options, parquet, said};

/// 3,000 rows of preferences with a number and an odd text now and then.
fn frame(rows: usize) -> DataFrame {
    let texts = |name: &str| -> Vec<String> {
        (0..rows).map(|i| format!("{name} {i}{}", if i % 7 == 0 { ", \"é\"\nline" } else { "" })).collect()
    };
    let margin: Vec<f64> = (0..rows).map(|i| i as f64 / 8.0).collect();
    df!("prompt" => texts("p"), "chosen" => texts("c"), "rejected" => texts("r"), "margin" => margin).unwrap()
}

fn jsonl(rows: usize) -> String {
    let frame = frame(rows);
    let column = |name: &str| frame.column(name).unwrap().str().unwrap().iter().map(Option::unwrap).collect::<Vec<_>>();
    let [prompt, chosen, rejected] = ["prompt", "chosen", "rejected"].map(column);
    (0..rows)
        .map(|i| {
            let row = serde_json::json!({
                "prompt": prompt[i], "chosen": chosen[i], "rejected": rejected[i], "margin": i as f64 / 8.0
            });
            format!("{row}\n")
        })
        .collect()
}

fn csv(rows: usize, delimiter: u8) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    writer.write_record(["prompt", "chosen", "rejected", "margin"]).unwrap();
    for line in jsonl(rows).lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let cell = |name: &str| row[name].as_str().map_or_else(|| row[name].to_string(), str::to_owned);
        writer.write_record(["prompt", "chosen", "rejected", "margin"].map(cell)).unwrap();
    }
    writer.into_inner().unwrap()
}

/// A record without the place it came from.
fn bare(mut record: Record) -> Record {
    record.source = tropism_data::record::Source::row("", record.source.row);
    record
}

#[test]
fn every_container_reads_the_same() {
    let rows = 3000;
    let folder = Folder::new();
    let options = options(r#"{"numbers":["margin"]}"#);
    let read = |name: &str, bytes: &[u8]| -> Vec<Record> {
        let (records, audit) = read_records(&folder.write(name, bytes), &options).unwrap();
        assert_eq!((audit.read, audit.kept), (rows, rows), "{name}");
        records.into_iter().map(bare).collect()
    };
    let expected = read("a.jsonl", jsonl(rows).as_bytes());
    assert_eq!((expected.len(), expected[9].numbers["margin"]), (rows, 1.125));
    assert_eq!(said(&expected[7].prompt), "p 7, \"é\"\nline");
    let mut small_groups = Vec::new();
    ParquetWriter::new(&mut small_groups).with_row_group_size(Some(700)).finish(&mut frame(rows)).unwrap();
    let mut batches = Vec::new();
    let mut writer = IpcWriter::new(&mut batches).with_compression(Some(IpcCompression::ZSTD(Default::default())));
    writer = writer.with_record_batch_size(Some(900));
    writer.finish(&mut frame(rows)).unwrap();
    let csv_text = csv(rows, b',');
    for (name, bytes) in [
        ("b.jsonl.gz", gzip(jsonl(rows).as_bytes())),
        ("c.jsonl.zst", zstd::encode_all(jsonl(rows).as_bytes(), 1).unwrap()),
        ("d.csv", csv_text.clone()),
        ("e.csv.gz", gzip(&csv_text)),
        ("f.tsv", csv(rows, b'\t')),
        ("g.parquet", parquet(frame(rows))),
        ("h.parquet", small_groups),
        ("i", parquet(frame(rows))),
        ("j.arrow", arrow_file(frame(rows))),
        ("k.feather", batches),
        ("l.arrow", arrow_stream(frame(rows))),
    ] {
        assert_eq!(read(name, &bytes), expected, "{name}");
    }
}

#[test]
fn batches_are_bounded_and_limits_hold() {
    let folder = Folder::new();
    let path = folder.write("a.jsonl", jsonl(5000));
    let mut reader = RecordReader::open(&path, &ReadOptions::default()).unwrap();
    let sizes: Vec<usize> = reader.by_ref().map(|batch| batch.unwrap().len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 5000);
    assert!(sizes.iter().all(|&size| size <= 2048), "{sizes:?}");
    assert_eq!(reader.audit().kept, 5000);
    assert!(reader.next().is_none());
    folder.write("b.jsonl", jsonl(10));
    for limit in [1, 5000, 5003] {
        let options = ReadOptions { limit: Some(limit), ..ReadOptions::default() };
        let (records, audit) = read_records(folder.0.path(), &options).unwrap();
        assert_eq!((records.len(), audit.read), (limit, limit));
    }
}

#[test]
fn folders_and_patterns_are_read_in_order() {
    let folder = Folder::new();
    let row = |n: usize| format!("{{\"prompt\":\"{n}\",\"completion\":\"c\"}}\n");
    folder.write("part-10.jsonl", row(3));
    folder.write("part-2.jsonl.gz", gzip(row(2).as_bytes()));
    folder.write("part-1.csv", "prompt,completion\n1,c\n");
    let mut frame = df!("completion" => ["c"], "prompt" => ["4"]).unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    folder.write("part-11.parquet", bytes);
    let prompts = |path: &std::path::Path| -> Vec<String> {
        let (records, _) = read_records(path, &ReadOptions::default()).unwrap();
        records.iter().map(|record| said(&record.prompt)).collect()
    };
    assert_eq!(prompts(folder.0.path()), ["1", "2", "3", "4"]);
    assert_eq!(prompts(&folder.0.path().join("part-1*")), ["1", "3", "4"]);
    let (records, _) = read_records(folder.0.path(), &ReadOptions::default()).unwrap();
    assert!(records[1].source.to_string().ends_with("part-2.jsonl.gz, line 1"), "{}", records[1].source);
    // a shard of another format is an error that names it
    folder.write("part-12.jsonl", "{\"text\":\"t\"}\n");
    let error = read_records(folder.0.path(), &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("part-12.jsonl has no column `prompt`") && error.contains("`prompt_completion`"), "{error}");
}

#[test]
fn csv_cells_take_the_kind_of_their_column() {
    let folder = Folder::new();
    let read = |text: &str| read_records(&folder.write("x.csv", text), &ReadOptions::default());
    let (records, _) = read("prompt,completion,label\n4,5,True\n\"a,b\",\"line\none\",0\n").unwrap();
    let found: Vec<_> = records.iter().map(|r| (said(&r.prompt), r.responses[0].label)).collect();
    assert_eq!(found, [("4".to_owned(), Some(true)), ("a,b".to_owned(), Some(false))]);
    assert_eq!(records[1].source.line, Some(3));
    let chat = "prompt,completion\n\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"q\"\"}]\",\"[{\"\"role\"\":\"\"assistant\"\",\"\"content\"\":\"\"a\"\"}]\"\n";
    assert_eq!(said(&read(chat).unwrap().0[0].prompt), "user: q");
    for (text, reason) in [
        ("prompt,completion,label\na,b,true\na,b,maybe\n", "line 3: column `label` holds the text \"maybe\""),
        ("prompt,completion\na,b\na\n", "line 3: the row has 1 cells where the header has 2"),
        ("prompt,prompt\na,b\n", "names the column `prompt` twice"),
        ("prompt,completion\n", "no rows below its header"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("x.csv") && error.contains(reason), "{error}");
    }
    let path = folder.write("y.csv", b"prompt,completion\na,\xff\n");
    let error = read_records(&path, &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("line 2: a cell is not UTF-8"), "{error}");
}

#[test]
fn messages_in_tables() {
    let prompt: &[&[Turn]] =
        &[&[("system", Some("s"), None), ("user", Some("q"), Some("Ann"))], &[("user", Some("r"), None)]];
    let chosen: &[&[Turn]] = &[&[("assistant", Some("a"), None)], &[("assistant", Some("b"), None)]];
    let rejected: &[&[Turn]] = &[&[("assistant", Some("c"), None)], &[("assistant", None, None)]];
    let frame =
        DataFrame::new_infer_height(vec![chats("prompt", prompt), chats("chosen", chosen), chats("rejected", rejected)])
            .unwrap();
    let folder = Folder::new();
    for (name, bytes) in [
        ("a.parquet", parquet(frame.clone())),
        ("a.arrow", arrow_file(frame.clone())),
        ("b.arrow", arrow_stream(frame.clone())),
    ] {
        let path = folder.write(name, bytes);
        let error = read_pairs(&path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("row 2: column `rejected` holds a message without `content` (message 1)"), "{error}");
        let (pairs, audit) = read_pairs(&path, &options(r#"{"broken_rows":"drop"}"#)).unwrap();
        assert_eq!((pairs.len(), audit.dropped_count()), (1, 1));
        let Text::Chat(turns) = &pairs[0].prompt else { panic!() };
        assert_eq!(said(&pairs[0].prompt), "system: s | user: q");
        // a field that is null is none
        assert_eq!((turns[0].extras.len(), turns[1].extra("name").and_then(|n| n.text())), (0, Some("Ann")));
    }
}

#[test]
fn types_of_columns() {
    let folder = Folder::new();
    let base = || df!("prompt" => ["p", "q"], "completion" => ["a", "b"]).unwrap();
    let with = |column: Series| {
        let mut frame = base();
        frame.with_column(column.into()).unwrap();
        frame
    };
    let label = Series::new("label".into(), [true, false]);
    let whole = Series::new("label".into(), [1i64, 0]);
    let mut labels = vec![label];
    for kind in [DataType::Int8, DataType::Int16, DataType::UInt8, DataType::UInt16, DataType::Int32, DataType::UInt64] {
        labels.push(whole.cast(&kind).unwrap());
    }
    for label in labels {
        for (name, bytes) in [("x.parquet", parquet(with(label.clone()))), ("x.arrow", arrow_file(with(label.clone())))] {
            let (records, _) = read_records(&folder.write(name, bytes), &ReadOptions::default()).unwrap();
            let found: Vec<_> = records.iter().map(|record| record.responses[0].label).collect();
            assert_eq!(found, [Some(true), Some(false)], "{name} {}", label.dtype());
        }
    }
    // bytes cannot be read, which matters only to those who ask for them
    let bytes = Series::new("blob".into(), [&b"\xff"[..], b"x"]);
    for (name, bytes) in [("y.parquet", parquet(with(bytes.clone()))), ("y.arrow", arrow_file(with(bytes.clone())))] {
        let path = folder.write(name, bytes);
        assert_eq!(read_records(&path, &ReadOptions::default()).unwrap().0.len(), 2);
        let error = read_records(&path, &options(r#"{"columns":{"completion":"blob"}}"#)).unwrap_err().to_string();
        assert!(error.contains("column `blob`: has type"), "{error}");
    }
    // categories are text
    let kind = DataType::from_categories(Categories::global());
    let completion = Series::new("completion".into(), ["a", "b"]).cast(&kind).unwrap();
    for (name, bytes) in
        [("z.parquet", parquet(with(completion.clone()))), ("z.arrow", arrow_file(with(completion.clone())))]
    {
        let (records, _) = read_records(&folder.write(name, bytes), &ReadOptions::default()).unwrap();
        assert_eq!(said(&records[1].responses[0].content), "b", "{name}");
    }
    // a number that is none
    let scores = with(Series::new("n".into(), [1.0, f64::NAN]));
    let path = folder.write("n.parquet", parquet(scores));
    let error = read_records(&path, &options(r#"{"numbers":["n"]}"#)).unwrap_err().to_string();
    assert!(error.contains("row 2: column `n` is NaN"), "{error}");
}

#[test]
fn files_that_are_something_else() {
    let folder = Folder::new();
    for (name, bytes, reason) in [
        ("a.parquet", &b"hello"[..], "named as Parquet but does not begin"),
        ("a.arrow", b"hello", "named as Arrow IPC but does not begin"),
        ("a.jsonl", b"[{\"text\":\"a\"}]", "a JSON list"),
        ("a.csv", b"\xff\xfea\0,\0", "is UTF-16"),
        ("a.xyz", b"hello", "neither JSONL, CSV, Parquet nor Arrow IPC"),
        ("e.jsonl", b"", "the file is empty"),
        ("w.jsonl", b" \n\n", "the file is empty"),
        ("g.csv.gz", b"\x1f\x8b\x08\x00\x00", "the gzip data is damaged or cut short"),
        ("z.jsonl.zst", b"\x28\xb5\x2f\xfd\x00", "the zstd data is damaged or cut short"),
    ] {
        let error = read_records(&folder.write(name, bytes), &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(reason), "{error}");
    }
    let packed = gzip(&parquet(frame(3)));
    let error = read_records(&folder.write("p.parquet.gz", packed), &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("unpack the file"), "{error}");
    let mut empty = frame(0);
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut empty).unwrap();
    let error = read_records(&folder.write("n.parquet", bytes), &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("the file has no rows"), "{error}");
}
