//! Answers that may not repeat a corpus, or that are measured for it.
use super::prepare::Prepared;
use crate::error::XtaskError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tropism_data::read::read_rows;
use tropism_data::text::Tokenizer;
use tropism_data::tokens::{TokenPair, TokenSample};
use tropism_evaluation::safety::{ProvenanceVeto, Surprisal, TraceIndex};
use tropism_evaluation::{Figure, wilson};
use tropism_lm::{Answer, HookStep, LmError, Loaded, Request, Sampler};

/// `[evaluation.veto]`: tokens that would end a span of a corpus with a high belief conflict are kept out of held-out answers
/// (TraceAlign's decoding).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Veto {
    /// JSONL with the corpus: a document per row, in column `text`
    pub path: PathBuf,
    /// tokens of a span
    #[serde(default = "window")]
    pub window: usize,
    /// nats of belief conflict above which a span is risky; depends on the tokenizer
    #[serde(default = "threshold")]
    pub threshold: f64,
    /// what risky tokens' logits are lowered by; left out, they cannot be chosen; 0 only measures
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
}

fn window() -> usize {
    8
}
fn threshold() -> f64 {
    20.0
}

#[derive(Deserialize)]
struct Document {
    text: String,
}

impl Veto {
    /// Reads the corpus. Tokens are as improbable as in the training rows and the corpus together.
    pub(super) fn read(
        &self,
        tokenizer: &Tokenizer,
        vocabulary: usize,
        pairs: &[TokenPair],
        samples: &[TokenSample],
    ) -> Result<ProvenanceVeto, XtaskError> {
        let documents = documents(&self.path, tokenizer)?;
        let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
        let of_pairs = pairs.iter().flat_map(|p| [&p.prompt[..], &p.chosen, &p.rejected]);
        let of_samples = samples.iter().flat_map(|s| [&s.prompt[..], &s.completion]);
        let all: Vec<&[u32]> = of_pairs.chain(of_samples).chain(documents.iter().copied()).collect();
        let surprisal = Surprisal::from_corpus(&all, vocabulary)?;
        Ok(ProvenanceVeto::new(TraceIndex::new(&documents)?, surprisal, self.window, self.threshold)?)
    }

    pub(crate) fn check(&self) -> Result<(), (String, &'static str)> {
        match self.penalty {
            Some(p) if !(p >= 0.0 && p.is_finite()) => {
                Err((format!("`evaluation.veto.penalty` is {p}"), "give a number of at least 0, or leave it out for a veto"))
            }
            _ => Ok(()),
        }
    }
}

fn documents(path: &Path, tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>, XtaskError> {
    let rows: Vec<Document> = read_rows(path)?;
    let documents: Vec<Vec<u32>> = rows.iter().map(|d| tokenizer.encode(&d.text)).collect::<Result<_, _>>()?;
    if documents.iter().all(Vec::is_empty) {
        let problem = format!("{}: holds no text", path.display());
        return Err(XtaskError::usage(problem, "write one JSON object per line, with the document in `text`"));
    }
    Ok(documents)
}

/// The sampler's answers, under the veto where there is one.
pub(super) fn answers(
    prepared: &Prepared,
    sampler: &Sampler<'_, Loaded, f32>,
    requests: &[Request],
    stops: &[u32],
) -> Result<Vec<Vec<Answer>>, XtaskError> {
    let Some((veto, options)) = prepared.veto.as_ref().zip(prepared.config.evaluation.veto.as_ref()) else {
        return Ok(sampler.answers(requests)?);
    };
    if options.penalty == Some(0.0) {
        return Ok(sampler.answers(requests)?);
    }
    let less = options.penalty.map_or(f32::NEG_INFINITY, |p| -p as f32);
    let mut hook = |step: &HookStep<'_, f32>, logits: &mut [f32]| -> Result<(), LmError> {
        let inside = |t: &u32| (*t as usize) < logits.len();
        for token in veto.risky(step.tokens).into_iter().filter(inside).collect::<Vec<_>>() {
            logits[token as usize] += less;
        }
        if let Some(&stop) = stops.first().filter(|_| logits.iter().all(|&l| l == f32::NEG_INFINITY)) {
            // nothing is left to say
            logits[stop as usize] = 0.0;
        }
        Ok(())
    };
    Ok(sampler.answers_with(requests, &mut hook)?)
}

/// Share of answers that hold a risky span.
pub(super) fn drift(veto: &ProvenanceVeto, answers: &[super::result::Answer]) -> Result<Figure, XtaskError> {
    let mut found = 0;
    for answer in answers {
        found += usize::from(veto.refuses(&answer.tokens)?);
    }
    Ok(wilson(found, answers.len())?)
}
