//! Pareto fronts and the volume under them. All objectives are to be large; negate those that are to be small.
use crate::error::{EvaluationError, finite, same_length};

/// Whether `a` is nowhere worse than `b` and better somewhere.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a >= b) && a.iter().zip(b).any(|(a, b)| a > b)
}

/// Indices of the points that no other point dominates, in their order; equal points are all kept.
///
/// # Errors
/// No points, values that are not finite, points of different dimensions.
///
/// ```
/// use tropism_evaluation::pareto::pareto_front;
///
/// assert_eq!(pareto_front(&[vec![1.0, 3.0], vec![2.0, 2.0], vec![1.0, 2.0]])?, [0, 1]);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn pareto_front(points: &[Vec<f64>]) -> Result<Vec<usize>, EvaluationError> {
    check(points, points.first().map_or(0, Vec::len))?;
    Ok(front_of(points))
}

/// Volume of what the points dominate above `reference`, the worst value of each objective: the part of a point below it
/// does not count. In two dimensions by a sweep, above by exclusive volumes.
///
/// # Errors
/// As [`pareto_front`]; a reference of another dimension.
///
/// # Source
/// Zitzler and Thiele 1999; While, Bradstreet and Barone 2012 (WFG).
///
/// ```
/// use tropism_evaluation::pareto::hypervolume;
///
/// assert_eq!(hypervolume(&[vec![1.0, 3.0], vec![2.0, 2.0]], &[0.0, 0.0])?, 5.0);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> Result<f64, EvaluationError> {
    finite("the reference point", reference)?;
    check(points, reference.len())?;
    let above: Vec<Vec<f64>> = points
        .iter()
        .filter(|p| p.iter().zip(reference).all(|(p, r)| p > r))
        .map(|p| p.iter().zip(reference).map(|(p, r)| p - r).collect())
        .collect();
    Ok(volume(above))
}

fn check(points: &[Vec<f64>], dim: usize) -> Result<(), EvaluationError> {
    if points.is_empty() {
        return Err(EvaluationError::Empty { what: "the list of points" });
    }
    points.iter().try_for_each(|p| same_length("a point", dim, p.len()).and_then(|()| finite("a point", p)))
}

fn front_of(points: &[Vec<f64>]) -> Vec<usize> {
    (0..points.len()).filter(|&i| !points.iter().any(|p| dominates(p, &points[i]))).collect()
}

/// Volume above 0 of positive points.
fn volume(points: Vec<Vec<f64>>) -> f64 {
    let mut front: Vec<Vec<f64>> = front_of(&points).into_iter().map(|i| points[i].clone()).collect();
    front.sort_by(|a, b| {
        a.iter().zip(b).map(|(a, b)| b.total_cmp(a)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    front.dedup();
    match front.first().map(Vec::len) {
        None => 0.0,
        Some(1) => front[0][0],
        Some(2) => sweep(&front),
        Some(_) => (0..front.len()).map(|i| exclusive(&front[i], &front[i + 1..])).sum(),
    }
}

/// Area under a front in two dimensions, sorted by its first value from above.
fn sweep(front: &[Vec<f64>]) -> f64 {
    let mut top = 0.0;
    front.iter().map(|p| p[0] * (p[1] - std::mem::replace(&mut top, p[1]))).sum()
}

/// What `point` dominates and none of `others` does.
fn exclusive(point: &[f64], others: &[Vec<f64>]) -> f64 {
    let limited = others.iter().map(|o| o.iter().zip(point).map(|(o, p)| o.min(*p)).collect()).collect();
    point.iter().product::<f64>() - volume(limited)
}
