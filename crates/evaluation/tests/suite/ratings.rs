//! Bradley–Terry, style control and Elo against independent fits, worked numbers and symmetries.
use crate::common::{all_close, close, golden, list, numbers};
use proptest::prelude::*;
use serde_json::Value;
use tropism_evaluation::*;

fn battles(v: &Value) -> Vec<Battle> {
    let one = |x: Vec<f64>| Battle { a: x[0] as usize, b: x[1] as usize, score: x[2] };
    list(v).iter().map(numbers).map(one).collect()
}

/// The worked example: wins of 0, 1, 2 over each other, two ties.
fn worked() -> Vec<Battle> {
    let counts =
        [(0, 1, 1.0, 7), (1, 0, 1.0, 3), (1, 2, 1.0, 6), (2, 1, 1.0, 4), (0, 2, 1.0, 8), (2, 0, 1.0, 2), (0, 1, 0.5, 2)];
    counts.iter().flat_map(|&(a, b, score, n)| std::iter::repeat_n(Battle { a, b, score }, n)).collect()
}

#[test]
fn worked_bradley_terry() {
    let fit = bradley_terry(3, &worked(), &BradleyTerry { bootstrap: None, ..BradleyTerry::default() }).unwrap();
    all_close(&fit.strengths, &[0.0, -0.771066, -1.262745], 1e-6);
    all_close(&fit.standard_errors, &[0.0, 0.527897, 0.581897], 1e-6);
    close(fit.nll, 19.401714, 1e-6 / 19.0);
    close(fit.win_probability(0, 1).unwrap(), 0.683751, 1e-6);
    let printed: Vec<f64> = fit.ratings.iter().map(|r| r.rating.value).collect();
    all_close(&printed, &[1117.769709, 983.821800, 898.408490], 1e-9);
    assert_eq!(fit.ratings.iter().map(|r| r.rating.n).collect::<Vec<_>>(), [22, 22, 20]);
    // minorise and maximise: p_i = W_i / Σ_j N_ij / (p_i + p_j)
    let (won, met) = ([16.0, 10.0, 6.0], [[0.0, 12.0, 10.0], [12.0, 0.0, 10.0], [10.0, 10.0, 0.0]]);
    let mut p = [1.0; 3];
    for _ in 0..2000 {
        let next = |i: usize| won[i] / (0..3).map(|j| met[i][j] / (p[i] + p[j])).sum::<f64>();
        let q = [next(0), next(1), next(2)];
        p = q.map(|x| x / q[0]);
    }
    all_close(&p.map(f64::ln), &fit.strengths, 1e-9);
}

#[test]
fn worked_elo() {
    let game = |a, b, score| Battle { a, b, score };
    let order = [game(0, 1, 1.0), game(1, 2, 0.5), game(2, 0, 0.0), game(0, 1, 0.5)];
    all_close(&online_elo(3, &order, &Elo::default()).unwrap(), &[1003.954018, 998.045915, 998.000066], 1e-9);
}

#[test]
fn independent_fits() {
    let g = golden("ratings.json");
    for c in list(&g["cases"]) {
        let (models, all) = (c["models"].as_u64().unwrap() as usize, battles(&c["battles"]));
        let options = BradleyTerry { bootstrap: None, ..BradleyTerry::default() };
        let fit = bradley_terry(models, &all, &options).unwrap();
        all_close(&fit.strengths, &numbers(&c["plain"]["strengths"]), 1e-8);
        all_close(&fit.standard_errors, &numbers(&c["plain"]["errors"]), 1e-8);
        close(fit.nll, c["plain"]["nll"].as_f64().unwrap(), 1e-10);
        let half: Vec<f64> = fit.ratings.iter().map(|r| (r.rating.high - r.rating.value) / 1.959963984540054).collect();
        let expected: Vec<f64> = numbers(&c["plain"]["errors_mean"]).iter().map(|e| e * 400.0 / 10f64.ln()).collect();
        all_close(&half, &expected, 1e-7);
        let ridge = bradley_terry(models, &all, &BradleyTerry { ridge: 0.3, ..options }).unwrap();
        all_close(&ridge.strengths, &numbers(&c["ridge"]["strengths"]), 1e-8);
        all_close(&online_elo(models, &all, &Elo::default()).unwrap(), &numbers(&c["elo"]), 1e-11);
    }
    let s = &g["style"];
    let (models, all) = (s["models"].as_u64().unwrap() as usize, battles(&s["battles"]));
    let (a, b) = (numbers(&s["style_a"]), numbers(&s["style_b"]));
    let found = style_controlled(models, &all, &a, &b, 2, &StyleControl::default()).unwrap();
    let expected = numbers(&s["parameters"]);
    let printed: Vec<f64> = found.ratings.iter().map(|r| r.rating.value).collect();
    all_close(&printed, &RatingScale::default().apply(&expected[..models]).unwrap(), 1e-8);
    all_close(&found.weights.iter().map(|w| w.value).collect::<Vec<_>>(), &expected[models..], 1e-8);
}

#[test]
fn resampled_ratings() {
    let g = golden("ratings.json");
    let c = &g["cases"][2];
    let all = battles(&c["battles"]);
    let boot = Bootstrap { resamples: 400, seed: 2, ..Bootstrap::default() };
    let options = BradleyTerry { bootstrap: Some(boot), ..BradleyTerry::default() };
    let fit = bradley_terry(10, &all, &options).unwrap();
    let exact = bradley_terry(10, &all, &BradleyTerry { bootstrap: None, ..options }).unwrap();
    for (r, e) in fit.ratings.iter().zip(&exact.ratings) {
        assert_eq!(r.rating.value, e.rating.value);
        assert!((r.median - r.rating.value).abs() < 5.0);
        let widths = (r.rating.high - r.rating.low) / (e.rating.high - e.rating.low);
        assert!((0.8..1.25).contains(&widths), "{widths}");
    }
    let anchor = Anchor::Model { index: 3, rating: 1114.0 };
    let scale = RatingScale { anchor, ..RatingScale::default() };
    let tied = bradley_terry(10, &all, &BradleyTerry { scale, ..options }).unwrap();
    assert_eq!((tied.ratings[3].rating.low, tied.ratings[3].rating.high), (1114.0, 1114.0));
    close(tied.ratings[0].rating.value - 1114.0, fit.ratings[0].rating.value - fit.ratings[3].rating.value, 1e-9);
}

#[test]
fn ratings_without_a_maximum() {
    let options = BradleyTerry { bootstrap: None, ..BradleyTerry::default() };
    let rate = |models: usize, rows: &[(usize, usize, f64)], o: &BradleyTerry| {
        let all: Vec<Battle> = rows.iter().map(|&(a, b, score)| Battle { a, b, score }).collect();
        bradley_terry(models, &all, o).map_err(|e| e.to_string())
    };
    // 2 beat everyone and never lost
    let rows = [(0, 1, 1.0), (1, 0, 1.0), (2, 0, 1.0), (2, 1, 1.0)];
    let text = rate(3, &rows, &options).unwrap_err();
    assert!(text.contains("models outside [2] never won against those in it") && text.contains("ridge"), "{text}");
    assert!(rate(3, &rows[..2], &options).unwrap_err().contains("[2]"));
    let ridge = rate(3, &rows, &BradleyTerry { ridge: 0.1, ..options }).unwrap();
    assert!(ridge.strengths[2] > ridge.strengths[1]);
    assert!(rate(2, &[], &options).unwrap_err().contains("battles is empty"));
    assert!(rate(2, &[(0, 0, 1.0)], &options).unwrap_err().contains("battles[0]: model 0 fights itself"));
    assert!(rate(2, &[(0, 5, 1.0)], &options).unwrap_err().contains("model 5 is not among 2"));
    assert!(rate(2, &[(0, 1, 1.5)], &options).unwrap_err().contains("score is 1.5"));
    let anchor = RatingScale { anchor: Anchor::Model { index: 9, rating: 0.0 }, ..RatingScale::default() };
    assert!(rate(2, &[(0, 1, 0.5)], &BradleyTerry { scale: anchor, ..options }).unwrap_err().contains("anchor is 9"));
    let bca = Bootstrap { kind: BootstrapKind::Bca, ..Bootstrap::default() };
    let ties: Vec<_> = (0..300).map(|i| (0, 1, f64::from(i % 3) / 2.0)).collect();
    assert!(rate(2, &ties, &BradleyTerry { bootstrap: Some(bca), ..options }).unwrap_err().contains("percentile"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn exchanged_roles_change_signs(rows in prop::collection::vec((0usize..5, 1usize..5, 0u8..3), 30..120)) {
        let mut all: Vec<Battle> = rows.iter()
            .map(|&(a, d, s)| Battle { a, b: (a + d) % 5, score: f64::from(s) / 2.0 }).collect();
        // everyone ties with the next, so a maximum exists
        all.extend((0..5).map(|a| Battle { a, b: (a + 1) % 5, score: 0.5 }));
        let options = BradleyTerry { bootstrap: None, ..BradleyTerry::default() };
        let fit = bradley_terry(5, &all, &options).unwrap();
        let lost: Vec<Battle> = all.iter().map(|b| Battle { score: 1.0 - b.score, ..*b }).collect();
        let turned: Vec<Battle> = all.iter().map(|b| Battle { a: b.b, b: b.a, score: 1.0 - b.score }).collect();
        let mirrored = bradley_terry(5, &lost, &options).unwrap();
        let same = bradley_terry(5, &turned, &options).unwrap();
        for m in 0..5 {
            prop_assert!((fit.strengths[m] + mirrored.strengths[m]).abs() < 1e-8);
            prop_assert!((fit.strengths[m] - same.strengths[m]).abs() < 1e-8);
        }
        let elo: f64 = online_elo(5, &all, &Elo::default()).unwrap().iter().sum();
        prop_assert!((elo - 5000.0).abs() < 1e-8);
    }
}
