//! Tests of the diagnostics: likelihoods, reward models, safety, texts, rankings, fronts.

mod coverage;
mod golden;
mod likelihood;
mod pareto;
mod ranking;
mod refusals;
mod reward_model;
mod safety;
mod text;
mod trace;

/// Equal within 1e-6, as the sheets print.
#[track_caller]
fn close(a: f64, b: f64) {
    near(a, b, 1e-6);
}

#[track_caller]
fn near(a: f64, b: f64, within: f64) {
    assert!((a - b).abs() <= within, "{a} against {b}");
}

#[track_caller]
fn all_close(a: impl IntoIterator<Item = f64>, b: &[f64]) {
    let a: Vec<f64> = a.into_iter().collect();
    assert_eq!(a.len(), b.len(), "{a:?}");
    a.iter().zip(b).for_each(|(a, b)| close(*a, *b));
}

/// Natural logs.
fn logs(p: &[f64]) -> Vec<f64> {
    p.iter().map(|p| p.ln()).collect()
}

/// The text of an error.
fn text_of<T: std::fmt::Debug>(result: Result<T, tropism_evaluation::EvaluationError>) -> String {
    result.unwrap_err().to_string()
}

/// References to rows.
fn rows<T>(rows: &[Vec<T>]) -> Vec<&[T]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// Words between spaces.
fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}
