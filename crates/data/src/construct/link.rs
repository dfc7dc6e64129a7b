//! A preference between two responses of one list, and what to do where they are tied.

use serde::{Deserialize, Serialize};

use super::Scores;
use crate::DataError;

/// What becomes of a pair whose scores are equal.
///
/// In a configuration file `ties = "drop"`, `ties = { keep = 0.5 }` or `ties = "half_label"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// It is left out, and counted.
    #[default]
    Drop,
    /// It stays as it falls, the response that comes first in the list as chosen, with this weight.
    Keep(f64),
    /// It stays with the label ½: half of the judges for either side ([`Link::share`]).
    HalfLabel,
}

/// A preference between two responses, by their index in the list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// The better response.
    pub chosen: usize,
    /// The other one.
    pub rejected: usize,
    /// Score of the chosen response minus that of the rejected one, at least 0.
    pub gap: f64,
    /// How much the pair counts; 1 but for ties that are kept with another weight.
    pub weight: f64,
    /// Share of judges for the chosen response: 1, or ½ for a tie with half a label.
    pub share: f64,
    /// Whether the scores tie.
    pub tie: bool,
    /// The stage of a curriculum, from 0, where the construction gives one.
    pub stage: Option<usize>,
}

/// The pairs of one list, and what was left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Links {
    /// The pairs, in the construction's order.
    pub links: Vec<Link>,
    /// Pairs left out for their tie.
    pub ties: usize,
    /// Why the whole list gave no pair, where that is not for ties.
    pub skipped: Option<&'static str>,
}

impl Links {
    /// No pair, for this reason.
    pub(super) fn skipped(reason: &'static str) -> Self {
        Self { skipped: Some(reason), ..Self::default() }
    }

    /// Pairs over these indices, the better one first whatever their order, under a rule for ties.
    pub(super) fn between(scores: &Scores<'_>, pairs: impl IntoIterator<Item = (usize, usize)>, rule: &TieRule) -> Self {
        let mut out = Self::default();
        for (a, b) in pairs {
            out.add(scores, (a, b), None, rule);
        }
        out
    }

    pub(super) fn add(&mut self, scores: &Scores<'_>, pair: (usize, usize), stage: Option<usize>, rule: &TieRule) {
        let (a, b) = pair;
        let (chosen, rejected) = match scores.gap(a, b) {
            gap if gap > 0.0 || (gap == 0.0 && a < b) => (a, b),
            _ => (b, a),
        };
        let gap = scores.gap(chosen, rejected);
        let tie = gap <= rule.tie_margin;
        let (weight, share) = match (tie, rule.ties) {
            (false, _) => (1.0, 1.0),
            (true, Ties::Keep(weight)) => (weight, 1.0),
            (true, Ties::HalfLabel) => (1.0, 0.5),
            (true, Ties::Drop) => {
                self.ties += 1;
                return;
            }
        };
        self.links.push(Link { chosen, rejected, gap, weight, share, tie, stage });
    }
}

/// When scores tie, and what then.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TieRule {
    /// What becomes of ties.
    pub ties: Ties,
    /// Scores no further apart than this tie.
    pub tie_margin: f64,
}

impl TieRule {
    /// Checks the values.
    ///
    /// # Errors
    /// A negative or infinite margin; a weight that is not above 0.
    pub fn check(&self) -> Result<(), DataError> {
        if !(self.tie_margin >= 0.0 && self.tie_margin.is_finite()) {
            return Err(DataError::config("tie_margin", self.tie_margin, "must be 0 or more"));
        }
        match self.ties {
            Ties::Keep(weight) if !(weight > 0.0 && weight.is_finite()) => Err(DataError::config(
                "ties.keep",
                weight,
                "is the weight of tied pairs and must be above 0; `drop` leaves them out",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ties_are_dropped_kept_or_halved() {
        let scores = Scores::new("k", &[2.0, 2.0, 5.0]).unwrap();
        let of = |ties, tie_margin| Links::between(&scores, [(0, 1), (1, 2)], &TieRule { ties, tie_margin });
        let dropped = of(Ties::Drop, 0.0);
        assert_eq!((dropped.links.len(), dropped.ties), (1, 1));
        assert_eq!((dropped.links[0].chosen, dropped.links[0].rejected, dropped.links[0].gap), (2, 1, 3.0));
        let kept = of(Ties::Keep(0.25), 0.0).links;
        assert_eq!((kept[0].weight, kept[0].share, kept[0].tie), (0.25, 1.0, true));
        assert_eq!((kept[1].weight, kept[1].share, kept[1].tie), (1.0, 1.0, false));
        let half = of(Ties::HalfLabel, 3.0).links;
        assert!(half.iter().all(|link| link.share == 0.5 && link.weight == 1.0 && link.tie));
    }

    #[test]
    fn tied_pairs_do_not_depend_on_how_they_are_named() {
        let scores = Scores::new("k", &[1.0, 1.0]).unwrap();
        let rule = TieRule { ties: Ties::HalfLabel, tie_margin: 0.0 };
        assert_eq!(Links::between(&scores, [(0, 1)], &rule), Links::between(&scores, [(1, 0)], &rule));
    }

    #[test]
    fn rules_are_checked() {
        let rule = |ties, tie_margin| TieRule { ties, tie_margin }.check();
        assert!(rule(Ties::Drop, 0.0).is_ok() && rule(Ties::Keep(2.0), 1.0).is_ok());
        for bad in
            [rule(Ties::Drop, -1.0), rule(Ties::Drop, f64::NAN), rule(Ties::Keep(0.0), 0.0), rule(Ties::Keep(f64::NAN), 0.0)]
        {
            assert!(bad.is_err());
        }
    }

    #[test]
    fn names_in_files() {
        let json = serde_json::to_string(&[Ties::Drop, Ties::Keep(0.5), Ties::HalfLabel]).unwrap();
        assert_eq!(json, r#"["drop",{"keep":0.5},"half_label"]"#);
    }
}
