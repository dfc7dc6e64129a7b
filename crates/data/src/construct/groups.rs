//! Groups of responses with rewards, for policy gradients.

use serde::{Deserialize, Serialize};

use super::Scores;
use super::options::options;
use crate::DataError;

/// What becomes of a group whose rewards are all equal: its advantages are 0, so nothing is learned from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroVariance {
    /// It stays.
    #[default]
    Keep,
    /// It is left out, and counted.
    Drop,
}

options! {
    /// Options of [`group`].
    Groups = "groups" {
        /// Responses per group, drawn without replacement; none: all there are.
        size: Option<usize> = None;
        /// What becomes of groups whose rewards are all equal.
        zero_variance: ZeroVariance = ZeroVariance::Keep;
    }
}

impl Groups {
    /// Checks the values.
    ///
    /// # Errors
    /// A size of 0.
    pub fn check(&self) -> Result<(), DataError> {
        match self.size {
            Some(0) => Err(DataError::config("size", 0, "must be at least 1")),
            _ => Ok(()),
        }
    }
}

/// The responses of a prompt's group by their index, in their own order; rewards are their scores.
///
/// Groups: 1 per prompt with at least `size` responses. Rewards stay as they are: means and deviations belong to the method.
/// A prompt without responses is a group to be sampled; where the data give a final answer, it goes along for the verifier.
///
/// ```
/// use tropism_data::construct::{Groups, Scores, group};
/// let scores = Scores::new("k", &[1.0, 0.0, 0.0, 1.0])?;
/// assert_eq!(group(&scores, &Groups::default(), 7), Ok(vec![0, 1, 2, 3]));
/// let two = Groups { size: Some(2), ..Groups::default() };
/// assert_eq!(group(&scores, &two, 7).map(|g| g.len()), Ok(2));
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// Why the prompt gives no group.
pub fn group(scores: &Scores<'_>, options: &Groups, seed: u64) -> Result<Vec<usize>, &'static str> {
    let size = options.size.unwrap_or(scores.len());
    if scores.len() < size {
        return Err(super::FEW);
    }
    let mut members: Vec<usize> = (0..scores.len()).collect();
    scores.stream(seed, Groups::NAME).shuffle(&mut members);
    members.truncate(size);
    members.sort_unstable();
    let varied = members.windows(2).any(|w| scores.values()[w[0]] != scores.values()[w[1]]);
    if options.zero_variance == ZeroVariance::Drop && !varied {
        return Err("all rewards of the group equal");
    }
    Ok(members)
}
