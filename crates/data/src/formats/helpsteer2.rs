//! HelpSteer2 (NVIDIA): single responses rated on five aspects from 0 to 4, and preferences between two.
//!
//! Prompts of several turns are one text there, turns opened by `<extra_id_1>User` and `<extra_id_1>Assistant`; they
//! become messages. In the preference file a positive strength prefers the second response, 0 is a tie.

use super::conversation::answer;
use super::row::{Fault, Row};
use super::{Format, Spec, Want};
use crate::record::{Message, Record, Response, Text};

const ASPECTS: [&str; 5] = ["helpfulness", "correctness", "coherence", "complexity", "verbosity"];
const TURN: &str = "<extra_id_1>";

pub(super) const SPECS: &[Spec] = &[
    Spec {
        before: &[Format::PromptOnly],
        merge: true,
        ..Spec::new(
            Format::Helpsteer2,
            &[
                ("prompt", Want::Text),
                ("response", Want::Text),
                ("helpfulness", Want::Number),
                ("correctness", Want::Number),
                ("coherence", Want::Number),
                ("complexity", Want::Number),
                ("verbosity", Want::Number),
            ],
            ratings,
        )
    },
    Spec {
        optional: &[("preference_statement", Want::Text), ("preference_elaboration", Want::Text)],
        before: &[Format::PromptOnly],
        ..Spec::new(
            Format::Helpsteer2Preference,
            &[
                ("prompt", Want::Text),
                ("response_1", Want::Text),
                ("response_2", Want::Text),
                ("preference_strength", Want::Number),
            ],
            preference,
        )
    },
];

fn ratings(row: &mut Row<'_>) -> Result<Record, Fault> {
    let mut response = Response::new(answer(row.text("response")?));
    for aspect in ASPECTS {
        response.aspects.extend(row.number_if_any(aspect)?.map(|score| (aspect.to_owned(), score)));
    }
    response.score = response.aspects.get("helpfulness").copied();
    let prompt = Text::Chat(turns(&row.text("prompt")?));
    let mut record = row.record(prompt);
    record.responses.push(response);
    Ok(record)
}

fn preference(row: &mut Row<'_>) -> Result<Record, Fault> {
    let strength = row.number("preference_strength")?;
    let ranks = match strength {
        s if s < 0.0 => [1.0, 2.0],
        s if s > 0.0 => [2.0, 1.0],
        _ => [1.0, 1.0],
    };
    let prompt = Text::Chat(turns(&row.text("prompt")?));
    let mut record = row.record(prompt);
    for (column, rank) in ["response_1", "response_2"].into_iter().zip(ranks) {
        record.responses.push(Response { rank: Some(rank), ..Response::new(answer(row.text(column)?)) });
    }
    record.numbers.insert("preference_strength".to_owned(), strength);
    Ok(record)
}

/// A prompt as messages; text before the first mark is the first user turn.
fn turns(prompt: &str) -> Vec<Message> {
    let mut found = Vec::new();
    for (at, part) in prompt.split(TURN).enumerate() {
        let (role, content) = match part.split_once('\n') {
            _ if at == 0 => ("user", part),
            Some((speaker, rest)) if speaker.trim() == "Assistant" => ("assistant", rest),
            Some((speaker, rest)) if speaker.trim() == "User" => ("user", rest),
            // a mark that somebody wrote into the text
            _ => return vec![Message::new("user", prompt)],
        };
        if at > 0 || !content.trim().is_empty() {
            // the line break before a mark belongs to the mark
            found.push(Message::new(role, content.strip_suffix('\n').unwrap_or(content)));
        }
    }
    // the mark that opens the answer
    if found.len() > 1 && found.last().is_some_and(|last| last.role == "assistant" && last.content.trim().is_empty()) {
        found.pop();
    }
    if found.is_empty() { vec![Message::new("user", prompt)] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_of_a_prompt() {
        let say = Message::new;
        assert_eq!(turns("one\ntwo"), [say("user", "one\ntwo")]);
        let several = "a\n<extra_id_1>Assistant\nb\nc\n<extra_id_1>User\nd";
        assert_eq!(turns(several), [say("user", "a"), say("assistant", "b\nc"), say("user", "d")]);
        assert_eq!(turns("a\n<extra_id_1>Assistant\n"), [say("user", "a")]);
        assert_eq!(turns("what is <extra_id_1>?"), [say("user", "what is <extra_id_1>?")]);
        assert_eq!(turns(""), [say("user", "")]);
    }
}
