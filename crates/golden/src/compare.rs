//! Number-by-number comparison of an entry.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

use crate::schema::{Entry, numbers};
use crate::{Failure, Outcome, Report};

/// The comparison of one entry.
pub(crate) struct Comparison<'a> {
    entry: &'a Entry,
    failures: Vec<Failure>,
    compared: usize,
}

impl<'a> Comparison<'a> {
    /// Starts without a number compared.
    pub(crate) fn of(entry: &'a Entry) -> Self {
        Self { entry, failures: Vec::new(), compared: 0 }
    }

    /// Compares all figures and gradients that both sides have.
    pub(crate) fn check(&mut self, dtype: &str, tolerance: f64, outcome: &Outcome) {
        let entry = self.entry;
        for (name, expected, found) in both(&entry.expected, &outcome.figures) {
            let allowed = |e: f64| tolerance * e.abs().max(1.0);
            let in_order = |mut values: Vec<f64>| {
                if outcome.sorted.contains(&name) {
                    values.sort_by(f64::total_cmp);
                }
                values
            };
            let counted = outcome.counted.get(name).filter(|c| c.len() == expected.len() && c.len() == found.len());
            let pick = |values: &[f64]| match counted {
                Some(counted) => values.iter().zip(counted).filter(|(_, c)| **c).map(|(v, _)| *v).collect(),
                None => values.to_vec(),
            };
            let (expected, found) = (in_order(pick(&expected)), in_order(pick(found)));
            self.array(&format!("{dtype} {name}"), &expected, &found, allowed);
        }
        for (name, expected, found) in both(&entry.grad, &outcome.grads) {
            let largest = expected.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
            let scale = if largest == 0.0 { 1.0 } else { largest };
            self.array(&format!("{dtype} grad/{name}"), &expected, found, |_| tolerance * scale);
        }
    }

    /// Notes that nothing could be computed.
    pub(crate) fn refuse(&mut self, dtype: &str, error: &dyn Display) {
        self.fail(format!("{dtype} not computed: {error}"), f64::NAN, f64::NAN);
    }

    /// Names of figures and gradients that the method does not define.
    pub(crate) fn uncompared(&self, outcome: &Outcome) -> Vec<String> {
        let id = &self.entry.id;
        let figures = self.entry.expected.keys().filter(|name| !outcome.figures.contains_key(*name));
        let grads = self.entry.grad.keys().filter(|name| !outcome.grads.contains_key(*name));
        let figures = figures.map(|name| format!("{id} {name}"));
        figures.chain(grads.map(|name| format!("{id} grad/{name}"))).collect()
    }

    /// Hands the outcome to the report. An entry without a compared number has not passed.
    pub(crate) fn conclude(mut self, report: &mut Report) {
        if self.compared == 0 && self.failures.is_empty() {
            self.fail("nothing to compare".into(), f64::NAN, f64::NAN);
        }
        if self.failures.is_empty() {
            report.passed.push(self.entry.id.clone());
        }
        report.compared += self.compared;
        report.failures.extend(self.failures);
    }

    fn array(&mut self, figure: &str, expected: &[f64], found: &[f64], allowed: impl Fn(f64) -> f64) {
        if expected.len() != found.len() {
            let sizes = (expected.len() as f64, found.len() as f64);
            return self.fail(format!("{figure} (number of elements)"), sizes.0, sizes.1);
        }
        for (i, (&e, &f)) in expected.iter().zip(found).enumerate() {
            self.compared += 1;
            // A NaN on either side makes the difference NaN, which is not within any bound.
            let within = (e - f).abs() <= allowed(e);
            if !within {
                self.fail(format!("{figure}[{i}]"), e, f);
            }
        }
    }

    fn fail(&mut self, figure: String, expected: f64, found: f64) {
        self.failures.push(Failure { id: self.entry.id.clone(), figure, expected, found });
    }
}

/// Names on both sides with their numbers.
fn both<'m>(
    expected: &'m BTreeMap<String, Value>,
    found: &'m BTreeMap<String, Vec<f64>>,
) -> impl Iterator<Item = (&'m str, Vec<f64>, &'m [f64])> {
    expected
        .iter()
        .filter_map(move |(name, value)| found.get(name).map(|found| (name.as_str(), numbers(value), found.as_slice())))
}
