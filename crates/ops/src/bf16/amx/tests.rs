//! All but the instructions themselves, on tiles in memory; and the processor's tiles where it has them.
use super::super::{Bf16Path, PANEL, Source, available, path, to_bf16};
use super::software::Software;
use super::tiles::{Hardware, Tiles, WHOLE};
use super::{WORDS, product, with_packed};
use crate::mm::View;
use crate::with_threads;
use proptest::prelude::*;

/// Columns of the destination beyond the product's.
const MARGIN: usize = 3;

fn rounded(x: f32) -> f64 {
    f32::from_bits(u32::from(to_bf16(x)) << 16).into()
}

fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut s = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Whether packing can run here; its AVX-512 is not what is tested on tiles in memory.
fn packing() -> bool {
    if !available() {
        println!("skipped: this processor has no AVX-512 BF16, by which operands are packed");
    }
    available()
}

/// A product's sizes, operands and destination; the operands as they are, or as transposes of their transposes in memory.
struct Case {
    m: usize,
    k: usize,
    n: usize,
    turned: (bool, bool),
    acc: bool,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Case {
    fn new((m, k, n): (usize, usize, usize), turned: (bool, bool), acc: bool) -> Self {
        let (a, b, c) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * (n + MARGIN), 3));
        Case { m, k, n, turned, acc, a, b, c }
    }

    fn views(&self) -> (View<'_, f32>, View<'_, f32>) {
        fn view(d: &[f32], rows: usize, cols: usize, turned: bool) -> View<'_, f32> {
            if turned { View::new(d, cols, rows).t() } else { View::new(d, rows, cols) }
        }
        (view(&self.a, self.m, self.k, self.turned.0), view(&self.b, self.k, self.n, self.turned.1))
    }

    fn run<T: Tiles>(&self) -> Vec<f32> {
        let (mut c, (a, b)) = (self.c.clone(), self.views());
        // SAFETY: callers have seen the features that packing and `T` need
        unsafe { product::<T>(&mut c, self.n + MARGIN, self.acc, a, b) };
        c
    }

    fn run_on<T: Tiles>(&self, threads: usize) -> Vec<f32> {
        with_threads(threads, || self.run::<T>()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The exact sum of row i and column j, of numbers `a` and `b` at their places in memory.
    fn exact(&self, i: usize, j: usize, a: impl Fn(usize) -> f64, b: impl Fn(usize) -> f64) -> f64 {
        let at = |t: bool, r: usize, c: usize, rows: usize, cols: usize| if t { c * rows + r } else { r * cols + c };
        let term = |l| a(at(self.turned.0, i, l, self.m, self.k)) * b(at(self.turned.1, l, j, self.k, self.n));
        let old = f64::from(self.c[i * (self.n + MARGIN) + j]);
        (0..self.k).map(term).sum::<f64>() + if self.acc { old } else { 0.0 }
    }

    /// Compares with exact sums of rounded numbers; beyond the product's columns nothing may have changed.
    fn compare(&self, found: &[f32], b: impl Fn(usize) -> f64) -> Result<(), TestCaseError> {
        let width = self.n + MARGIN;
        for (at, (&found, &old)) in found.iter().zip(&self.c).enumerate() {
            let (i, j) = (at / width, at % width);
            let want = if j < self.n { self.exact(i, j, |p| rounded(self.a[p]), &b) } else { old.into() };
            let near = (f64::from(found) - want).abs() < 1e-6 * (self.k as f64 + 1.0);
            prop_assert!(near, "{}x{}x{} at {i},{j}: {found} {want}", self.m, self.k, self.n);
        }
        Ok(())
    }

    fn check<T: Tiles>(&self) -> Result<(), TestCaseError> {
        self.compare(&self.run::<T>(), |p| rounded(self.b[p]))
    }
}

/// Shapes at the borders of tiles, bands, strips, parts and blocks; many rows, many columns, both.
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 64, 100),
    (16, 32, 16),
    (17, 33, 48),
    (32, 31, 33),
    (33, 289, 65),
    (400, 650, 70),
    (70, 700, 600),
    (65, 3000, 200),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn products_equal_exact_sums(m in 1usize..90, k in 1usize..120, n in 1usize..100,
            turned in any::<(bool, bool)>(), acc in any::<bool>()) {
        if packing() {
            Case::new((m, k, n), turned, acc).check::<Software>()?;
        }
    }
}

#[test]
fn products_of_all_shapes_on_any_number_of_threads() {
    if !packing() {
        return;
    }
    for (i, shape) in SHAPES.into_iter().enumerate() {
        let case = Case::new(shape, (i % 2 == 0, i % 3 == 0), i % 2 == 1);
        let once = case.run_on::<Software>(1);
        case.compare(&once, |p| rounded(case.b[p])).unwrap_or_else(|e| panic!("{e}"));
        for threads in [2, 3, 8] {
            assert!(case.run_on::<Software>(threads) == once, "{shape:?} on {threads} threads");
        }
    }
}

#[test]
fn empty_products() {
    if !packing() {
        return;
    }
    for (m, k, n) in [(0, 5, 7), (5, 7, 0), (0, 0, 0)] {
        let case = Case::new((m, k, n), (false, false), false);
        assert_eq!(case.run::<Software>(), case.c);
    }
    // a sum without terms
    let mut case = Case::new((40, 0, 35), (false, false), false);
    case.check::<Software>().unwrap_or_else(|e| panic!("{e}"));
    case.acc = true;
    assert_eq!(case.run::<Software>(), case.c);
}

#[test]
fn a_rows_bits_do_not_depend_on_other_rows() {
    if !packing() {
        return;
    }
    let case = Case::new((130, 650, 300), (false, true), true);
    let (all, width) = (case.run::<Software>(), case.n + MARGIN);
    for i in [0, 31, 64, 129] {
        let mut one = case.c[i * width..][..width].to_vec();
        let row = View::new(&case.a[i * case.k..], 1, case.k);
        // SAFETY: `packing` found the features
        unsafe { product::<Software>(&mut one, width, true, row, case.views().1) };
        assert_eq!(one, all[i * width..][..width], "row {i}");
    }
}

#[test]
fn what_is_not_finite_stays_in_its_row_and_column() {
    if !packing() {
        return;
    }
    let mut case = Case::new((35, 40, 37), (false, false), false);
    case.a[34 * 40 + 39] = f32::INFINITY;
    case.b[39 * 37 + 36] = f32::NAN;
    let found = case.run::<Software>();
    for (i, row) in found.chunks_exact(case.n + MARGIN).enumerate() {
        let odd = |j: usize| !row[j].is_finite();
        assert!((0..case.n).all(|j| odd(j) == (i == 34 || j == 36)), "row {i}: {row:?}");
    }
}

/// Rows of `w` in panels, as frozen weights have them, and what they stand for.
struct Stored {
    words: Vec<u32>,
    scales: Option<Vec<f32>>,
}

impl Stored {
    /// `per` numbers to a word: 2 of bf16 or 4 of 8 bits, whose scales are powers of two so that products stay exact.
    fn new(w: &[f32], rows: usize, cols: usize, per: usize) -> Self {
        let (panels, each) = (rows.div_ceil(PANEL), cols.div_ceil(4) * 4 / per);
        let mut words = vec![0u32; panels * PANEL * each];
        for (at, &v) in w.iter().enumerate() {
            let (i, k) = (at / cols, at % cols);
            let bits = if per == 2 { u32::from(to_bf16(v)) } else { u32::from(byte(v) as u8) };
            words[(i / PANEL * each + k / per) * PANEL + i % PANEL] |= bits << (k % per * 32 / per);
        }
        Stored { words, scales: (per == 4).then(|| vec![1.0 / 64.0; panels * PANEL]) }
    }

    fn source(&self) -> Source<'_> {
        match &self.scales {
            None => Source::Pairs(&self.words),
            Some(s) => Source::Bytes(&self.words, s),
        }
    }
}

fn byte(v: f32) -> i8 {
    (v * 64.0).round() as i8
}

fn check_stored<T: Tiles>((m, k, n): (usize, usize, usize), per: usize) {
    let case = Case::new((m, k, n), (false, true), m % 2 == 0);
    let stored = Stored::new(&case.b, n, k, per);
    let mut c = case.c.clone();
    // SAFETY: callers have seen the features that packing and `T` need
    unsafe { with_packed::<T>(&mut c, n + MARGIN, case.acc, case.views().0, stored.source(), n) };
    let number = |p: usize| if per == 2 { rounded(case.b[p]) } else { f64::from(byte(case.b[p])) / 64.0 };
    case.compare(&c, number).unwrap_or_else(|e| panic!("{per} to a word: {e}"));
}

#[test]
fn products_with_stored_weights() {
    for shape in SHAPES.into_iter().chain([(3, 640, 100), (20, 640, 16), (32, 640, 17), (200, 64, 20)]) {
        if packing() {
            check_stored::<Software>(shape, 2);
            check_stored::<Software>(shape, 4);
        }
    }
}

/// Sets tiles 1 and 2 to rows of pairs, and gives their product added to 1 in tile 0.
fn one_product(left: impl Fn(usize, usize) -> [f32; 2], right: impl Fn(usize, usize) -> [f32; 2]) -> [[f32; 16]; 16] {
    let pair = |v: [f32; 2]| u32::from(to_bf16(v[0])) | u32::from(to_bf16(v[1])) << 16;
    let tile = |f: &dyn Fn(usize, usize) -> [f32; 2]| -> Vec<u32> { (0..WORDS).map(|i| pair(f(i / 16, i % 16))).collect() };
    let (left, right, ones) = (tile(&left), tile(&right), vec![1f32; WORDS]);
    // SAFETY: all three are whole tiles
    let tiles = unsafe {
        let mut tiles = Software::configure(&WHOLE);
        tiles.load::<0>(ones.as_ptr().cast(), 64);
        tiles.load::<1>(left.as_ptr().cast(), 64);
        tiles.load::<2>(right.as_ptr().cast(), 64);
        tiles.multiply::<0, 1, 2>();
        tiles
    };
    tiles.tile(0).map(|row| row.map(f32::from_bits))
}

#[test]
fn a_product_of_tiles_by_hand() {
    // a[i][2k] = i, a[i][2k + 1] = k; b[2k][j] = 1, b[2k + 1][j] = j: 1 + 16 i + j (0 + 1 + ... + 15)
    let found = one_product(|i, k| [i as f32, k as f32], |_, j| [1.0, j as f32]);
    for (i, row) in found.iter().enumerate() {
        assert!(row.iter().enumerate().all(|(j, &v)| v == (1 + 16 * i + 120 * j) as f32), "row {i}: {row:?}");
    }
    // even and odd terms are summed apart: 2^40 and its negative meet only at the end, when the ones are lost
    let found = one_product(
        |_, k| [if k == 0 { 2f32.powi(40) } else { 1.0 }, if k == 0 { -(2f32.powi(40)) } else { 0.0 }],
        |_, _| [1.0; 2],
    );
    assert_eq!(found[0][0], 1.0);
    // subnormal numbers are zeros, as operands and as results
    let found = one_product(|_, _| [1e-39, 1e-30], |_, _| [1e38, 1e-10]);
    assert_eq!(found[3][5], 1.0);
}

#[test]
fn the_processors_tiles_equal_those_in_memory() {
    if path() != Bf16Path::Amx {
        println!("skipped: this processor has no AMX, or the system withholds it");
        return;
    }
    for (i, shape) in SHAPES.into_iter().enumerate() {
        let case = Case::new(shape, (i % 2 == 0, i % 3 == 0), i % 2 == 1);
        for threads in [1, 3] {
            let found = case.run_on::<Hardware>(threads);
            case.compare(&found, |p| rounded(case.b[p])).unwrap_or_else(|e| panic!("{e}"));
            let differ = found.iter().zip(case.run::<Software>()).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            println!("{shape:?} on {threads} threads: {differ} of {} numbers have other bits", found.len());
        }
        check_stored::<Hardware>(shape, 2);
        check_stored::<Hardware>(shape, 4);
    }
}
