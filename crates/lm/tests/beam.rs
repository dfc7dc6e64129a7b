//! Beam search against every possible answer of a tiny model.
#![allow(clippy::unwrap_used)]
mod common;
use common::{log_probabilities, random};
use tropism_lm::*;

const VOCAB: u32 = 5;
const PROMPT: [u32; 3] = [1, 4, 2];

/// All answers of at most `max` tokens that end with a stop token or at the limit, with their log-probabilities.
fn all(model: &Decoder<Loaded, f64>, stop: &[u32], max: usize) -> Vec<(Vec<u32>, f64)> {
    let (mut open, mut ended) = (vec![(vec![], 0.0)], vec![]);
    while let Some((tokens, logp)) = open.pop() {
        let row = log_probabilities(model, &[&PROMPT[..], &tokens].concat()).pop().unwrap();
        for t in 0..VOCAB {
            let next = ([tokens.as_slice(), &[t]].concat(), logp + row[t as usize]);
            if stop.contains(&t) || next.0.len() == max { ended.push(next) } else { open.push(next) }
        }
    }
    ended
}

fn check(found: &[Hypothesis], mut every: Vec<(Vec<u32>, f64, f64)>) {
    every.sort_by(|a, b| b.2.total_cmp(&a.2));
    for (h, (tokens, logp, score)) in found.iter().zip(&every) {
        assert_eq!(&h.tokens, tokens);
        assert!((h.logp - logp).abs() < 1e-9 && (h.score - score).abs() < 1e-9);
    }
}

#[test]
fn a_search_that_is_wide_enough_finds_the_best_of_all() {
    for (seed, length_penalty, max) in [(1, 0.0, 4), (2, 1.0, 4), (3, 2.5, 3), (4, -1.0, 4), (5, 1.0, 1)] {
        let model = random::<f64>(VOCAB as usize, seed);
        for stop in [&[][..], &[0], &[0, 3]] {
            let options = Beams { beams: 700, candidates: 5, best: 12, max_new_tokens: max, length_penalty };
            let found = model.beam_search(&PROMPT, &options, stop, None).unwrap();
            let penalised = |(t, l): (Vec<u32>, f64)| {
                let score = l / (t.len() as f64).powf(length_penalty);
                (t, l, score)
            };
            let every: Vec<_> = all(&model, stop, max).into_iter().map(penalised).collect();
            assert_eq!(found.len(), every.len().min(12));
            check(&found, every);
            for h in &found {
                let stopped = h.tokens.last().is_some_and(|t| stop.contains(t));
                assert_eq!(h.end, if stopped { End::StopToken } else { End::Length });
            }
        }
    }
}

#[test]
fn a_search_ends_early_only_when_nothing_can_change() {
    for seed in 10..40 {
        let model = random::<f64>(VOCAB as usize, seed);
        for length_penalty in [-1.5, 0.0, 1.0, 3.0] {
            let options = Beams { beams: 700, candidates: 5, best: 1, max_new_tokens: 4, length_penalty };
            let found = model.beam_search(&PROMPT, &options, &[0, 1], None).unwrap();
            let penalised = |(t, l): (Vec<u32>, f64)| {
                let score = l / (t.len() as f64).powf(length_penalty);
                (t, l, score)
            };
            check(&found, all(&model, &[0, 1], 4).into_iter().map(penalised).collect());
        }
    }
}

#[test]
fn a_scoring_function_decides() {
    let model = random::<f64>(VOCAB as usize, 6);
    // likes the token 3, whatever the model thinks
    let liked = |tokens: &[u32], logp: f64| logp + 2.0 * tokens.iter().filter(|t| **t == 3).count() as f64;
    let options = Beams { beams: 700, candidates: 5, best: 5, max_new_tokens: 4, length_penalty: 0.0 };
    let found = model.beam_search(&PROMPT, &options, &[0], Some(&mut { liked })).unwrap();
    let every = all(&model, &[0], 4).into_iter().map(|(t, l)| (t.clone(), l, liked(&t, l))).collect();
    check(&found, every);
    let error = model.beam_search(&PROMPT, &options, &[0], Some(&mut |_, _| f64::NAN)).unwrap_err().to_string();
    assert!(error.contains("scoring function"), "{error}");
}

#[test]
fn one_beam_is_greedy_and_wide_searches_share_their_past() {
    // answers over the border of a page
    let model = random::<f64>(40, 7);
    let prompt: Vec<u32> = (0..30).collect();
    let options = Beams { beams: 1, max_new_tokens: 40, ..Beams::default() };
    let greedy = Sampling { temperature: 0.0, max_new_tokens: 40, ..Sampling::default() };
    let one = model.beam_search(&prompt, &options, &[], None).unwrap().remove(0);
    assert_eq!(one.tokens, model.generate(std::slice::from_ref(&prompt), &greedy, &[], 0).unwrap()[0].tokens);
    let wide = model.beam_search(&prompt, &Beams { beams: 6, best: 6, ..options }, &[], None).unwrap();
    assert!(wide.len() == 6 && wide[0].logp >= one.logp);
    for h in wide {
        let exact = log_probabilities(&model, &[prompt.as_slice(), &h.tokens].concat());
        let sum: f64 = h.tokens.iter().enumerate().map(|(i, &t)| exact[prompt.len() - 1 + i][t as usize]).sum();
        assert!((h.logp - sum).abs() < 1e-8, "{} {sum}", h.logp);
    }
}

#[test]
fn unusable_options_are_named() {
    let model = random::<f64>(VOCAB as usize, 8);
    let error = |b: Beams, prompt: &[u32], stop: &[u32]| model.beam_search(prompt, &b, stop, None).unwrap_err().to_string();
    let ok = Beams::default();
    assert!(error(Beams { beams: 0, ..ok.clone() }, &[1], &[]).contains("beams is 0"));
    assert!(error(Beams { best: 0, ..ok.clone() }, &[1], &[]).contains("best is 0"));
    assert!(error(Beams { length_penalty: f64::NAN, ..ok.clone() }, &[1], &[]).contains("length_penalty"));
    assert!(error(Beams { max_new_tokens: 0, ..ok.clone() }, &[1], &[]).contains("max_new_tokens"));
    assert!(error(ok.clone(), &[], &[]).contains("empty"));
    assert!(error(ok.clone(), &[5], &[]).contains("token id 5"));
    assert!(error(ok, &[1], &[5]).contains("stop token 5"));
}
