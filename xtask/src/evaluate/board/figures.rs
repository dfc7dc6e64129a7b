//! Win rates, length-controlled win rates, comparisons of neighbours, ratings.
use super::super::args::LeaderboardArgs;
use super::super::output::Output;
use super::data::{Board, ModelRows};
use crate::error::XtaskError;
use serde::Serialize;
use std::collections::BTreeMap;
use tropism_evaluation::{
    Battle, Bootstrap, BradleyTerry, BradleyTerryFit, EvaluationError, Figure, LengthControl, LengthControlled, LengthRows,
    Penalty, WinRate, bradley_terry, holm, paired_t, published_length,
};
use tropism_report::{Cell, Table};

/// One model's place.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) win: WinRate,
    /// mean length in characters, cut to an integer
    pub(super) length: Option<usize>,
    /// mean length in characters
    pub(super) mean_length: Option<f64>,
    /// length-controlled win rate from published weights
    pub(super) lc_weights: Option<f64>,
    /// and from a fit of these verdicts
    pub(super) lc_fit: Option<LengthControlled>,
    /// why there is no fit, where lengths would allow one
    pub(super) lc_problem: Option<String>,
    /// against the model one place below
    pub(super) next: Option<Next>,
}

/// A comparison with the next model.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Next {
    /// difference of the win rates on common prompts
    pub(super) difference: Figure,
    pub(super) p: f64,
    pub(super) p_holm: f64,
}

/// All models, the best first.
pub(super) fn rank(board: &Board, args: &LeaderboardArgs) -> Result<Vec<Row>, XtaskError> {
    let bootstrap = args.resample.bootstrap();
    let mut rows = board.models.iter().map(|m| row(board, m, args, &bootstrap)).collect::<Result<Vec<_>, _>>()?;
    rows.sort_by(|a, b| b.win.rate.value.total_cmp(&a.win.rate.value).then_with(|| a.name.cmp(&b.name)));
    let scores: BTreeMap<&str, &BTreeMap<usize, f64>> = board.models.iter().map(|m| (m.name.as_str(), &m.scores)).collect();
    let mut tests = vec![];
    for (i, two) in rows.windows(2).enumerate() {
        let (a, b) = (scores[two[0].name.as_str()], scores[two[1].name.as_str()]);
        let (a, b): (Vec<f64>, Vec<f64>) = a.iter().filter_map(|(k, x)| Some((*x, *b.get(k)?))).unzip();
        if a.len() > 1 {
            tests.push((i, paired_t(&a, &b)?));
        }
    }
    if !tests.is_empty() {
        let adjusted = holm(&tests.iter().map(|(_, t)| t.p).collect::<Vec<_>>())?;
        for ((i, test), p_holm) in tests.into_iter().zip(adjusted) {
            rows[i].next = Some(Next { difference: test.difference, p: test.p, p_holm });
        }
    }
    Ok(rows)
}

fn row(board: &Board, model: &ModelRows, args: &LeaderboardArgs, bootstrap: &Bootstrap) -> Result<Row, XtaskError> {
    let scores: Vec<f64> = model.scores.values().copied().collect();
    let lengths: Vec<usize> = model.lengths.values().copied().collect();
    // few verdicts may have no fit; the other figures stand without it
    let (lc_fit, lc_problem) = match controlled(board, model, args) {
        Ok(fit) => (fit, None),
        Err(why) => (None, Some(why.to_string())),
    };
    let weights = board.published.get(&model.name).map(|p| p.weights).zip(board.difficulty.as_ref());
    Ok(Row {
        name: model.name.clone(),
        win: WinRate::of(&scores, bootstrap)?,
        length: if lengths.is_empty() { None } else { Some(published_length(&lengths)?) },
        mean_length: (!lengths.is_empty()).then(|| lengths.iter().sum::<usize>() as f64 / lengths.len() as f64),
        lc_weights: weights.map(|(w, d)| w.win_rate(d)).transpose()?.map(|w| w.rate.value),
        lc_fit,
        lc_problem,
        next: None,
    })
}

/// The fit of the length-controlled model, where lengths are known and differ.
fn controlled(
    board: &Board,
    model: &ModelRows,
    args: &LeaderboardArgs,
) -> Result<Option<LengthControlled>, EvaluationError> {
    let rows: Vec<(usize, f64, f64)> =
        model.scores.iter().filter_map(|(k, s)| Some((*k, *s, *model.differences.get(k)?))).collect();
    if rows.len() < 3 || rows.len() < model.scores.len() || rows.iter().all(|r| r.2 == rows[0].2) {
        return Ok(None);
    }
    let scores: Vec<f64> = rows.iter().map(|r| r.1).collect();
    let length_differences: Vec<f64> = rows.iter().map(|r| r.2).collect();
    let hardness = |k: usize| board.difficulty.as_ref().map_or(0.0, |d| d[k]);
    let difficulty: Vec<f64> = rows.iter().map(|r| hardness(r.0)).collect();
    let control = LengthControl { penalty: Penalty::Fixed { c: args.lc_c }, difficulty: board.difficulty.is_some() };
    let resample = Bootstrap { resamples: args.lc_resamples, ..args.resample.bootstrap() };
    let rows = LengthRows { scores: &scores, length_differences: &length_differences, difficulty: &difficulty };
    control.fit(&rows, None, (args.lc_resamples > 0).then_some(&resample)).map(Some)
}

/// Bradley–Terry ratings, where models were compared with others than the baseline.
pub(super) fn ratings(board: &Board, args: &LeaderboardArgs, out: &mut Output) -> Result<Option<Table>, XtaskError> {
    if board.battles.iter().all(|(a, b, _)| *a == board.baseline || *b == board.baseline) {
        return Ok(None);
    }
    let mut names: Vec<&str> = board.battles.iter().flat_map(|(a, b, _)| [a.as_str(), b.as_str()]).collect();
    names.sort_unstable();
    names.dedup();
    let number = |name: &str| names.iter().position(|n| *n == name).unwrap_or(0);
    let battles: Vec<Battle> =
        board.battles.iter().map(|(a, b, score)| Battle { a: number(a), b: number(b), score: *score }).collect();
    let Some((fit, intervals)) = fit(names.len(), &battles, args.resample.bootstrap(), out) else { return Ok(None) };
    let mut ratings = fit.ratings;
    ratings.sort_by(|a, b| b.rating.value.total_cmp(&a.rating.value));
    out.more.insert(
        "ratings".into(),
        ratings.iter().map(|r| serde_json::json!({"model": names[r.model], "rating": r.rating})).collect(),
    );
    let row = |r: &tropism_evaluation::Rating| {
        let rating = r.rating;
        vec![
            Cell::Text(names[r.model].to_owned()),
            Cell::Interval(rating.value, rating.low, rating.high),
            Cell::Text(rating.n.to_string()),
        ]
    };
    Ok(Some(Table {
        title: "Ratings".into(),
        columns: ["model", "rating", "battles"].map(str::to_owned).to_vec(),
        rows: ratings.iter().map(row).collect(),
        note: format!("Bradley–Terry on the Elo scale, the mean of all models at 1000, from all verdicts; {intervals}."),
    }))
}

/// The fit with resampled intervals, or, where a resample has no fit, with those of the Fisher information.
fn fit(
    models: usize,
    battles: &[Battle],
    bootstrap: Bootstrap,
    out: &mut Output,
) -> Option<(BradleyTerryFit, &'static str)> {
    let with = |bootstrap| bradley_terry(models, battles, &BradleyTerry { bootstrap, ..BradleyTerry::default() });
    if let Ok(fit) = with(Some(bootstrap)) {
        return Some((fit, "intervals are bootstraps over verdicts"));
    }
    match with(None) {
        Ok(fit) => Some((fit, "intervals are normal ones, for some resamples have no ratings")),
        Err(e) => {
            out.notes.push(format!("no ratings: {e}"));
            None
        }
    }
}
