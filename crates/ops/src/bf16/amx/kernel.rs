//! 32 x 32 numbers of a product in four tiles.
use super::super::PANEL;
use super::plan::SIDE;
use super::tiles::{ROW_BYTES, Tiles};
use std::arch::asm;
use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

/// Words of a tile: 16 rows of 16.
pub(super) const WORDS: usize = 256;
/// Words of a line of the cache.
const LINE: usize = 16;

/// What one run multiplies.
pub(super) struct Work {
    /// per step two tiles of rows
    pub(super) a: *const u32,
    /// a tile of columns per step, for the left and the right 16 columns
    pub(super) b: [*const u32; 2],
    /// words from one step's tile of columns to the next step's
    pub(super) b_step: usize,
    /// steps of 32 inner elements
    pub(super) steps: usize,
    /// steps that tiles of columns are fetched ahead
    pub(super) early: usize,
    /// what later runs read first, and how many of its lines come into the second-level cache meanwhile
    pub(super) next: (*const u32, usize),
}

/// A rectangle of the destination of at most 32 x 32 numbers.
pub(super) struct Target {
    pub(super) c: *mut f32,
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) add: bool,
}

/// A destination of full size.
#[repr(C, align(64))]
struct Patch([f32; SIDE * SIDE]);

/// `to (+)= a b`.
///
/// # Safety
/// All steps of `work` must be readable (the right columns where `to` has more than 16), and `to` a rectangle that is
/// valid for writing and that nobody else touches.
pub(super) unsafe fn run<T: Tiles>(tiles: &mut T, work: &Work, to: &Target) {
    // SAFETY: the caller's promise; what is not whole is computed beside the destination
    unsafe {
        match (to.rows > PANEL, to.cols > PANEL) {
            (true, true) => sized::<T, 2, 2>(tiles, work, to),
            (true, false) => sized::<T, 2, 1>(tiles, work, to),
            (false, true) => sized::<T, 1, 2>(tiles, work, to),
            (false, false) => sized::<T, 1, 1>(tiles, work, to),
        }
    }
}

/// `R` x `C` tiles.
///
/// # Safety
/// As [`run`].
unsafe fn sized<T: Tiles, const R: usize, const C: usize>(tiles: &mut T, work: &Work, to: &Target) {
    // SAFETY: the caller's promise; the patch holds all tiles
    unsafe {
        if (to.rows, to.cols) == (R * PANEL, C * PANEL) {
            return whole::<T, R, C>(tiles, work, to);
        }
        let mut patch = Patch([0.0; SIDE * SIDE]);
        let rows = |p: *mut f32, i: usize| (to.c.add(i * to.stride), p.add(i * SIDE));
        let p = patch.0.as_mut_ptr();
        for (c, p) in (0..if to.add { to.rows } else { 0 }).map(|i| rows(p, i)) {
            p.copy_from_nonoverlapping(c, to.cols);
        }
        whole::<T, R, C>(tiles, work, &Target { c: p, stride: SIDE, ..*to });
        for (c, p) in (0..to.rows).map(|i| rows(p, i)) {
            c.copy_from_nonoverlapping(p, to.cols);
        }
    }
}

/// # Safety
/// As [`run`], and `16 R` x `16 C` numbers of the destination must be valid.
#[inline(always)]
unsafe fn whole<T: Tiles, const R: usize, const C: usize>(tiles: &mut T, work: &Work, to: &Target) {
    // SAFETY: the caller's promise; a prefetch may point anywhere
    unsafe {
        start::<T, R, C>(tiles, to);
        for k in 0..work.steps {
            fetch::<R, C>(work, to, k);
            let (a, b) = (work.a.add(2 * k * WORDS), work.b.map(|b| b.wrapping_add(k * work.b_step)));
            tiles.load::<4>(a.cast(), ROW_BYTES);
            tiles.load::<6>(b[0].cast(), ROW_BYTES);
            tiles.multiply::<0, 4, 6>();
            if C == 2 {
                tiles.load::<7>(b[1].cast(), ROW_BYTES);
                tiles.multiply::<1, 4, 7>();
            }
            if R == 2 {
                tiles.load::<5>(a.add(WORDS).cast(), ROW_BYTES);
                tiles.multiply::<2, 5, 6>();
            }
            if R == 2 && C == 2 {
                tiles.multiply::<3, 5, 7>();
            }
        }
        finish::<T, R, C>(tiles, to);
    }
}

/// Sums start from what the destination holds, or from zero.
#[inline(always)]
unsafe fn start<T: Tiles, const R: usize, const C: usize>(tiles: &mut T, to: &Target) {
    if !to.add {
        tiles.zero::<0>();
        tiles.zero::<1>();
        tiles.zero::<2>();
        tiles.zero::<3>();
        return;
    }
    let stride = to.stride * size_of::<f32>();
    // SAFETY: the tiles lie inside the destination, by the caller's promise
    unsafe {
        tiles.load::<0>(to.c.cast(), stride);
        if C == 2 {
            tiles.load::<1>(to.c.add(PANEL).cast(), stride);
        }
        if R == 2 {
            tiles.load::<2>(to.c.add(PANEL * to.stride).cast(), stride);
        }
        if R == 2 && C == 2 {
            tiles.load::<3>(to.c.add(PANEL * to.stride + PANEL).cast(), stride);
        }
    }
}

#[inline(always)]
unsafe fn finish<T: Tiles, const R: usize, const C: usize>(tiles: &mut T, to: &Target) {
    let stride = to.stride * size_of::<f32>();
    // SAFETY: the tiles lie inside the destination, by the caller's promise
    unsafe {
        tiles.store::<0>(to.c.cast(), stride);
        if C == 2 {
            tiles.store::<1>(to.c.add(PANEL).cast(), stride);
        }
        if R == 2 {
            tiles.store::<2>(to.c.add(PANEL * to.stride).cast(), stride);
        }
        if R == 2 && C == 2 {
            tiles.store::<3>(to.c.add(PANEL * to.stride + PANEL).cast(), stride);
        }
    }
}

/// Brings what comes next nearer, a share with each step: columns some steps ahead, rows of a later run, and the
/// destination of the next run, which lies 32 columns further.
#[inline(always)]
fn fetch<const R: usize, const C: usize>(work: &Work, to: &Target, k: usize) {
    for b in work.b.iter().take(C) {
        let at = b.wrapping_add((k + work.early) * work.b_step);
        // SAFETY: a prefetch may point anywhere
        (0..PANEL).for_each(|i| unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(i * LINE).cast()) });
    }
    let lines = work.next.1.div_ceil(work.steps);
    for i in k * lines..(k + 1) * lines {
        // SAFETY: as above
        unsafe { _mm_prefetch::<_MM_HINT_T1>(work.next.0.wrapping_add(i * LINE).cast()) };
    }
    let rows = (R * PANEL).div_ceil(work.steps);
    for i in k * rows..((k + 1) * rows).min(R * PANEL) {
        let at = to.c.wrapping_add(i * to.stride + SIDE);
        // SAFETY: as above; processors without the instruction take it for one that does nothing
        unsafe {
            asm!("prefetchw [{p}]", "prefetchw [{p} + 64]", p = in(reg) at, options(nostack, readonly, preserves_flags));
        }
    }
}
