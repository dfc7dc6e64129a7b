//! Soft-optimal values on a tree of states that is written out: the truth that token credits are measured against.

use super::logits::log_sum_exp;
use crate::CreditError;

/// One action in one state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Action {
    /// Its reward.
    pub reward: f64,
    /// Its log-probability under the reference, in nats.
    pub reference_logp: f64,
    /// The state that it leads to; `None` ends.
    pub next: Option<usize>,
}

/// A tree of states, each a list of actions. State 0 is the root; actions lead to states of higher index, each state but the
/// root is led to by one action: only on a tree do rewards and values determine each other.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftTree {
    states: Vec<Vec<Action>>,
}

/// Soft-optimal values of a [`SoftTree`], per state and action, in units of the reward.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TreeValues {
    /// `Q*(s, a)`.
    pub actions: Vec<Vec<f64>>,
    /// `V*(s)`.
    pub values: Vec<f64>,
    /// `log π*(a | s)`, in nats.
    pub logps: Vec<Vec<f64>>,
    /// `β log(π* / π_ref) = r + V*(s') − V*(s)`: the credit of the action.
    pub credits: Vec<Vec<f64>>,
}

impl SoftTree {
    /// Checks that the states make a tree.
    ///
    /// # Errors
    /// [`CreditError::Tree`] without states or actions, for an action that leads back or nowhere, for a state that two actions or
    /// none lead to, and for numbers that are not finite.
    pub fn new(states: Vec<Vec<Action>>) -> Result<Self, CreditError> {
        let mut led = vec![0usize; states.len()];
        if states.is_empty() {
            return Err(CreditError::Tree { state: 0, problem: "is the root and is missing; give at least one state" });
        }
        for (state, actions) in states.iter().enumerate() {
            let problem = |problem| Err(CreditError::Tree { state, problem });
            if actions.is_empty() {
                return problem("has no action; let the action that leads to it end instead");
            }
            for action in actions {
                if !(action.reward.is_finite() && action.reference_logp.is_finite()) {
                    return problem("has an action whose reward or log-probability is not finite");
                }
                match action.next {
                    Some(next) if next <= state || next >= states.len() => {
                        return problem("has an action that leads to no later state");
                    }
                    Some(next) => led[next] += 1,
                    None => {}
                }
            }
        }
        match led.iter().skip(1).position(|&n| n != 1) {
            Some(at) => Err(CreditError::Tree { state: at + 1, problem: "must be led to by exactly one action" }),
            None => Ok(Self { states }),
        }
    }

    /// The states' actions.
    pub fn states(&self) -> &[Vec<Action>] {
        &self.states
    }

    /// Backward induction at inverse temperature `1 / β`:
    ///
    /// ```text
    /// Q*(s, a) = r + β log π_ref(a | s) + V*(s')     V*(s) = β log Σ_a e^{Q*(s, a) / β}     V* = 0 at the end
    /// π*(a | s) = e^{(Q* − V*) / β}
    /// ```
    ///
    /// Source: Rafailov et al. 2024, arXiv 2404.12358, equations 5 to 7.
    ///
    /// # Errors
    /// [`CreditError::Value`] for a `beta` that is not positive.
    ///
    /// ```
    /// use tropism_credit::{Action, SoftTree};
    ///
    /// let action = |reward| Action { reward, reference_logp: 0.5_f64.ln(), next: None };
    /// let values = SoftTree::new(vec![vec![action(1.0), action(1.0)]])?.solve(0.5)?;
    /// assert!((values.values[0] - 1.0).abs() < 1e-15 && values.credits[0][0].abs() < 1e-15);
    /// # Ok::<(), tropism_credit::CreditError>(())
    /// ```
    pub fn solve(&self, beta: f64) -> Result<TreeValues, CreditError> {
        CreditError::check_rows("beta of a tree", &[beta], "positive and finite", |b| b > 0.0 && b.is_finite())?;
        let (n, empty) = (self.states.len(), |n| vec![Vec::new(); n]);
        let mut found = TreeValues { actions: empty(n), values: vec![0.0; n], logps: empty(n), credits: empty(n) };
        for (state, actions) in self.states.iter().enumerate().rev() {
            let after = |a: &Action| a.next.map_or(0.0, |next| found.values[next]);
            let q: Vec<f64> = actions.iter().map(|a| a.reward + beta * a.reference_logp + after(a)).collect();
            let scaled: Vec<f64> = q.iter().map(|q| q / beta).collect();
            let lse = log_sum_exp("soft values", &scaled)?;
            let logps: Vec<f64> = scaled.iter().map(|z| z - lse).collect();
            found.credits[state] = logps.iter().zip(actions).map(|(lp, a)| beta * (lp - a.reference_logp)).collect();
            (found.values[state], found.actions[state], found.logps[state]) = (beta * lse, q, logps);
        }
        Ok(found)
    }
}
