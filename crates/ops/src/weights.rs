//! What a linear map multiplies with: numbers of the tensors' type, or a frozen, rounded form of them.
use crate::mm::{Precision, View, big};
use crate::scalar::Scalar;
use std::ops::Range;

/// A matrix `W` of which ranges of rows are used.
pub(crate) trait Weights<E: Scalar> {
    fn cols(&self) -> usize;
    /// `c (+)= x W[range]^T`, rows of `c` lying `stride` apart.
    fn forward(&self, c: &mut [E], stride: usize, acc: bool, x: View<E>, range: Range<usize>);
    /// `dx += g W[range]`.
    fn backward(&self, dx: &mut [E], g: View<E>, range: Range<usize>);
}

/// Numbers of the tensors' own type.
pub(crate) struct Dense<'a, E> {
    pub(crate) d: &'a [E],
    pub(crate) cols: usize,
    pub(crate) precision: Precision,
}

impl<E: Scalar> Dense<'_, E> {
    fn part(&self, range: Range<usize>) -> View<'_, E> {
        View::new(&self.d[range.start * self.cols..range.end * self.cols], range.len(), self.cols)
    }
}

impl<E: Scalar> Weights<E> for Dense<'_, E> {
    fn cols(&self) -> usize {
        self.cols
    }

    fn forward(&self, c: &mut [E], stride: usize, acc: bool, x: View<E>, range: Range<usize>) {
        big(c, stride, acc, x, self.part(range).t(), self.precision);
    }

    fn backward(&self, dx: &mut [E], g: View<E>, range: Range<usize>) {
        big(dx, self.cols, true, g, self.part(range), self.precision);
    }
}
