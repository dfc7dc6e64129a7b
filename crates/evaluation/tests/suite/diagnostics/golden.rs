//! Figures of sacrebleu, rouge-score, scipy and scikit-learn on generated cases.
use super::near;
use serde_json::Value;
use tropism_evaluation::Bootstrap;
use tropism_evaluation::ranking::*;
use tropism_evaluation::reward_model::{Binning, calibration};
use tropism_evaluation::safety::{fit_probe, judge_quality, roc};
use tropism_evaluation::text::*;

const FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/evaluation/diagnostics.json"));
const TIGHT: f64 = 1e-12;

fn cases(name: &str, at_least: usize) -> Vec<Value> {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let cases = file[name].as_array().unwrap().clone();
    assert!(cases.len() >= at_least, "{name}: {}", cases.len());
    cases
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn flags(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|v| v.as_bool().unwrap()).collect()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

#[test]
fn words_of_sacrebleu() {
    for case in cases("tokens_13a", 50) {
        assert_eq!(words_13a(case["text"].as_str().unwrap()), strings(&case["tokens"]), "{}", case["text"]);
    }
}

#[test]
fn bleu_of_sacrebleu() {
    let smoothings = [
        ("none", BleuSmoothing::None),
        ("floor", BleuSmoothing::Floor(0.1)),
        ("add-k", BleuSmoothing::AddK(1.0)),
        ("exp", BleuSmoothing::Exp),
    ];
    let bootstrap = Bootstrap { resamples: 100, ..Bootstrap::default() };
    for case in cases("bleu", 12) {
        let candidates: Vec<Vec<String>> = strings(&case["candidates"]).into_iter().map(words_13a).collect();
        let references: Vec<Vec<Vec<String>>> =
            case["references"].as_array().unwrap().iter().map(|r| strings(r).into_iter().map(words_13a).collect()).collect();
        let references: Vec<Vec<&[String]>> = references.iter().map(|r| r.iter().map(Vec::as_slice).collect()).collect();
        for (name, smoothing) in smoothings {
            let bleu = Bleu { smoothing, ..Bleu::default() };
            let found = corpus_bleu(&super::rows(&candidates), &references, &bleu, bootstrap).unwrap();
            near(found.value, case["corpus"][name].as_f64().unwrap(), TIGHT);
            let each =
                candidates.iter().zip(&references).map(|(c, r)| BleuCounts::of(c, r, 4).unwrap().score(smoothing, true));
            each.zip(numbers(&case["sentence"][name])).for_each(|(a, b)| near(a, b, TIGHT));
        }
    }
}

#[test]
fn rouge_of_rouge_score() {
    for case in cases("rouge", 25) {
        let [c, r] = ["candidate", "reference"].map(|k| words_rouge(case[k].as_str().unwrap()));
        for (name, found) in [("rouge1", rouge_n(&c, &r, 1)), ("rouge2", rouge_n(&c, &r, 2)), ("rougeL", rouge_l(&c, &r))] {
            let expected = numbers(&case[name]);
            [found.precision, found.recall, found.f1].into_iter().zip(expected).for_each(|(a, b)| near(a, b, TIGHT));
        }
    }
}

#[test]
fn correlations_of_scipy() {
    for case in cases("correlations", 20) {
        let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
        near(kendall(&x, &y).unwrap().tau_b.value, case["kendall"].as_f64().unwrap(), TIGHT);
        near(spearman(&x, &y).unwrap().value, case["spearman"].as_f64().unwrap(), TIGHT);
        near(pearson(&x, &y).unwrap().value, case["pearson"].as_f64().unwrap(), TIGHT);
    }
}

#[test]
fn ndcg_of_scikit_learn() {
    for case in cases("ndcg", 25) {
        let (relevance, scores, k) =
            (numbers(&case["relevance"]), numbers(&case["scores"]), case["k"].as_u64().unwrap() as usize);
        for (name, gain) in [("linear", Gain::Linear), ("exponential", Gain::Exponential)] {
            near(ndcg_by_scores(&relevance, &scores, k, gain).unwrap(), case[name].as_f64().unwrap(), TIGHT);
        }
    }
}

#[test]
fn calibration_of_scikit_learn() {
    let bootstrap = Bootstrap { resamples: 100, ..Bootstrap::default() };
    for case in cases("calibration", 10) {
        let bins = Binning::EqualWidth(case["bins"].as_u64().unwrap() as usize);
        let found = calibration(&numbers(&case["confidence"]), &flags(&case["correct"]), bins, bootstrap).unwrap();
        near(found.ece.value, case["ece"].as_f64().unwrap(), TIGHT);
        near(found.brier.value, case["brier"].as_f64().unwrap(), TIGHT);
        near(found.nll.value, case["nll"].as_f64().unwrap(), TIGHT);
    }
}

#[test]
fn pass_at_k_of_scipy() {
    for case in cases("pass_at_k", 30) {
        let [n, c, k] = ["n", "c", "k"].map(|name| case[name].as_u64().unwrap() as usize);
        near(pass_at_k_of(n, c, k).unwrap(), case["value"].as_f64().unwrap(), 1e-9);
    }
}

#[test]
fn probe_of_scikit_learn() {
    for case in cases("probe", 5) {
        let rows: Vec<Vec<f64>> = case["rows"].as_array().unwrap().iter().map(numbers).collect();
        let found = fit_probe(&super::rows(&rows), &flags(&case["labels"]), case["lambda"].as_f64().unwrap()).unwrap();
        found.weights.iter().zip(numbers(&case["weights"])).for_each(|(a, b)| near(*a, b, 1e-6));
        near(found.bias, case["bias"].as_f64().unwrap(), 1e-6);
    }
}

#[test]
fn area_and_kappa_of_scikit_learn() {
    for case in cases("roc", 8) {
        near(
            roc(&numbers(&case["safe"]), &numbers(&case["unsafe"])).unwrap().auc.value,
            case["auc"].as_f64().unwrap(),
            TIGHT,
        );
    }
    for case in cases("kappa", 3) {
        near(judge_quality(&flags(&case["a"]), &flags(&case["b"])).unwrap().kappa, case["kappa"].as_f64().unwrap(), TIGHT);
    }
}
