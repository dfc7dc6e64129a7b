//! Rotary position embedding.
use crate::error::{OpsError, same};
use crate::par::split_rows;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::{add_into, simd};
use dfdx::prelude::*;
use std::sync::Arc;

/// Cosine and sine of `position * frequency` for positions 0, 1, …; made once and shared.
#[derive(Clone, Debug)]
pub struct RopeTable<E> {
    half: usize,
    cos: Arc<Vec<E>>,
    sin: Arc<Vec<E>>,
}

impl<E: Scalar> RopeTable<E> {
    /// Table for `positions` positions; `frequencies` holds one angle per step of position, in radians, for each of the
    /// head's two halves: `base^(-2 i / head_dim)` for the plain form. Angles are made in f64.
    pub fn new(frequencies: &[f64], positions: usize) -> Self {
        Self::scaled(frequencies, 1.0, positions)
    }

    /// [`RopeTable::new`] with cosines and sines multiplied by `amplitude`, so that rotated vectors change their length.
    pub fn scaled(frequencies: &[f64], amplitude: f64, positions: usize) -> Self {
        let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f64 * f));
        let (cos, sin) =
            angles.map(|a| (E::c(a.cos() * amplitude), E::c(a.sin() * amplitude))).unzip::<E, E, Vec<E>, Vec<E>>();
        RopeTable { half: frequencies.len(), cos: Arc::new(cos), sin: Arc::new(sin) }
    }

    /// Number of positions that the table holds.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    /// Rotates every head of every row; `direction` -1 turns back.
    fn rotate(&self, x: &mut [E], width: usize, positions: &[usize], direction: E) {
        let h = self.half;
        split_rows((x, width), (&mut [(); 0], 0), 64, |first, part, _| {
            for (i, row) in part.chunks_exact_mut(width).enumerate() {
                let o = positions[first + i] * h;
                for head in row.chunks_exact_mut(2 * h) {
                    turn(head, &self.cos[o..o + h], &self.sin[o..o + h], direction);
                }
            }
        });
    }
}

simd! {
    fn turn<E>(head: &mut [E], cos: &[E], sin: &[E], direction: E) {
        let half = head.len() / 2;
        let (u, v) = head.split_at_mut(half);
        for (((u, v), &c), &s) in u.iter_mut().zip(v).zip(cos).zip(sin) {
            let (a, b, s) = (*u, *v, s * direction);
            *u = a * c - b * s;
            *v = b * c + a * s;
        }
    }
}

/// Rotates the pair (i, i + head_dim / 2) of each head by `position * frequency[i]`, the layout of Llama checkpoints.
///
/// # Shapes
/// x (N, heads * head_dim), one position per row; result as x.
///
/// # Gradient
/// To `x`: the inverse rotation.
///
/// # Errors
/// A number of positions other than N, a position beyond the table, a width that is no multiple of the head's.
///
/// # Source
/// Su et al. 2021, eq. 34, with halves instead of neighbours paired.
pub fn rope<N: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, D), E, Cpu, T>,
    table: &RopeTable<E>,
    positions: &[usize],
) -> Result<Tensor<(N, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let width = x.shape().1.size();
    same("rope", "number of positions", x.shape().0.size(), positions.len())?;
    same("rope", "width beyond whole heads", 0, width % (2 * table.half).max(1))?;
    crate::error::below("rope", positions, table.positions(), None)?;
    let (x, tape) = x.try_contiguous()?.split_tape();
    let mut out: Tensor<(N, D), E, Cpu> = x.device().try_zeros_like(x.shape())?;
    data_mut(&mut out).copy_from_slice(data(&x));
    table.rotate(data_mut(&mut out), width, positions, E::one());
    let (slot, table, positions) = (GradSlot::of(&x), table.clone(), positions.to_vec());
    drop(x);
    Ok(record(out, tape, move |go, grads| {
        let mut g = go.to_vec();
        table.rotate(&mut g, width, &positions, -E::one());
        add_into(slot.get(grads)?, &g);
        Ok(())
    }))
}
