//! f32 matrices to panels of bf16 pairs.
use super::PANEL;
use super::amx::Tile;
use crate::mm::View;
use crate::par::{Ptr, split};
use std::arch::x86_64::*;

/// A packed matrix of `rows` rows (in panels of 16, the last filled up with zeros) and `pairs` pairs of inner elements:
/// `data[(panel * pairs + pair) * 16 + row]` holds elements `2 pair` (low half) and `2 pair + 1` (high half) of a row.
pub(super) struct Panels<'a> {
    pub(super) data: &'a [u32],
    pub(super) pairs: usize,
}

/// Numbers that `v` needs when packed.
pub(super) fn size(v: &View<f32>) -> usize {
    v.rows().div_ceil(PANEL) * PANEL * pairs(v)
}

/// Pairs along the inner axis, an even number of them so that kernels may take two at a time.
pub(super) fn pairs(v: &View<f32>) -> usize {
    v.cols().div_ceil(4) * 2
}

/// Packs the rows of `v` into `out`, over all threads. Needs avx512bf16 and companions.
pub(super) fn pack<'a>(v: View<f32>, out: &'a mut [u32]) -> Panels<'a> {
    let (panels, pairs) = (v.rows().div_ceil(PANEL), pairs(&v));
    let out = &mut out[..panels * PANEL * pairs];
    let to = Ptr::of(out);
    let least = (1 << 15) / (PANEL * pairs).max(1) + 1;
    split(panels, least, |first, end| {
        for panel in first..end {
            // SAFETY: each panel belongs to one task and lies inside `out`, which holds all of them
            let part = unsafe { to.range(panel * PANEL * pairs, PANEL * pairs) };
            one(v.rows_from(panel * PANEL, PANEL), part);
        }
    });
    Panels { data: out, pairs }
}

/// As [`pack`], on this thread alone.
pub(super) fn pack_alone<'a>(v: View<f32>, out: &'a mut [u32]) -> Panels<'a> {
    let pairs = pairs(&v);
    let out = &mut out[..v.rows().div_ceil(PANEL) * PANEL * pairs];
    for (panel, part) in out.chunks_exact_mut((PANEL * pairs).max(1)).enumerate() {
        one(v.rows_from(panel * PANEL, PANEL), part);
    }
    Panels { data: out, pairs }
}

/// One panel.
fn one(rows: View<f32>, out: &mut [u32]) {
    // SAFETY: the caller of this module has found the processor's features
    unsafe { if rows.row_major() { along(rows, out) } else { across(rows, out) } }
}

/// A panel whose rows are contiguous: 16 x 32 elements are rounded row by row and transposed in registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn along(v: View<f32>, out: &mut [u32]) {
    for (block, out) in out.chunks_mut(16 * PANEL).enumerate() {
        store(transpose(rows(v, block * 32)), out);
    }
}

/// 16 x 32 elements from inner element `k` on: a row's pairs to a register, zeros beyond the view.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn rows(v: View<f32>, k: usize) -> [__m512i; 16] {
    let cols = v.cols();
    let (low, high) = (mask(cols.saturating_sub(k)), mask(cols.saturating_sub(k + 16)));
    let mut tile = [_mm512_setzero_si512(); 16];
    for (i, line) in tile.iter_mut().enumerate().take(v.rows()) {
        let row = v.row(i);
        // SAFETY: masked-out elements are not read; the others lie inside the row
        unsafe {
            let p = row.as_ptr().wrapping_add(k);
            let a = _mm512_maskz_loadu_ps(low, p);
            let b = _mm512_maskz_loadu_ps(high, p.wrapping_add(16));
            *line = bits(_mm512_cvtne2ps_pbh(b, a));
        }
    }
    tile
}

/// As many lines as `out` holds.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(lines: [__m512i; 16], out: &mut [u32]) {
    for (line, to) in lines.into_iter().zip(out.chunks_exact_mut(PANEL)) {
        // SAFETY: `to` holds 16 numbers
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), line) };
    }
}

/// What the lines of a tile are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// a row's 16 pairs each
    Rows,
    /// a pair of all 16 rows each, as in a panel
    Columns,
}

/// At most 16 rows, in steps of 32 inner elements, to tile `half` of each two of `out`; zeros beyond the view.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn tiles(v: View<f32>, layout: Layout, out: &mut [Tile], half: usize) {
    let order = interleave();
    for (step, out) in out.chunks_exact_mut(2).enumerate() {
        let k = 32 * step;
        let lines = match (v.row_major(), layout) {
            (true, Layout::Rows) => rows(v, k),
            (true, Layout::Columns) => transpose(rows(v, k)),
            (false, Layout::Rows) => transpose(lines(v, k, order)),
            (false, Layout::Columns) => lines(v, k, order),
        };
        store(lines, &mut out[half].0);
    }
}

/// 16 x 32 elements from inner element `k` on: a pair of all rows to a register, zeros beyond the view.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn lines(v: View<f32>, k: usize, order: __m512i) -> [__m512i; 16] {
    let live = mask(v.rows());
    let line = |k: usize| {
        if k < v.cols() {
            // SAFETY: masked-out elements are not read; the others lie inside the column
            unsafe { _mm512_maskz_loadu_ps(live, v.column(k).as_ptr()) }
        } else {
            _mm512_setzero_ps()
        }
    };
    let mut tile = [_mm512_setzero_si512(); 16];
    for (i, to) in tile.iter_mut().enumerate() {
        let both = bits(_mm512_cvtne2ps_pbh(line(k + 2 * i + 1), line(k + 2 * i)));
        *to = _mm512_permutexvar_epi16(order, both);
    }
    tile
}

/// A panel whose inner neighbours lie a stride apart, its rows side by side: two lines at a time are interleaved.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn across(v: View<f32>, out: &mut [u32]) {
    let (rows, cols) = (mask(v.rows()), v.cols());
    let order = interleave();
    let line = |k: usize| {
        if k < cols {
            // SAFETY: masked-out elements are not read; the others lie inside the column
            unsafe { _mm512_maskz_loadu_ps(rows, v.column(k).as_ptr()) }
        } else {
            _mm512_setzero_ps()
        }
    };
    for (pair, to) in out.chunks_exact_mut(PANEL).enumerate() {
        let both = bits(_mm512_cvtne2ps_pbh(line(2 * pair + 1), line(2 * pair)));
        // SAFETY: `to` holds 16 numbers
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_permutexvar_epi16(order, both)) };
    }
}

/// A panel of bytes (16 rows, four inner neighbours to a word) to one of pairs of bf16, each row times its scale.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn decode(bytes: &[u32], scales: &[f32], out: &mut [u32]) {
    assert!(scales.len() == PANEL && out.len() == 2 * bytes.len() && bytes.len().is_multiple_of(PANEL));
    let order = interleave();
    // SAFETY: `scales` holds 16 numbers
    let scale = unsafe { _mm512_loadu_ps(scales.as_ptr()) };
    for (from, to) in bytes.chunks_exact(PANEL).zip(out.chunks_exact_mut(2 * PANEL)) {
        // SAFETY: `from` holds 16 words
        let words = unsafe { _mm512_loadu_si512(from.as_ptr().cast()) };
        let number = |i: __m512i| _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(i)), scale);
        let (a, b) = (number(_mm512_slli_epi32::<24>(words)), number(_mm512_slli_epi32::<16>(words)));
        let (c, d) = (number(_mm512_slli_epi32::<8>(words)), number(words));
        for (pair, to) in [(a, b), (c, d)].into_iter().zip(to.chunks_exact_mut(PANEL)) {
            let both = bits(_mm512_cvtne2ps_pbh(pair.1, pair.0));
            // SAFETY: `to` holds 16 words
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_permutexvar_epi16(order, both)) };
        }
    }
}

/// The order in which the low halves of two inputs alternate.
#[target_feature(enable = "avx512f")]
fn interleave() -> __m512i {
    let order: [u16; 32] = std::array::from_fn(|i| (i / 2 + 16 * (i % 2)) as u16);
    // SAFETY: `order` holds 32 numbers of 16 bits
    unsafe { _mm512_loadu_si512(order.as_ptr().cast()) }
}

/// The first `n` of 16 lanes.
fn mask(n: usize) -> u16 {
    if n >= 16 { u16::MAX } else { (1 << n) - 1 }
}

/// The same bits as whole numbers.
fn bits(v: __m512bh) -> __m512i {
    // SAFETY: both are 64 bytes without a niche
    unsafe { std::mem::transmute(v) }
}

/// Transposes 16 x 16 numbers of 32 bits.
#[target_feature(enable = "avx512f")]
fn transpose(r: [__m512i; 16]) -> [__m512i; 16] {
    let (mut a, mut b) = (r, r);
    for i in 0..8 {
        a[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for i in 0..4 {
        b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    // b holds columns of 4 x 4 blocks; two rounds of 128-bit shuffles put the blocks in place
    for j in 0..4 {
        a[j] = _mm512_shuffle_i32x4::<0x88>(b[j], b[4 + j]);
        a[4 + j] = _mm512_shuffle_i32x4::<0xdd>(b[j], b[4 + j]);
        a[8 + j] = _mm512_shuffle_i32x4::<0x88>(b[8 + j], b[12 + j]);
        a[12 + j] = _mm512_shuffle_i32x4::<0xdd>(b[8 + j], b[12 + j]);
    }
    for j in 0..4 {
        b[j] = _mm512_shuffle_i32x4::<0x88>(a[j], a[8 + j]);
        b[8 + j] = _mm512_shuffle_i32x4::<0xdd>(a[j], a[8 + j]);
        b[4 + j] = _mm512_shuffle_i32x4::<0x88>(a[4 + j], a[12 + j]);
        b[12 + j] = _mm512_shuffle_i32x4::<0xdd>(a[4 + j], a[12 + j]);
    }
    b
}
