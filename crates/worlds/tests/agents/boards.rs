//! Boards as text, played and solved in another way than the world does it.

use std::collections::BTreeSet;

/// Rows of letters.
pub(crate) type Grid = Vec<Vec<char>>;

pub(crate) fn read(text: &str) -> Grid {
    text.lines().map(|line| line.split(' ').map(|cell| cell.parse().unwrap()).collect()).collect()
}

pub(crate) fn written(grid: &Grid) -> String {
    let line = |row: &Vec<char>| row.iter().map(char::to_string).collect::<Vec<_>>().join(" ");
    grid.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn at(grid: &Grid, cell: (i32, i32)) -> char {
    let row = usize::try_from(cell.0).ok().and_then(|y| grid.get(y));
    row.and_then(|row| row.get(usize::try_from(cell.1).ok()?)).copied().unwrap_or('x')
}

fn put(grid: &mut Grid, cell: (i32, i32), letter: char) {
    grid[cell.0 as usize][cell.1 as usize] = letter;
}

pub(crate) fn player(grid: &Grid) -> (i32, i32) {
    let cells = (0..grid.len() as i32).flat_map(|y| (0..grid[0].len() as i32).map(move |x| (y, x)));
    cells.into_iter().find(|&cell| matches!(at(grid, cell), 'P' | 'Q')).unwrap()
}

/// The board after a move; nothing where it is not possible. A box on the goal is `D`.
pub(crate) fn moved(grid: &Grid, word: &str) -> Option<Grid> {
    let (dy, dx) = match word {
        "up" => (-1, 0),
        "down" => (1, 0),
        "left" => (0, -1),
        "right" => (0, 1),
        _ => return None,
    };
    let from = player(grid);
    let to = (from.0 + dy, from.1 + dx);
    let past = (to.0 + dy, to.1 + dx);
    let mut next = grid.clone();
    match (at(grid, to), at(grid, past)) {
        ('x', _) | ('B' | 'D', 'x') => return None,
        ('B' | 'D', beyond) => put(&mut next, past, if beyond == 'G' { 'D' } else { 'B' }),
        _ => {}
    }
    put(&mut next, to, if matches!(at(grid, to), 'G' | 'D') { 'Q' } else { 'P' });
    put(&mut next, from, if at(grid, from) == 'Q' { 'G' } else { 'o' });
    Some(next)
}

pub(crate) fn is_solved(grid: &Grid) -> bool {
    grid.iter().flatten().any(|&letter| letter == 'D')
}

/// Moves of the shortest solution, by trying all moves level by level; nothing where there is none.
pub(crate) fn shortest(start: &Grid) -> Option<usize> {
    let (mut seen, mut level, mut moves) = (BTreeSet::from([start.clone()]), vec![start.clone()], 0);
    while !level.is_empty() {
        if level.iter().any(is_solved) {
            return Some(moves);
        }
        let words = ["up", "down", "left", "right"];
        let next = level.iter().flat_map(|grid| words.iter().filter_map(|word| moved(grid, word)));
        level = next.filter(|grid| seen.insert(grid.clone())).collect();
        moves += 1;
    }
    None
}
