//! Sampling at full length.
use super::{model, name, peak_rss_mib, rounded};
use crate::cli::{BenchGenerateArgs, Dtype};
use crate::error::XtaskError;
use serde_json::{Value, json};
use std::time::Instant;
use tropism_data::read::{ReadOptions, read_pairs};
use tropism_data::text::Tokenizer;
use tropism_lm::{Batching, Request, Sampler, Sampling};
use tropism_ops::FrozenFormat;

pub(super) fn run(args: &BenchGenerateArgs) -> Result<Value, XtaskError> {
    let dense = model(&args.common.model)?;
    let clock = Instant::now();
    let model = match args.common.dtype {
        Dtype::F32 => dense,
        Dtype::Bf16 => dense.frozen(FrozenFormat::Bf16),
        Dtype::Int8 => dense.frozen(FrozenFormat::Int8),
    };
    let freeze = clock.elapsed().as_secs_f64();
    let prompts = prompts(args)?;
    let sampling = Sampling { max_new_tokens: args.new, ..Sampling::default() };
    let batching = Batching { slots: args.slots, ..Batching::default() };
    let requests: Vec<Request> = prompts.iter().map(|p| Request::new(p.clone(), args.answers)).collect();
    let mut seconds = vec![];
    for seed in 0..4 {
        let clock = Instant::now();
        // without a stop token every answer has its full length
        Sampler::new(&model, sampling.clone()).batching(batching).seed(seed).answers(&requests)?;
        seconds.push(clock.elapsed().as_secs_f64());
    }
    let mut steady = seconds.split_off(1);
    steady.sort_by(f64::total_cmp);
    Ok(json!({
        "bench": "generate", "dtype": name(args.common.dtype), "batch": args.batch, "answers": args.answers, "new": args.new,
        "slots": args.slots, "freeze_s": rounded([freeze], 3)[0],
        "prompt_tokens": prompts.iter().map(Vec::len).sum::<usize>(),
        "s": rounded(steady.iter().copied(), 3),
        "new_tokens_per_s": rounded([(args.batch * args.answers * args.new) as f64 / steady[steady.len() / 2]], 1)[0],
        "peak_rss_mib": peak_rss_mib(),
    }))
}

/// The prompts of the first pairs.
fn prompts(args: &BenchGenerateArgs) -> Result<Vec<Vec<u32>>, XtaskError> {
    let tokenizer = Tokenizer::load(&args.common.model)?;
    let options = ReadOptions { limit: Some(2 * args.batch + 16), ..ReadOptions::default() };
    let (records, _) = read_pairs(&args.common.pairs, &options)?;
    let mut prompts = vec![];
    for pair in records.iter().take(args.batch) {
        let mut tokens = tokenizer.encode_prompt(&pair.prompt, &pair.tools)?;
        tokens.truncate(args.max_prompt);
        prompts.push(tokens);
    }
    if prompts.len() < args.batch {
        let problem = format!("the file has {} pairs, --batch asks for {}", prompts.len(), args.batch);
        return Err(XtaskError::usage(problem, "give a larger --pairs file or a smaller --batch"));
    }
    Ok(prompts)
}
