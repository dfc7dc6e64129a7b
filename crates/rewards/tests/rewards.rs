//! Verifiers, the length penalty and weighted sums.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tropism_rewards::combine::{Part, weighted_sum};
use tropism_rewards::length::{characters, words};
use tropism_rewards::{
    Combined, Exact, JUDGED_CHARACTERS, LengthPenalty, Numeric, Reward, RewardError, ShortAnswer, Unit, Verdict, Which,
    normalized, word_f1,
};

/// A reward that always says the same.
struct Fixed(&'static str, Option<f64>);

impl Reward for Fixed {
    fn name(&self) -> &str {
        self.0
    }

    fn score(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<f64>, RewardError> {
        Ok(self.1)
    }
}

#[test]
fn numeric_verdicts() {
    let last = Numeric::default();
    let first = Numeric { which: Which::First };
    let cases = [
        ("Twelve.", Verdict::Correct, Verdict::Correct),
        ("Seven plus five is twelve.", Verdict::Correct, Verdict::Wrong),
        ("12, because 7 + 5", Verdict::Wrong, Verdict::Correct),
        ("12.5", Verdict::Wrong, Verdict::Wrong),
        ("I do not know.", Verdict::Unreadable, Verdict::Unreadable),
        ("", Verdict::Unreadable, Verdict::Unreadable),
    ];
    for (answer, by_last, by_first) in cases {
        assert_eq!(last.verdict(answer, 12), by_last, "{answer:?}");
        assert_eq!(first.verdict(answer, 12), by_first, "{answer:?}");
    }
}

#[test]
fn numeric_reads_its_truth() {
    let numeric = Numeric::default();
    assert_eq!(numeric.score("", "It is 12.", Some("twelve")), Ok(Some(1.0)));
    assert_eq!(numeric.score("", "It is 13.", Some(" 12 ")), Ok(Some(0.0)));
    assert_eq!(numeric.score("", "Pardon?", Some("12")), Ok(Some(0.0)));
    assert_eq!(numeric.score("", "It is 12.", None), Ok(None));
    let error = numeric.score("", "12", Some(&"soon ".repeat(50))).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("`numeric`") && message.contains("soon"), "{message}");
    assert!(message.len() < 250, "{message}");
}

#[test]
fn exact_verdicts() {
    let exact = Exact::default();
    assert_eq!(exact.verdict(" New \n York ", "New York"), Verdict::Correct);
    assert_eq!(exact.verdict("New York!", "New York"), Verdict::Wrong);
    assert_eq!(exact.verdict("New", "New York"), Verdict::Wrong);
    assert_eq!(exact.verdict(" ", "New York"), Verdict::Unreadable);
    assert_eq!(exact.verdict("", ""), Verdict::Correct);
    assert_eq!(exact.verdict("ÉTÉ", "été"), Verdict::Wrong);
    assert_eq!(Exact { ignore_case: true }.verdict("ÉTÉ", "été"), Verdict::Correct);
    assert_eq!(exact.score("", "a", Some("a")), Ok(Some(1.0)));
    assert_eq!(exact.score("", "a", None), Ok(None));
    let long = "a".repeat(JUDGED_CHARACTERS);
    assert_eq!(exact.verdict(&long, &long), Verdict::Correct);
    assert_eq!(exact.verdict(&format!("{long}b"), &long), Verdict::Wrong);
}

#[test]
fn short_answers() {
    let short = ShortAnswer::default();
    assert_eq!(short.verdict("", "Paris"), Some(Verdict::Unreadable));
    assert_eq!(short.verdict("the...", "Paris"), Some(Verdict::Unreadable));
    assert_eq!(short.verdict("Paris is it", "Paris"), Some(Verdict::Wrong));
    assert_eq!(short.verdict("Paris", " \nthe\n"), None);
    assert_eq!(short.score("", "paris", Some("Paris")), Ok(Some(1.0)));
    assert_eq!(short.score("", "paris", None), Ok(None));
    let message = short.score("", "paris", Some("?!")).unwrap_err().to_string();
    assert!(message.contains("short_answer") && message.contains("names with a word"), "{message}");
    let bars = ShortAnswer { separator: "|".to_owned() };
    assert_eq!(bars.verdict("big apple", "New York|The Big Apple"), Some(Verdict::Correct));
    assert_eq!(short.verdict("big apple", "New York|The Big Apple"), Some(Verdict::Wrong));
    assert_eq!(ShortAnswer { separator: String::new() }.verdict("ab", "a\nb"), Some(Verdict::Wrong));
    let long = "a".repeat(JUDGED_CHARACTERS);
    assert_eq!(short.verdict(&long, &long), Some(Verdict::Correct));
    assert_eq!(short.verdict(&format!("{long}b"), &long), Some(Verdict::Wrong));
    // Each word counts as often as both have it: 1 of 2 said, 1 of 3 wanted.
    let of = |p: f64, r: f64| 2.0 * p * r / (p + r);
    assert_eq!(word_f1("york york", "New York City"), of(0.5, 1.0 / 3.0));
    assert_eq!((word_f1("", "x"), word_f1("the", "."), word_f1("x", "y")), (0.0, 1.0, 0.0));
    assert_eq!(short.f1("new york", "NYC\nNew York City"), Some(of(1.0, 2.0 / 3.0)));
    // Texts without end are read up to the limit.
    for part in ["the ", "!", "paris ", "é", "\u{130}", "\n"] {
        let text = part.repeat(2_000_000);
        assert_ne!(short.verdict(&text, "Paris").unwrap(), Verdict::Correct, "{part}");
        assert!((0.0..1.0).contains(&word_f1(&text, "Paris")), "{part}");
    }
}

#[test]
fn lengths() {
    assert_eq!(words(""), 0);
    assert_eq!(words("  a\tb\u{a0}c  "), 3);
    assert_eq!(words(&"x".repeat(16)), 1);
    assert_eq!(words(&"x".repeat(17)), 2);
    assert_eq!(words(&"é".repeat(33)), 3);
    assert_eq!(words(&"x ".repeat(JUDGED_CHARACTERS)), JUDGED_CHARACTERS / 2);
    assert_eq!(characters(" été "), 3);
    assert_eq!(characters(&"é".repeat(2 * JUDGED_CHARACTERS)), JUDGED_CHARACTERS);
}

#[test]
fn length_penalty_by_characters() {
    let penalty = LengthPenalty { unit: Unit::Characters, target: 3, slope: 0.5, floor: -2.0 };
    let found: Vec<_> = ["", "abc", "abcd", "abcdefg", "abcdefghij"].map(|text| penalty.penalty(text)).to_vec();
    assert_eq!(found, [0.0, 0.0, -0.5, -2.0, -2.0]);
    assert!(penalty.penalty("").is_sign_positive());
    assert_eq!(penalty.score("", "abcd", None), Ok(Some(-0.5)));
}

#[test]
fn length_penalty_checks_its_settings() {
    let base = LengthPenalty::default();
    base.check().unwrap();
    let bad = [
        (LengthPenalty { slope: -0.1, ..base.clone() }, "slope", "-0.1"),
        (LengthPenalty { slope: f64::NAN, ..base.clone() }, "slope", "NaN"),
        (LengthPenalty { floor: 0.5, ..base.clone() }, "floor", "0.5"),
        (LengthPenalty { floor: f64::NEG_INFINITY, ..base }, "floor", "-inf"),
    ];
    for (penalty, key, value) in bad {
        let message = penalty.check().unwrap_err().to_string();
        assert!(message.contains(key) && message.contains(value), "{message}");
        assert!(penalty.score("", "text", None).is_err());
    }
}

#[test]
fn a_sum_leaves_out_parts_without_a_verdict() {
    let sum = Combined::new("sum")
        .with(Fixed("a", Some(0.5)), 2.0)
        .unwrap()
        .with(Fixed("b", None), 100.0)
        .unwrap()
        .with(Fixed("c", Some(3.0)), -1.0)
        .unwrap();
    let scores = sum.scores("", "", None).unwrap();
    assert_eq!(scores.total, Some(-2.0));
    let names: Vec<_> = scores.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(scores.parts[1].score, None);
    assert_eq!(sum.score("", "", None), Ok(Some(-2.0)));
    let silent = Combined::new("sum").with(Fixed("b", None), 1.0).unwrap();
    assert_eq!(silent.score("", "", None), Ok(None));
}

#[test]
fn a_sum_names_the_part_at_fault() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let sum =
            Combined::new("sum").with(Fixed("good", Some(1.0)), 1.0).unwrap().with(Fixed("bad", Some(value)), 0.0).unwrap();
        let message = sum.score("", "", None).unwrap_err().to_string();
        assert!(message.contains("`bad`"), "{message}");
        let error = Combined::new("sum").with(Fixed("bad", None), value).err().unwrap();
        assert!(error.to_string().contains("`bad`"), "{error}");
    }
    let twice = Combined::new("sum").with(Fixed("a", None), 1.0).unwrap();
    let error = twice.with(Fixed("a", None), 1.0).err().unwrap();
    assert!(matches!(error, RewardError::SameName { .. }));
    let none = Combined::new("sum").score("", "", None);
    assert!(matches!(none, Err(RewardError::NoParts { .. })));
}

#[test]
fn an_overflowing_sum_is_an_error() {
    let part = |name: &str| Part { name: name.to_owned(), weight: 1.0, score: Some(f64::MAX) };
    let error = weighted_sum("sum", &[part("a"), part("b")]).unwrap_err();
    assert!(error.to_string().contains("part `sum`"), "{error}");
}

#[test]
fn sums_nest_and_boxes_are_rewards() {
    let inner = Combined::new("inner").with(Fixed("a", Some(1.0)), 2.0).unwrap();
    let boxed: Box<dyn Reward> = Box::new(inner);
    let outer = Combined::new("outer").with(boxed, 0.5).unwrap();
    let scores = outer.scores("", "", None).unwrap();
    assert_eq!(scores.total, Some(1.0));
    assert_eq!(scores.parts[0].name, "inner");
}

#[test]
fn verdict_names_and_scores() {
    let all = [Verdict::Correct, Verdict::Wrong, Verdict::Unreadable, Verdict::Abstained];
    assert_eq!(all.map(Verdict::name), ["correct", "wrong", "unreadable", "abstained"]);
    assert_eq!(all.map(Verdict::score), [Some(1.0), Some(0.0), Some(0.0), None]);
    assert_eq!(all.map(Verdict::is_correct), [true, false, false, false]);
}

proptest! {
    #[test]
    fn the_penalty_is_bounded_and_falls_with_length(
        text in "\\PC{0,200}",
        more in "\\PC{0,50}",
        target in 0usize..40,
        slope in 0.0f64..2.0,
        floor in -5.0f64..=0.0,
    ) {
        for unit in [Unit::Words, Unit::Characters] {
            let penalty = LengthPenalty { unit, target, slope, floor };
            let short = penalty.penalty(&text);
            prop_assert!((floor..=0.0).contains(&short));
            let long = penalty.penalty(&format!("{text}{more}"));
            prop_assert!(long <= short, "{} > {}", long, short);
        }
    }

    /// The sixth invariant of search agents: what exact match does not see.
    #[test]
    fn invariant_6_exact_match_ignores_case_articles_punctuation_and_order_of_names(
        words in prop::collection::vec("[b-zäöü]{1,6}", 1..5), other in "[b-z]{7}", article in prop::sample::select(vec!["a", "An", "THE"]),
        mark in prop::sample::select(vec!["!", "...", "\"", ",", "'"]),
    ) {
        prop_assume!(!words.iter().any(|w| matches!(w.as_str(), "an" | "the")));
        let (truth, short) = (words.join(" "), ShortAnswer::default());
        let dressed = format!("{mark}{article}  {}{mark}", truth.to_uppercase());
        prop_assert_eq!(normalized(&dressed), normalized(&truth));
        let names = [format!("{truth}\n{other}"), format!("{other}\n{truth}")];
        for names in &names {
            prop_assert_eq!(short.verdict(&dressed, names), Some(Verdict::Correct));
            prop_assert_eq!(short.verdict(&format!("{truth} {other}"), names), Some(Verdict::Wrong));
        }
        prop_assert_eq!(word_f1(&dressed, &truth), 1.0);
        prop_assert_eq!(normalized(&normalized(&dressed)), normalized(&dressed));
    }

    #[test]
    fn numeric_scores_any_text(text in "\\PC*", truth in any::<i32>()) {
        let numeric = Numeric::default();
        let score = numeric.score("", &text, Some(&truth.to_string())).unwrap().unwrap();
        prop_assert!(score == 0.0 || score == 1.0);
        let appended = format!("{text} . {truth}");
        prop_assert_eq!(numeric.verdict(&appended, i64::from(truth)), Verdict::Correct);
    }
}

#[test]
fn settings_and_verdicts_are_serialised_by_name() {
    let penalty: LengthPenalty = serde_json::from_str(r#"{"unit": "characters", "target": 9}"#).unwrap();
    assert_eq!((penalty.unit, penalty.target, penalty.slope), (Unit::Characters, 9, 0.01));
    let numeric: Numeric = serde_json::from_str(r#"{"which": "first"}"#).unwrap();
    assert_eq!(numeric.which, Which::First);
    assert!(serde_json::from_str::<LengthPenalty>(r#"{"targets": 9}"#).is_err());
    assert!(serde_json::from_str::<Numeric>(r#"{"which": "second"}"#).is_err());
    assert!(serde_json::from_str::<Exact>(r#"{"case": true}"#).is_err());
    for verdict in [Verdict::Correct, Verdict::Wrong, Verdict::Unreadable, Verdict::Abstained] {
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(json, format!("\"{}\"", verdict.name()));
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
    }
}
