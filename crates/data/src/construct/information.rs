//! Rejected responses by the rule of differential information (DID).

use super::options::options;
use super::{Link, Links, Scores};
use crate::DataError;

options! {
    /// Options of [`information`].
    Information = "information" {
        /// Exponent `β > 0` of the rule; the β of the DPO loss that follows.
        beta: f64 = 0.1;
        /// Pairs drawn per prompt.
        pairs: usize = 1;
        /// The aspect that holds a response's log-probability under the target policy.
        policy_logps: String = "logps/policy".to_owned();
        /// The aspect that holds it under the reference.
        reference_logps: String = "logps/reference".to_owned();
        /// The aspect that holds it under what responses were sampled from; none: the reference.
        proposal_logps: Option<String> = None;
    }
}

impl Information {
    /// Checks the values.
    ///
    /// # Errors
    /// A β that is not above 0; no pair.
    pub fn check(&self) -> Result<(), DataError> {
        if !(self.beta > 0.0 && self.beta.is_finite()) {
            return Err(DataError::config("beta", self.beta, "must be above 0"));
        }
        if self.pairs == 0 {
            return Err(DataError::config("pairs", 0, "must be at least 1"));
        }
        Ok(())
    }
}

/// Log-probabilities of one prompt's responses, in nats, summed over their tokens.
#[derive(Debug, Clone, Copy)]
pub struct Sampled<'a> {
    /// Under the target policy `π*`.
    pub policy: &'a [f64],
    /// Under the reference.
    pub reference: &'a [f64],
    /// Under what the responses were sampled from; the reference for samples of it, zeros for an exhaustive list of outcomes.
    pub proposal: &'a [f64],
}

impl Sampled<'_> {
    /// The probabilities with which responses are drawn as rejected: `π_l ∝ π_ref (π_ref / π*)^β`, over the list, each response
    /// weighted by the inverse of the probability that it is there.
    ///
    /// ```
    /// use tropism_data::construct::Sampled;
    /// let (reference, policy) = ([0.4_f64, 0.3, 0.2, 0.1].map(f64::ln), [0.1_f64, 0.15, 0.25, 0.5].map(f64::ln));
    /// let rejected = Sampled { policy: &policy, reference: &reference, proposal: &[0.0; 4] }.rejected(0.5);
    /// assert!((rejected[0] - 0.552535463).abs() < 1e-9);
    /// ```
    pub fn rejected(&self, beta: f64) -> Vec<f64> {
        self.softmax(|i| (1.0 + beta) * self.reference[i] - beta * self.policy[i] - self.proposal[i])
    }

    /// The probabilities with which responses are drawn as chosen: those of the reference, weighted in the same way.
    pub fn chosen(&self) -> Vec<f64> {
        self.softmax(|i| self.reference[i] - self.proposal[i])
    }

    fn softmax(&self, log: impl Fn(usize) -> f64) -> Vec<f64> {
        let logs: Vec<f64> = (0..self.reference.len()).map(log).collect();
        let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let raw: Vec<f64> = logs.iter().map(|log| (log - highest).exp()).collect();
        let total: f64 = raw.iter().sum();
        raw.iter().map(|value| value / total).collect()
    }

    /// How many equally weighted samples the drawing of rejected responses is worth: `1 / Σ π_l²`.
    pub fn effective_samples(&self, beta: f64) -> f64 {
        1.0 / self.rejected(beta).iter().map(|p| p * p).sum::<f64>()
    }
}

/// Pairs whose labels encode the information that turns the reference into the target policy: the chosen response is drawn from
/// the reference, the rejected one from `π_l ∝ π_ref (π_ref / π*)^β`. DPO with that `β` then has its population minimum at `π*`.
///
/// Pairs: `pairs` per prompt with at least two responses, less those for which the same response is drawn twice (counted as
/// ties). The gap is the label's log-odds `β (log q_w − log q_l)`, `q ∝ π* / π_ref`; it may be below 0, since labels are
/// drawn, not sorted. The target policy is what one wants to learn, so this makes pairs for studies, or from a policy that is
/// there already. With few samples the weights rest on one of them: look at [`Sampled::effective_samples`].
///
/// Source: arXiv 2505.23761, the closed form derived from its power-law condition; weighting by the proposal is our choice.
///
/// # Errors
/// A log-probability that is not finite, or lists of different lengths.
pub fn information(key: &str, logps: &Sampled<'_>, options: &Information, seed: u64) -> Result<Links, DataError> {
    let count = logps.reference.len();
    for (name, values) in [("policy", logps.policy), ("reference", logps.reference), ("proposal", logps.proposal)] {
        if values.len() != count || values.iter().any(|value| !value.is_finite()) {
            let reason = format!("must be {count} finite numbers, one per response");
            return Err(DataError::config(&format!("logps/{name}"), format!("{values:?}"), reason));
        }
    }
    if count < 2 {
        return Ok(Links::skipped(super::FEW));
    }
    let (chosen, rejected) = (logps.chosen(), logps.rejected(options.beta));
    let ratio = |i: usize| logps.policy[i] - logps.reference[i];
    let mut stream = Scores::new(key, logps.reference)?.stream(seed, Information::NAME);
    let mut out = Links::default();
    for _ in 0..options.pairs {
        let (w, l) = (stream.weighted(&chosen), stream.weighted(&rejected));
        if w == l {
            out.ties += 1;
            continue;
        }
        let gap = options.beta * (ratio(w) - ratio(l));
        out.links.push(Link { chosen: w, rejected: l, gap, weight: 1.0, share: 1.0, tie: false, stage: None });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const REFERENCE: [f64; 4] = [0.4, 0.3, 0.2, 0.1];
    const POLICY: [f64; 4] = [0.10, 0.15, 0.25, 0.50];

    #[test]
    fn worked_example() {
        let (reference, policy) = (REFERENCE.map(f64::ln), POLICY.map(f64::ln));
        let exact = Sampled { policy: &policy, reference: &reference, proposal: &[0.0; 4] };
        let rejected = exact.rejected(0.5);
        let expected = [0.552535463, 0.293026180, 0.123550686, 0.030887671];
        assert!(rejected.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{rejected:?}");
        // p(w ≻ l) from the samplers is σ of the gap
        for (w, l, p) in [(3, 0, 0.817256002), (3, 1, 0.759746927), (2, 0, 0.690983006), (0, 2, 0.309016994)] {
            let bayes = REFERENCE[w] * rejected[l] / (REFERENCE[w] * rejected[l] + REFERENCE[l] * rejected[w]);
            let gap = 0.5 * ((policy[w] - reference[w]) - (policy[l] - reference[l]));
            assert!((bayes - p).abs() < 1e-9 && (1.0 / (1.0 + (-gap).exp()) - p).abs() < 1e-9, "{w} {l}");
        }
    }

    #[test]
    fn draws_follow_the_rule() {
        let (reference, policy) = (REFERENCE.map(f64::ln), POLICY.map(f64::ln));
        let exact = Sampled { policy: &policy, reference: &reference, proposal: &[0.0; 4] };
        let options = Information { beta: 0.5, pairs: 40_000, ..Information::default() };
        let out = information("k", &exact, &options, 3).unwrap();
        assert_eq!(out.links.len() + out.ties, 40_000);
        let p = exact.rejected(0.5);
        let same: f64 = p.iter().zip(REFERENCE).map(|(a, b)| a * b).sum();
        assert!((out.ties as f64 / 40_000.0 - same).abs() < 0.012, "{} {same}", out.ties);
        let share = out.links.iter().filter(|l| l.chosen == 3 && l.rejected == 0).count() as f64 / 40_000.0;
        assert!((share - 0.1 * p[0]).abs() < 0.006, "{share}");
    }

    proptest! {
        #[test]
        fn equal_policies_draw_from_the_reference(logs in prop::collection::vec(-30.0f64..0.0, 2..8), beta in 0.01f64..3.0) {
            let exact = Sampled { policy: &logs, reference: &logs, proposal: &vec![0.0; logs.len()] };
            for (a, b) in exact.rejected(beta).iter().zip(exact.chosen()) {
                prop_assert!((a - b).abs() < 1e-12);
            }
            // samples of the reference: every one counts the same
            let sampled = Sampled { proposal: &logs, ..exact };
            prop_assert!((sampled.effective_samples(beta) - logs.len() as f64).abs() < 1e-6);
        }

        #[test]
        fn bayes_label_is_the_power_law(
            logs in prop::collection::vec((-30.0f64..0.0, -30.0f64..0.0), 2..8), beta in 0.01f64..2.0,
        ) {
            let (reference, policy): (Vec<f64>, Vec<f64>) = logs.into_iter().unzip();
            let exact = Sampled { policy: &policy, reference: &reference, proposal: &vec![0.0; reference.len()] };
            let (w, l) = (exact.chosen(), exact.rejected(beta));
            let odds = (w[0].ln() + l[1].ln()) - (w[1].ln() + l[0].ln());
            let law = beta * ((policy[0] - reference[0]) - (policy[1] - reference[1]));
            prop_assume!(odds.is_finite());
            prop_assert!((odds - law).abs() < 1e-9 * (1.0 + law.abs()), "{} {}", odds, law);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Information { beta: 0.0, ..Information::default() }.check().is_err());
        assert!(Information { pairs: 0, ..Information::default() }.check().is_err());
        let bad = Sampled { policy: &[f64::NAN, 0.0], reference: &[0.0; 2], proposal: &[0.0; 2] };
        assert!(information("k", &bad, &Information::default(), 1).unwrap_err().to_string().contains("logps/policy"));
        let uneven = Sampled { policy: &[0.0], reference: &[0.0; 2], proposal: &[0.0; 2] };
        assert!(information("k", &uneven, &Information::default(), 1).is_err());
        let one = Sampled { policy: &[0.0], reference: &[0.0], proposal: &[0.0] };
        assert_eq!(information("k", &one, &Information::default(), 1).unwrap().skipped, Some(crate::construct::FEW));
    }
}
