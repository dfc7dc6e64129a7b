//! Steps of GRPO: sampling, a reward by function, a reference, updates.
use super::{model, name, peak_rss_mib, precision, rounded};
use crate::cli::{BenchGrpoArgs, Dtype};
use crate::error::XtaskError;
use crate::experiment::text_of;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;
use tropism_data::read::{ReadOptions, read_pairs};
use tropism_data::record::{Message, Text};
use tropism_data::text::Tokenizer;
use tropism_policy_gradient::{Dapo, KlPenalty};
use tropism_rewards::{Reward, RewardError};
use tropism_trainer::{
    Environment, OnlineRun, PolicyGradientOptions, Precision, PromptRow, RewardFunction, Stage, StepMetrics, WeightedReward,
    WorldReward,
};

/// Longest prompt, as the peer's.
const MAX_PROMPT: usize = 256;

/// The peer's reward: letters by the hundred.
struct Letters;

impl Reward for Letters {
    fn name(&self) -> &str {
        "letters"
    }

    fn score(&self, _prompt: &str, completion: &str, _truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        Ok(Some(completion.chars().filter(|c| c.is_alphabetic()).count() as f64 / 100.0))
    }
}

pub(super) fn run(args: &BenchGrpoArgs) -> Result<Value, XtaskError> {
    let mut policy = model(&args.common.model)?;
    policy.precision = precision(args.common.dtype)?;
    let (reference, parameters) = (policy.clone(), policy.parameters());
    let tokenizer = Tokenizer::load(&args.common.model)?;
    let prompts = prompts(args, &tokenizer)?;
    let stage = stage(args);
    let stops: Vec<u32> = tokenizer.eos_id().into_iter().collect();
    let decode = |tokens: &[u32]| text_of(&tokenizer, tokens, &stops).map_err(|e| e.to_string());
    let world: Arc<dyn Reward> = Arc::new(Letters);
    let environment = Environment { world: Some(&world), ..Environment::new(&stops, &decode) };
    let mut training = OnlineRun::new(&stage, &prompts, policy, Some(reference), environment, 0)?;
    let (mut seconds, mut steps): (Vec<f64>, Vec<StepMetrics>) = (vec![], vec![]);
    for _ in 0..=args.steps {
        let clock = Instant::now();
        steps.extend(training.next_step()?);
        seconds.push(clock.elapsed().as_secs_f64());
    }
    let steady = &seconds[1..];
    let mean_step = steady.iter().sum::<f64>() / steady.len().max(1) as f64;
    let figure = |m: &StepMetrics, name: &str| m.figures.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let mean = |name: &str| steps[1..].iter().map(|m| figure(m, name)).sum::<f64>() / steady.len().max(1) as f64;
    let phase = |p: &str| (format!("{p}_s"), json!(rounded([mean(&format!("time/{p}"))], 3)[0]));
    let phases: Map<String, Value> =
        ["rollout", "reward", "old_logps", "reference", "update"].map(phase).into_iter().collect();
    Ok(json!({
        "bench": "grpo", "dtype": name(args.common.dtype), "parameters": parameters,
        "prompts": args.prompts, "group": args.group, "new": args.new,
        "step_s": rounded(seconds.iter().copied(), 3), "phases": phases,
        "completions_per_s": rounded([(args.prompts * args.group) as f64 / mean_step], 3)[0],
        "mean_length": mean("completions/mean_length"),
        "peak_rss_mib": peak_rss_mib(),
        "rewards": rounded(steps.iter().map(|m| figure(m, "reward")), 4),
    }))
}

fn stage(args: &BenchGrpoArgs) -> Stage<PolicyGradientOptions> {
    let loss = Dapo::default().with_kl(KlPenalty::of(0.04));
    let reward = WeightedReward::new(RewardFunction::World(WorldReward {}));
    let mut options = PolicyGradientOptions::new(loss, "letters", reward);
    (options.rollout.group, options.rollout.max_new_tokens) = (args.group, args.new);
    options.rollout.batching.slots = args.prompts * args.group;
    let mut stage = Stage::of("grpo", options, 1e-6);
    (stage.batch_size, stage.micro_batch_tokens) = (args.prompts, args.micro_batch_tokens);
    stage.max_steps = Some(args.steps + 1);
    stage.precision = if args.common.dtype == Dtype::Bf16 { Precision::Bf16 } else { Precision::F32 };
    stage
}

/// The first prompts that fit, written as the dialogues of the file are.
fn prompts(args: &BenchGrpoArgs, tokenizer: &Tokenizer) -> Result<Vec<PromptRow>, XtaskError> {
    let needed = args.prompts * (args.steps + 1);
    let options = ReadOptions { limit: Some(8 * needed + 64), ..ReadOptions::default() };
    let (records, _) = read_pairs(&args.common.pairs, &options)?;
    let said = |m: &Message| format!("\n\n{}: {}", if m.role == "user" { "Human" } else { "Assistant" }, m.content);
    let mut prompts = vec![];
    for pair in records {
        let text = match &pair.prompt {
            Text::Plain(text) => text.clone(),
            Text::Chat(messages) => messages.iter().map(said).collect::<String>() + "\n\nAssistant:",
        };
        let tokens = tokenizer.encode(&text)?;
        if !tokens.is_empty() && tokens.len() <= MAX_PROMPT && prompts.len() < needed {
            prompts.push(PromptRow::new(pair.source, tokens, text, None));
        }
    }
    if prompts.len() < needed {
        let problem = format!("{} prompts fit, {needed} are needed", prompts.len());
        return Err(XtaskError::usage(problem, "give a larger --pairs file, fewer --prompts or fewer --steps"));
    }
    Ok(prompts)
}
