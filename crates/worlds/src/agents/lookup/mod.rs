//! Questions over a table that is read with a search.

mod config;
mod episode;
mod question;
mod table;

pub use config::{LookupConfig, Slips};

use tropism_data::record::Sample;
use tropism_data::stream::Stream;
use tropism_rewards::Episodes;

use super::task::Catalogue;
use super::{AgentTask, AgentWorld, demonstration};
use crate::{WorldError, draw};
use question::{Fact, Question};
use table::Table;

/// Name of the world in messages and in the sources of records.
const WORLD: &str = "lookup";

/// The world of searches: questions whose answer lies a few facts away.
///
/// A table says of each person who is their teacher and friend, where they live and which pet they keep; it is drawn by the
/// seed. The prompt asks for a value, over one to three facts: "What is the pet of the teacher of Ann?" A turn is either
/// `search: teacher of Ann`, to which the world answers `Bob.` or `nothing found`, or `answer: cat`, which ends the episode with
/// the verdict of [`ShortAnswer`](tropism_rewards::ShortAnswer). Case, articles, punctuation and white space in either do not
/// count. A search past [`max_searches`](LookupConfig::max_searches) is not done and ends the episode as wrong, any other
/// turn as unreadable. An answer needs no search to be right; `found` says what was looked up.
///
/// The rewards of the turns are those of StepSearch (as surveyed in arXiv 2509.06733) with a similarity of 1 or 0, each search
/// bringing the fact that it asks for:
///
/// ```text
/// r_k = gain_k − redundancy_k
/// gain_k = [search k asks for a fact of the question, for the first time] / facts of the question
/// redundancy_k = [search k asks what one before it did]
/// ```
///
/// so that gains sum to `found`, 1 at most. A search that found nothing counts as repeated too where it comes again; the authors'
/// code, which compares documents, has nothing to compare there.
///
/// ```
/// use tropism_rewards::{Episodes, Verdict};
/// use tropism_worlds::{AgentWorld, Lookup, LookupConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let world = Lookup::new(LookupConfig::default())?;
/// let prompt = "What is the pet of the teacher of Ann?";
/// let facts = world.facts(prompt).expect("a question of the world");
/// let mut turns = vec!["search: teacher of Ann".to_owned()];
/// assert_eq!(world.observe(prompt, &turns)?, Some(format!("{}.", facts[0].1)));
/// turns.push(format!("search: {}", facts[1].0));
/// turns.push(format!("answer: {}", facts[1].1));
/// assert_eq!(world.observe(prompt, &turns)?, None);
/// assert_eq!(world.verdict(prompt, &turns)?, Verdict::Correct);
/// assert_eq!(world.turn_rewards(prompt, &turns)?, Some(vec![0.5, 0.5, 0.0]));
///
/// let (train, test) = world.split(0.2, 1)?;
/// let corpus = world.demonstrations(&train, 1000, 2)?;
/// assert_eq!((train.len(), test.len(), corpus.len()), (64, 16, 1000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Lookup {
    config: LookupConfig,
    catalogue: Catalogue,
    table: Table,
    questions: Vec<Question>,
    facts: Vec<Vec<Fact>>,
}

impl Lookup {
    /// Draws the table and makes all questions.
    ///
    /// # Errors
    ///
    /// Those of [`LookupConfig::check`].
    pub fn new(config: LookupConfig) -> Result<Self, WorldError> {
        config.check()?;
        let table = Table::draw(config.people, config.seed);
        let questions = question::all(&config);
        let facts = questions.iter().map(|question| question.facts(&table)).collect();
        let catalogue = Catalogue::new(WORLD, questions.iter().map(|question| (question.prompt(), question.difficulty())));
        Ok(Self { config, catalogue, table, questions, facts })
    }

    /// The settings of the world.
    pub fn config(&self) -> &LookupConfig {
        &self.config
    }

    /// The queries that lead to the answer of the question with this prompt (white space at its ends ignored), in their order,
    /// each with what it finds; the last one finds the answer.
    pub fn facts(&self, prompt: &str) -> Option<&[(String, &'static str)]> {
        Some(&self.facts[self.catalogue.position(prompt)?])
    }

    /// The turns of a demonstration: what was done right, or one of the slips.
    fn demonstrate(&self, index: usize, stream: &mut Stream) -> Vec<String> {
        let (question, facts) = (&self.questions[index], &self.facts[index]);
        let slip = stream.uniform();
        let bounds = self.config.slips.shares().into_iter().scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        });
        let vocabulary = question.value.vocabulary();
        match bounds.take_while(|bound| *bound <= slip).count() {
            0 => turns(&facts[..(facts.len() - 1).min(1)], vocabulary[stream.below(vocabulary.len())]),
            1 => turns(&[], vocabulary[stream.below(vocabulary.len())]),
            2 => {
                let mut facts = facts.clone();
                let place = stream.below(facts.len());
                facts.insert(place, facts[place].clone());
                turns(&facts, self.truth(index))
            }
            3 => {
                let facts = question.mistaken(stream.below(facts.len())).facts(&self.table);
                turns(&facts, facts.last().map_or("", |fact| fact.1))
            }
            _ => turns(facts, self.truth(index)),
        }
    }

    fn truth(&self, index: usize) -> &'static str {
        self.facts[index].last().map_or("", |fact| fact.1)
    }
}

/// Searches for these facts, then an answer.
fn turns(facts: &[Fact], answer: &str) -> Vec<String> {
    let searches = facts.iter().map(|fact| format!("search: {}", fact.0));
    searches.chain([format!("answer: {answer}")]).collect()
}

impl AgentWorld for Lookup {
    fn tasks(&self) -> &[AgentTask] {
        self.catalogue.tasks()
    }

    fn split(&self, test_fraction: f64, seed: u64) -> Result<(Vec<AgentTask>, Vec<AgentTask>), WorldError> {
        draw::split(WORLD, self.tasks(), test_fraction, seed)
    }

    /// The right searches and the right answer, or one of the [`Slips`]. An episode ends where the world ends it.
    fn demonstrations(&self, tasks: &[AgentTask], n: usize, seed: u64) -> Result<Vec<Sample>, WorldError> {
        let mut stream = Stream::new(seed, "lookup/demonstrations");
        let order = draw::rounds(WORLD, tasks, n, &mut stream)?;
        let sample = |(row, task): (usize, &AgentTask)| {
            let turns = self.demonstrate(self.catalogue.index_of(task)?, &mut stream);
            // The prompt is the world's own, so that nothing can be wrong with it.
            let said = |taken: usize| self.observe(&task.prompt, &turns[..taken]).ok().flatten();
            let turns = turns.iter().enumerate().map(|(i, turn)| (turn.clone(), said(i + 1))).collect();
            Ok(demonstration(WORLD, row, task, turns))
        };
        order.into_iter().enumerate().map(sample).collect()
    }
}
