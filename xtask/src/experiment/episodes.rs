//! Held-out tasks of a world that answers back, and what is known of how they were done.
use super::evaluate::Said;
use super::prepare::Prepared;
use super::result::Answer;
use super::revision::by_prompt;
use crate::config::Experiment;
use crate::error::XtaskError;
use std::collections::BTreeMap;
use tropism_evaluation::{Figure, clustered_mean};
use tropism_lm::{Loaded, Request, Sampler};
use tropism_rewards::Episodes;
use tropism_trainer::{AnyStage, Player};

/// What stands before what the world said, in a transcript.
const REPLY: &str = "> ";

/// Whether the rest of a run goes together with a world that answers back.
pub(super) fn check(config: &Experiment) -> Result<(), XtaskError> {
    let refuse = |problem: &str, help: &str| Err(XtaskError::usage(problem, help));
    if config.evaluation.prompts > 0 && config.evaluation.turn_tokens.is_none() {
        let problem = "`evaluation.turn_tokens` is not set, but the world's tasks take several turns";
        return refuse(problem, "give the most tokens of one turn, as in rollout.turn_tokens");
    }
    if config.evaluation.veto.is_some() || config.revision.is_some() {
        let problem = "`evaluation.veto` and `revision` are for answers of one turn, the world's tasks take several";
        return refuse(problem, "leave them out");
    }
    let heads = |s: &AnyStage| super::prepare::fresh_options(s).is_some_and(|o| o.heads.is_some() || o.directions.is_some());
    if config.stages.iter().any(heads) {
        let problem = "`heads` and `directions` are for answers of one turn, the world's tasks take several";
        return refuse(problem, "leave them out");
    }
    Ok(())
}

/// Plays the tasks of these prompts, an answer to each.
pub(super) fn play(
    prepared: &Prepared,
    sampler: &Sampler<'_, Loaded, f32>,
    requests: &[Request],
    prompts: &[usize],
    turn_tokens: usize,
) -> Result<Vec<(tropism_lm::Answer, Said)>, XtaskError> {
    let texts: Vec<&str> = prompts.iter().map(|&p| prepared.prompts[p].text.as_str()).collect();
    let failed = |problem: String| XtaskError::usage(problem, "this is a defect, please report it");
    prepared.sampled_by(|environment| {
        let player = Player::new(environment, &prepared.config.evaluation.stop).map_err(failed)?;
        let answers = player.answers(sampler, requests, &texts, turn_tokens, &mut |_, _, _| {})?;
        let said = |(answer, prompt): (tropism_lm::Answer, &&str)| {
            let turns = player.turns(&answer).map_err(failed)?;
            let text = transcript(player.world(), prompt, &turns).map_err(failed)?;
            Ok((answer, Said { text, turns }))
        };
        answers.into_iter().flatten().zip(&texts).map(said).collect()
    })
}

/// Turns and replies, one below the other.
fn transcript(world: &dyn Episodes, prompt: &str, turns: &[String]) -> Result<String, String> {
    let mut lines: Vec<String> = vec![];
    for (n, turn) in turns.iter().enumerate() {
        lines.push(turn.clone());
        if n + 1 < turns.len() {
            let reply = world.observe(prompt, &turns[..=n]).map_err(|e| e.to_string())?.unwrap_or_default();
            lines.extend(reply.lines().map(|line| format!("{REPLY}{line}")));
        }
    }
    Ok(lines.join("\n"))
}

/// Turns, and all that the world knows of episodes.
pub(super) fn figures(
    prepared: &Prepared,
    answers: &[Answer],
    metrics: &mut BTreeMap<String, Figure>,
    values: &mut BTreeMap<String, Vec<f64>>,
) -> Result<(), XtaskError> {
    let Some(world) = prepared.world.as_ref().and_then(|world| world.episodes()) else { return Ok(()) };
    if let Some(means) = by_prompt(answers, |a| Some(a.turns.len() as f64)) {
        values.insert("episodes/mean_turns".into(), means);
    }
    for name in world.aspects() {
        let mut scores = vec![];
        for a in answers {
            let prompt = &prepared.prompts[a.prompt].text;
            let found = world.aspect(name, prompt, &a.turns);
            scores.push(found.map_err(|e| XtaskError::usage(e.to_string(), "this is a defect, please report it"))?);
        }
        // of the episodes to which it applies
        let there = || answers.iter().zip(&scores).filter_map(|(a, s)| Some((a.prompt, (*s)?)));
        let (prompts, numbers): (Vec<usize>, Vec<f64>) = there().unzip();
        if !numbers.is_empty() {
            metrics.insert(format!("aspects/{name}"), clustered_mean(&numbers, &prompts)?);
        }
        let mut scores = scores.into_iter();
        if let Some(means) = by_prompt(answers, |_| scores.next().flatten()) {
            values.insert(format!("aspects/{name}"), means);
        }
    }
    Ok(())
}
