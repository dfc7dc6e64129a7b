//! Log-sum-exps over chunks.

/// `log Σ e^x` of all numbers seen so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSumExp {
    pub(crate) max: f64,
    pub(crate) sum: f64,
}

impl LogSumExp {
    pub(crate) const EMPTY: Self = Self { max: f64::NEG_INFINITY, sum: 0.0 };

    /// Takes in more numbers, `f` of each of `x`.
    pub(crate) fn extend(&mut self, x: &[f64], f: impl Fn(usize, f64) -> f64) {
        let top = x.iter().enumerate().map(|(i, &v)| f(i, v)).fold(self.max, f64::max);
        self.raise(top);
        self.sum += x.iter().enumerate().map(|(i, &v)| (f(i, v) - top).exp()).sum::<f64>();
    }

    /// Makes `top` the maximum and returns what sums of exponentials relative to the old one are to be multiplied by.
    pub(crate) fn raise(&mut self, top: f64) -> f64 {
        let factor = if self.max == f64::NEG_INFINITY { 0.0 } else { (self.max - top).exp() };
        self.sum *= factor;
        self.max = top;
        factor
    }

    pub(crate) fn value(self) -> f64 {
        self.max + self.sum.ln()
    }
}
