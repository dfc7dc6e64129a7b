//! Steps of DPO on real pairs.
use super::{model, name, peak_rss_mib, precision, rounded};
use crate::cli::{BenchDpoArgs, Dtype};
use crate::error::XtaskError;
use serde_json::{Value, json};
use std::time::Instant;
use tropism_data::read::{ReadOptions, read_pairs};
use tropism_data::text::{Tokenizer, tokenize_pairs};
use tropism_data::tokens::{LengthOptions, TokenPair, Truncation};
use tropism_objectives::{Dpo, Objective};
use tropism_ops::FrozenFormat;
use tropism_trainer::{Precision, Rows, Stage, StageRun};

pub(super) fn run(args: &BenchDpoArgs) -> Result<Value, XtaskError> {
    let mut policy = model(&args.common.model)?;
    policy.precision = precision(args.common.dtype)?;
    let reference = match args.common.dtype {
        // half the memory of a second copy
        Dtype::Bf16 => policy.frozen(FrozenFormat::Bf16),
        _ => policy.clone(),
    };
    let parameters = policy.parameters();
    let needed = args.batch * (args.steps + 1);
    let pairs = pairs(args, needed)?;
    let lengths = |p: &TokenPair| p.chosen_sample().len() + p.rejected_sample().len();
    let mean = |n: usize| (10 * n / needed) as f64 / 10.0;
    let (whole, computed) = (pairs.iter().map(lengths).sum(), pairs.iter().map(TokenPair::len).sum());
    let rows = Rows::Pairs(pairs);
    let mut stage = Stage::new("dpo", Objective::Dpo(Dpo::default()), 5e-7);
    stage.precision = if args.common.dtype == Dtype::Bf16 { Precision::Bf16 } else { Precision::F32 };
    stage.gradient_checkpointing = args.checkpointing;
    let most = if args.common.dtype == Dtype::Bf16 { 768 } else { 1024 };
    (stage.batch_size, stage.micro_batch_tokens) = (args.batch, args.micro_batch_tokens.unwrap_or(most));
    let mut training = StageRun::unscored(&stage, &rows, policy, 0)?;
    let (mut seconds, mut losses) = (vec![], vec![]);
    for _ in 0..=args.steps {
        let clock = Instant::now();
        training.score_ahead(&reference)?;
        let step = training.next_step()?;
        seconds.push(clock.elapsed().as_secs_f64());
        losses.extend(step.map(|s| s.loss));
    }
    let steady = &seconds[1..];
    let mean_step = steady.iter().sum::<f64>() / steady.len().max(1) as f64;
    Ok(json!({
        "bench": "dpo", "dtype": name(args.common.dtype), "batch": args.batch, "parameters": parameters, "checkpointing": args.checkpointing,
        "step_s": rounded(seconds.iter().copied(), 3),
        "pairs_per_s": rounded([args.batch as f64 / mean_step], 3)[0],
        "tokens_per_pair": mean(whole), "computed_tokens_per_pair": mean(computed),
        "peak_rss_mib": peak_rss_mib(), "losses": losses,
    }))
}

/// The first pairs of the file that fit.
fn pairs(args: &BenchDpoArgs, needed: usize) -> Result<Vec<TokenPair>, XtaskError> {
    let tokenizer = Tokenizer::load(&args.common.model)?;
    // pairs may be left out: those that no longer differ once they are cut
    let options = ReadOptions { limit: Some(2 * needed + 16), ..ReadOptions::default() };
    let (records, _) = read_pairs(&args.common.pairs, &options)?;
    let lengths = LengthOptions { max_length: Some(args.max_length), truncation: Truncation::KeepStart };
    let (mut pairs, _) = tokenize_pairs(&tokenizer, &records, &lengths)?;
    if pairs.len() < needed {
        let problem = format!("{} pairs fit, {needed} are needed", pairs.len());
        return Err(XtaskError::usage(problem, "give a larger --pairs file, a smaller --batch or fewer --steps"));
    }
    pairs.truncate(needed);
    Ok(pairs)
}
