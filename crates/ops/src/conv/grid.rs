//! Where the cells of an image or a clip lie, and which of them a kernel covers.
use crate::error::{OpsError, same};
use crate::scalar::Scalar;
use crate::simd::add_assign;

/// A kernel that slides over frames, rows and columns of cells, with zeros around them.
///
/// A cell of the result stands over every `stride`-th cell of the input, beginning with the first; the kernel is centred on it.
/// So a stride of 1 keeps the size, and a stride of 2 halves it, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// frames, rows and columns of the input; one frame for images
    pub size: [usize; 3],
    /// frames, rows and columns of the kernel, each odd
    pub kernel: [usize; 3],
    /// steps from one cell of the result to the next
    pub stride: [usize; 3],
}

impl Window {
    /// A square kernel within each frame.
    pub fn spatial(size: [usize; 3], kernel: usize, stride: usize) -> Self {
        Window { size, kernel: [1, kernel, kernel], stride: [1, stride, stride] }
    }

    /// A kernel over the frames of each place.
    pub fn temporal(size: [usize; 3], kernel: usize) -> Self {
        Window { size, kernel: [kernel, 1, 1], stride: [1; 3] }
    }

    /// Frames, rows and columns of the result.
    pub fn result(&self) -> [usize; 3] {
        std::array::from_fn(|k| self.size[k].div_ceil(self.stride[k].max(1)))
    }

    /// Cells that the kernel covers.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Samples in `rows` rows of input.
    pub(super) fn samples(&self, rows: usize) -> Result<usize, OpsError> {
        for k in 0..3 {
            if self.kernel[k].is_multiple_of(2) || self.stride[k] == 0 || self.size[k] == 0 {
                let problem = "sizes and strides must be at least 1, kernels odd";
                return Err(OpsError::Window { window: *self, problem });
            }
        }
        let cells: usize = self.size.iter().product();
        same("conv", "rows beyond whole samples", 0, rows % cells)?;
        Ok(rows / cells)
    }

    /// Calls `f(tap, place, cell)` for each tap of the kernel over each place of the result, `cell` being that of the input, none
    /// where the kernel reaches beyond it. Taps of a place come in order.
    fn each(&self, mut f: impl FnMut(usize, usize, Option<usize>)) {
        let (out, [kt, ky, kx]) = (self.result(), self.kernel);
        let at = |k: usize, place: usize, tap: usize| {
            let cell = (place * self.stride[k] + tap).checked_sub(self.kernel[k] / 2)?;
            (cell < self.size[k]).then_some(cell)
        };
        let mut place = 0;
        for t in 0..out[0] {
            for y in 0..out[1] {
                for x in 0..out[2] {
                    for tap in 0..kt * ky * kx {
                        let (dt, dy, dx) = (tap / (ky * kx), tap / kx % ky, tap % kx);
                        let cell = at(0, t, dt)
                            .zip(at(1, y, dy))
                            .zip(at(2, x, dx))
                            .map(|((t, y), x)| (t * self.size[1] + y) * self.size[2] + x);
                        f(tap, place, cell);
                    }
                    place += 1;
                }
            }
        }
    }

    /// Element offsets of the input's cells by place and tap; `usize::MAX` beyond the input.
    pub(super) fn table(&self, channels: usize) -> Vec<usize> {
        let mut table = vec![usize::MAX; self.result().iter().product::<usize>() * self.taps()];
        self.each(|tap, place, cell| {
            if let Some(cell) = cell {
                table[place * self.taps() + tap] = cell * channels;
            }
        });
        table
    }
}

/// Writes one sample's patches: a row per place, the channels of each tap one after the other.
pub(super) fn unfold<E: Scalar>(patches: &mut [E], sample: &[E], table: &[usize], channels: usize) {
    for (to, &from) in patches.chunks_exact_mut(channels).zip(table) {
        match from {
            usize::MAX => to.fill(E::zero()),
            from => to.copy_from_slice(&sample[from..from + channels]),
        }
    }
}

/// Adds the gradients of one sample's patches to those of its cells.
pub(super) fn fold_back<E: Scalar>(sample: &mut [E], patches: &[E], table: &[usize], channels: usize) {
    for (from, &to) in patches.chunks_exact(channels).zip(table) {
        if to != usize::MAX {
            add_assign(&mut sample[to..to + channels], from);
        }
    }
}
