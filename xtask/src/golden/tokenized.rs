//! Tokenised rows: encoding, template, prompts and completions, padded batches.
use super::{Tally, broken, read};
use crate::error::XtaskError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use tropism_data::DataError;
use tropism_data::collate::pad_pairs;
use tropism_data::prompt::divide;
use tropism_data::record::{Message, Pair, Source, Text};
use tropism_data::text::{Boundary, Preparation, PrepareOptions, Tokenizer, tokenize_pair, tokenize_pairs};
use tropism_data::tokens::LengthOptions;

/// Why the reference is not followed in some rows: it warns of merged tokens and cuts by count, and the cut loses characters.
const MERGED: &str = "prompt and completion merge in a token; an error instead of a cut that loses characters";

pub(super) fn check(path: &Path, tokenizer: &Path, tally: &mut Tally) -> Result<(), XtaskError> {
    let (file, tokenizer) = (read(path)?, Tokenizer::load(tokenizer)?);
    let c = Check { path, file: &file, tokenizer: &tokenizer };
    c.encode(tally)?;
    c.templates(tally)?;
    for section in ["conversational", "implicit_prompt", "plain"] {
        c.rows(section, tally)?;
    }
    c.batches(tally)
}

struct Check<'a> {
    path: &'a Path,
    file: &'a Value,
    tokenizer: &'a Tokenizer,
}

fn differs<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Option<String> {
    (found != expected).then(|| format!("expected {expected:?}, found {found:?}"))
}

impl Check<'_> {
    fn get<T: DeserializeOwned>(&self, v: &Value) -> Result<T, XtaskError> {
        serde_json::from_value(v.clone()).map_err(|e| broken(self.path, &e.to_string()))
    }

    fn entries(&self, section: &str) -> Vec<(String, &Value)> {
        let list = self.file[section].as_array().into_iter().flatten();
        list.enumerate().map(|(i, v)| (format!("tokenized/{section}/{i}"), v)).collect()
    }

    fn encode(&self, tally: &mut Tally) -> Result<(), XtaskError> {
        for (id, e) in self.entries("encode") {
            let found = self.tokenizer.encode(&self.get::<String>(&e["text"])?)?;
            tally.add(&id, differs(&found, &self.get(&e["ids"])?));
            let decoded = self.tokenizer.decode(&found, false)?;
            tally.add(&format!("{id}/decoded"), differs(&decoded, &self.get(&e["decoded"])?));
        }
        Ok(())
    }

    fn templates(&self, tally: &mut Tally) -> Result<(), XtaskError> {
        for (id, e) in self.entries("chat_template") {
            let messages: Vec<Message> = self.get(&e["messages"])?;
            let prompt = &messages[..messages.len().saturating_sub(1)];
            tally
                .add(&format!("{id}/prompt"), differs(&self.tokenizer.render(prompt, true)?, &self.get(&e["prompt_text"])?));
            tally
                .add(&format!("{id}/full"), differs(&self.tokenizer.render(&messages, false)?, &self.get(&e["full_text"])?));
        }
        Ok(())
    }

    fn pair(&self, row: &Value, number: usize) -> Result<Pair, XtaskError> {
        let source = Source::row(self.path.display().to_string(), number);
        let (chosen, rejected): (Text, Text) = (self.get(&row["chosen"])?, self.get(&row["rejected"])?);
        if !row["prompt"].is_null() {
            return Ok(Pair {
                source,
                prompt: self.get(&row["prompt"])?,
                tools: Default::default(),
                chosen,
                rejected,
                numbers: Default::default(),
            });
        }
        let (Text::Chat(chosen), Text::Chat(rejected)) = (chosen, rejected) else {
            return Err(broken(self.path, &format!("row {number}: plain text without a prompt")));
        };
        let parts = divide(chosen, rejected).map_err(|e| broken(self.path, &format!("row {number}: {e}")))?;
        Ok(Pair {
            source,
            prompt: Text::Chat(parts.prompt),
            tools: Default::default(),
            chosen: Text::Chat(parts.chosen),
            rejected: Text::Chat(parts.rejected),
            numbers: Default::default(),
        })
    }

    fn rows(&self, section: &str, tally: &mut Tally) -> Result<(), XtaskError> {
        for (i, (id, e)) in self.entries(section).into_iter().enumerate() {
            let pair = self.pair(&e["row"], i + 1)?;
            let expected = ["prompt", "chosen", "rejected"].map(|name| self.get::<Vec<u32>>(&e[format!("{name}_ids")]));
            let [prompt, chosen, rejected] = expected;
            let expected = [prompt?, chosen?, rejected?];
            if self.loses_text(&pair, &expected)? {
                let failure = self.merged(&pair, &expected[0]);
                tally.exception(&id, MERGED, failure);
                continue;
            }
            let found = tokenize_pair(self.tokenizer, &pair)?;
            let found = [found.prompt, found.chosen, found.rejected];
            for (name, (found, expected)) in ["prompt", "chosen", "rejected"].iter().zip(found.iter().zip(&expected)) {
                tally.add(&format!("{id}/{name}"), differs(found, expected));
            }
        }
        Ok(())
    }

    /// Whether the reference's ids, decoded, are no longer the row's text.
    fn loses_text(&self, pair: &Pair, [prompt, chosen, rejected]: &[Vec<u32>; 3]) -> Result<bool, XtaskError> {
        let (Text::Plain(before), Some(eos)) = (&pair.prompt, self.tokenizer.eos_token()) else {
            return Ok(false);
        };
        for (side, ids) in [(&pair.chosen, chosen), (&pair.rejected, rejected)] {
            let Text::Plain(side) = side else { return Ok(false) };
            let end = if side.ends_with(eos) { "" } else { eos };
            if self.tokenizer.decode(&[&prompt[..], ids].concat(), false)? != [before.as_str(), side, end].concat() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the project answers where tokens merge across the boundary: an error by default, a counted drop where asked for,
    /// and where asked to join, the prompt's own ids and a completion that loses nothing.
    fn merged(&self, pair: &Pair, prompt: &[u32]) -> Option<String> {
        let prepare = |boundary| {
            let mut all = Preparation::new(self.tokenizer, PrepareOptions { boundary, ..Default::default() })?;
            let kept = all.pairs(std::slice::from_ref(pair))?;
            Ok::<_, DataError>((kept, all.audit().dropped_count()))
        };
        let strict = prepare(Boundary::Error);
        if !matches!(&strict, Err(DataError::Boundary { at, .. }) if at.row == pair.source.row) {
            return Some(format!("expected an error about the boundary, found {strict:?}"));
        }
        match (prepare(Boundary::Drop), prepare(Boundary::Join)) {
            (Ok((none, 1)), Ok((joined, 0))) if none.is_empty() && joined.len() == 1 => {
                let ids = [&joined[0].prompt[..], &joined[0].chosen, &joined[0].rejected];
                let lost = self.loses_text(pair, &ids.map(<[u32]>::to_vec));
                (ids[0] != prompt || !matches!(lost, Ok(false))).then(|| format!("joined, the row became {ids:?}"))
            }
            other => Some(format!("expected one row dropped and one joined, found {other:?}")),
        }
    }

    fn batches(&self, tally: &mut Tally) -> Result<(), XtaskError> {
        let rows = self.entries("conversational").into_iter().enumerate();
        let pairs: Vec<Pair> = rows.map(|(i, (_, e))| self.pair(&e["row"], i + 1)).collect::<Result<_, _>>()?;
        let pad = self.tokenizer.pad_id().ok_or_else(|| broken(self.path, "the tokenizer has no padding token"))?;
        for (id, e) in self.entries("batches") {
            let options =
                LengthOptions { max_length: self.get(&e["max_length"])?, truncation: self.get(&e["truncation_mode"])? };
            let (kept, _) = tokenize_pairs(self.tokenizer, &pairs, &options)?;
            let rows: Vec<usize> = kept.iter().map(|p| p.source.row - 1).collect();
            tally.add(&format!("{id}/kept_rows"), differs(&rows, &self.get(&e["kept_rows"])?));
            let padded = pad_pairs(&kept, pad);
            tally.add(&format!("{id}/input_ids"), differs(&padded.input_ids, &self.get(&e["input_ids"])?));
            tally.add(&format!("{id}/attention_mask"), differs(&padded.attention_mask, &self.get(&e["attention_mask"])?));
            tally.add(&format!("{id}/completion_mask"), differs(&padded.completion_mask, &self.get(&e["completion_mask"])?));
        }
        Ok(())
    }
}
