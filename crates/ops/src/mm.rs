//! Matrix products of strided views, by the `gemm` crate.
use crate::bf16::Bf16Path;
use crate::scalar::Scalar;
pub(crate) use gemm::Parallelism;

/// Below this many multiply-adds a product stays on its thread: forking costs more than it saves.
const FORK: usize = 8_000_000;

/// How the elements of a product's operands are taken. Sums are in the tensors' own type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// as they are
    #[default]
    Full,
    /// as they are; `x W^T` is made row by row of `x`, so that a row's result does not depend, to the bit, on what other rows
    /// there are. Faster than `Full` for a few rows, slower for hundreds. Gradients as `Full`
    FullByRow,
    /// rounded to bf16 (8 bits of precision): f32 tensors, on processors that multiply bf16 numbers; elsewhere as `Full`
    Bf16,
}

impl Precision {
    /// Whether this processor multiplies bf16 numbers, so that [`Precision::Bf16`] differs from [`Precision::Full`].
    pub fn has_bf16() -> bool {
        crate::bf16::available()
    }

    /// The instructions that [`Precision::Bf16`] runs on, the same for all products of the process.
    pub fn bf16_path() -> Bf16Path {
        crate::bf16::path()
    }

    /// Why a faster path that the processor has is not taken: the system withholds it, or its trial products were wrong.
    pub fn bf16_note() -> Option<&'static str> {
        crate::bf16::note()
    }
}

/// Rows up to which a product is made row by row in any case.
const FEW: usize = 64;

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub struct View<'a, E> {
    d: &'a [E],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, E> View<'a, E> {
    /// Dense and row-major.
    pub(crate) fn new(d: &'a [E], rows: usize, cols: usize) -> Self {
        Self::strided(d, rows, cols, cols)
    }

    /// Rows that lie `row_stride` elements apart.
    pub(crate) fn strided(d: &'a [E], rows: usize, cols: usize, row_stride: usize) -> Self {
        let v = View { d, rows, cols, row_stride, col_stride: 1 };
        assert!(rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= d.len(), "matrix view outside its slice");
        v
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Whether the elements of a row lie side by side; if not, those of a column do, or neither.
    pub(crate) fn row_major(&self) -> bool {
        self.col_stride == 1
    }

    /// Whether rows or columns are contiguous.
    pub(crate) fn has_unit_stride(&self) -> bool {
        self.row_stride == 1 || self.col_stride == 1
    }

    /// Row `i` of a view whose rows are contiguous.
    pub(crate) fn row(&self, i: usize) -> &'a [E] {
        assert!(self.col_stride == 1 && i < self.rows, "no such contiguous row");
        &self.d[i * self.row_stride..][..self.cols]
    }

    /// Column `j` of a view whose columns are contiguous.
    pub(crate) fn column(&self, j: usize) -> &'a [E] {
        assert!(self.row_stride == 1 && j < self.cols, "no such contiguous column");
        &self.d[j * self.col_stride..][..self.rows]
    }

    /// At most `n` rows from row `i` on.
    pub(crate) fn rows_from(&self, i: usize, n: usize) -> Self {
        let rows = n.min(self.rows - i);
        View { d: &self.d[(i * self.row_stride).min(self.d.len())..], rows, ..*self }
    }

    /// `n` columns from column `j` on.
    pub(crate) fn columns(&self, j: usize, n: usize) -> Self {
        assert!(j + n <= self.cols, "no such columns");
        View { d: &self.d[(j * self.col_stride).min(self.d.len())..], cols: n, ..*self }
    }

    /// Transposed.
    pub(crate) fn t(self) -> Self {
        View { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// `c = a b`, or `c += a b` when `acc`; `c` row-major with rows `stride` apart.
pub(crate) fn mm<E: Scalar>(c: &mut [E], stride: usize, acc: bool, a: View<E>, b: View<E>, par: Parallelism) {
    let (m, n) = (a.rows, b.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!((m - 1) * stride + n <= c.len(), "product outside its slice");
    // SAFETY: the destination was checked just now and is exclusively borrowed
    unsafe { mm_raw(c.as_mut_ptr(), stride, acc, a, b, par) }
}

/// [`mm`] into a buffer whose other columns belong to other tasks, so that no `&mut` slice may cover it.
///
/// # Safety
/// `c[i * stride + j]` must be valid for every row i and column j of the product, and nobody else may touch it meanwhile.
pub(crate) unsafe fn mm_raw<E: Scalar>(c: *mut E, stride: usize, acc: bool, a: View<E>, b: View<E>, par: Parallelism) {
    assert_eq!(a.cols, b.rows, "inner sizes of a product");
    let (s, t) = (|x: usize| x as isize, if acc { E::one() } else { E::zero() });
    // SAFETY: the views were checked against their slices when made; the destination is the caller's promise
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            c,
            1,
            s(stride),
            acc,
            a.d.as_ptr(),
            s(a.col_stride),
            s(a.row_stride),
            b.d.as_ptr(),
            s(b.col_stride),
            s(b.row_stride),
            t,
            E::one(),
            false,
            false,
            false,
            par,
        )
    }
}

/// `c (+)= a b` on this thread alone; see [`mm`].
pub(crate) fn alone<E: Scalar>(c: &mut [E], stride: usize, acc: bool, a: View<E>, b: View<E>, precision: Precision) {
    let (m, n) = (a.rows, b.cols);
    if m > 0 && n > 0 {
        assert!((m - 1) * stride + n <= c.len(), "product outside its slice");
        // SAFETY: the destination was checked just now and is exclusively borrowed
        unsafe { alone_raw(c.as_mut_ptr(), stride, acc, a, b, precision) }
    }
}

/// [`alone`] into a buffer whose other columns belong to other tasks, so that no `&mut` slice may cover it.
///
/// # Safety
/// See [`mm_raw`].
pub(crate) unsafe fn alone_raw<E: Scalar>(
    c: *mut E,
    stride: usize,
    acc: bool,
    a: View<E>,
    b: View<E>,
    precision: Precision,
) {
    // SAFETY: the caller's promise
    unsafe {
        if precision != Precision::Bf16 || !E::bf16_alone(c, stride, acc, a, b) {
            mm_raw(c, stride, acc, a, b, Parallelism::None);
        }
    }
}

/// [`mm`] over all threads when it is large enough.
pub(crate) fn big<E: Scalar>(c: &mut [E], stride: usize, acc: bool, a: View<E>, b: View<E>, precision: Precision) {
    if precision == Precision::Bf16 && E::bf16_product(c, stride, acc, a, b) {
        return;
    }
    // packing the operands of a product costs more than it saves for a few rows
    let by_row = precision == Precision::FullByRow || a.rows <= FEW;
    if by_row && crate::by_row::product(c, stride, acc, a, b.t()) {
        return;
    }
    let threads = rayon::current_num_threads();
    let par = if threads < 2 || a.rows * a.cols * b.cols < FORK { Parallelism::None } else { Parallelism::Rayon(threads) };
    mm(c, stride, acc, a, b, par);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_views_and_transposes() {
        let (a, b) = ([1., 2., 3., 4., 5., 6.], [1., 0., 2., 1., 3., 1.]);
        let mut c = [9.0f64; 4];
        mm(&mut c, 2, false, View::new(&a, 2, 3), View::new(&b, 3, 2), Parallelism::None);
        assert_eq!(c, [14., 5., 32., 11.]);
        mm(&mut c, 2, true, View::new(&a, 3, 2).t(), View::new(&b, 3, 2), Parallelism::None);
        assert_eq!(c, [14. + 22., 5. + 8., 32. + 28., 11. + 10.]);
    }

    #[test]
    #[should_panic(expected = "outside its slice")]
    fn a_view_beyond_its_slice_is_refused() {
        let _ = View::new(&[0.0f32; 5], 2, 3);
    }
}
