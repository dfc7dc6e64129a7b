//! From completions with a verdict to log-ratios, and back to terms.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{CoreError, Diagnostics, LossTerms, SequenceLogps};

use crate::diagnostics::{check_lengths, flag};
use crate::{Column, Domain, ObjectiveError};

/// The column of verdicts: 1 for a desirable completion, 0 for an undesirable one.
pub const DESIRABLE: Column = Column::row("desirable", Domain::Flag);

/// Log-ratios of completions with the tensor that they came from.
pub(crate) struct Unpaired<P: Dim, E: Dtype, D: Device<E>, T> {
    policy: SequenceLogps<P, E, D, T>,
    /// Log-ratio of each completion.
    pub(crate) ratios: Vec<f64>,
    desirable: Vec<bool>,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Unpaired<P, E, D, T> {
    /// Compares policy and reference.
    pub(crate) fn new(
        policy: SequenceLogps<P, E, D, T>,
        reference: &SequenceLogps<P, E, D>,
        desirable: &[bool],
    ) -> Result<Self, ObjectiveError> {
        CoreError::check_size("reference logps", policy.rows(), reference.rows())?;
        CoreError::check_size("desirable", policy.rows(), desirable.len())?;
        check_lengths("the", &to_f64(&policy.lengths), &to_f64(&reference.lengths))?;
        let ratios = to_f64(&policy.logps).iter().zip(to_f64(&reference.logps)).map(|(p, r)| p - r).collect();
        Ok(Self { policy, ratios, desirable: desirable.to_vec() })
    }

    /// Terms of weight 1 from `f(row, log-ratio, desirable) = (loss, slope)`; rewards are `beta` times the log-ratios.
    ///
    /// A figure of one verdict's rows is `rewards/chosen/sum` over `count/chosen`, as TRL logs them: the rows of the other
    /// verdict hold 0 in both.
    pub(crate) fn terms(
        self,
        beta: f64,
        f: impl Fn(usize, f64, bool) -> (f64, f64),
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let rows = self.ratios.iter().zip(&self.desirable).enumerate();
        let (values, slopes): (Vec<f64>, Vec<f64>) = rows.map(|(row, (&h, &good))| f(row, h, good)).unzip();
        CoreError::check_finite("loss", &values)?;
        let diagnostics = self.diagnostics(beta)?;
        let losses = attach(&values, [(self.policy.logps, slopes)])?;
        Ok(LossTerms::new(losses, vec![1.0; values.len()], diagnostics)?)
    }

    fn diagnostics(&self, beta: f64) -> Result<Diagnostics, CoreError> {
        let logps = to_f64(&self.policy.logps);
        let only = |good: bool, values: &[f64]| {
            let rows = values.iter().zip(&self.desirable);
            rows.map(|(&v, &d)| if d == good { v } else { 0.0 }).collect::<Vec<f64>>()
        };
        let rewards: Vec<f64> = self.ratios.iter().map(|h| beta * h).collect();
        let mut diagnostics = Diagnostics::default();
        diagnostics.push("rewards", rewards.clone())?;
        diagnostics.push("rewards/chosen/sum", only(true, &rewards))?;
        diagnostics.push("rewards/rejected/sum", only(false, &rewards))?;
        diagnostics.push("logps/chosen/sum", only(true, &logps))?;
        diagnostics.push("logps/rejected/sum", only(false, &logps))?;
        diagnostics.push("count/chosen", self.desirable.iter().map(|&d| flag(d)).collect())?;
        diagnostics.push("count/rejected", self.desirable.iter().map(|&d| flag(!d)).collect())?;
        diagnostics.push("logps", logps)?;
        diagnostics.push("lengths", to_f64(&self.policy.lengths))?;
        Ok(diagnostics)
    }
}

/// [`Method`](crate::Method) for a loss of completions with a verdict; the function takes policy, reference, verdicts and
/// the columns listed.
macro_rules! on_unpaired {
    ($config:ident, |$this:ident| [$($column:expr),*], |$policy:ident, $reference:ident, $labels:ident, $columns:ident| $call:expr) => {
        impl crate::Method for $config {
            const INPUT: crate::InputKind = crate::InputKind::Completions;

            fn needs_reference(&self) -> bool {
                true
            }

            fn columns(&self) -> Vec<crate::Column> {
                let $this = self;
                let _ = $this;
                let listed: Vec<Option<crate::Column>> = vec![Some(crate::unpaired::DESIRABLE), $($column),*];
                listed.into_iter().flatten().collect()
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::Batch<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, crate::ObjectiveError> {
                let $this = self;
                let ($policy, reference, $columns) = batch.into_completions(Self::NAME)?;
                let $reference = crate::batch::need(Self::NAME, reference)?;
                let labels = $columns.get(crate::unpaired::DESIRABLE.name).unwrap_or_default();
                let labels: Vec<bool> = labels.iter().map(|&d| d != 0.0).collect();
                let $labels = labels.as_slice();
                $call
            }
        }
    };
}
pub(crate) use on_unpaired;
