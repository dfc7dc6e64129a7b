//! Answers that are shown again for better ones.
use super::evaluate::answer_to;
use super::prepare::{Model, Prepared};
use super::result::Answer;
use crate::config::Revision;
use crate::error::XtaskError;
use std::collections::BTreeMap;
use tropism_data::audit::Audit;
use tropism_data::record::Message;
use tropism_data::text::Tokenizer;
use tropism_data::tokens::TokenPair;
use tropism_trainer::{Rows, TokenRevision};

/// What stands between a shown answer and its revision, in tokens.
#[derive(Clone, Debug)]
pub(super) struct Request {
    tokens: Vec<u32>,
    stops: Vec<u32>,
}

impl Request {
    /// By the chat template where there is one: the end of the answer's turn, a user's turn, the opening of an answer.
    ///
    /// # Errors
    /// A template that writes an answer otherwise when turns follow it.
    pub(super) fn new(revision: &Revision, tokenizer: &Tokenizer, stops: &[u32]) -> Result<Self, XtaskError> {
        let stops = stops.to_vec();
        if !tokenizer.has_template() {
            let tokens = tokenizer.encode(&format!("\n\n{}\n\n", revision.request))?;
            return Ok(Request { tokens, stops });
        }
        const MARK: &str = "the shown answer";
        let turns = [("user", "a question"), ("assistant", MARK), ("user", &revision.request)];
        let text = tokenizer.render(&turns.map(|(role, content)| Message::new(role, content)), true)?;
        let behind = text.split_once(MARK).map(|(_, behind)| behind).filter(|b| b.contains(&revision.request));
        let behind = behind.ok_or_else(|| {
            let problem = "the chat template does not show an answer that a turn follows";
            XtaskError::usage(problem, "revisions need one that does; set chat_template.jinja, or leave `revision` out")
        })?;
        Ok(Request { tokens: tokenizer.encode(behind)?, stops })
    }

    /// The prompt of a revision of `shown`, whose end token stands in the request.
    fn context(&self, prompt: &[u32], shown: &[u32]) -> Vec<u32> {
        let shown: Vec<u32> = shown.iter().copied().take_while(|t| !self.stops.contains(t)).collect();
        [prompt, &shown, &self.tokens].concat()
    }

    /// Pairs as answers and as revisions of each other; those that a model with so many positions cannot read are left out.
    pub(super) fn rows(&self, pairs: &[TokenPair], positions: usize) -> (Rows, Audit) {
        let (mut rows, mut audit) = (vec![], Audit::default());
        for pair in pairs {
            let lost = pair.rejected_prompt.as_ref().unwrap_or(&pair.prompt);
            let after_rejected = self.context(lost, &pair.rejected);
            let after_chosen = self.context(&pair.prompt, &pair.chosen);
            let longest = after_rejected.len().max(after_chosen.len()) + pair.chosen.len().max(pair.rejected.len());
            if longest > positions {
                audit.drop_row("revision is longer than the model's positions", pair.source.row);
                continue;
            }
            audit.keep();
            rows.push(TokenRevision { pair: pair.clone(), after_rejected, after_chosen });
        }
        (Rows::Revisions(rows), audit)
    }
}

/// Revises held-out answers as often as asked for. The names of the figures are those of the answers behind
/// `revision/ROUND/`; an answer that leaves no room for a revision stands as it is.
pub(super) fn revised(
    prepared: &Prepared,
    policy: &Model,
    answers: &[Answer],
    values: &mut BTreeMap<String, Vec<f64>>,
) -> Result<(), XtaskError> {
    let Some((revision, request)) = prepared.config.revision.as_ref().zip(prepared.request.as_ref()) else { return Ok(()) };
    let room = policy.config().sizes.positions.saturating_sub(prepared.config.evaluation.sampling.max_new_tokens);
    let mut shown = answers.to_vec();
    for round in 1..=revision.rounds {
        let context = |a: &Answer| request.context(&prepared.prompts[a.prompt].tokens, &a.tokens);
        let asked: Vec<(usize, Vec<u32>)> = shown.iter().map(context).enumerate().filter(|(_, c)| c.len() <= room).collect();
        let (places, contexts): (Vec<usize>, Vec<Vec<u32>>) = asked.into_iter().unzip();
        let prompts = places.iter().map(|&i| shown[i].prompt).collect();
        let better = answer_to(prepared, policy, prompts, contexts)?;
        places.into_iter().zip(better).for_each(|(i, answer)| shown[i] = answer);
        put(&format!("revision/{round}"), &shown, values);
    }
    Ok(())
}

/// Means by prompt of reward, accuracy and length, where answers have them.
pub(super) fn put(place: &str, answers: &[Answer], values: &mut BTreeMap<String, Vec<f64>>) {
    let correct = |a: &Answer| a.verdict.map(|v| f64::from(u8::from(v.is_correct())));
    if let Some(means) = by_prompt(answers, |a| a.reward) {
        values.insert(format!("{place}/reward"), means);
    }
    if let Some(means) = by_prompt(answers, correct) {
        values.insert(format!("{place}/accuracy"), means);
    }
    if let Some(means) = by_prompt(answers, |a| Some(a.written() as f64)) {
        values.insert(format!("{place}/mean_length"), means);
    }
}

/// The mean of a number of each prompt's answers, in the order of the prompts; nothing where an answer lacks it.
pub(super) fn by_prompt(answers: &[Answer], mut number: impl FnMut(&Answer) -> Option<f64>) -> Option<Vec<f64>> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for a in answers {
        let sum = sums.entry(a.prompt).or_default();
        *sum = (sum.0 + number(a)?, sum.1 + 1.0);
    }
    Some(sums.into_values().map(|(sum, n)| sum / n).collect())
}
