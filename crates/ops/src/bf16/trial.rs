//! A trial of the tiles: small products compared with exact sums before the path is taken.
use super::amx::{Hardware, product};
use super::to_bf16;
use crate::mm::View;

/// Rows, inner elements and columns: odd edges in one part of the inner axis, and several parts.
const SHAPES: [(usize, usize, usize); 2] = [(37, 75, 45), (70, 330, 70)];

/// Compares both operand orders, with and without adding to the destination.
///
/// The terms are at most 1, so f32 sums of k of them differ by less than 1e-6 (k + 1).
pub(super) fn amx() -> Result<(), String> {
    for (m, k, n) in SHAPES {
        for (turned, acc) in [(false, false), (true, true)] {
            compare((m, k, n), turned, acc)?;
        }
    }
    Ok(())
}

fn compare((m, k, n): (usize, usize, usize), turned: bool, acc: bool) -> Result<(), String> {
    let (a, b, before) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
    let mut c = before.clone();
    let view = |d, rows, cols| if turned { View::new(d, cols, rows).t() } else { View::new(d, rows, cols) };
    // below the size that is shared out: a thread that waits for helpers might be asked for the path again
    // SAFETY: the caller has seen the features, and the system's permission
    unsafe { product::<Hardware>(&mut c, n, acc, view(&a, m, k), view(&b, k, n)) };
    let at = |r: usize, c: usize, rows: usize, cols: usize| if turned { c * rows + r } else { r * cols + c };
    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let term = |l: usize| rounded(a[at(i, l, m, k)]) * rounded(b[at(l, j, k, n)]);
        let want = (0..k).map(term).sum::<f64>() + if acc { before[i * n + j].into() } else { 0.0 };
        let found = c[i * n + j];
        let difference = (f64::from(found) - want).abs();
        if difference.is_nan() || difference > 1e-6 * (k as f64 + 1.0) {
            return Err(format!("a trial product of {m}x{k} by {k}x{n} has {found} for {want} in row {i}, column {j}"));
        }
    }
    Ok(())
}

fn rounded(x: f32) -> f64 {
    f32::from_bits(u32::from(to_bf16(x)) << 16).into()
}

/// Numbers between -1 and 1.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut s = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
        (s >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
