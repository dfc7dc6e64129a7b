//! Worlds that answer back: several turns, judged at the end.

use crate::{RewardError, Verdict};

/// A world in which a policy acts by turns.
///
/// The policy reads the prompt and takes a turn, the world says what came of it, the policy takes the next turn, until the
/// world ends the episode. A world keeps no state between calls: it is given all turns so far and plays them again, so that
/// what it says follows from prompt and turns alone, and an episode can be taken up again anywhere. Implementations do no input
/// or output and are bounded in time for any text. A turn that makes no sense is part of the game (the world says so, or ends the
/// episode), not an error.
///
/// ```
/// use tropism_rewards::{Episodes, RewardError, Verdict};
///
/// /// Asks for a word until it is said, three times at most.
/// struct Riddle;
///
/// impl Episodes for Riddle {
///     fn observe(&self, _: &str, turns: &[String]) -> Result<Option<String>, RewardError> {
///         let over = turns.len() == 3 || turns.iter().any(|t| t == "echo");
///         Ok((!over).then(|| "Try again.".to_owned()))
///     }
///     fn verdict(&self, _: &str, turns: &[String]) -> Result<Verdict, RewardError> {
///         Ok(if turns.iter().any(|t| t == "echo") { Verdict::Correct } else { Verdict::Wrong })
///     }
/// }
///
/// let turns = ["wind".to_owned(), "echo".to_owned()];
/// assert_eq!(Riddle.observe("", &turns[..1])?, Some("Try again.".to_owned()));
/// assert_eq!(Riddle.observe("", &turns)?, None);
/// assert_eq!(Riddle.verdict("", &turns)?, Verdict::Correct);
/// # Ok::<(), RewardError>(())
/// ```
pub trait Episodes: Send + Sync {
    /// What is said to a policy that has taken these turns (at least one), or nothing where the episode is over. Says the
    /// same for the same turns; what follows the end of an episode is nothing.
    ///
    /// # Errors
    ///
    /// When the prompt is none of this world's.
    fn observe(&self, prompt: &str, turns: &[String]) -> Result<Option<String>, RewardError>;

    /// The verdict on an episode that ended after these turns, by its end or because it was cut.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe).
    fn verdict(&self, prompt: &str, turns: &[String]) -> Result<Verdict, RewardError>;

    /// The reward of an episode: by default 1 for a right one, 0 for others.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe).
    fn score(&self, prompt: &str, turns: &[String]) -> Result<Option<f64>, RewardError> {
        Ok(self.verdict(prompt, turns)?.score())
    }

    /// Names of further numbers that are known of an episode, such as the share of repeated calls of a tool.
    fn aspects(&self) -> &[&str] {
        &[]
    }

    /// One of the [`aspects`](Self::aspects) of an episode, or nothing where it does not apply.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe).
    fn aspect(&self, name: &str, prompt: &str, turns: &[String]) -> Result<Option<f64>, RewardError> {
        let _ = (name, prompt, turns);
        Ok(None)
    }

    /// Rewards of the single turns, for credit by turn, in the order of the turns; nothing where the world knows none.
    ///
    /// # Errors
    ///
    /// As [`observe`](Self::observe).
    fn turn_rewards(&self, prompt: &str, turns: &[String]) -> Result<Option<Vec<f64>>, RewardError> {
        let _ = (prompt, turns);
        Ok(None)
    }
}
