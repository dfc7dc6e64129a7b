//! The exact reward of answers.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tropism_rewards::{Reward, Verdict};
use tropism_worlds::{ASPECTS, AnswerKind, Arithmetic, ArithmeticConfig, Chains, Operation, RewardConfig, Task};

fn world() -> Arithmetic {
    Arithmetic::new(ArithmeticConfig {
        operations: vec![Operation::Plus, Operation::Minus, Operation::Times],
        ..ArithmeticConfig::default()
    })
    .unwrap()
}

fn seven_plus_five(world: &Arithmetic) -> Task {
    world.task_of("What is seven plus five?").unwrap().clone()
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-12
}

#[test]
fn worked_examples() {
    let world = world();
    let task = seven_plus_five(&world);
    let cases = [
        ("Twelve.", Verdict::Correct, 1.0, 0.0, 0.05),
        ("12", Verdict::Correct, 1.0, 0.0, 0.0),
        ("Twelve...", Verdict::Correct, 1.0, 0.0, 0.0),
        ("Twelve. \n", Verdict::Correct, 1.0, 0.0, 0.05),
        ("Seven plus five is twelve.", Verdict::Correct, 1.0, 0.0, 0.05),
        ("I think it might be twelve.", Verdict::Correct, 1.0, 0.0, -0.05),
        ("Thank you for asking! The answer is twelve.", Verdict::Correct, 1.0, -0.06, 0.05),
        ("Maybe MAYBE perhaps probably guess twelve.", Verdict::Correct, 1.0, 0.0, -0.10),
        ("Thirteen.", Verdict::Wrong, 0.0, 0.0, 0.05),
        ("Twelve, no, thirteen", Verdict::Wrong, 0.0, 0.0, 0.0),
        ("I do not know.", Verdict::Unreadable, -0.1, 0.0, 0.05),
        ("", Verdict::Unreadable, -0.1, 0.0, 0.0),
    ];
    for (answer, verdict, correctness, length, style) in cases {
        let parts = world.reward(&task, answer);
        assert_eq!(parts.correct, verdict, "{answer:?}");
        assert!(close(parts.correctness, correctness), "{answer:?}: {parts:?}");
        assert!(close(parts.length, length), "{answer:?}: {parts:?}");
        assert!(close(parts.style, style), "{answer:?}: {parts:?}");
        assert!(close(parts.total, correctness + length + style), "{answer:?}: {parts:?}");
    }
}

#[test]
fn better_answers_have_higher_rewards() {
    let world = world();
    let garbage = ["", "qx zz ##", "....", "\u{fffd}\u{fffd}", "plus plus plus"];
    for task in world.tasks() {
        let total = |kind, value, wording| world.reward(task, &task.answer(kind, value, wording)).total;
        for wording in 0..3 {
            let terse = total(AnswerKind::Terse, task.truth, wording);
            let sentence = total(AnswerKind::Sentence, task.truth, wording);
            let polite = total(AnswerKind::Polite, task.truth, wording);
            let hedging = total(AnswerKind::Hedging, task.truth, wording);
            let rambling = total(AnswerKind::Rambling, task.truth, wording);
            let wrong = total(AnswerKind::Sentence, task.truth + 1, wording);
            let evasive = total(AnswerKind::Evasive, task.truth, wording);
            assert!(close(terse, 1.05) && close(sentence, 1.05), "{}", task.prompt);
            assert!(sentence >= polite && polite > rambling, "{}", task.prompt);
            assert!(sentence > hedging && hedging > rambling, "{}", task.prompt);
            assert!(rambling > wrong && wrong > evasive, "{}", task.prompt);
            for text in garbage {
                assert!(wrong > world.reward(task, text).total, "{text:?}");
            }
        }
    }
}

#[test]
fn every_answer_states_the_value_it_was_made_from() {
    let world = world();
    for task in world.tasks() {
        for kind in AnswerKind::ALL {
            for wording in 0..kind.wordings() {
                let right = world.reward(task, &task.answer(kind, task.truth, wording));
                let wrong = world.reward(task, &task.answer(kind, task.truth + 1, wording));
                let expected = match kind.states_a_number() {
                    true => (Verdict::Correct, Verdict::Wrong),
                    false => (Verdict::Unreadable, Verdict::Unreadable),
                };
                assert_eq!((right.correct, wrong.correct), expected, "{} {kind:?}", task.prompt);
                let text = task.answer(kind, task.truth, wording);
                assert!(text.starts_with(char::is_uppercase), "{text}");
                assert_eq!(text, task.answer(kind, task.truth, wording + kind.wordings()));
            }
        }
    }
}

#[test]
fn wordings_of_a_kind_differ() {
    let world = world();
    let task = seven_plus_five(&world);
    for kind in AnswerKind::ALL {
        let texts: std::collections::BTreeSet<_> =
            (0..kind.wordings()).map(|wording| task.answer(kind, 12, wording)).collect();
        assert_eq!(texts.len(), kind.wordings(), "{kind:?}");
    }
}

#[test]
fn the_world_is_a_reward_function() {
    let world = world();
    let prompt = "What is seven plus five?";
    let score = |prompt, truth| world.score(prompt, "Twelve.", truth);
    assert_eq!(world.name(), "arithmetic");
    assert_eq!(score(prompt, None), Ok(Some(1.05)));
    assert_eq!(score("Unheard of", None), Ok(None));
    assert_eq!(score("Unheard of", Some("twelve")), Ok(Some(1.05)));
    assert_eq!(score(prompt, Some("13")), Ok(Some(0.05)));
    let message = score(prompt, Some("dunno")).unwrap_err().to_string();
    assert!(message.contains("dunno") && message.contains("`arithmetic`"), "{message}");
}

#[test]
fn the_range_is_reached_and_reported() {
    let world = world();
    let task = seven_plus_five(&world);
    let (low, high) = world.reward_range();
    assert!(close(low, -0.65) && close(high, 1.05));
    assert_eq!(world.reward(&task, "Twelve.").total, high);
    assert_eq!(world.reward(&task, &"maybe ".repeat(30)).total, low);
}

/// Sizes under which correctness dominates.
fn sizes() -> impl Strategy<Value = RewardConfig> {
    ((0.0f64..1.0, 0usize..12, 0.0f64..0.2, 0.0f64..0.5), (0.0f64..0.1, 0usize..5, 0.0f64..0.1, 0.01f64..1.0)).prop_map(
        |(first, second)| {
            let (unreadable, target_words, per_word, most_length) = first;
            let (per_hedge, most_hedges, full_stop, above) = second;
            let others = most_length + per_hedge * most_hedges as f64 + full_stop;
            RewardConfig {
                correct: others + above,
                unreadable,
                target_words,
                per_word,
                most_length,
                per_hedge,
                most_hedges,
                full_stop,
            }
        },
    )
}

/// Any text, and texts of pieces that matter to the reward.
fn texts() -> impl Strategy<Value = String> {
    let pieces = vec![
        "twelve",
        "thirteen",
        "12",
        "maybe",
        "I think",
        "guess",
        ".",
        "..",
        " ",
        "\n",
        "minus",
        "and",
        "é",
        "The answer is",
        "perhaps",
        "0",
        "word word word word word word",
    ];
    prop_oneof!["\\PC*", prop::collection::vec(prop::sample::select(pieces), 0..30).prop_map(|parts| parts.join(" ")),]
}

proptest! {
    #[test]
    fn rewards_are_bounded_and_correctness_dominates(
        reward in sizes(),
        text in texts(),
        other in texts(),
    ) {
        let world = Arithmetic::new(ArithmeticConfig { reward, ..ArithmeticConfig::default() }).unwrap();
        let task = seven_plus_five(&world);
        let (low, high) = world.reward_range();
        let one = world.reward(&task, &text);
        prop_assert!((low..=high).contains(&one.total), "{:?} outside {}..{}", one, low, high);
        prop_assert!(one.length <= 0.0);
        prop_assert_eq!(one, world.reward(&task, &text));
        let other = world.reward(&task, &other);
        if one.correct == Verdict::Correct && other.correct != Verdict::Correct {
            prop_assert!(one.total > other.total, "{:?} {:?}", one, other);
        }
    }
}

#[test]
fn very_long_answers_are_judged_by_their_beginning() {
    let world = world();
    let task = seven_plus_five(&world);
    let text = format!("Twelve. {} thirteen", "la ".repeat(1_000_000));
    let parts = world.reward(&task, &text);
    assert_eq!(parts.correct, Verdict::Correct);
    assert!(close(parts.length, -0.4));
}

#[test]
fn aspects_by_hand_and_by_kind() {
    let world = world();
    let task = seven_plus_five(&world);
    let scores = |text: &str| world.aspects(&task, text).scores();
    let cases = [
        ("Twelve.", [1.0, 1.0, 0.0, 0.0]),
        ("", [0.0, 1.0, 0.0, 0.0]),
        ("Seven plus five is twelve.", [1.0, 1.0 - 2.0 / 37.0, 0.0, 1.0]),
        ("SEVEN PLUS FIVE IS TWELVE", [1.0, 1.0 - 2.0 / 37.0, 0.0, 1.0]),
        ("Seven plus five is thirteen.", [0.0, 1.0 - 2.0 / 37.0, 0.0, 0.0]),
        ("Seven plus five is twelvefold, so twelve.", [1.0, 1.0 - 4.0 / 37.0, 0.0, 0.0]),
        ("Twelve, please.", [1.0, 1.0, 0.5, 0.0]),
        ("Please please, my friend, thank you: twelve", [1.0, 1.0 - 4.0 / 37.0, 1.0, 0.0]),
    ];
    for (text, expected) in cases {
        assert!(scores(text).iter().zip(expected).all(|(a, b)| close(*a, b)), "{text:?}: {:?}", scores(text));
    }
    assert_eq!(scores(&"so ".repeat(40)), [0.0, 0.0, 0.0, 0.0]);
    // no answer of the corpus is best in all respects
    for kind in AnswerKind::ALL {
        let own = scores(&task.answer(kind, 12, 0));
        assert!(own.iter().sum::<f64>() < 3.9, "{kind:?}: {own:?}");
    }
    let courteous = scores(&task.answer(AnswerKind::Courteous, 12, 0));
    assert!(courteous[0] == 1.0 && courteous[2] == 1.0 && courteous[3] == 1.0 && courteous[1] < 0.7, "{courteous:?}");
}

#[test]
fn steps_are_counted_in_their_order() {
    let chains = Chains { operands: [3, 3, 3], tasks: 40 };
    let config = ArithmeticConfig { chains: Some(chains), ..ArithmeticConfig::default() };
    let world = Arithmetic::new(config).unwrap();
    for task in world.tasks() {
        let whole = task.answer(AnswerKind::Reasoned, task.truth, 0);
        assert_eq!(world.aspects(task, &whole).steps, 1.0, "{whole}");
        let (first, rest) = whole.split_once(". ").unwrap();
        assert_eq!(world.aspects(task, first).steps, 0.5, "{whole}");
        let second = rest.split_once(". ").unwrap().0;
        assert!(second == first || world.aspects(task, &format!("{second}. {first}.")).steps == 0.5, "{whole}");
        let wrong = task.answer(AnswerKind::Reasoned, task.truth + 1, 0);
        assert!(world.aspects(task, &wrong).steps < 1.0 && world.aspects(task, &wrong).correct == 0.0);
        let asked = world.aspect("steps", &task.prompt, &whole).unwrap();
        assert_eq!((asked, world.aspect("loud", &task.prompt, &whole).unwrap()), (Some(1.0), None));
    }
    assert_eq!(Reward::aspects(&world), ASPECTS);
}
