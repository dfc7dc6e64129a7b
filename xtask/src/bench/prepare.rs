//! Preparation of conversational pairs: from messages in memory through the chat template to ids.
use super::{peak_rss_mib, rounded};
use crate::cli::BenchPrepareArgs;
use crate::error::XtaskError;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;
use tropism_data::read::{ReadOptions, RecordReader, read_pairs};
use tropism_data::record::{Message, Pair, Source, Text};
use tropism_data::text::{Preparation, PrepareOptions, Tokenizer};
use tropism_data::tokens::TokenPair;

/// Rows handed on at a time.
const PORTION: usize = 2048;

pub(super) fn run(args: &BenchPrepareArgs) -> Result<Value, XtaskError> {
    let tokenizer = Tokenizer::load(&args.tokenizer)?;
    let base = conversations(args)?;
    if let Some(rows) = args.generate {
        let path = args
            .file
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("tropism-bench-prepare-{}.jsonl", std::process::id())));
        let result = through_file(&tokenizer, &base, rows, &path);
        if args.file.is_none() && path.exists() {
            std::fs::remove_file(&path).map_err(XtaskError::io(path))?;
        }
        return result;
    }
    let rows = cycled(&base, args.rows);
    let clock = Instant::now();
    let (prepared, seconds) = (prepare(&tokenizer, &rows)?, clock.elapsed().as_secs_f64());
    let tokens: usize = prepared.iter().map(|pair| pair.prompt.len() + pair.chosen.len() + pair.rejected.len()).sum();
    let library = match args.library {
        true => Some(by_library(&tokenizer, &rows, &prepared)?),
        false => None,
    };
    Ok(json!({
        "bench": "prepare", "rows": rows.len(), "rows_of_file": base.len(), "fast": tokenizer.is_fast(),
        "s": rounded([seconds], 4)[0], "rows_per_s": rounded([rows.len() as f64 / seconds], 1)[0],
        "tokens_per_row": rounded([tokens as f64 / rows.len() as f64], 2)[0],
        "tokens_per_s": (tokens as f64 / seconds).round(), "library_rows_per_s": library,
        "peak_rss_mib": peak_rss_mib(),
    }))
}

/// The file's pairs of messages.
fn conversations(args: &BenchPrepareArgs) -> Result<Vec<Pair>, XtaskError> {
    let (mut pairs, _) = read_pairs(&args.pairs, &ReadOptions::default())?;
    pairs.retain(|pair| pair.prompt.is_chat());
    if pairs.is_empty() || args.rows == 0 || args.generate == Some(0) {
        let problem = format!("{} has no pairs of messages, or no rows are asked for", args.pairs.display());
        return Err(XtaskError::usage(problem, "give a file of conversations or HH-RLHF dialogues, and at least one row"));
    }
    Ok(pairs)
}

/// As many rows as asked for, from the beginning again where the file ends.
fn cycled(base: &[Pair], rows: usize) -> Vec<Pair> {
    let row = |(index, pair): (usize, &Pair)| Pair { source: Source::row("bench", index + 1), ..pair.clone() };
    base.iter().cycle().take(rows).enumerate().map(row).collect()
}

fn prepare(tokenizer: &Tokenizer, rows: &[Pair]) -> Result<Vec<TokenPair>, XtaskError> {
    let mut preparation = Preparation::new(tokenizer, PrepareOptions::default())?;
    let mut prepared = Vec::with_capacity(rows.len());
    for portion in rows.chunks(PORTION) {
        prepared.extend(preparation.pairs(portion)?);
    }
    Ok(prepared)
}

/// Rows per second by the library's general path, whose ids must be the same.
fn by_library(tokenizer: &Tokenizer, rows: &[Pair], expected: &[TokenPair]) -> Result<f64, XtaskError> {
    let plain = tokenizer.clone().by_library();
    let clock = Instant::now();
    let (found, seconds) = (prepare(&plain, rows)?, clock.elapsed().as_secs_f64());
    match found.iter().zip(expected).find(|(a, b)| a != b) {
        Some((pair, _)) => {
            let problem = format!("{}: the fast path gives other ids than the library", pair.source);
            Err(XtaskError::usage(problem, "this is a defect; please report the row and the tokenizer"))
        }
        None => Ok(rounded([rows.len() as f64 / seconds], 1)[0]),
    }
}

/// Writes a file of so many rows, and prepares it row by row, as a file too large for memory must be.
fn through_file(tokenizer: &Tokenizer, base: &[Pair], rows: usize, path: &Path) -> Result<Value, XtaskError> {
    let clock = Instant::now();
    let bytes = generate(base, rows, path)?;
    let written = clock.elapsed().as_secs_f64();
    let before = peak_rss_mib();
    let clock = Instant::now();
    let mut reader = RecordReader::open(path, &ReadOptions::default())?;
    let mut preparation = Preparation::new(tokenizer, PrepareOptions::default())?;
    let (mut tokens, mut left_out, mut portion) = (0, 0, Vec::with_capacity(PORTION));
    let mut flush = |portion: &mut Vec<Pair>| {
        let prepared = preparation.pairs(portion)?;
        tokens += prepared.iter().map(|pair| pair.prompt.len() + pair.chosen.len() + pair.rejected.len()).sum::<usize>();
        portion.clear();
        Ok::<(), XtaskError>(())
    };
    for batch in &mut reader {
        for record in batch? {
            match record.pair() {
                Ok(pair) => portion.push(pair),
                Err(_) => left_out += 1,
            }
            if portion.len() == PORTION {
                flush(&mut portion)?;
            }
        }
    }
    flush(&mut portion)?;
    let seconds = clock.elapsed().as_secs_f64();
    let kept = preparation.audit().kept;
    if kept + left_out != rows {
        let problem = format!("{rows} rows were written, {kept} prepared and {left_out} left out");
        return Err(XtaskError::usage(problem, "this is a defect; please report it"));
    }
    Ok(json!({
        "bench": "prepare", "file": path.display().to_string(), "file_mib": bytes >> 20,
        "rows": rows, "prepared": kept, "left_out": left_out, "fast": tokenizer.is_fast(), "write_s": rounded([written], 2)[0],
        "s": rounded([seconds], 2)[0], "rows_per_s": rounded([rows as f64 / seconds], 1)[0],
        "tokens_per_row": rounded([tokens as f64 / rows as f64], 2)[0],
        "peak_rss_mib_before": before, "peak_rss_mib": peak_rss_mib(),
    }))
}

/// Writes conversational pairs with a prompt, the base's in turn, each numbered so that no two are alike; returns bytes.
fn generate(base: &[Pair], rows: usize, path: &Path) -> Result<u64, XtaskError> {
    if path.exists() {
        return Err(XtaskError::usage(format!("{} exists already", path.display()), "name a file that does not"));
    }
    let partial = path.with_extension("partial");
    let failed = |error| XtaskError::io(&partial)(error);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(failed)?);
    for (index, pair) in base.iter().cycle().take(rows).enumerate() {
        let mut prompt = pair.prompt.clone();
        if let Text::Chat(messages) = &mut prompt {
            messages.insert(0, Message::new("system", format!("This is conversation {}.", index + 1)));
        }
        let row = json!({"prompt": prompt, "chosen": pair.chosen, "rejected": pair.rejected});
        writeln!(file, "{row}").map_err(failed)?;
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    let bytes = file.metadata().map_err(failed)?.len();
    std::fs::rename(&partial, path).map_err(XtaskError::io(path))?;
    Ok(bytes)
}
