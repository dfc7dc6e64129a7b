//! Text to loss through data, model, objective and trainer at once.
#![allow(clippy::unwrap_used)]
use dfdx::prelude::*;
use tropism_data::read::{ReadOptions, read_pairs};
use tropism_data::record::{Pair, Text};
use tropism_data::text::{Tokenizer, tokenize_pairs};
use tropism_data::tokens::{LengthOptions, TokenPair};
use tropism_lm::{Config, Decoder, Loaded, Sizes, TokenBatch};
use tropism_objectives::{Dpo, Ipo, Objective, Sft, Simpo};
use tropism_ops::Tree;
use tropism_trainer::{Rows, Stage, StageRun, score_pairs};
use tropism_worlds::{Arithmetic, ArithmeticConfig};

fn contents(text: &Text) -> Vec<&str> {
    match text {
        Text::Plain(t) => vec![t],
        Text::Chat(m) => m.iter().map(|m| m.content.as_str()).collect(),
    }
}

fn tokenised(pairs: &[Pair], vocab: usize, max_length: usize) -> (Tokenizer, Vec<TokenPair>) {
    let texts = pairs.iter().flat_map(|p| [&p.prompt, &p.chosen, &p.rejected]).flat_map(contents);
    let tokenizer = Tokenizer::train(texts.collect::<Vec<_>>().into_iter(), vocab).unwrap();
    let options = LengthOptions { max_length: Some(max_length), ..LengthOptions::default() };
    let (rows, _) = tokenize_pairs(&tokenizer, pairs, &options).unwrap();
    (tokenizer, rows)
}

fn model(vocab: usize) -> Decoder<Loaded, f64> {
    let sizes = Sizes { vocab, hidden: 16, ff: 24, layers: 2, heads: 4, kv_heads: 2, head_dim: 4, positions: 512 };
    Decoder::random(Loaded::new(Config::new(sizes, true).unwrap().with_initializer_range(0.2)), 1).unwrap()
}

fn world() -> Vec<Pair> {
    let world = Arithmetic::new(ArithmeticConfig::default()).unwrap();
    world.pairs(world.tasks(), 40, 0.0, 1).unwrap()
}

#[test]
fn a_shared_prompt_scores_like_two_separate_sequences() {
    let (tokenizer, rows) = tokenised(&world(), 320, 200);
    let model = model(tokenizer.vocab_size());
    let alone = |prompt: &[u32], completion: &[u32]| {
        let ids: Vec<usize> = prompt.iter().chain(completion).map(|&t| t as usize).collect();
        let sources: Vec<usize> = (prompt.len() - 1..ids.len() - 1).collect();
        let tree = Tree::sequences(&[ids.len()]).unwrap();
        let batch = TokenBatch { ids: &ids, tree: &tree, sources: &sources, targets: &ids[prompt.len()..] };
        model.token_logps(batch, NoneTape).unwrap().as_vec().iter().sum::<f64>()
    };
    for (row, score) in rows.iter().zip(score_pairs(&model, &rows, 700).unwrap()) {
        assert!((score.chosen.logps - alone(&row.prompt, &row.chosen)).abs() < 1e-9);
        assert!((score.rejected.logps - alone(&row.prompt, &row.rejected)).abs() < 1e-9);
        assert_eq!((score.chosen.tokens, score.rejected.tokens), (row.chosen.len(), row.rejected.len()));
    }
}

/// Mean loss of every objective, and its change along the gradient of one parameter's norm, on the same rows.
#[test]
fn every_objective_goes_down_along_its_gradient() {
    let (tokenizer, rows) = tokenised(&world(), 320, 200);
    let samples = Rows::Samples(rows.iter().map(TokenPair::chosen_sample).collect());
    let pairs = Rows::Pairs(rows);
    let start = model(tokenizer.vocab_size());
    let objectives = [
        Objective::Sft(Sft::default()),
        Objective::Dpo(Dpo::default()),
        Objective::Ipo(Ipo::default()),
        Objective::Simpo(Simpo::default()),
    ];
    for objective in objectives {
        let stage = Stage::new(objective.name(), objective.clone(), 1.0);
        let rows = if objective.is_pairwise() { &pairs } else { &samples };
        let reference = objective.needs_reference().then_some(&start);
        let mut run = StageRun::new(&stage, rows, start.clone(), reference, 0).unwrap();
        let all: Vec<usize> = (0..rows.len()).collect();
        let (before, norms) = run.loss_and_gradients(&all).unwrap();
        let squared: f64 = norms.values().map(|n| n * n).sum();
        let lr = 1e-4 / squared;
        run.apply(|policy, grads, scale| tropism_ops::Sgd.step(policy, grads, lr * scale)).unwrap();
        let (after, _) = run.loss_and_gradients(&all).unwrap();
        // first order: the loss falls by lr |g|^2 = 1e-4
        assert!((before - after - 1e-4).abs() < 1e-5, "{}: fell by {}", objective.name(), before - after);
    }
}

#[test]
fn real_dialogues_train() {
    let path = tropism_tests::data_folder().join("hh-rlhf/harmless-base-test.jsonl.gz");
    if !path.exists() {
        println!("skipped: {} is not there; set TROPISM_DATA to the folder of data sets", path.display());
        return;
    }
    let (pairs, audit) = read_pairs(&path, &ReadOptions { limit: Some(60), ..ReadOptions::default() }).unwrap();
    assert_eq!(audit.read, 60);
    let (tokenizer, rows) = tokenised(&pairs, 400, 400);
    let start = model(tokenizer.vocab_size());
    let stage = Stage { batch_size: 8, ..Stage::new("dpo", Objective::Dpo(Dpo::default()), 1e-3) };
    let rows = Rows::Pairs(rows);
    let mut run = StageRun::new(&stage, &rows, start.clone(), Some(&start), 0).unwrap();
    run.check_reference().unwrap();
    let first = run.next_step().unwrap().unwrap();
    assert!((first.loss - 2f64.ln()).abs() < 1e-9);
    while run.next_step().unwrap().is_some() {}
    assert_eq!(run.done(), rows.len().div_ceil(8));
}
