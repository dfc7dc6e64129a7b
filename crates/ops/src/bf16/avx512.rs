//! The product by AVX-512's `vdpbf16ps`: 16 columns and two inner elements per instruction.
use super::pack::{self, Panels};
use super::{PANEL, Source};
use crate::mm::View;
use crate::par::{Ptr, split};
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Rows of the destination that one run of the kernel computes; half a panel.
const ROWS: usize = 8;
/// Column panels that one run of the kernel computes.
const COLUMNS: usize = 3;
/// Lines of packed columns that are fetched ahead: a few rows read them from memory, not from the cache.
const AHEAD: usize = 24;
/// Pairs of inner elements per pass: what a run reads of `b` stays in the second-level cache.
const DEPTH: usize = 512;

/// Least multiply-adds (in pairs) of one thread's share.
const FORK: usize = 1 << 18;

thread_local! {
    /// Packed operands, kept from product to product.
    static PACKED: RefCell<[Vec<u32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// See [`super::product`]; the caller has checked the processor.
pub(super) fn product(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, b: View<f32>) {
    let b = b.t();
    packed(&[&a, &b], |buffers| {
        let [left, right] = buffers;
        let (pa, pb) = (pack::pack(a, left), pack::pack(b, right));
        multiply(c, stride, acc, (pa, a.rows()), (Source::Pairs(pb.data), b.rows()));
    });
}

/// As [`product`], on this thread alone.
///
/// # Safety
/// `c[i * stride + j]` must be valid for every row i and column j of the product, and nobody else may touch it meanwhile.
pub(super) unsafe fn alone(c: *mut f32, stride: usize, acc: bool, a: View<f32>, b: View<f32>) {
    let (b, n) = (b.t(), b.cols());
    packed(&[&a, &b], |[left, right]| {
        let (pa, pb) = (pack::pack_alone(a, left), pack::pack_alone(b, right));
        assert_eq!(pa.pairs, pb.pairs, "inner sizes of a product");
        let (pairs, b) = (pa.pairs, Source::Pairs(pb.data));
        let whole = Whole { a: pa.data, b, pairs, m: a.rows(), n, c: Ptr::raw(c), stride };
        for k in (0..pairs.max(1)).step_by(DEPTH) {
            let depth = k..(k + DEPTH).min(pairs);
            whole.block(0..a.rows().div_ceil(ROWS), 0..n.div_ceil(COLUMNS * PANEL), depth, acc || k > 0);
        }
    });
}

/// As [`product`], with `n` columns of `b` packed before.
pub(super) fn with_packed(c: &mut [f32], stride: usize, acc: bool, a: View<f32>, b: Source, n: usize) {
    packed(&[&a], |[left]| {
        let pa = pack::pack(a, left);
        multiply(c, stride, acc, (pa, a.rows()), (b, n));
    });
}

/// Lends buffers that are large enough for the packed operands.
fn packed<const N: usize>(operands: &[&View<f32>; N], f: impl FnOnce([&mut [u32]; N])) {
    // taken out, not borrowed: a thread that waits for its helpers may be given another product meanwhile
    let mut buffers = PACKED.take();
    for (buffer, v) in buffers.iter_mut().zip(operands) {
        if buffer.len() < pack::size(v) {
            buffer.resize(pack::size(v), 0);
        }
    }
    let mut each = buffers.iter_mut().map(Vec::as_mut_slice);
    f(std::array::from_fn(|_| each.next().unwrap_or_default()));
    PACKED.set(buffers);
}

fn multiply(c: &mut [f32], stride: usize, acc: bool, (a, m): (Panels, usize), (b, n): (Source, usize)) {
    assert_eq!(b.len(), n.div_ceil(PANEL) * PANEL * a.pairs, "inner sizes of a product");
    assert!(m == 0 || n == 0 || (m - 1) * stride + n <= c.len(), "product outside its slice");
    let whole = Whole { a: a.data, b, pairs: a.pairs, m, n, c: Ptr::of(c), stride };
    let (bands, groups) = (m.div_ceil(ROWS), n.div_ceil(COLUMNS * PANEL));
    // below this share of work a fork costs more than it saves
    let least = |work: usize| FORK / (work * whole.pairs).max(1) + 1;
    for k in (0..whole.pairs.max(1)).step_by(DEPTH) {
        let depth = k..(k + DEPTH).min(whole.pairs);
        let add = acc || k > 0;
        // the longer side is shared out
        if groups >= bands / 6 {
            let least = least(m * COLUMNS * PANEL);
            split(groups, least, |first, end| whole.block(0..bands, first..end, depth.clone(), add));
        } else {
            split(bands, least(n * ROWS), |first, end| whole.block(first..end, 0..groups, depth.clone(), add));
        }
    }
}

struct Whole<'a> {
    a: &'a [u32],
    b: Source<'a>,
    pairs: usize,
    m: usize,
    n: usize,
    c: Ptr<f32>,
    stride: usize,
}

/// A rectangle of the destination: where it starts, and its rows and columns.
struct Target {
    row: usize,
    c: *mut f32,
    stride: usize,
    rows: usize,
    cols: usize,
    add: bool,
}

impl Whole<'_> {
    /// Bands of 8 rows times groups of 3 panels of columns, over `depth` pairs of the inner axis.
    fn block(
        &self,
        bands: std::ops::Range<usize>,
        groups: std::ops::Range<usize>,
        depth: std::ops::Range<usize>,
        add: bool,
    ) {
        let (mut decoded, last) = (vec![], groups.end.saturating_sub(1));
        for (turn, group) in groups.enumerate() {
            let col = group * COLUMNS * PANEL;
            let cols = (self.n - col).min(COLUMNS * PANEL);
            let panels = cols.div_ceil(PANEL);
            let (lines, step) = self.lines(col / PANEL, panels, depth.clone(), &mut decoded);
            for band in bands.clone() {
                let to = self.target(band * ROWS, col, ROWS, cols, add);
                let a = (to.row / PANEL * self.pairs + depth.start) * PANEL + to.row % PANEL;
                let fetch = Fetch::new(turn == 0, group == last, bands.len(), band - bands.start);
                // SAFETY: tasks have disjoint rectangles; panels are whole, so a and b hold what the kernel reads
                unsafe {
                    let (a, b) = (self.a.as_ptr().add(a), lines.as_ptr());
                    let from = b.wrapping_add(fetch.panel * step + fetch.line * PANEL);
                    match (panels, fetch.panels) {
                        (3, 0) => kernel::<3, 0>(a, b, step, depth.len(), &to, from),
                        (3, 1) => kernel::<3, 1>(a, b, step, depth.len(), &to, from),
                        (3, 2) => kernel::<3, 2>(a, b, step, depth.len(), &to, from),
                        (3, _) => kernel::<3, 3>(a, b, step, depth.len(), &to, from),
                        (2, _) => kernel::<2, 2>(a, b, step, depth.len(), &to, from),
                        _ => kernel::<1, 1>(a, b, step, depth.len(), &to, from),
                    }
                }
            }
        }
    }

    /// At most `rows` rows and `cols` columns of the destination from a place in it on.
    fn target(&self, row: usize, col: usize, rows: usize, cols: usize, add: bool) -> Target {
        assert!(row < self.m && col < self.n, "outside the destination");
        // SAFETY: row and column lie inside the destination, whose size was checked, or promised, at the start
        let c = unsafe { self.c.at(row * self.stride + col) };
        Target { c, row, stride: self.stride, rows: rows.min(self.m - row), cols: cols.min(self.n - col), add }
    }

    /// The lines of `n` panels from panel `first` on, and how far apart the panels lie.
    fn lines<'b>(
        &'b self,
        first: usize,
        n: usize,
        depth: std::ops::Range<usize>,
        decoded: &'b mut Vec<u32>,
    ) -> (&'b [u32], usize) {
        match self.b {
            Source::Pairs(all) => (&all[(first * self.pairs + depth.start) * PANEL..], self.pairs * PANEL),
            Source::Bytes(all, scales) => {
                let step = depth.len() * PANEL;
                decoded.resize(n * step, 0);
                for (i, to) in decoded.chunks_exact_mut(step).enumerate() {
                    // two pairs to a word of four bytes
                    let from = (first + i) * self.pairs / 2 * PANEL + depth.start / 2 * PANEL;
                    let scales = &scales[(first + i) * PANEL..][..PANEL];
                    // SAFETY: the caller of this module has found the processor's features
                    unsafe { pack::decode(&all[from..from + step / 2], scales, to) };
                }
                (decoded, step)
            }
        }
    }
}

/// What a run of the kernel fetches for later: so many panels, line by line with its own, from a panel and a line on.
struct Fetch {
    panels: usize,
    panel: usize,
    line: usize,
}

impl Fetch {
    /// For one of `bands` runs over a group of columns: the first of a task's first group fetches for itself, the others
    /// share what the next group will need, so that reading memory goes on while the processor multiplies.
    fn new(first: bool, last: bool, bands: usize, band: usize) -> Self {
        if bands == 1 || first && band == 0 {
            return Fetch { panels: COLUMNS, panel: 0, line: AHEAD };
        }
        let (bands, band) = if first { (bands - 1, band - 1) } else { (bands, band) };
        let each = COLUMNS.div_ceil(bands);
        let panel = (band * each).min(COLUMNS);
        let panels = if last { 0 } else { each.min(COLUMNS - panel) };
        Fetch { panels, panel: COLUMNS + panel, line: 0 }
    }
}

/// 8 rows times `N` panels of columns; `F` panels are fetched from `fetch` on.
///
/// # Safety
/// `a` and each of the N panels, `step` numbers apart from `b` on, must hold `depth` lines of 16 pairs; `to` must be a
/// rectangle that is valid for writing and that nobody else touches.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
unsafe fn kernel<const N: usize, const F: usize>(
    a: *const u32,
    b: *const u32,
    step: usize,
    depth: usize,
    to: &Target,
    fetch: *const u32,
) {
    let mut sums = [[_mm512_setzero_ps(); N]; ROWS];
    for k in 0..depth {
        // SAFETY: line k is below depth; a prefetch may point anywhere
        unsafe {
            for j in 0..F {
                _mm_prefetch::<_MM_HINT_T1>(fetch.wrapping_add(j * step + k * PANEL).cast());
            }
            let right: [__m512bh; N] =
                std::array::from_fn(|j| pairs(_mm512_loadu_si512(b.add(j * step + k * PANEL).cast())));
            for (i, row) in sums.iter_mut().enumerate() {
                let left = pairs(_mm512_set1_epi32(*a.add(k * PANEL + i) as i32));
                for (sum, &right) in row.iter_mut().zip(&right) {
                    *sum = _mm512_dpbf16_ps(*sum, left, right);
                }
            }
        }
    }
    for (i, row) in sums.iter().enumerate().take(to.rows) {
        for (j, &sum) in row.iter().enumerate() {
            let live = to.cols - j * PANEL;
            let mask = if live >= PANEL { u16::MAX } else { (1 << live) - 1 };
            // SAFETY: the mask keeps to the rectangle's columns
            unsafe {
                let p = to.c.wrapping_add(i * to.stride + j * PANEL);
                let old = if to.add { _mm512_maskz_loadu_ps(mask, p) } else { _mm512_setzero_ps() };
                _mm512_mask_storeu_ps(p, mask, _mm512_add_ps(old, sum));
            }
        }
    }
}

/// Operations of one round of [`peak`]: 24 instructions of 16 lanes with two multiply-adds.
pub(super) const PEAK_FLOPS: f64 = 24.0 * 64.0;

/// As many multiply-adds in flight as the kernel has, without its loads.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn peak(rounds: usize) -> f32 {
    let mut sums = [_mm512_set1_ps(0.5); ROWS * COLUMNS];
    let (a, b) = (pairs(_mm512_set1_epi32(0x3c00_3c00)), pairs(_mm512_set1_epi32(0x3c01_3c00)));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, a, b);
        }
    }
    let mut total = _mm512_setzero_ps();
    for sum in sums {
        total = _mm512_add_ps(total, sum);
    }
    _mm512_reduce_add_ps(total)
}

/// The same bits as pairs of bf16.
fn pairs(v: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without a niche
    unsafe { std::mem::transmute(v) }
}
