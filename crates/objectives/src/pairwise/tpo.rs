//! Triple preference optimisation: a pair without a reference model, beside the likelihood of a gold answer.

use dfdx::prelude::*;
use tropism_core::{LossTerms, TripleLogps};

use crate::options::{free_pair_method, not_negative, options};
use crate::pairwise::Reference;
use crate::supervised::{Sft, sft};
use crate::{Batch, Dpo, InputKind, Method, Objective, ObjectiveError};

options! {
    /// Options of [`tpo()`].
    Tpo = "tpo", "TRL's TPO trainer" {
        /// Weight `α ≥ 0` of the gold answer's likelihood; 1 by default. TRL calls it `tpo_alpha`.
        nll_weight: f64 = 1.0, with_nll_weight, not_negative;
        /// The loss of the pair, a method on pairs that reads no reference model; DPO without one by default.
        base: Box<Objective> = Box::new(Dpo::default().with_reference(Reference::Uniform).into()), with_base,
            |m, k, b: &Objective| free_pair_method(m, k, b);
    }
}

impl Method for Tpo {
    const INPUT: InputKind = InputKind::Triples;

    fn needs_reference(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<crate::Column> {
        self.base.columns()
    }

    fn couples_rows(&self) -> bool {
        self.base.couples_rows()
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, _, columns) = batch.into_triples(Self::NAME)?;
        let gold = sft(policy.third, &Sft::default())?.times(self.nll_weight)?;
        let pairs = Batch::<P, C, E, D, T>::pairs(policy.pair, None).with_columns(columns);
        Ok(self.base.loss(pairs)?.with(gold)?)
    }
}

/// The TPO loss of `P` pairs with a gold answer each (the third completion); reads the policy alone.
///
/// ```text
/// first part     base of chosen and rejected          as base says
/// second part    losses = −α lp_gold                  weights = n_gold
/// ```
///
/// Diagnostics are those of `base`, and `logps`, `lengths` of the gold answers.
///
/// Source: Saeidi et al. 2024, arXiv 2405.16681; TRL's TPO trainer, whose loss types are `base`: `sigmoid` is DPO, `hinge` and
/// `ipo` the methods of that name, all with `reference = "uniform"`; `tpo-l` is SimPO with `gamma_beta_ratio = tpo_l_gamma / beta`.
///
/// # Errors
/// [`ObjectiveError::Config`], [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairLogps, SequenceLogps, TripleLogps};
/// use tropism_objectives::{Tpo, tpo};
///
/// let dev = Cpu::default();
/// let pair = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let policy = TripleLogps::new(pair, SequenceLogps::new(dev.tensor([-6.0]), &[4])?)?;
/// let loss = tpo(policy, &Tpo::default())?.mean()?;
/// assert!((loss.array() - (0.59813887 + 1.5)).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: TripleLogps<P, E, D, T>,
    config: &Tpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    config.loss(Batch::<P, usize, E, D, T>::from(crate::Input::Triples(policy, None)))
}
