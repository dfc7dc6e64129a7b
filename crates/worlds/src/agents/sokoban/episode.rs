//! Episodes of a puzzle, played again from their turns.

use tropism_rewards::{Episodes, RewardError, Verdict};

use super::board::{Move, Position};
use super::puzzle::Puzzle;
use super::{Sokoban, WORLD};

/// Names of the aspects of an episode.
const ASPECTS: [&str; 4] = ["solved", "turns", "bumps", "deadlocked"];

/// What is said before the board to a move that is not possible.
const BLOCKED: &str = "blocked";

/// How an episode went.
pub(super) struct Played {
    /// The start, and where each turn led.
    positions: Vec<Position>,
    /// Impossible moves.
    bumps: usize,
    /// Whether the last turn was one.
    bumped: bool,
    /// The verdict, once the episode has ended.
    end: Option<Verdict>,
}

impl Played {
    pub(super) fn start(puzzle: &Puzzle) -> Self {
        Self { positions: vec![puzzle.start], bumps: 0, bumped: false, end: None }
    }

    fn turns(&self) -> usize {
        self.positions.len() - 1
    }

    pub(super) fn at(&self) -> Position {
        self.positions[self.turns()]
    }

    /// Takes a turn, unless the episode has ended.
    pub(super) fn take(&mut self, puzzle: &Puzzle, turn: &str, max_turns: usize) {
        if self.end.is_some() {
            return;
        }
        let step = Move::parse(turn);
        let next = step.and_then(|step| puzzle.board.after(self.at(), step));
        self.bumped = step.is_some() && next.is_none();
        self.bumps += usize::from(self.bumped);
        self.positions.push(next.unwrap_or(self.at()));
        self.end = match step {
            None => Some(Verdict::Unreadable),
            Some(_) if puzzle.board.is_solved(self.at()) => Some(Verdict::Correct),
            Some(_) => (self.turns() == max_turns).then_some(Verdict::Wrong),
        };
    }

    /// What the world says now; nothing where the episode has ended.
    pub(super) fn said(&self, puzzle: &Puzzle) -> Option<String> {
        let board = puzzle.board.shown(self.at());
        let said = if self.bumped { format!("{BLOCKED}\n{board}") } else { board };
        self.end.is_none().then_some(said)
    }
}

impl Sokoban {
    fn play(&self, prompt: &str, turns: &[String]) -> Result<(&Puzzle, Played), RewardError> {
        let puzzle = &self.puzzles[self.catalogue.index(prompt)?];
        let mut played = Played::start(puzzle);
        turns.iter().take(self.config.max_turns).for_each(|turn| played.take(puzzle, turn, self.config.max_turns));
        Ok((puzzle, played))
    }
}

impl Episodes for Sokoban {
    /// The board after the last turn, behind "blocked" where that turn was an impossible move.
    fn observe(&self, prompt: &str, turns: &[String]) -> Result<Option<String>, RewardError> {
        let (puzzle, played) = self.play(prompt, turns)?;
        Ok(played.said(puzzle))
    }

    /// Correct where the box stands on the goal, unreadable where a turn was no move, else wrong.
    fn verdict(&self, prompt: &str, turns: &[String]) -> Result<Verdict, RewardError> {
        let (_, played) = self.play(prompt, turns)?;
        Ok(played.end.unwrap_or(Verdict::Wrong))
    }

    fn aspects(&self) -> &[&str] {
        &ASPECTS
    }

    /// `solved` (1 or 0), `turns` (how many were taken), `bumps` (share of the turns that were impossible moves; nothing
    /// without turns) and `deadlocked` (1 where the box cannot be brought to the goal any more, as from a corner, else 0).
    fn aspect(&self, name: &str, prompt: &str, turns: &[String]) -> Result<Option<f64>, RewardError> {
        let (puzzle, played) = self.play(prompt, turns)?;
        let taken = played.turns() as f64;
        let yes = |is: bool| Some(if is { 1.0 } else { 0.0 });
        Ok(match name {
            "solved" => yes(played.end == Some(Verdict::Correct)),
            "turns" => Some(taken),
            "bumps" => (taken > 0.0).then_some(played.bumps as f64 / taken),
            "deadlocked" => yes(puzzle.board.distances().of(played.at()).is_none()),
            _ => None,
        })
    }

    /// With [`shaped`](super::SokobanConfig::shaped), how much nearer each turn came to solved, in shares of the shortest
    /// solution; the formula stands at [`Sokoban`]. Turns behind the end have 0.
    fn turn_rewards(&self, prompt: &str, turns: &[String]) -> Result<Option<Vec<f64>>, RewardError> {
        let (puzzle, played) = self.play(prompt, turns)?;
        if !self.config.shaped {
            return Ok(None);
        }
        let distances = puzzle.board.distances();
        let potential = |at: &Position| distances.potential(*at) as f64;
        let nearer = |pair: &[Position]| (potential(&pair[0]) - potential(&pair[1])) / puzzle.moves as f64;
        let mut rewards: Vec<f64> = played.positions.windows(2).map(nearer).collect();
        rewards.resize(turns.len(), 0.0);
        Ok(Some(rewards))
    }
}

single_turn!(Sokoban);
