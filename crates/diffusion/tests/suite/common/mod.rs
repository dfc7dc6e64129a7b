//! What the tests share.

pub(crate) mod pairs;
pub(crate) mod plain;
pub(crate) mod prove;
pub(crate) mod solve;

use dfdx::prelude::*;
use tropism_diffusion::Samples;

pub(crate) type Rows<T = NoneTape> = Samples<usize, usize, f64, T>;
pub(crate) type Vector<T = NoneTape> = Tensor<(usize,), f64, Cpu, T>;

/// A table of rows of equal length.
pub(crate) fn rows(values: &[&[f64]]) -> Rows {
    let columns = values[0].len();
    Cpu::default().tensor_from_vec(values.concat(), (values.len(), columns))
}

/// A vector.
pub(crate) fn vector(values: &[f64]) -> Vector {
    Cpu::default().tensor_from_vec(values.to_vec(), (values.len(),))
}

/// Equality within `tolerance` times the size of what is wanted, or times 1.
#[track_caller]
pub(crate) fn close(found: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(found.len(), want.len(), "{found:?} is not {want:?}");
    for (x, y) in found.iter().zip(want) {
        assert!((x - y).abs() <= tolerance * y.abs().max(1.0), "{found:?} is not {want:?}");
    }
}
