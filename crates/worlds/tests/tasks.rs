//! The tasks of the world of arithmetic: truths, wordings, splits and settings.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use tropism_data::record::Text;
use tropism_rewards::number;
use tropism_worlds::{Arithmetic, ArithmeticConfig, Operation, Task, Template, WorldError};

fn full(max_operand: i64) -> Arithmetic {
    Arithmetic::new(ArithmeticConfig {
        max_operand,
        operations: vec![Operation::Plus, Operation::Minus, Operation::Times],
        negative_results: true,
        ..ArithmeticConfig::default()
    })
    .unwrap()
}

/// A number below a hundred read by a table of this test's own.
fn small_number(word: &str) -> Option<i64> {
    let ones = "zero one two three four five six seven eight nine ten eleven twelve thirteen \
                fourteen fifteen sixteen seventeen eighteen nineteen";
    let tens = "twenty thirty forty fifty sixty seventy eighty ninety";
    let index = |names: &str, name: &str| names.split(' ').position(|known| known == name);
    let (ten, one) = word.split_once('-').unwrap_or((word, "zero"));
    if let Some(value) = index(ones, word) {
        return Some(value as i64);
    }
    Some((index(tens, ten)? as i64 + 2) * 10 + index(ones, one)? as i64)
}

/// The truth of a prompt from its text alone.
fn solve(prompt: &str) -> i64 {
    let words: Vec<String> = prompt
        .split(|char: char| !(char.is_alphabetic() || char == '-'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let numbers: Vec<i64> = words.iter().filter_map(|word| small_number(word)).collect();
    let [left, right] = numbers[..] else {
        panic!("not two numbers in {prompt:?}: {numbers:?}");
    };
    let has = |word: &str| words.iter().any(|known| known == word);
    if has("plus") || has("gets") {
        left + right
    } else if has("minus") || has("away") {
        left - right
    } else {
        assert!(has("times") || has("box") || has("boxes"), "{prompt:?}");
        left * right
    }
}

#[test]
fn every_truth_follows_from_the_prompt() {
    for world in [full(1), full(12), full(99)] {
        for task in world.tasks() {
            assert_eq!(solve(&task.prompt), task.truth, "{}", task.prompt);
            assert_eq!(task.operation.apply(task.left, task.right), task.truth);
        }
    }
}

#[test]
fn known_prompts() {
    let world = full(7);
    let known = [
        ("What is seven plus five?", 12),
        ("Please work out five minus seven.", -2),
        ("There is one box with one book in it. How many books are there?", 1),
    ];
    for (prompt, truth) in known {
        let task = world.task_of(prompt);
        assert_eq!(task.map(|task| task.truth), Some(truth), "{prompt}");
    }
    assert_eq!(world.task_of("What is seven plus fifty?"), None);
    assert_eq!(world.task_of(""), None);
}

#[test]
fn prompts_are_distinct_and_found_again() {
    let world = full(20);
    assert_eq!(world.tasks().len(), 3 * 400 + (400 + 400 + 210) + 3 * 400);
    let prompts: BTreeSet<_> = world.tasks().iter().map(|task| &task.prompt).collect();
    assert_eq!(prompts.len(), world.tasks().len());
    for (index, task) in world.tasks().iter().enumerate() {
        assert_eq!(task.id, index);
        assert_eq!(world.task_of(&task.prompt), Some(task));
        assert_eq!(world.task_of(&format!(" {}\n", task.prompt)), Some(task));
        let Text::Chat(messages) = task.conversation() else {
            panic!("not a conversation");
        };
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].role.as_str(), &messages[0].content), ("user", &task.prompt));
    }
}

#[test]
fn singular_and_plural() {
    for task in full(12).tasks() {
        let words: Vec<_> = task.prompt.split(' ').collect();
        for pair in words.windows(2) {
            let thing = ["apple", "coin", "pen", "book"].iter().any(|thing| pair[1].starts_with(thing));
            if thing && pair[0] != "many" {
                assert_eq!(pair[0] == "one", !pair[1].ends_with('s'), "{}", task.prompt);
            }
        }
    }
}

#[test]
fn negative_results_only_on_demand_and_never_in_stories() {
    assert!(full(9).tasks().iter().any(|task| task.truth < 0));
    let stories = |task: &&Task| task.template == Template::Story;
    assert!(full(9).tasks().iter().filter(stories).all(|task| task.truth >= 0));
    let default = Arithmetic::new(ArithmeticConfig::default()).unwrap();
    assert!(default.tasks().iter().all(|task| task.truth >= 0));
    assert_eq!(default.tasks().len(), 3 * (81 + 45));
}

#[test]
fn the_order_of_lists_in_the_settings_means_nothing() {
    let mut config = ArithmeticConfig::default();
    let one = Arithmetic::new(config.clone()).unwrap();
    config.operations.reverse();
    config.templates.reverse();
    let other = Arithmetic::new(config).unwrap();
    assert_eq!(one.tasks(), other.tasks());
}

#[test]
fn number_words_round_trip() {
    for value in -999..=9999 {
        let text = number::words(value).unwrap();
        assert_eq!(number::parse(&text), Some(value), "{text}");
    }
    for value in 0..100 {
        assert_eq!(small_number(&number::words(value).unwrap()), Some(value));
    }
}

#[test]
fn impossible_splits_are_errors() {
    let world = Arithmetic::new(ArithmeticConfig::default()).unwrap();
    for fraction in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
        let error = world.split(fraction, 1).unwrap_err();
        assert!(error.to_string().contains("test_fraction"), "{error}");
    }
    for fraction in [1e-9, 0.9999] {
        let error = world.split(fraction, 1).unwrap_err();
        assert!(matches!(error, WorldError::EmptySide { tasks: 378, .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn splits_share_no_prompt_and_lose_none(fraction in 0.01f64..0.99, seed in any::<u64>()) {
        let world = Arithmetic::new(ArithmeticConfig::default()).unwrap();
        let (train, test) = world.split(fraction, seed).unwrap();
        let expected = (fraction * world.tasks().len() as f64).round() as usize;
        prop_assert_eq!(test.len(), expected);
        let mut all: Vec<_> = train.iter().chain(&test).cloned().collect();
        all.sort_by_key(|task| task.id);
        prop_assert_eq!(&all[..], world.tasks());
        prop_assert_eq!(world.split(fraction, seed).unwrap(), (train, test));
    }
}

#[test]
fn splits_depend_on_the_seed_and_mix_the_tasks() {
    let world = Arithmetic::new(ArithmeticConfig::default()).unwrap();
    let (_, one) = world.split(0.2, 1).unwrap();
    let (_, other) = world.split(0.2, 2).unwrap();
    assert_ne!(one, other);
    for template in [Template::Question, Template::Request, Template::Story] {
        assert!(one.iter().filter(|task| task.template == template).count() > 10);
    }
}

#[test]
fn chains_have_three_difficulties_and_answers_of_variable_length() {
    use tropism_rewards::{Reward, Verdict, length::words};
    use tropism_worlds::{AnswerKind, Chains, Difficulty};

    let chains = Some(Chains { operands: [2, 3, 5], tasks: 100 });
    let world = Arithmetic::new(ArithmeticConfig { chains, ..ArithmeticConfig::default() }).unwrap();
    assert_eq!(world.tasks().len(), 300);
    for (difficulty, operands) in Difficulty::ALL.into_iter().zip([2, 3, 5]) {
        let tasks: Vec<&Task> = world.tasks().iter().filter(|t| t.difficulty == Some(difficulty)).collect();
        assert_eq!(tasks.len(), 100);
        for task in tasks {
            let numbers = tropism_rewards::number::stated(&task.prompt);
            assert_eq!(numbers.len(), operands, "{}", task.prompt);
            let (mut value, mut low) = (task.operation.apply(task.left, task.right), 0);
            for step in &task.rest {
                low = low.min(value);
                value = step.operation.apply(value, step.operand);
            }
            assert_eq!((value, low.min(value)), (task.truth, 0), "{}", task.prompt);
            let length = |kind, wording| words(&task.answer(kind, task.truth, wording));
            let reasoned = length(AnswerKind::Reasoned, 0);
            assert!((0..3).all(|w| length(AnswerKind::Checked, w) > (1 + w) * reasoned));
            for (value, verdict) in [(task.truth, Verdict::Correct), (task.truth + 2, Verdict::Wrong)] {
                for kind in [AnswerKind::Terse, AnswerKind::Sentence, AnswerKind::Reasoned, AnswerKind::Checked] {
                    let answer = task.answer(kind, value, 1);
                    assert_eq!(world.judge(&task.prompt, &answer, None), Ok(Some(verdict)), "{answer}");
                }
            }
        }
    }
    let task = world.tasks().iter().find(|t| t.rest.len() == 1).unwrap();
    let steps = task.answer(AnswerKind::Reasoned, task.truth, 0);
    assert_eq!(steps.matches(". ").count(), 2, "{steps}");
    assert_eq!(world.task_of(&task.prompt), Some(task));
}

#[test]
fn settings_of_chains_are_checked() {
    use tropism_worlds::Chains;

    let said = |change: fn(&mut ArithmeticConfig)| {
        let mut config = ArithmeticConfig { chains: Some(Chains::default()), ..ArithmeticConfig::default() };
        change(&mut config);
        Arithmetic::new(config).unwrap_err().to_string()
    };
    assert!(said(|c| c.operations = vec![Operation::Times]).contains("`operations`"));
    assert!(said(|c| c.negative_results = true).contains("`negative_results`"));
    assert!(said(|c| c.chains = Some(Chains { operands: [3, 2, 4], tasks: 5 })).contains("`chains.operands`"));
    assert!(said(|c| c.chains = Some(Chains { operands: [2, 3, 4], tasks: 0 })).contains("`chains.tasks`"));
}

#[test]
fn chains_ask_no_question_twice() {
    use tropism_worlds::Chains;

    // so few operands that the same draws come again
    let config = ArithmeticConfig { max_operand: 3, chains: Some(Chains::default()), ..ArithmeticConfig::default() };
    let world = Arithmetic::new(config).unwrap();
    let prompts: BTreeSet<&str> = world.tasks().iter().map(|t| t.prompt.as_str()).collect();
    assert_eq!(prompts.len(), world.tasks().len());
    assert!(world.tasks().len() < 3 * Chains::default().tasks);
}
