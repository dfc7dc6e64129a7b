//! The right operand: packed here or long before.
use super::super::{PANEL, Source, pack};
use super::Tile;
use super::kernel::WORDS;
use super::plan::{Plan, SIDE, STEP};
use crate::mm::View;
use crate::par::Ptr;

/// Columns of the destination.
#[derive(Clone, Copy)]
pub(super) enum Columns<'a> {
    /// as rows of f32 numbers
    Dense(View<'a, f32>),
    /// in panels of 16, and how many pairs of inner elements a panel has
    Packed(Source<'a>, usize),
}

impl<'a> Columns<'a> {
    /// Panels that can be read as they are: when that happens once (one band of rows), and in whole tiles.
    pub(super) fn in_place(&self, plan: &Plan) -> Option<&'a [u32]> {
        match *self {
            Columns::Packed(Source::Pairs(words), pairs) if plan.bands() == 1 && pairs == plan.steps() * PANEL => {
                Some(words)
            }
            _ => None,
        }
    }

    /// Packs a strip into the memory of its block.
    ///
    /// # Safety
    /// `to` must hold the block's tiles, and nobody else may touch those of the strip.
    pub(super) unsafe fn fill(&self, plan: &Plan, strip: usize, to: Ptr<Tile>) {
        for part in 0..plan.parts {
            let steps = plan.part(part);
            // SAFETY: the chunk belongs to the strip and lies inside the block
            let chunk = unsafe { to.range(plan.chunk(strip, part), 2 * steps.len()) };
            for half in 0..2 {
                let column = strip * SIDE + half * PANEL;
                if column < plan.n {
                    self.panel(plan, column, steps.start, chunk, half);
                }
            }
        }
    }

    /// 16 columns from `column` on, from step `first` on, to every other tile.
    fn panel(&self, plan: &Plan, column: usize, first: usize, chunk: &mut [Tile], half: usize) {
        match *self {
            Columns::Dense(v) => {
                let depth = (plan.depth - first * STEP).min(chunk.len() / 2 * STEP);
                let v = v.rows_from(column, PANEL).columns(first * STEP, depth);
                // SAFETY: AMX is used on processors with the features of `pack` only
                unsafe { pack::tiles(v, pack::Layout::Columns, chunk, half) }
            }
            Columns::Packed(source, pairs) => {
                for (step, tile) in chunk.chunks_exact_mut(2).enumerate() {
                    copy(source, column / PANEL, pairs, first + step, &mut tile[half]);
                }
            }
        }
    }
}

/// One tile of a panel; lines beyond the panel's end are zeros.
fn copy(source: Source, panel: usize, pairs: usize, step: usize, to: &mut Tile) {
    let lines = PANEL.min(pairs - step * PANEL);
    let (to, beyond) = to.0.split_at_mut(lines * PANEL);
    beyond.fill(0);
    let at = (panel * pairs + step * PANEL) * PANEL;
    match source {
        Source::Pairs(words) => to.copy_from_slice(&words[at..at + to.len()]),
        // two pairs to a word of four bytes
        Source::Bytes(words, scales) => {
            let scales = &scales[panel * PANEL..][..PANEL];
            // SAFETY: AMX is used on processors with the features of `pack` only
            unsafe { pack::decode(&words[at / 2..(at + to.len()) / 2], scales, to) }
        }
    }
}

const _: () = assert!(WORDS == PANEL * PANEL && STEP == 2 * PANEL);
