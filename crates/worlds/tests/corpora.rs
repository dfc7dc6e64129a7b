//! Corpora, rated answers and preference pairs.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tropism_data::record::{Pair, Text};
use tropism_rewards::Verdict;
use tropism_worlds::{AnswerKind, Arithmetic, ArithmeticConfig, Mix, Task, WorldError};

fn world() -> Arithmetic {
    Arithmetic::new(ArithmeticConfig::default()).unwrap()
}

fn with_mix(mix: Mix) -> Arithmetic {
    Arithmetic::new(ArithmeticConfig { mix, ..ArithmeticConfig::default() }).unwrap()
}

const NOTHING: Mix = Mix {
    terse: 0.0,
    sentence: 0.0,
    polite: 0.0,
    hedging: 0.0,
    rambling: 0.0,
    evasive: 0.0,
    reasoned: 0.0,
    checked: 0.0,
    courteous: 0.0,
    wrong: 0.0,
};

fn content<'a>(text: &'a Text, role: &str) -> &'a str {
    let Text::Chat(messages) = text else {
        panic!("not a conversation: {text:?}");
    };
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].role, role);
    &messages[0].content
}

/// Reward of chosen less that of rejected.
fn gap(world: &Arithmetic, pair: &Pair) -> f64 {
    let task = world.task_of(content(&pair.prompt, "user")).unwrap();
    let reward = |text| world.reward(task, content(text, "assistant")).total;
    reward(&pair.chosen) - reward(&pair.rejected)
}

#[test]
fn corpora_name_their_rows_and_use_only_the_given_tasks() {
    let world = world();
    let (train, _) = world.split(0.3, 1).unwrap();
    let corpus = world.sft(&train, 1000, 4).unwrap();
    assert_eq!(corpus.len(), 1000);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, sample) in corpus.iter().enumerate() {
        assert_eq!(&*sample.source.file, "world:arithmetic");
        assert_eq!((sample.source.row, sample.source.line), (index + 1, None));
        assert!(!content(&sample.completion, "assistant").is_empty());
        *counts.entry(content(&sample.prompt, "user")).or_default() += 1;
    }
    assert_eq!(counts.len(), train.len());
    assert!(train.iter().all(|task| counts.contains_key(task.prompt.as_str())));
    // 1000 draws of 265 tasks: three or four of each.
    assert!(counts.values().all(|count| (3..=4).contains(count)), "{counts:?}");
}

#[test]
fn rated_answers_follow_the_mix() {
    let world = world();
    let rated = world.rated(world.tasks(), 60, 9).unwrap();
    assert_eq!(rated.len(), 60 * 378);
    let total = rated.len() as f64;
    let share = |kind| rated.iter().filter(|one| one.kind == kind).count() as f64 / total;
    let expected = [0.10, 0.30, 0.10, 0.15, 0.25, 0.10];
    for (kind, expected) in AnswerKind::ALL.into_iter().zip(expected) {
        assert!((share(kind) - expected).abs() < 0.015, "{kind:?}: {}", share(kind));
    }
    let stating: Vec<_> = rated.iter().filter(|one| one.kind.states_a_number()).collect();
    let wrong = stating.iter().filter(|one| one.reward.correct == Verdict::Wrong).count();
    let wrong = wrong as f64 / stating.len() as f64;
    assert!((wrong - 0.25).abs() < 0.015, "{wrong}");
    for (index, one) in rated.iter().enumerate() {
        assert_eq!(one.task, world.tasks()[index / 60]);
        assert_eq!(one.reward, world.reward(&one.task, &one.answer));
        assert_eq!(one.reward.correct == Verdict::Unreadable, one.kind == AnswerKind::Evasive);
    }
}

#[test]
fn near_misses_are_near_and_not_negative() {
    let world = with_mix(Mix { terse: 1.0, wrong: 1.0, ..NOTHING });
    let mut offsets = BTreeMap::new();
    for one in world.rated(world.tasks(), 20, 3).unwrap() {
        let stated = tropism_rewards::number::parse(one.answer.trim_end_matches('.').to_lowercase().as_str());
        let stated = stated.unwrap();
        assert!(stated >= 0 && stated != one.task.truth);
        *offsets.entry(stated - one.task.truth).or_insert(0) += 1;
    }
    assert_eq!(offsets.keys().copied().collect::<Vec<_>>(), [-2, -1, 1, 2]);
}

#[test]
fn chosen_has_the_higher_reward_and_none_tie() {
    let world = world();
    for pair in world.pairs(world.tasks(), 3000, 0.0, 5).unwrap() {
        assert!(gap(&world, &pair) > 1e-9, "{pair:?}");
        assert_ne!(pair.chosen, pair.rejected);
    }
    for pair in world.pairs(world.tasks(), 500, 1.0, 5).unwrap() {
        assert!(gap(&world, &pair) < -1e-9, "{pair:?}");
    }
}

#[test]
fn the_share_of_swapped_pairs_is_the_noise() {
    let world = world();
    for noise in [0.05, 0.2, 0.5] {
        let pairs = world.pairs(world.tasks(), 20_000, noise, 11).unwrap();
        let swapped = pairs.iter().filter(|pair| gap(&world, pair) < 0.0).count();
        let share = swapped as f64 / 20_000.0;
        // Five standard deviations.
        let most = 5.0 * (noise * (1.0 - noise) / 20_000.0f64).sqrt();
        assert!((share - noise).abs() < most, "{share} for {noise}");
    }
}

#[test]
fn noise_changes_nothing_but_the_order_of_sides() {
    let world = world();
    let swapped = |noise| world.pairs(world.tasks(), 2000, noise, 11).unwrap();
    let (clean, some, more) = (swapped(0.0), swapped(0.1), swapped(0.3));
    for index in 0..clean.len() {
        let is_swapped = |pair: &Pair| {
            let same = pair.chosen == clean[index].chosen && pair.rejected == clean[index].rejected;
            let turned = pair.chosen == clean[index].rejected && pair.rejected == clean[index].chosen;
            assert!(same != turned && pair.prompt == clean[index].prompt);
            turned
        };
        assert!(!is_swapped(&some[index]) || is_swapped(&more[index]));
    }
}

#[test]
fn the_seed_decides_everything() {
    let (world, again) = (world(), world());
    let tasks = world.tasks();
    assert_eq!(world.sft(tasks, 300, 1), again.sft(tasks, 300, 1));
    assert_ne!(world.sft(tasks, 300, 1), world.sft(tasks, 300, 2));
    assert_eq!(world.pairs(tasks, 300, 0.1, 1), again.pairs(tasks, 300, 0.1, 1));
    assert_ne!(world.pairs(tasks, 300, 0.1, 1), world.pairs(tasks, 300, 0.1, 2));
    assert_eq!(world.rated(tasks, 2, 1), again.rated(tasks, 2, 1));
    assert_ne!(world.rated(tasks, 2, 1), world.rated(tasks, 2, 2));
}

#[test]
fn a_longer_corpus_begins_with_the_prompts_of_a_shorter_one() {
    let world = world();
    let tasks = &world.tasks()[..50];
    let long = world.sft(tasks, 150, 1).unwrap();
    let short = world.sft(tasks, 100, 1).unwrap();
    for (one, other) in short.iter().zip(&long) {
        assert_eq!(one.prompt, other.prompt);
    }
}

#[test]
fn a_mix_without_contrast_is_an_error() {
    let only_evasive = Mix { evasive: 1.0, ..NOTHING };
    let always_right = Mix { terse: 1.0, ..NOTHING };
    let always_wrong = Mix { terse: 1.0, wrong: 1.0, ..NOTHING };
    for mix in [always_right, always_wrong] {
        let world = with_mix(mix);
        let error = world.pairs(world.tasks(), 3, 0.0, 1).unwrap_err();
        assert!(matches!(error, WorldError::NoContrast { .. }), "{error}");
        assert_eq!(world.pairs(world.tasks(), 0, 0.0, 1), Ok(Vec::new()));
        assert_eq!(world.sft(world.tasks(), 3, 1).unwrap().len(), 3);
    }
    // Evasive answers differ in length.
    let world = with_mix(only_evasive);
    assert!(world.pairs(world.tasks(), 50, 0.0, 1).is_ok());
}

#[test]
fn no_tasks_and_bad_noise_are_errors() {
    let world = world();
    let none = WorldError::NoTasks { world: "arithmetic" };
    assert_eq!(world.sft(&[], 3, 1).unwrap_err(), none);
    assert_eq!(world.rated(&[], 3, 1).unwrap_err(), none);
    assert_eq!(world.pairs(&[], 3, 0.1, 1).unwrap_err(), none);
    for noise in [-0.1, 1.1, f64::NAN] {
        let error = world.pairs(world.tasks(), 3, noise, 1).unwrap_err();
        assert!(error.to_string().contains("`noise`"), "{error}");
    }
    assert_eq!(world.sft(world.tasks(), 0, 1), Ok(Vec::new()));
    assert_eq!(world.rated(world.tasks(), 0, 1), Ok(Vec::new()));
}

#[test]
fn one_task_is_enough() {
    let world = world();
    let one = &world.tasks()[..1];
    assert_eq!(world.sft(one, 10, 1).unwrap().len(), 10);
    assert_eq!(world.pairs(one, 10, 0.5, 1).unwrap().len(), 10);
}

proptest! {
    #[test]
    fn tasks_made_by_hand_are_answered(truth in any::<i64>(), seed in any::<u64>()) {
        let world = world();
        let task = Task { truth, left: truth, right: -1, ..world.tasks()[0].clone() };
        prop_assert_eq!(world.sft(std::slice::from_ref(&task), 3, seed).unwrap().len(), 3);
        prop_assert!(world.rated(&[task], 3, seed).is_ok());
    }
}
