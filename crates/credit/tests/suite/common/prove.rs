//! The proof that every loss has to pass, whatever it reads.

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tropism_credit::Credit;

use super::plain::{Plain, Rng};
use super::solve::{Solved, solve};

type Outcome = Result<(), TestCaseError>;

/// Proves a loss on random batches: gradients against central differences in f64 (none where `held` says that a stop-gradient
/// is), order of rows, splits into micro-batches, masked cells, weights, f32 against f64, single rows.
pub(crate) fn prove(credit: impl Into<Credit>, held: &[usize]) {
    let credit = credit.into();
    credit.check().unwrap();
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    if let Err(error) = runner.run(&proptest::num::u64::ANY, |seed| case(&credit, held, seed)) {
        panic!("{credit:?}: {error}");
    }
}

fn case(credit: &Credit, held: &[usize], seed: u64) -> Outcome {
    let mut rng = Rng(seed);
    // Steps need two rows to make a pair.
    let rows = rng.whole(if credit.couples_rows() { 2 } else { 1 }, 7);
    let ratio = [0.3, 3.0, 12.0, 40.0][rng.whole(0, 4)];
    let plain = Plain::random(credit, rows, ratio, &mut rng);
    let solved = solve::<f64>(credit, &plain, None);
    near(&[solved.loss], &[solved.shares.iter().sum()], 1e-12, "loss and shares")?;
    check(solved.diagnostics.rows() == rows, "rows of diagnostics")?;
    check(solved.diagnostics.iter().all(|(_, v)| v.iter().all(|x| x.is_finite())), "finite diagnostics")?;
    gradients(credit, &plain, &solved, held)?;
    order(credit, &plain, &solved)?;
    split(credit, &plain, &solved, &mut rng)?;
    masked(credit, &plain, &solved)?;
    let mut moved = plain.clone();
    moved.leaves.iter_mut().flatten().for_each(|lp| *lp *= 1.5);
    near(&[solve::<f64>(credit, &moved, None).denominator], &[solved.denominator], 0.0, "weights of another policy")?;
    if ratio <= 12.0 { single_precision(credit, &plain, &solved) } else { Ok(()) }
}

/// Central differences of the whole loss.
fn gradients(credit: &Credit, plain: &Plain, solved: &Solved, held: &[usize]) -> Outcome {
    let h = 1e-5;
    for (k, leaf) in plain.leaves.iter().enumerate() {
        for i in 0..leaf.len() {
            let got = solved.grads[k][i];
            if held.contains(&k) {
                check(got == 0.0, &format!("gradient {got} of {k} at {i}, which is a constant"))?;
                continue;
            }
            let at = |by: f64| {
                let mut moved = plain.clone();
                moved.leaves[k][i] += by;
                // Sums of rows lose digits: add up the differences instead.
                solve::<f64>(credit, &moved, None).shares
            };
            let (up, down) = (at(h), at(-h));
            let want = up.iter().zip(&down).map(|(a, b)| a - b).sum::<f64>() / (2.0 * h);
            let noise = 1e-14 * up.iter().fold(1.0, |m: f64, x| m.max(x.abs())) / h;
            let fits = (got - want).abs() <= 1e-5 * want.abs() + 1e-8 + noise;
            check(fits, &format!("gradient of {k} at {i}: {got}, by differences {want}"))?;
        }
    }
    Ok(())
}

/// Rows in another order give the same, in that order.
fn order(credit: &Credit, plain: &Plain, solved: &Solved) -> Outcome {
    let order: Vec<usize> = (0..plain.rows).rev().collect();
    let turned = solve::<f64>(credit, &plain.pick(&order), None);
    let back = |values: &[f64]| super::plain::pick(values, plain.rows, &order);
    near(&back(&turned.shares), &solved.shares, 1e-10, "order of rows")?;
    for (a, b) in turned.grads.iter().zip(&solved.grads) {
        near(&back(a), b, 1e-10, "gradients in another order")?;
    }
    Ok(())
}

/// Parts of a step, divided by the whole, add up to the step.
fn split(credit: &Credit, plain: &Plain, solved: &Solved, rng: &mut Rng) -> Outcome {
    let cuts = plain.cuts();
    if cuts.is_empty() {
        return Ok(());
    }
    let cut = cuts[rng.whole(0, cuts.len())];
    let part = |rows: std::ops::Range<usize>| {
        solve::<f64>(credit, &plain.pick(&rows.collect::<Vec<_>>()), Some(solved.denominator))
    };
    let (a, b) = (part(0..cut), part(cut..plain.rows));
    near(&[a.denominator + b.denominator], &[solved.denominator], 1e-12, "denominators of parts")?;
    near(&[a.loss + b.loss], &[solved.loss], 1e-10, "losses of parts")?;
    for ((x, y), whole) in a.grads.iter().zip(&b.grads).zip(&solved.grads) {
        near(&[x.clone(), y.clone()].concat(), whole, 1e-10, "gradients of parts")?;
    }
    let mut gathered = a.diagnostics;
    gathered.extend(&b.diagnostics).unwrap();
    for (name, values) in solved.diagnostics.iter() {
        near(gathered.get(name).unwrap_or_default(), values, 1e-10, name)?;
    }
    Ok(())
}

/// What stands in masked cells changes nothing and has no gradient.
fn masked(credit: &Credit, plain: &Plain, solved: &Solved) -> Outcome {
    if plain.masks.is_empty() {
        return Ok(());
    }
    for junk in [0.0, f64::NAN, f64::NEG_INFINITY, 1e300] {
        let spoilt = solve::<f64>(credit, &plain.with_junk(junk), None);
        near(&spoilt.shares, &solved.shares, 0.0, "shares beside junk")?;
        for ((found, want), mask) in spoilt.grads.iter().zip(&solved.grads).zip(&plain.masks) {
            near(found, want, 0.0, "gradients beside junk")?;
            check((0..found.len()).all(|i| mask[i] || found[i] == 0.0), "gradient of a masked cell")?;
        }
    }
    Ok(())
}

/// f32 agrees with f64 as far as its inputs do.
fn single_precision(credit: &Credit, plain: &Plain, solved: &Solved) -> Outcome {
    let single = solve::<f32>(credit, plain, None);
    near(&single.shares, &solved.shares, 1e-3, "shares in f32")?;
    for (a, b) in single.grads.iter().zip(&solved.grads) {
        near(a, b, 1e-3, "gradients in f32")?;
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
