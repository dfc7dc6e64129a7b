//! What completions are rated by.
use super::judge::JudgeReward;
use crate::reward::ModelReward;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tropism_policy_gradient::{SoftOverlong, soft_overlong};
use tropism_rewards::{
    Circle, Episodes, Exact, Format, LengthPenalty, Marked, Numeric, Repetition, Reward, RewardError, Verdict,
};

/// A reward and its weight in the sum; at weight 0 it is only reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedReward {
    /// weight in the sum; negative turns it into a penalty
    #[serde(default = "one")]
    pub weight: f64,
    /// what rates
    pub function: RewardFunction,
}

fn one() -> f64 {
    1.0
}

/// Functions that rate a completion. In a configuration file the name stands in `type`, options stand beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RewardFunction {
    /// the verdict of the world that made the prompt: 1 right, 0 wrong or unreadable
    Correct(WorldReward),
    /// the whole reward of the world that made the prompt
    World(WorldReward),
    /// one aspect of the answer, as the world that made the prompt scores it; see [`AspectReward`]
    Aspect(AspectReward),
    /// a whole number against the truth; see [`Numeric`]
    Numeric(Numeric),
    /// a number behind a marker against the truth, as GSM8K's; see [`Marked`]
    Marked(Marked),
    /// the truth itself; see [`Exact`]
    Exact(Exact),
    /// sections; see [`Format`]
    Format(Format),
    /// phrases that come again; see [`Repetition`]
    Repetition(Repetition),
    /// words or characters over a target; see [`LengthPenalty`]
    Length(LengthPenalty),
    /// tokens; see [`TokenLength`]
    TokenLength(TokenLength),
    /// DAPO's penalty near the length limit; see [`SoftOverlong`]
    SoftOverlong(SoftOverlong),
    /// the score of a reward model; see [`ModelReward`]
    Model(ModelReward),
    /// a judge with preferences in a circle: how likely a completion is preferred to the others of its group; see [`Circle`]
    Circle(Circle),
    /// a language model behind a chat endpoint, which scores or compares completions; see [`JudgeReward`]
    Judge(JudgeReward),
    /// the policy's own reward, for stages that make rows of their samples; see [`Implicit`]
    Implicit(Implicit),
}

/// A reward of the embedded world has no options of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldReward {}

/// One aspect that the embedded world scores by itself ([`Reward::aspects`]): `correct`, `brief`, `polite` or `steps` in the
/// world of arithmetic, each from 0 to 1. Of an episode: what its world knows of it, such as the share of repeated calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AspectReward {
    /// its name
    pub aspect: String,
}

/// `−tokens / capacity`.
///
/// Of right answers only, with weight `a` beside a verifier, it makes the rewards `r (1 − a · tokens / capacity)` that length
/// penalties are compared by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLength {
    /// tokens that cost 1
    pub capacity: usize,
    /// whether only completions that a verifier among the rewards finds right pay; others have 0
    #[serde(default)]
    pub of_right: bool,
}

/// `log π(y|x) − log π_ref(y|x)` of the policy that samples, in nats: the reward that a DPO model holds, over `β`.
///
/// It says something where the policy has learnt from preferences already and starts from another model than the reference;
/// it rates by what was learnt, and so can amplify its errors. Sums favour long completions that the reference finds
/// unlikely; `per_token` divides by the tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Implicit {
    /// per token instead of the sum
    pub per_token: bool,
}

/// A completion, as rewards see it.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// the prompt's text
    pub prompt: &'a str,
    /// the known truth
    pub truth: Option<&'a str>,
    /// the text, without the tokens that end it
    pub text: &'a str,
    /// tokens, the one that ends it included; of an episode those that the policy wrote
    pub tokens: usize,
    /// of an episode: the policy's turns, without what ends them. `text` holds them all, each on lines of its own
    pub turns: &'a [String],
}

impl Completion<'_> {
    /// The world of an episode; nothing for a completion of one turn.
    fn episode<'w>(&self, world: &'w dyn Reward) -> Option<&'w dyn Episodes> {
        world.episodes().filter(|_| !self.turns.is_empty())
    }
}

/// What one reward says of a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rating {
    /// the number; nothing where the reward does not apply
    pub score: Option<f64>,
    /// the verdict of a verifier
    pub verdict: Option<Verdict>,
    /// why there is neither, where the reward was to be computed and was not
    pub failure: Option<RatingFailure>,
}

/// Why a reward has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatingFailure {
    /// it took too long
    TimedOut,
    /// it reported an error, or panicked
    Failed,
}

impl From<Verdict> for Rating {
    fn from(verdict: Verdict) -> Self {
        Rating { score: verdict.score(), verdict: Some(verdict), failure: None }
    }
}

impl WeightedReward {
    /// A reward of weight 1.
    pub fn new(function: RewardFunction) -> Self {
        WeightedReward { weight: 1.0, function }
    }

    /// Checks weight and options.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.weight.is_finite() {
            return Err(format!("weight is {}, it must be finite", self.weight));
        }
        match &self.function {
            RewardFunction::Repetition(r) => r.check().map_err(|e| e.to_string()),
            RewardFunction::Length(l) => l.check().map_err(|e| e.to_string()),
            RewardFunction::TokenLength(t) if t.capacity == 0 => Err("capacity is 0, it must be at least 1".into()),
            RewardFunction::Circle(c) => c.check().map_err(|e| e.to_string()),
            RewardFunction::SoftOverlong(s) => soft_overlong(0, s).map(|_| ()).map_err(|e| e.to_string()),
            RewardFunction::Model(m) => m.check(),
            RewardFunction::Judge(j) => j.check(),
            _ => Ok(()),
        }
    }
}

impl RewardFunction {
    /// Whether it gives verdicts.
    pub fn is_verifier(&self) -> bool {
        matches!(self, Self::Correct(_) | Self::Numeric(_) | Self::Marked(_) | Self::Exact(_))
    }

    /// Whether it compares the completions of a group with each other.
    pub(crate) fn compares(&self) -> bool {
        match self {
            Self::Circle(_) => true,
            Self::Judge(judge) => judge.compares(),
            _ => false,
        }
    }

    /// Whether it compares the completions of a group, by questions that take their time.
    pub(crate) fn asks_of_groups(&self) -> bool {
        matches!(self, Self::Judge(judge) if judge.compares())
    }

    /// The rating of a completion against the others of its group, by a reward that [asks](Self::asks_of_groups).
    pub(crate) fn against(&self, completion: &Completion, others: &[String]) -> Result<Rating, RewardError> {
        match self {
            Self::Judge(judge) => judge.score(completion, others),
            _ => Ok(Rating::default()),
        }
    }

    /// Whether it compares with a known truth.
    pub fn reads_truth(&self) -> bool {
        matches!(self, Self::Numeric(_) | Self::Marked(_) | Self::Exact(_))
    }

    /// Whether it needs the world that made the prompt.
    pub fn reads_world(&self) -> bool {
        matches!(self, Self::Correct(_) | Self::World(_) | Self::Aspect(_))
    }

    /// The reward model that it asks for.
    pub fn model(&self) -> Option<&ModelReward> {
        match self {
            Self::Model(m) => Some(m),
            _ => None,
        }
    }

    /// The rating of a completion; `world` is the embedded world.
    ///
    /// # Errors
    /// A truth that the verifier cannot read; a world's reward without a world; the score of a model, which stages compute
    /// for many completions at once.
    pub fn rate(&self, completion: &Completion, world: Option<&dyn Reward>) -> Result<Rating, RewardError> {
        let none = RewardError::NoParts { reward: "world".to_owned() };
        let text: &dyn Reward = match self {
            Self::Correct(_) => {
                let world = world.ok_or(none)?;
                if let Some(episodes) = completion.episode(world) {
                    return Ok(episodes.verdict(completion.prompt, completion.turns)?.into());
                }
                let verdict = world.judge(completion.prompt, completion.text, completion.truth)?;
                return Ok(verdict.unwrap_or(Verdict::Abstained).into());
            }
            Self::Aspect(a) => {
                let world = world.ok_or(none)?;
                let score = match completion.episode(world) {
                    Some(episodes) => episodes.aspect(&a.aspect, completion.prompt, completion.turns)?,
                    None => world.aspect(&a.aspect, completion.prompt, completion.text)?,
                };
                return Ok(Rating { score, ..Rating::default() });
            }
            Self::TokenLength(t) => {
                let score = Some(-(completion.tokens as f64) / t.capacity as f64);
                return Ok(Rating { score, ..Rating::default() });
            }
            Self::SoftOverlong(s) => {
                let score = soft_overlong(completion.tokens, s).ok();
                return Ok(Rating { score, ..Rating::default() });
            }
            Self::Model(_) => return Err(RewardError::NoScore { reward: "model".to_owned() }),
            Self::Judge(judge) if !judge.compares() => return judge.score(completion, &[]),
            // by its group, see [`compared`], or by models
            Self::Judge(_) | Self::Circle(_) | Self::Implicit(_) => return Ok(Rating::default()),
            Self::World(_) => {
                let world = world.ok_or(none)?;
                if let Some(episodes) = completion.episode(world) {
                    let score = episodes.score(completion.prompt, completion.turns)?;
                    return Ok(Rating { score, ..Rating::default() });
                }
                world
            }
            Self::Numeric(r) => r,
            Self::Marked(r) => r,
            Self::Exact(r) => r,
            Self::Format(r) => r,
            Self::Repetition(r) => r,
            Self::Length(r) => r,
        };
        if self.is_verifier() {
            let verdict = text.judge(completion.prompt, completion.text, completion.truth)?;
            return Ok(verdict.unwrap_or(Verdict::Abstained).into());
        }
        Ok(Rating { score: text.score(completion.prompt, completion.text, completion.truth)?, ..Rating::default() })
    }
}

/// What is wrong with the rewards of a stage: key, problem.
pub(crate) fn rewards_problem(rewards: &BTreeMap<String, WeightedReward>) -> Option<(&'static str, String)> {
    if rewards.values().all(|r| r.weight == 0.0) {
        return Some(("rewards", "has no entry with a weight other than 0; give a reward to learn from".into()));
    }
    for (name, reward) in rewards {
        if name.is_empty() || name.contains(['/', '.', ' ']) {
            return Some(("rewards", format!("has an entry `{name}`; give it a plain word")));
        }
        if let Err(problem) = reward.check() {
            return Some(("rewards", format!("has an entry `{name}` that cannot be used: {problem}")));
        }
    }
    None
}

/// Fills in the ratings that compare the completions of a group: a judge's mean preference over the others, one half where there is
/// no other.
pub(crate) fn compared(rewards: &BTreeMap<String, WeightedReward>, texts: &[String], ratings: &mut [Vec<Rating>]) {
    for (k, reward) in rewards.values().enumerate() {
        let RewardFunction::Circle(judge) = &reward.function else { continue };
        for (i, rating) in ratings.iter_mut().enumerate() {
            let others = || (0..texts.len()).filter(|&j| j != i);
            let sum: f64 = others().map(|j| judge.compare(&texts[i], &texts[j])).sum();
            rating[k].score = Some(if texts.len() > 1 { sum / others().count() as f64 } else { 0.5 });
        }
    }
}

/// The ratings of a completion by all rewards, in the order of their names. A reward that compares completions has none here.
///
/// # Errors
/// As [`RewardFunction::rate`].
pub fn rate(
    rewards: &BTreeMap<String, WeightedReward>,
    completion: &Completion,
    world: Option<&dyn Reward>,
) -> Result<Vec<Rating>, RewardError> {
    let mut ratings: Vec<Rating> = rewards.values().map(|r| r.function.rate(completion, world)).collect::<Result<_, _>>()?;
    settle(rewards, &mut ratings);
    Ok(ratings)
}

/// What ratings of a completion owe to each other: a length that counts for right answers only.
pub(crate) fn settle(rewards: &BTreeMap<String, WeightedReward>, ratings: &mut [Rating]) {
    let right = ratings.iter().any(|r| r.verdict.is_some_and(Verdict::is_correct));
    for (rating, reward) in ratings.iter_mut().zip(rewards.values()) {
        if let RewardFunction::TokenLength(t) = &reward.function
            && t.of_right
            && !right
        {
            rating.score = Some(0.0);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rewards(of_right: bool) -> BTreeMap<String, WeightedReward> {
        let length = RewardFunction::TokenLength(TokenLength { capacity: 10, of_right });
        let numeric = RewardFunction::Numeric(Numeric::default());
        BTreeMap::from([("correct".into(), WeightedReward::new(numeric)), ("length".into(), WeightedReward::new(length))])
    }

    fn scores(of_right: bool, text: &str, truth: Option<&str>) -> Vec<Option<f64>> {
        let completion = Completion { prompt: "What is two plus two?", truth, text, tokens: 5, turns: &[] };
        rate(&rewards(of_right), &completion, None).unwrap().iter().map(|r| r.score).collect()
    }

    #[test]
    fn verdicts_have_four_values_and_length_may_count_for_right_answers_only() {
        assert_eq!(scores(true, "four", Some("4")), [Some(1.0), Some(-0.5)]);
        assert_eq!(scores(true, "five", Some("4")), [Some(0.0), Some(0.0)]);
        assert_eq!(scores(false, "five", Some("4")), [Some(0.0), Some(-0.5)]);
        assert_eq!(scores(true, "hm", None), [None, Some(0.0)]);
        let said = |text: &str, truth| {
            let completion = Completion { prompt: "", truth, text, tokens: 1, turns: &[] };
            rate(&rewards(true), &completion, None).unwrap()[0].verdict
        };
        assert_eq!(said("four", Some("4")), Some(Verdict::Correct));
        assert_eq!(said("five", Some("4")), Some(Verdict::Wrong));
        assert_eq!(said("hm", Some("4")), Some(Verdict::Unreadable));
        assert_eq!(said("four", None), Some(Verdict::Abstained));
    }

    #[test]
    fn a_judge_rates_by_the_others_of_the_group() {
        let judge = RewardFunction::Circle(Circle::default());
        let rewards = BTreeMap::from([("judge".to_owned(), WeightedReward::new(judge))]);
        let texts = ["Twelve.", "It is twelve.", "It is twelve."].map(str::to_owned);
        let mut ratings = vec![vec![Rating::default()]; 3];
        compared(&rewards, &texts, &mut ratings);
        let scores: Vec<f64> = ratings.iter().filter_map(|r| r[0].score).collect();
        assert!(scores.iter().zip([0.9, 0.3, 0.3]).all(|(a, b)| (a - b).abs() < 1e-12), "{scores:?}");
        compared(&rewards, &texts[..1], &mut ratings[..1]);
        assert_eq!(ratings[0][0].score, Some(0.5));
    }

    #[test]
    fn a_world_s_reward_needs_a_world_and_a_truth_must_be_readable() {
        let completion = Completion { prompt: "", truth: Some("many"), text: "four", tokens: 1, turns: &[] };
        assert!(RewardFunction::World(WorldReward {}).rate(&completion, None).is_err());
        assert!(rate(&rewards(false), &completion, None).unwrap_err().to_string().contains("many"));
    }
}
