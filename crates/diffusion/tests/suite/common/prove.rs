//! The proof that every loss has to pass, whatever it reads.

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tropism_diffusion::Stream;
use tropism_diffusion::objectives::DiffusionObjective;

use super::plain::{Plain, pick};
use super::solve::{Solved, solve};

type Outcome = Result<(), TestCaseError>;

/// What the options allow to be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Rows come in groups of so many.
    pub(crate) group: usize,
    /// Whether a step may be split between groups.
    pub(crate) splits: bool,
}

/// Proves a loss on random batches: gradients against differences in f64, order of rows, splits into micro-batches, weights, f32
/// against f64, single rows.
pub(crate) fn prove(objective: impl Into<DiffusionObjective>, asked: Asked) {
    let objective = objective.into();
    objective.check().unwrap();
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    if let Err(error) = runner.run(&proptest::num::u64::ANY, |seed| case(&objective, asked, seed)) {
        panic!("{objective:?}: {error}");
    }
}

fn case(objective: &DiffusionObjective, asked: Asked, seed: u64) -> Outcome {
    let mut stream = Stream::new(seed, 0);
    let rows = asked.group * (1 + stream.below(4));
    let change = [1e-4, 0.02, 0.5, 2.0][stream.below(4)];
    let plain = Plain::random(objective, rows, change, &mut stream);
    let Ok(solved) = solve::<f64>(objective, &plain) else {
        // A balanced batch of one kind is refused; nothing else is.
        return check(!asked.splits, "a batch was refused");
    };
    check(solved.losses.iter().all(|l| l.is_finite()), "finite losses")?;
    check(solved.diagnostics.rows() == rows, "rows of diagnostics")?;
    check(solved.diagnostics.iter().all(|(_, v)| v.iter().all(|x| x.is_finite())), "finite diagnostics")?;
    gradients(objective, &plain, &solved)?;
    if asked.splits {
        order(objective, &plain, &solved, asked.group)?;
        split(objective, &plain, &solved, asked.group)?;
    }
    let mut moved = plain.clone();
    moved.leaves.iter_mut().flatten().for_each(|v| *v *= 1.5);
    near(&solve::<f64>(objective, &moved).unwrap().weights, &solved.weights, 0.0, "weights of another policy")?;
    single_precision(objective, &plain, &solved)
}

/// Central differences, or those of either side where the loss has a kink between.
fn gradients(objective: &DiffusionObjective, plain: &Plain, solved: &Solved) -> Outcome {
    let h = 1e-6;
    for (k, leaf) in plain.leaves.iter().enumerate() {
        for i in 0..leaf.len() {
            let got = solved.grads[k][i];
            let at = |by: f64| {
                let mut moved = plain.clone();
                moved.leaves[k][i] += by;
                solve::<f64>(objective, &moved).unwrap().losses
            };
            let (up, down, mid) = (at(h), at(-h), &solved.losses);
            let slope = |a: &[f64], b: &[f64], width: f64| a.iter().zip(b).map(|(a, b)| a - b).sum::<f64>() / width;
            let noise = 1e-14 * up.iter().fold(1.0, |m: f64, x| m.max(x.abs())) / h;
            let fits = |want: f64, loose: f64| (got - want).abs() <= loose * want.abs() + 1e-7 + 2.0 * noise;
            let (left, right) = (slope(mid, &down, h), slope(&up, mid, h));
            let central = slope(&up, &down, 2.0 * h);
            // Second differences of a smooth loss are small; where they are not, there is a kink.
            let kink = (left - right).abs() > 0.05 * left.abs().max(right.abs()) + 1e-6;
            // A bound may lie within the step on one side only: then the other side's slope is the gradient.
            let sharp = [central, left, right].iter().any(|s| fits(*s, 1e-5));
            let ok = sharp || (kink && (fits(left, 0.05) || fits(right, 0.05)));
            check(ok, &format!("gradient of {k} at {i}: {got}, by differences {central} ({left}, {right})"))?;
        }
    }
    Ok(())
}

/// Groups of rows in another order give the same, in that order.
fn order(objective: &DiffusionObjective, plain: &Plain, solved: &Solved, group: usize) -> Outcome {
    let groups = plain.rows / group;
    let order: Vec<usize> = (0..plain.rows).map(|r| (groups - 1 - r / group) * group + r % group).collect();
    let turned = solve::<f64>(objective, &plain.pick(&order)).unwrap();
    near(&pick(&turned.losses, plain.rows, &order), &solved.losses, 1e-12, "order of rows")?;
    for (a, b) in turned.grads.iter().zip(&solved.grads) {
        near(&pick(a, plain.rows, &order), b, 1e-12, "gradients in another order")?;
    }
    Ok(())
}

/// Parts of a step have the losses, weights and gradients that they have in the step.
fn split(objective: &DiffusionObjective, plain: &Plain, solved: &Solved, group: usize) -> Outcome {
    let cut = (plain.rows / group / 2) * group;
    if cut == 0 {
        return Ok(());
    }
    let part = |rows: std::ops::Range<usize>| solve::<f64>(objective, &plain.pick(&rows.collect::<Vec<_>>())).unwrap();
    let (a, b) = (part(0..cut), part(cut..plain.rows));
    near(&[a.losses, b.losses].concat(), &solved.losses, 1e-12, "losses of parts")?;
    near(&[a.weights, b.weights].concat(), &solved.weights, 0.0, "weights of parts")?;
    for ((x, y), whole) in a.grads.iter().zip(&b.grads).zip(&solved.grads) {
        near(&[x.clone(), y.clone()].concat(), whole, 1e-12, "gradients of parts")?;
    }
    Ok(())
}

/// f32 agrees with f64 as far as its inputs do: on the batch as f32 holds it.
fn single_precision(objective: &DiffusionObjective, plain: &Plain, _: &Solved) -> Outcome {
    let mut rounded = plain.clone();
    for values in rounded.leaves.iter_mut().chain(&mut rounded.reference) {
        values.iter_mut().for_each(|v| *v = f64::from(*v as f32));
    }
    let (single, wide) = (solve::<f32>(objective, &rounded).unwrap(), solve::<f64>(objective, &rounded).unwrap());
    near(&single.losses, &wide.losses, 1e-5, "losses in f32")?;
    for (a, b) in single.grads.iter().zip(&wide.grads) {
        near(a, b, 1e-5, "gradients in f32")?;
    }
    Ok(())
}

/// Equality within `tolerance` of the largest element, or of 1.
fn near(found: &[f64], want: &[f64], tolerance: f64, what: &str) -> Outcome {
    check(found.len() == want.len(), &format!("{what}: {} entries, not {}", found.len(), want.len()))?;
    let scale = want.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
    let within = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * scale;
    check(found.iter().zip(want).all(within), &format!("{what}: {found:?}, not {want:?}"))
}

fn check(ok: bool, what: &str) -> Outcome {
    if ok { Ok(()) } else { Err(TestCaseError::fail(what.to_owned())) }
}
