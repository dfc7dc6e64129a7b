//! Ratings of a round's completions, which come one by one.
use super::episodes::Player;
use super::gather::{Gatherer, Group};
use super::rewards::{Completion, Rating, RatingFailure, WeightedReward, compared, settle};
use super::workers::{Call, Outcome, Pool};
use crate::error::TrainError;
use std::collections::BTreeMap;
use tropism_lm::{Answer, End};
use tropism_policy_gradient::RewardTable;

/// A round under way: completions are handed over as they come, groups are made when all are there.
pub(crate) struct Round<'r> {
    gatherer: &'r Gatherer<'r>,
    /// rows of the prompts
    picked: &'r [usize],
    pool: Pool,
    /// texts by place and number
    texts: BTreeMap<(usize, usize), String>,
    /// the other side of episodes
    player: Option<Player<'r>>,
    /// the first completion that cannot be read
    refused: Option<TrainError>,
}

impl<'r> Round<'r> {
    pub(crate) fn new(gatherer: &'r Gatherer<'r>, picked: &'r [usize]) -> Result<Self, TrainError> {
        // reward models see all completions at once, when they are there
        let on_threads = |r: &WeightedReward| r.function.model().is_none().then(|| r.function.clone());
        let rewards = gatherer.rewards.values().map(on_threads).collect();
        let pool = Pool::new(&gatherer.rollout.rating, rewards, gatherer.environment.world.cloned())?;
        let (texts, player) = (BTreeMap::new(), gatherer.player()?);
        Ok(Round { gatherer, picked, pool, texts, player, refused: None })
    }

    /// Has a completion rated: the one of this number to the prompt at this place among the picked ones.
    pub(crate) fn take(&mut self, place: usize, number: usize, answer: &Answer) {
        let row = &self.gatherer.prompts[self.picked[place]];
        match self.said(answer) {
            Ok((text, turns)) => {
                let (prompt, truth, tokens) = (row.text.as_str(), row.truth.as_deref(), answer.written());
                let text = text.trim();
                self.pool.submit((place, number), &Completion { prompt, truth, text, tokens, turns: &turns });
                self.texts.insert((place, number), text.to_owned());
            }
            Err(problem) => {
                self.refused.get_or_insert(TrainError::Reward { row: row.source.to_string(), problem });
            }
        }
    }

    /// A completion's text, without what ends it, and its turns where it is an episode.
    fn said(&self, answer: &Answer) -> Result<(String, Vec<String>), String> {
        let Some(player) = &self.player else { return Ok((self.text(answer)?, vec![])) };
        let turns = player.turns(answer)?;
        Ok((turns.join("\n"), turns))
    }

    /// The text of a completion of one turn, without what ends it.
    fn text(&self, answer: &Answer) -> Result<String, String> {
        match (&answer.text, &answer.end) {
            (Some(text), End::StopString(s)) => Ok(text.strip_suffix(s.as_str()).unwrap_or(text).to_owned()),
            _ => (self.gatherer.environment.decode)(&answer.tokens),
        }
    }

    /// The groups, a list of completions for each prompt, once all are rated.
    pub(crate) fn finish(mut self, answers: Vec<Vec<Answer>>) -> Result<Vec<Group>, TrainError> {
        if let Some(e) = self.refused.take() {
            return Err(e);
        }
        self.compare(&answers);
        let mut found = self.pool.collect()?;
        let mut scores = self.gatherer.model_scores(self.picked, &answers)?.into_iter();
        let mut tally = Tally { without: vec![0; self.gatherer.rewards.len()], calls: 0, last: None };
        let groups: Vec<(usize, Vec<Answer>, Vec<Vec<Rating>>)> = answers
            .into_iter()
            .enumerate()
            .map(|(place, answers)| {
                let one = |number| self.ratings((place, number), &mut found, &mut tally);
                let mut ratings: Vec<Vec<Rating>> = (0..answers.len()).map(one).collect();
                let texts: Vec<String> = self.texts.range((place, 0)..(place + 1, 0)).map(|(_, t)| t.clone()).collect();
                for (row, scores) in ratings.iter_mut().zip(&mut scores) {
                    let own = row.iter_mut().zip(scores).filter_map(|(r, s)| Some((r, s?)));
                    own.for_each(|(rating, score)| rating.score = Some(score));
                }
                compared(self.gatherer.rewards, &texts, &mut ratings);
                (self.picked[place], answers, ratings)
            })
            .collect();
        self.bounded(&tally)?;
        groups.into_iter().map(|(prompt, answers, ratings)| self.gatherer.group(prompt, answers, ratings)).collect()
    }

    /// Has the completions of each group compared, where a reward asks for it.
    fn compare(&mut self, answers: &[Vec<Answer>]) {
        if !self.pool.asks_of_groups() {
            return;
        }
        for (&(place, number), text) in &self.texts {
            let row = &self.gatherer.prompts[self.picked[place]];
            let (prompt, truth, tokens) = (row.text.as_str(), row.truth.as_deref(), answers[place][number].written());
            let group = self.texts.range((place, 0)..(place + 1, 0));
            let others = group.filter(|((_, n), _)| *n != number).map(|(_, t)| t.clone()).collect();
            // who compares reads texts, which hold all turns of an episode
            self.pool.submit_group((place, number), &Completion { prompt, truth, text, tokens, turns: &[] }, others);
        }
    }

    fn ratings(
        &self,
        (place, number): (usize, usize),
        found: &mut BTreeMap<Call, Outcome>,
        tally: &mut Tally,
    ) -> Vec<Rating> {
        tally.calls += 1;
        let mut one = |reward: usize| {
            let rating = match found.remove(&(place, number, reward)) {
                Some(Ok(rating)) => rating,
                Some(Err(problem)) => {
                    tally.last = Some((place, problem));
                    Rating { failure: Some(RatingFailure::Failed), ..Rating::default() }
                }
                None => Rating::default(),
            };
            tally.without[reward] += usize::from(rating.failure.is_some());
            rating
        };
        let mut ratings: Vec<Rating> = (0..self.gatherer.rewards.len()).map(&mut one).collect();
        settle(self.gatherer.rewards, &mut ratings);
        ratings
    }

    /// Ends the run where too many completions of the round have no result.
    fn bounded(&self, tally: &Tally) -> Result<(), TrainError> {
        let options = &self.gatherer.rollout.rating;
        let most = options.max_failed * tally.calls as f64;
        let Some(reward) = tally.without.iter().position(|n| *n as f64 > most) else { return Ok(()) };
        let (name, n) = (self.gatherer.rewards.keys().nth(reward).map_or("", String::as_str), tally.without[reward]);
        let slow = || (0, format!("each took longer than rollout.rating.timeout_s, {} s", options.timeout_s));
        let (place, said) = tally.last.clone().unwrap_or_else(slow);
        let row = self.gatherer.prompts[self.picked[place]].source.to_string();
        let problem = format!(
            "`{name}` has no result for {n} of {} completions, more than rollout.rating.max_failed allows: {said}",
            tally.calls
        );
        Err(TrainError::Reward { row, problem })
    }
}

/// Calls without a result.
struct Tally {
    /// by reward
    without: Vec<usize>,
    /// completions
    calls: usize,
    /// the last error: the prompt's place, and what was said
    last: Option<(usize, String)>,
}

impl Gatherer<'_> {
    fn group(&self, prompt: usize, answers: Vec<Answer>, ratings: Vec<Vec<Rating>>) -> Result<Group, TrainError> {
        let sums = self.sums(prompt, &ratings)?;
        Ok(Group { prompt, answers, ratings, sums })
    }

    /// Weighted sums of ratings, by the prompt's own weights where it has some.
    pub(crate) fn sums(&self, prompt: usize, ratings: &[Vec<Rating>]) -> Result<Vec<f64>, TrainError> {
        let own = &self.prompts[prompt].weights;
        if own.is_empty() {
            return Ok(self.table(ratings)?.sums());
        }
        let weigh = |row: &Vec<Rating>| -> f64 {
            row.iter().zip(own).map(|(r, w)| if *w == 0.0 { 0.0 } else { w * r.score.unwrap_or(f64::NAN) }).sum()
        };
        Ok(ratings.iter().map(weigh).collect())
    }

    /// Whether a part of the sum should be there and is not: the sum of the others would say something else.
    pub(crate) fn lacks(&self, ratings: &[Rating]) -> bool {
        ratings.iter().zip(self.rewards.values()).any(|(r, reward)| r.failure.is_some() && reward.weight != 0.0)
    }

    pub(crate) fn table(&self, ratings: &[Vec<Rating>]) -> Result<RewardTable, TrainError> {
        let weights: Vec<f64> = self.rewards.values().map(|r| r.weight).collect();
        let row = |row: &Vec<Rating>| {
            let lacks = self.lacks(row);
            row.iter().map(|r| r.score.filter(|_| !lacks).unwrap_or(f64::NAN)).collect::<Vec<f64>>()
        };
        let scores: Vec<f64> = ratings.iter().flat_map(row).collect();
        Ok(RewardTable::new(&scores, &weights)?)
    }
}
