//! Boards of one box and one goal, and how far each position is from solved.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A move of the player.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Move {
    /// To the row above.
    Up,
    /// To the row below.
    Down,
    /// To the column before.
    Left,
    /// To the column after.
    Right,
}

impl Move {
    /// All moves.
    pub const ALL: [Self; 4] = [Self::Up, Self::Down, Self::Left, Self::Right];

    /// The word that stands for it: "up", "down", "left" or "right".
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The move that a text is: its word alone, whatever the case, with or without white space around it and a full stop.
    ///
    /// ```
    /// use tropism_worlds::Move;
    ///
    /// assert_eq!(Move::parse(" Left.\n"), Some(Move::Left));
    /// assert_eq!(Move::parse("left left"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let text = super::super::readable(text)?;
        let word = text.strip_suffix('.').unwrap_or(text).trim_end();
        Self::ALL.into_iter().find(|step| step.word().eq_ignore_ascii_case(word))
    }

    fn back(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// What stays in its place: the size, the walls (a bit a cell, row by row, 64 at most) and the goal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Board {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) walls: u64,
    pub(super) goal: usize,
}

/// What moves: the cells of the player and of the box, two different ones without a wall.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Position {
    pub(super) player: usize,
    pub(super) load: usize,
}

impl Board {
    pub(super) fn cells(&self) -> usize {
        self.width * self.height
    }

    fn is_wall(&self, cell: usize) -> bool {
        self.walls >> cell & 1 == 1
    }

    /// The cell next to another; nothing past the edge or in a wall.
    fn beside(&self, cell: usize, step: Move) -> Option<usize> {
        let (x, y) = (cell % self.width, cell / self.width);
        let (x, y) = match step {
            Move::Up => (x, y.checked_sub(1)?),
            Move::Down => (x, y + 1),
            Move::Left => (x.checked_sub(1)?, y),
            Move::Right => (x + 1, y),
        };
        let cell = y * self.width + x;
        (x < self.width && y < self.height && !self.is_wall(cell)).then_some(cell)
    }

    /// Where a move leads; nothing where the player or the box has no room.
    pub(super) fn after(&self, at: Position, step: Move) -> Option<Position> {
        let player = self.beside(at.player, step)?;
        let load = if player == at.load { self.beside(at.load, step)? } else { at.load };
        Some(Position { player, load })
    }

    /// The positions from which a move leads to this one: a walk, and a push where the box stands ahead.
    fn before(&self, at: Position, step: Move) -> impl Iterator<Item = Position> {
        let from = self.beside(at.player, step.back());
        let walked = from.filter(|&player| player != at.load).map(|player| Position { player, load: at.load });
        let ahead = self.beside(at.player, step) == Some(at.load);
        let pushed = from.filter(|_| ahead).map(|player| Position { player, load: at.player });
        walked.into_iter().chain(pushed)
    }

    pub(super) fn is_solved(&self, at: Position) -> bool {
        at.load == self.goal
    }

    /// The board in letters, a row a line, spaces between the cells.
    pub(super) fn shown(&self, at: Position) -> String {
        let letter = |cell| match cell {
            _ if cell == at.player && cell == self.goal => "Q",
            _ if cell == at.player => "P",
            _ if cell == at.load => "B",
            _ if cell == self.goal => "G",
            _ if self.is_wall(cell) => "x",
            _ => "o",
        };
        let row = |y: usize| (y * self.width..(y + 1) * self.width).map(letter).collect::<Vec<_>>().join(" ");
        (0..self.height).map(row).collect::<Vec<_>>().join("\n")
    }

    /// The fewest moves from every position to a solved one, by a search back from all solved ones.
    pub(super) fn distances(&self) -> Distances {
        let cells = self.cells();
        let mut distances = Distances { cells, moves: vec![None; cells * cells], longest: 0 };
        let solved = (0..cells).filter(|&cell| cell != self.goal && !self.is_wall(cell));
        let mut queue: VecDeque<Position> = solved.map(|player| Position { player, load: self.goal }).collect();
        queue.iter().for_each(|&at| distances.set(at, 0));
        while let Some(at) = queue.pop_front() {
            let moves = distances.of(at).unwrap_or(0) + 1;
            for before in Move::ALL.into_iter().flat_map(|step| self.before(at, step)) {
                if distances.of(before).is_none() {
                    distances.set(before, moves);
                    queue.push_back(before);
                }
            }
        }
        distances
    }
}

/// The fewest moves to solved, of each position of a board.
#[derive(Clone, Debug)]
pub(super) struct Distances {
    cells: usize,
    moves: Vec<Option<usize>>,
    longest: usize,
}

impl Distances {
    /// Nothing where the position cannot be solved any more.
    pub(super) fn of(&self, at: Position) -> Option<usize> {
        self.moves[at.player * self.cells + at.load]
    }

    /// As [`of`](Self::of), with one more than the longest of the board where it cannot be solved.
    pub(super) fn potential(&self, at: Position) -> usize {
        self.of(at).unwrap_or(self.longest + 1)
    }

    fn set(&mut self, at: Position, moves: usize) {
        self.moves[at.player * self.cells + at.load] = Some(moves);
        self.longest = self.longest.max(moves);
    }
}
