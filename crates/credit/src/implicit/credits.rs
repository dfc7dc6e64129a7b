//! Credits of the tokens that were written.

use dfdx::prelude::*;
use tropism_core::{CoreError, TokenLogps};

use super::profile::CreditProfile;
use crate::CreditError;
use crate::figures::log_ratios;

/// Credits of the tokens of `P` completions, `c_t = β (lp_t − rf_t)`: no gradient.
///
/// In the tree of prefixes, the policy that DPO finds has `c_t = r_t + V(s_{t+1}) − V(s_t)`: the token's reward, shaped by the
/// soft value `V` of the states before and after it, and the optimal advantage of the token. All values are in units of the
/// reward, relative to `V` of the prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenCredits {
    /// Credits of the counted tokens of each completion, in order.
    rows: Vec<Vec<f64>>,
    /// Columns of these tokens.
    places: Vec<Vec<usize>>,
    columns: usize,
}

/// Credits of the tokens of `P` completions under a trained policy and the reference of its training.
///
/// ```text
/// c_t = β (lp_t − rf_t)     Σ_t c_t = R(y) − V(prompt) for a complete answer
/// ```
///
/// The last token has to be the end of the answer, or the sum lacks the value of the last state. Credits are defined up to a
/// potential of states: compare answers to one prompt, or sums to the end, never single tokens across prompts.
///
/// Source: Rafailov et al. 2024, arXiv 2404.12358, equations 10 and 11.
///
/// # Errors
/// [`CreditError::Value`] for a `beta` that is not positive; [`CreditError::UnevenMasks`]; [`CreditError::Core`] for sizes
/// that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_credit::token_credits;
///
/// let tokens = |v: [f64; 3]| TokenLogps::new(Cpu::default().tensor([v]), &[false, true, true]);
/// let credits = token_credits(&tokens([0.0, -1.0, -2.0])?, &tokens([0.0, -2.0, -1.5])?, 0.5)?;
/// assert_eq!(credits.row(0), [0.5, -0.25]);
/// assert_eq!(credits.values(0), [0.0, 0.5, 0.25]); // V(s_t) − V(prompt), if all of the reward comes at the end
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn token_credits<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>, R: Tape<E, D>>(
    policy: &TokenLogps<P, C, E, D, T>,
    reference: &TokenLogps<P, C, E, D, R>,
    beta: f64,
) -> Result<TokenCredits, CreditError> {
    CreditError::check_rows("beta of token credits", &[beta], "positive and finite", |b| b > 0.0 && b.is_finite())?;
    let ratios = log_ratios("reference logps", policy, reference)?;
    let columns = policy.size().1;
    let places: Vec<Vec<usize>> =
        policy.mask().chunks(columns).map(|row| (0..columns).filter(|&i| row[i]).collect()).collect();
    let each = ratios.chunks(columns).zip(&places);
    let rows = each.map(|(cells, places)| places.iter().map(|&i| beta * cells[i]).collect()).collect();
    Ok(TokenCredits { rows, places, columns })
}

impl TokenCredits {
    /// Number of completions.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Credits of a completion's tokens, in order: optimal advantages `A_t = Q_t − V(s_t)`.
    ///
    /// # Panics
    /// When there is no such completion, as for indices of slices; so do the other functions that take a row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.rows[row]
    }

    /// Credits as a table `[P, C]` row by row, 0 in cells that do not count.
    pub fn cells(&self) -> Vec<f64> {
        let mut cells = vec![0.0; self.rows.len() * self.columns];
        for (row, (credits, places)) in self.rows.iter().zip(&self.places).enumerate() {
            places.iter().zip(credits).for_each(|(&i, &c)| cells[row * self.columns + i] = c);
        }
        cells
    }

    /// Sum of a completion's credits: its implicit reward, `R(y) − V(prompt)` if it is complete.
    pub fn total(&self, row: usize) -> f64 {
        self.rows[row].iter().sum()
    }

    /// Soft values `V(s_t) − V(prompt)` of the states before each token, and of the end: `Σ_{i<t} c_i`.
    ///
    /// This reads `c_t` as differences of values alone: right where the reward comes with the last token, so that the last
    /// entry is `R − V(prompt)`.
    pub fn values(&self, row: usize) -> Vec<f64> {
        let mut sum = 0.0;
        let after = self.rows[row].iter().map(|c| {
            sum += c;
            sum
        });
        std::iter::once(0.0).chain(after).collect()
    }

    /// `Q(s_t, y_t) − V(prompt)` of each token: the value before it plus its advantage.
    pub fn action_values(&self, row: usize) -> Vec<f64> {
        self.values(row).split_off(1)
    }

    /// What is still to come from each token on, `Σ_{i≥t} c_i = R − V(s_t)`.
    pub fn to_go(&self, row: usize) -> Vec<f64> {
        let mut sum = 0.0;
        let mut found: Vec<f64> = self.rows[row]
            .iter()
            .rev()
            .map(|c| {
                sum += c;
                sum
            })
            .collect();
        found.reverse();
        found
    }

    /// Sums over spans of a completion's tokens, counted from its first; such as words, sentences or steps.
    ///
    /// # Errors
    /// [`CreditError::Outside`] for a span that ends after the last token or begins after its end.
    pub fn spans(&self, row: usize, spans: &[std::ops::Range<usize>]) -> Result<Vec<f64>, CreditError> {
        let credits = &self.rows[row];
        let sum = |span: &std::ops::Range<usize>| match credits.get(span.clone()) {
            Some(part) => Ok(part.iter().sum()),
            None => Err(CreditError::Outside { what: "end of span", row, index: span.end, bound: credits.len() + 1 }),
        };
        spans.iter().map(sum).collect()
    }

    /// Figures for a report.
    ///
    /// # Errors
    /// [`CreditError::Core`] when no completion has a token.
    pub fn profile(&self) -> Result<CreditProfile, CreditError> {
        match self.rows.iter().all(Vec::is_empty) {
            true => Err(CoreError::Empty { what: "token credits" }.into()),
            false => Ok(CreditProfile::of(&self.rows)),
        }
    }
}
