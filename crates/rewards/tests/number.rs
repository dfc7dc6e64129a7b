//! Numbers in text: reading, writing and the rules of what counts as stated.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tropism_rewards::Number::{self, Other, Whole};
use tropism_rewards::number::{WORDS_LIMIT, first_stated, last_stated, parse, stated, words};

#[test]
fn words_and_back_for_small_numbers() {
    for value in -9999..=9999 {
        let text = words(value).unwrap();
        assert_eq!(parse(&text), Some(value), "{text}");
        assert_eq!(parse(&text.to_uppercase()), Some(value), "{text}");
        assert_eq!(parse(&text.replace('-', " ")), Some(value), "{text}");
        assert_eq!(parse(&text.replace(" and", "")), Some(value), "{text}");
        assert_eq!(parse(&value.to_string()), Some(value));
    }
}

#[test]
fn words_of_known_numbers() {
    let known = [
        (0, "zero"),
        (-1, "minus one"),
        (12, "twelve"),
        (20, "twenty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (101, "one hundred and one"),
        (-340, "minus three hundred and forty"),
        (1000, "one thousand"),
        (1001, "one thousand and one"),
        (1100, "one thousand one hundred"),
        (21_019, "twenty-one thousand and nineteen"),
        (1_000_000, "one million"),
        (1_000_000_017, "one billion and seventeen"),
    ];
    for (value, text) in known {
        assert_eq!(words(value).as_deref(), Some(text));
        assert_eq!(parse(text), Some(value));
    }
    assert!(words(WORDS_LIMIT - 1).is_some());
    for value in [WORDS_LIMIT, -WORDS_LIMIT, i64::MAX, i64::MIN] {
        assert_eq!(words(value), None);
    }
}

fn check(text: &str, expected: &[Number]) {
    assert_eq!(stated(text), expected, "{text:?}");
    assert_eq!(first_stated(text), expected.first().copied(), "{text:?}");
    assert_eq!(last_stated(text), expected.last().copied(), "{text:?}");
}

#[test]
fn signs_and_subtractions() {
    check("seven minus five", &[Whole(7), Whole(5)]);
    check("seven minus five is minus two", &[Whole(7), Whole(5), Whole(-2)]);
    check("7-5 = 2", &[Whole(7), Whole(5), Whole(2)]);
    check("7 - 5", &[Whole(7), Whole(5)]);
    check("-5 and −6", &[Whole(-5), Whole(-6)]);
    check("Negative five.", &[Whole(-5)]);
    check("seven minus minus five", &[Whole(7), Whole(-5)]);
    check("It is 7. -5!", &[Whole(7), Whole(-5)]);
    check("--5", &[Whole(-5)]);
    check("part-5", &[Whole(5)]);
    check("minus", &[]);
    check("minus zero", &[Whole(0)]);
}

#[test]
fn digits_in_running_text() {
    check("1,234 and 1,2345", &[Whole(1234), Whole(1), Whole(2345)]);
    check("12,345,678.", &[Whole(12_345_678)]);
    check("3,4", &[Whole(3), Whole(4)]);
    check("1234,567", &[Whole(1234), Whole(567)]);
    check("12. 13! (14) $15 16%", &[Whole(12), Whole(13), Whole(14), Whole(15), Whole(16)]);
    check("12.0 12.50 1.0.0 .5", &[Whole(12), Other, Other, Other]);
    check("...5", &[Whole(5)]);
    check("12th x12 1e5 twelve12", &[]);
    check("1/2", &[Whole(1), Whole(2)]);
    check("007", &[Whole(7)]);
    check("999999999999999999", &[Whole(999_999_999_999_999_999)]);
    check("1000000000000000000", &[Other]);
    check("0000000000000000000000012", &[Whole(12)]);
    check("٣", &[]);
}

#[test]
fn words_in_running_text() {
    check("one two", &[Whole(1), Whole(2)]);
    check("twenty, three", &[Whole(20), Whole(3)]);
    check("twenty three-year-olds", &[Whole(23)]);
    check("twenty ten", &[Whole(20), Whole(10)]);
    check("twenty zero", &[Whole(20), Whole(0)]);
    check("a hundred and a thousand", &[Whole(100), Whole(1000)]);
    check("a dozen of a kind, hundreds", &[]);
    check("twelve hundred", &[Whole(1200)]);
    check("3 thousand", &[Whole(3000)]);
    check("one hundred 5", &[Whole(100), Whole(5)]);
    check("five and six", &[Whole(5), Whole(6)]);
    check("one hundred and two hundred", &[Whole(100), Whole(200)]);
    check("two thousand and three thousand", &[Whole(2000), Whole(3000)]);
    check("one hundred and two thousand", &[Whole(102_000)]);
    check("twelve point five", &[Other]);
    check("2.5 million", &[Other]);
    check("999999999999999999 thousand", &[Other]);
    check("at this point five", &[Whole(5)]);
    check("someone won't stone 'em", &[]);
    check("no one's", &[]);
    check("'twelve'", &[Whole(12)]);
    check("", &[]);
}

#[test]
fn only_a_whole_number_is_parsed() {
    assert_eq!(parse(" 12\n"), Some(12));
    for text in ["", " ", "12 apples", "about 12", "12 13", "12.", "12.5", "minus", "12 minus", "x"] {
        assert_eq!(parse(text), None, "{text:?}");
    }
    assert_eq!(parse(&format!("12{}", " ".repeat(10_000))), None);
}

#[test]
fn text_behind_the_limit_is_not_read() {
    let long = format!("12 {} 13", "la ".repeat(4000));
    check(&long, &[Whole(12)]);
    let joined = "twenty".repeat(100_000);
    check(&joined, &[]);
    let many = "one thousand ".repeat(100_000);
    assert!(stated(&many).len() > 500);
}

proptest! {
    #[test]
    fn words_round_trip(value in -(WORDS_LIMIT - 1)..WORDS_LIMIT) {
        let text = words(value).unwrap();
        prop_assert_eq!(parse(&text), Some(value));
        prop_assert_eq!(stated(&format!("So it is {text}, I think.")), vec![Whole(value)]);
    }

    #[test]
    fn digits_round_trip(value in -999_999_999_999_999_999i64..=999_999_999_999_999_999) {
        prop_assert_eq!(parse(&value.to_string()), Some(value));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC*") {
        let all = stated(&text);
        prop_assert_eq!(all.first().copied(), first_stated(&text));
        prop_assert_eq!(all.last().copied(), last_stated(&text));
    }

    #[test]
    fn any_row_of_number_words_is_read(
        picks in prop::collection::vec(
            prop::sample::select(vec![
                "minus", "-", "a", "and", "one", "twelve", "twenty", "hundred", "thousand", "million",
                "trillion", "point", "7", "999999999999999999", "1.5", ",", "zero", "'", ".",
            ]),
            0..40,
        ),
        gap in prop::sample::select(vec!["", " ", "-"]),
    ) {
        let text = picks.join(gap);
        let all = stated(&text);
        prop_assert!(all.len() <= text.len());
    }
}
