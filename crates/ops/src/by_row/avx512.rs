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
                let ahead = if i == 0 { COLUMNS * x.cols() } else { 0 };
                let store = Store { to, row, column: j, live, ahead };
                // SAFETY: every row has as many elements as the columns of `x`; `product` of the parent compared them
                unsafe {
                    match next - row {
                        6 => tile::<6>(x, w, store),
                        5 => tile::<5>(x, w, store),
                        4 => tile::<4>(x, w, store),
                        3 => tile::<3>(x, w, store),
                        2 => tile::<2>(x, w, store),
                        _ => tile::<1>(x, w, store),
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Store {
    to: Target<f32>,
    row: usize,
    column: usize,
    live: usize,
    /// how far ahead weights are fetched, in elements; 0 for not at all
    ahead: usize,
}

/// # Safety
/// `w` must point to as many elements as `x` has columns.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
unsafe fn tile<const M: usize>(x: View<f32>, w: [*const f32; COLUMNS], store: Store) {
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
        if store.ahead > 0 {
            // the weights of the next columns are on their way while these are used
            w.iter().for_each(|p| _mm_prefetch::<_MM_HINT_T0>(p.wrapping_add(store.ahead + k).cast()));
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
    for (i, sums) in sums.into_iter().enumerate() {
        let mut values = [0.0; COLUMNS];
        // SAFETY: `values` holds four numbers
        unsafe { _mm_storeu_ps(values.as_mut_ptr(), totals(sums)) };
        store.to.put(store.row + i, store.column, &values[..store.live]);
    }
}

/// Sums of four vectors' lanes, pairwise: lane l with l + 8, then l + 4, l + 2, l + 1.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
fn totals([a, b, c, d]: [__m512; COLUMNS]) -> __m128 {
    let halves = |a, b| _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
    let (ab, cd) = (halves(a, b), halves(c, d));
    let quarters = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
    let pairs = _mm512_add_ps(quarters, _mm512_permute_ps::<0b01_00_11_10>(quarters));
    let all = _mm512_add_ps(pairs, _mm512_permute_ps::<0b10_11_00_01>(pairs));
    _mm512_castps512_ps128(_mm512_maskz_compress_ps(0b0001_0001_0001_0001, all))
}
