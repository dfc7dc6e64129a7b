//! Answers of all kinds.

use serde::{Deserialize, Serialize};

use super::task::{pick, spell};
use super::{Operation, Task, Template};

/// Kind of an answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerKind {
    /// The number alone: "Twelve."
    Terse,
    /// One plain sentence: "Seven plus five is twelve."
    Sentence,
    /// With thanks or a friendly word around it.
    Polite,
    /// Unsure of itself: "Perhaps it is twelve, I guess."
    Hedging,
    /// Long-winded and hedging.
    Rambling,
    /// Without a number: "I do not know."
    Evasive,
    /// Step by step: "Seven plus five is twelve. Twelve minus three is nine. The answer is nine."
    Reasoned,
    /// Step by step, and then the same again one to three times: "… Let me check. …"
    Checked,
    /// Step by step, with thanks before it and a wish behind it.
    Courteous,
}

impl AnswerKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Terse,
        Self::Sentence,
        Self::Polite,
        Self::Hedging,
        Self::Rambling,
        Self::Evasive,
        Self::Reasoned,
        Self::Checked,
        Self::Courteous,
    ];

    /// Number of wordings that this kind has.
    pub fn wordings(self) -> usize {
        match self {
            Self::Terse => 1,
            Self::Sentence | Self::Reasoned | Self::Courteous => 2,
            Self::Polite | Self::Hedging | Self::Rambling | Self::Evasive | Self::Checked => 3,
        }
    }

    /// Whether answers of this kind state a number.
    pub fn states_a_number(self) -> bool {
        self != Self::Evasive
    }
}

impl Task {
    /// An answer that states `value` (right or not) in the given kind and wording.
    ///
    /// The last number in the text is `value`; an evasive answer has none. Wordings count from 0
    /// and start over after [`AnswerKind::wordings`]. Reasoning to a value that is not the truth goes wrong at one of its
    /// steps.
    pub fn answer(&self, kind: AnswerKind, value: i64, wording: usize) -> String {
        let number = spell(value);
        let wording = wording % kind.wordings();
        let text = match kind {
            AnswerKind::Terse => format!("{number}."),
            AnswerKind::Sentence if wording == 0 => self.sentence(value),
            AnswerKind::Sentence => format!("the answer is {number}."),
            AnswerKind::Polite => polite(&number, wording),
            AnswerKind::Hedging => hedging(&number, wording),
            AnswerKind::Rambling => self.rambling(&number, wording),
            AnswerKind::Evasive => evasive(wording).to_owned(),
            AnswerKind::Reasoned => self.reasoned(value, &number, wording),
            AnswerKind::Checked => {
                let once = self.reasoned(value, &number, 0);
                format!("{once}{}", format!(" Let me check. {once}").repeat(1 + wording))
            }
            AnswerKind::Courteous => {
                format!("thank you for asking! {} Have a nice day.", self.reasoned(value, &number, wording))
            }
        };
        capitalised(&text)
    }

    fn reasoned(&self, value: i64, number: &str, wording: usize) -> String {
        // the numbers choose the step, so that an answer needs no further one
        let at = pick(value.wrapping_add(3 * self.left + 5 * self.right), self.depth());
        let steps = self.reasoning(value.saturating_sub(self.truth), at);
        let end = if wording == 0 { "The answer is" } else { "So the answer is" };
        format!("{steps} {end} {number}.")
    }

    /// A sentence about the matter of the prompt.
    fn sentence(&self, value: i64) -> String {
        if self.template != Template::Story {
            return format!("{} is {}.", self.expression(), spell(value));
        }
        let counted = self.counted(value);
        if !self.rest.is_empty() {
            return format!("{} has {counted} now.", self.person());
        }
        match (self.operation, value) {
            (Operation::Plus, _) => format!("{} has {counted}.", self.person()),
            (Operation::Minus, _) => format!("{} has {counted} left.", self.person()),
            (Operation::Times, 1) => format!("there is {counted}."),
            (Operation::Times, _) => format!("there are {counted}."),
        }
    }

    fn rambling(&self, number: &str, wording: usize) -> String {
        let matter = match self.template {
            Template::Story => format!("all those {}", self.things(2)),
            Template::Question | Template::Request => self.expression(),
        };
        match wording {
            0 => format!(
                "well, let me think about it. You want to know about {matter}. \
                 So I would say, maybe, that it is {number}, I think."
            ),
            1 => format!(
                "that is a good question, and I like questions about {matter}. \
                 There is a lot to say here, but in the end it might be {number}."
            ),
            _ => format!(
                "let us see, now where did I put my pen? You asked about {matter}, \
                 so after some time I suppose that we come to {number}, or so I guess."
            ),
        }
    }
}

fn polite(number: &str, wording: usize) -> String {
    match wording {
        0 => format!("thank you for asking! The answer is {number}."),
        1 => format!("the answer is {number}. Have a nice day."),
        _ => format!("with pleasure: it is {number}, my friend."),
    }
}

fn hedging(number: &str, wording: usize) -> String {
    match wording {
        0 => format!("maybe it is {number}."),
        1 => format!("I think it might be {number}."),
        _ => format!("perhaps it is {number}, I guess, but who knows?"),
    }
}

fn evasive(wording: usize) -> &'static str {
    match wording {
        0 => "I do not know.",
        1 => "I cannot say, sorry.",
        _ => "That is a hard question, maybe you should ask your teacher.",
    }
}

/// `text` with its first letter in upper case.
pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
