//! What reaches objectives that read more than sums of pairs.
use super::*;
use tropism_objectives::{
    D2po, Dove, Ipo, LdDpo, Likelihood, Normalization, Odpo, Orpo, Sampo, Selm, Srpo, Wpo, kl_baseline,
};

/// Loss and norms of gradients of the first step of an objective over all rows.
fn step(objective: impl Into<Objective>, rows: &Rows, micro_batch_tokens: usize) -> (f64, Vec<f64>) {
    let stage = Stage { batch_size: rows.len(), micro_batch_tokens, ..Stage::new("s", objective.into(), 1e-3) };
    let (policy, reference) = (model::<f64>(1), model::<f64>(2));
    let reference = stage.objective.needs_reference().then_some(&reference);
    let mut run = StageRun::new(&stage, rows, policy, reference, 3).unwrap();
    let (loss, norms) = run.loss_and_gradients(&(0..rows.len()).collect::<Vec<_>>()).unwrap();
    (loss, norms.into_values().collect())
}

fn close(a: &(f64, Vec<f64>), b: &(f64, Vec<f64>), what: &str) {
    let worst = a.1.iter().zip(&b.1).map(|(x, y)| (x - y).abs()).fold((a.0 - b.0).abs(), f64::max);
    assert!(worst < 1e-11, "{what}: {worst} apart, loss {} and {}", a.0, b.0);
}

fn gap(rows: Rows) -> Rows {
    let Rows::Pairs(mut pairs) = rows else { unreachable!() };
    let number = |i: usize| [("score_gap".to_owned(), i as f64 / 2.0)].into();
    pairs.iter_mut().enumerate().for_each(|(i, p)| p.numbers = number(i));
    Rows::Pairs(pairs)
}

#[test]
fn methods_by_token_equal_those_by_sum_where_they_must() {
    let rows = pairs(9);
    let dpo = step(Dpo::default(), &rows, 4096);
    close(&dpo, &step(LdDpo::default().with_alpha(1.0), &rows, 4096), "ld_dpo at alpha 1");
    close(&dpo, &step(D2po::default().with_decay(1.0), &rows, 4096), "d2po without decay");
    // both sides have the same prompt, whose log-ratios cancel, also in the gradient
    close(&dpo, &step(Dove::default(), &rows, 4096), "dove of one prompt");
    close(&dpo, &step(Dove::default().with_likelihood(Likelihood::Completion), &rows, 4096), "dove of completions");
    let half = step(LdDpo::default().with_alpha(0.5), &rows, 4096);
    assert!((half.0 - dpo.0).abs() > 1e-4, "{} {}", half.0, dpo.0);
}

fn triples(n: usize) -> Rows {
    let Rows::Pairs(pairs) = pairs(n) else { unreachable!() };
    let triple = |(i, p): (usize, TokenPair)| TokenTriple {
        source: p.source,
        prompt: p.prompt,
        completions: [p.chosen, p.rejected, word(i + 5, 1 + i % 3)],
        numbers: p.numbers,
    };
    Rows::Triples(pairs.into_iter().enumerate().map(triple).collect())
}

fn revisions(n: usize, context: impl Fn(&TokenPair, &[u32]) -> Vec<u32>) -> Rows {
    let Rows::Pairs(pairs) = pairs(n) else { unreachable!() };
    let revision = |pair: TokenPair| TokenRevision {
        after_rejected: context(&pair, &pair.rejected),
        after_chosen: context(&pair, &pair.chosen),
        pair,
    };
    Rows::Revisions(pairs.into_iter().map(revision).collect())
}

#[test]
fn third_completions_count_by_their_log_ratio_alone() {
    let (alpha, beta) = (0.5, 0.3);
    let selm = |alpha| step(Selm::default().with_beta(beta).with_alpha(alpha), &triples(9), 4096);
    let dpo = step(Dpo::default().with_beta(beta), &pairs(9), 4096);
    close(&dpo, &selm(0.0), "selm without optimism");
    let Rows::Triples(all) = triples(9) else { unreachable!() };
    let third: Vec<TokenSample> = all
        .iter()
        .map(|t| TokenSample {
            source: t.source.clone(),
            prompt: t.prompt.clone(),
            completion: t.completions[2].clone(),
            given: vec![],
        })
        .collect();
    let logps = |model: &Decoder<Loaded, f64>| score_samples(model, &third, 4096).unwrap();
    let (ours, theirs) = (logps(&model(1)), logps(&model(2)));
    let ratio = ours.iter().zip(&theirs).map(|(a, b)| a.logps - b.logps).sum::<f64>() / 9.0;
    let found = selm(alpha).0;
    assert!((found - dpo.0 - alpha * beta * ratio).abs() < 1e-11, "{found} {} {ratio}", dpo.0);
    assert!(ratio.abs() > 1e-3);
}

#[test]
fn revisions_that_show_nothing_are_ipo_and_others_are_not() {
    let beta = 0.4;
    let srpo = |rows: &Rows| step(Srpo::default().with_beta(beta), rows, 4096).0;
    // (q - beta h)^2 with q = 1/2, for both parts of the loss
    let ipo = step(Ipo::default().with_beta(beta).with_normalization(Normalization::Sum), &pairs(9), 4096).0 * beta * beta;
    let blind = srpo(&revisions(9, |pair, _| pair.prompt.clone()));
    assert!((blind - ipo).abs() < 1e-12, "{blind} {ipo}");
    let seeing = srpo(&revisions(9, |pair, shown| [&pair.prompt, shown, &[1]].concat()));
    assert!((seeing - ipo).abs() > 1e-6, "{seeing} {ipo}");
}

#[test]
fn prompts_of_different_sides_are_scored() {
    let Rows::Pairs(mut own) = pairs(5) else { unreachable!() };
    own.iter_mut().enumerate().for_each(|(i, p)| p.rejected_prompt = Some(word(i + 11, 3)));
    let rows = Rows::Pairs(own.clone());
    let joint = step(Dove::default(), &rows, 4096).0;
    // the same by hand: prompt and completion scored as one completion after the prompt's first token
    let whole = |prompt: &[u32], completion: &[u32]| [&prompt[1..], completion].concat();
    own.iter_mut().for_each(|p| {
        let other = p.rejected_prompt.take().unwrap();
        (p.chosen, p.rejected) = (whole(&p.prompt, &p.chosen), whole(&other, &p.rejected));
        (p.prompt, p.rejected_prompt) = (p.prompt[..1].to_vec(), Some(other[..1].to_vec()));
    });
    let by_hand = step(Dpo::default(), &Rows::Pairs(own), 4096).0;
    assert!((joint - by_hand).abs() < 1e-12, "{joint} {by_hand}");
    let [with, without] = [Likelihood::PromptAndCompletion, Likelihood::Completion]
        .map(|l| step(Orpo::default().with_likelihood(l), &rows, 4096).0);
    assert!((with - without).abs() > 1e-3, "{with} {without}");
}

#[test]
fn every_kind_of_input_is_split_without_a_difference() {
    let shown = |pair: &TokenPair, shown: &[u32]| [&pair.prompt, shown, &[1]].concat();
    let all: [(Objective, Rows); 10] = [
        (Selm::default().with_alpha(0.5).into(), triples(9)),
        (Srpo::default().into(), revisions(9, shown)),
        (LdDpo::default().with_alpha(0.5).into(), pairs(9)),
        (Orpo::default().into(), pairs(9)),
        (Dove::default().into(), pairs(9)),
        (Wpo::default().into(), pairs(9)),
        (Sampo::default().into(), pairs(9)),
        (Odpo::default().into(), gap(pairs(9))),
        (Kto::default().into(), unpaired(9)),
        (Sft::default().into(), samples(9)),
    ];
    for (objective, rows) in all {
        let whole = step(objective.clone(), &rows, 100_000);
        for tokens in [1, 25] {
            close(&whole, &step(objective.clone(), &rows, tokens), objective.name());
        }
    }
}

#[test]
fn ktos_baseline_is_of_the_next_other_prompt() {
    let rows = unpaired(4);
    let Rows::Unpaired(plain) = &rows else { unreachable!() };
    let (policy, reference) = (model::<f64>(1), model::<f64>(2));
    let other = |i: usize| TokenSample { completion: plain[(i / 2 * 2 + 2) % 8].0.completion.clone(), ..plain[i].0.clone() };
    let mismatched: Vec<TokenSample> = (0..8).map(other).collect();
    let matched: Vec<TokenSample> = plain.iter().map(|(s, _)| s.clone()).collect();
    let logps = |model: &Decoder<Loaded, f64>, samples: &[TokenSample]| -> Vec<f64> {
        score_samples(model, samples, 4096).unwrap().iter().map(|s| s.logps).collect()
    };
    let z = kl_baseline(&logps(&policy, &mismatched), &logps(&reference, &mismatched)).unwrap();
    assert!(z > 0.0, "the test needs a baseline above 0: {z}");
    let (p, r) = (logps(&policy, &matched), logps(&reference, &matched));
    let loss = |i: usize| {
        let u = 0.1 * (p[i] - r[i] - z);
        1.0 - 1.0 / (1.0 + if plain[i].1 { (-u).exp() } else { u.exp() })
    };
    let expected = (0..8).map(loss).sum::<f64>() / 8.0;
    let found = step(Kto::default(), &rows, 4096).0;
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

#[test]
fn an_interrupted_stage_goes_on_to_the_same_bits_whatever_it_reads() {
    let all: [(Objective, Rows); 3] =
        [(Kto::default().into(), unpaired(5)), (Sampo::default().into(), pairs(7)), (Orpo::default().into(), pairs(7))];
    for (objective, rows) in all {
        let stage = Stage { batch_size: 3, epochs: 2, ..Stage::new("s", objective, 1e-2) };
        assert_eq!(bytes(&stage, &rows, None), bytes(&stage, &rows, Some(2)), "{}", stage.objective.name());
    }
}

#[test]
fn cached_references_are_kept_apart_by_what_is_read() {
    let (dir, model) = (tempfile::tempdir().unwrap(), model::<f64>(2));
    let made = |objective: Objective, rows: &Rows| {
        let fresh = reference_logps(&model, rows, &objective, 64, None).unwrap();
        for _ in 0..2 {
            assert_eq!(
                reference_logps(&model, rows, &objective, 64, Some(dir.path())).unwrap(),
                fresh,
                "{}",
                objective.name()
            );
        }
    };
    made(Dpo::default().into(), &pairs(4));
    made(LdDpo::default().into(), &pairs(4));
    made(Dove::default().into(), &pairs(4));
    made(Kto::default().into(), &unpaired(4));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn a_missing_number_is_named() {
    let start = model::<f32>(1);
    let stage = Stage::new("s", Odpo::default().into(), 1e-3);
    let e = StageRun::new(&stage, &pairs(3), start.clone(), Some(&start), 0).map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("odpo reads `score_gap`, which not all rows have"), "{e}");
}
