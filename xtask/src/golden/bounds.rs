//! How near figures have to be.
//!
//! Products of bf16 numbers are compared by the size that their rounding errors should have. An operand keeps 8 bits: its
//! relative error is uniform within `2^-8` of the power of two below it, on average (root mean square, over mantissas as they
//! occur) `2^-9.2`. Two operands make `2^-8.7` = 0.0024 ([`PRODUCT`]); errors of the terms of a sum are independent, so the
//! sum has about the same relative error whatever its length. Between embedding and logits lie six products per layer
//! (projections, scores, values, output, and two of the feed-forward part) and the head, one after the other:
//! `P = 6 layers + 1` independent errors, and `sqrt(P)` times that of one. [`MARGIN`] is for what norms, softmax and gates make of them, and for chance.
use tropism_ops::Precision;

/// Relative error of a product of bf16 numbers, root mean square.
const PRODUCT: f64 = 0.0024;

/// Largest ratio of an error's root mean square to `PRODUCT sqrt(P)` that passes. The seven models of the repository show 0.7
/// to 1.7; operands of one bit less would double that.
const MARGIN: f64 = 2.5;

/// How far figures may lie from the reference's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bounds {
    /// operands as they are
    Full,
    /// operands rounded to bf16
    Bf16 {
        /// error of a logit over the root mean square of the logits
        relative: f64,
        /// error of a logit, in nats
        logit: f64,
    },
}

impl Bounds {
    /// For a model of `layers` layers whose reference gives these logits. A processor without bf16 products computes with
    /// operands as they are, and is held to that.
    pub(super) fn bf16(layers: usize, logits: &[f64]) -> Self {
        if !Precision::has_bf16() {
            return Bounds::Full;
        }
        let relative = MARGIN * PRODUCT * ((6 * layers + 1) as f64).sqrt();
        let size = (logits.iter().map(|x| x * x).sum::<f64>() / logits.len().max(1) as f64).sqrt();
        Bounds::Bf16 { relative, logit: relative * size }
    }

    /// Of logits and log-probabilities of tokens, in nats: root mean square, and each.
    pub(super) fn tokens(&self) -> (f64, f64) {
        match self {
            Bounds::Full => (1e-4, 1e-4),
            // the largest of some thousand independent errors lies near four times their root mean square
            Bounds::Bf16 { logit, .. } => (*logit, 6.0 * logit),
        }
    }

    /// Of the log-probability of a completion of `n` tokens, in nats.
    pub(super) fn sequence(&self, n: usize) -> f64 {
        match self {
            Bounds::Full => 1e-4,
            Bounds::Bf16 { logit, .. } => 3.0 * logit * (n as f64).sqrt(),
        }
    }

    /// Of an implicit reward, `beta` times a difference of two log-probabilities of a completion of `n` tokens.
    pub(super) fn reward(&self, beta: f64, n: usize) -> f64 {
        match self {
            Bounds::Full => 1e-4,
            Bounds::Bf16 { .. } => beta * self.sequence(2 * n),
        }
    }

    /// Of DPO's loss: per pair, its reward margin and the tokens of both completions.
    pub(super) fn loss(&self, beta: f64, pairs: &[(f64, usize)]) -> f64 {
        match self {
            Bounds::Full => 1e-5,
            Bounds::Bf16 { logit, .. } => {
                // the slope of -log sigmoid(margin) times the error of the margin, which four log-probabilities make up
                let error = |(margin, n): &(f64, usize)| beta * logit * ((2 * n) as f64).sqrt() / (1.0 + margin.exp());
                pairs.iter().map(error).sum::<f64>() / pairs.len().max(1) as f64
            }
        }
    }

    /// Of the loss after a few optimiser steps, from the bound of the first loss.
    pub(super) fn later_loss(&self, first: f64) -> f64 {
        match self {
            Bounds::Full => 1e-4,
            Bounds::Bf16 { .. } => 2.0 * first,
        }
    }

    /// Of the norm of a parameter's gradient, over that norm.
    pub(super) fn gradient(&self) -> f64 {
        match self {
            Bounds::Full => 1e-4,
            Bounds::Bf16 { relative, .. } => *relative,
        }
    }

    /// As [`Bounds::gradient`], of a bias of keys: the softmax sees little or nothing of it, so that its gradient is what is
    /// left of larger terms.
    pub(super) fn faint_gradient(&self) -> f64 {
        match self {
            Bounds::Full => 1e-4,
            Bounds::Bf16 { relative, .. } => 4.0 * relative,
        }
    }

    /// Of the norm of all gradients, over that norm: errors of the parameters cancel in part.
    pub(super) fn whole_gradient(&self) -> f64 {
        match self {
            Bounds::Full => 1e-4,
            Bounds::Bf16 { relative, .. } => 0.5 * relative,
        }
    }

    /// Of the distance that a parameter moved in three steps, over that distance.
    pub(super) fn moved(&self) -> f64 {
        match self {
            Bounds::Full => 1e-3,
            Bounds::Bf16 { relative, .. } => *relative,
        }
    }

    /// As [`Bounds::moved`], by AdamW, which makes full steps of small gradients too, and `faint` ones of nothing else.
    pub(super) fn moved_by_adamw(&self, faint: bool) -> f64 {
        match (self, faint) {
            (Bounds::Full, false) => 1e-3,
            (Bounds::Full, true) => 1e-2,
            (Bounds::Bf16 { relative, .. }, false) => 4.0 * relative,
            (Bounds::Bf16 { relative, .. }, true) => 10.0 * relative,
        }
    }
}
