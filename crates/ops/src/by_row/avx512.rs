//! Tiles of f32 for AVX-512: 6 rows by 4 weight rows in 24 registers.
use super::{BLOCK, COLUMNS, Target};
use crate::mm::View;
use std::arch::x86_64::*;
use std::ops::Range;

/// Most rows of a tile.
const ROWS: usize = 6;

/// The product of all rows of `x` by `columns` of `w`, in blocks of rows. Needs AVX-512 F and DQ.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
pub(super) fn product(x: View<f32>, w: View<f32>, columns: Range<usize>, to: Target<f32>) {
    for at in (0..x.rows()).step_by(BLOCK) {
        let end = (at + BLOCK).min(x.rows());
        for j in columns.clone().step_by(COLUMNS) {
            // columns beyond the last repeat it and are not stored
            let live = COLUMNS.min(columns.end - j);
            let w: [*const f32; COLUMNS] = std::array::from_fn(|i| w.row(j + i.min(live - 1)).as_ptr());
            let tiles = (end - at).div_ceil(ROWS);
            for i in 0..tiles {
                let (row, next) = (at + (end - at) * i / tiles, at + (end - at) * (i + 1) / tiles);
                let store = Store { to, row, column: j, live };
                // the weights of the next columns come meanwhile, a share of them with each tile
                let (n, share) = (x.cols(), COLUMNS.saturating_sub(i).div_ceil(tiles));
                let next_w: [*const f32; COLUMNS] =
                    std::array::from_fn(|s| w[0].wrapping_add((COLUMNS + i + s * tiles) * n));
                let ahead = &next_w[..share];
                // SAFETY: every row has as many elements as the columns of `x`; `product` of the parent compared them
                unsafe {
                    match share {
                        0 => any_tile::<false>(next - row, x, w, ahead, store),
                        _ => any_tile::<true>(next - row, x, w, ahead, store),
                    }
                }
            }
        }
    }
}

/// # Safety
/// That of [`tile`].
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
#[inline]
unsafe fn any_tile<const FETCH: bool>(
    height: usize,
    x: View<f32>,
    w: [*const f32; COLUMNS],
    ahead: &[*const f32],
    store: Store,
) {
    // SAFETY: the caller's promise
    unsafe {
        match height {
            6 => tile::<6, FETCH>(x, w, ahead, store),
            5 => tile::<5, FETCH>(x, w, ahead, store),
            4 => tile::<4, FETCH>(x, w, ahead, store),
            3 => tile::<3, FETCH>(x, w, ahead, store),
            2 => tile::<2, FETCH>(x, w, ahead, store),
            _ => tile::<1, FETCH>(x, w, ahead, store),
        }
    }
}

#[derive(Clone, Copy)]
struct Store {
    to: Target<f32>,
    row: usize,
    column: usize,
    live: usize,
}

/// `ahead` is fetched, whether or not it is anybody's memory, and not read.
///
/// # Safety
/// `w` must point to as many elements as `x` has columns.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
unsafe fn tile<const M: usize, const FETCH: bool>(
    x: View<f32>,
    w: [*const f32; COLUMNS],
    ahead: &[*const f32],
    store: Store,
) {
    let rows: [*const f32; M] = std::array::from_fn(|i| x.row(store.row + i).as_ptr());
    let depth = x.cols();
    let mut sums = [[_mm512_setzero_ps(); COLUMNS]; M];
    let mut step = |left: [__m512; M], right: [__m512; COLUMNS]| {
        for (sums, left) in sums.iter_mut().zip(left) {
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_fmadd_ps(left, right, *sum);
            }
        }
    };
    let whole = depth / 16 * 16;
    for k in (0..whole).step_by(16) {
        if FETCH {
            ahead.iter().for_each(|p| _mm_prefetch::<_MM_HINT_T0>(p.wrapping_add(k).cast()));
        }
        // SAFETY: k + 16 is at most the rows' length
        let load = |p: *const f32| unsafe { _mm512_loadu_ps(p.add(k)) };
        step(rows.map(load), w.map(load));
    }
    if whole < depth {
        let mask = (1 << (depth - whole)) - 1;
        // SAFETY: the mask keeps to the rows' elements
        let load = |p: *const f32| unsafe { _mm512_maskz_loadu_ps(mask, p.add(whole)) };
        step(rows.map(load), w.map(load));
    }
    for (i, sums) in sums.iter().enumerate() {
        store.put(i, totals(sums));
    }
}

impl Store {
    /// Row `i` of the tile.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
    #[inline]
    fn put(&self, i: usize, sums: __m128) {
        // SAFETY: the parent checked the size of the destination, and tasks have disjoint columns; the mask keeps to the
        // tile's columns
        unsafe {
            let p = self.to.c.at((self.row + i) * self.to.stride + self.column);
            let mask = (1 << self.live) - 1;
            match (self.to.acc, self.live) {
                (false, COLUMNS) => _mm_storeu_ps(p, sums),
                (true, COLUMNS) => _mm_storeu_ps(p, _mm_add_ps(_mm_loadu_ps(p), sums)),
                (false, _) => _mm_mask_storeu_ps(p, mask, sums),
                (true, _) => _mm_mask_storeu_ps(p, mask, _mm_add_ps(_mm_maskz_loadu_ps(mask, p), sums)),
            }
        }
    }
}

/// Sums of four vectors' lanes, pairwise: lane l with l + 8, then l + 4, l + 2, l + 1.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
#[inline]
fn totals(&[a, b, c, d]: &[__m512; COLUMNS]) -> __m128 {
    let halves = |a, b| _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
    let (ab, cd) = (halves(a, b), halves(c, d));
    let quarters = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
    let pairs = _mm512_add_ps(quarters, _mm512_permute_ps::<0b01_00_11_10>(quarters));
    let all = _mm512_add_ps(pairs, _mm512_permute_ps::<0b10_11_00_01>(pairs));
    _mm512_castps512_ps128(_mm512_maskz_compress_ps(0b0001_0001_0001_0001, all))
}
