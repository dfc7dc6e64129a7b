//! The product by AMX tiles: `tdpbf16ps` multiplies 16 rows by 16 columns over 32 inner elements.
//!
//! # What a step costs
//! A run of the kernel computes 32 x 32 numbers in four tiles. Per 32 inner elements it loads two tiles of rows and two of
//! columns (4 x 1 KiB) and makes four products of 16 x 16 x 32 = 8,192 multiply-adds. A product occupies the unit for 16
//! cycles, so a step takes at least 64 cycles: 512 multiply-adds or 1,024 operations per cycle and core, 3 TFLOP/s at 3 GHz.
//! Four sums in flight cover the 52 cycles that a product takes to its result.
//!
//! # What limits it
//! 4 KiB in 64 cycles are 64 bytes per cycle: within reach of the first-level cache (128), not of the second (64 at best,
//! about 40 to 48 in practice). So the inner axis is cut into parts of at most 9 steps: 18 KiB of rows stay in the first
//! level while a block of columns of at most 1 MiB passes by from the second, 32 bytes per cycle. Between parts the sums wait
//! in the destination: 8 KiB of traffic per 576 cycles and 32 x 32 numbers. Rows come from further away once per block of
//! columns, 1,024 bytes per cycle over its columns: 3 bytes per cycle at 341 columns, fetched ahead.
//!
//! # Packing
//! Both operands are packed into tiles of 1 KiB, two side by side per step, filled up with zeros. A tile of columns is 16
//! lines of a panel as `vdpbf16ps` takes it; a tile of rows is its transpose, which is what contiguous rows give without
//! transposing. Packing reads 4 and writes 2 bytes per number. Columns are packed by the thread that uses them next, into
//! its own cache; packed columns are copied likewise, or read where they lie when there is but one band of rows.
//!
//! # Order of the sums
//! The sum of an element goes step by step along the inner axis, from what the destination holds, whatever the part and the
//! thread, so a row's result does not depend on what other rows there are.
mod columns;
mod kernel;
mod plan;
#[cfg(test)]
mod software;
#[cfg(test)]
mod tests;
mod tiles;

use super::{PANEL, Source, pack};
use crate::mm::View;
use crate::par::{Ptr, split};
use columns::Columns;
use kernel::{Target, WORDS, Work};
use plan::{Plan, SIDE};
use std::cell::RefCell;
use std::ops::Range;
use std::thread::LocalKey;
pub(super) use tiles::Hardware;
use tiles::{Tiles, WHOLE};

/// A tile in memory. Rows that crossed lines of the cache would take twice as long to load.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Tile(pub(super) [u32; WORDS]);

/// Steps of the kernel that are worth a thread of their own.
const FORK: usize = 256;

thread_local! {
    /// Packed rows, kept from product to product.
    static ROWS: RefCell<Vec<Tile>> = const { RefCell::new(Vec::new()) };
    /// Packed columns.
    static COLUMNS: RefCell<Vec<Tile>> = const { RefCell::new(Vec::new()) };
}

/// Lends memory that a thread keeps.
fn lend(memory: &'static LocalKey<RefCell<Vec<Tile>>>, tiles: usize, f: impl FnOnce(&mut [Tile])) {
    // taken out, not borrowed: a thread that waits for its helpers may be given another product meanwhile
    let mut own = memory.take();
    if own.len() < tiles {
        own.resize(tiles, Tile([0; WORDS]));
    }
    f(&mut own[..tiles]);
    memory.set(own);
}

/// See [`super::product`].
///
/// # Safety
/// The processor must have the features of [`pack`] and the instructions of `T`, and the process the right to use them.
pub(super) unsafe fn product<T: Tiles>(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, b: View<f32>) {
    assert_eq!(a.cols(), b.rows(), "inner sizes of a product");
    // SAFETY: the caller's promise
    unsafe { multiply::<T>(c, stride, acc, a, Columns::Dense(b.t()), b.cols()) }
}

/// As [`product`], with `n` columns of `b` packed before.
///
/// # Safety
/// As [`product`].
pub(super) unsafe fn with_packed<T: Tiles>(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, b: Source, n: usize) {
    let pairs = pack::pairs(&a);
    assert_eq!(b.len(), n.div_ceil(PANEL) * PANEL * pairs, "inner sizes of a product");
    // SAFETY: the caller's promise
    unsafe { multiply::<T>(c, stride, acc, a, Columns::Packed(b, pairs), n) }
}

/// # Safety
/// As [`product`], and `b` must hold `n` columns of the depth of `a`.
unsafe fn multiply<T: Tiles>(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, b: Columns, n: usize) {
    let m = a.rows();
    assert!(m == 0 || n == 0 || (m - 1) * stride + n <= c.len(), "product outside its slice");
    if m == 0 || n == 0 {
        return;
    }
    let plan = Plan::new(m, n, a.cols(), rayon::current_num_threads());
    lend(&ROWS, plan.bands() * 2 * plan.steps(), |rows| {
        pack_rows(&plan, a, rows);
        let whole = Whole { plan: &plan, a: rows, b, c: Ptr::of(c), stride, acc };
        // SAFETY: the caller's promise; the destination was checked just now
        unsafe { if plan.by_rows { whole.by_rows::<T>() } else { whole.by_columns::<T>() } }
    });
}

/// Units of work so that a part of them holds at least `least`, when each holds `each`.
fn least(least: usize, each: usize) -> usize {
    least / each.max(1) + 1
}

/// Packs rows: a band's steps in a row, two tiles each.
fn pack_rows(plan: &Plan, a: View<f32>, out: &mut [Tile]) {
    let (to, band_tiles) = (Ptr::of(out), 2 * plan.steps());
    split(plan.bands(), least(2 * FORK, plan.steps()), |first, end| {
        for band in first..end {
            // SAFETY: each band belongs to one task and lies inside `out`
            let band_out = unsafe { to.range(band * band_tiles, band_tiles) };
            for (half, row) in [band * SIDE, band * SIDE + PANEL].into_iter().enumerate().filter(|(_, row)| *row < plan.m) {
                // SAFETY: AMX is used on processors with the features of `pack` only
                unsafe { pack::tiles(a.rows_from(row, PANEL), pack::Layout::Rows, band_out, half) };
            }
        }
    });
}

struct Whole<'a> {
    plan: &'a Plan,
    a: &'a [Tile],
    b: Columns<'a>,
    c: Ptr<f32>,
    stride: usize,
    acc: bool,
}

impl Whole<'_> {
    /// Threads share out the blocks of columns, and pack each block just before they use it.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn by_columns<T: Tiles>(&self) {
        let plan = self.plan;
        let (in_place, bands) = (self.b.in_place(plan), 0..plan.bands());
        let each = plan.strips_of(0).len() * plan.steps() * bands.len();
        split(plan.blocks(), least(FORK, each), |first, end| {
            // SAFETY: the caller's promise; the value lives and dies in this task
            let mut tiles = unsafe { T::configure(&WHOLE) };
            for block in first..end {
                // SAFETY: tasks have disjoint columns of the destination
                let mut run = |b: Packed| unsafe { self.block(&mut tiles, bands.clone(), block, b) };
                match in_place {
                    Some(words) => run(Packed::Panels(words)),
                    None => lend(&COLUMNS, plan.tiles(plan.strips_of(block).len()), |memory| {
                        for strip in plan.strips_of(block) {
                            // SAFETY: the memory holds the block's tiles and is this task's own
                            unsafe { self.b.fill(plan, strip, Ptr::of(memory)) };
                        }
                        run(Packed::Block(memory));
                    }),
                }
            }
        });
    }

    /// Threads share out the rows; all columns are packed before.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn by_rows<T: Tiles>(&self) {
        let plan = self.plan;
        let start = |block: usize| plan.tiles(plan.strips_of(block).start);
        lend(&COLUMNS, plan.tiles(plan.strips()), |memory| {
            let (to, all) = (Ptr::of(memory), memory.len());
            split(plan.strips(), least(2 * FORK, plan.steps()), |first, end| {
                for strip in first..end {
                    // SAFETY: the block starts inside the memory; each strip belongs to one task
                    unsafe { self.b.fill(plan, strip, to.from(start(plan.block_of(strip)))) };
                }
            });
            debug_assert_eq!(all, start(plan.blocks() - 1) + plan.tiles(plan.strips_of(plan.blocks() - 1).len()));
            let (memory, units) = (&*memory, plan.bands().div_ceil(plan.unit));
            split(units, least(FORK, plan.unit * plan.steps() * plan.strips()), |first, end| {
                // SAFETY: the caller's promise; the value lives and dies in this task
                let mut tiles = unsafe { T::configure(&WHOLE) };
                for unit in first..end {
                    let bands = unit * plan.unit..((unit + 1) * plan.unit).min(plan.bands());
                    for block in 0..plan.blocks() {
                        let packed = Packed::Block(&memory[start(block)..]);
                        // SAFETY: tasks have disjoint rows of the destination
                        unsafe { self.block(&mut tiles, bands.clone(), block, packed) };
                    }
                }
            });
        });
    }

    /// Some bands of rows times a block of columns.
    ///
    /// # Safety
    /// Nobody else may touch these rows and columns of the destination.
    unsafe fn block<T: Tiles>(&self, tiles: &mut T, bands: Range<usize>, block: usize, b: Packed) {
        let plan = self.plan;
        for (band, part) in bands.flat_map(|band| (0..plan.parts).map(move |part| (band, part))) {
            let (steps, strips) = (plan.part(part), plan.strips_of(block));
            let first = band * 2 * plan.steps() + 2 * steps.start;
            let a = self.a[first..first + 2 * steps.len()].as_ptr_range();
            // the rows of the next part or band lie right behind; each strip fetches a share of them
            let share = (2 * steps.len() * PANEL).div_ceil(strips.len());
            for (i, strip) in strips.enumerate() {
                let next = a.end.cast::<u32>().wrapping_add(i * share * PANEL);
                let (b, b_step, early) = b.strip(plan, strip, part);
                let next = (next, if plan.bands() > 1 { share } else { 0 });
                let work = Work { a: a.start.cast(), b, b_step, steps: steps.len(), early, next };
                let (row, col) = (band * SIDE, strip * SIDE);
                // SAFETY: row and column lie inside the destination, whose size `multiply` checked; the operands hold all
                // steps of the part
                unsafe {
                    let c = self.c.at(row * self.stride + col);
                    let (rows, cols) = (SIDE.min(plan.m - row), SIDE.min(plan.n - col));
                    let add = self.acc || part > 0;
                    kernel::run(tiles, &work, &Target { c, stride: self.stride, rows, cols, add });
                }
            }
        }
    }
}

/// Where a block of columns lies.
#[derive(Clone, Copy)]
enum Packed<'a> {
    /// in tiles, two per step
    Block(&'a [Tile]),
    /// all columns, in panels
    Panels(&'a [u32]),
}

impl Packed<'_> {
    /// Both halves of a strip's part, the words between steps, and how many steps ahead they are to be fetched: few from
    /// the second-level cache, more from memory.
    fn strip(&self, plan: &Plan, strip: usize, part: usize) -> ([*const u32; 2], usize, usize) {
        match self {
            Packed::Block(tiles) => {
                let first = plan.chunk(strip, part);
                let b = tiles[first..first + 2 * plan.part(part).len()].as_ptr().cast::<u32>();
                ([b, b.wrapping_add(WORDS)], 2 * WORDS, 2)
            }
            Packed::Panels(words) => {
                let panel = plan.steps() * WORDS;
                let live = (plan.n - strip * SIDE).div_ceil(PANEL).min(2);
                let b = words[2 * strip * panel..][..live * panel].as_ptr();
                ([b, b.wrapping_add(panel)], WORDS, 4)
            }
        }
    }
}

/// Operations of one round of [`peak`].
pub(super) const PEAK_FLOPS: f64 = 4.0 * 2.0 * (PANEL * PANEL * plan::STEP) as f64;

/// As many products in flight as the kernel has, without its loads.
///
/// # Safety
/// As [`product`].
pub(super) unsafe fn peak<T: Tiles>(rounds: usize) -> f32 {
    let mut sum = Tile([0; WORDS]);
    // SAFETY: the caller's promise; a tile has the size of the one that is stored
    unsafe {
        let mut tiles = T::configure(&WHOLE);
        for _ in 0..rounds {
            tiles.multiply::<0, 4, 6>();
            tiles.multiply::<1, 4, 7>();
            tiles.multiply::<2, 5, 6>();
            tiles.multiply::<3, 5, 7>();
        }
        tiles.store::<0>(sum.0.as_mut_ptr().cast(), tiles::ROW_BYTES);
    }
    f32::from_bits(sum.0[0])
}
