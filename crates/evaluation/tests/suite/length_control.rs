//! The length-controlled win rate: worked numbers, scikit-learn on made-up rows, and AlpacaEval 2's leaderboard.
use crate::alpaca_eval::AlpacaEval;
use crate::common::{all_close, close, golden, numbers};
use serde_json::Value;
use tropism_evaluation::*;

fn weights(w: &LengthWeights) -> [f64; 3] {
    [w.length, w.difficulty, w.model]
}

fn fixed() -> LengthControl {
    LengthControl { penalty: Penalty::Fixed { c: 100.0 }, difficulty: true }
}

#[test]
fn made_up_rows() {
    let g = golden("length_control.json");
    let column = |name: &str| numbers(&g[name]);
    let (scores, length_differences, difficulty) = (column("scores"), column("length_differences"), column("difficulty"));
    let rows = LengthRows { scores: &scores, length_differences: &length_differences, difficulty: &difficulty };
    let other = |name: &str| numbers(&g["gamed"][name]);
    let (gamed_scores, scaled, hard) = (other("scores"), other("scaled_lengths"), other("difficulty"));
    let gamed = GamedRows { scores: &gamed_scores, scaled_lengths: &scaled, difficulty: &hard, weight: 0.1 };
    let minimal = LengthControl { difficulty: false, ..fixed() };
    for (name, control, gamed) in [
        ("fixed", fixed(), None),
        ("fixed_gamed", fixed(), Some(&gamed)),
        ("minimal", minimal, None),
        ("cv", LengthControl::default(), None),
        ("cv_gamed", LengthControl::default(), Some(&gamed)),
    ] {
        let found = control.fit(&rows, gamed, None).unwrap();
        let expected: &Value = &g[name];
        all_close(&weights(&found.weights), &numbers(&expected["weights"]), 1e-6);
        close(found.c.unwrap(), expected["c"].as_f64().unwrap(), 1e-9);
        close(found.rate.value, expected["rate"].as_f64().unwrap(), 1e-8);
    }
}

#[test]
fn a_model_as_long_as_the_baseline_keeps_its_own_rate() {
    let scores = [0.9, 0.2, 0.7, 1.0, 0.1, 0.6];
    let difficulty = [0.3, -1.0, 0.4, 1.2, -0.7, 0.0];
    let rows = LengthRows { scores: &scores, length_differences: &[0.0; 6], difficulty: &difficulty };
    let free = LengthControl { penalty: Penalty::None, difficulty: true };
    // a length term that never differs from 0 has no weight of its own: the penalty leaves it at 0
    let found = fixed().fit(&rows, None, None).unwrap();
    assert_eq!(found.weights.length, 0.0);
    let features: Vec<f64> = difficulty.iter().flat_map(|d| [*d, 1.0]).collect();
    let plain = LogisticRows { features: &features, columns: 2, targets: &scores, weights: &[1.0; 6] };
    let beta = Logistic::l1(100.0).fit(&plain, &[0.0; 2]).unwrap();
    all_close(&[found.weights.difficulty, found.weights.model], &beta, 1e-9);
    assert!(free.fit(&rows, None, None).is_err());
    // the baseline against itself
    let same = LengthRows { scores: &[0.5; 6], ..rows };
    close(fixed().fit(&same, None, None).unwrap().rate.value, 0.5, 1e-12);
    let shifted = LengthRows { length_differences: &[3.0; 6], ..rows };
    assert!(fixed().fit(&shifted, None, None).unwrap_err().to_string().contains("all rows differ by 3"));
}

#[test]
fn between_two_models() {
    let a = LengthWeights { length: -1.8, difficulty: 0.8, model: -1.3 };
    let b = LengthWeights { length: -1.7, difficulty: 1.0, model: -3.6 };
    let d = [0.4, -1.0, 0.2];
    let (won, lost) = (a.against(&b).win_rate(&d).unwrap(), b.against(&a).win_rate(&d).unwrap());
    close(won.rate.value + lost.rate.value, 1.0, 1e-12);
    close(a.against(&a).win_rate(&d).unwrap().rate.value, 0.5, 1e-15);
    close(won.rate.value, mean(&d.map(|d| sigmoid(2.3 - 0.2 * d))).unwrap(), 1e-12);
}

#[test]
fn published_leaderboard() {
    let Some(data) = AlpacaEval::load() else { return };
    assert_eq!((data.published.len(), data.difficulty.len()), (25, 805));
    for m in &data.published {
        let scores = data.scores(&m.name);
        let boot = Bootstrap { resamples: 100, ..Bootstrap::default() };
        let found = WinRate::of(scores, &boot).unwrap();
        close(100.0 * found.rate.value, m.win_rate, 1e-8);
        close(100.0 * found.standard_error, m.standard_error, 1e-8);
        close(100.0 * found.discrete, m.discrete_win_rate, 1e-10);
        assert_eq!([found.wins, found.losses, found.ties], m.counts, "{}", m.name);
        assert_eq!(published_length(data.lengths(&m.name)).unwrap(), m.avg_length, "{}", m.name);
        let controlled = m.weights.win_rate(&data.difficulty).unwrap();
        assert!((100.0 * controlled.rate.value - m.length_controlled).abs() < 1e-6, "{}", m.name);
        if let Some(error) = m.lc_standard_error {
            close(100.0 * controlled.prompt_spread, error, 1e-5);
        }
    }
}

#[test]
fn own_fit_of_the_leaderboard() {
    let Some(data) = AlpacaEval::load() else { return };
    let sklearn = golden("alpaca_eval.json");
    let mut off = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for m in &data.published {
        let found = fixed().fit(&data.rows(&m.name), None, None).unwrap();
        let expected = &sklearn["models"][&m.name];
        all_close(&weights(&found.weights), &numbers(&expected["weights"]), 1e-5);
        let gap = 100.0 * (found.rate.value - expected["rate"].as_f64().unwrap());
        assert!(gap.abs() < 1e-4, "{}: {gap} points from scikit-learn", m.name);
        off.push((100.0 * found.rate.value - m.length_controlled).abs());
        ours.push(found.rate.value);
        theirs.push(m.length_controlled);
    }
    let (average, largest) = (mean(&off).unwrap(), off.iter().copied().fold(0.0, f64::max));
    assert!((average - 0.9).abs() < 0.05 && largest < 2.6, "off by {average} on average, at most {largest}");
    let rho = spearman(&ours, &theirs);
    assert!(rho > 0.995, "Spearman {rho}");
}

#[test]
fn cross_validated_and_unpenalised_fits_of_the_leaderboard() {
    let Some(data) = AlpacaEval::load() else { return };
    let sklearn = golden("alpaca_eval.json");
    for (name, coefficients, rate) in [
        ("claude-2.1", [-1.762739, 0.863753, -1.365550], 24.743923),
        ("gemma-7b-it", [-1.045245, 0.955170, -3.018590], 9.218404),
        ("FuseChat-Llama-3.1-8B-Instruct", [-0.913455, 0.741989, 0.842230], 64.929281),
    ] {
        let rows = data.rows(name);
        let free = LengthControl { penalty: Penalty::None, difficulty: true }.fit(&rows, None, None).unwrap();
        // the difficulties at hand have seven digits
        all_close(&weights(&free.weights), &coefficients, 1e-6);
        close(100.0 * free.rate.value, rate, 1e-6);
        let cv = LengthControl::default().fit(&rows, None, None).unwrap();
        close(cv.c.unwrap(), sklearn["cv"][name]["c"].as_f64().unwrap(), 1e-9);
        close(100.0 * cv.rate.value, 100.0 * sklearn["cv"][name]["rate"].as_f64().unwrap(), 1e-5);
    }
}

#[test]
fn terse_answers_gain_most() {
    let Some(data) = AlpacaEval::load() else { return };
    let control = LengthControl { penalty: Penalty::None, difficulty: true };
    let run = |style: &str| {
        let name = format!("gpt-3.5-turbo-1106{style}");
        let plain = mean(data.scores(&name)).unwrap();
        [plain, control.fit(&data.rows(&name), None, None).unwrap().rate.value].map(|r| 100.0 * r)
    };
    let [terse, standard, wordy] = ["_concise", "", "_verbose"].map(run);
    all_close(&[terse[0], standard[0], wordy[0]], &[7.4, 9.2, 12.8], 0.05 / 7.0);
    all_close(&[terse[1], standard[1], wordy[1]], &[14.6, 18.2, 19.5], 0.05 / 14.0);
    close(wordy[0] / terse[0], 1.72, 0.005);
    close(wordy[1] / terse[1], 1.34, 0.005);
}

#[test]
fn the_interval_takes_the_fit_in() {
    let Some(data) = AlpacaEval::load() else { return };
    let boot = Bootstrap { resamples: 200, seed: 5, ..Bootstrap::default() };
    let found = fixed().fit(&data.rows("claude-2.1"), None, Some(&boot)).unwrap();
    let half = 0.5 * (found.rate.high - found.rate.low);
    assert!(found.rate.low < found.rate.value && found.rate.value < found.rate.high);
    // wider than the spread of the fitted probabilities alone would say
    assert!(half > 1.96 * found.prompt_spread && half < 0.06, "half width {half}, spread {}", found.prompt_spread);
    assert_eq!(found, fixed().fit(&data.rows("claude-2.1"), None, Some(&boot)).unwrap());
}

/// Pearson's correlation of ranks; no ties here.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let rank = |x: &[f64], v: f64| x.iter().filter(|w| **w < v).count() as f64;
    let squares: f64 = (0..a.len()).map(|i| (rank(a, a[i]) - rank(b, b[i])).powi(2)).sum();
    let n = a.len() as f64;
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}
