//! Tokenised rows: encoding, template, prompts and completions, padded batches.
use super::{Tally, broken, read};
use crate::error::XtaskError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use tropism_data::collate::pad_pairs;
use tropism_data::prompt::divide;
use tropism_data::record::{Message, Pair, Source, Text};
use tropism_data::text::{Tokenizer, tokenize_pair, tokenize_pairs};
use tropism_data::tokens::LengthOptions;

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
            let found = tokenize_pair(self.tokenizer, &self.pair(&e["row"], i + 1)?)?;
            for (name, ids) in [("prompt", &found.prompt), ("chosen", &found.chosen), ("rejected", &found.rejected)] {
                tally.add(&format!("{id}/{name}"), differs(ids, &self.get(&e[format!("{name}_ids")])?));
            }
        }
        Ok(())
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
