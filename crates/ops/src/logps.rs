//! Token log-probabilities without logits in memory.
use crate::error::{OpsError, below, same};
use crate::frozen::Frozen;
use crate::mm::{Precision, View, big};
use crate::operand::{Operand, take};
use crate::par::split_rows;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, record};
use crate::scalar::Scalar;
use crate::simd::{fold, largest, simd};
use crate::softcap::{cap, uncap};
use crate::weights::{Dense, Weights};
use dfdx::prelude::*;
use std::ops::Range;

/// Vocabulary rows per chunk: at most N x 2048 logits exist at a time.
const CHUNK: usize = 2048;

/// Constants of [`linear_logps`].
pub struct Logps;

impl Logps {
    /// Target that is left out: its log-probability is 0 and it sends no gradient.
    pub const IGNORED: usize = usize::MAX;
}

simd! {
    /// maximum and sum of exponentials of one row, carried on over a chunk of its logits
    fn extend<E>(x: &[E], max: &mut E, sum: &mut E) {
        let top = largest(x);
        if top > *max {
            *sum *= (*max - top).vexp();
            *max = top;
        }
        let m = *max;
        *sum += fold(x, E::zero(), |a, v| a + (v - m).vexp(), |a, b| a + b);
    }
}

simd! {
    /// logits to -g softmax
    fn pull<E>(x: &mut [E], lse: E, g: E) {
        for v in x.iter_mut() { *v = -g * (*v - lse).vexp(); }
    }
}

/// `logps[n] = log_softmax(hidden[n] W^T)[targets[n]]`.
///
/// # Shapes
/// hidden (N, D), weight (V, D), targets N ids below V or [`Logps::IGNORED`]; result (N,).
///
/// # Units
/// Nats.
///
/// # Gradient
/// To both, to `weight` when it is trained: `g (onehot - softmax) W` and its counterpart. The logits are made again chunk by chunk, so memory stays at one
/// chunk in both directions.
///
/// # Errors
/// A target outside the vocabulary, sizes that disagree.
pub fn linear_logps<N: Dim, D: Dim, V: Dim, E: Scalar, T: TapeOf<E>>(
    hidden: Tensor<(N, D), E, Cpu, T>,
    weight: impl Operand<E, Shape = (V, D)>,
    targets: &[usize],
    precision: Precision,
) -> Result<Tensor<(N,), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    linear_logps_capped(hidden, weight, targets, None, precision)
}

/// [`linear_logps`] with the logits soft-capped, `limit tanh(logit / limit)`, before the softmax.
///
/// # Errors
/// A target outside the vocabulary, sizes that disagree.
pub fn linear_logps_capped<N: Dim, D: Dim, V: Dim, E: Scalar, T: TapeOf<E>>(
    hidden: Tensor<(N, D), E, Cpu, T>,
    weight: impl Operand<E, Shape = (V, D)>,
    targets: &[usize],
    limit: Option<f64>,
    precision: Precision,
) -> Result<Tensor<(N,), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (n, _) = *hidden.shape();
    same("linear_logps", "columns of the weight", hidden.shape().1.size(), weight.values().shape().1.size())?;
    let head = Head::new(targets, n.size(), weight.values().shape().0.size(), limit)?;
    let (hidden, tape) = hidden.try_contiguous()?.split_tape();
    let (weight, gw, wt) = take::<_, _, T>(weight)?;
    let cols = hidden.shape().1.size();
    let (out, lse) = head.forward(data(&hidden), &Dense { d: data(&weight), cols, precision });
    let out = hidden.device().try_tensor_from_vec(out, (n,))?;
    let gh = GradSlot::of(&hidden);
    Ok(record(out, tape.merge(wt), move |go, grads| {
        let mut dh = gh.take(grads)?;
        let mut dw = gw.as_ref().map(|gw| gw.take(grads)).transpose()?;
        let dense = Dense { d: data(&weight), cols, precision };
        head.backward(go, &lse, (data(&hidden), &dense), &mut dh, |range, g, h| {
            if let Some(dw) = &mut dw {
                big(&mut dw[range.start * cols..range.end * cols], cols, true, g.t(), h, precision);
            }
        });
        gh.put(grads, dh)?;
        gw.zip(dw).map_or(Ok(()), |(gw, dw)| gw.put(grads, dw))
    }))
}

/// [`linear_logps_capped`] for frozen weights.
///
/// # Gradient
/// To `hidden` alone.
///
/// # Errors
/// A target outside the vocabulary, sizes that disagree.
pub fn linear_logps_frozen<N: Dim, D: Dim, V: Dim, E: Scalar, T: TapeOf<E>>(
    hidden: Tensor<(N, D), E, Cpu, T>,
    weight: &Frozen<V, D>,
    targets: &[usize],
    limit: Option<f64>,
) -> Result<Tensor<(N,), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let ((n, d), (v, d2)) = (*hidden.shape(), weight.shape());
    same("linear_logps", "columns of the weight", d.size(), d2.size())?;
    let head = Head::new(targets, n.size(), v.size(), limit)?;
    let (hidden, tape) = hidden.try_contiguous()?.split_tape();
    let store = weight.store.clone();
    let (out, lse) = head.forward(data(&hidden), &*store);
    let out = hidden.device().try_tensor_from_vec(out, (n,))?;
    let gh = GradSlot::of(&hidden);
    Ok(record(out, tape, move |go, grads| {
        head.backward(go, &lse, (data(&hidden), &*store), gh.get(grads)?, |_, _, _| ());
        Ok(())
    }))
}

struct Head {
    targets: Vec<usize>,
    vocab: usize,
    limit: Option<f64>,
}

impl Head {
    fn new(targets: &[usize], n: usize, vocab: usize, limit: Option<f64>) -> Result<Self, OpsError> {
        same("linear_logps", "number of targets", n, targets.len())?;
        below("linear_logps", targets, vocab, Some(Logps::IGNORED))?;
        Ok(Head { targets: targets.to_vec(), vocab, limit })
    }

    /// Ranges of rows of the weight.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let vocab = self.vocab;
        (0..vocab).step_by(CHUNK).map(move |v0| v0..(v0 + CHUNK).min(vocab))
    }

    fn scratch<E: Scalar>(&self) -> Vec<E> {
        vec![E::zero(); self.targets.len() * CHUNK.min(self.vocab)]
    }

    /// Log-probability of each target, and the log-sum-exp of each row.
    fn forward<E: Scalar>(&self, hidden: &[E], weight: &impl Weights<E>) -> (Vec<E>, Vec<E>) {
        let n = self.targets.len();
        let h = View::new(hidden, n, weight.cols());
        let mut logits = self.scratch();
        let mut state = vec![(E::neg_infinity(), E::zero()); n];
        let mut out = vec![E::zero(); n];
        for range in self.chunks() {
            let c = range.len();
            weight.forward(&mut logits, c, false, h, range.clone());
            self.cap(&mut logits[..n * c], c);
            let logits = &logits;
            split_rows((&mut state, 1), (&mut out, 1), 16, |first, state, out| {
                for (i, ((max, sum), out)) in state.iter_mut().zip(out).enumerate() {
                    let row = &logits[(first + i) * c..(first + i + 1) * c];
                    extend(row, max, sum);
                    if let Some(&logit) = self.targets[first + i].checked_sub(range.start).and_then(|t| row.get(t)) {
                        *out = logit;
                    }
                }
            });
        }
        let lse: Vec<E> = state.into_iter().map(|(max, sum)| max + sum.ln()).collect();
        for ((out, &lse), &t) in out.iter_mut().zip(&lse).zip(&self.targets) {
            *out = if t == Logps::IGNORED { E::zero() } else { *out - lse };
        }
        (out, lse)
    }

    /// Adds to `dh`, and hands each range of rows with the gradient of its logits and the states to `own`, for the
    /// weight's gradient.
    fn backward<E: Scalar>(
        &self,
        go: &[E],
        lse: &[E],
        (hidden, weight): (&[E], &impl Weights<E>),
        dh: &mut [E],
        mut own: impl FnMut(Range<usize>, View<E>, View<E>),
    ) {
        let n = self.targets.len();
        let h = View::new(hidden, n, weight.cols());
        let mut logits: Vec<E> = self.scratch();
        for range in self.chunks() {
            let c = range.len();
            weight.forward(&mut logits, c, false, h, range.clone());
            split_rows((&mut logits[..n * c], c), (&mut [(); 0], 0), 16, |first, part, _| {
                for (i, row) in part.chunks_exact_mut(c).enumerate() {
                    self.pull_row(row, first + i, range.start, go, lse);
                }
            });
            let g = View::new(&logits, n, c);
            weight.backward(dh, g, range.clone());
            own(range, g, h);
        }
    }

    /// Soft-caps a chunk of logits where the model does so.
    fn cap<E: Scalar>(&self, logits: &mut [E], width: usize) {
        if let Some(limit) = self.limit {
            split_rows((logits, width), (&mut [(); 0], 0), 16, |_, part, _| cap(part, E::c(limit)));
        }
    }

    /// Logits of row `i` (before the cap) to the loss's gradient with respect to them.
    fn pull_row<E: Scalar>(&self, row: &mut [E], i: usize, v0: usize, go: &[E], lse: &[E]) {
        if self.targets[i] == Logps::IGNORED || go[i] == E::zero() {
            return row.fill(E::zero());
        }
        let Some(limit) = self.limit.map(E::c) else { return self.pull_capped(row, i, v0, go, lse) };
        cap(row, limit);
        let capped = row.to_vec();
        self.pull_capped(row, i, v0, go, lse);
        uncap(row, &capped, limit);
    }

    /// Logits of row `i` as the softmax sees them to the loss's gradient with respect to them.
    fn pull_capped<E: Scalar>(&self, row: &mut [E], i: usize, v0: usize, go: &[E], lse: &[E]) {
        pull(row, lse[i], go[i]);
        if let Some(x) = self.targets[i].checked_sub(v0).and_then(|t| row.get_mut(t)) {
            *x += go[i];
        }
    }
}
