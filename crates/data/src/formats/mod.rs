//! The formats in which preference data are published, one file each, and how a file's format is recognised.
//!
//! | format | columns (optional in brackets) | becomes |
//! |---|---|---|
//! | `language_modeling` | `text`, or `messages`, or `conversations` | one response without prompt; of messages, the last assistant turn is the response |
//! | `prompt_only` | `prompt` | no response |
//! | `prompt_completion` | `prompt`, `completion` | one response |
//! | `preference` | (`prompt`), `chosen`, `rejected` | two responses, ranks 1 and 2 |
//! | `unpaired` | `prompt`, `completion`, `label` | one response with a label |
//! | `stepwise` | `prompt`, `completions`, `labels` | one response with labelled steps |
//! | `hh` | `chosen`, `rejected`: dialogues from a human turn on | two responses, ranks 1 and 2 |
//! | `ultrafeedback` | `instruction`, `completions` | rated responses: score, four aspects, critique |
//! | `ultrafeedback_binarized` | `prompt`, `chosen`, `rejected`, `score_chosen`, `score_rejected` | two rated responses |
//! | `helpsteer2` | `prompt`, `response`, five aspects | consecutive rows of a prompt together, aspects, score = helpfulness |
//! | `helpsteer2_preference` | `prompt`, `response_1`, `response_2`, `preference_strength` | two responses, ranks by the sign |
//! | `safe_rlhf` | `prompt`, `response_0`, `response_1`, `better_response_id`, `safer_response_id`, … | two responses; aspects `better`, `safer`, `safe` |
//! | `beavertails` | `prompt`, `response`, `is_safe`, `category` | one response, label safe, one aspect per category |
//! | `nectar` | `prompt`, `answers` | ranked responses |
//! | `shp` | `history`, `human_ref_A`, `human_ref_B`, `labels`, (`score_ratio`, …) | two responses with votes as score |
//! | `summarize_from_feedback` | `info`, `summaries`, `choice` | two responses, ranks 1 and 2 |
//! | `summarize_from_feedback_axis` | `info`, `summary` | one response, aspects by axis |
//! | `argilla` | `chosen`, `rejected`, a rating of each, (`prompt`, `dataset`, models) | two rated responses |
//! | `orca_pairs` | `system`, `question` or `input`, `chosen`, `rejected` | two responses after a system message |
//! | `on_policy` | `prompt`, `all_generated_responses`, `all_rm_scores` | scored responses |
//! | `alpaca_eval` | `instruction`, `responses` | responses with model and preference as score |
//! | `alpaca_eval_annotations` | `instruction`, `output_1`, `output_2`, `preference` | two responses, ranks by the preference |
//! | `gsm8k` | `question`, `answer` with a final answer after `####` | one right response, final answer |
//! | `gsm8k_solutions` | `question`, `ground_truth`, a column for each model's solution | labelled responses, final answer |
//!
//! Instructions become one user turn and their answers assistant turns, ready for a chat template; `preference`,
//! `prompt_completion`, `unpaired` and `prompt_only` keep text as text and messages as messages. Ratings stay on the
//! scale of the file.
//!
//! A format fits a file where all its columns are there with cells of a kind that it can read. A format that reads more
//! of the same columns goes before a more general one (`ultrafeedback_binarized` before `preference`): the table in
//! each file under `formats` says over which. Where two formats fit and neither goes before the other, nothing is
//! guessed: the error lists them, and `format` in [`ReadOptions`](crate::read::ReadOptions) chooses.

mod alpaca_eval;
mod argilla;
mod conversation;
mod detect;
mod gsm8k;
mod helpsteer2;
mod hh;
mod nectar;
mod on_policy;
mod orca;
mod row;
mod safe_rlhf;
mod shp;
mod summarize;
mod trl;
mod ultrafeedback;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::{Record, Value};
pub(crate) use detect::{Seen, detect};
pub(crate) use row::{Fault, Row};

/// How rows are laid out; the module's page describes each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// The one known format that fits the columns.
    #[default]
    Auto,
    /// Text or conversations to imitate as a whole.
    LanguageModeling,
    /// Prompts without responses.
    PromptOnly,
    /// A prompt and its completion.
    PromptCompletion,
    /// A chosen and a rejected side, with or without a prompt column.
    #[serde(alias = "pairs")]
    Preference,
    /// A completion with a verdict.
    Unpaired,
    /// A completion in steps, each with a verdict.
    Stepwise,
    /// Anthropic HH-RLHF: dialogues marked `Human:` and `Assistant:`.
    Hh,
    /// UltraFeedback as published by OpenBMB.
    Ultrafeedback,
    /// UltraFeedback as pairs with two scores.
    UltrafeedbackBinarized,
    /// HelpSteer2 ratings of single responses; HelpSteer has the same columns.
    Helpsteer2,
    /// HelpSteer2 preferences with a strength from −3 to 3.
    Helpsteer2Preference,
    /// PKU-SafeRLHF.
    SafeRlhf,
    /// BeaverTails.
    Beavertails,
    /// Nectar: seven ranked answers.
    Nectar,
    /// Stanford Human Preferences.
    Shp,
    /// OpenAI's comparisons of summaries.
    SummarizeFromFeedback,
    /// OpenAI's ratings of summaries by axis.
    SummarizeFromFeedbackAxis,
    /// Argilla's mixes: pairs with a rating of each side.
    Argilla,
    /// Orca pairs: system, question, two answers.
    OrcaPairs,
    /// Samples of one policy with reward-model scores, as SimPO's recipe writes them.
    OnPolicy,
    /// Lists of responses with AlpacaEval preferences.
    AlpacaEval,
    /// AlpacaEval's own annotations of two outputs.
    AlpacaEvalAnnotations,
    /// GSM8K problems with worked answers.
    Gsm8k,
    /// GSM8K problems with several models' solutions, marked right or wrong.
    Gsm8kSolutions,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        f.write_str(name.as_str().unwrap_or_default())
    }
}

impl Format {
    /// All formats that a file can have.
    pub fn all() -> Vec<Format> {
        let mut found: Vec<Format> = specs().iter().map(|spec| spec.format).collect();
        found.dedup();
        found
    }

    /// Names of the columns that the format reads, those it needs first; more than one row where it has variants.
    pub fn columns(self) -> Vec<Vec<&'static str>> {
        let of = |spec: &Spec| spec.required.iter().chain(spec.optional).map(|(name, _)| *name).collect();
        specs().iter().filter(|spec| spec.format == self).map(|spec| of(spec)).collect()
    }
}

/// Kinds of cells that a format can read in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Text,
    Chat,
    TextOrChat,
    /// Text or a number, such as an id.
    Scalar,
    Number,
    /// True or false, or 1 or 0.
    Flag,
    /// A list of anything, of messages too.
    List,
    Object,
}

impl Want {
    /// Whether a cell is of the kind; null fits all.
    pub(crate) fn accepts(self, cell: &Value) -> bool {
        match cell {
            Value::Null => true,
            Value::Text(_) => matches!(self, Self::Text | Self::TextOrChat | Self::Scalar),
            Value::Int(0 | 1) => matches!(self, Self::Number | Self::Flag | Self::Scalar),
            Value::Int(_) | Value::Large(_) | Value::Float(_) => matches!(self, Self::Number | Self::Scalar),
            Value::Bool(_) => self == Self::Flag,
            Value::List(items) => {
                self == Self::List || matches!(self, Self::Chat | Self::TextOrChat) && conversation::is_chat(items)
            }
            Value::Object(_) => self == Self::Object,
        }
    }

    /// The kind in words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Chat => "a list of messages with `role` and `content`",
            Self::TextOrChat => "text or a list of messages with `role` and `content`",
            Self::Scalar => "text or a number",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

type Wanted = &'static [(&'static str, Want)];

/// A variant of a format.
pub(crate) struct Spec {
    pub(crate) format: Format,
    /// Columns that a file must have.
    pub(crate) required: Wanted,
    /// Columns that are read where they are there.
    pub(crate) optional: Wanted,
    /// More general formats that this one goes before where both fit.
    pub(crate) before: &'static [Format],
    /// What else must hold of the first cells, beyond their kinds.
    pub(crate) holds: Option<fn(&detect::Seen<'_>) -> bool>,
    /// True where columns of any name are read.
    pub(crate) all_columns: bool,
    /// True where consecutive rows of one prompt are one record.
    pub(crate) merge: bool,
    /// Turns a row into a record.
    pub(crate) read: fn(&mut Row<'_>) -> Result<Record, Fault>,
}

impl Spec {
    /// A variant that reads its columns and no others, row by row.
    const fn new(format: Format, required: Wanted, read: fn(&mut Row<'_>) -> Result<Record, Fault>) -> Self {
        Self { format, required, optional: &[], before: &[], holds: None, all_columns: false, merge: false, read }
    }

    /// Columns with the kinds that it reads.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (&'static str, Want)> {
        self.required.iter().chain(self.optional).copied()
    }
}

/// All variants of all formats.
pub(crate) fn specs() -> Vec<&'static Spec> {
    let families: [&'static [Spec]; 13] = [
        trl::SPECS,
        hh::SPECS,
        ultrafeedback::SPECS,
        helpsteer2::SPECS,
        safe_rlhf::SPECS,
        nectar::SPECS,
        shp::SPECS,
        summarize::SPECS,
        argilla::SPECS,
        orca::SPECS,
        on_policy::SPECS,
        alpaca_eval::SPECS,
        gsm8k::SPECS,
    ];
    families.iter().flat_map(|family| family.iter()).collect()
}
