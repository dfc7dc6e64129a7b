//! A box, a goal and a player on a small board.

mod board;
mod config;
mod episode;
mod puzzle;

pub use board::Move;
pub use config::SokobanConfig;

use tropism_data::record::Sample;
use tropism_data::stream::Stream;

use super::task::Catalogue;
use super::{AgentTask, AgentWorld, demonstration};
use crate::{WorldError, draw};
use board::Position;
use episode::Played;
use puzzle::Puzzle;

/// Name of the world in messages and in the sources of records.
const WORLD: &str = "sokoban";

/// The world of boxes: a player pushes a box onto a goal, a move a turn.
///
/// The prompt is the board, a row a line, with a space between cells: `P` the player, `B` the box, `G` the goal, `Q` the player
/// on the goal, `x` a wall, `o` nothing. A turn is one of the words of [`Move`]; the world answers with the board. A box is
/// pushed, never pulled, so that a wrong push can lose an episode early. What is not possible (out of the board, into a wall, a
/// box that has no room) moves nothing and is answered by "blocked" and the board. An episode ends when the box is on the
/// goal (correct), at a turn that is no move (unreadable), or after [`max_turns`](SokobanConfig::max_turns) turns (wrong).
///
/// Tasks are drawn by the seed, without repeats, from all boards whose shortest solution has
/// [`min_moves`](SokobanConfig::min_moves) to [`max_moves`](SokobanConfig::max_moves) moves. How hard one is follows from the
/// shortest solution, by the cuts that come nearest to thirds.
///
/// The reward is the outcome: 1 or 0. With [`shaped`](SokobanConfig::shaped) the turns have rewards of their own, differences
/// of a potential (Ng, Harada and Russell 1999) without discount:
///
/// ```text
/// r_t = (d(s_t) − d(s_{t+1})) / d(s_0),   d = fewest moves to solved
/// ```
///
/// where `d` of a position that cannot be solved is one more than the largest of its board. Their sum is 1 for a solved
/// episode, below 1 for others.
///
/// ```
/// use tropism_rewards::{Episodes, Verdict};
/// use tropism_worlds::{AgentWorld, Sokoban, SokobanConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let world = Sokoban::new(SokobanConfig::default())?;
/// let prompt = "o o o o\nP B o G\no o o o";
/// let turns = ["right".to_owned(), "right".to_owned()];
/// assert_eq!(world.observe(prompt, &turns[..1])?.as_deref(), Some("o o o o\no P B G\no o o o"));
/// assert_eq!(world.observe(prompt, &turns)?, None);
/// assert_eq!(world.verdict(prompt, &turns)?, Verdict::Correct);
///
/// let (train, test) = world.split(0.2, 1)?;
/// let corpus = world.demonstrations(&train, 1000, 2)?;
/// assert_eq!((train.len() + test.len(), corpus.len()), (world.tasks().len(), 1000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sokoban {
    config: SokobanConfig,
    catalogue: Catalogue,
    puzzles: Vec<Puzzle>,
}

impl Sokoban {
    /// Makes the world and draws its tasks.
    ///
    /// # Errors
    ///
    /// Those of [`SokobanConfig::check`], and when no board of this size has so long a solution.
    pub fn new(config: SokobanConfig) -> Result<Self, WorldError> {
        config.check()?;
        let puzzles = puzzle::draw(&config);
        if puzzles.is_empty() {
            return config::bad("min_moves", config.min_moves, "what a board of this size can take");
        }
        let cuts = puzzle::terciles(&puzzles);
        let prompt = |puzzle: &Puzzle| (puzzle.prompt(), puzzle::difficulty(puzzle.moves, cuts));
        let catalogue = Catalogue::new(WORLD, puzzles.iter().map(prompt));
        Ok(Self { config, catalogue, puzzles })
    }

    /// The settings of the world.
    pub fn config(&self) -> &SokobanConfig {
        &self.config
    }

    /// Moves of the shortest solution of the task with this prompt (white space at its ends ignored).
    pub fn shortest(&self, prompt: &str) -> Option<usize> {
        Some(self.puzzles[self.catalogue.position(prompt)?].moves)
    }

    /// An episode of the best moves, with random ones in between; each turn with what the world says to it.
    fn demonstrate(&self, puzzle: &Puzzle, stream: &mut Stream) -> Vec<(String, Option<String>)> {
        let distances = puzzle.board.distances();
        let (mut played, mut turns) = (Played::start(puzzle), Vec::new());
        loop {
            let legal = |step: &Move| Some((*step, puzzle.board.after(played.at(), *step)?));
            let legal: Vec<(Move, Position)> = Move::ALL.iter().filter_map(legal).collect();
            let best = legal.iter().filter_map(|(step, to)| Some((distances.of(*to)?, *step))).min();
            let step = match best {
                Some((_, step)) if stream.uniform() >= self.config.slips => step,
                // The player can always go back to where it came from, and had a move at the start.
                _ => legal.get(stream.below(legal.len().max(1))).map_or(Move::Up, |choice| choice.0),
            };
            played.take(puzzle, step.word(), self.config.max_turns);
            let said = played.said(puzzle);
            let over = said.is_none();
            turns.push((step.word().to_owned(), said));
            if over {
                return turns;
            }
        }
    }
}

impl AgentWorld for Sokoban {
    fn tasks(&self) -> &[AgentTask] {
        self.catalogue.tasks()
    }

    fn split(&self, test_fraction: f64, seed: u64) -> Result<(Vec<AgentTask>, Vec<AgentTask>), WorldError> {
        draw::split(WORLD, self.tasks(), test_fraction, seed)
    }

    /// Shortest solutions, in which each move is with probability [`slips`](SokobanConfig::slips) a random possible one,
    /// planned anew after it; random moves where the box is lost. An episode goes on to its end.
    fn demonstrations(&self, tasks: &[AgentTask], n: usize, seed: u64) -> Result<Vec<Sample>, WorldError> {
        let mut stream = Stream::new(seed, "sokoban/demonstrations");
        let order = draw::rounds(WORLD, tasks, n, &mut stream)?;
        let sample = |(row, task): (usize, &AgentTask)| {
            let puzzle = &self.puzzles[self.catalogue.index_of(task)?];
            Ok(demonstration(WORLD, row, task, self.demonstrate(puzzle, &mut stream)))
        };
        order.into_iter().enumerate().map(sample).collect()
    }
}
