//! Token log-probabilities without logits in memory.
mod extras;
mod head;
mod row;

pub use extras::{DetailedLogps, LogpsExtras, TopLogps};

use crate::error::{OpsError, same};
use crate::frozen::Frozen;
use crate::mm::{Precision, View, big};
use crate::operand::{Operand, take};
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, record};
use crate::scalar::Scalar;
use crate::weights::{Dense, Weights};
use dfdx::prelude::*;
use head::Head;
use std::ops::Range;

/// Constants of [`linear_logps`].
pub struct Logps;

impl Logps {
    /// Target that is left out: its log-probability is 0 and it sends no gradient.
    pub const IGNORED: usize = usize::MAX;
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
/// To both, to `weight` when it is trained: `g (onehot - softmax) W` and its counterpart. The logits are made again chunk by
/// chunk, so memory stays at one chunk in both directions.
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
    let all = linear_logps_detailed(hidden, weight, targets, limit, precision, LogpsExtras::default())?;
    Ok(all.logps.put_tape(all.tape))
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
    let all = linear_logps_detailed_frozen(hidden, weight, targets, limit, LogpsExtras::default())?;
    Ok(all.logps.put_tape(all.tape))
}

/// [`linear_logps_capped`] with more of each row's distribution `p`, from the same pass over the vocabulary. What `extras` do
/// not ask for is not computed.
///
/// # Shapes
/// As [`linear_logps`]; entropies (N,).
///
/// # Gradient
/// Of log-probabilities and entropies (`-p (log p + H)` with respect to the logits) to `hidden` and to `weight` when it is
/// trained. The rest is constant.
///
/// # Errors
/// As [`linear_logps`]; more of the largest than the vocabulary has.
pub fn linear_logps_detailed<N: Dim, D: Dim, V: Dim, E: Scalar, T: TapeOf<E>>(
    hidden: Tensor<(N, D), E, Cpu, T>,
    weight: impl Operand<E, Shape = (V, D)>,
    targets: &[usize],
    limit: Option<f64>,
    precision: Precision,
    extras: LogpsExtras,
) -> Result<DetailedLogps<N, E, T>, OpsError>
where
    Cpu: Device<E>,
{
    let cols = hidden.shape().1.size();
    same("linear_logps", "columns of the weight", cols, weight.values().shape().1.size())?;
    let head = Head::new(targets, hidden.shape().0.size(), weight.values().shape().0.size(), limit, extras)?;
    let (hidden, tape) = hidden.try_contiguous()?.split_tape();
    let (weight, gw, wt) = take::<_, _, T>(weight)?;
    let found = head.forward(data(&hidden), &Dense { d: data(&weight), cols, precision });
    let (gh, n) = (GradSlot::of(&hidden), hidden.shape().0);
    detailed(head, found, n, tape.merge(wt), move |pull, grads| {
        let mut dh = gh.take(grads)?;
        let mut dw = gw.as_ref().map(|gw| gw.take(grads)).transpose()?;
        let dense = Dense { d: data(&weight), cols, precision };
        pull.run((data(&hidden), &dense), &mut dh, |range, g, h| {
            if let Some(dw) = &mut dw {
                big(&mut dw[range.start * cols..range.end * cols], cols, true, g.t(), h, precision);
            }
        });
        gh.put(grads, dh)?;
        gw.zip(dw).map_or(Ok(()), |(gw, dw)| gw.put(grads, dw))
    })
}

/// [`linear_logps_detailed`] for frozen weights.
///
/// # Gradient
/// To `hidden` alone.
///
/// # Errors
/// As [`linear_logps_detailed`].
pub fn linear_logps_detailed_frozen<N: Dim, D: Dim, V: Dim, E: Scalar, T: TapeOf<E>>(
    hidden: Tensor<(N, D), E, Cpu, T>,
    weight: &Frozen<V, D>,
    targets: &[usize],
    limit: Option<f64>,
    extras: LogpsExtras,
) -> Result<DetailedLogps<N, E, T>, OpsError>
where
    Cpu: Device<E>,
{
    let ((n, d), (v, d2)) = (*hidden.shape(), weight.shape());
    same("linear_logps", "columns of the weight", d.size(), d2.size())?;
    let head = Head::new(targets, n.size(), v.size(), limit, extras)?;
    let (hidden, tape) = hidden.try_contiguous()?.split_tape();
    let store = weight.store.clone();
    let found = head.forward(data(&hidden), &*store);
    let gh = GradSlot::of(&hidden);
    detailed(head, found, n, tape, move |pull, grads| {
        pull.run((data(&hidden), &*store), gh.get(grads)?, |_, _, _| ());
        Ok(())
    })
}

/// What the backward pass of a [`Head`] starts from: gradients of its results.
struct Pull<'a, E> {
    head: &'a Head,
    /// log-sum-exp per row
    lse: &'a [E],
    /// of the log-probabilities
    go: &'a [E],
    /// of the entropies, and these; none when no gradient of them is there
    entropy: Option<(&'a [E], &'a [E])>,
}

impl<E: Scalar> Pull<'_, E> {
    fn run(&self, input: (&[E], &impl Weights<E>), dh: &mut [E], own: impl FnMut(Range<usize>, View<E>, View<E>)) {
        self.head.backward(self, input, dh, own);
    }
}

/// Tensors of what was found, and a backward pass that hands the gradients of log-probabilities and entropies to `back`.
fn detailed<N: Dim, E: Scalar, T: TapeOf<E>>(
    head: Head,
    found: head::Found<E>,
    n: N,
    tape: T,
    back: impl FnOnce(Pull<E>, &mut crate::params::Grads<E>) -> crate::raw::Back<()> + 'static,
) -> Result<DetailedLogps<N, E, T>, OpsError>
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let logps = dev.try_tensor_from_vec(found.logps, (n,))?;
    let entropy = found.entropy.map(|h| dev.try_tensor_from_vec(h, (n,))).transpose()?;
    let (kept, lse) = (entropy.clone(), found.lse);
    let (logps, tape) = record(logps, tape, move |go, grads| {
        let slot = kept.as_ref().map(GradSlot::of);
        let sent = slot.map(|s| s.take(grads)).transpose()?.filter(|g| g.iter().any(|g| *g != E::zero()));
        let entropy = sent.as_deref().zip(kept.as_ref().map(data));
        back(Pull { head: &head, lse: &lse, go, entropy }, grads)
    })
    .split_tape();
    Ok(DetailedLogps { logps, entropy, top: found.top, log_sum_squares: found.log_sum_squares, tape })
}
