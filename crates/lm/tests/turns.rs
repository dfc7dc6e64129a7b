//! Answers of several turns: against the model's full pass, against answers put together by hand, and what must not change them.
#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]
mod common;
use common::{log_probabilities, prompts, random};
use tropism_lm::*;
use tropism_ops::Precision;

const STOP: [u32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn sampling(max_new_tokens: usize) -> Sampling {
    Sampling { max_new_tokens, ..Sampling::default() }
}

/// Replies that depend on the turn: up to `most`, of 1, 8, 15, ... tokens.
fn replies(most: usize) -> impl FnMut(&Turn) -> Result<Option<Vec<u32>>, LmError> {
    move |turn| {
        let n = turn.given.len();
        let first = turn.tokens.last().copied().unwrap_or(0) + 20;
        Ok((n < most).then(|| (0..1 + 7 * n as u32).map(|i| first + i % 30).collect()))
    }
}

fn requests(prompts: &[Vec<u32>], answers: usize) -> Vec<Request> {
    let request = |(i, p): (usize, &Vec<u32>)| Request { stream: Some(i as u32), ..Request::new(p.clone(), answers) };
    prompts.iter().enumerate().map(request).collect()
}

fn written(model: &Decoder<Loaded, f32>, requests: &[Request], batching: Batching, sampling: Sampling) -> Vec<Answer> {
    let sampler = Sampler::new(model, sampling).stop_tokens(&STOP).batching(batching).seed(5);
    let mut seen = 0;
    let mut reply = replies(4);
    let answers = sampler.answers_in_turns(requests, 40, &mut reply, &mut |_, _, _| seen += 1).unwrap();
    let all: Vec<Answer> = answers.into_iter().flatten().collect();
    assert_eq!(seen, all.len());
    all
}

#[test]
fn every_token_that_was_sampled_has_the_full_pass_s_log_probability() {
    let model = random::<f32>(90, 3);
    let prompts = prompts(&[1, 30, 31, 32, 33, 64], 90);
    let answers = written(&model, &requests(&prompts, 1), Batching::default(), sampling(96));
    assert!(answers.iter().any(|a| a.given.len() == 4 && a.finished()), "{answers:?}");
    for (prompt, answer) in prompts.iter().zip(&answers) {
        let exact = log_probabilities(&model, &[prompt.as_slice(), &answer.tokens].concat());
        let turns = answer.turns();
        for (i, &t) in answer.tokens.iter().enumerate() {
            let sampled = turns.iter().any(|r| r.contains(&i));
            assert_ne!(sampled, answer.given.iter().any(|r| r.contains(&i)));
            let want = if sampled { exact[prompt.len() - 1 + i][t as usize] } else { 0.0 };
            assert!((f64::from(answer.model_logps[i]) - want).abs() < 2e-4, "token {i}: {want}");
            assert!((f64::from(answer.sampling_logps[i]) - want).abs() < 2e-4, "token {i}: {want}");
        }
        // each turn but the last ended by a stop token, and holds no other
        for (n, turn) in turns.iter().enumerate() {
            let tokens = &answer.tokens[turn.clone()];
            let stop = tokens.iter().position(|t| STOP.contains(t));
            assert!(stop == Some(tokens.len() - 1) || (n + 1 == turns.len() && stop.is_none() && !answer.finished()));
        }
    }
}

#[test]
fn an_answer_in_turns_is_what_its_parts_are_alone() {
    let (model, greedy) = (random::<f32>(90, 3), Sampling { temperature: 0.0, repetition_penalty: 1.3, ..sampling(120) });
    let prompts = prompts(&[7, 33], 90);
    for (prompt, answer) in prompts.iter().zip(written(&model, &requests(&prompts, 1), Batching::default(), greedy.clone()))
    {
        let mut before = prompt.clone();
        let mut reply = replies(4);
        let mut given = vec![];
        let mut at = 0;
        for turn in answer.turns() {
            let alone = Sampling { max_new_tokens: 40.min(120 - at), ..greedy.clone() };
            let found = model.generate(&[before.clone()], &alone, &STOP, 0).unwrap().remove(0);
            assert_eq!(found.tokens, answer.tokens[turn.clone()]);
            before.extend(&found.tokens);
            at = turn.end;
            let whole = &answer.tokens[..turn.end];
            let said = reply(&Turn { request: 0, answer: 0, tokens: whole, given: &given, end: &found.end }).unwrap();
            if let Some(said) = said.filter(|s| at + s.len() < 120) {
                given.push(at..at + said.len());
                at += said.len();
                before.extend(said);
            }
        }
        assert_eq!(given, answer.given);
    }
}

#[test]
fn company_slots_and_portions_change_no_bit() {
    for precision in [Precision::Full, Precision::Bf16] {
        let mut model = random::<f32>(90, 3);
        model.precision = precision;
        let list = requests(&prompts(&[45, 7, 33], 90), 3);
        let all = written(&model, &list, Batching { slots: 64, ..Batching::default() }, sampling(110));
        for batching in [
            Batching { slots: 1, ..Batching::default() },
            Batching { slots: 4, prefill_tokens: 5, ..Batching::default() },
            Batching { slots: 5, cached_tokens: 512, ..Batching::default() },
        ] {
            assert_eq!(written(&model, &list, batching, sampling(110)), all);
        }
        assert_eq!(written(&model, &list[..1], Batching::default(), sampling(110)), all[..3]);
    }
}

#[test]
fn limits_cut_turns_answers_and_replies() {
    let model = random::<f32>(90, 3);
    let list = requests(&prompts(&[9], 90), 8);
    let run = |max, turn: usize, stop: &[u32], n: usize| {
        let sampler = Sampler::new(&model, sampling(max)).stop_tokens(stop).seed(2);
        let mut reply = |_: &Turn| Ok(Some(vec![50; n]));
        sampler.answers_in_turns(&list, turn, &mut reply, &mut |_, _, _| {}).unwrap().remove(0)
    };
    let every: Vec<u32> = (0..90).collect();
    // every token ends a turn: 1 + 3, 1 + 3, ... and the last turn has no room for a reply
    for answer in run(9, 5, &every, 3) {
        assert_eq!((answer.tokens.len(), answer.given.clone(), answer.finished()), (9, vec![1..4, 5..8], false));
    }
    for answer in run(8, 5, &every, 3) {
        assert_eq!((answer.tokens.len(), answer.given.clone(), answer.end), (5, vec![1..4], End::Length));
    }
    // what the limit of a turn cuts gets no reply
    for answer in run(30, 4, &[], 3) {
        assert_eq!((answer.tokens.len(), answer.given.len(), answer.end), (4, 0, End::Length));
    }
    // a reply without tokens lets the model go on
    assert!(run(6, 2, &every, 0).iter().all(|a| a.tokens.len() == 6 && a.given.is_empty()));
}

#[test]
fn refusals() {
    let model = random::<f32>(90, 3);
    let list = requests(&prompts(&[9], 90), 1);
    let every: Vec<u32> = (0..90).collect();
    let sampler = Sampler::new(&model, sampling(9)).stop_tokens(&every);
    let none = &mut |_: &Turn| Ok(None);
    let said = |e: LmError| e.to_string();
    let error = said(sampler.answers_in_turns(&list, 0, none, &mut |_, _, _| {}).unwrap_err());
    assert!(error.contains("at least 1"), "{error}");
    let far = &mut |_: &Turn| Ok(Some(vec![90]));
    let error = said(sampler.answers_in_turns(&list, 5, far, &mut |_, _, _| {}).unwrap_err());
    assert!(error.contains("token id 90"), "{error}");
    let lost = &mut |_: &Turn| Err(LmError::Invalid("the world is gone".into()));
    let error = said(sampler.answers_in_turns(&list, 5, lost, &mut |_, _, _| {}).unwrap_err());
    assert!(error.contains("the world is gone"), "{error}");
    let (strings, decode) = (["x".to_owned()], |_: &[u32]| Ok(String::new()));
    let taken = sampler.clone().stop_strings(StopStrings { strings: &strings, keep: false, decode: &decode });
    let error = said(taken.answers_in_turns(&list, 5, none, &mut |_, _, _| {}).unwrap_err());
    assert!(error.contains("must be kept"), "{error}");
}
