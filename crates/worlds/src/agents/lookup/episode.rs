//! Episodes of a question, played again from their turns.

use std::collections::BTreeSet;

use tropism_rewards::{Episodes, RewardError, ShortAnswer, Verdict, normalized};

use super::super::readable;
use super::table::Table;
use super::{Lookup, WORLD};

/// Names of the aspects of an episode.
const ASPECTS: [&str; 4] = ["found", "searches", "repeated", "solved"];

/// What is said to a query without an answer.
const NOTHING: &str = "nothing found";

/// What a turn asks for.
enum Turn<'t> {
    Search(&'t str),
    Answer(&'t str),
}

impl<'t> Turn<'t> {
    fn parse(turn: &'t str) -> Option<Self> {
        let (word, rest) = readable(turn)?.split_once(':')?;
        match word.trim_end() {
            word if word.eq_ignore_ascii_case("search") => Some(Self::Search(rest)),
            word if word.eq_ignore_ascii_case("answer") => Some(Self::Answer(rest)),
            _ => None,
        }
    }
}

/// What a search brought.
struct Call {
    /// Whether it found a fact of the question that no search before it did.
    gained: bool,
    /// Whether a search before it asked the same.
    repeated: bool,
}

/// How an episode went.
#[derive(Default)]
struct Played {
    calls: Vec<Call>,
    asked: BTreeSet<String>,
    /// What the world says to the last turn.
    said: String,
    /// The verdict, once the episode has ended.
    end: Option<Verdict>,
}

impl Played {
    fn search(&mut self, query: &str, facts: &[(String, &str)], table: &Table) {
        let query = normalized(query);
        self.said = table.answer(&query).map_or_else(|| NOTHING.to_owned(), |answer| format!("{answer}."));
        let needed = facts.iter().any(|fact| normalized(&fact.0) == query);
        let new = self.asked.insert(query);
        self.calls.push(Call { gained: needed && new, repeated: !new });
    }

    fn gained(&self) -> usize {
        self.calls.iter().filter(|call| call.gained).count()
    }
}

impl Lookup {
    fn play(&self, prompt: &str, turns: &[String]) -> Result<(usize, Played), RewardError> {
        let facts = &self.facts[self.catalogue.index(prompt)?];
        let mut played = Played { said: prompt.trim().to_owned(), ..Played::default() };
        for turn in turns {
            let last = facts.last().map_or("", |fact| fact.1);
            match Turn::parse(turn) {
                Some(Turn::Search(query)) if played.calls.len() < self.config.max_searches => {
                    played.search(query, facts, &self.table);
                    continue;
                }
                Some(Turn::Search(_)) => played.end = Some(Verdict::Wrong),
                Some(Turn::Answer(answer)) => played.end = ShortAnswer::default().verdict(answer, last),
                None => played.end = Some(Verdict::Unreadable),
            }
            break;
        }
        Ok((facts.len(), played))
    }
}

impl Episodes for Lookup {
    /// The answer to a search with a full stop, or "nothing found".
    fn observe(&self, prompt: &str, turns: &[String]) -> Result<Option<String>, RewardError> {
        let (_, played) = self.play(prompt, turns)?;
        Ok(played.end.is_none().then_some(played.said))
    }

    /// That of [`ShortAnswer`] on the answer; unreadable where a turn was neither search nor answer, wrong without an answer.
    fn verdict(&self, prompt: &str, turns: &[String]) -> Result<Verdict, RewardError> {
        let (_, played) = self.play(prompt, turns)?;
        Ok(played.end.unwrap_or(Verdict::Wrong))
    }

    fn aspects(&self) -> &[&str] {
        &ASPECTS
    }

    /// `found` (share of the question's facts that were looked up), `searches` (how many), `repeated` (share of the searches
    /// that an earlier one had asked already; nothing without searches) and `solved` (1 or 0).
    fn aspect(&self, name: &str, prompt: &str, turns: &[String]) -> Result<Option<f64>, RewardError> {
        let (facts, played) = self.play(prompt, turns)?;
        let searches = played.calls.len() as f64;
        let repeated = played.calls.iter().filter(|call| call.repeated).count() as f64;
        Ok(match name {
            "found" => Some(played.gained() as f64 / facts as f64),
            "searches" => Some(searches),
            "repeated" => (searches > 0.0).then_some(repeated / searches),
            "solved" => Some(if played.end == Some(Verdict::Correct) { 1.0 } else { 0.0 }),
            _ => None,
        })
    }

    /// Gain less redundancy for each search, 0 for the turn that ends the episode and what stands behind it; the formula
    /// stands at [`Lookup`].
    fn turn_rewards(&self, prompt: &str, turns: &[String]) -> Result<Option<Vec<f64>>, RewardError> {
        let (facts, played) = self.play(prompt, turns)?;
        let share = 1.0 / facts as f64;
        let step = |call: &Call| if call.gained { share } else { 0.0 } - if call.repeated { 1.0 } else { 0.0 };
        let mut rewards: Vec<f64> = played.calls.iter().map(step).collect();
        rewards.resize(turns.len(), 0.0);
        Ok(Some(rewards))
    }
}

single_turn!(Lookup);
