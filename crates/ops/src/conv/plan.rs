//! The products of a convolution, a block of samples at a time.
use super::grid::{Window, fold_back, unfold};
use crate::mm::{Precision, View, alone};
use crate::par::{Ptr, blocks, split};
use crate::scalar::Scalar;
use crate::simd::add_assign;

/// Rows of patches in a block: fixed, so that sums do not depend on the number of threads.
const BLOCK_ROWS: usize = 1024;

/// Sizes of one convolution.
pub(super) struct Plan {
    /// offsets of the input's cells by place and tap
    table: Vec<usize>,
    samples: usize,
    /// of the input
    channels: usize,
    /// of the result
    outputs: usize,
    /// cells of a sample, in the input
    cells: usize,
    /// cells of a sample, in the result
    pub(super) places: usize,
    /// elements of a patch
    patch: usize,
    precision: Precision,
}

impl Plan {
    pub(super) fn new(window: Window, samples: usize, (channels, outputs): (usize, usize), precision: Precision) -> Self {
        Plan {
            table: window.table(channels),
            samples,
            channels,
            outputs,
            cells: window.size.iter().product(),
            places: window.result().iter().product(),
            patch: window.taps() * channels,
            precision,
        }
    }

    /// Samples in a block.
    fn step(&self) -> usize {
        (BLOCK_ROWS / self.places).max(1)
    }

    /// The patches of samples `a..b`.
    fn patches<E: Scalar>(&self, x: &[E], a: usize, b: usize) -> Vec<E> {
        let (from, to) = (self.cells * self.channels, self.places * self.patch);
        let mut patches = vec![E::zero(); (b - a) * to];
        for (patches, sample) in patches.chunks_exact_mut(to).zip(x[a * from..b * from].chunks_exact(from)) {
            unfold(patches, sample, &self.table, self.channels);
        }
        patches
    }

    /// Calls `f(first sample, last sample)` for blocks, shared out over the threads.
    fn each_block(&self, f: impl Fn(usize, usize) + Sync + Send) {
        let step = self.step();
        split(self.samples.div_ceil(step), 1, |s, e| {
            (s..e).for_each(|i| f(i * step, ((i + 1) * step).min(self.samples)));
        });
    }

    /// `y = patches W^T`.
    pub(super) fn forward<E: Scalar>(&self, y: &mut [E], x: &[E], w: &[E]) {
        let (o, k, size) = (self.outputs, self.patch, self.places * self.outputs);
        assert_eq!(y.len(), self.samples * size, "result of a convolution");
        let y = Ptr::of(y);
        self.each_block(|a, b| {
            let (patches, rows) = (self.patches(x, a, b), (b - a) * self.places);
            // SAFETY: the samples of a block are its own, and y has `size` elements for each
            let y = unsafe { y.range(a * size, (b - a) * size) };
            alone(y, o, false, View::new(&patches, rows, k), View::new(w, o, k).t(), self.precision);
        });
    }

    /// `dx += W^T g`, put back where the patches were taken.
    pub(super) fn to_input<E: Scalar>(&self, dx: &mut [E], go: &[E], w: &[E]) {
        let (o, k, size) = (self.outputs, self.patch, self.cells * self.channels);
        assert_eq!(dx.len(), self.samples * size, "input of a convolution");
        let dx = Ptr::of(dx);
        self.each_block(|a, b| {
            let rows = (b - a) * self.places;
            let mut patches = vec![E::zero(); rows * k];
            let g = View::new(&go[a * self.places * o..], rows, o);
            alone(&mut patches, k, false, g, View::new(w, o, k), self.precision);
            // SAFETY: the samples of a block are its own, and dx has `size` elements for each
            let dx = unsafe { dx.range(a * size, (b - a) * size) };
            for (dx, patches) in dx.chunks_exact_mut(size).zip(patches.chunks_exact(self.places * k)) {
                fold_back(dx, patches, &self.table, self.channels);
            }
        });
    }

    /// `dW += g^T patches`, block by block in order.
    pub(super) fn to_weight<E: Scalar>(&self, dw: &mut [E], go: &[E], x: &[E]) {
        let (o, k) = (self.outputs, self.patch);
        for part in blocks(self.samples, self.step(), |a, b| {
            let (patches, rows) = (self.patches(x, a, b), (b - a) * self.places);
            let mut part = vec![E::zero(); o * k];
            let g = View::new(&go[a * self.places * o..], rows, o);
            alone(&mut part, k, false, g.t(), View::new(&patches, rows, k), self.precision);
            part
        }) {
            add_assign(dw, &part);
        }
    }
}
