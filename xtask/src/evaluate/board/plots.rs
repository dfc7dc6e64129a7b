//! Plots of a leaderboard.
use super::data::Board;
use super::figures::Row;
use crate::error::XtaskError;
use tropism_evaluation::pareto::pareto_front;
use tropism_report::{Bar, Dot, Plot, PlotKind};

pub(super) fn all(board: &Board, rows: &[Row]) -> Result<Vec<Plot>, XtaskError> {
    let mut plots = vec![bars(board, rows)];
    let known: Vec<(&Row, f64)> = rows.iter().filter_map(|r| Some((r, r.mean_length?))).collect();
    if known.len() < 2 {
        return Ok(plots);
    }
    let points: Vec<Vec<f64>> = known.iter().map(|(r, l)| vec![r.win.rate.value, -l]).collect();
    let front = pareto_front(&points)?;
    let dots = |strong: &dyn Fn(usize) -> bool| {
        let dot = |(i, (r, length)): (usize, &(&Row, f64))| {
            let rate = r.win.rate.scaled(100.0);
            let (x, y, interval) = (*length, rate.value, Some((rate.low, rate.high)));
            Dot { label: r.name.clone(), x, y, interval, strong: strong(i) }
        };
        known.iter().enumerate().map(dot).collect::<Vec<_>>()
    };
    let plot = |title: &str, note: &str, kind| Plot {
        title: title.into(),
        note: note.into(),
        x: "mean length, characters".into(),
        y: "win rate, %".into(),
        kind,
    };
    let note = "Judges like length: see how far a rate follows it. Labels that would cover others are left out.";
    plots.push(plot("Length against win rate", note, PlotKind::Points(dots(&|_| false), vec![])));
    let mut line: Vec<(f64, f64)> = front.iter().map(|&i| (known[i].1, 100.0 * known[i].0.win.rate.value)).collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    let note = "Models on the line are beaten by no other in both a shorter answer and a higher rate.";
    plots.push(plot("Pareto front", note, PlotKind::Points(dots(&|i| front.contains(&i)), line)));
    Ok(plots)
}

fn bars(board: &Board, rows: &[Row]) -> Plot {
    let bar = |r: &Row| {
        let rate = r.win.rate.scaled(100.0);
        Bar { label: r.name.clone(), value: rate.value, interval: Some((rate.low, rate.high)) }
    };
    Plot {
        title: format!("Win rate against {}", board.baseline),
        note: "Bootstrap 95 % intervals over prompts; the line is at 50 %.".into(),
        x: "win rate, %".into(),
        y: String::new(),
        kind: PlotKind::Bars(rows.iter().map(bar).collect(), Some(50.0)),
    }
}
