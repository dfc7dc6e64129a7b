//! Weights that are not trained, stored in 16 or 8 bits.
use crate::bf16::{PANEL, Source, to_bf16};
use crate::error::{OpsError, below};
use crate::mm::{Precision, View, big};
use crate::par::{Ptr, split};
use crate::raw::{data, data_mut};
use crate::scalar::Scalar;
use crate::weights::Weights;
use dfdx::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// How frozen weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrozenFormat {
    /// rounded to bf16: relative error of a weight at most 2^-8
    Bf16,
    /// 8 bits and one scale per row: error of a weight at most 1/254 of its row's largest
    Int8,
}

/// A weight matrix that is not trained. Clones share the weights.
///
/// Rows stand in panels of 16, inner neighbours side by side, so that products read memory in one run and without
/// conversion; on processors without bf16 products they are converted piece by piece.
#[derive(Clone, Debug)]
pub struct Frozen<O: Dim, I: Dim> {
    rows: O,
    cols: I,
    pub(crate) store: Arc<Store>,
}

/// Rows `ids` of frozen weights times `scale`: token embeddings that are not trained.
///
/// # Shapes
/// weight (V, D), result (ids.len(), D).
///
/// # Errors
/// An id that is not below V, with its position.
pub fn embed_frozen<V: Dim, D: Dim, E: Scalar>(
    weight: &Frozen<V, D>,
    ids: &[usize],
    scale: f64,
) -> Result<Tensor<(usize, D), E, Cpu>, OpsError>
where
    Cpu: Device<E>,
{
    below("embed", ids, weight.rows.size(), None)?;
    let mut out: Tensor<(usize, D), E, Cpu> = Cpu::default().try_zeros_like(&(ids.len(), weight.cols))?;
    for (to, &i) in data_mut(&mut out).chunks_exact_mut(weight.cols.size()).zip(ids) {
        weight.store.decode(i..i + 1, to);
        to.iter_mut().for_each(|v| *v *= E::c(scale));
    }
    Ok(out)
}

/// Packed rows: word `(panel * words per row + j) * 16 + row` holds a row's elements from `j * per word` on, the first in
/// the lowest bits.
#[derive(Debug)]
pub(crate) struct Store {
    rows: usize,
    cols: usize,
    words: Vec<u32>,
    /// one per row when elements have 8 bits
    scales: Option<Vec<f32>>,
}

/// Rows that are converted at a time where products need numbers: whole panels.
const CHUNK: usize = 16 * PANEL;

impl<O: Dim, I: Dim> Frozen<O, I> {
    /// The weights as they are now, rounded.
    pub fn new<E: Scalar>(weight: &Tensor<(O, I), E, Cpu>, format: FrozenFormat) -> Self
    where
        Cpu: Device<E>,
    {
        let (rows, cols) = *weight.shape();
        let weight = weight.clone().contiguous();
        Frozen { rows, cols, store: Arc::new(Store::new(data(&weight), cols.size(), format)) }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (O, I) {
        (self.rows, self.cols)
    }

    /// Memory that the weights take.
    pub fn bytes(&self) -> usize {
        4 * (self.store.words.len() + self.store.scales.as_ref().map_or(0, Vec::len))
    }
}

impl Store {
    fn new<E: Scalar>(w: &[E], cols: usize, format: FrozenFormat) -> Self {
        let rows = w.len() / cols.max(1);
        let per = if format == FrozenFormat::Bf16 { 2 } else { 4 };
        let each = cols.div_ceil(4) * 4 / per;
        let panels = rows.div_ceil(PANEL);
        let row = |i: usize| &w[(i * cols).min(w.len())..((i + 1) * cols).min(w.len())];
        let largest = |i: usize| row(i).iter().fold(0f32, |m, v| m.max(v.f().abs() as f32));
        let scales = (per == 4).then(|| (0..panels * PANEL).map(|i| largest(i) / 127.0).collect::<Vec<f32>>());
        let mut words = vec![0u32; panels * PANEL * each];
        let to = Ptr::of(&mut words);
        split(panels, (1 << 14) / (PANEL * cols).max(1) + 1, |first, end| {
            for i in first * PANEL..end * PANEL {
                let inverse = scales.as_ref().map(|s| if s[i] > 0.0 { 1.0 / s[i] } else { 0.0 });
                // SAFETY: the words of panels first..end belong to this task alone
                let panel = unsafe { to.range(i / PANEL * PANEL * each, PANEL * each) };
                for (k, v) in row(i).iter().enumerate() {
                    let bits = match inverse {
                        None => u32::from(to_bf16(v.f() as f32)),
                        Some(s) => u32::from((v.f() as f32 * s).round() as i8 as u8),
                    };
                    panel[k / per * PANEL + i % PANEL] |= bits << (k % per * 32 / per);
                }
            }
        });
        Store { rows, cols, words, scales }
    }

    fn words_per_row(&self) -> usize {
        self.words.len() / (self.rows.div_ceil(PANEL) * PANEL).max(1)
    }

    /// Rows `range`, row-major.
    pub(crate) fn decode<E: Scalar>(&self, range: Range<usize>, out: &mut [E]) {
        let each = self.words_per_row();
        for (i, out) in range.zip(out.chunks_exact_mut(self.cols.max(1))) {
            let panel = &self.words[i / PANEL * PANEL * each..][..PANEL * each];
            for (k, v) in out.iter_mut().enumerate() {
                *v = E::c(match &self.scales {
                    None => f32::from_bits(panel[k / 2 * PANEL + i % PANEL] >> (k % 2 * 16) << 16).into(),
                    Some(s) => {
                        let byte = (panel[k / 4 * PANEL + i % PANEL] >> (k % 4 * 8)) as u8 as i8;
                        f64::from(s[i]) * f64::from(byte)
                    }
                });
            }
        }
    }

    /// The panels of rows `range`, which starts at a whole panel.
    fn source(&self, range: &Range<usize>) -> Source<'_> {
        let each = self.words_per_row();
        let (first, end) = (range.start / PANEL * PANEL, range.end.div_ceil(PANEL) * PANEL);
        let words = &self.words[first * each..end * each];
        match &self.scales {
            None => Source::Pairs(words),
            Some(s) => Source::Bytes(words, &s[first..end]),
        }
    }

    /// `f(rows, their numbers)` for pieces of `range`.
    fn pieces<E: Scalar>(&self, range: Range<usize>, mut f: impl FnMut(Range<usize>, &[E])) {
        let mut numbers = vec![E::zero(); CHUNK.min(range.len()) * self.cols];
        for first in range.clone().step_by(CHUNK) {
            let piece = first..(first + CHUNK).min(range.end);
            let numbers = &mut numbers[..piece.len() * self.cols];
            self.decode(piece.clone(), numbers);
            f(piece, numbers);
        }
    }
}

impl<E: Scalar> Weights<E> for Store {
    fn cols(&self) -> usize {
        self.cols
    }

    fn forward(&self, c: &mut [E], stride: usize, acc: bool, x: View<E>, range: Range<usize>) {
        if range.start.is_multiple_of(PANEL) && E::frozen_product(c, stride, acc, x, self.source(&range), range.len()) {
            return;
        }
        self.pieces(range.clone(), |piece, numbers| {
            let w = View::new(numbers, piece.len(), self.cols);
            big(&mut c[piece.start - range.start..], stride, acc, x, w.t(), Precision::FullByRow);
        });
    }

    fn backward(&self, dx: &mut [E], g: View<E>, range: Range<usize>) {
        self.pieces(range.clone(), |piece, numbers| {
            let g = g.columns(piece.start - range.start, piece.len());
            big(dx, self.cols, true, g, View::new(numbers, piece.len(), self.cols), Precision::Full);
        });
    }
}
