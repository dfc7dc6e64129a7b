//! Boards with a start: which there are, and how hard they are.

use std::collections::{BTreeMap, BTreeSet};

use tropism_data::stream::Stream;

use super::SokobanConfig;
use super::board::{Board, Position};
use crate::Difficulty;

/// Draws per task before the tasks are taken to be all found.
const MOST_DRAWS: usize = 50;

/// A board and where its player and box stand at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Puzzle {
    pub(super) board: Board,
    pub(super) start: Position,
    /// Moves of the shortest solution.
    pub(super) moves: usize,
}

impl Puzzle {
    pub(super) fn prompt(&self) -> String {
        self.board.shown(self.start)
    }
}

/// Solvable boards without repeats, in the order in which they are drawn.
pub(super) fn draw(config: &SokobanConfig) -> Vec<Puzzle> {
    let mut stream = Stream::new(config.seed, "sokoban/boards");
    let (mut puzzles, mut seen): (Vec<Puzzle>, BTreeSet<String>) = Default::default();
    for _ in 0..MOST_DRAWS * config.tasks {
        if puzzles.len() == config.tasks {
            break;
        }
        let (board, start) = position(config, &mut stream);
        if board.is_solved(start) || !seen.insert(board.shown(start)) {
            continue;
        }
        match board.distances().of(start) {
            Some(moves) if (config.min_moves..=config.max_moves).contains(&moves) => {
                puzzles.push(Puzzle { board, start, moves });
            }
            _ => {}
        }
    }
    puzzles
}

/// Walls, the box and the player on different cells; a goal on any that is no wall.
fn position(config: &SokobanConfig, stream: &mut Stream) -> (Board, Position) {
    let (width, height) = (config.width, config.height);
    let mut cells: Vec<usize> = (0..width * height).collect();
    stream.shuffle(&mut cells);
    let walls = cells[..config.walls].iter().fold(0, |walls, cell| walls | 1 << cell);
    let open = &cells[config.walls..];
    let goal = open[stream.below(open.len())];
    (Board { width, height, walls, goal }, Position { player: open[0], load: open[1] })
}

/// The most moves of easy and of medium puzzles: the cuts between whole lengths that come nearest to thirds.
///
/// No group is empty where there are three lengths or more; where there are fewer, the harder groups are.
pub(super) fn terciles(puzzles: &[Puzzle]) -> [usize; 2] {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    puzzles.iter().for_each(|puzzle| *counts.entry(puzzle.moves).or_default() += 1);
    let up_to = counts.iter().scan(0, |sum, (&moves, &count)| {
        *sum += count;
        Some((moves, *sum))
    });
    let up_to: Vec<(usize, usize)> = up_to.collect();
    let nearest = |third: usize, from: usize, to: usize| {
        let gap = |i: &usize| (3 * up_to[*i].1).abs_diff(third * puzzles.len());
        (from..to.min(up_to.len())).min_by_key(gap)
    };
    let first = nearest(1, 0, up_to.len().saturating_sub(2).max(1)).unwrap_or(0);
    let second = nearest(2, first + 1, up_to.len().saturating_sub(1).max(first + 2)).unwrap_or(first);
    [first, second].map(|i| up_to.get(i).map_or(0, |cut| cut.0))
}

/// How hard a puzzle of so many moves is, between these cuts.
pub(super) fn difficulty(moves: usize, cuts: [usize; 2]) -> Difficulty {
    match moves {
        _ if moves <= cuts[0] => Difficulty::Easy,
        _ if moves <= cuts[1] => Difficulty::Medium,
        _ => Difficulty::Hard,
    }
}
