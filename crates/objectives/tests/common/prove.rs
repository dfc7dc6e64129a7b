//! The proof that every loss has to pass, whatever it reads.

use proptest::test_runner::{Config, TestRunner};
use tropism_objectives::Objective;

use super::agree::{Outcome, check, near};
use super::plain::{Plain, Rng};
use super::solve::{Solved, solve, solve_in};

/// A proof with its knobs; see [`prove`].
pub(crate) struct Proof {
    objective: Objective,
    /// Sizes of log-ratios in nats, of which each case takes one.
    ratios: Vec<f64>,
    cases: u32,
    adjust: fn(&mut Plain, &mut Rng),
    surrogate: Option<Box<Surrogate>>,
}

/// A row's share of the loss at a moved batch, with what the method holds constant taken from the unmoved one.
type Surrogate = dyn Fn(&Plain, &Plain, usize) -> f64;

/// Proves a loss on random batches: gradients against central differences in f64, order of rows, splits into micro-batches,
/// masked cells, weights, f32 against f64, single rows.
pub(crate) fn prove(objective: impl Into<Objective>) {
    Proof::of(objective).run();
}

impl Proof {
    /// A proof with log-ratios up to 40 nats.
    pub(crate) fn of(objective: impl Into<Objective>) -> Self {
        Self {
            objective: objective.into(),
            ratios: vec![0.3, 3.0, 12.0, 40.0],
            cases: 48,
            adjust: |_, _| {},
            surrogate: None,
        }
    }

    /// Other sizes of log-ratios, in nats.
    #[must_use]
    pub(crate) fn ratios(mut self, ratios: &[f64]) -> Self {
        self.ratios = ratios.to_vec();
        self
    }

    /// Changes each random batch, for methods whose constants depend on each other.
    #[must_use]
    pub(crate) fn adjust(mut self, adjust: fn(&mut Plain, &mut Rng)) -> Self {
        self.adjust = adjust;
        self
    }

    /// For losses that hold a function of the policy constant (a stop-gradient): what its gradient is the gradient of, as
    /// `f(moved, unmoved, row)`.
    #[must_use]
    pub(crate) fn surrogate(mut self, surrogate: impl Fn(&Plain, &Plain, usize) -> f64 + 'static) -> Self {
        self.surrogate = Some(Box::new(surrogate));
        self
    }

    /// Runs it.
    pub(crate) fn run(self) {
        let name = self.objective.name();
        self.objective.check().unwrap();
        let config = Config { cases: self.cases, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config);
        let found = runner.run(&proptest::num::u64::ANY, |seed| self.case(seed));
        if let Err(error) = found {
            panic!("{name} {:?}: {error}", self.objective);
        }
    }

    fn case(&self, seed: u64) -> Outcome {
        let mut rng = Rng(seed);
        let rows = rng.whole(1, 6);
        let ratio = self.ratios[rng.whole(0, self.ratios.len())];
        let mut plain = Plain::random(&self.objective, rows, ratio, &mut rng);
        (self.adjust)(&mut plain, &mut rng);
        let solved = solve::<f64>(&self.objective, &plain);
        self.value(&solved)?;
        self.gradients(&plain, &solved)?;
        self.order(&plain, &solved)?;
        self.split(&plain, &solved, &mut rng)?;
        self.masked(&plain, &solved)?;
        self.weights(&plain, &solved)?;
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

    /// Central differences. At a kink the one-sided differences disagree; such inputs are left out.
    fn gradients(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let h = 1e-5;
        for (k, side) in plain.sides.iter().enumerate() {
            let each = side.policy.len() / plain.rows;
            for i in 0..side.policy.len() {
                let row = i / each;
                let at = |by: f64| {
                    let mut moved = plain.clone();
                    moved.sides[k].policy[i] += by;
                    if let Some(surrogate) = &self.surrogate {
                        return surrogate(&moved, plain, row);
                    }
                    let shares = solve::<f64>(&self.objective, &moved).shares;
                    if self.objective.couples_rows() { shares.iter().sum() } else { shares[row] }
                };
                let (up, here, down): (f64, f64, f64) = (at(h), at(0.0), at(-h));
                let (want, got) = ((up - down) / (2.0 * h), solved.grads[k][i]);
                let kink = ((up - here) - (here - down)).abs() / h;
                let noise = 1e-14 * here.abs().max(1.0) / h;
                if kink > 0.01 * want.abs().max(1e-3) + noise {
                    continue;
                }
                let fits = (got - want).abs() <= 1e-5 * want.abs() + 1e-8 + noise;
                check(fits, &format!("gradient of side {k} at {i}: {got}, by differences {want}"))?;
            }
        }
        Ok(())
    }

    /// Rows in another order give the same, in that order.
    fn order(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let order: Vec<usize> = (0..plain.rows).rev().collect();
        let turned = solve::<f64>(&self.objective, &plain.pick(&order));
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

    /// Parts of a step, divided by the whole, add up to the step.
    fn split(&self, plain: &Plain, solved: &Solved, rng: &mut Rng) -> Outcome {
        if plain.rows < 2 || self.objective.couples_rows() {
            return Ok(());
        }
        let cut = rng.whole(1, plain.rows);
        let ranges = [0..cut, cut..plain.rows];
        let [a, b] = ranges.map(|r| solve_in::<f64>(&self.objective, &plain.slice(r), Some(&solved.denominators)));
        let sums: Vec<f64> = a.denominators.iter().zip(&b.denominators).map(|(x, y)| x + y).collect();
        near(&sums, &solved.denominators, 1e-12, "denominators of parts")?;
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
    fn masked(&self, plain: &Plain, solved: &Solved) -> Outcome {
        if plain.sides[0].mask.is_empty() || self.objective.input() == tropism_objectives::InputKind::Scores {
            return Ok(());
        }
        for junk in [0.0, f64::NAN, f64::NEG_INFINITY, 1e300] {
            let spoilt = solve::<f64>(&self.objective, &plain.with_junk(junk));
            near(&spoilt.shares, &solved.shares, 0.0, "shares beside junk")?;
            for ((found, want), side) in spoilt.grads.iter().zip(&solved.grads).zip(&plain.sides) {
                near(found, want, 0.0, "gradients beside junk")?;
                let outside = (0..found.len()).filter(|&i| !side.mask[i] && !side.prompt[i]);
                check(outside.map(|i| found[i]).all(|g| g == 0.0), "gradient of a masked cell")?;
            }
        }
        Ok(())
    }

    /// Weights do not depend on the policy.
    fn weights(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let mut moved = plain.clone();
        moved.sides.iter_mut().flat_map(|s| s.policy.iter_mut()).for_each(|lp| *lp *= 1.5);
        near(&solve::<f64>(&self.objective, &moved).denominators, &solved.denominators, 0.0, "weights of another policy")
    }

    /// f32 agrees with f64 as far as its inputs do.
    fn single_precision(&self, plain: &Plain, solved: &Solved) -> Outcome {
        let single = solve::<f32>(&self.objective, plain);
        near(&single.shares, &solved.shares, 1e-3, "shares in f32")?;
        for (a, b) in single.grads.iter().zip(&solved.grads) {
            near(a, b, 1e-3, "gradients in f32")?;
        }
        Ok(())
    }
}
