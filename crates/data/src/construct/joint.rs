//! Joint pairs: instances of different prompts against each other (DOVE).

use super::options::tied_options;
use super::{Links, Scores, TieRule};
use crate::DataError;
use crate::stream::Stream;

tied_options! {
    /// Options of [`joint`].
    Joint = "joint" {
        /// Responses of each prompt that take part, drawn without replacement; none: all.
        responses: Option<usize> = Some(1);
    }
}

impl Joint {
    /// Checks the values.
    ///
    /// # Errors
    /// No response per prompt.
    pub fn check(&self) -> Result<(), DataError> {
        match self.responses {
            Some(0) => Err(DataError::config("responses", 0, "must be at least 1")),
            _ => self.rule().check(),
        }
    }
}

/// A response of one prompt preferred to a response of another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointLink {
    /// Prompt and response of the chosen instance.
    pub chosen: (usize, usize),
    /// Prompt and response of the rejected instance.
    pub rejected: (usize, usize),
    /// Difference of their scores.
    pub gap: f64,
    /// As [`super::Link::weight`].
    pub weight: f64,
    /// As [`super::Link::share`].
    pub share: f64,
    /// Whether the scores tie.
    pub tie: bool,
}

/// Joint pairs, and what was left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JointLinks {
    /// The pairs, in the order in which they were drawn.
    pub links: Vec<JointLink>,
    /// Pairs left out for their tie.
    pub ties: usize,
    /// Instances that found no partner.
    pub alone: usize,
}

/// Random pairs of instances (a prompt with one of its responses) of different prompts, each instance at most once; the one
/// with the higher score is chosen. Scores must be comparable across prompts.
///
/// With `n` instances, of which the most frequent prompt has `m`: `⌊n/2⌋` pairs where `m ≤ ⌊n/2⌋`, else `n − m`; less the ties.
/// The loss sums over prompt and response, since the prompts differ.
///
/// Source: Bansal et al. 2024, arXiv 2404.00530; the code does not say how instances are matched, so random matching is our
/// choice.
///
/// ```
/// use tropism_data::construct::{Joint, Scores, joint};
/// let lists = [Scores::new("a", &[0.1, 0.2])?, Scores::new("b", &[0.7])?, Scores::new("c", &[0.4])?];
/// let pairs = joint(&lists, &Joint::default(), 7);
/// assert_eq!((pairs.links.len(), pairs.alone), (1, 1));
/// assert_ne!(pairs.links[0].chosen.0, pairs.links[0].rejected.0);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn joint(lists: &[Scores<'_>], options: &Joint, seed: u64) -> JointLinks {
    let instances = instances(lists, options, seed);
    let mut out = JointLinks::default();
    let couples = couples(&instances, lists.len());
    out.alone = instances.len() - 2 * couples.len();
    for (a, b) in couples {
        out.add(lists, a, b, &options.rule());
    }
    out
}

/// Instances, prompt by prompt in random order, each prompt's responses in random order.
fn instances(lists: &[Scores<'_>], options: &Joint, seed: u64) -> Vec<(usize, usize)> {
    let mut prompts: Vec<usize> = (0..lists.len()).collect();
    Stream::new(seed, "construct/joint").shuffle(&mut prompts);
    let mut out = Vec::new();
    for prompt in prompts {
        let list = &lists[prompt];
        let mut responses: Vec<usize> = (0..list.len()).collect();
        list.stream(seed, Joint::NAME).shuffle(&mut responses);
        responses.truncate(options.responses.unwrap_or(list.len()));
        out.extend(responses.into_iter().map(|response| (prompt, response)));
    }
    out
}

/// As many couples of different prompts as there can be: with the largest prompt first, instances half the list apart differ
/// in their prompt unless that prompt holds more than half of them.
fn couples(instances: &[(usize, usize)], prompts: usize) -> Vec<((usize, usize), (usize, usize))> {
    let mut counts = vec![0usize; prompts];
    instances.iter().for_each(|&(prompt, _)| counts[prompt] += 1);
    let most = counts.iter().copied().max().unwrap_or(0);
    let largest = instances.iter().map(|&(prompt, _)| prompt).find(|&prompt| counts[prompt] == most);
    let (front, rest): (Vec<_>, Vec<_>) = instances.iter().partition(|&&(prompt, _)| Some(prompt) == largest);
    let ordered: Vec<(usize, usize)> = front.into_iter().chain(rest).copied().collect();
    let half = (ordered.len() / 2).max(most);
    ordered.iter().copied().zip(ordered.iter().skip(half).copied()).take(half).collect()
}

impl JointLinks {
    fn add(&mut self, lists: &[Scores<'_>], a: (usize, usize), b: (usize, usize), rule: &TieRule) {
        let values = [a, b].map(|(prompt, response)| lists[prompt].values()[response]);
        // the pair as a list of two, so that ties are treated as everywhere
        let Ok(two) = Scores::new("", &values) else { return };
        let links = Links::between(&two, [(0, 1)], rule);
        self.ties += links.ties;
        self.links.extend(links.links.into_iter().map(|link| JointLink {
            chosen: [a, b][link.chosen],
            rejected: [a, b][link.rejected],
            gap: link.gap,
            weight: link.weight,
            share: link.share,
            tie: link.tie,
        }));
    }
}
