//! Pairs by where responses come from: the policy itself, or other models.

use serde::{Deserialize, Serialize};

use super::options::tied_options;
use super::{Links, Scores, TieRule};
use crate::DataError;

/// Which responses meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The policy's best response against its worst (*Self+RM*).
    #[default]
    SelfScored,
    /// A teacher's first response against the policy's first, whatever their scores (*GPT4o+Self*, *Stronger+Self*, *HC+Self*).
    Teacher,
    /// The same two, the one with the higher score chosen; of equal scores the teacher's (*GPT4o+Self with RM*).
    TeacherScored,
    /// The best response of policy and teachers together against the worst.
    Mixed,
}

tied_options! {
    /// Options of [`origins`].
    Origins = "origins" {
        /// Which responses meet.
        arm: Arm = Arm::SelfScored;
        /// The model that is going to be trained, by its name in the data.
        policy: String = String::new();
        /// Other models whose responses take part.
        teachers: Vec<String> = Vec::new();
        /// Responses shorter than this, in characters without surrounding blanks, take no part.
        min_characters: usize = 5;
    }
}

impl Origins {
    /// Checks the values.
    ///
    /// # Errors
    /// No policy; teachers that are missing, not read, or the policy itself.
    pub fn check(&self) -> Result<(), DataError> {
        if self.policy.is_empty() {
            return Err(DataError::config("policy", "not set", "name the model to be trained, as the data name it"));
        }
        let listed = self.teachers.join(", ");
        match (self.arm, self.teachers.is_empty()) {
            (Arm::SelfScored, false) => {
                Err(DataError::config("teachers", listed, "`self_scored` reads no teacher; leave them out"))
            }
            (Arm::SelfScored, true) => self.rule().check(),
            (_, true) => Err(DataError::config("teachers", "empty", "name at least one other model")),
            (_, false) if self.teachers.contains(&self.policy) => {
                Err(DataError::config("teachers", listed, "holds the policy; pairs would not show who wrote them"))
            }
            _ => self.rule().check(),
        }
    }
}

/// A response's writer and length, for [`origins`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The model, where the data name it.
    pub model: Option<&'a str>,
    /// Characters without surrounding blanks.
    pub characters: usize,
}

/// At most one pair per prompt, by who wrote the responses.
///
/// Pairs: 1 per prompt that has what the arm needs (two of the policy's responses; one of a teacher and one of the policy; two
/// of them all), less ties. Arms of one study must share their prompts: intersect their prompt keys.
/// With `self_scored`, `teacher_scored` and `mixed` the chosen score is never the lower one; `teacher` does not look at scores,
/// so its gap may be below 0.
///
/// Multi-model pairs can be told apart by style alone; then the loss falls without the behaviour following it.
///
/// Source: *More is Less*, arXiv 2504.02193, and the authors' code, whose filter of short responses loses the border between
/// prompts; here responses stay with theirs.
///
/// ```
/// use tropism_data::construct::{Arm, Origin, Origins, Scores, origins};
/// let written = ["me", "me", "big", "me"].map(|model| Origin { model: Some(model), characters: 80 });
/// let scores = Scores::new("k", &[0.4, 0.9, 0.6, 0.1])?;
/// let pair = |arm, teachers: &[&str]| {
///     let teachers = teachers.iter().map(|t| t.to_string()).collect();
///     let options = Origins { arm, policy: "me".into(), teachers, ..Origins::default() };
///     origins(&scores, &written, &options).links.first().map(|link| (link.chosen, link.rejected))
/// };
/// assert_eq!(pair(Arm::SelfScored, &[]), Some((1, 3)));
/// assert_eq!(pair(Arm::Teacher, &["big"]), Some((2, 0)));
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn origins(scores: &Scores<'_>, written: &[Origin<'_>], options: &Origins) -> Links {
    let long = |i: &usize| written[*i].characters >= options.min_characters;
    let by = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..scores.len()).filter(long).filter(|&i| written[i].model.is_some_and(is)).collect()
    };
    let own = by(&|model| model == options.policy);
    let others = by(&|model| options.teachers.iter().any(|teacher| teacher == model));
    match options.arm {
        Arm::SelfScored => extremes(scores, &own, &options.rule()),
        Arm::Mixed if own.is_empty() || others.is_empty() => Links::skipped(MISSING),
        Arm::Mixed => {
            let mut all = [own, others].concat();
            all.sort_unstable();
            extremes(scores, &all, &options.rule())
        }
        Arm::Teacher | Arm::TeacherScored => match (others.first(), own.first()) {
            (Some(&teacher), Some(&own)) => faced(scores, teacher, own, options.arm == Arm::TeacherScored),
            _ => Links::skipped(MISSING),
        },
    }
}

const MISSING: &str = "no response of the policy or of a teacher";

fn extremes(scores: &Scores<'_>, of: &[usize], rule: &TieRule) -> Links {
    let order: Vec<usize> = scores.order().into_iter().filter(|i| of.contains(i)).collect();
    match order[..] {
        [best, .., worst] => Links::between(scores, [(best, worst)], rule),
        _ => Links::skipped(super::FEW),
    }
}

/// The teacher's response chosen, unless scores are read and say otherwise.
fn faced(scores: &Scores<'_>, teacher: usize, own: usize, scored: bool) -> Links {
    let swap = scored && scores.gap(own, teacher) > 0.0;
    let (chosen, rejected) = if swap { (own, teacher) } else { (teacher, own) };
    let gap = scores.gap(chosen, rejected);
    let link = super::Link { chosen, rejected, gap, weight: 1.0, share: 1.0, tie: gap == 0.0, stage: None };
    Links { links: vec![link], ..Links::default() }
}
