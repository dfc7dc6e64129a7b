//! What else is known of a token's distribution.
use dfdx::prelude::*;

/// What to compute beside log-probabilities. The target of a row matters to its log-probability alone: the rest is there
/// for ignored rows too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogpsExtras {
    /// the entropy of each row
    pub entropy: bool,
    /// so many of the most probable tokens of each row; 0 for none
    pub top_k: usize,
    /// `log sum p^2` of each row, the log-probability that two draws agree: what WPO's weights are made of
    pub log_sum_squares: bool,
}

/// Log-probabilities of targets, and what [`LogpsExtras`] asked for.
///
/// Log-probabilities and entropies come from one operation, whose backward pass is on `tape`. A loss puts it on one of the
/// two and an empty one on the other:
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_ops::{LogpsExtras, Precision, linear_logps_detailed};
///
/// let dev = Cpu::default();
/// let hidden: Tensor<(usize, Const<4>), f64, _> = dev.zeros_like(&(1, Const));
/// let head: Tensor<Rank2<3, 4>, f64, _> = dev.zeros();
/// let extras = LogpsExtras { entropy: true, top_k: 2, ..LogpsExtras::default() };
/// let found = linear_logps_detailed(hidden.leaky_trace(), &head, &[1], None, Precision::Full, extras)?;
/// assert_eq!(found.top.map(|t| t.ids), Some(vec![0, 1])); // all are alike: smaller ids first
/// let entropy = found.entropy.ok_or("asked for")?;
/// assert!((entropy.as_vec()[0] - 3f64.ln()).abs() < 1e-12);
/// let loss = found.logps.put_tape(found.tape).sum() + entropy.retaped::<OwnedTape<_, _>>().sum();
/// let _gradients = loss.backward();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DetailedLogps<N: Dim, E: Dtype, T> {
    /// in nats; 0 for ignored targets
    pub logps: Tensor<(N,), E, Cpu>,
    /// `-sum p log p` in nats
    pub entropy: Option<Tensor<(N,), E, Cpu>>,
    /// the most probable tokens; no gradient
    pub top: Option<TopLogps<E>>,
    /// `log sum p^2` per row, at most 0; no gradient
    pub log_sum_squares: Option<Vec<E>>,
    /// the backward pass of log-probabilities and entropies
    pub tape: T,
}

/// The most probable tokens of each row, best first; of equally probable ones the smaller id comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct TopLogps<E> {
    /// how many per row
    pub k: usize,
    /// ids, row after row
    pub ids: Vec<usize>,
    /// their log-probabilities in nats
    pub logps: Vec<E>,
}
