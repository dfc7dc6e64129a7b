//! The prompt that two conversations share.
//!
//! A conversational row without a prompt column has whole dialogues on both sides. Its prompt is the
//! longest run of leading messages that both sides have in common.

use crate::record::Message;

/// Number of leading messages that `left` and `right` share.
pub fn common_messages(left: &[Message], right: &[Message]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}

/// A prompt with what follows it on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divided {
    /// The shared leading messages.
    pub prompt: Vec<Message>,
    /// What follows on the chosen side.
    pub chosen: Vec<Message>,
    /// What follows on the rejected side.
    pub rejected: Vec<Message>,
}

/// Divides two dialogues at the end of their longest common leading messages.
///
/// The error is the reason that the audit counts: identical sides; no common prompt; one side is the
/// beginning of the other, so that it has no completion; a completion that does not begin or end with an
/// assistant turn, or in which one role speaks twice in a row (then the dialogues parted before the last turn
/// in a way that no template renders as one prompt with two answers).
///
/// ```
/// use tropism_data::{prompt::divide, record::Message};
/// let ask = Message::new("user", "2+2?");
/// let chosen = vec![ask.clone(), Message::new("assistant", "4")];
/// let rejected = vec![ask, Message::new("assistant", "5")];
/// let divided = divide(chosen, rejected).unwrap();
/// assert_eq!(divided.prompt.len(), 1);
/// assert_eq!(divided.rejected[0].content, "5");
/// ```
///
/// # Errors
/// The reason why the two cannot be divided.
pub fn divide(mut chosen: Vec<Message>, mut rejected: Vec<Message>) -> Result<Divided, &'static str> {
    let common = common_messages(&chosen, &rejected);
    if common == chosen.len() && common == rejected.len() {
        return Err("identical sides");
    }
    if common == 0 {
        return Err("no common prompt");
    }
    if common == chosen.len() || common == rejected.len() {
        return Err("one side is the beginning of the other");
    }
    let chosen_rest = chosen.split_off(common);
    let rejected_rest = rejected.split_off(common);
    for side in [&chosen_rest, &rejected_rest] {
        check_completion(side)?;
    }
    Ok(Divided { prompt: chosen, chosen: chosen_rest, rejected: rejected_rest })
}

fn check_completion(side: &[Message]) -> Result<(), &'static str> {
    let speaks = |message: Option<&Message>| message.is_some_and(|message| message.role == "assistant");
    if !speaks(side.first()) {
        return Err("completion does not begin with an assistant turn");
    }
    if !speaks(side.last()) {
        return Err("completion does not end with an assistant turn");
    }
    if side.windows(2).any(|turns| turns[0].role == turns[1].role) {
        return Err("completion has two turns of one role in a row");
    }
    Ok(())
}

/// Divides two texts into their shared beginning and what follows it on either side.
///
/// The beginning ends before the last white space in it, so that no word is cut and the sides keep the space before their
/// first word; without white space it is empty. TRL's extraction cuts at the first character that differs, mid-word too, and one
/// character early where one text begins the other.
///
/// ```
/// use tropism_data::prompt::divide_text;
/// let parts = divide_text("I like apples", "I like apricots").unwrap();
/// assert_eq!(parts, ["I like", " apples", " apricots"]);
/// ```
///
/// # Errors
/// The reason that the audit counts: identical sides, or one that is the beginning of the other.
pub fn divide_text<'a>(chosen: &'a str, rejected: &'a str) -> Result<[&'a str; 3], &'static str> {
    if chosen == rejected {
        return Err("identical sides");
    }
    if chosen.starts_with(rejected) || rejected.starts_with(chosen) {
        return Err("one side is the beginning of the other");
    }
    let same = chosen.chars().zip(rejected.chars()).take_while(|(a, b)| a == b);
    let common: usize = same.map(|(a, _)| a.len_utf8()).sum();
    let end = chosen[..common].rfind(char::is_whitespace).unwrap_or(0);
    Ok([&chosen[..end], &chosen[end..], &rejected[end..]])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn dialogue(text: &str) -> Vec<Message> {
        text.split_whitespace()
            .map(|turn| {
                let role = if turn.starts_with('u') { "user" } else { "assistant" };
                Message::new(role, turn)
            })
            .collect()
    }

    #[test]
    fn reasons() {
        let cases = [
            ("u1 a1", "u1 a1", "identical sides"),
            ("u1 a1", "u2 a1", "no common prompt"),
            ("", "u1 a1", "no common prompt"),
            ("u1 a1", "u1 a1 u2 a2", "one side is the beginning of the other"),
            ("u1 a1 u2 a2", "u1 a1 u3 a2", "completion does not begin with an assistant turn"),
            ("u1 a1 u2", "u1 a2", "completion does not end with an assistant turn"),
            ("u1 a1 a2", "u1 a3", "completion has two turns of one role in a row"),
        ];
        for (chosen, rejected, reason) in cases {
            assert_eq!(divide(dialogue(chosen), dialogue(rejected)), Err(reason), "{chosen} / {rejected}");
            if reason != "no common prompt" {
                assert_eq!(divide(dialogue(rejected), dialogue(chosen)), Err(reason), "{rejected} / {chosen}");
            }
        }
    }

    #[test]
    fn longer_completions_are_kept() {
        let divided = divide(dialogue("u1 a1 u2 a2"), dialogue("u1 a3")).unwrap();
        assert_eq!((divided.prompt.len(), divided.chosen.len(), divided.rejected.len()), (1, 3, 1));
    }

    #[test]
    fn texts_are_divided_between_words() {
        for (chosen, rejected, parts) in [
            ("The sky is blue.", "The sky is green.", ["The sky is", " blue.", " green."]),
            ("The sky is  a", "The sky is  b", ["The sky is ", " a", " b"]),
            ("blue", "black", ["", "blue", "black"]),
            ("é ü", "é u", ["é", " ü", " u"]),
            ("a\u{3000}x", "a\u{3000}y", ["a", "\u{3000}x", "\u{3000}y"]),
        ] {
            assert_eq!(divide_text(chosen, rejected), Ok(parts));
        }
        assert_eq!(divide_text("a b", "a b"), Err("identical sides"));
        assert_eq!(divide_text("a b", "a b c"), Err("one side is the beginning of the other"));
        assert_eq!(divide_text("", "a"), Err("one side is the beginning of the other"));
    }

    proptest! {
        #[test]
        fn text_division_restores(left in "[ab \n]{0,8}", right in "[ab \n]{0,8}") {
            if let Ok([prompt, chosen, rejected]) = divide_text(&left, &right) {
                prop_assert_eq!(&[prompt, chosen].concat(), &left);
                prop_assert_eq!(&[prompt, rejected].concat(), &right);
                prop_assert_ne!(chosen, rejected);
                prop_assert!(prompt.is_empty() || chosen.starts_with(char::is_whitespace));
            }
        }

        #[test]
        fn division_restores_and_is_maximal(left in "[ua][12]( [ua][12]){0,5}", right in "[ua][12]( [ua][12]){0,5}") {
            let (left, right) = (dialogue(&left), dialogue(&right));
            let common = common_messages(&left, &right);
            prop_assert_eq!(&left[..common], &right[..common]);
            if common < left.len() && common < right.len() {
                prop_assert_ne!(&left[common], &right[common]);
            }
            if let Ok(parts) = divide(left.clone(), right.clone()) {
                prop_assert_eq!(parts.prompt.len(), common);
                prop_assert_eq!([parts.prompt.clone(), parts.chosen].concat(), left);
                prop_assert_eq!([parts.prompt, parts.rejected].concat(), right);
            }
        }
    }
}
