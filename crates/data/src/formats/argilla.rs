//! Argilla's mixes: pairs with a rating of each side, under the names that the releases use.
//!
//! `chosen-rating` (ultrafeedback-binarized-preferences-cleaned), `chosen_rating` (dpo-mix-7k), `rating_chosen`
//! (distilabel's Capybara pairs).

use super::row::{Fault, Row};
use super::{Format, Spec, Want, trl};
use crate::record::Record;

pub(super) const SPECS: &[Spec] = &[
    Spec {
        optional: &[
            ("prompt", Want::Text),
            ("source", Want::Text),
            ("chosen-model", Want::Text),
            ("rejected-model", Want::Text),
        ],
        before: &[Format::Preference, Format::PromptOnly],
        ..Spec::new(
            Format::Argilla,
            &[
                ("chosen", Want::Chat),
                ("rejected", Want::Chat),
                ("chosen-rating", Want::Number),
                ("rejected-rating", Want::Number),
            ],
            |row| read(row, ["chosen-rating", "rejected-rating"], ["chosen-model", "rejected-model"], "source"),
        )
    },
    Spec {
        optional: &[("prompt", Want::Text), ("dataset", Want::Text)],
        before: &[Format::Preference, Format::PromptOnly],
        ..Spec::new(
            Format::Argilla,
            &[
                ("chosen", Want::Chat),
                ("rejected", Want::Chat),
                ("chosen_rating", Want::Number),
                ("rejected_rating", Want::Number),
            ],
            |row| read(row, ["chosen_rating", "rejected_rating"], ["chosen_model", "rejected_model"], "dataset"),
        )
    },
    Spec {
        optional: &[
            ("prompt", Want::Text),
            ("source", Want::Text),
            ("chosen_model", Want::Text),
            ("rejected_model", Want::Text),
        ],
        before: &[Format::Preference, Format::PromptOnly],
        ..Spec::new(
            Format::Argilla,
            &[
                ("chosen", Want::Chat),
                ("rejected", Want::Chat),
                ("rating_chosen", Want::Number),
                ("rating_rejected", Want::Number),
            ],
            |row| read(row, ["rating_chosen", "rating_rejected"], ["chosen_model", "rejected_model"], "source"),
        )
    },
];

fn read(row: &mut Row<'_>, ratings: [&str; 2], models: [&str; 2], origin: &str) -> Result<Record, Fault> {
    // the messages hold the prompt themselves
    row.take("prompt");
    let mut record = trl::preference(row)?;
    record.origin = row.text_if_any(origin)?;
    for (at, response) in record.responses.iter_mut().enumerate() {
        response.score = row.number_if_any(ratings[at])?;
        response.model = row.text_if_any(models[at])?;
    }
    Ok(record)
}
