//! Functions of one margin, each as value and slope, in f64.

use tropism_core::numerics::{log_sigmoid_scalar, sigmoid_scalar};

/// `−log σ(z)` with slope `−σ(−z)`.
pub(crate) fn logistic(z: f64) -> (f64, f64) {
    (-log_sigmoid_scalar(z), -sigmoid_scalar(-z))
}

/// `−(1−ε) log σ(z) − ε log σ(−z)`: logistic with smoothed labels.
pub(crate) fn smoothed(z: f64, epsilon: f64) -> (f64, f64) {
    let value = -(1.0 - epsilon) * log_sigmoid_scalar(z) - epsilon * log_sigmoid_scalar(-z);
    (value, epsilon * sigmoid_scalar(z) - (1.0 - epsilon) * sigmoid_scalar(-z))
}

/// `max(0, 1 − z)`; the slope at the kink is 0.
pub(crate) fn hinge(z: f64) -> (f64, f64) {
    if z < 1.0 { (1.0 - z, -1.0) } else { (0.0, 0.0) }
}

/// `(z − target)²`.
pub(crate) fn squared(z: f64, target: f64) -> (f64, f64) {
    ((z - target) * (z - target), 2.0 * (z - target))
}

/// `σ(z)` with slope `σ(z) σ(−z)`.
pub(crate) fn sigmoid(z: f64) -> (f64, f64) {
    (sigmoid_scalar(z), sigmoid_scalar(z) * sigmoid_scalar(-z))
}
