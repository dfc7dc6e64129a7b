//! How a product is cut into pieces that fit the caches and the threads.
use super::kernel::WORDS;
use std::ops::Range;

/// Rows and columns that one run of the kernel computes: two tiles each way.
pub(super) const SIDE: usize = 32;
/// Inner elements of a tile.
pub(super) const STEP: usize = 32;
/// Steps of one part of the inner axis: its 18 KiB of rows stay in the first-level cache beside a stream of columns.
const PART: usize = 9;
/// Bytes of packed columns of a block, which stay in the second-level cache.
const BLOCK: usize = 1 << 20;
/// Units of work per thread: enough to even out, few enough that each reads the other operand seldom.
const UNITS: usize = 2;

/// `m` rows in bands of 32, `n` columns in strips of 32 and blocks of strips, inner elements in steps of 32 and parts of
/// steps.
pub(super) struct Plan {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) depth: usize,
    /// strips of a block, of the last block fewer
    width: usize,
    pub(super) parts: usize,
    /// whether threads share out the rows; otherwise the blocks of columns
    pub(super) by_rows: bool,
    /// bands of a unit of work when threads share out the rows
    pub(super) unit: usize,
}

impl Plan {
    pub(super) fn new(m: usize, n: usize, depth: usize, threads: usize) -> Self {
        let (bands, strips, steps) = (m.div_ceil(SIDE), n.div_ceil(SIDE), depth.div_ceil(STEP));
        // what is read only once need not stay in the first-level cache
        let parts = if bands == 1 || strips == 1 { 1 } else { steps.div_ceil(PART).max(1) };
        let by_rows = threads > 1 && bands > strips;
        let fitting = (BLOCK / (2 * steps.max(1) * WORDS * size_of::<u32>())).max(1);
        let share = if by_rows { strips } else { strips.div_ceil(threads * UNITS) };
        let blocks = strips.div_ceil(fitting.min(share).max(1));
        let width = strips.div_ceil(blocks.max(1)).max(1);
        Plan { m, n, depth, width, parts, by_rows, unit: bands.div_ceil(threads * UNITS).max(1) }
    }

    pub(super) fn steps(&self) -> usize {
        self.depth.div_ceil(STEP)
    }

    pub(super) fn bands(&self) -> usize {
        self.m.div_ceil(SIDE)
    }

    pub(super) fn strips(&self) -> usize {
        self.n.div_ceil(SIDE)
    }

    pub(super) fn blocks(&self) -> usize {
        self.strips().div_ceil(self.width)
    }

    /// Steps of a part.
    pub(super) fn part(&self, part: usize) -> Range<usize> {
        self.steps() * part / self.parts..self.steps() * (part + 1) / self.parts
    }

    /// Strips of a block.
    pub(super) fn strips_of(&self, block: usize) -> Range<usize> {
        block * self.width..((block + 1) * self.width).min(self.strips())
    }

    /// The block of a strip.
    pub(super) fn block_of(&self, strip: usize) -> usize {
        strip / self.width
    }

    /// Tiles of the packed columns of `strips`.
    pub(super) fn tiles(&self, strips: usize) -> usize {
        2 * strips * self.steps()
    }

    /// Where a strip's part starts, in tiles from its block's start: parts are outermost, so that a pass over a part reads
    /// the block in one run.
    pub(super) fn chunk(&self, strip: usize, part: usize) -> usize {
        let strips = self.strips_of(self.block_of(strip));
        let steps = self.part(part);
        2 * (steps.start * strips.len() + (strip - strips.start) * steps.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_of_a_block_has_one_place() {
        for (m, n, depth, threads) in
            [(1, 1, 1, 1), (100, 700, 700, 2), (64, 4000, 1536, 2), (3000, 100, 2000, 4), (1, 99, 640, 3)]
        {
            let plan = Plan::new(m, n, depth, threads);
            for block in 0..plan.blocks() {
                let strips = plan.strips_of(block);
                let mut seen = vec![0; plan.tiles(strips.len())];
                for (strip, part) in strips.flat_map(|s| (0..plan.parts).map(move |p| (s, p))) {
                    let first = plan.chunk(strip, part);
                    seen[first..first + 2 * plan.part(part).len()].iter_mut().for_each(|n| *n += 1);
                }
                assert!(seen.iter().all(|&n| n == 1), "{m} {n} {depth} on {threads} threads, block {block}");
            }
            assert_eq!(plan.strips_of(plan.blocks() - 1).end, plan.strips());
        }
    }

    #[test]
    fn sizes_of_a_transformer() {
        // gate projection on 2 threads: the columns are shared out, two parts of 9 steps
        let plan = Plan::new(1024, 1536, 576, 2);
        assert_eq!((plan.by_rows, plan.parts, plan.blocks(), plan.part(1)), (false, 2, 4, 9..18));
        // down projection: the rows are, and the columns make two blocks of less than 1 MiB
        let plan = Plan::new(1024, 576, 1536, 2);
        assert_eq!((plan.by_rows, plan.parts, plan.blocks(), plan.unit), (true, 6, 2, 8));
    }
}
