//! A reward that a language model behind a chat endpoint gives.
use super::rewards::{Completion, Rating};
use serde::{Deserialize, Serialize};
use tropism_rewards::RewardError;

/// A judge behind an OpenAI-compatible `chat/completions` endpoint, with the settings of `tropism_evaluation`'s `HttpConfig`:
/// `endpoint`, `model`, `template` (by a name, `"rating"`, `"pairwise"` or `"letter"`, or in words), `key_env` and so on.
///
/// | template | score of a completion |
/// |---|---|
/// | one that rates | its rating, from 0 (lowest) to 1 (highest) |
/// | one that compares | how likely it is preferred to the others of its group: the mean of 1, ½ for a tie, 0, or of the probability where the judge has one; ½ where there is no other |
///
/// A comparison shows the completion that is scored first, so that what a judge adds for the place is added to all of a group, and
/// a group of `n` takes `n (n − 1)` questions. The judge is asked by the threads that rate: all questions for one completion together
/// are one call, which `rollout.rating.timeout_s` bounds, and what is not answered counts for `rollout.rating.max_failed`. A judge
/// that samples may answer otherwise when it is asked again, as a run that goes on from a checkpoint asks for the steps behind it;
/// `cache` keeps replies by their questions.
///
/// Needs the feature `http`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JudgeReward(
    #[cfg(feature = "http")] Box<tropism_evaluation::judge::http::HttpConfig>,
    #[cfg(not(feature = "http"))] serde_json::Map<String, serde_json::Value>,
);

fn unanswered(problem: impl Into<String>) -> RewardError {
    RewardError::NoAnswer { reward: "judge".into(), problem: problem.into() }
}

impl JudgeReward {
    /// The score of a completion; `others` are the texts of its group for a judge that compares.
    ///
    /// # Errors
    /// The judge does not answer, or not with a verdict.
    pub(crate) fn score(&self, completion: &Completion, others: &[String]) -> Result<Rating, RewardError> {
        let score = self.ask(completion, others).map_err(unanswered)?;
        Ok(Rating { score: Some(score), ..Rating::default() })
    }
}

#[cfg(feature = "http")]
mod with {
    use super::{Completion, JudgeReward};
    use std::sync::{Arc, Mutex, PoisonError};
    use tropism_evaluation::judge::http::{HttpConfig, HttpJudge};
    use tropism_evaluation::judge::template::ReplyForm;
    use tropism_evaluation::judge::{Judge, Question};

    /// The judges of this process: each keeps its connections from round to round.
    static JUDGES: Mutex<Vec<(HttpConfig, Arc<HttpJudge>)>> = Mutex::new(vec![]);

    impl JudgeReward {
        /// A judge with these settings.
        pub fn new(config: HttpConfig) -> Self {
            JudgeReward(Box::new(config))
        }

        /// Whether it compares the completions of a group.
        pub(crate) fn compares(&self) -> bool {
            !self.0.template.reply.is_rating()
        }

        /// Checks the settings, and that the key is there; sends nothing.
        pub(crate) fn check(&self) -> Result<(), String> {
            self.0.check().map_err(|e| e.to_string())?;
            match self.0.key_env.as_deref().filter(|name| std::env::var(name).is_err()) {
                None => Ok(()),
                Some(name) => Err(format!("the environment variable `{name}` that `key_env` names is not set")),
            }
        }

        fn judge(&self) -> Result<Arc<HttpJudge>, String> {
            let mut all = JUDGES.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, judge)) = all.iter().find(|(config, _)| *config == *self.0) {
                return Ok(judge.clone());
            }
            let judge = Arc::new(HttpJudge::new(HttpConfig::clone(&self.0)).map_err(|e| e.to_string())?);
            all.push((HttpConfig::clone(&self.0), judge.clone()));
            Ok(judge)
        }

        pub(super) fn ask(&self, completion: &Completion, others: &[String]) -> Result<f64, String> {
            let (judge, prompt) = (self.judge()?, completion.prompt);
            if let ReplyForm::Rating { low, high } = self.0.template.reply {
                let rating = judge.rate(prompt, completion.text).map_err(|e| e.reason)?;
                return Ok((rating - low) / (high - low));
            }
            let mut sum = 0.0;
            for other in others {
                let question = Question { prompt, a: completion.text, b: other };
                sum += judge.judge(question).map_err(|e| e.reason)?.score();
            }
            Ok(if others.is_empty() { 0.5 } else { sum / others.len() as f64 })
        }
    }
}

#[cfg(not(feature = "http"))]
impl JudgeReward {
    pub(crate) fn compares(&self) -> bool {
        false
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        Err("a judge needs the feature `http` of tropism-trainer".into())
    }

    fn ask(&self, _: &Completion, _: &[String]) -> Result<f64, String> {
        self.check().map(|()| 0.0)
    }
}
