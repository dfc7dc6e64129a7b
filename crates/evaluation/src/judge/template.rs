//! What a language model is asked, and how its answer is read.
use super::error::JudgeError;
use super::verdict::{Choice, Failure, FailureKind, Verdict};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A question in words. `{prompt}`, `{a}` and `{b}` stand for the parts of a pair, `{prompt}` and `{answer}` where each
/// answer is rated by itself; a part may hold braces, it is put in once and not read again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// the role of the judge; empty for models that take no system message
    #[serde(default)]
    pub system: String,
    /// the question
    pub user: String,
    /// how the verdict is given
    pub reply: ReplyForm,
}

/// Where the verdict stands in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReplyForm {
    /// the last of `[[A]]`, `[[B]]` and `[[C]]` (a tie)
    Marked,
    /// the first token, `A` or `B`; with its log-probabilities, the probability of `A` among both
    Letter,
    /// the last `[[number]]`, once for each answer
    Rating {
        /// lowest rating
        low: f64,
        /// highest rating
        high: f64,
    },
}

impl ReplyForm {
    /// Whether each answer is rated by itself.
    pub fn is_rating(self) -> bool {
        matches!(self, ReplyForm::Rating { .. })
    }
}

/// Reads a template by its name, or in words.
pub(super) fn named_or_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
    struct Either;
    impl<'de> Visitor<'de> for Either {
        type Value = Template;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            write!(f, "the name of a template ({}), or a table with `user` and `reply`", Template::NAMES.join(", "))
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Template, E> {
            let unknown = || E::custom(format!("there is no template `{name}`; there are {}", Template::NAMES.join(", ")));
            Template::named(name).ok_or_else(unknown)
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Template, A::Error> {
            Template::deserialize(MapAccessDeserializer::new(table))
        }
    }
    deserializer.deserialize_any(Either)
}

impl Template {
    /// The names of [`Template::named`].
    pub const NAMES: [&str; 3] = ["pairwise", "letter", "rating"];

    /// One of the templates here, by the name of its function.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "pairwise" => Some(Self::pairwise()),
            "letter" => Some(Self::letter()),
            "rating" => Some(Self::rating()),
            _ => None,
        }
    }

    /// Reasons first, then a marked verdict; ties are possible.
    pub fn pairwise() -> Self {
        Template {
            system: "You compare two answers to the same request and say which one serves the person who asked better. \
                     Look at whether an answer is correct, does what was asked, and is clear. A longer answer is not better \
                     for its length, and the order in which the answers stand means nothing. Give your reasons in a few \
                     sentences. Then close with a line that holds your verdict and nothing else: [[A]] if answer A is \
                     better, [[B]] if answer B is better, [[C]] if neither is."
                .into(),
            user: "<request>\n{prompt}\n</request>\n\n<answer_A>\n{a}\n</answer_A>\n\n<answer_B>\n{b}\n</answer_B>".into(),
            reply: ReplyForm::Marked,
        }
    }

    /// One letter, whose log-probabilities give a probability where the endpoint returns them.
    pub fn letter() -> Self {
        Template {
            system:
                "You compare two answers to the same request. Reply with one letter, A or B: the answer that serves the \
                     person who asked better. Write nothing else."
                    .into(),
            user: "Request:\n{prompt}\n\nAnswer A:\n{a}\n\nAnswer B:\n{b}\n\nWhich is better, A or B?".into(),
            reply: ReplyForm::Letter,
        }
    }

    /// A rating from 1 to 10 of one answer.
    pub fn rating() -> Self {
        Template {
            system: "You rate an answer to a request by how well it serves the person who asked: is it correct, complete, \
                     to the point and clear? Give your reasons in a few sentences. Then close with a line that holds a whole \
                     number from 1 (of no use) to 10 (could not be better) in double brackets, such as [[4]]."
                .into(),
            user: "<request>\n{prompt}\n</request>\n\n<answer>\n{answer}\n</answer>".into(),
            reply: ReplyForm::Rating { low: 1.0, high: 10.0 },
        }
    }

    /// Makes sure that the question holds the parts that its form needs, and no others.
    ///
    /// # Errors
    /// A part that is missing or out of place; a range of ratings that is empty.
    pub fn check(&self) -> Result<(), JudgeError> {
        let (needed, strange): (&[&str], &[&str]) = match self.reply.is_rating() {
            true => (&["{prompt}", "{answer}"], &["{a}", "{b}"]),
            false => (&["{prompt}", "{a}", "{b}"], &["{answer}"]),
        };
        let refuse = |problem: String| Err(JudgeError::Config { key: "template", problem });
        if let Some(part) = needed.iter().find(|p| !self.user.contains(*p)) {
            return refuse(format!("`user` has no {part}; with this `reply` it needs {}", needed.join(", ")));
        }
        if let Some(part) = strange.iter().find(|p| self.user.contains(*p)) {
            return refuse(format!("`user` holds {part}, which this `reply` does not fill; it takes {}", needed.join(", ")));
        }
        match self.reply {
            // not a plain comparison of the ends, for either may be NaN
            ReplyForm::Rating { low, high } if !(low < high && low.is_finite() && high.is_finite()) => {
                refuse(format!("ratings go from {low} to {high}; the first has to be the smaller one"))
            }
            _ => Ok(()),
        }
    }

    /// The question with its parts put in.
    pub(crate) fn fill(&self, parts: &[(&str, &str)]) -> String {
        let (mut out, mut rest) = (String::new(), self.user.as_str());
        let next = |rest: &str| parts.iter().filter_map(|(name, text)| Some((rest.find(name)?, *name, *text))).min();
        while let Some((at, name, text)) = next(rest) {
            out.push_str(&rest[..at]);
            out.push_str(text);
            rest = &rest[at + name.len()..];
        }
        out + rest
    }
}

/// What came back from a language model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// the text
    pub text: String,
    /// the likeliest first tokens with their log-probabilities in nats, where the endpoint returns them
    #[serde(default)]
    pub first_token: Vec<(String, f64)>,
    /// whether the text was cut off at its longest
    #[serde(default)]
    pub cut: bool,
}

impl Reply {
    /// The verdict of a pairwise reply.
    ///
    /// # Errors
    /// [`FailureKind::NoVerdict`] with an excerpt of the reply.
    pub fn verdict(&self, form: ReplyForm) -> Result<Verdict, Failure> {
        match form {
            ReplyForm::Letter => self.letter().ok_or_else(|| self.unusable("A or B")),
            _ => {
                let choice = |mark: &str| match mark {
                    "A" => Some(Choice::A),
                    "B" => Some(Choice::B),
                    "C" => Some(Choice::Tie),
                    _ => None,
                };
                let found = self.last_mark(choice).map(Verdict::plain);
                found.ok_or_else(|| self.unusable("[[A]], [[B]] or [[C]]"))
            }
        }
    }

    /// The rating of a reply on one answer.
    ///
    /// # Errors
    /// As [`Reply::verdict`]; a rating out of range.
    pub fn rating(&self, low: f64, high: f64) -> Result<f64, Failure> {
        let number = |mark: &str| mark.parse::<f64>().ok();
        let found = self.last_mark(number).ok_or_else(|| self.unusable("a rating such as [[4]]"))?;
        match (low..=high).contains(&found) {
            true => Ok(found),
            false => Err(Failure::new(FailureKind::NoVerdict, format!("the rating {found} is not from {low} to {high}"))),
        }
    }

    /// The last `[[…]]` that can be read.
    fn last_mark<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let marks = self.text.rsplit("[[").filter_map(|after| after.split_once("]]"));
        marks.map(|(mark, _)| mark.trim()).find_map(read)
    }

    fn letter(&self) -> Option<Verdict> {
        let mass = |letter: &str| -> f64 {
            let same = self.first_token.iter().filter(|(token, _)| token.trim() == letter);
            same.map(|(_, logp)| logp.exp()).sum()
        };
        let (a, b) = (mass("A"), mass("B"));
        if a + b > 0.0 {
            return Some(Verdict { choice: Choice::larger(a, b, 0.0), probability: Some(a / (a + b)) });
        }
        // a whole word: "Answer A" would be read wrongly as A, "As an AI" too
        match self.text.trim().trim_end_matches('.') {
            "A" => Some(Verdict::plain(Choice::A)),
            "B" => Some(Verdict::plain(Choice::B)),
            _ => None,
        }
    }

    fn unusable(&self, wanted: &str) -> Failure {
        let end: String = self.text.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
        let cut = if self.cut { " (cut off at max_tokens)" } else { "" };
        Failure::new(FailureKind::NoVerdict, format!("the reply holds no {wanted}{cut}; it ends {end:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply { text: text.into(), ..Reply::default() }
    }

    #[test]
    fn templates_hold_their_parts() {
        for template in [Template::pairwise(), Template::letter(), Template::rating()] {
            assert!(template.check().is_ok());
        }
        let bad = |user: &str, reply| Template { system: String::new(), user: user.into(), reply }.check().is_err();
        assert!(bad("{prompt} {a}", ReplyForm::Marked) && bad("{prompt} {a} {b} {answer}", ReplyForm::Letter));
        assert!(bad("{prompt} {answer}", ReplyForm::Rating { low: 3.0, high: f64::NAN }));
    }

    #[test]
    fn parts_are_put_in_once() {
        let template = Template { user: "{a}|{b}|{prompt}|{x}".into(), ..Template::pairwise() };
        let filled = template.fill(&[("{prompt}", "{a}"), ("{a}", "{b}"), ("{b}", "}{prompt}{")]);
        assert_eq!(filled, "{b}|}{prompt}{|{a}|{x}");
    }

    #[test]
    fn the_last_mark_counts() {
        let choice = |text: &str| reply(text).verdict(ReplyForm::Marked).map(|v| v.choice);
        assert_eq!(choice("[[A]] at first sight.\n[[ B ]]"), Ok(Choice::B));
        assert_eq!(choice("they say [[x]]; [[C]] [[y"), Ok(Choice::Tie));
        let said = choice("I cannot say").map_err(|f| (f.kind, f.reason));
        assert_eq!(said.map_err(|(k, r)| (k, r.contains("I cannot say"))), Err((FailureKind::NoVerdict, true)));
        assert_eq!(reply("[[3]] or rather [[7.5]]").rating(1.0, 10.0), Ok(7.5));
        assert!(reply("[[11]]").rating(1.0, 10.0).is_err() && reply("[[NaN]]").rating(1.0, 10.0).is_err());
    }

    #[test]
    fn letters_weigh_their_tokens() {
        let tokens = [(" A", 0.3f64), ("A", 0.3), ("B", 0.2), ("The", 0.1)];
        let first_token = tokens.map(|(t, p)| (t.to_owned(), p.ln())).to_vec();
        let verdict = Reply { text: "B".into(), first_token, cut: false }.verdict(ReplyForm::Letter);
        let p = verdict.as_ref().ok().and_then(|v| v.probability).unwrap_or_default();
        assert!((p - 0.75).abs() < 1e-12, "{verdict:?}");
        assert_eq!(reply(" B.\n").verdict(ReplyForm::Letter), Ok(Verdict::plain(Choice::B)));
        assert!(reply("As an AI").verdict(ReplyForm::Letter).is_err());
    }
}
