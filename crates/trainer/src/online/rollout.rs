//! Completions of a step's prompts.
use super::episodes::Player;
use super::gather::Environment;
use super::options::RolloutOptions;
use crate::error::TrainError;
use dfdx::prelude::*;
use tropism_lm::{Answer, Decoder, Dims, Request, Sampler, Sampling, StopStrings};
use tropism_ops::{FrozenFormat, Precision, Scalar};

/// A group of completions of each prompt. A completion depends on the policy, its prompt, the seed, its
/// prompt's place in the list and its own number in the group, and on nothing else. `each` sees them as they come. `texts` are
/// those of the prompts, by which the world of an episode knows them.
pub(crate) fn sample<M: Dims, E: Scalar>(
    policy: &Decoder<M, E>,
    options: &RolloutOptions,
    environment: &Environment,
    (prompts, texts): (&[&[u32]], &[&str]),
    seed: u64,
    each: &mut dyn FnMut(usize, usize, &Answer),
) -> Result<Vec<Vec<Answer>>, TrainError>
where
    Cpu: Device<E>,
{
    let sampling =
        Sampling { temperature: options.temperature, max_new_tokens: options.max_new_tokens, ..Sampling::default() };
    // packed once, not at every token
    let packed = (policy.precision == Precision::Bf16 && Precision::has_bf16()).then(|| policy.frozen(FrozenFormat::Bf16));
    let sampler = Sampler::new(packed.as_ref().unwrap_or(policy), sampling)
        .stop_tokens(environment.stops)
        // kept, as stop tokens are, so that every completion has tokens
        .stop_strings(StopStrings { strings: &options.stop, keep: true, decode: environment.decode })
        .batching(options.batching)
        .seed(seed);
    let request = |(place, tokens): (usize, &&[u32])| {
        let stream = u32::try_from(place).ok();
        Request { stream, ..Request::new(tokens.to_vec(), options.group) }
    };
    let requests: Vec<Request> = prompts.iter().enumerate().map(request).collect();
    let Some(turn_tokens) = options.turn_tokens else { return Ok(sampler.answers_each(&requests, each)?) };
    let refuse = |problem| TrainError::Reward { row: "rollout.turn_tokens".into(), problem };
    let player = Player::new(environment, &options.stop).map_err(refuse)?;
    player.answers(&sampler, &requests, texts, turn_tokens, each)
}
