//! HH-RLHF (Anthropic): `chosen` and `rejected` are whole dialogues of one string.
//!
//! The prompt is the longest run of leading turns that both sides share. Source: the data set; the reference code of DPO
//! cuts at the last `Assistant:` of the chosen side instead, which cuts the rejected side wrongly where the two part earlier.

use super::detect::Seen;
use super::row::{Fault, Row, ranked};
use super::{Format, Spec, Want};
use crate::hh;
use crate::record::{Record, Response};

pub(super) const SPECS: &[Spec] = &[Spec {
    before: &[Format::Preference],
    holds: Some(|seen: &Seen<'_>| !seen.has("prompt") && seen.text("chosen").is_some_and(hh::is_dialogue)),
    ..Spec::new(Format::Hh, &[("chosen", Want::Text), ("rejected", Want::Text)], read)
}];

fn read(row: &mut Row<'_>) -> Result<Record, Fault> {
    let (chosen, rejected) = (row.text("chosen")?, row.text("rejected")?);
    let pair = hh::pair(row.source.clone(), &chosen, &rejected)?;
    let mut record = row.record(pair.prompt);
    record.responses = ranked([pair.chosen, pair.rejected].map(Response::new), 0);
    Ok(record)
}
