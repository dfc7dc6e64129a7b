//! Tiles in memory, with the effects that Intel's manual writes down and its faults as panics.
use super::tiles::{Config, Tiles};

/// Eight tiles: rows of 16 words, and how many rows and bytes of them are in use.
pub(super) struct Software {
    tiles: Box<[[[u32; 16]; 16]; 8]>,
    sizes: [(usize, usize); 8],
}

impl Software {
    fn size(&self, tile: usize) -> (usize, usize) {
        let (rows, bytes) = self.sizes[tile];
        assert!(rows > 0 && bytes > 0 && bytes % 4 == 0, "tile {tile} is not configured: {rows} rows of {bytes} bytes");
        (rows, bytes)
    }

    /// The words of a tile, row by row.
    pub(super) fn tile(&self, tile: usize) -> [[u32; 16]; 16] {
        self.tiles[tile]
    }
}

/// A number as the instruction takes it: what is too small for a normal one is a zero of the same sign.
fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// The even (0) or odd (1) bf16 number of a pair.
fn half(pair: u32, odd: usize) -> f32 {
    flush(f32::from_bits(if odd == 0 { pair << 16 } else { pair & 0xffff_0000 }))
}

impl Tiles for Software {
    unsafe fn configure(config: &Config) -> Self {
        assert!(config.palette == 1 && config.start_row == 0 && config.reserved == [0; 14], "configuration");
        assert!(config.row_bytes[8..] == [0; 8] && config.rows[8..] == [0; 8], "configuration of absent tiles");
        let size = |i: usize| (usize::from(config.rows[i]), usize::from(config.row_bytes[i]));
        let sizes: [(usize, usize); 8] = std::array::from_fn(size);
        assert!(sizes.iter().all(|&(r, b)| r <= 16 && b <= 64 && (r == 0) == (b == 0)), "sizes of tiles");
        Software { tiles: Box::new([[[0; 16]; 16]; 8]), sizes }
    }

    fn zero<const T: usize>(&mut self) {
        self.size(T);
        self.tiles[T] = [[0; 16]; 16];
    }

    unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize) {
        let (rows, bytes) = self.size(T);
        self.tiles[T] = [[0; 16]; 16];
        for (i, row) in self.tiles[T].iter_mut().enumerate().take(rows) {
            // SAFETY: the caller's promise; a row of a tile holds 64 bytes
            unsafe { row.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(from.add(i * stride), bytes) };
        }
    }

    unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize) {
        let (rows, bytes) = self.size(T);
        for (i, row) in self.tiles[T].iter().enumerate().take(rows) {
            // SAFETY: the caller's promise
            unsafe { to.add(i * stride).copy_from_nonoverlapping(row.as_ptr().cast(), bytes) };
        }
    }

    /// Even and odd terms are summed apart, over the tile's inner elements in order and with fused multiply-adds from zero;
    /// then both sums are added, and the result to the destination. Rounding is to nearest; subnormal numbers are zeros on
    /// the way in and out of each operation.
    fn multiply<const C: usize, const A: usize, const B: usize>(&mut self) {
        let (c, a, b) = (self.size(C), self.size(A), self.size(B));
        assert!(C != A && C != B && A != B, "three different tiles");
        assert!(c.0 == a.0 && c.1 == b.1 && a.1 == 4 * b.0, "sizes of a product: {c:?} {a:?} {b:?}");
        let (left, right) = (self.tiles[A], self.tiles[B]);
        for (row, left) in self.tiles[C].iter_mut().zip(left).take(c.0) {
            for (j, to) in row.iter_mut().enumerate().take(c.1 / 4) {
                let mut sums = [0f32; 2];
                for (k, right) in right.iter().enumerate().take(b.0) {
                    for (odd, sum) in sums.iter_mut().enumerate() {
                        *sum = flush(half(left[k], odd).mul_add(half(right[j], odd), *sum));
                    }
                }
                let both = flush(sums[0] + sums[1]);
                *to = flush(flush(f32::from_bits(*to)) + both).to_bits();
            }
        }
    }
}
