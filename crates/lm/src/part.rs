//! A layer that can be run again: what gradient checkpointing keeps.
use crate::architecture::Names;
use crate::dims::Dims;
use crate::error::LmError;
use crate::layer::{Layer, Pass};
use dfdx::prelude::*;
use std::sync::Arc;
use tropism_ops::{Part, Precision, RopeTable, Scalar, TapeOf, Tree, attention};

/// One layer with all that it needs besides its input. Weights are shared with the model.
#[derive(Clone, Debug)]
pub(crate) struct LayerPart<M: Dims, E: Dtype> {
    pub(crate) layer: Layer<M, E>,
    pub(crate) table: RopeTable<E>,
    pub(crate) tree: Arc<Tree>,
    pub(crate) precision: Precision,
    pub(crate) names: Names,
    pub(crate) index: usize,
}

impl<M: Dims, E: Scalar> Part<(usize, M::Hidden), E> for LayerPart<M, E>
where
    Cpu: Device<E>,
{
    type Error = LmError;

    fn run<T: TapeOf<E>>(
        &self,
        x: Tensor<(usize, M::Hidden), E, Cpu, T>,
    ) -> Result<Tensor<(usize, M::Hidden), E, Cpu, T>, LmError> {
        let pass = Pass { table: &self.table, positions: self.tree.positions(), precision: self.precision };
        let (q, k, v) = self.layer.project(x.with_empty_tape(), &pass)?;
        self.layer.finish(attention(q, k, v, &self.tree, self.layer.attention(&pass))?, x, &pass)
    }
}
