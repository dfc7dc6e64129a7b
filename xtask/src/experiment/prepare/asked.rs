//! Prompts that stages sample from beside the plain ones.
use super::super::direction::{Grid, told};
use super::records::Question;
use super::{Prepared, Prompt, encoded, shown};
use crate::config::Experiment;
use crate::error::XtaskError;
use std::collections::HashMap;
use tropism_data::audit::Audit;
use tropism_data::text::Tokenizer;
use tropism_data::tokens::TokenPair;
use tropism_trainer::{AnyStage, FreshOptions, PromptRow, Stage};

/// A stage's name and its prompts.
pub(super) type Directed = (String, Vec<PromptRow>);

/// The options of a stage that makes its rows of samples.
pub(in crate::experiment) fn fresh_options(stage: &AnyStage) -> Option<&FreshOptions> {
    match stage {
        AnyStage::OnlinePreference(s) | AnyStage::RejectionSampling(s) => Some(&s.objective),
        _ => None,
    }
}

/// Those of all such stages.
fn fresh(config: &Experiment) -> impl Iterator<Item = &FreshOptions> {
    config.stages.iter().filter_map(fresh_options)
}

/// For each stage with directions its prompts: every question at every angle.
pub(super) fn directed(
    config: &Experiment,
    tokenizer: &Tokenizer,
    questions: &[Question],
    positions: usize,
) -> Result<Vec<(Directed, Audit)>, XtaskError> {
    let mut out = vec![];
    for stage in &config.stages {
        let Some((o, d)) = fresh_options(stage).and_then(|o| Some((o, o.directions.as_ref()?))) else { continue };
        let room = positions.saturating_sub(o.rollout.max_new_tokens);
        let (mut rows, mut audit) = (vec![], Audit::default());
        for question in questions {
            let plain = encoded(tokenizer, &question.text)?;
            for &angle in &d.angles {
                let tokens = encoded(tokenizer, &told(d, angle, &question.text))?;
                if tokens.len() > room {
                    audit.drop_row("prompt with a direction leaves no room for a completion", question.source.row);
                    continue;
                }
                audit.keep();
                let row = PromptRow::new(question.source.clone(), tokens, shown(&question.text), question.truth.clone());
                let weights = d.weights(angle, &o.rewards);
                rows.push(PromptRow { plain: plain.clone(), weights, ..row });
            }
        }
        out.push(((stage.name().to_owned(), rows), audit));
    }
    Ok(out)
}

/// Held-out prompts at every angle of the first stage that has directions.
///
/// # Errors
/// A later stage with others.
pub(super) fn grid(
    config: &Experiment,
    tokenizer: &Tokenizer,
    held_out: &[Prompt],
    positions: usize,
) -> Result<Option<Grid>, XtaskError> {
    let mut all = fresh(config).filter_map(|o| Some((o.directions.as_ref()?, &o.rewards)));
    let Some((directions, rewards)) = all.next() else { return Ok(None) };
    if all.any(|(d, r)| (&d.rewards, &d.angles, r) != (&directions.rewards, &directions.angles, rewards)) {
        let problem = "stages have different `directions` or rewards for them, which cannot be measured together";
        return Err(XtaskError::usage(problem, "give all of them the same, or make a run of each"));
    }
    let room = positions.saturating_sub(config.evaluation.sampling.max_new_tokens);
    let one = |angle: f64| -> Result<Vec<Option<Vec<u32>>>, XtaskError> {
        let tokens =
            |p: &Prompt| Ok(Some(encoded(tokenizer, &told(directions, angle, &p.question))?).filter(|t| t.len() <= room));
        held_out.iter().map(tokens).collect()
    };
    let prompts = directions.angles.iter().map(|&a| one(a)).collect::<Result<_, _>>()?;
    Ok(Some(Grid { directions: directions.clone(), rewards: rewards.clone(), prompts }))
}

/// A prompt for each training pair, with both sides up to the token that would have ended a sample; none where no stage asks for
/// them.
pub(super) fn paired(
    config: &Experiment,
    questions: &[PromptRow],
    pairs: &[TokenPair],
    stops: &[u32],
) -> Option<(Vec<PromptRow>, Audit)> {
    fresh(config).find(|o| o.data_completions)?;
    let by_tokens: HashMap<&[u32], &PromptRow> = questions.iter().map(|q| (q.tokens.as_slice(), q)).collect();
    let (mut out, mut audit) = (vec![], Audit::default());
    for pair in pairs {
        let found = by_tokens.get(pair.prompt.as_slice()).filter(|_| pair.rejected_prompt.is_none());
        let Some(question) = found else {
            audit.drop_row("pair whose prompt was cut, or leaves no room for a completion", pair.source.row);
            continue;
        };
        audit.keep();
        let ended = |tokens: &Vec<u32>| {
            let end = tokens.iter().position(|t| stops.contains(t)).map_or(tokens.len(), |at| at + 1);
            tokens[..end].to_vec()
        };
        let given = [&pair.chosen, &pair.rejected].map(ended).to_vec();
        out.push(PromptRow { source: pair.source.clone(), given, ..(*question).clone() });
    }
    Some((out, audit))
}

impl Prepared {
    /// The prompts that such a stage samples from.
    pub(in crate::experiment) fn asked(&self, stage: &Stage<FreshOptions>) -> &[PromptRow] {
        let told = self.directed.iter().find(|(name, _)| *name == stage.name);
        match told {
            Some((_, rows)) => rows,
            None if stage.objective.data_completions => &self.paired,
            None => &self.questions,
        }
    }
}
