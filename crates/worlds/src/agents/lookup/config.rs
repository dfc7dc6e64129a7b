//! Settings of the world of searches.

use serde::{Deserialize, Serialize};

use super::WORLD;
use super::table::NAMES;
use crate::WorldError;

/// Settings of [`Lookup`](super::Lookup).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookupConfig {
    /// People in the table, 3 to 40. Default 20.
    pub people: usize,
    /// Facts that a question needs: some of 1 (easy), 2 (medium) and 3 (hard). Default: 2.
    pub hops: Vec<usize>,
    /// Searches that an episode may have, from the most hops to 20. Default 4.
    pub max_searches: usize,
    /// What goes wrong in demonstrations.
    pub slips: Slips,
    /// Draws the table. Default 0.
    pub seed: u64,
}

impl Default for LookupConfig {
    fn default() -> Self {
        Self { people: 20, hops: vec![2], max_searches: 4, slips: Slips::default(), seed: 0 }
    }
}

/// Probabilities of what goes wrong in a demonstration, at most one of them in each; the rest is done right.
///
/// The default is mediocre on purpose: about half of the answers are right. Every single step is still more often right than
/// not, so that a policy that has learnt it does much better where it takes its likeliest turn than where it draws.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slips {
    /// A guess after the first of several searches; without a search where one would do. Default 0.20.
    pub early: f64,
    /// A guess without a search. Default 0.15.
    pub guess: f64,
    /// The right searches, one of them twice, and the right answer. Default 0.15.
    pub repeated: f64,
    /// The other relation (or value) in one of the searches, and what comes of it. Default 0.20.
    pub wrong: f64,
}

impl Default for Slips {
    fn default() -> Self {
        Self { early: 0.20, guess: 0.15, repeated: 0.15, wrong: 0.20 }
    }
}

impl Slips {
    /// Checks the probabilities.
    ///
    /// # Errors
    ///
    /// When one is no probability, or their sum is above 1.
    pub fn check(&self) -> Result<(), WorldError> {
        const KEYS: [&str; 4] = ["slips.early", "slips.guess", "slips.repeated", "slips.wrong"];
        for (key, share) in KEYS.into_iter().zip(self.shares()) {
            if !(0.0..=1.0).contains(&share) {
                return bad(key, share, "a probability from 0 to 1");
            }
        }
        let sum: f64 = self.shares().iter().sum();
        // Decimal shares that add up to 1 may be a rounding above it.
        if sum > 1.0 + 1e-9 {
            return bad("slips", sum, "probabilities with a sum of at most 1");
        }
        Ok(())
    }

    /// The probabilities in the order of the fields.
    pub(super) fn shares(&self) -> [f64; 4] {
        [self.early, self.guess, self.repeated, self.wrong]
    }
}

impl LookupConfig {
    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// Names the first key with a bad value: `people` or `max_searches` out of range, empty, repeating or other `hops`, and
    /// those of [`Slips::check`].
    pub fn check(&self) -> Result<(), WorldError> {
        if !(3..=NAMES.len()).contains(&self.people) {
            return bad("people", self.people, "from 3 to 40");
        }
        let repeated = |i: usize| self.hops[..i].contains(&self.hops[i]);
        let sound = self.hops.iter().all(|hops| (1..=3).contains(hops)) && !(0..self.hops.len()).any(repeated);
        let Some(&most) = self.hops.iter().max().filter(|_| sound) else {
            return bad("hops", format!("{:?}", self.hops), "a list of some of 1, 2 and 3, without repetitions");
        };
        if !(most..=20).contains(&self.max_searches) {
            return bad("max_searches", self.max_searches, "from the most of `hops` to 20");
        }
        self.slips.check()
    }
}

fn bad<T>(key: &'static str, value: impl ToString, expected: &'static str) -> Result<T, WorldError> {
    Err(WorldError::BadValue { world: WORLD, key, value: value.to_string(), expected })
}
