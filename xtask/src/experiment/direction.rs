//! Several rewards: prompts that tell a direction, mixes of heads, and what answers to them are worth.
use super::evaluate::{answer_by, answer_to};
use super::prepare::{Model, ModelHeads, Prepared};
use super::result::Answer;
use super::revision::by_prompt;
use crate::error::XtaskError;
use std::collections::BTreeMap;
use tropism_data::record::{Message, Text};
use tropism_trainer::{Completion, Directions, FreshOptions, WeightedReward, rate};

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
        let weights = grid.directions.weights(*angle, &grid.rewards);
        put(prepared, (&grid.rewards, &weights), &format!("direction/{angle}"), &here, values)?;
    }
    Ok(())
}

/// Mixes of heads by which held-out prompts are answered.
pub struct Mixes {
    rewards: BTreeMap<String, WeightedReward>,
    /// places of the rewards that have a head, with their weights
    aspects: Vec<(usize, f64)>,
    /// weights of the heads
    grid: Vec<Vec<f64>>,
}

impl Mixes {
    /// Quarters from one head to the other for two; each head alone and all evenly for more.
    pub(super) fn of(options: &FreshOptions) -> Self {
        let aspects: Vec<(usize, f64)> = options.aspects().map(|(place, _, weight)| (place, weight)).collect();
        let n = aspects.len();
        let grid = match n {
            2 => [1.0, 0.75, 0.5, 0.25, 0.0].map(|w| vec![w, 1.0 - w]).to_vec(),
            n => (0..n)
                .map(|i| (0..n).map(|k| f64::from(u8::from(i == k))).collect())
                .chain([vec![1.0 / n as f64; n]])
                .collect(),
        };
        Mixes { rewards: options.rewards.clone(), aspects, grid }
    }
}

/// Rewards of answers at every mix, by their names, and as the mix weighs them (`weighted`). A policy without heads answers
/// once, and its answers are weighed by every mix.
pub(super) fn mixed(
    prepared: &Prepared,
    policy: &Model,
    heads: Option<&ModelHeads>,
    answers: &[Answer],
    values: &mut BTreeMap<String, Vec<f64>>,
) -> Result<(), XtaskError> {
    let Some(mixes) = &prepared.mixes else { return Ok(()) };
    for shares in &mixes.grid {
        let mut here = answers.to_vec();
        if let Some(heads) = heads {
            let prompts: Vec<usize> = answers.iter().map(|a| a.prompt).collect();
            let tokens = prompts.iter().map(|&p| prepared.prompts[p].tokens.clone()).collect();
            here = answer_by(prepared, policy, Some((heads, shares)), prompts, tokens)?;
        }
        let mut weights = vec![0.0; mixes.rewards.len()];
        mixes.aspects.iter().zip(shares).for_each(|((place, weight), share)| weights[*place] = weight * share);
        let label: Vec<String> = shares.iter().map(ToString::to_string).collect();
        put(prepared, (&mixes.rewards, &weights), &format!("mix/{}", label.join(":")), &here, values)?;
    }
    Ok(())
}

fn put(
    prepared: &Prepared,
    (rewards, weights): (&BTreeMap<String, WeightedReward>, &[f64]),
    place: &str,
    answers: &[Answer],
    values: &mut BTreeMap<String, Vec<f64>>,
) -> Result<(), XtaskError> {
    let names: Vec<&String> = rewards.keys().collect();
    let mut columns = vec![vec![]; names.len() + 1];
    for a in answers {
        let prompt = &prepared.prompts[a.prompt];
        let (truth, tokens) = (prompt.truth.as_deref(), a.written());
        let completion = Completion { prompt: &prompt.text, truth, text: &a.text, tokens, turns: &[] };
        let found = rate(rewards, &completion, prepared.world.as_deref());
        let found =
            found.map_err(|e| XtaskError::usage(format!("held-out prompt {}: {e}", a.prompt + 1), "correct its truth"))?;
        let scores: Vec<f64> = found.iter().map(|r| r.score.unwrap_or(0.0)).collect();
        let sum = scores.iter().zip(weights).map(|(s, w)| s * w).sum();
        // as the stage weighs them, so that more is always better
        let own = rewards.values().map(|r| if r.weight == 0.0 { 1.0 } else { r.weight });
        let shown = scores.iter().zip(own).map(|(s, w)| s * w);
        columns.iter_mut().zip(shown.chain([sum])).for_each(|(c, v)| c.push(v));
    }
    let weighted = "weighted".to_owned();
    for (name, column) in names.into_iter().chain([&weighted]).zip(&columns) {
        let mut column = column.iter();
        if let Some(means) = by_prompt(answers, |_| column.next().copied()) {
            values.insert(format!("{place}/{name}"), means);
        }
    }
    Ok(())
}
