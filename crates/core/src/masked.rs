//! A table of values of which some cells count.

use dfdx::prelude::*;

use crate::{CoreError, numerics};

/// Cells `[B, L]` with the mask of those that count; what stands in the others reaches no figure and no gradient.
#[derive(Clone, Debug)]
pub(crate) struct Masked<B: Dim, L: Dim, E: Dtype, D: Device<E>, T = NoneTape> {
    cells: Tensor<(B, L), E, D, T>,
    mask: Vec<bool>,
}

impl<B: Dim, L: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Masked<B, L, E, D, T> {
    /// Joins cells with their mask, given row by row.
    pub(crate) fn new(what: &'static str, cells: Tensor<(B, L), E, D, T>, mask: &[bool]) -> Result<Self, CoreError> {
        let (rows, columns) = *cells.shape();
        if rows.size() * columns.size() == 0 {
            return Err(CoreError::Empty { what });
        }
        CoreError::check_size("mask", rows.size() * columns.size(), mask.len())?;
        check_selected(what, &numerics::to_f64(&cells), mask, columns.size())?;
        Ok(Self { cells, mask: mask.to_vec() })
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> (usize, usize) {
        let (rows, columns) = *self.cells.shape();
        (rows.size(), columns.size())
    }

    /// The mask, row by row.
    pub(crate) fn mask(&self) -> &[bool] {
        &self.mask
    }

    /// Counted cells of each row.
    pub(crate) fn counts(&self) -> Vec<usize> {
        self.mask.chunks(self.size().1).map(|row| row.iter().filter(|&&m| m).count()).collect()
    }

    /// Lets further cells count.
    pub(crate) fn widen(&mut self, what: &'static str, more: &[bool]) -> Result<(), CoreError> {
        CoreError::check_size(what, self.mask.len(), more.len())?;
        check_selected(what, &numerics::to_f64(&self.cells), more, self.size().1)?;
        self.mask.iter_mut().zip(more).for_each(|(m, &b)| *m |= b);
        Ok(())
    }

    /// Values row by row, 0 in cells that do not count.
    pub(crate) fn values(&self) -> Vec<f64> {
        let values = numerics::to_f64(&self.cells);
        values.into_iter().zip(&self.mask).map(|(v, &m)| if m { v } else { 0.0 }).collect()
    }

    /// The same cells with an empty tape.
    pub(crate) fn fork(&self) -> Self {
        Self { cells: self.cells.with_empty_tape(), mask: self.mask.clone() }
    }

    /// A copy outside any tape.
    pub(crate) fn detach(&self) -> Result<Masked<B, L, E, D>, CoreError> {
        Ok(Masked { cells: numerics::detach(&self.cells)?, mask: self.mask.clone() })
    }

    /// `values` per row, with `slopes` as gradient in the cells.
    pub(crate) fn attach(self, values: &[f64], slopes: &[f64]) -> Result<Tensor<(B,), E, D, T>, CoreError> {
        let (rows, columns) = *self.cells.shape();
        CoreError::check_size("slopes", self.mask.len(), slopes.len())?;
        let device = self.cells.device().clone();
        let slopes: Vec<f64> = slopes.iter().zip(&self.mask).map(|(&s, &m)| if m { s } else { 0.0 }).collect();
        let slopes: Tensor<(B, L), E, D> = numerics::from_f64(&device, &slopes, (rows, columns))?;
        let values: Tensor<(B,), E, D> = numerics::from_f64(&device, values, (rows,))?;
        let mask = mask_like(&self.cells, &self.mask)?;
        let zeros: Tensor<(B, L), E, D> = device.try_zeros_like(&self.cells).map_err(CoreError::device)?;
        let kept = mask.try_choose(self.cells, zeros).map_err(CoreError::device)?;
        // x - x is exactly 0, so the values are untouched while the tape sees the slopes.
        let origin = numerics::detach(&kept)?;
        let offset = kept.try_sub(origin).and_then(|d| d.try_mul(slopes)).map_err(CoreError::device)?;
        let offset: Tensor<(B,), E, D, T> = offset.try_sum::<_, Axis<1>>().map_err(CoreError::device)?;
        offset.try_add(values).map_err(CoreError::device)
    }

    /// Sums over the counted cells, with the tape.
    pub(crate) fn sum(self) -> Result<Tensor<(B,), E, D, T>, CoreError> {
        let mask = mask_like(&self.cells, &self.mask)?;
        numerics::masked_sum(self.cells, &mask)
    }
}

/// A mask on the device of `cells`.
fn mask_like<B: Dim, L: Dim, E: Dtype, D: Device<E>, T>(
    cells: &Tensor<(B, L), E, D, T>,
    mask: &[bool],
) -> Result<Tensor<(B, L), bool, D>, CoreError> {
    // Devices build tensors from floats for certain; a comparison turns them into booleans.
    let ones: Vec<f64> = mask.iter().map(|&m| f64::from(u8::from(m))).collect();
    let ones: Tensor<(B, L), E, D> = numerics::from_f64(cells.device(), &ones, *cells.shape())?;
    ones.try_gt(numerics::scalar::<E>(0.5)?).map_err(CoreError::device)
}

/// Fails on the first selected cell that is not finite.
fn check_selected(what: &'static str, values: &[f64], mask: &[bool], columns: usize) -> Result<(), CoreError> {
    match values.iter().zip(mask).position(|(v, &m)| m && !v.is_finite()) {
        None => Ok(()),
        Some(at) => Err(CoreError::NotFinite { what, row: at / columns, value: values[at] }),
    }
}
