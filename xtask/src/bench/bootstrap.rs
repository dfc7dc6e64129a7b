//! Bootstraps of many judged pairs.
use super::rounded;
use crate::cli::BenchBootstrapArgs;
use crate::error::XtaskError;
use serde_json::{Map, Value, json};
use std::time::Instant;
use tropism_evaluation::{Battle, Bootstrap, BradleyTerry, EvaluationError, Figure, bradley_terry};

/// Models that meet each other in the rating bench.
const MODELS: usize = 20;

/// Times win rates of verdicts (counts are drawn), of a judge's probabilities (rows are drawn), a median, and ratings.
pub(super) fn run(args: &BenchBootstrapArgs) -> Result<Value, XtaskError> {
    let mut state = args.seed;
    let mut uniform = || (splitmix(&mut state) >> 11) as f64 / (1u64 << 53) as f64;
    let soft: Vec<f64> = (0..args.pairs.max(1)).map(|_| uniform()).collect();
    let hard: Vec<f64> = soft.iter().map(|s| (2.0 * s + 0.1).floor().min(2.0) / 2.0).collect();
    let mut model = || (uniform() * MODELS as f64) as usize;
    let met = |score: &f64| {
        let (a, b) = (model(), model());
        Battle { a, b: if a == b { (b + 1) % MODELS } else { b }, score: *score }
    };
    let battles: Vec<Battle> = hard.iter().map(met).collect();
    let bootstrap = Bootstrap { resamples: args.resamples, seed: args.seed, ..Bootstrap::default() };
    let ratings = BradleyTerry { bootstrap: Some(bootstrap), ..BradleyTerry::default() };
    let mut lines = Map::new();
    let mut time = |name: &str, f: &dyn Fn() -> Result<Figure, EvaluationError>| -> Result<(), XtaskError> {
        let (mut best, mut figure) = (f64::INFINITY, None);
        for _ in 0..args.repeat.max(1) {
            let clock = Instant::now();
            figure = Some(f()?);
            best = best.min(clock.elapsed().as_secs_f64());
        }
        let ends = figure.map(|f| rounded([f.value, f.low, f.high], 6));
        lines.insert(name.to_owned(), json!({"seconds": (best * 1e5).round() / 1e5, "figure": ends}));
        Ok(())
    };
    time("win_rate_of_verdicts", &|| bootstrap.mean(&hard))?;
    time("win_rate_of_probabilities", &|| bootstrap.mean(&soft))?;
    time("mean_of_drawn_rows", &|| bootstrap.rows(hard.len(), |rows| mean(&hard, rows)))?;
    time("bradley_terry_ratings", &|| {
        let fit = bradley_terry(MODELS, &battles, &ratings)?;
        fit.ratings.first().map(|r| r.rating).ok_or(EvaluationError::Empty { what: "ratings" })
    })?;
    let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = if args.threads == 0 { cores() } else { args.threads };
    Ok(json!({
        "bench": "bootstrap", "pairs": soft.len(), "resamples": args.resamples, "models": MODELS,
        "threads": threads, "runs": lines,
    }))
}

fn mean(values: &[f64], rows: &[usize]) -> f64 {
    rows.iter().map(|&r| values[r]).sum::<f64>() / rows.len() as f64
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
