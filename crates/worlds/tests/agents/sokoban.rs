//! The world of boxes against a player of its own.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tropism_rewards::{Episodes, Reward, Verdict};
use tropism_worlds::{AgentWorld, Difficulty, Sokoban, SokobanConfig};

use super::boards::{is_solved, moved, read, shortest, written};
use super::{aspect, sokoban, turns};

const WORDS: [&str; 4] = ["up", "down", "left", "right"];

/// A box one push from its goal, with room for mistakes.
const NEAR: &str = "o o o o\nP o B G\no o o o";

fn with(config: SokobanConfig) -> Sokoban {
    Sokoban::new(config).unwrap()
}

#[test]
fn there_are_as_many_boards_as_there_are() {
    // Counted by another program over all positions: solutions of 2, 3, 4, 5 and 6 moves.
    let world = sokoban();
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for task in world.tasks() {
        *counts.entry(world.shortest(&task.prompt).unwrap()).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([(2, 40), (3, 60), (4, 80), (5, 96), (6, 72)]));
    let most = SokobanConfig { tasks: 5000, ..SokobanConfig::default() };
    assert_eq!(with(SokobanConfig { walls: 1, ..most.clone() }).tasks().len(), 2300);
    assert_eq!(with(SokobanConfig { height: 4, ..most.clone() }).tasks().len(), 904);
    assert_eq!(with(SokobanConfig { walls: 1, ..SokobanConfig::default() }).tasks().len(), 600);
    let one = SokobanConfig { min_moves: 1, max_moves: 1, max_turns: 1, ..most };
    assert_eq!(with(one).tasks().len(), 20);
}

#[test]
fn tasks_are_solvable_in_so_many_moves_and_not_fewer() {
    let walled = SokobanConfig { walls: 2, tasks: 100, max_moves: 9, max_turns: 9, ..SokobanConfig::default() };
    let wide = SokobanConfig { width: 6, height: 5, walls: 6, tasks: 20, ..SokobanConfig::default() };
    for world in [sokoban(), with(walled), with(wide)] {
        let config = world.config();
        for task in world.tasks() {
            let moves = shortest(&read(&task.prompt));
            assert_eq!(moves, world.shortest(&task.prompt), "{}", task.prompt);
            assert!((config.min_moves..=config.max_moves).contains(&moves.unwrap()));
        }
    }
}

#[test]
fn prompts_are_boards_of_single_letters() {
    let world = with(SokobanConfig { walls: 1, ..SokobanConfig::default() });
    for (index, task) in world.tasks().iter().enumerate() {
        assert_eq!(task.id, index);
        let grid = read(&task.prompt);
        assert!(grid.len() == 3 && grid.iter().all(|row| row.len() == 4));
        assert_eq!(written(&grid), task.prompt);
        let letters: String = grid.iter().flatten().collect();
        let count = |of: &str| letters.chars().filter(|letter| of.contains(*letter)).count();
        assert_eq!((count("PQ"), count("B"), count("GQ"), count("x")), (1, 1, 1, 1), "{letters}");
        assert_eq!(count("PQBGxo"), 12);
    }
    let prompts: BTreeSet<&str> = world.tasks().iter().map(|task| task.prompt.as_str()).collect();
    assert_eq!(prompts.len(), world.tasks().len());
}

#[test]
fn difficulty_goes_by_the_shortest_solution() {
    let world = sokoban();
    for task in world.tasks() {
        let expected = match world.shortest(&task.prompt).unwrap() {
            // 100, 176 and 72 of 348: no other cuts come nearer to thirds.
            2 | 3 => Difficulty::Easy,
            4 | 5 => Difficulty::Medium,
            _ => Difficulty::Hard,
        };
        assert_eq!(task.difficulty, expected);
    }
    let levels = |min_moves, max_moves| {
        let world = with(SokobanConfig { min_moves, max_moves, ..SokobanConfig::default() });
        world.tasks().iter().map(|task| task.difficulty).collect::<BTreeSet<_>>().len()
    };
    assert_eq!([levels(3, 3), levels(3, 4), levels(3, 5), levels(1, 8)], [1, 2, 3, 3]);
}

#[test]
fn boards_follow_from_the_seed() {
    let few = |seed| with(SokobanConfig { tasks: 50, seed, ..SokobanConfig::default() });
    assert_eq!(few(3).tasks(), few(3).tasks());
    assert_ne!(few(3).tasks(), few(4).tasks());
}

#[test]
fn a_turn_is_one_word() {
    let world = sokoban();
    for word in ["up", " Up.", "UP\n", "\tup .  "] {
        let said = world.observe(NEAR, &turns(&[word])).unwrap();
        assert_eq!(said.as_deref(), Some("P o o o\no o B G\no o o o"), "{word:?}");
    }
    for word in ["", ".", "up up", "upp", "up..", "north", "ｕｐ", "blocked"] {
        assert_eq!(world.observe(NEAR, &turns(&[word])), Ok(None), "{word:?}");
        assert_eq!(world.verdict(NEAR, &turns(&[word])), Ok(Verdict::Unreadable), "{word:?}");
        assert_eq!(aspect(&world, "bumps", NEAR, &turns(&[word])), 0.0);
    }
}

#[test]
fn impossible_moves_move_nothing() {
    let world = with(SokobanConfig { walls: 1, tasks: 5000, ..SokobanConfig::default() });
    let cases = [
        // past the edge, into a wall, a box against the edge, a box against a wall
        ("o o o x\nP o B G\no o o o", "left", "up"),
        ("P x o o\no B G o\no o o o", "right", "down"),
        ("o o o o\no x P o\no G B o", "down", "up"),
        ("o o G o\nP B x o\no o o o", "right", "down"),
    ];
    for (prompt, word, possible) in cases {
        let said = world.observe(prompt, &turns(&[word])).unwrap().unwrap();
        assert_eq!(said, format!("blocked\n{prompt}"));
        assert_eq!(aspect(&world, "bumps", prompt, &turns(&[word, possible])), 0.5);
    }
    // A box that has been pushed to the edge goes no further.
    let pushed = turns(&["right", "down", "right", "up", "up"]);
    let said = sokoban().observe(NEAR, &pushed[..4]).unwrap().unwrap();
    assert_eq!(said, "o o B o\no o P G\no o o o");
    assert_eq!(sokoban().observe(NEAR, &pushed).unwrap().unwrap(), format!("blocked\n{said}"));
}

#[test]
fn an_episode_ends_when_it_is_solved_or_has_had_its_turns() {
    let world = sokoban();
    let solved = turns(&["right", "right", "up"]);
    assert_eq!(world.observe(NEAR, &solved[..2]), Ok(None));
    assert_eq!(world.verdict(NEAR, &solved[..2]), Ok(Verdict::Correct));
    // What follows the end changes nothing.
    assert_eq!((world.verdict(NEAR, &solved), aspect(&world, "turns", NEAR, &solved)), (Ok(Verdict::Correct), 2.0));
    assert_eq!(Episodes::score(&world, NEAR, &solved), Ok(Some(1.0)));

    let bumps = vec!["left".to_owned(); 8];
    assert!(world.observe(NEAR, &bumps[..7]).unwrap().is_some());
    assert_eq!(world.observe(NEAR, &bumps), Ok(None));
    assert_eq!(world.verdict(NEAR, &bumps), Ok(Verdict::Wrong));
    assert_eq!(aspect(&world, "bumps", NEAR, &bumps), 1.0);

    let mut last = vec!["left".to_owned(); 6];
    last.extend(turns(&["right", "right"]));
    assert_eq!(world.verdict(NEAR, &last), Ok(Verdict::Correct));
    last.insert(0, "left".to_owned());
    assert_eq!(world.verdict(NEAR, &last), Ok(Verdict::Wrong));
    // Cut before its end.
    assert_eq!(world.verdict(NEAR, &bumps[..3]), Ok(Verdict::Wrong));
    assert_eq!(world.verdict(NEAR, &[]), Ok(Verdict::Wrong));
}

#[test]
fn a_box_in_a_corner_is_lost() {
    let world = with(SokobanConfig { shaped: true, ..SokobanConfig::default() });
    let prompt = "o o o o\no P B G\no o o o";
    assert_eq!(world.shortest(prompt), None, "one move is too few for a task");
    let prompt = "o B P o\no o o G\no o o o";
    assert_eq!(shortest(&read(prompt)), None, "on an edge without the goal");
    let lost = turns(&["right", "up", "right", "down"]);
    // The box goes down to an edge off the goal.
    assert_eq!(world.observe(NEAR, &lost[..1]).unwrap().unwrap(), "o o o o\no P B G\no o o o");
    assert_eq!(world.observe(NEAR, &lost).unwrap().unwrap(), "o o o o\no o P G\no o B o");
    let corner = [lost.clone(), turns(&["left", "down", "right"])].concat();
    assert_eq!(world.observe(NEAR, &corner).unwrap().unwrap(), "o o o o\no o o G\no o P B");
    let deadlocked = |n: usize| aspect(&world, "deadlocked", NEAR, &corner[..n]);
    assert_eq!((0..=7).map(deadlocked).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    let rewards = world.turn_rewards(NEAR, &corner).unwrap().unwrap();
    // One move nearer, two away, then more than all that could be gained.
    assert_eq!((&rewards[..3], &rewards[4..]), (&[0.5, -0.5, -0.5][..], &[0.0; 3][..]));
    // The farthest position of this board that can be solved takes seven moves, so a lost one counts eight; this one took three.
    assert_eq!(rewards[3], (3.0 - 8.0) / 2.0);
}

#[test]
fn turns_have_rewards_only_where_shaped() {
    assert_eq!(sokoban().turn_rewards(NEAR, &turns(&["right"])), Ok(None));
    let world = with(SokobanConfig { shaped: true, ..SokobanConfig::default() });
    let rewards = |words: &[&str]| world.turn_rewards(NEAR, &turns(words)).unwrap().unwrap();
    assert_eq!(rewards(&["right", "right", "right"]), [0.5, 0.5, 0.0]);
    assert_eq!(rewards(&["up", "left", "north", "right"]), [-0.5, 0.0, 0.0, 0.0]);
    assert!(rewards(&[]).is_empty());
}

#[test]
fn one_completion_is_an_episode_of_one_turn() {
    let world = with(SokobanConfig { min_moves: 1, ..SokobanConfig::default() });
    let prompt = "o o o o\no P B G\no o o o";
    let score = |text: &str| Reward::score(&world, prompt, text, Some("nothing to compare with"));
    assert_eq!([score("right"), score("left"), score("?")], [Ok(Some(1.0)), Ok(Some(0.0)), Ok(Some(0.0))]);
    assert_eq!(world.judge(prompt, "?", None), Ok(Some(Verdict::Unreadable)));
    assert_eq!(Reward::aspect(&world, "solved", prompt, "Right."), Ok(Some(1.0)));
    assert_eq!((world.name(), world.episodes().is_some()), ("sokoban", true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_world_moves_as_the_player_of_the_tests(walls in 0usize..4, task in 0usize..60, moves in prop::collection::vec(0usize..4, 1..12)) {
        let world = with(SokobanConfig { walls, tasks: 60, max_turns: 12, shaped: true, ..SokobanConfig::default() });
        let task = &world.tasks()[task];
        let (mut grid, mut taken, mut bumps) = (read(&task.prompt), Vec::new(), 0);
        for step in moves {
            taken.push(WORDS[step].to_owned());
            let next = moved(&grid, WORDS[step]);
            bumps += usize::from(next.is_none());
            let blocked = if next.is_none() { "blocked\n" } else { "" };
            grid = next.unwrap_or(grid);
            let said = world.observe(&task.prompt, &taken).unwrap();
            let over = is_solved(&grid) || taken.len() == 12;
            prop_assert_eq!(said, (!over).then(|| format!("{blocked}{}", written(&grid))));
            let lost = if shortest(&grid).is_none() { 1.0 } else { 0.0 };
            prop_assert_eq!(aspect(&world, "deadlocked", &task.prompt, &taken), lost);
            prop_assert_eq!(aspect(&world, "bumps", &task.prompt, &taken), bumps as f64 / taken.len() as f64);
            let rewards = world.turn_rewards(&task.prompt, &taken).unwrap().unwrap();
            let gained: f64 = rewards.iter().sum();
            match shortest(&grid) {
                Some(left) => {
                    let optimal = world.shortest(&task.prompt).unwrap() as f64;
                    prop_assert!((gained - (1.0 - left as f64 / optimal)).abs() < 1e-9, "{:?}", rewards);
                }
                None => prop_assert!(gained < 1.0),
            }
            if is_solved(&grid) {
                break;
            }
        }
        let solved = world.verdict(&task.prompt, &taken).unwrap() == Verdict::Correct;
        prop_assert_eq!(solved, is_solved(&grid));
    }
}
