//! How far a pair is from being ranked rightly.
use super::ScoredPairs;
use super::scored::softplus;
use crate::error::EvaluationError;
use crate::figures::positive;
use serde::Serialize;

/// A pair by what DPO has to do for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difficulty {
    /// its index
    pub pair: usize,
    /// nats by which the reference prefers the rejected side: `c = log π_ref(l) − log π_ref(w)`
    pub c: f64,
    /// DPO loss below which the pair is ranked rightly, and above which it is not
    pub required_loss: f64,
    /// its DPO loss
    pub loss: f64,
}

impl Difficulty {
    /// Whether the policy ranks the pair rightly. Equal to a chosen log-probability that is at least the rejected one.
    pub fn ranked_rightly(&self) -> bool {
        self.loss <= self.required_loss
    }
}

/// The loss that DPO has to reach: `softplus(−β c)`, `ln 2` for a reference that is indifferent.
///
/// # Source
/// Chen et al. 2024, theorem 4.1.
pub fn required_loss(c: f64, beta: f64) -> f64 {
    softplus(-beta * c)
}

/// All pairs, easy ones first: an order for a curriculum, or the list of what training will not reach.
///
/// # Errors
/// Pairs without a reference, β that is not positive.
///
/// # Source
/// Chen et al. 2024, theorem 4.1.
pub fn difficulties(pairs: &ScoredPairs<'_>, beta: f64) -> Result<Vec<Difficulty>, EvaluationError> {
    pairs.need_reference()?;
    positive("beta", &[beta])?;
    let reference = pairs.reference_margins().unwrap_or_default();
    let of = |(pair, (margin, reference)): (usize, (f64, f64))| {
        let c = -reference;
        Difficulty { pair, c, required_loss: required_loss(c, beta), loss: softplus(-beta * (margin + c)) }
    };
    let mut all: Vec<Difficulty> = pairs.margins().into_iter().zip(reference).enumerate().map(of).collect();
    all.sort_by(|a, b| a.c.total_cmp(&b.c));
    Ok(all)
}
