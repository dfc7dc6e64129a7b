//! Settings of the world of arithmetic as read from files.
#![allow(clippy::unwrap_used)]

use tropism_worlds::{Arithmetic, ArithmeticConfig, Operation, Template};

fn read(text: &str) -> Result<ArithmeticConfig, toml::de::Error> {
    toml::from_str(text)
}

fn refused(text: &str) -> String {
    Arithmetic::new(read(text).unwrap()).unwrap_err().to_string()
}

#[test]
fn settings_are_read_and_written() {
    let text = r#"
        max_operand = 12
        operations = ["times"]
        templates = ["story", "question"]
        [mix]
        wrong = 0.5
        [reward]
        target_words = 4
    "#;
    let config = read(text).unwrap();
    assert_eq!(config.max_operand, 12);
    assert_eq!(config.operations, [Operation::Times]);
    assert_eq!(config.templates, [Template::Story, Template::Question]);
    assert_eq!((config.mix.wrong, config.mix.sentence), (0.5, 0.3));
    assert_eq!((config.reward.target_words, config.reward.per_word), (4, 0.03));
    let written = toml::to_string(&config).unwrap();
    assert_eq!(read(&written).unwrap(), config);
    assert_eq!(read("").unwrap(), ArithmeticConfig::default());
    assert_eq!(Arithmetic::new(config.clone()).unwrap().config(), &config);
}

#[test]
fn unknown_keys_are_refused() {
    for text in ["max_operands = 3", "[mix]\nlong = 1.0", "[reward]\nbonus = 1.0", "operations = [\"divide\"]"] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn bad_values_are_named() {
    let cases = [
        ("max_operand = 0", "`max_operand` is 0"),
        ("max_operand = 100", "`max_operand` is 100"),
        ("operations = []", "`operations` is []"),
        ("operations = [\"plus\", \"plus\"]", "`operations` is [Plus, Plus]"),
        ("templates = []", "`templates` is []"),
        ("templates = [\"story\", \"question\", \"story\"]", "`templates` is [Story"),
        ("mix.rambling = -0.5", "`mix.rambling` is -0.5"),
        ("mix.terse = nan", "`mix.terse` is NaN"),
        ("mix.evasive = inf", "`mix.evasive` is inf"),
        ("mix.wrong = 1.5", "`mix.wrong` is 1.5"),
        ("mix.wrong = nan", "`mix.wrong` is NaN"),
        ("reward.per_word = -1.0", "`reward.per_word` is -1"),
        ("reward.full_stop = nan", "`reward.full_stop` is NaN"),
        ("reward.correct = 0.6", "`reward.correct` is 0.6"),
        ("reward.most_length = 0.9", "`reward.correct` is 1"),
        ("reward.most_hedges = 20", "`reward.correct` is 1"),
    ];
    for (text, part) in cases {
        let message = refused(text);
        assert!(message.contains(part) && message.contains("`arithmetic`"), "{text}: {message}");
    }
}

#[test]
fn a_mix_needs_some_weight() {
    let zero = "mix = { terse = 0, sentence = 0, polite = 0, hedging = 0, rambling = 0, evasive = 0 }";
    assert!(refused(&zero.replace("= 0", "= 0.0")).contains("`mix` is 0"));
    let huge = zero.replace("= 0", "= 1e308");
    assert!(refused(&huge).contains("`mix` is inf"));
}
