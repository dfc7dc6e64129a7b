//! Figures and gradients of a plan on its inputs, in one dtype.

mod online;
mod pairs;
mod unpaired;

use std::collections::BTreeMap;

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, to_f64};
use tropism_core::{LossTerms, SequenceLogps, TokenLogps};

use super::plan::{InputSet, Plan};
use tropism_golden::{Entry, Fallible, Inputs, Outcome};

type Taped<E> = OwnedTape<E, Cpu>;
/// Loss terms of the reference figures.
type Terms<E> = LossTerms<usize, E, Cpu, Taped<E>>;
/// A vector on a tape.
type Sums<E, T> = Tensor<(usize,), E, Cpu, T>;

/// Computes figures and gradients.
pub(super) fn evaluate<E: Dtype>(entry: &Entry, plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    match plan.inputs {
        InputSet::Pairs => pairs::pairs::<E>(plan, inputs),
        InputSet::Triples => pairs::triples::<E>(plan, inputs),
        InputSet::Rewards => pairs::rewards::<E>(plan, inputs),
        InputSet::Unpaired => unpaired::unpaired::<E>(entry, plan, inputs),
        InputSet::Online => online::online::<E>(plan, inputs),
    }
}

/// One side's token log-probabilities, of which gradients are asked.
struct Side<E: Dtype>
where
    Cpu: Device<E>,
{
    name: String,
    leaf: Tensor<(usize, usize), E, Cpu>,
    mask: Vec<bool>,
    /// The sums' identity, to ask for their gradient.
    key: Sums<E, NoneTape>,
    counts: Vec<usize>,
}

/// The same side on tapes that start there: by token and summed.
struct Traced<E: Dtype>
where
    Cpu: Device<E>,
{
    tokens: TokenLogps<usize, usize, E, Cpu, Taped<E>>,
    sums: SequenceLogps<usize, E, Cpu, Taped<E>>,
}

impl<E: Dtype> Side<E>
where
    Cpu: Device<E>,
{
    /// Reads `{model}_{side}_token_logps` with its mask; prompt tokens are those before the last completion token.
    fn read(inputs: &Inputs<'_>, model: &str, side: &str, mask: &str) -> Fallible<(Self, Traced<E>)> {
        let name = if side.is_empty() { model.to_owned() } else { format!("{model}_{side}") };
        let logps = inputs.array(&format!("{name}_token_logps"))?;
        let mask: Vec<bool> = match mask {
            "" => vec![true; logps.values.len()],
            key => inputs.array(key)?.values.iter().map(|&m| m != 0.0).collect(),
        };
        let leaf: Tensor<(usize, usize), E, Cpu> = from_f64(&Cpu::default(), &logps.values, (logps.rows, logps.columns))?;
        let counted = TokenLogps::new(leaf.leaky_trace(), &mask)?;
        let counts = counted.counts().to_vec();
        let sums = counted.sum()?;
        let prompt: Vec<bool> = mask.chunks(logps.columns).flat_map(before_the_end).collect();
        let tokens = TokenLogps::new(leaf.leaky_trace(), &mask)?.with_prompt(&prompt)?;
        Ok((Self { name, leaf, mask, key: sums.logps.retaped(), counts }, Traced { tokens, sums }))
    }

    /// Gradients in the tokens and their sums, under the names of the file.
    fn grads(&self, grads: &Gradients<E, Cpu>, by_token: bool, found: &mut BTreeMap<String, Vec<f64>>) {
        let tokens = to_f64(&grads.get(&self.leaf));
        let sums = match by_token {
            false => to_f64(&grads.get(&self.key)),
            // The file gives it where all tokens of a row share one gradient.
            true => self.first_counted(&tokens),
        };
        found.insert(format!("{}_token_logps", self.name), tokens);
        found.insert(format!("{}_logps", self.name), sums);
    }

    fn first_counted(&self, tokens: &[f64]) -> Vec<f64> {
        let columns = self.leaf.shape().1;
        let rows = tokens.chunks(columns).zip(self.mask.chunks(columns));
        rows.map(|(row, mask)| mask.iter().position(|&m| m).map_or(0.0, |i| row[i])).collect()
    }
}

/// Cells before the last completion token that are not completion themselves.
fn before_the_end(row: &[bool]) -> Vec<bool> {
    let end = row.iter().rposition(|&m| m).unwrap_or(0);
    row.iter().enumerate().map(|(i, &m)| !m && i < end).collect()
}

/// The mean loss and its gradients.
fn backward<E: Dtype>(terms: Terms<E>) -> Fallible<(Vec<f64>, Gradients<E, Cpu>)>
where
    Cpu: Device<E>,
{
    let loss = terms.mean()?;
    let value = to_f64(&loss);
    Ok((value, loss.try_backward().map_err(|e| e.to_string())?))
}

/// A column of the diagnostics; empty when the loss does not report it.
fn column<E: Dtype>(terms: &Terms<E>, name: &str) -> Vec<f64>
where
    Cpu: Device<E>,
{
    terms.diagnostics.get(name).unwrap_or_default().to_vec()
}

/// The mean of some figures, as a scalar of the file.
fn mean(values: &[f64]) -> Vec<f64> {
    vec![values.iter().sum::<f64>() / values.len() as f64]
}

/// A map with owned keys, without the empty ones.
fn named<const N: usize>(items: [(&str, Vec<f64>); N]) -> BTreeMap<String, Vec<f64>> {
    items.into_iter().filter(|(_, v)| !v.is_empty()).map(|(name, values)| (name.to_string(), values)).collect()
}
