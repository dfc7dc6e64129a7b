//! Functions that need care in floating point, and the moves between host and device that they use.
//!
//! The elementwise functions are evaluated on the host in f64, value and slope, and rounded once to the dtype of the
//! tensor: the vectors of a loss have one entry per row, so this costs nothing and f32 losses lose no digits to it.

use dfdx::prelude::*;

use crate::CoreError;

/// Values of a tensor as f64, in row-major order.
pub fn to_f64<S: Shape, E: Dtype, D: Device<E>, T>(tensor: &Tensor<S, E, D, T>) -> Vec<f64> {
    // Every float dtype of the backend converts; NaN stands in for one that could not, so that checks catch it.
    tensor.as_vec().iter().map(|v| v.to_f64().unwrap_or(f64::NAN)).collect()
}

/// A tensor of `values`, rounded to the dtype `E`.
///
/// # Errors
/// [`CoreError::SizeMismatch`] when `shape` holds another number of elements; [`CoreError::Empty`];
/// [`CoreError::Device`].
pub fn from_f64<S: Shape, E: Dtype, D: Device<E>>(
    device: &D,
    values: &[f64],
    shape: S,
) -> Result<Tensor<S, E, D>, CoreError> {
    if values.is_empty() {
        return Err(CoreError::Empty { what: "tensor" });
    }
    CoreError::check_size("tensor", shape.num_elements(), values.len())?;
    let values = values.iter().map(|&v| scalar(v)).collect::<Result<Vec<E>, _>>()?;
    device.try_tensor_from_vec(values, shape).map_err(CoreError::device)
}

/// `value` in the dtype `E`.
///
/// # Errors
/// [`CoreError::Device`] when the dtype cannot hold it.
pub fn scalar<E: Dtype>(value: f64) -> Result<E, CoreError> {
    E::from_f64(value).ok_or_else(|| CoreError::Device(format!("dtype cannot hold {value}")))
}

/// A copy outside any tape, under an identity of its own.
///
/// A clone of a dfdx tensor keeps its identity, and one operation that meets the same identity twice panics in the
/// backward pass. Constants that may stem from the same tensor as the traced values go through here.
///
/// # Errors
/// [`CoreError::Device`].
pub fn detach<S: Shape, E: Dtype, D: Device<E>, T>(tensor: &Tensor<S, E, D, T>) -> Result<Tensor<S, E, D>, CoreError> {
    tensor.device().try_tensor_from_vec(tensor.as_vec(), *tensor.shape()).map_err(CoreError::device)
}

/// Applies `f`, which returns value and slope, to each element; the gradient is the slope times the upstream one.
///
/// Arguments, values and slopes must be finite; others give NaN.
///
/// # Errors
/// [`CoreError::Device`].
pub fn pointwise<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    f: impl Fn(f64) -> (f64, f64),
) -> Result<Tensor<S, E, D, T>, CoreError> {
    let (values, slopes): (Vec<f64>, Vec<f64>) = to_f64(&x).into_iter().map(f).unzip();
    let (device, shape) = (x.device().clone(), *x.shape());
    let values = from_f64(&device, &values, shape)?;
    let slopes: Tensor<S, E, D> = from_f64(&device, &slopes, shape)?;
    // x - x is exactly 0, so the value is untouched while the tape sees the slope.
    let origin = detach(&x)?;
    let offset = x.try_sub(origin).and_then(|d| d.try_mul(slopes)).map_err(CoreError::device)?;
    offset.try_add(values).map_err(CoreError::device)
}

/// A vector of the given values with a given gradient: `slopes` of each of the `inputs`, elementwise.
///
/// With it a loss is written down once, in f64 on the host, as value and slopes, and rounded once to the dtype.
///
/// # Errors
/// [`CoreError::SizeMismatch`] unless all have one entry per row; [`CoreError::Empty`] without inputs;
/// [`CoreError::Device`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::numerics::attach;
///
/// let dev = Cpu::default();
/// let (x, y) = (dev.tensor([2.0_f64]), dev.tensor([3.0]));
/// let product = attach(&[6.0], [(x.leaky_trace(), vec![3.0]), (y.retaped(), vec![2.0])])?;
/// assert_eq!(product.array(), [6.0]);
/// assert_eq!(product.sum().backward().get(&y).array(), [2.0]);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
pub fn attach<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>, const N: usize>(
    values: &[f64],
    inputs: [(Tensor<(P,), E, D, T>, Vec<f64>); N],
) -> Result<Tensor<(P,), E, D, T>, CoreError> {
    let mut sum: Option<Tensor<(P,), E, D, T>> = None;
    for (x, slopes) in inputs {
        let (device, shape) = (x.device().clone(), *x.shape());
        let slopes: Tensor<(P,), E, D> = from_f64(&device, &slopes, shape)?;
        // x - x is exactly 0, so the values are untouched while the tape sees the slopes.
        let origin = detach(&x)?;
        let offset = x.try_sub(origin).and_then(|d| d.try_mul(slopes)).map_err(CoreError::device)?;
        sum = Some(match sum {
            None => {
                let values: Tensor<(P,), E, D> = from_f64(&device, values, shape)?;
                offset.try_add(values).map_err(CoreError::device)?
            }
            Some(sum) => {
                CoreError::check_size("inputs", sum.shape().0.size(), offset.shape().0.size())?;
                sum.try_add(offset).map_err(CoreError::device)?
            }
        });
    }
    sum.ok_or(CoreError::Empty { what: "inputs" })
}

/// `log σ(x) = −log(1 + e^{−x})` of each element, with gradient `σ(−x)`.
///
/// Right to the last digits of the dtype for any finite `x`: about `x` for very negative, `−e^{−x}` for very
/// positive `x`, where `ln(sigmoid(x))` would be −∞ or 0.
///
/// # Errors
/// [`CoreError::Device`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::numerics::log_sigmoid;
///
/// let x = Cpu::default().tensor([-800.0_f64, 0.0]);
/// let y = log_sigmoid(x.leaky_trace())?;
/// assert_eq!(y.array(), [-800.0, -(2.0_f64.ln())]);
/// assert_eq!(y.sum().backward().get(&x).array(), [1.0, 0.5]);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
pub fn log_sigmoid<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, CoreError> {
    pointwise(x, |x| (log_sigmoid_scalar(x), sigmoid_scalar(-x)))
}

/// `log(1 − e^x)` of each element for `x < 0`, with gradient `e^x / (e^x − 1)`: the log of a complement's probability.
///
/// # Errors
/// [`CoreError::NotFinite`] with the element's place when some `x ≥ 0`, where the value is −∞ or not real;
/// [`CoreError::Device`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::numerics::log1mexp;
///
/// let x = Cpu::default().tensor([-1e-12_f64, -1.0, -50.0]);
/// let y = log1mexp(x)?.array();
/// assert!((y[0] - (1e-12_f64).ln()).abs() < 1e-10);
/// assert!((y[2] + (-50.0_f64).exp()).abs() < 1e-36);
/// # Ok::<(), tropism_core::CoreError>(())
/// ```
pub fn log1mexp<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, CoreError> {
    let values: Vec<f64> = to_f64(&x).into_iter().map(log1mexp_scalar).collect();
    CoreError::check_finite("log(1 - exp(x))", &values)?;
    pointwise(x, |x| (log1mexp_scalar(x), x.exp() / x.exp_m1()))
}

/// Sum over the columns that `mask` selects, `[B, L]` to `[B]`.
///
/// Masked cells are replaced by 0, not multiplied by it: NaN or −∞ there reach neither the sum nor the gradient, which
/// is exactly 0 at masked and 1 at selected cells.
///
/// # Errors
/// [`CoreError::SizeMismatch`] when the mask has another shape; [`CoreError::Device`].
pub fn masked_sum<B: Dim, L: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    values: Tensor<(B, L), E, D, T>,
    mask: &Tensor<(B, L), bool, D>,
) -> Result<Tensor<(B,), E, D, T>, CoreError> {
    let ((rows, columns), (mask_rows, mask_columns)) = (*values.shape(), *mask.shape());
    CoreError::check_size("mask rows", rows.size(), mask_rows.size())?;
    CoreError::check_size("mask columns", columns.size(), mask_columns.size())?;
    let zeros: Tensor<(B, L), E, D> = values.device().try_zeros_like(&values).map_err(CoreError::device)?;
    let kept = mask.clone().try_choose(values, zeros).map_err(CoreError::device)?;
    kept.try_sum::<(B,), Axis<1>>().map_err(CoreError::device)
}

/// `log σ(x)` of one number; see [`log_sigmoid`].
pub fn log_sigmoid_scalar(x: f64) -> f64 {
    if x >= 0.0 { -(-x).exp().ln_1p() } else { x - x.exp().ln_1p() }
}

/// `σ(x) = 1 / (1 + e^{−x})` of one number, without overflow and with full relative precision in both tails.
pub fn sigmoid_scalar(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// `log(1 − e^x)` of one number; −∞ at 0, NaN above; see [`log1mexp`].
pub fn log1mexp_scalar(x: f64) -> f64 {
    if x > -std::f64::consts::LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}
