//! Preparation of conversational pairs: from messages in memory through the chat template to ids.
use super::{peak_rss_mib, rounded};
use crate::cli::BenchPrepareArgs;
use crate::error::XtaskError;
use serde_json::{Value, json};
use std::time::Instant;
use tropism_data::read::{ReadOptions, read_pairs};
use tropism_data::record::{Pair, Source};
use tropism_data::text::{PrepareOptions, Preparation, Tokenizer};
use tropism_data::tokens::TokenPair;

/// Rows handed on at a time.
const PORTION: usize = 2048;

pub(super) fn run(args: &BenchPrepareArgs) -> Result<Value, XtaskError> {
    let tokenizer = Tokenizer::load(&args.tokenizer)?;
    let base = conversations(args)?;
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
    if pairs.is_empty() || args.rows == 0 {
        let problem = format!("{} has no pairs of messages, or --rows is 0", args.pairs.display());
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
    let mut preparation = Preparation::new(tokenizer, &PrepareOptions::default())?;
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
