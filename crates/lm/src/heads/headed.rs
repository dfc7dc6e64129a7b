//! A trunk and its heads, trained together.
use super::Heads;
use crate::config::Config;
use crate::decoder::{Decoder, count};
use crate::dims::{Dims, Outputs};
use crate::error::LmError;
use crate::linear::Rows;
use crate::load::load;
use crate::save::WeightDtype;
use dfdx::prelude::*;
use std::path::Path;
use tropism_ops::{Params, Scalar, TapeOf, Tree, Visit, VisitMut, rows};

/// A decoder with heads beside the language model's. Visitors see the trained parameters of both, the trunk's first.
///
/// ```
/// use tropism_lm::{Config, Decoder, Dims, HeadSpec, Headed, Heads, Loaded, Sizes};
/// use tropism_ops::Tree;
///
/// let sizes = Sizes { vocab: 16, hidden: 8, ff: 16, layers: 1, heads: 2, kv_heads: 1, head_dim: 4, positions: 32 };
/// let trunk = Decoder::<Loaded, f32>::random(Loaded::new(Config::new(sizes, true)?), 7)?;
/// let spec = HeadSpec { name: "value".into(), outputs: 1, bias: true };
/// let heads = Heads::random(trunk.dims.hidden(), &[spec], 0.1, 7)?;
/// let model = Headed { trunk, heads };
/// let values = model.values("value", &[3, 1, 4], &Tree::sequences(&[3])?, dfdx::prelude::NoneTape)?;
/// assert_eq!(values.as_vec().len(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Headed<M: Dims, E: Dtype> {
    /// the decoder
    pub trunk: Decoder<M, E>,
    /// on its normalised last states
    pub heads: Heads<M::Hidden, E>,
}

/// The last token of every sequence of a packed batch, in the order of the segments: the ends of the segments that no other
/// continues.
pub fn last_tokens(tree: &Tree) -> Vec<usize> {
    let segments = tree.segments();
    let continued: std::collections::BTreeSet<usize> = segments.iter().filter_map(|s| s.parent).collect();
    let leaves = segments.iter().enumerate().filter(|(i, _)| !continued.contains(i));
    leaves.map(|(_, s)| s.start + s.len - 1).collect()
}

impl<M: Dims, E: Scalar> Headed<M, E>
where
    Cpu: Device<E>,
{
    /// Number of trained parameters, of the trunk and of all heads.
    pub fn parameters(&self) -> usize {
        count(self)
    }

    /// A value per token, `[N]`.
    ///
    /// # Gradient
    /// To the head, and to the trunk's trained parameters but its output projection.
    ///
    /// # Errors
    /// As [`Decoder::states`] and [`Heads::scalar`].
    pub fn values<T: TapeOf<E>>(
        &self,
        head: &str,
        ids: &[usize],
        tree: &Tree,
        tape: T,
    ) -> Result<Tensor<(usize,), E, Cpu, T>, LmError> {
        self.heads.get(head)?;
        self.heads.scalar(head, self.trunk.states(ids, tree, tape)?)
    }

    /// A row of rewards per sequence, `[sequences, outputs]`, read at its last token ([`last_tokens`]).
    ///
    /// # Gradient
    /// As [`Headed::values`].
    ///
    /// # Errors
    /// As [`Decoder::states`] and [`Heads::get`].
    pub fn rewards<T: TapeOf<E>>(
        &self,
        head: &str,
        ids: &[usize],
        tree: &Tree,
        tape: T,
    ) -> Result<Rows<Outputs, E, T>, LmError> {
        self.heads.get(head)?;
        let states = self.trunk.states(ids, tree, tape)?;
        self.heads.forward(head, rows(states, &last_tokens(tree))?)
    }

    /// Writes the trunk's model folder and `heads.safetensors` beside it, into an existing folder.
    ///
    /// # Errors
    /// As [`Decoder::save`] and [`Heads::save`].
    pub fn save(&self, folder: &Path, dtype: WeightDtype) -> Result<(), LmError> {
        self.trunk.save(folder, dtype)?;
        self.heads.save(folder, dtype)
    }

    /// Reads what [`Headed::save`] wrote.
    ///
    /// # Errors
    /// As [`load`](crate::load) and [`Heads::load`].
    pub fn load(folder: &Path, dims: impl FnOnce(Config) -> Result<M, LmError>) -> Result<Self, LmError> {
        let trunk = load(folder, dims)?;
        let heads = Heads::load(folder, trunk.dims.hidden())?;
        Ok(Headed { trunk, heads })
    }
}

impl<M: Dims, E: Dtype> Params<E> for Headed<M, E> {
    fn visit<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        self.trunk.visit(v)?;
        self.heads.visit(v)
    }

    fn visit_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        self.trunk.visit_mut(v)?;
        self.heads.visit_mut(v)
    }
}
