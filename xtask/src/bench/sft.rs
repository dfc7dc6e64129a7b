//! Plain training steps: sequences with all of their tokens predicted, AdamW with clipping.
use super::{model, name, peak_rss_mib, precision, rounded};
use crate::cli::{BenchSftArgs, Dtype};
use crate::error::XtaskError;
use serde_json::{Value, json};
use std::time::Instant;
use tropism_data::record::Source;
use tropism_data::stream::Stream;
use tropism_data::tokens::TokenSample;
use tropism_objectives::{Objective, Sft};
use tropism_trainer::{Precision, Rows, Stage, StageRun};

pub(super) fn run(args: &BenchSftArgs) -> Result<Value, XtaskError> {
    precision(args.dtype)?;
    let policy = model(&args.model)?;
    if args.tokens < 2 {
        return Err(XtaskError::usage("a sequence of fewer than two tokens predicts nothing", "give more --tokens"));
    }
    let vocab = policy.config().sizes.vocab;
    let mut stream = Stream::new(0, "bench/sft");
    let sample = |row| {
        let mut ids = (0..args.tokens).map(|_| stream.below(vocab) as u32);
        let prompt = ids.by_ref().take(1).collect();
        let source = Source { file: "random tokens".into(), row, line: None };
        TokenSample { source, prompt, completion: ids.collect(), given: vec![] }
    };
    let rows = Rows::Samples((1..=args.sequences.max(1)).map(sample).collect());
    let tokens = args.tokens * rows.len();
    let mut stage = Stage::new("sft", Objective::Sft(Sft::default()), 1e-4);
    (stage.batch_size, stage.epochs, stage.micro_batch_tokens) = (rows.len(), args.steps + 1, tokens);
    stage.precision = if args.dtype == Dtype::Bf16 { Precision::Bf16 } else { Precision::F32 };
    stage.gradient_checkpointing = args.checkpointing;
    let mut training = StageRun::new(&stage, &rows, policy, None, 0)?;
    let (mut seconds, mut losses) = (vec![], vec![]);
    for _ in 0..=args.steps {
        let clock = Instant::now();
        let step = training.next_step()?;
        seconds.push(clock.elapsed().as_secs_f64());
        losses.extend(step.map(|s| s.loss));
    }
    let mean = seconds[1..].iter().sum::<f64>() / args.steps.max(1) as f64;
    Ok(json!({
        "bench": "sft", "dtype": name(args.dtype), "tokens": args.tokens,
        "sequences": rows.len(), "checkpointing": args.checkpointing,
        "step_s": rounded(seconds.iter().copied(), 3), "tokens_per_s": rounded([tokens as f64 / mean], 1)[0],
        "peak_rss_mib": peak_rss_mib(), "losses": losses,
    }))
}
