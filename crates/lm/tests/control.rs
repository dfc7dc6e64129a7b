//! What steers an answer: filters, penalty, lengths, stops, hooks; and what is refused.
#![allow(clippy::unwrap_used)]
mod common;
use common::{log_probabilities, log_softmax, random};
use tropism_lm::*;

const VOCAB: usize = 60;
const PROMPT: [u32; 4] = [7, 3, 9, 3];

/// The distribution of the first token, by definition, from the model's own log-probabilities.
fn exact(model: &Decoder<Loaded, f32>, s: &Sampling) -> Vec<f64> {
    let mut x = log_probabilities(model, &PROMPT).pop().unwrap();
    let raw = model_logits(model);
    if s.repetition_penalty != 1.0 {
        x = raw;
        for t in [7, 3, 9] {
            x[t] = if x[t] < 0.0 { x[t] * s.repetition_penalty } else { x[t] / s.repetition_penalty };
        }
    }
    x.iter_mut().for_each(|x| *x /= s.temperature);
    let mut order: Vec<usize> = (0..VOCAB).collect();
    order.sort_by(|a, b| x[*b].total_cmp(&x[*a]));
    if s.top_k > 0 {
        order[s.top_k.min(VOCAB)..].iter().for_each(|&t| x[t] = f64::NEG_INFINITY);
    }
    let p = log_softmax(&x);
    let mut before = 0.0;
    for &t in &order {
        if before >= s.top_p {
            x[t] = f64::NEG_INFINITY;
        }
        before += p[t].exp();
    }
    let p = log_softmax(&x);
    for t in 0..VOCAB {
        if p[t].exp() < s.min_p * p[order[0]].exp() {
            x[t] = f64::NEG_INFINITY;
        }
    }
    log_softmax(&x).into_iter().map(f64::exp).collect()
}

fn model_logits(model: &Decoder<Loaded, f32>) -> Vec<f64> {
    let ids = PROMPT.map(|t| t as usize);
    let logits = model.logits(&ids, &tropism_ops::Tree::sequences(&[4]).unwrap(), &[3]).unwrap();
    logits.as_vec().into_iter().map(f64::from).collect()
}

#[test]
fn frequencies_pass_a_chi_squared_test_for_every_filter() {
    let model = random::<f32>(VOCAB, 1);
    let base = Sampling { max_new_tokens: 1, temperature: 1.5, ..Sampling::default() };
    let n = 6000;
    for (i, s) in [
        base.clone(),
        Sampling { temperature: 0.6, ..base.clone() },
        Sampling { top_k: 9, ..base.clone() },
        Sampling { top_p: 0.8, ..base.clone() },
        Sampling { min_p: 0.1, ..base.clone() },
        Sampling { repetition_penalty: 1.7, ..base.clone() },
        Sampling { top_k: 30, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.3, ..base },
    ]
    .into_iter()
    .enumerate()
    {
        let p = exact(&model, &s);
        let batching = Batching { slots: 500, ..Batching::default() };
        let sampler = Sampler::new(&model, s.clone()).seed(i as u64).batching(batching);
        let (mut counts, mut chi, mut cells) = (vec![0.0; VOCAB], 0.0, 0.0);
        for a in sampler.answers(&[Request::new(PROMPT.to_vec(), n)]).unwrap().remove(0) {
            let token = a.tokens[0] as usize;
            counts[token] += 1.0;
            assert!((f64::from(a.sampling_logps[0]) - p[token].ln()).abs() < 1e-3, "{s:?}: token {token}");
        }
        // rare tokens count as one cell
        let (mut rare, mut rare_count) = (0.0, 0.0);
        for (&p, &count) in p.iter().zip(&counts) {
            let expected = p * n as f64;
            if expected < 5.0 {
                (rare, rare_count) = (rare + expected, rare_count + count);
            } else {
                (chi, cells) = (chi + (count - expected).powi(2) / expected, cells + 1.0);
            }
        }
        chi += if rare > 1.0 { (rare_count - rare).powi(2) / rare } else { 0.0 };
        assert!(rare > 1e-9 || rare_count == 0.0, "{s:?}: a filtered token was drawn");
        // about the 0.9999 quantile of the chi-squared distribution
        let limit = cells + 3.7 * (2.0f64 * cells).sqrt() + 9.0;
        assert!(chi < limit, "{s:?}: chi-squared {chi} in {cells} cells, limit {limit}");
    }
}

#[test]
fn log_probabilities_before_and_after_the_filters() {
    let model = random::<f32>(VOCAB, 2);
    let s = Sampling { temperature: 0.7, top_k: 5, max_new_tokens: 12, ..Sampling::default() };
    let a = model.generate(&[PROMPT.to_vec()], &s, &[], 3).unwrap().remove(0);
    let all = log_probabilities(&model, &[&PROMPT[..], &a.tokens].concat());
    for (i, &t) in a.tokens.iter().enumerate() {
        let row = &all[PROMPT.len() - 1 + i];
        let mut best: Vec<f64> = row.iter().map(|x| x / 0.7).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        let lse = best[..5].iter().map(|x| x.exp()).sum::<f64>().ln();
        assert!((f64::from(a.model_logps[i]) - row[t as usize]).abs() < 1e-4);
        assert!((f64::from(a.sampling_logps[i]) - (row[t as usize] / 0.7 - lse)).abs() < 1e-3);
    }
}

#[test]
fn the_penalty_counts_prompt_and_answer() {
    let model = random::<f32>(VOCAB, 3);
    // so strong that nothing is said twice while something else is left
    let s = Sampling { repetition_penalty: 1e6, temperature: 0.0, max_new_tokens: 15, ..Sampling::default() };
    let mut tokens = model.generate(&[PROMPT.to_vec()], &s, &[], 0).unwrap().remove(0).tokens;
    let positive = |t: &u32| !PROMPT.contains(t);
    assert!(tokens.iter().all(positive), "{tokens:?}");
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 15);
}

#[test]
fn stop_tokens_wait_for_the_shortest_length() {
    let model = random::<f32>(VOCAB, 4);
    let stop: Vec<u32> = (0..30).collect();
    let s = Sampling { max_new_tokens: 40, ..Sampling::default() };
    let run = |s: &Sampling| model.generate(&vec![PROMPT.to_vec(); 20], s, &stop, 1).unwrap();
    assert!(run(&s).iter().any(|a| a.tokens.len() < 5));
    for a in run(&Sampling { min_new_tokens: 6, ..s }) {
        assert!(a.tokens.len() >= 7 && a.tokens[..6].iter().all(|t| *t >= 30));
        assert_eq!(a.end == End::StopToken, a.tokens.last().is_some_and(|t| *t < 30));
    }
}

#[test]
fn stop_strings_span_tokens_and_leave_exact_text() {
    let model = random::<f32>(VOCAB, 5);
    // token t is two letters; the pair before and after a border makes strings that no token holds
    let decode = |tokens: &[u32]| -> Result<String, String> {
        Ok(tokens.iter().flat_map(|t| [char::from(b'a' + (t / 8) as u8), char::from(b'p' + (t % 8) as u8)]).collect())
    };
    let s = Sampling { max_new_tokens: 30, ..Sampling::default() };
    let list = [Request::new(PROMPT.to_vec(), 30)];
    let free = Sampler::new(&model, s.clone()).seed(1).answers(&list).unwrap().remove(0);
    let strings = ["qb".to_owned(), "dsa".to_owned()];
    for keep in [false, true] {
        let stops = StopStrings { strings: &strings, keep, decode: &decode };
        let answers = Sampler::new(&model, s.clone()).seed(1).stop_strings(stops).answers(&list).unwrap().remove(0);
        let mut ended = 0;
        for (a, free) in answers.iter().zip(&free) {
            let text = decode(&free.tokens).unwrap();
            let first = strings.iter().filter_map(|s| Some((text.find(s.as_str())?, s))).min();
            let Some((at, string)) = first else {
                assert_eq!(a, free);
                continue;
            };
            ended += 1;
            // both strings begin in one token and end in the next
            let (n, end) = if keep { (at / 2 + 2, at + string.len()) } else { (at / 2, at) };
            assert_eq!((a.end.clone(), a.text.as_deref()), (End::StopString(string.clone()), Some(&text[..end])));
            assert_eq!((&a.tokens[..], &a.model_logps[..]), (&free.tokens[..n], &free.model_logps[..n]));
            assert_eq!(a.sampling_logps.len(), n);
        }
        assert!(ended > 3, "only {ended} answers hold a stop string");
    }
}

#[test]
fn a_hook_sees_the_step_and_changes_the_logits() {
    let model = random::<f32>(VOCAB, 6);
    let s = Sampling { max_new_tokens: 6, ..Sampling::default() };
    let list = [Request::new(PROMPT.to_vec(), 2), Request::new(vec![5], 1)];
    let mut seen = vec![];
    // odd tokens are vetoed; the state gives the model's logits through its head
    let mut hook = |step: &HookStep<f32>, logits: &mut [f32]| {
        let head = tropism_ops::data(&model.unembedding().unwrap().dense().unwrap().values);
        let again: f32 = head.chunks(36).nth(8).unwrap().iter().zip(step.state).map(|(a, b)| a * b).sum();
        assert!((again - logits[8]).abs() < 1e-3);
        seen.push((step.request, step.answer, step.prompt.len(), step.tokens.len()));
        logits.iter_mut().skip(1).step_by(2).for_each(|l| *l = f32::NEG_INFINITY);
        Ok(())
    };
    let lists = Sampler::new(&model, s.clone()).answers_with(&list, &mut hook).unwrap();
    assert_eq!(seen.len(), 18);
    assert!(seen.contains(&(0, 1, 4, 5)) && seen.contains(&(1, 0, 1, 0)));
    for a in lists.iter().flatten() {
        assert!(a.tokens.iter().all(|t| t % 2 == 0));
        // the model's own distribution still counts the vetoed half
        assert!(a.model_logps.iter().zip(&a.sampling_logps).all(|(m, s)| m < s));
    }
    let plain = Sampler::new(&model, s).answers_with(&list, &mut |_: &HookStep<f32>, _: &mut [f32]| Ok(())).unwrap();
    assert_eq!(plain, Sampler::new(&model, Sampling { max_new_tokens: 6, ..Sampling::default() }).answers(&list).unwrap());
}

#[test]
fn a_hook_that_leaves_nothing_is_an_error_that_names_the_answer() {
    let model = random::<f32>(VOCAB, 7);
    let list = [Request::new(vec![1], 1), Request::new(PROMPT.to_vec(), 3)];
    for (value, word) in [(f32::NEG_INFINITY, "vetoed"), (f32::NAN, "NaN"), (f32::INFINITY, "infinitely")] {
        let mut hook = |step: &HookStep<f32>, logits: &mut [f32]| {
            if (step.request, step.answer, step.tokens.len()) == (1, 2, 3) {
                logits.fill(value);
            }
            Ok(())
        };
        for temperature in [0.0, 1.0] {
            let s = Sampling { temperature, ..Sampling::default() };
            let error = Sampler::new(&model, s).answers_with(&list, &mut hook).unwrap_err().to_string();
            assert!(error.contains("answer 3 to prompt 2, token 4") && error.contains(word), "{error}");
        }
    }
    let mut refuse = |_: &HookStep<f32>, _: &mut [f32]| Err(LmError::Invalid("no".into()));
    let error = Sampler::new(&model, Sampling::default()).answers_with(&list, &mut refuse).unwrap_err();
    assert_eq!(error.to_string(), "no");
}

#[test]
fn a_model_whose_weights_are_nan_is_an_error() {
    let mut model = random::<f32>(VOCAB, 8);
    tropism_ops::data_mut(&mut model.norm.weight.values)[3] = f32::NAN;
    let error = model.generate(&[vec![1]], &Sampling::default(), &[], 0).unwrap_err().to_string();
    assert!(error.contains("answer 1 to prompt 1") && error.contains("diverged"), "{error}");
    assert!(model.beam_search(&[1], &Beams::default(), &[], None).unwrap_err().to_string().contains("NaN"));
}

#[test]
fn unusable_options_are_named() {
    let model = random::<f32>(VOCAB, 9);
    let ok = Sampling::default();
    let with = |s: Sampling, b: Batching, r: Request| {
        Sampler::new(&model, s).batching(b).answers(&[Request::new(vec![1], 1), r]).unwrap_err().to_string()
    };
    let error = |s: Sampling| with(s, Batching::default(), Request::new(vec![1], 1));
    assert!(error(Sampling { min_p: 1.5, ..ok.clone() }).contains("min_p"));
    assert!(error(Sampling { min_p: f64::NAN, ..ok.clone() }).contains("min_p"));
    assert!(error(Sampling { repetition_penalty: 0.0, ..ok.clone() }).contains("repetition_penalty"));
    assert!(error(Sampling { temperature: -1.0, ..ok.clone() }).contains("temperature"));
    assert!(
        error(Sampling { min_new_tokens: 65, ..ok.clone() })
            .contains("min_new_tokens is 65, more than max_new_tokens of 64")
    );
    let request = |r: Request| with(ok.clone(), Batching::default(), r);
    let good = Request::new(vec![1], 1);
    assert!(request(Request::new(vec![], 1)).contains("prompt 2 is empty"));
    assert!(request(Request::new(vec![1, 60], 1)).contains("prompt 2 holds token id 60 at position 1"));
    assert!(request(Request::new(vec![1; 97], 1)).contains("prompt 2 of 97 tokens and an answer of 64"));
    assert!(
        request(Request { max_new_tokens: Some(0), ..good.clone() }).contains("prompt 2 cannot be answered: max_new_tokens")
    );
    let batching = |b: Batching| with(ok.clone(), b, Request::new(vec![1; 40], 1));
    let base = Batching::default();
    assert!(batching(Batching { slots: 0, ..base }).contains("slots is 0"));
    assert!(batching(Batching { prefill_tokens: 0, ..base }).contains("prefill_tokens is 0"));
    let small = batching(Batching { cached_tokens: 100, ..base });
    assert!(small.contains("prompt 2") && small.contains("cached_tokens is 100"), "{small}");
    let error = model.generate(&[vec![1]], &ok, &[60], 0).unwrap_err().to_string();
    assert!(error.contains("stop token 60"), "{error}");
    let empty = [String::new()];
    let stops = StopStrings { strings: &empty, keep: true, decode: &|_| Ok(String::new()) };
    let error = Sampler::new(&model, ok).stop_strings(stops).answers(&[good]).unwrap_err().to_string();
    assert!(error.contains("stop string 1 is empty"), "{error}");
}
