//! `data inspect`: rows as the model sees them.
use super::colour::{Paint, Role};
use super::samples::{Shown, Side, rows};
use crate::cli::DataInspectArgs;
use crate::error::XtaskError;
use tropism_data::read::ReadOptions;
use tropism_data::text::{Tokenizer, tokenize_sample};

pub(super) fn command(args: &DataInspectArgs) -> Result<(), XtaskError> {
    if args.row == 0 || args.rows == 0 {
        return Err(XtaskError::usage("--row and --rows are counted from 1", "leave them out for the first row"));
    }
    let tokenizer = Tokenizer::load(&args.tokenizer)?;
    let format = match &args.format {
        Some(name) => serde_json::from_value(name.as_str().into())
            .map_err(|e| XtaskError::usage(format!("--format {name}: {e}"), "leave it out to have it recognised"))?,
        None => Default::default(),
    };
    let options = ReadOptions { format, ..ReadOptions::default() };
    let shown = rows(&args.path, &args.part, &options, args.row, args.rows)?;
    let paint = Paint::detect();
    if args.template {
        println!("{}\n{}", paint.heading("chat template"), tokenizer.chat_template()?.source());
    }
    for row in &shown {
        print!("{}", show(&tokenizer, row, paint, args.ids)?);
    }
    Ok(())
}

/// One row: its prompt once, then every completion.
fn show(tokenizer: &Tokenizer, row: &Shown, paint: Paint, ids: bool) -> Result<String, XtaskError> {
    let mut out = format!("{}\n", paint.heading(&row.title));
    for (name, value) in &row.numbers {
        out += &format!("  {name} = {value}\n");
    }
    let mut before: Option<Vec<u32>> = None;
    for side in &row.sides {
        let tokens = tokenize_sample(tokenizer, &side.sample)?;
        if before.as_ref() != Some(&tokens.prompt) {
            let title = format!("prompt: {} tokens, mask 0 (read, not trained)", tokens.prompt.len());
            out += &section(tokenizer, &title, &tokens.prompt, Role::Prompt, paint, ids.then_some(0));
            before = Some(tokens.prompt.clone());
        }
        out += &section(
            tokenizer,
            &title(side, &tokens),
            &tokens.completion,
            side.role,
            paint,
            ids.then_some(tokens.prompt.len()),
        );
    }
    Ok(out + "\n")
}

fn title(side: &Side, tokens: &tropism_data::tokens::TokenSample) -> String {
    let scored = tokens.scored();
    let first = if scored < tokens.completion.len() { ", its first token has no predictor" } else { "" };
    format!("{}: {} tokens, mask 1{first}", side.name, tokens.completion.len())
}

/// A run of tokens under its heading; with ids, a line for each.
fn section(tokenizer: &Tokenizer, title: &str, ids: &[u32], role: Role, paint: Paint, from: Option<usize>) -> String {
    let texts: Vec<String> = ids.iter().map(|&id| text(tokenizer, id)).collect();
    let mut out = format!("{}\n{}\n", paint.heading(title), paint.tokens(&texts, role));
    if let Some(from) = from {
        let mask = u8::from(role != Role::Prompt);
        for (at, (id, text)) in ids.iter().zip(&texts).enumerate() {
            out += &format!("  {:>5}  mask {mask}  {id:>7}  {text:?}\n", from + at);
        }
    }
    out
}

/// A token as text; one that is a part of a character as the vocabulary writes it.
fn text(tokenizer: &Tokenizer, id: u32) -> String {
    match tokenizer.decode(&[id], false) {
        Ok(text) if !text.is_empty() && !text.contains(char::REPLACEMENT_CHARACTER) => text,
        _ => tokenizer.token(id).unwrap_or_else(|| format!("<{id}>")),
    }
}
