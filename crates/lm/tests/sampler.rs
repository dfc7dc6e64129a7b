//! The sampler against the model's own full pass, and what must not change an answer.
#![allow(clippy::unwrap_used)]
mod common;
use common::{log_probabilities, prompts, random};
use dfdx::prelude::*;
use tropism_lm::*;
use tropism_ops::{Precision, Scalar, with_threads};

fn sampling(max_new_tokens: usize) -> Sampling {
    Sampling { max_new_tokens, ..Sampling::default() }
}

/// Requests of one answer whose streams are their places.
fn requests(prompts: &[Vec<u32>]) -> Vec<Request> {
    let request = |(i, p): (usize, &Vec<u32>)| Request { stream: Some(i as u32), ..Request::new(p.clone(), 1) };
    prompts.iter().enumerate().map(request).collect()
}

fn follows_the_full_pass<E: Scalar>(tolerance: f64)
where
    Cpu: Device<E>,
{
    let model = random::<E>(90, 3);
    // prompts on, before and behind the borders of pages, answers that cross them
    let prompts = prompts(&[1, 5, 30, 31, 32, 33, 64, 65, 100], 90);
    let answers = Sampler::new(&model, sampling(40)).seed(7).answers(&requests(&prompts)).unwrap();
    for (prompt, answer) in prompts.iter().zip(answers.iter().flatten()) {
        let exact = log_probabilities(&model, &[prompt.as_slice(), &answer.tokens].concat());
        assert_eq!((answer.tokens.len(), &answer.end), (40, &End::Length));
        for (i, &t) in answer.tokens.iter().enumerate() {
            let want = exact[prompt.len() - 1 + i][t as usize];
            assert!((f64::from(answer.model_logps[i]) - want).abs() < tolerance, "step {i}: {want}");
            assert!((f64::from(answer.sampling_logps[i]) - want).abs() < tolerance, "step {i}: {want}");
        }
    }
}

#[test]
fn every_step_equals_the_full_pass() {
    follows_the_full_pass::<f32>(2e-4);
    // the answers' log-probabilities are f32
    follows_the_full_pass::<f64>(2e-6);
}

#[test]
fn greedy_answers_are_the_likeliest_at_every_step() {
    let model = random::<f64>(90, 4);
    let greedy = Sampling { temperature: 0.0, top_k: 3, ..sampling(20) };
    for (prompt, answer) in
        prompts(&[3, 40], 90).iter().zip(model.generate(&prompts(&[3, 40], 90), &greedy, &[], 0).unwrap())
    {
        let exact = log_probabilities(&model, &[prompt.as_slice(), &answer.tokens].concat());
        for (i, &t) in answer.tokens.iter().enumerate() {
            let row = &exact[prompt.len() - 1 + i];
            assert!(row.iter().all(|x| *x <= row[t as usize]));
        }
        assert!(answer.sampling_logps.iter().all(|l| *l == 0.0));
    }
}

/// The answers of requests 0 and 1 in different company.
fn in_company(model: &Decoder<Loaded, f32>, others: &[usize], batching: Batching) -> Vec<Vec<Answer>> {
    let s = Sampling { top_k: 40, top_p: 0.95, repetition_penalty: 1.1, ..sampling(24) };
    let mut list = requests(&prompts(&[45, 7], 90));
    for (i, &n) in others.iter().enumerate() {
        let place = if i % 2 == 0 { 0 } else { list.len() };
        // company with shorter and longer answers, some to the same prompt
        let prompt =
            if n == 45 { list.iter().find(|r| r.prompt.len() == 45).unwrap().prompt.clone() } else { vec![n as u32; n] };
        let other =
            Request { stream: Some(100 + i as u32), max_new_tokens: Some(1 + 9 * i), ..Request::new(prompt, 1 + i % 3) };
        list.insert(place, other);
    }
    let all = Sampler::new(model, s).seed(3).batching(batching).answers(&list).unwrap();
    list.iter().zip(all).filter(|(r, _)| r.stream.is_some_and(|s| s < 2)).map(|(_, a)| a).collect()
}

#[test]
fn an_answer_has_the_same_bits_in_any_company() {
    for precision in [Precision::Full, Precision::Bf16] {
        let mut model = random::<f32>(90, 5);
        model.precision = precision;
        let one = Batching { slots: 1, ..Batching::default() };
        let alone = in_company(&model, &[], one);
        assert_eq!(alone.len(), 2);
        for (slots, prefill_tokens) in [(1, 1), (2, 4096), (3, 50), (7, 1), (7, 4096), (32, 100)] {
            let batching = Batching { slots, prefill_tokens, ..Batching::default() };
            for others in [&[][..], &[3], &[45], &[45, 45, 45], &[1, 2, 3, 4, 5], &[45, 64, 32, 45, 12, 9, 80]] {
                assert_eq!(in_company(&model, others, batching), alone, "{precision:?} {batching:?} beside {others:?}");
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = |threads| {
        with_threads(threads, || {
            let model = random::<f32>(2000, 6);
            let list: Vec<Request> = prompts(&[40, 3, 70], 2000).into_iter().map(|p| Request::new(p, 5)).collect();
            Sampler::new(&model, Sampling { top_p: 0.9, ..sampling(20) }).answers(&list).unwrap()
        })
        .unwrap()
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn fifty_prompts_through_four_slots_equal_one_by_one() {
    let model = random::<f32>(90, 7);
    let lengths: Vec<usize> = (0..50).map(|i| 1 + i * 37 % 90).collect();
    let list: Vec<Request> = requests(&prompts(&lengths, 90))
        .into_iter()
        .enumerate()
        .map(|(i, r)| Request { max_new_tokens: Some(1 + i * 13 % 40), ..r })
        .collect();
    let s = Sampler::new(&model, sampling(40)).stop_tokens(&[11, 12, 13]).seed(2);
    let single: Vec<Vec<Answer>> = list.iter().map(|r| s.answers(std::slice::from_ref(r)).unwrap().remove(0)).collect();
    assert!(single.iter().any(|a| a[0].end == End::StopToken) && single.iter().any(|a| a[0].end == End::Length));
    // the largest needs 128 + 32 cached tokens at most: with so few, prompts wait for each other
    for cached_tokens in [0, 192, 320] {
        let batching = Batching { slots: 4, cached_tokens, prefill_tokens: 64 };
        assert_eq!(s.clone().batching(batching).answers(&list).unwrap(), single, "{cached_tokens} cached tokens");
    }
}

#[test]
fn answers_that_share_a_prompt_equal_those_that_do_not() {
    let model = random::<f32>(90, 8);
    let prompt = prompts(&[70], 90).remove(0);
    let s = Sampler::new(&model, sampling(50)).stop_tokens(&[1]);
    let group = s.answers(&[Request::new(prompt.clone(), 8)]).unwrap().remove(0);
    assert!((1..8).all(|i| group[i].tokens != group[0].tokens));
    // the same numbers, one answer at a time: all but one are put off by a single slot
    let one = Batching { slots: 1, ..Batching::default() };
    assert_eq!(s.clone().batching(one).answers(&[Request::new(prompt.clone(), 8)]).unwrap()[0], group);
    // equal prompts in several requests are shared too; none and zero answers are no harm
    let list = [Request::new(prompt.clone(), 3), Request::new(vec![5], 0), Request::new(prompt, 2)];
    let lists = s.answers(&list).unwrap();
    assert_eq!((lists[0].as_slice(), lists[1].len(), lists[2].len()), (&group[..3], 0, 2));
}

#[test]
fn seeds_and_streams_make_different_answers() {
    let model = random::<f32>(90, 9);
    let list = requests(&prompts(&[4, 4, 4], 90));
    let run = |seed| Sampler::new(&model, sampling(12)).seed(seed).answers(&list).unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let moved = Request { stream: Some(9), ..list[0].clone() };
    assert_ne!(Sampler::new(&model, sampling(12)).seed(1).answers(&[moved]).unwrap()[0], run(1)[0]);
}
