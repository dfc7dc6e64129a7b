//! The sampler: distribution, independence of the batch, stops and limits.
#![allow(clippy::unwrap_used)]
use std::path::PathBuf;
use tropism_lm::*;
use tropism_ops::Tree;

fn model() -> Decoder<Loaded, f32> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/models/llama_tied"));
    load(&folder, |c| Ok(Loaded::new(c))).unwrap()
}

#[test]
fn an_answer_does_not_depend_on_its_neighbours() {
    let model = model();
    let sampling = Sampling { max_new_tokens: 9, ..Sampling::default() };
    let prompts = [vec![3, 4, 5], vec![9], vec![100; 20]];
    let together = model.generate(&prompts, &sampling, &[], 5).unwrap();
    let first = model.generate(&prompts[..1], &sampling, &[], 5).unwrap();
    assert_eq!(together[0], first[0]);
    assert_ne!(together, model.generate(&prompts, &sampling, &[], 6).unwrap());
}

#[test]
fn samples_follow_the_model() {
    let model = model();
    let prompt = vec![3u32, 4, 5];
    let logits = model.logits(&[3, 4, 5], &Tree::sequences(&[3]).unwrap(), &[2]).unwrap().as_vec();
    let weights: Vec<f64> = logits.iter().map(|&l| (l as f64 / 2.0).exp()).collect();
    let total: f64 = weights.iter().sum();
    let sampling = Sampling { temperature: 2.0, max_new_tokens: 1, ..Sampling::default() };
    let n = 8000;
    let mut counts = vec![0.0; 384];
    for g in model.generate(&vec![prompt; n], &sampling, &[], 1).unwrap() {
        counts[g.tokens[0] as usize] += 1.0;
    }
    for (i, (c, w)) in counts.iter().zip(&weights).enumerate() {
        let p = w / total;
        let deviation = (p * (1.0 - p) / n as f64).sqrt();
        assert!((c / n as f64 - p).abs() < 5.0 * deviation + 2.0 / n as f64, "token {i}: {c} of {n}, expected share {p}");
    }
}

#[test]
fn top_k_and_top_p_keep_the_likeliest() {
    let model = model();
    let logits = model.logits(&[3, 4, 5], &Tree::sequences(&[3]).unwrap(), &[2]).unwrap().as_vec();
    let mut order: Vec<u32> = (0..384).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    let seen = |sampling: &Sampling| {
        let mut seen: Vec<u32> =
            model.generate(&vec![vec![3, 4, 5]; 500], sampling, &[], 2).unwrap().iter().map(|g| g.tokens[0]).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    };
    let base = Sampling { temperature: 3.0, max_new_tokens: 1, ..Sampling::default() };
    let mut best = order[..3].to_vec();
    best.sort_unstable();
    assert_eq!(seen(&Sampling { top_k: 3, ..base.clone() }), best);
    assert_eq!(seen(&Sampling { top_p: 1e-9, ..base }), [order[0]]);
}

#[test]
fn a_stop_token_ends_an_answer() {
    let model = model();
    let greedy = Sampling { temperature: 0.0, max_new_tokens: 6, ..Sampling::default() };
    let free = model.generate(&[vec![3, 4]], &greedy, &[], 0).unwrap().remove(0);
    let stop = free.tokens[2];
    let at = free.tokens.iter().position(|t| *t == stop).unwrap();
    let cut = model.generate(&[vec![3, 4]], &greedy, &[stop], 0).unwrap().remove(0);
    assert_eq!((cut.tokens.as_slice(), cut.finished()), (&free.tokens[..=at], true));
}

#[test]
fn settings_and_prompts_are_checked() {
    let model = model();
    let error = |s: &Sampling, p: &[Vec<u32>]| model.generate(p, s, &[], 0).unwrap_err().to_string();
    let ok = Sampling::default();
    assert!(error(&Sampling { temperature: f64::NAN, ..ok.clone() }, &[vec![1]]).contains("temperature"));
    assert!(error(&Sampling { top_p: 0.0, ..ok.clone() }, &[vec![1]]).contains("top_p"));
    assert!(error(&Sampling { max_new_tokens: 0, ..ok.clone() }, &[vec![1]]).contains("max_new_tokens"));
    assert!(error(&ok, &[vec![1], vec![]]).contains("prompt 2 is empty"));
    assert!(error(&ok, &[vec![1; 100]]).contains("max_position_embeddings"));
    assert!(error(&ok, &[vec![400]]).contains("token id 400"));
    assert!(model.generate(&[], &ok, &[], 0).unwrap().is_empty());
}
