//! `cargo xtask evaluate leaderboard`: models ranked by responses and verdicts.
mod columns;
mod data;
mod figures;
mod nested;
mod plain;
mod plots;

use super::args::LeaderboardArgs;
use super::output::Output;
use crate::error::XtaskError;
use data::Board;
use figures::{Row, rank, ratings};
use serde_json::json;
use std::path::{Path, PathBuf};
use tropism_evaluation::ranking::spearman;
use tropism_report::{Better, Cell, Table};

pub(super) fn leaderboard(args: &LeaderboardArgs) -> Result<Output, XtaskError> {
    let board = read(args)?;
    let rows = rank(&board, args)?;
    let mut out = Output { kind: "Leaderboard", title: args.data.display().to_string(), ..Output::default() };
    out.fact("baseline", &board.baseline);
    out.fact("models", board.models.len());
    out.fact("prompts", board.prompts);
    out.fact("length-controlled fit", format!("L1 logistic, C = {}, no intercept, no gamed rows", args.lc_c));
    if let Some(best) = rows.first() {
        out.figure(format!("win rate of {}, %", best.name), best.win.rate.scaled(100.0), Some(Better::Higher));
    }
    let unfit =
        rows.iter().filter_map(|r| Some(format!("no length-controlled fit of {}: {}", r.name, r.lc_problem.as_ref()?)));
    out.notes.extend(unfit);
    out.tables.push(table(&board, &rows));
    published(&board, &rows, &mut out);
    if let Some(table) = ratings(&board, args, &mut out)? {
        out.tables.push(table);
    }
    out.plots = plots::all(&board, &rows)?;
    out.more.insert("models".into(), serde_json::to_value(&rows).unwrap_or_default());
    out.more.insert("baseline".into(), json!(board.baseline));
    Ok(out)
}

/// Either layout.
fn read(args: &LeaderboardArgs) -> Result<Board, XtaskError> {
    if !args.data.is_dir() {
        let problem = format!("{}: there is no such folder", args.data.display());
        return Err(XtaskError::usage(problem, "give a folder with responses.jsonl and, by layout, judgments.jsonl"));
    }
    let baseline = args.baseline.as_deref();
    let responses = find(&args.data, "responses.jsonl");
    if let Some(judgments) = find(&args.data, "judgments.jsonl") {
        return plain::read(&judgments, responses.as_deref(), baseline);
    }
    let Some(responses) = responses else {
        let problem = format!("{} holds neither responses.jsonl nor judgments.jsonl", args.data.display());
        return Err(XtaskError::usage(problem, "both layouts stand in `cargo xtask evaluate leaderboard --help`"));
    };
    nested::read(&args.data, &responses, baseline)
}

/// A file by its name, plain or compressed.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    ["", ".gz", ".zst"].iter().map(|end| folder.join(format!("{name}{end}"))).find(|p| p.is_file())
}

/// The leaderboard itself, in percent.
fn table(board: &Board, rows: &[Row]) -> Table {
    let mut columns = vec!["model", "win rate", "95 % interval", "SE", "wins", "ties", "losses", "n", "length"];
    let published = rows.iter().any(|r| r.lc_weights.is_some());
    columns.extend(published.then_some("LC (weights)"));
    columns.extend(["LC (fit)", "p to next", "p (Holm)"]);
    let row = |r: &Row| {
        let rate = r.win.rate.scaled(100.0);
        let mut cells = vec![
            Cell::Text(r.name.clone()),
            Cell::Fixed(rate.value, 2),
            Cell::Text(format!("{:.2} to {:.2}", rate.low, rate.high)),
            Cell::Fixed(100.0 * r.win.standard_error, 3),
            Cell::Text(r.win.wins.to_string()),
            Cell::Text(r.win.ties.to_string()),
            Cell::Text(r.win.losses.to_string()),
            Cell::Text(rate.n.to_string()),
            r.length.map_or(Cell::Empty, |l| Cell::Text(l.to_string())),
        ];
        if published {
            cells.push(r.lc_weights.map_or(Cell::Empty, |f| Cell::Fixed(100.0 * f, 2)));
        }
        cells.push(r.lc_fit.as_ref().map_or(Cell::Empty, |f| Cell::Fixed(100.0 * f.rate.value, 2)));
        cells.push(r.next.map_or(Cell::Empty, |n| Cell::Number(n.p)));
        cells.push(r.next.map_or(Cell::Empty, |n| Cell::Number(n.p_holm)));
        cells
    };
    let weights = if published { "LC (weights): from published weights of the length-controlled model. " } else { "" };
    let difficulty = if board.difficulty.is_some() { "length, difficulty and model" } else { "length and model" };
    Table {
        title: format!("Against {}", board.baseline),
        columns: columns.into_iter().map(str::to_owned).collect(),
        rows: rows.iter().map(row).collect(),
        note: format!(
            "Percent; ties count by half, intervals are bootstraps over prompts, length is the mean in characters, cut to an \
             integer. {weights}LC (fit): fitted on these verdicts with {difficulty}. p to next: paired t-test against the \
             model one place below on their common prompts, Holm's correction counts all places."
        ),
    }
}

/// How far the figures are from published ones, where the folder has them.
fn published(board: &Board, rows: &[Row], out: &mut Output) {
    if board.published.is_empty() {
        return;
    }
    let known = || rows.iter().filter_map(|r| Some((r, board.published.get(&r.name)?)));
    let largest = |f: &dyn Fn(&Row, &data::Published) -> Option<f64>| {
        known().filter_map(|(r, p)| f(r, p)).map(f64::abs).fold(0.0, f64::max)
    };
    let win = largest(&|r, p| Some(100.0 * r.win.rate.value - p.win_rate));
    let se = largest(&|r, p| Some(100.0 * r.win.standard_error - p.standard_error));
    let weights = largest(&|r, p| Some(100.0 * r.lc_weights? - p.lc_win_rate));
    let (fits, theirs): (Vec<f64>, Vec<f64>) =
        known().filter_map(|(r, p)| Some((100.0 * r.lc_fit.as_ref()?.rate.value, p.lc_win_rate))).unzip();
    // fewer than two models have no order
    let order = spearman(&fits, &theirs).map_or(f64::NAN, |c| c.value);
    let apart: Vec<f64> = fits.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).collect();
    let same = known().filter(|(r, p)| r.length == Some(p.length)).count();
    let count = known().count();
    let mean = apart.iter().sum::<f64>() / apart.len().max(1) as f64;
    let most = apart.iter().copied().fold(0.0, f64::max);
    out.fact(
        "against published figures",
        format!(
            "{count} models: win rate within {win:.1e}, standard error within {se:.1e}, length the same in {same}, LC from \
             weights within {weights:.1e}, LC by the fit {mean:.2} apart on average and at most {most:.2}, Spearman {order:.4}"
        ),
    );
    out.more.insert(
        "published".into(),
        json!({"models": count, "win_rate": win, "standard_error": se, "same_length": same, "lc_weights": weights,
               "lc_fit_mean": mean, "lc_fit_max": most, "lc_fit_spearman": order}),
    );
}
