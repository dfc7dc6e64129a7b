//! Distributions, intervals, tests and corrections against scipy, statsmodels and numpy, and the worked numbers.
use crate::common::{SplitMix64, all_close, close, golden, list, numbers};
use tropism_evaluation::*;

/// Verdicts of ten pairs: the worked example of win rates.
const SCORES: [f64; 10] = [1.0, 1.0, 0.5, 0.0, 1.0, 1.0, 0.0, 0.5, 1.0, 0.0];

#[test]
fn distributions() {
    let g = golden("stats.json");
    for c in list(&g["normal_quantile"]).iter().map(numbers) {
        close(normal_quantile(c[0]), c[1], 1e-12);
    }
    for c in list(&g["student_quantile"]).iter().map(numbers) {
        close(student_quantile(c[0], c[1]), c[2], 1e-10);
    }
    for c in list(&g["student_cdf"]).iter().map(numbers) {
        close(student_cdf(c[0], c[1]), c[2], 1e-12);
        if c[2] > 0.0 {
            close(student_cdf(c[0], c[1]) / c[2], 1.0, 1e-9);
        }
    }
}

#[test]
fn shares_and_means() {
    let g = golden("stats.json");
    for c in list(&g["wilson"]).iter().map(numbers) {
        let w = wilson_at(c[0] as usize, c[1] as usize, c[2]).unwrap();
        all_close(&[w.low, w.high], &c[3..], 1e-12);
    }
    for c in list(&g["means"]) {
        let (x, level) = (numbers(&c["x"]), c["level"].as_f64().unwrap());
        let (t, z) = (t_interval(&x, level).unwrap(), normal_interval(&x, level).unwrap());
        all_close(&[t.low, t.high], &numbers(&c["t"]), 1e-10);
        all_close(&[z.low, z.high], &numbers(&c["normal"]), 1e-12);
        close(sample_sd(&x).unwrap(), c["sd"].as_f64().unwrap(), 1e-13);
        close(standard_error(&x).unwrap(), c["sem"].as_f64().unwrap(), 1e-13);
    }
    let q = &g["quantiles"];
    for at in list(&q["at"]).iter().map(numbers) {
        close(quantile(&numbers(&q["x"]), at[0]).unwrap(), at[1], 1e-14);
    }
}

#[test]
fn paired_tests() {
    for c in list(&golden("stats.json")["paired"]) {
        let (a, b) = (numbers(&c["a"]), numbers(&c["b"]));
        let t = paired_t(&a, &b).unwrap();
        all_close(&[t.statistic, t.p], &numbers(&c["t"]), 1e-9);
        close(sign_test(&a, &b).unwrap().p, c["sign"].as_f64().unwrap(), 1e-10);
        let w = wilcoxon_signed_rank(&a, &b).unwrap();
        all_close(&[w.statistic, w.p], &numbers(&c["wilcoxon"]), 1e-11);
        let flip = sign_flip_test(&a, &b, 20_000, 3).unwrap();
        match c["flip"].as_f64() {
            Some(p) => close(flip.p, p, 1e-12),
            None => close(flip.p, t.p, 0.02),
        }
    }
}

#[test]
fn corrections() {
    for c in list(&golden("stats.json")["corrections"]) {
        let p = numbers(&c["p"]);
        all_close(&holm(&p).unwrap(), &numbers(&c["holm"]), 1e-14);
        all_close(&benjamini_hochberg(&p).unwrap(), &numbers(&c["bh"]), 1e-14);
    }
}

#[test]
fn bootstrap_of_a_skewed_statistic() {
    let g = &golden("stats.json")["bca"];
    let (x, large) = (numbers(&g["x"]), &g["large"]);
    let variance = |x: &[f64]| sample_sd(x).map_or(f64::NAN, |s| s * s);
    for (kind, name) in [(BootstrapKind::Bca, "bca"), (BootstrapKind::Percentile, "percentile")] {
        let b = Bootstrap { resamples: 100_000, seed: 4, kind, ..Bootstrap::default() };
        let f = b.statistic(&x, variance).unwrap();
        let expected = numbers(&large[name]);
        // two random quantiles, each with its own error
        assert!((f.low / expected[0] - 1.0).abs() < 0.03, "{kind:?} {f} against {expected:?}");
        assert!((f.high / expected[1] - 1.0).abs() < 0.03, "{kind:?} {f} against {expected:?}");
    }
}

#[test]
fn worked_win_rate() {
    let scores = SCORES;
    close(sample_sd(&scores).unwrap(), 0.459468, 5e-7);
    close(standard_error(&scores).unwrap(), 0.145297, 5e-7);
    let z = normal_interval(&scores, 0.95).unwrap();
    all_close(&[z.value, z.low, z.high], &[0.6, 0.315224, 0.884776], 5e-7);
    let w = wilson(5, 8).unwrap();
    all_close(&[w.low, w.high], &[0.305742, 0.863156], 5e-7);
    let w = wilson(7, 10).unwrap();
    all_close(&[w.low, w.high], &[0.396778, 0.892209], 5e-7);
}

#[test]
fn worked_bootstrap() {
    assert_eq!(SplitMix64(42).draw(), 13_679_457_532_755_275_413);
    let mut rng = SplitMix64(42);
    let mut resample = || (0..10).map(|_| SCORES[(rng.draw() % 10) as usize]).sum::<f64>() / 10.0;
    let found: Vec<f64> = (0..1000).map(|_| resample()).collect();
    close(mean(&found).unwrap(), 0.59185, 5e-6);
    all_close(&[quantile(&found, 0.025).unwrap(), quantile(&found, 0.975).unwrap()], &[0.30, 0.85], 1e-12);
    let ours = Bootstrap { resamples: 20_000, ..Bootstrap::default() }.mean(&SCORES).unwrap();
    all_close(&[ours.low, ours.high], &[0.30, 0.85], 1e-12);
}

#[test]
fn worked_paired_comparison() {
    let theirs = [1.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.5, 1.0, 0.0];
    let t = paired_t(&SCORES, &theirs).unwrap();
    close(t.difference.value, 0.2, 1e-12);
    close(t.difference.value / t.statistic, 0.133333, 5e-7);
    let unpaired = standard_error(&SCORES).unwrap().hypot(standard_error(&theirs).unwrap());
    close(unpaired, 0.205480, 5e-7);
    let (a, b) = ([[1.0; 8].as_slice(), &[0.0; 2]].concat(), [[0.0; 8].as_slice(), &[1.0; 2]].concat());
    close(sign_test(&a, &b).unwrap().p, 0.109375, 1e-12);
}

#[test]
fn figures_are_written_and_read() {
    let level = 0.9;
    let bootstrap = Method::Bootstrap { kind: BootstrapKind::Bca, level: 0.999, resamples: 100, seed: 3 };
    for (method, shown) in [
        (Method::None, "no interval"),
        (Method::Wilson { level }, "Wilson 90 %"),
        (Method::Normal { level }, "normal 90 %"),
        (Method::StudentT { level }, "Student t 90 %"),
        (Method::Delta { level }, "delta method 90 %"),
        (Method::FisherZ { level }, "Fisher z 90 %"),
        (bootstrap, "BCa bootstrap 99.9 %, 100 resamples, seed 3"),
    ] {
        let figure = Figure { value: 0.5, low: 0.25, high: 1.0, n: 7, method };
        let text = serde_json::to_string(&figure).unwrap();
        assert_eq!(serde_json::from_str::<Figure>(&text).unwrap(), figure, "{text}");
        assert_eq!(method.to_string(), shown);
    }
    let f = Figure { value: 0.5, low: 0.25, high: 1.25, n: 7, method: Method::Normal { level } };
    assert_eq!((f.scaled(-2.0).low, f.scaled(-2.0).high, f.clamped(0.0, 1.0).high), (-2.5, -0.5, 1.0));
    assert!(f.excludes(0.2) && f.excludes(1.3) && !f.excludes(0.25));
    assert!(serde_json::from_str::<Figure>("{\"value\":1.0,\"low\":1.0,\"high\":1.0,\"n\":1}").is_err());
}

#[test]
fn refusals() {
    let text = |e: EvaluationError| e.to_string();
    assert!(text(wilson_at(1, 2, 1.0).unwrap_err()).contains("level is 1"));
    assert!(text(holm(&[0.2, 1.2]).unwrap_err()).contains("p-value is 1.2"));
    assert!(text(quantile(&[1.0], -0.1).unwrap_err()).contains("q is -0.1"));
    assert!(text(paired_t(&[1.0], &[2.0]).unwrap_err()).contains("rows is 1"));
    assert!(text(sign_test(&[1.0], &[]).unwrap_err()).contains("b is empty"));
    let boot = Bootstrap::default();
    assert!(text(boot.rows(0, |_| 1.0).unwrap_err()).contains("rows is empty"));
    assert!(text(boot.rows(3, |_| f64::NAN).unwrap_err()).contains("statistic[0] is NaN"));
    let one_sided = Bootstrap { kind: BootstrapKind::Bca, ..boot };
    let largest = |x: &[f64]| x.iter().copied().fold(0.0, f64::max) + if x.is_sorted() { 1.0 } else { 0.0 };
    let x: Vec<f64> = (0..30).map(f64::from).collect();
    assert!(text(one_sided.statistic(&x, largest).unwrap_err()).contains("one side"));
}

#[test]
fn extremes() {
    // no spread at all
    let same = Bootstrap { kind: BootstrapKind::Bca, ..Bootstrap::default() }.mean(&[2.0; 5]).unwrap();
    assert_eq!((same.low, same.value, same.high), (2.0, 2.0, 2.0));
    let t = paired_t(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
    assert_eq!((t.statistic, t.p), (0.0, 1.0));
    assert_eq!(paired_t(&[1.0, 2.0], &[0.0, 1.0]).unwrap().p, 0.0);
    let none = wilcoxon_signed_rank(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
    assert_eq!((none.p, none.used, sign_test(&[1.0], &[1.0]).unwrap().p), (1.0, 0, 1.0));
    assert_eq!(sign_flip_test(&[1.0], &[1.0], 10, 0).unwrap().p, 1.0);
    assert_eq!(mean_interval(&[3.0]).unwrap().method, Method::None);
}
