//! Prompts that tell a direction of several rewards, and what answers to them are worth.
use super::evaluate::answer_to;
use super::prepare::{Model, Prepared};
use super::result::Answer;
use super::revision::by_prompt;
use crate::error::XtaskError;
use std::collections::BTreeMap;
use tropism_data::record::{Message, Text};
use tropism_rewards::Reward;
use tropism_trainer::{Completion, Directions, WeightedReward, rate};

/// Held-out prompts at every angle.
pub struct Grid {
    pub(super) directions: Directions,
    pub(super) rewards: BTreeMap<String, WeightedReward>,
    /// by angle and prompt; nothing where a prompt leaves no room for an answer
    pub(super) prompts: Vec<Vec<Option<Vec<u32>>>>,
}

/// A prompt that tells a direction, in a system's turn before it, or in a line.
pub(super) fn told(directions: &Directions, angle: f64, prompt: &Text) -> Text {
    let line = format!("Maximize weighted rating = {}.", directions.text(angle));
    match prompt {
        Text::Plain(text) => Text::Plain(format!("{line}\n{text}")),
        Text::Chat(messages) => {
            let mut all = messages.clone();
            match all.first_mut().filter(|m| m.role == "system") {
                Some(own) => own.content = format!("{} {line}", own.content),
                None => all.insert(0, Message::new("system", line)),
            }
            Text::Chat(all)
        }
    }
}

/// Rewards of answers at every angle, by their names, and as the angle weighs them (`weighted`). A policy that was trained on
/// directions is told them; another answers once, and its answers are weighed by every angle.
pub(super) fn weighed(
    prepared: &Prepared,
    policy: &Model,
    directed: bool,
    answers: &[Answer],
    values: &mut BTreeMap<String, Vec<f64>>,
) -> Result<(), XtaskError> {
    let Some(grid) = &prepared.grid else { return Ok(()) };
    for (angle, prompts) in grid.directions.angles.iter().zip(&grid.prompts) {
        let mut here = answers.to_vec();
        if directed {
            let contexts = answers.iter().map(|a| prompts[a.prompt].clone());
            let asked = answers.iter().map(|a| a.prompt).zip(contexts).filter_map(|(p, c)| Some((p, c?)));
            let (numbers, contexts): (Vec<usize>, Vec<Vec<u32>>) = asked.unzip();
            here = answer_to(prepared, policy, numbers, contexts)?;
        }
        put(prepared, grid, *angle, &here, values)?;
    }
    Ok(())
}

fn put(
    prepared: &Prepared,
    grid: &Grid,
    angle: f64,
    answers: &[Answer],
    values: &mut BTreeMap<String, Vec<f64>>,
) -> Result<(), XtaskError> {
    let names: Vec<&String> = grid.rewards.keys().collect();
    let weights = grid.directions.weights(angle, &grid.rewards);
    let mut columns = vec![vec![]; names.len() + 1];
    for a in answers {
        let prompt = &prepared.prompts[a.prompt];
        let completion =
            Completion { prompt: &prompt.text, truth: prompt.truth.as_deref(), text: &a.text, tokens: a.tokens.len() };
        let found = rate(&grid.rewards, &completion, prepared.world.as_ref().map(|w| w as &dyn Reward));
        let found =
            found.map_err(|e| XtaskError::usage(format!("held-out prompt {}: {e}", a.prompt + 1), "correct its truth"))?;
        let scores: Vec<f64> = found.iter().map(|r| r.score.unwrap_or(0.0)).collect();
        let sum = scores.iter().zip(&weights).map(|(s, w)| s * w).sum();
        columns.iter_mut().zip(scores.iter().copied().chain([sum])).for_each(|(c, v)| c.push(v));
    }
    let weighted = "weighted".to_owned();
    for (name, column) in names.into_iter().chain([&weighted]).zip(&columns) {
        let mut column = column.iter();
        if let Some(means) = by_prompt(answers, |_| column.next().copied()) {
            values.insert(format!("direction/{angle}/{name}"), means);
        }
    }
    Ok(())
}
