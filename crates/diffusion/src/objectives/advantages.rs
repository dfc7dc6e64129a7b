//! Advantages of samples within their prompts.

use std::collections::{BTreeMap, VecDeque};

use tropism_core::CoreError;
use tropism_core::options::{any, optional, positive};

use super::method::options;
use crate::DiffusionError;

options! {
    /// Options of [`group_advantages`].
    GroupAdvantages = "group_advantages" {
        /// Whether all samples of the step give the standard deviation, so that easy and hard prompts keep one scale (the default), or each
        /// prompt's own do.
        global_std: bool = true, with_global_std, any;
        /// Bound of an advantage; 5 by default, none for no bound.
        clip: Option<f64> = Some(5.0), with_clip, optional(positive);
        /// What a bounded advantage of the size of the bound becomes; AWM scales by 1/5. None (the default) leaves advantages as they are.
        largest: Option<f64> = None, with_largest, optional(positive);
    }
}

impl GroupAdvantages {
    /// The scaling of AWM's released configurations: bounded to 5, then divided by 5.
    #[must_use]
    pub fn awm() -> Self {
        Self::default().with_largest(Some(1.0))
    }
}

/// `A_i = (r_i − mean of its prompt's rewards)/(std + 1e-4)`, with the population's standard deviation, then bounded and scaled.
///
/// Rewards that are the same within every prompt give 0 everywhere.
///
/// Source: `stat_tracking.py` of Flow-GRPO and AWM.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Input`] for a scale without a bound; [`DiffusionError::Core`] for no rewards, another
/// number of prompts, or a reward that is not finite.
///
/// ```
/// use tropism_diffusion::objectives::{GroupAdvantages, group_advantages};
///
/// let found = group_advantages(&[1.0, 0.0, 0.5, 0.0], &[0; 4], &GroupAdvantages::default())?;
/// assert!((found[0] - 1.5071931742).abs() < 1e-9);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn group_advantages(rewards: &[f64], prompts: &[usize], options: &GroupAdvantages) -> Result<Vec<f64>, DiffusionError> {
    options.check()?;
    check_rewards(rewards, prompts)?;
    let scale = match (options.clip, options.largest) {
        (Some(clip), Some(largest)) => largest / clip,
        (None, Some(_)) => {
            let problem = "`largest` scales advantages by their bound; give `clip` too".to_owned();
            return Err(DiffusionError::Input { method: GroupAdvantages::NAME, problem });
        }
        (_, None) => 1.0,
    };
    let mut groups: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    prompts.iter().zip(rewards).for_each(|(p, r)| groups.entry(*p).or_default().push(*r));
    let whole = moments(rewards).1;
    let one = |(p, r): (&usize, &f64)| {
        let (mean, own) = moments(&groups[p]);
        let raw = (r - mean) / (if options.global_std { whole } else { own } + 1e-4);
        options.clip.map_or(raw, |clip| raw.clamp(-clip, clip)) * scale
    };
    Ok(prompts.iter().zip(rewards).map(one).collect())
}

/// Running rewards of each prompt, for DDPO's advantages.
///
/// A prompt's last `buffer` rewards give mean and standard deviation once there are `least` of them; before, those of the whole batch do.
///
/// Source: `stat_tracking.py` of `ddpo-pytorch`; 16 and 16 by default.
///
/// ```
/// use tropism_diffusion::objectives::PromptStatistics;
///
/// let mut seen = PromptStatistics::new(4, 2)?;
/// let first = seen.advantages(&[1.0, 3.0], &[0, 1])?; // one reward each: by the batch
/// assert!((first[0] + 1.0).abs() < 1e-5 && (first[1] - 1.0).abs() < 1e-5);
/// let second = seen.advantages(&[2.0, 5.0], &[0, 0])?; // prompt 0 has 1, 2 and 5
/// assert!((second[1] - 1.3728).abs() < 1e-3);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PromptStatistics {
    buffer: usize,
    least: usize,
    seen: BTreeMap<usize, VecDeque<f64>>,
}

impl Default for PromptStatistics {
    fn default() -> Self {
        Self { buffer: 16, least: 16, seen: BTreeMap::new() }
    }
}

impl PromptStatistics {
    /// Buffers of `buffer` rewards, used from `least` of them on.
    ///
    /// # Errors
    /// [`DiffusionError::Input`] unless `1 ≤ least ≤ buffer`.
    pub fn new(buffer: usize, least: usize) -> Result<Self, DiffusionError> {
        if least == 0 || least > buffer {
            let problem =
                format!("{least} rewards of {buffer} cannot be waited for; give at least 1 and at most the buffer");
            return Err(DiffusionError::Input { method: "prompt statistics", problem });
        }
        Ok(Self { buffer, least, seen: BTreeMap::new() })
    }

    /// Adds a batch of rewards, then standardises them: `(r − mean)/(std + 1e-6)`.
    ///
    /// # Errors
    /// [`DiffusionError::Core`] for no rewards, another number of prompts, or a reward that is not finite.
    pub fn advantages(&mut self, rewards: &[f64], prompts: &[usize]) -> Result<Vec<f64>, DiffusionError> {
        check_rewards(rewards, prompts)?;
        for (prompt, reward) in prompts.iter().zip(rewards) {
            let seen = self.seen.entry(*prompt).or_default();
            seen.push_back(*reward);
            if seen.len() > self.buffer {
                seen.pop_front();
            }
        }
        let batch = moments(rewards);
        let of = |prompt: &usize| match &self.seen[prompt] {
            seen if seen.len() < self.least => batch,
            seen => moments(&seen.iter().copied().collect::<Vec<_>>()),
        };
        let one = |(prompt, reward): (&usize, &f64)| {
            let (mean, std) = of(prompt);
            (reward - mean) / (std + 1e-6)
        };
        Ok(prompts.iter().zip(rewards).map(one).collect())
    }
}

/// Mean and standard deviation of a population.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, libm::sqrt(values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n))
}

fn check_rewards(rewards: &[f64], prompts: &[usize]) -> Result<(), DiffusionError> {
    if rewards.is_empty() {
        return Err(CoreError::Empty { what: "rewards" }.into());
    }
    CoreError::check_size("prompts", rewards.len(), prompts.len())?;
    Ok(CoreError::check_finite("reward", rewards)?)
}
