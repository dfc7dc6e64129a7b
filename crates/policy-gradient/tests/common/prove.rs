//! The proof that every loss has to pass.

use std::cell::Cell;

use proptest::test_runner::{Config, TestRunner};
use tropism_policy_gradient::{Coupling, Estimator, Method, PolicyGradient, entropy_threshold, old_policy_kl};

use super::agree::{Outcome, check, near};
use super::plain::Plain;
use super::rng::Rng;
use super::solve::{Solved, try_solve};

/// A row's share of the loss at a moved rollout, with what the method holds constant taken from the unmoved one.
type Surrogate = dyn Fn(&Plain, &Plain, usize) -> f64;

/// A proof with its knobs; see [`prove`].
pub(crate) struct Proof {
    method: PolicyGradient,
    /// Sizes of log-ratios of completions in nats, of which each case takes one.
    ratios: Vec<f64>,
    by_token: bool,
    surrogate: Option<Box<Surrogate>>,
    /// Options of the step's figures.
    quantile: f64,
    estimator: Estimator,
    /// Differences taken, and those left out at kinks.
    taken: Cell<usize>,
    skipped: Cell<usize>,
}

/// Proves a loss on random rollouts: gradients against central differences in f64, order of rows, splits into micro-batches
/// that keep groups, masked cells, weights, dropped rows, f32 against f64, single rows.
pub(crate) fn prove(method: impl Into<PolicyGradient>) {
    Proof::of(method).run();
}

impl Proof {
    /// A proof with log-ratios up to 40 nats.
    pub(crate) fn of(method: impl Into<PolicyGradient>) -> Self {
        Self {
            method: method.into(),
            ratios: vec![0.3, 3.0, 12.0, 40.0],
            by_token: false,
            surrogate: None,
            quantile: 1.0,
            estimator: Estimator::K1,
            taken: Cell::new(0),
            skipped: Cell::new(0),
        }
    }

    /// Other sizes of log-ratios, in nats.
    #[must_use]
    pub(crate) fn ratios(mut self, ratios: &[f64]) -> Self {
        self.ratios = ratios.to_vec();
        self
    }

    /// Advantages by token.
    #[must_use]
    pub(crate) fn by_token(mut self) -> Self {
        self.by_token = true;
        self
    }

    /// For losses that hold a function of the policy constant: what their gradient is the gradient of, as `f(moved, unmoved,
    /// row)`.
    #[must_use]
    pub(crate) fn surrogate(mut self, surrogate: impl Fn(&Plain, &Plain, usize) -> f64 + 'static) -> Self {
        self.surrogate = Some(Box::new(surrogate));
        self
    }

    /// The quantile of entropies that the method keeps.
    #[must_use]
    pub(crate) fn quantile(mut self, quantile: f64) -> Self {
        self.quantile = quantile;
        self
    }

    /// The estimate of the divergence that the method reads.
    #[must_use]
    pub(crate) fn estimator(mut self, estimator: Estimator) -> Self {
        self.estimator = estimator;
        self
    }

    /// Runs it.
    pub(crate) fn run(self) {
        self.method.check().unwrap();
        let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config);
        let found = runner.run(&proptest::num::u64::ANY, |seed| self.case(seed));
        if let Err(error) = found {
            panic!("{} {:?}: {error}", self.method.name(), self.method);
        }
        let (taken, skipped) = (self.taken.get(), self.skipped.get());
        assert!(taken > 500 && skipped * 100 <= taken, "{}: {skipped} of {taken} at kinks", self.method.name());
    }

    fn case(&self, seed: u64) -> Outcome {
        let mut rng = Rng(seed);
        let rows = rng.whole(1, 9);
        let ratio = self.ratios[rng.whole(0, self.ratios.len())];
        let mut plain = Plain::random(rows, ratio, &mut rng);
        if self.by_token {
            plain = plain.by_token(&mut rng);
        }
        let Some(solved) = try_solve::<f64>(&self.method, &plain, None) else { return Ok(()) };
        self.value(&solved)?;
        self.gradients(&plain, &solved)?;
        self.order(&plain, &solved)?;
        self.split(&plain, &solved)?;
        self.masked(&plain, &solved)?;
        self.weights(&plain, &solved)?;
        self.dropped(&plain, &mut rng)?;
        if ratio <= 12.0 {
            self.single_precision(&plain, &solved)?;
        }
        Ok(())
    }

    /// The loss is the sum of the rows' shares, and the diagnostics have its rows.
    fn value(&self, solved: &Solved) -> Outcome {
        near(&[solved.loss], &[solved.shares.iter().sum()], 1e-12, "loss and shares")?;
        check(solved.diagnostics.rows() == solved.shares.len(), "rows of diagnostics")?;
        check(solved.diagnostics.iter().all(|(_, v)| v.iter().all(|x| x.is_finite())), "finite diagnostics")
    }

    /// Central differences. At a kink the one-sided differences disagree; such inputs are counted and left out.
    fn gradients(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let h = 1e-5;
        for table in 0..3 {
            for i in 0..plain.mask.len() {
                let row = i / plain.width;
                let at = |by: f64| {
                    let mut moved = plain.clone();
                    [&mut moved.policy, &mut moved.entropies, &mut moved.values][table][i] += by;
                    if let (0, Some(surrogate)) = (table, &self.surrogate) {
                        return surrogate(&moved, plain, row);
                    }
                    let shares = try_solve::<f64>(&self.method, &moved, None).unwrap().shares;
                    if self.method.coupling() == Coupling::Rows { shares[row] } else { shares.iter().sum() }
                };
                let (up, here, down): (f64, f64, f64) = (at(h), at(0.0), at(-h));
                let (want, got) = ((up - down) / (2.0 * h), solved.grads[table][i]);
                let kink = ((up - here) - (here - down)).abs() / h;
                let noise = 1e-14 * here.abs().max(1.0) / h;
                self.taken.set(self.taken.get() + 1);
                if kink > 0.01 * want.abs().max(1e-3) + noise {
                    self.skipped.set(self.skipped.get() + 1);
                    continue;
                }
                let fits = (got - want).abs() <= 1e-5 * want.abs() + 1e-8 + noise;
                check(fits, &format!("gradient of table {table} at {i}: {got}, by differences {want}"))?;
            }
        }
        Ok(())
    }

    /// Rows in another order give the same, in that order.
    fn order(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let order: Vec<usize> = (0..plain.rows).rev().collect();
        let turned = try_solve::<f64>(&self.method, &plain.pick(&order), None).unwrap();
        let back = |values: &[f64]| {
            let each = values.len() / plain.rows;
            order.iter().flat_map(|&r| values[r * each..(r + 1) * each].to_vec()).collect::<Vec<f64>>()
        };
        near(&back(&turned.shares), &solved.shares, 1e-10, "order of rows")?;
        for (a, b) in turned.grads.iter().zip(&solved.grads) {
            near(&back(a), b, 1e-10, "gradients in another order")?;
        }
        Ok(())
    }

    /// The rollout with the figures of the step that a part of it needs.
    fn with_figures(&self, plain: &Plain) -> Plain {
        let counted: Vec<f64> = (0..plain.mask.len()).filter(|&i| plain.mask[i]).map(|i| plain.entropies[i]).collect();
        let divergence = old_policy_kl(&plain.policy, &plain.old, &plain.mask, self.estimator);
        Plain {
            entropy_threshold: entropy_threshold(&counted, self.quantile).ok(),
            step_kl: divergence.ok(),
            ..plain.clone()
        }
    }

    /// Parts of a step that keep groups, divided by the whole, add up to the step.
    fn split(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let plain = self.with_figures(plain);
        let whole_groups = self.method.coupling() != Coupling::Rows;
        let (a, b): (Vec<usize>, Vec<usize>) =
            (0..plain.rows).partition(|&r| if whole_groups { plain.groups[r] == 0 } else { r % 2 == 0 });
        if b.is_empty() {
            return Ok(());
        }
        let part = |rows: &[usize]| try_solve::<f64>(&self.method, &plain.pick(rows), Some(&solved.denominators)).unwrap();
        let (x, y) = (part(&a), part(&b));
        let sums: Vec<f64> = x.denominators.iter().zip(&y.denominators).map(|(p, q)| p + q).collect();
        near(&sums, &solved.denominators, 1e-12, "denominators of parts")?;
        near(&[x.loss + y.loss], &[solved.loss], 1e-10, "losses of parts")?;
        let rows: Vec<usize> = a.into_iter().chain(b).collect();
        for ((p, q), whole) in x.grads.iter().zip(&y.grads).zip(&solved.grads) {
            let each = plain.width;
            let want: Vec<f64> = rows.iter().flat_map(|&r| whole[r * each..(r + 1) * each].to_vec()).collect();
            near(&[p.clone(), q.clone()].concat(), &want, 1e-10, "gradients of parts")?;
        }
        let mut gathered = x.diagnostics;
        gathered.extend(&y.diagnostics).unwrap();
        for (name, values) in solved.diagnostics.iter() {
            let want: Vec<f64> = rows.iter().map(|&r| values[r]).collect();
            near(gathered.get(name).unwrap_or_default(), &want, 1e-10, name)?;
        }
        Ok(())
    }

    /// What stands in masked cells changes nothing and has no gradient.
    fn masked(&self, plain: &Plain, solved: &Solved) -> Outcome {
        for junk in [0.0, f64::NAN, f64::NEG_INFINITY, 1e300] {
            let spoilt = try_solve::<f64>(&self.method, &plain.with_junk(junk), None).unwrap();
            near(&spoilt.shares, &solved.shares, 0.0, "shares beside junk")?;
            for (found, want) in spoilt.grads.iter().zip(&solved.grads) {
                near(found, want, 0.0, "gradients beside junk")?;
                let outside = (0..found.len()).filter(|&i| !plain.mask[i]);
                check(outside.map(|i| found[i]).all(|g| g == 0.0), "gradient of a masked cell")?;
            }
        }
        Ok(())
    }

    /// Weights do not depend on the policy.
    fn weights(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let mut moved = plain.clone();
        moved.policy.iter_mut().for_each(|lp| *lp *= 1.5);
        moved.entropies.iter_mut().for_each(|h| *h *= 1.5);
        let moved = try_solve::<f64>(&self.method, &moved, None).unwrap();
        near(&moved.denominators, &solved.denominators, 0.0, "weights of another policy")
    }

    /// A dropped row is as good as absent.
    fn dropped(&self, plain: &Plain, rng: &mut Rng) -> Outcome {
        let kept: Vec<bool> = (0..plain.rows).map(|_| rng.whole(0, 3) > 0).collect();
        let rows: Vec<usize> = (0..plain.rows).filter(|&r| kept[r]).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let some = try_solve::<f64>(&self.method, &Plain { kept: kept.clone(), ..plain.clone() }, None);
        let only = try_solve::<f64>(&self.method, &plain.pick(&rows), None);
        let (some, only) = match (some, only) {
            (Some(some), Some(only)) => (some, only),
            (some, only) => return check(some.is_none() && only.is_none(), "nothing counts"),
        };
        near(&some.denominators, &only.denominators, 1e-12, "denominators without dropped rows")?;
        near(&[some.loss], &[only.loss], 1e-10, "loss without dropped rows")?;
        for (found, want) in some.grads.iter().zip(&only.grads) {
            let each = plain.width;
            let there: Vec<f64> = rows.iter().flat_map(|&r| found[r * each..(r + 1) * each].to_vec()).collect();
            near(&there, want, 1e-10, "gradients without dropped rows")?;
            let gone = (0..found.len()).filter(|i| !kept[i / each]);
            check(gone.map(|i| found[i]).all(|g| g == 0.0), "gradient of a dropped row")?;
        }
        Ok(())
    }

    /// f32 agrees with f64 as far as its inputs do.
    fn single_precision(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let single = try_solve::<f32>(&self.method, plain, None).unwrap();
        near(&single.shares, &solved.shares, 1e-3, "shares in f32")?;
        for (a, b) in single.grads.iter().zip(&solved.grads) {
            near(a, b, 1e-3, "gradients in f32")?;
        }
        Ok(())
    }
}
