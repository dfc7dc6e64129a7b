//! Completions of several turns, in a world that answers back.
use super::gather::{Environment, PromptRow};
use super::options::RolloutOptions;
use crate::error::TrainError;
use crate::stage::Stage;
use dfdx::prelude::*;
use std::ops::Range;
use tropism_lm::{Answer, Dims, LmError, Request, Sampler, Turn, written};
use tropism_ops::Scalar;
use tropism_rewards::Episodes;

/// Plays the world's part between the turns of a policy.
///
/// A completion is then an episode: the policy's turns with what the world says between them, as the chat template writes it. What
/// the world says is read by the policy and no part of any loss, log-probability, KL, entropy or length.
#[derive(Clone, Copy)]
pub struct Player<'a> {
    world: &'a dyn Episodes,
    environment: Environment<'a>,
    stop: &'a [String],
}

impl<'a> Player<'a> {
    /// The world of an environment as the other side; `stop` are texts that end a turn, beside the tokens that do.
    ///
    /// # Errors
    /// No world, one that does not answer back, or nobody who writes its replies in tokens.
    pub fn new(environment: &Environment<'a>, stop: &'a [String]) -> Result<Self, String> {
        let Some(world) = environment.reward().and_then(|world| world.episodes()) else {
            return Err("there is no embedded world that answers back; remove it".into());
        };
        if environment.between.is_none() {
            return Err("nobody writes what the world says in tokens; see Environment::between".into());
        }
        Ok(Player { world, environment: *environment, stop })
    }

    /// The world.
    pub fn world(&self) -> &'a dyn Episodes {
        self.world
    }

    /// The texts of an episode's turns, without what ends them.
    ///
    /// # Errors
    /// Tokens that cannot be turned into text.
    pub fn turns(&self, answer: &Answer) -> Result<Vec<String>, String> {
        self.texts(&answer.tokens, &answer.turns())
    }

    fn texts(&self, tokens: &[u32], turns: &[Range<usize>]) -> Result<Vec<String>, String> {
        let text = |turn: &Range<usize>| {
            let text = (self.environment.decode)(&tokens[turn.clone()])?;
            let end = self.stop.iter().filter_map(|s| text.find(s.as_str())).min().unwrap_or(text.len());
            Ok(text[..end].trim().to_owned())
        };
        turns.iter().map(text).collect()
    }

    /// What the world says in an episode of which `tokens` are there, `given` of them its own: tokens up to the policy's next turn, or
    /// nothing where the episode is over.
    ///
    /// # Errors
    /// A prompt that the world does not know; text that cannot be turned into tokens, or back.
    pub fn reply(&self, prompt: &str, tokens: &[u32], given: &[Range<usize>]) -> Result<Option<Vec<u32>>, String> {
        let said = self.texts(tokens, &written(given, tokens.len()))?;
        let answered = self.world.observe(prompt, &said).map_err(|e| e.to_string())?;
        let (Some(text), Some(between)) = (answered, self.environment.between) else { return Ok(None) };
        let last = tokens.last().copied().filter(|t| self.environment.stops.contains(t));
        let reply = between(&text, last)?;
        if reply.is_empty() {
            return Err("what the world said has no tokens, so that the next turn would go on in the last one".into());
        }
        Ok(Some(reply))
    }

    /// Answers in turns: [`Sampler::answers_in_turns`] with this world's replies. `prompts` are the texts of the requests'.
    ///
    /// # Errors
    /// As there; what the world refuses, with the prompt.
    pub fn answers<M: Dims, E: Scalar>(
        &self,
        sampler: &Sampler<M, E>,
        requests: &[Request],
        prompts: &[&str],
        turn_tokens: usize,
        each: &mut dyn FnMut(usize, usize, &Answer),
    ) -> Result<Vec<Vec<Answer>>, TrainError>
    where
        Cpu: Device<E>,
    {
        let mut reply = |turn: &Turn| {
            let prompt = prompts.get(turn.request).copied().unwrap_or_default();
            let named = |e: String| LmError::Invalid(format!("the world has no reply in an episode of {prompt:?}: {e}"));
            self.reply(prompt, turn.tokens, turn.given).map_err(named)
        };
        Ok(sampler.answers_in_turns(requests, turn_tokens, &mut reply, each)?)
    }
}

impl<O> Stage<O> {
    /// Whether rollouts are of several turns exactly where the world's tasks are, and the world knows these prompts.
    pub(super) fn check_episodes(
        &self,
        rollout: &RolloutOptions,
        prompts: &[PromptRow],
        environment: &Environment,
    ) -> Result<(), TrainError> {
        let refuse =
            |problem: String| Err(TrainError::Config { stage: self.name.clone(), key: "rollout.turn_tokens", problem });
        if rollout.turn_tokens.is_none() {
            return match environment.reward().and_then(|world| world.episodes()) {
                Some(_) => {
                    refuse("is not set, but the world's tasks take several turns; give the most tokens of one".into())
                }
                None => Ok(()),
            };
        }
        let player = match Player::new(environment, &rollout.stop) {
            Ok(player) => player,
            Err(problem) => return refuse(format!("is set, but {problem}")),
        };
        for row in prompts {
            if let Err(e) = player.world().observe(&row.text, &[String::new()]) {
                return refuse(format!("is set, but the world cannot play {}: {e}", row.source));
            }
        }
        Ok(())
    }

    /// Whether the world knows rewards of turns.
    pub(super) fn check_turn_rewards(
        &self,
        key: &'static str,
        prompts: &[PromptRow],
        environment: &Environment,
    ) -> Result<(), TrainError> {
        let world = environment.reward().and_then(|world| world.episodes());
        let knows = |row: &PromptRow| world.map(|w| w.turn_rewards(&row.text, &[String::new()]));
        match prompts.first().and_then(knows) {
            Some(Ok(None)) => {
                let problem = "reads rewards of turns, which this world does not give".to_owned();
                Err(TrainError::Config { stage: self.name.clone(), key, problem })
            }
            _ => Ok(()),
        }
    }
}
