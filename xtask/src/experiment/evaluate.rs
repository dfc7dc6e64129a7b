//! What is measured on held-out rows after a stage.
use super::comparison::{accuracy_gain, exact, right, win_rate};
use super::direction::{mixed, weighed};
use super::further::further;
use super::prepare::{Model, ModelHeads, Prepared, fresh_options, text_of};
use super::result::{Answer, PairRow, StageResult};
use super::revision::{by_prompt, revised};
use crate::error::XtaskError;
use std::collections::BTreeMap;
use tropism_data::record::Source;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_evaluation::{
    Figure, clustered_mean, kl_sampled, mean_interval, ranking_accuracy, ranking_accuracy_normalized, response_length,
    reward_accuracy, reward_margin, wilson,
};
use tropism_lm::{End, Request, Sampler, StopStrings};
use tropism_objectives::{Dpo, Objective};
use tropism_ops::{FrozenFormat, Precision};
use tropism_rewards::{RewardError, STYLES, Verdict};
use tropism_trainer::{
    AnyStage, Completion, PairScore, SequenceScore, TrainError, pair_diagnostics, score_pairs, score_samples,
};

/// Tokens scored at a time.
const MAX_TOKENS: usize = 4096;

type Metrics = BTreeMap<String, Figure>;

/// Measures `policy`, and returns the scores of the held-out pairs beside the result. `trained` is the stage that made it,
/// with the model that its rewards are relative to.
pub(super) fn evaluate(
    prepared: &Prepared,
    policy: &Model,
    heads: Option<&ModelHeads>,
    trained: Option<(&AnyStage, &Model)>,
    before: &[StageResult],
    name: &str,
) -> Result<(StageResult, Vec<PairRow>), XtaskError> {
    let mut metrics = Metrics::new();
    let pairs = preferences(prepared, policy, trained, &mut metrics)?;
    let answers = answer(prepared, policy)?;
    let mut values = BTreeMap::new();
    if !answers.is_empty() {
        lengths(&answers, &mut metrics)?;
        if let Some(veto) = &prepared.veto {
            metrics.insert("drift".into(), super::veto::drift(veto, &answers)?);
        }
        if let Some((_, reference)) = trained {
            divergence(prepared, policy, reference, &answers, &mut metrics)?;
        }
        rewards(&answers, before.last(), &mut metrics)?;
        accuracy(prepared, &answers, before.last(), &mut metrics)?;
        revised(prepared, policy, &answers, &mut values)?;
        let directed = trained.is_some_and(|(stage, _)| fresh_options(stage).is_some_and(|o| o.directions.is_some()));
        weighed(prepared, policy, directed, &answers, &mut values)?;
        mixed(prepared, policy, heads, &answers, &mut values)?;
        styles(prepared, &answers, &mut values);
        further(prepared, policy, &answers, &mut values)?;
        super::episodes::figures(prepared, &answers, &mut metrics, &mut values)?;
        for (name, values) in &values {
            let figure = mean_interval(values)?;
            // what is there counts answers one by one
            metrics.entry(name.clone()).or_insert(figure);
        }
    }
    let method = trained.map_or("start", |(s, _)| s.method()).to_owned();
    Ok((StageResult { name: name.to_owned(), method, seconds: 0.0, steps: 0, tokens: 0, metrics, answers, values }, pairs))
}

/// Ranking by log-probability, and by the objective's own reward.
fn preferences(
    prepared: &Prepared,
    policy: &Model,
    trained: Option<(&AnyStage, &Model)>,
    metrics: &mut Metrics,
) -> Result<Vec<PairRow>, XtaskError> {
    let pairs = &prepared.test[..prepared.test.len().min(prepared.config.evaluation.pairs)];
    if pairs.is_empty() {
        return Ok(vec![]);
    }
    let scores = score_pairs(policy, pairs, MAX_TOKENS)?;
    let column = |f: fn(&PairScore) -> SequenceScore| scores.iter().map(|s| f(s).logps).collect::<Vec<_>>();
    let tokens = |f: fn(&PairScore) -> SequenceScore| scores.iter().map(|s| f(s).tokens).collect::<Vec<_>>();
    let (chosen, rejected) = (column(|s| s.chosen), column(|s| s.rejected));
    let (chosen_tokens, rejected_tokens) = (tokens(|s| s.chosen), tokens(|s| s.rejected));
    metrics.insert("ranking/accuracy".into(), ranking_accuracy(&chosen, &rejected)?.rate);
    let normalized = ranking_accuracy_normalized(&chosen, &rejected, &chosen_tokens, &rejected_tokens)?;
    metrics.insert("ranking/accuracy_normalized".into(), normalized.rate);
    metrics.insert("logps/chosen".into(), mean_interval(&chosen)?);
    metrics.insert("logps/rejected".into(), mean_interval(&rejected)?);
    let mut rows: Vec<PairRow> = pairs.iter().zip(&scores).map(|(pair, s)| row(pair, s)).collect();
    let Some((stage, reference)) = trained else { return Ok(rows) };
    // where a method has no reward of its own on plain pairs, DPO's, relative to where the stage started, says what was learnt
    let own = stage.objective().filter(|o| o.is_pairwise() && o.columns().is_empty());
    let rule = own.cloned().unwrap_or_else(|| Objective::Dpo(Dpo::default()));
    let reference = score_pairs(reference, pairs, MAX_TOKENS)?;
    let found = pair_diagnostics(&rule, &scores, rule.needs_reference().then_some(&reference[..]))?;
    let get = |name: &str| found.get(name).unwrap_or_default().to_vec();
    let (won, lost) = (get("rewards/chosen"), get("rewards/rejected"));
    metrics.insert("rewards/accuracies".into(), reward_accuracy(&won, &lost)?.rate);
    metrics.insert("rewards/margins".into(), reward_margin(&won, &lost)?);
    metrics.insert("rewards/chosen".into(), mean_interval(&won)?);
    metrics.insert("rewards/rejected".into(), mean_interval(&lost)?);
    for (i, (row, base)) in rows.iter_mut().zip(&reference).enumerate() {
        (row.ref_chosen_logps, row.ref_rejected_logps) = (Some(base.chosen.logps), Some(base.rejected.logps));
        (row.chosen_reward, row.rejected_reward) = (won.get(i).copied(), lost.get(i).copied());
    }
    Ok(rows)
}

/// A pair's scores under the policy.
fn row(pair: &TokenPair, score: &PairScore) -> PairRow {
    PairRow {
        source: pair.source.to_string(),
        chosen_logps: score.chosen.logps,
        rejected_logps: score.rejected.logps,
        chosen_tokens: score.chosen.tokens,
        rejected_tokens: score.rejected.tokens,
        ref_chosen_logps: None,
        ref_rejected_logps: None,
        chosen_reward: None,
        rejected_reward: None,
    }
}

/// Sampled answers to the held-out prompts; the same prompts and streams for every stage.
fn answer(prepared: &Prepared, policy: &Model) -> Result<Vec<Answer>, XtaskError> {
    let each = |i: usize| std::iter::repeat_n(i, prepared.config.evaluation.answers_per_prompt);
    let prompts: Vec<usize> = (0..prepared.prompts.len()).flat_map(each).collect();
    let tokens = prompts.iter().map(|&i| prepared.prompts[i].tokens.clone()).collect();
    answer_to(prepared, policy, prompts, tokens)
}

/// An answer to each of the given prompts in tokens, which belong to the held-out prompts of these numbers.
pub(super) fn answer_to(
    prepared: &Prepared,
    policy: &Model,
    prompts: Vec<usize>,
    tokens: Vec<Vec<u32>>,
) -> Result<Vec<Answer>, XtaskError> {
    answer_by(prepared, policy, None, prompts, tokens)
}

/// [`answer_to`] by a mix of heads, if one is given.
pub(super) fn answer_by(
    prepared: &Prepared,
    policy: &Model,
    mix: Option<(&ModelHeads, &[f64])>,
    prompts: Vec<usize>,
    tokens: Vec<Vec<u32>>,
) -> Result<Vec<Answer>, XtaskError> {
    let e = &prepared.config.evaluation;
    let stops = prepared.stops();
    // packed once, not in every step
    let packed = (policy.precision == Precision::Bf16 && Precision::has_bf16()).then(|| policy.frozen(FrozenFormat::Bf16));
    let decode = |t: &[u32]| text_of(&prepared.tokenizer, t, &[]).map_err(|e| e.to_string());
    let sampler = Sampler::new(packed.as_ref().unwrap_or(policy), e.sampling.clone())
        .stop_tokens(&stops)
        // kept, as stop tokens are, so that every answer has tokens
        .stop_strings(StopStrings { strings: &e.stop, keep: true, decode: &decode })
        .batching(e.batching)
        .seed(prepared.config.seed);
    let requests: Vec<Request> = tokens.into_iter().map(|t| Request::new(t, 1)).collect();
    let said = |g: tropism_lm::Answer| {
        let text = match (&g.text, &g.end) {
            (Some(text), End::StopString(s)) => text.strip_suffix(s.as_str()).unwrap_or(text).to_owned(),
            _ => text_of(&prepared.tokenizer, &g.tokens, &stops)?,
        };
        let said = Said { text: text.trim().to_owned(), turns: vec![] };
        Ok::<_, XtaskError>((g, said))
    };
    let episodes = prepared.world.as_ref().and_then(|world| world.episodes()).is_some();
    let generated = match (mix, e.turn_tokens.filter(|_| episodes)) {
        (None, Some(turn_tokens)) => super::episodes::play(prepared, &sampler, &requests, &prompts, turn_tokens)?,
        (Some((heads, shares)), _) => {
            let answers = sampler.answers_with(&requests, &mut heads.mix(shares)?)?;
            answers.into_iter().flatten().map(said).collect::<Result<_, _>>()?
        }
        (None, None) => {
            let answers = super::veto::answers(prepared, &sampler, &requests, &stops)?;
            answers.into_iter().flatten().map(said).collect::<Result<_, _>>()?
        }
    };
    let finish = |(prompt, (g, said)): (usize, (tropism_lm::Answer, Said))| {
        let (reward, finished) = (reward(prepared, prompt, &said)?, g.finished());
        let verdict = verdict(prepared, prompt, &said, g.written())?;
        let Said { text, turns } = said;
        Ok(Answer { prompt, text, tokens: g.tokens, given: g.given, turns, finished, reward, verdict })
    };
    prompts.into_iter().zip(generated).map(finish).collect()
}

/// Shares of the styles that a judge with preferences in a circle looks at, and how likely an answer of each style is preferred
/// to the policy's.
fn styles(prepared: &Prepared, answers: &[Answer], values: &mut BTreeMap<String, Vec<f64>>) {
    let Some(judge) = prepared.circle() else { return };
    for (style, name) in STYLES.iter().enumerate() {
        let is = |a: &Answer| Some(f64::from(u8::from(judge.style(&a.words()) == style)));
        let beaten = |a: &Answer| Some(judge.beats[style][judge.style(&a.words())]);
        let found = [("style", by_prompt(answers, is)), ("judge/beaten_by", by_prompt(answers, beaten))];
        for (place, means) in found {
            if let Some(means) = means {
                values.insert(format!("{place}/{name}"), means);
            }
        }
    }
}

/// What an answer says.
pub(super) struct Said {
    /// as people read it
    pub(super) text: String,
    /// the turns of an episode
    pub(super) turns: Vec<String>,
}

fn refused(prompt: usize, e: &RewardError) -> XtaskError {
    XtaskError::usage(format!("held-out prompt {}: {e}", prompt + 1), "correct its truth")
}

/// The exact reward of an answer, in a world.
fn reward(prepared: &Prepared, prompt: usize, said: &Said) -> Result<Option<f64>, XtaskError> {
    let (Some(world), asked) = (&prepared.world, &prepared.prompts[prompt]) else { return Ok(None) };
    let found = match world.episodes() {
        Some(episodes) => episodes.score(&asked.text, &said.turns),
        None => world.score(&asked.text, &said.text, asked.truth.as_deref()),
    };
    found.map_err(|e| refused(prompt, &e))
}

/// What the stages' verifier says of an answer, where there is one.
fn verdict(prepared: &Prepared, prompt: usize, said: &Said, tokens: usize) -> Result<Option<Verdict>, XtaskError> {
    let (Some(verifier), asked) = (prepared.verifier(), &prepared.prompts[prompt]) else { return Ok(None) };
    let Said { text, turns } = said;
    let completion = Completion { prompt: &asked.text, truth: asked.truth.as_deref(), text, tokens, turns };
    let found = verifier.rate(&completion, prepared.world.as_deref());
    Ok(found.map_err(|e| refused(prompt, &e))?.verdict)
}

/// Share of right answers, by difficulty too, and what it is more than the stage before's.
fn accuracy(
    prepared: &Prepared,
    answers: &[Answer],
    before: Option<&StageResult>,
    metrics: &mut Metrics,
) -> Result<(), XtaskError> {
    let Some(ours) = right(answers) else { return Ok(()) };
    let share = |keep: &dyn Fn(&Answer) -> bool| {
        let kept = || answers.iter().zip(&ours).filter(|(a, _)| keep(a));
        let values: Vec<f64> = kept().map(|(_, r)| *r).collect();
        let prompts: Vec<usize> = kept().map(|(a, _)| a.prompt).collect();
        let found = clustered_mean(&values, &prompts)?;
        Ok::<_, XtaskError>(Figure { low: found.low.max(0.0), high: found.high.min(1.0), ..found })
    };
    metrics.insert("accuracy".into(), share(&|_| true)?);
    let level = |a: &Answer| prepared.prompts[a.prompt].difficulty;
    for difficulty in tropism_worlds::Difficulty::ALL {
        if answers.iter().any(|a| level(a) == Some(difficulty)) {
            metrics.insert(format!("accuracy/{}", difficulty.name()), share(&|a| level(a) == Some(difficulty))?);
        }
    }
    if let Some(gain) = before.map(|b| accuracy_gain(answers, &b.answers)).transpose()?.flatten() {
        metrics.insert("accuracy_gain".into(), gain);
    }
    Ok(())
}

fn lengths(answers: &[Answer], metrics: &mut Metrics) -> Result<(), XtaskError> {
    let tokens: Vec<usize> = answers.iter().map(Answer::written).collect();
    metrics.insert("completions/mean_length".into(), response_length(&tokens)?);
    let cut = answers.iter().filter(|a| !a.finished).count();
    metrics.insert("completions/clipped_ratio".into(), wilson(cut, answers.len())?);
    Ok(())
}

/// KL divergence to the reference, from the policy's own answers.
fn divergence(
    prepared: &Prepared,
    policy: &Model,
    reference: &Model,
    answers: &[Answer],
    metrics: &mut Metrics,
) -> Result<(), XtaskError> {
    let sample = |a: &Answer| TokenSample {
        source: Source::row("held-out prompt", a.prompt + 1),
        prompt: prepared.prompts[a.prompt].tokens.clone(),
        completion: a.tokens.clone(),
        given: a.given.clone(),
    };
    let samples: Vec<TokenSample> = answers.iter().map(sample).collect();
    let logps = |model: &Model| -> Result<Vec<f64>, TrainError> {
        Ok(score_samples(model, &samples, MAX_TOKENS)?.iter().map(|s| s.logps).collect())
    };
    metrics.insert("kl".into(), kl_sampled(&logps(policy)?, &logps(reference)?)?);
    Ok(())
}

/// Exact rewards, and the share of comparisons won against the stage before.
fn rewards(answers: &[Answer], before: Option<&StageResult>, metrics: &mut Metrics) -> Result<(), XtaskError> {
    let Some(ours) = exact(answers) else { return Ok(()) };
    let prompts: Vec<usize> = answers.iter().map(|a| a.prompt).collect();
    metrics.insert("reward".into(), clustered_mean(&ours, &prompts)?);
    if let Some(rate) = before.map(|b| win_rate(answers, &b.answers)).transpose()?.flatten() {
        metrics.insert("win_rate".into(), rate);
    }
    Ok(())
}
