//! GSM8K: problems with a worked answer that ends in `#### 42`, and problems with several models' solutions.
//!
//! The final answer becomes the record's `answer`, without thousands separators; the worked answer stays as written,
//! calculator marks `<<…>>` included.

use super::conversation::{answer, ask};
use super::detect::Seen;
use super::row::{Fault, Row};
use super::{Format, Spec, Want};
use crate::record::{Record, Response, Value};

pub(super) const SPECS: &[Spec] = &[
    Spec {
        holds: Some(|seen: &Seen<'_>| seen.text("answer").is_some_and(|text| final_answer(text, "####").is_some())),
        ..Spec::new(Format::Gsm8k, &[("question", Want::Text), ("answer", Want::Text)], problem)
    },
    Spec {
        holds: Some(|seen: &Seen<'_>| seen.any(is_solution)),
        all_columns: true,
        ..Spec::new(Format::Gsm8kSolutions, &[("question", Want::Text), ("ground_truth", Want::Text)], solutions)
    },
];

fn problem(row: &mut Row<'_>) -> Result<Record, Fault> {
    let worked = row.text("answer")?;
    let prompt = ask(row.text("question")?);
    let mut record = row.record(prompt);
    record.answer = Some(final_answer(&worked, "####").ok_or("no final answer")?);
    record.responses.push(Response { label: Some(true), ..Response::new(answer(worked)) });
    Ok(record)
}

fn solutions(row: &mut Row<'_>) -> Result<Record, Fault> {
    let truth = row.text("ground_truth")?;
    let prompt = ask(row.text("question")?);
    let mut record = row.record(prompt);
    record.answer = Some(final_answer(&truth, "A:").ok_or("no final answer")?);
    for (name, cell) in row.names.iter().zip(std::mem::take(&mut row.cells)) {
        if let (Some(text), Some(label)) = (cell.get("solution").and_then(Value::text), cell.get("is_correct")) {
            let Value::Bool(label) = *label else {
                return Err(Fault::Broken(format!("column `{name}`: `is_correct` holds {}", label.kind())));
            };
            let model = Some(name.clone());
            record.responses.push(Response { model, label: Some(label), ..Response::new(answer(text)) });
        }
    }
    Ok(record)
}

fn is_solution(cell: &Value) -> bool {
    cell.get("solution").is_some() && cell.get("is_correct").is_some()
}

/// What follows the last mark, if it is a number.
fn final_answer(text: &str, mark: &str) -> Option<String> {
    let (_, after) = text.rsplit_once(mark)?;
    let answer = after.trim().trim_start_matches('$').replace(',', "");
    answer.parse::<f64>().ok().filter(|value| value.is_finite()).map(|_| answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_answers() {
        for (text, mark, expected) in [
            ("so\n#### 18", "####", Some("18")),
            ("#### 1,234.5 ", "####", Some("1234.5")),
            ("#### -3\n#### $7", "####", Some("7")),
            ("no mark", "####", None),
            ("#### many", "####", None),
            ("A: x\nA: 9", "A:", Some("9")),
        ] {
            assert_eq!(final_answer(text, mark).as_deref(), expected, "{text}");
        }
    }
}
