//! Log-probabilities of pairs under policy and reference.
use crate::error::{EvaluationError, finite, same_length};

/// Log-probabilities of pairs, summed over the tokens of each completion, in nats.
#[derive(Clone, Copy, Debug)]
pub struct ScoredPairs<'a> {
    pub(super) chosen: &'a [f64],
    pub(super) rejected: &'a [f64],
    pub(super) reference: Option<[&'a [f64]; 2]>,
    pub(super) tokens: Option<[&'a [usize]; 2]>,
}

impl<'a> ScoredPairs<'a> {
    /// Pairs under the policy.
    ///
    /// # Errors
    /// No pairs, slices of unequal length, values that are not finite.
    pub fn new(chosen: &'a [f64], rejected: &'a [f64]) -> Result<Self, EvaluationError> {
        finite("chosen logps", chosen)?;
        finite("rejected logps", rejected)?;
        same_length("rejected logps", chosen.len(), rejected.len())?;
        Ok(Self { chosen, rejected, reference: None, tokens: None })
    }

    /// The same pairs under the reference.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_reference(mut self, chosen: &'a [f64], rejected: &'a [f64]) -> Result<Self, EvaluationError> {
        finite("chosen reference logps", chosen)?;
        finite("rejected reference logps", rejected)?;
        same_length("chosen reference logps", self.chosen.len(), chosen.len())?;
        same_length("rejected reference logps", self.chosen.len(), rejected.len())?;
        self.reference = Some([chosen, rejected]);
        Ok(self)
    }

    /// Tokens of the completions; a length of 0 counts as 1.
    ///
    /// # Errors
    /// Slices of unequal length.
    pub fn with_tokens(mut self, chosen: &'a [usize], rejected: &'a [usize]) -> Result<Self, EvaluationError> {
        same_length("chosen tokens", self.chosen.len(), chosen.len())?;
        same_length("rejected tokens", self.chosen.len(), rejected.len())?;
        self.tokens = Some([chosen, rejected]);
        Ok(self)
    }

    /// How many pairs there are; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Chosen minus rejected log-probability of each pair.
    pub fn margins(&self) -> Vec<f64> {
        subtract(self.chosen, self.rejected)
    }

    /// [`Self::margins`] of log-probabilities per token, if lengths are known.
    pub fn margins_per_token(&self) -> Option<Vec<f64>> {
        self.tokens.map(|tokens| per_token([self.chosen, self.rejected], tokens))
    }

    /// Chosen minus rejected reference log-probability, if there is a reference.
    pub fn reference_margins(&self) -> Option<Vec<f64>> {
        self.reference.map(|[chosen, rejected]| subtract(chosen, rejected))
    }

    /// [`Self::reference_margins`] per token, if there is a reference and lengths are known.
    pub fn reference_margins_per_token(&self) -> Option<Vec<f64>> {
        self.reference.zip(self.tokens).map(|(reference, tokens)| per_token(reference, tokens))
    }

    pub(super) fn need_reference(&self) -> Result<[&'a [f64]; 2], EvaluationError> {
        let problem = || "this figure needs them; give them by `with_reference`".to_owned();
        self.reference.ok_or_else(|| EvaluationError::Undefined { what: "reference logps", problem: problem() })
    }
}

pub(super) fn subtract(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn per_token(logps: [&[f64]; 2], tokens: [&[usize]; 2]) -> Vec<f64> {
    let mean = |side: usize| logps[side].iter().zip(tokens[side]).map(|(l, &n)| l / n.max(1) as f64).collect::<Vec<_>>();
    subtract(&mean(0), &mean(1))
}

/// `log(1 + eˣ)`.
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + e⁻ˣ)`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `log Σ eˣ`; negative infinity for no entries.
pub(crate) fn logsumexp(x: &[f64]) -> f64 {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY { top } else { top + x.iter().map(|v| (v - top).exp()).sum::<f64>().ln() }
}
