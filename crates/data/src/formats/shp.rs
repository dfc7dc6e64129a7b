//! Stanford Human Preferences: two comments on a post, the one with more votes preferred.
//!
//! `score_ratio` comes along as a number of the record: the reference code of DPO keeps ratios of at least 2, which is
//! `minimum.score_ratio = 2` in [`Filter`](crate::hygiene::Filter); `most_per_prompt` there caps the pairs of a post.

use super::conversation::{answer, ask};
use super::row::{Fault, Row, ranked};
use super::{Format, Spec, Want};
use crate::record::{Record, Response};

pub(super) const SPECS: &[Spec] = &[Spec {
    optional: &[
        ("post_id", Want::Scalar),
        ("domain", Want::Text),
        ("score_A", Want::Number),
        ("score_B", Want::Number),
        ("score_ratio", Want::Number),
        ("upvote_ratio", Want::Number),
        ("seconds_difference", Want::Number),
    ],
    ..Spec::new(
        Format::Shp,
        &[("history", Want::Text), ("human_ref_A", Want::Text), ("human_ref_B", Want::Text), ("labels", Want::Flag)],
        read,
    )
}];

fn read(row: &mut Row<'_>) -> Result<Record, Fault> {
    let a_preferred = row.flag("labels")?;
    let mut responses = [Response::new(answer(row.text("human_ref_A")?)), Response::new(answer(row.text("human_ref_B")?))];
    for (response, column) in responses.iter_mut().zip(["score_A", "score_B"]) {
        response.score = row.number_if_any(column)?;
    }
    let prompt = ask(row.text("history")?);
    let mut record = row.record(prompt);
    record.id = row.text_if_any("post_id")?;
    record.origin = row.text_if_any("domain")?;
    record.responses = ranked(responses, usize::from(!a_preferred));
    for column in ["score_ratio", "upvote_ratio", "seconds_difference"] {
        row.keep_number(&mut record, column)?;
    }
    Ok(record)
}
