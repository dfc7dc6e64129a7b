//! Judges that score each answer by itself: an exact reward, a reward model.
use super::verdict::{Choice, Failure, FailureKind, Judge, Question, Verdict};

/// Prefers the answer with the larger exact reward, as a world or a verifier gives it.
///
/// ```
/// use tropism_evaluation::judge::{Choice, ExactReward, Judge, Question};
/// let shorter = ExactReward::new("shorter", |_prompt: &str, answer: &str| -(answer.len() as f64));
/// let verdict = shorter.judge(Question { prompt: "?", a: "yes", b: "certainly" })?;
/// assert_eq!((verdict.choice, verdict.score()), (Choice::A, 1.0));
/// # Ok::<(), tropism_evaluation::judge::Failure>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExactReward<F> {
    name: String,
    reward: F,
    tie_within: f64,
}

impl<F: Fn(&str, &str) -> f64 + Sync> ExactReward<F> {
    /// `reward(prompt, answer)`; `name` says which reward it is.
    pub fn new(name: impl Into<String>, reward: F) -> Self {
        ExactReward { name: name.into(), reward, tie_within: 0.0 }
    }

    /// Rewards not more than this apart are a tie; 0 unless set.
    #[must_use]
    pub fn tie_within(self, tie_within: f64) -> Self {
        ExactReward { tie_within, ..self }
    }
}

impl<F: Fn(&str, &str) -> f64 + Sync> Judge for ExactReward<F> {
    fn identity(&self) -> String {
        format!("exact reward {}, ties within {}", self.name, self.tie_within)
    }

    fn judge(&self, q: Question<'_>) -> Result<Verdict, Failure> {
        let (a, b) = (finite((self.reward)(q.prompt, q.a))?, finite((self.reward)(q.prompt, q.b))?);
        Ok(Verdict::plain(Choice::larger(a, b, self.tie_within)))
    }

    fn reads_order(&self) -> bool {
        false
    }
}

/// Prefers the answer that a reward model scores higher, with the Bradley–Terry probability `σ(s_a − s_b)`.
#[derive(Clone, Debug)]
pub struct RewardModel<F> {
    name: String,
    score: F,
    tie_within: f64,
}

impl<F: Fn(&str, &str) -> Result<f64, String> + Sync> RewardModel<F> {
    /// `score(prompt, answer)`, or why there is none; `name` says which model it is.
    pub fn new(name: impl Into<String>, score: F) -> Self {
        RewardModel { name: name.into(), score, tie_within: 0.0 }
    }

    /// Scores not more than this apart are a tie; 0 unless set. The probability stays that of the scores.
    #[must_use]
    pub fn tie_within(self, tie_within: f64) -> Self {
        RewardModel { tie_within, ..self }
    }
}

impl<F: Fn(&str, &str) -> Result<f64, String> + Sync> Judge for RewardModel<F> {
    fn identity(&self) -> String {
        format!("reward model {}, ties within {}", self.name, self.tie_within)
    }

    fn judge(&self, q: Question<'_>) -> Result<Verdict, Failure> {
        let score = |answer: &str| {
            let found = (self.score)(q.prompt, answer).map_err(|why| Failure::new(FailureKind::NotAnswered, why))?;
            finite(found)
        };
        let (a, b) = (score(q.a)?, score(q.b)?);
        let probability = 1.0 / (1.0 + (b - a).exp());
        Ok(Verdict { choice: Choice::larger(a, b, self.tie_within), probability: Some(probability) })
    }

    fn reads_order(&self) -> bool {
        false
    }
}

fn finite(score: f64) -> Result<f64, Failure> {
    let refuse = || Failure::new(FailureKind::NoVerdict, format!("the score of an answer is {score}"));
    if score.is_finite() { Ok(score) } else { Err(refuse()) }
}
