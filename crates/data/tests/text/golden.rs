//! Tokenisation, templates, truncation and collation against figures from TRL and tokenizers.

use std::path::Path;

use serde_json::Value;
use tropism_data::DataError;
use tropism_data::collate::pad_pairs;
use tropism_data::prompt::divide;
use tropism_data::record::{Message, Pair, Source, Text};
use tropism_data::text::{Boundary, PrepareOptions, Tokenizer, tokenize_pair, tokenize_pairs, tokenize_sample};
use tropism_data::tokens::{LengthOptions, TokenPair, Truncation};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");

fn tokenizer() -> Tokenizer {
    Tokenizer::load(&Path::new(GOLDEN).join("tokenizer")).unwrap()
}

fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(Path::new(GOLDEN).join("tokenized.json")).unwrap()).unwrap()
}

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn pair(row: &Value, number: usize) -> Pair {
    let source = Source::row("tokenized.json", number);
    let (chosen, rejected): (Text, Text) = (list(&row["chosen"]), list(&row["rejected"]));
    if !row["prompt"].is_null() {
        return Pair {
            source,
            prompt: list(&row["prompt"]),
            tools: Default::default(),
            chosen,
            rejected,
            numbers: Default::default(),
        };
    }
    let (Text::Chat(chosen), Text::Chat(rejected)) = (chosen, rejected) else { panic!("plain row without prompt") };
    let parts = divide(chosen, rejected).unwrap();
    let [prompt, chosen, rejected] = [parts.prompt, parts.chosen, parts.rejected].map(Text::Chat);
    Pair { source, prompt, tools: Default::default(), chosen, rejected, numbers: Default::default() }
}

fn pairs(golden: &Value, section: &str) -> Vec<Pair> {
    golden[section].as_array().unwrap().iter().enumerate().map(|(i, entry)| pair(&entry["row"], i + 1)).collect()
}

#[test]
fn encode_and_decode() {
    let (tokenizer, golden) = (tokenizer(), golden());
    let entries = golden["encode"].as_array().unwrap();
    assert_eq!(entries.len(), 13);
    let texts: Vec<String> = entries.iter().map(|entry| list(&entry["text"])).collect();
    let batch = tokenizer.encode_batch(&texts).unwrap();
    for (entry, batched) in entries.iter().zip(batch) {
        let ids = tokenizer.encode(entry["text"].as_str().unwrap()).unwrap();
        assert_eq!(ids, list::<Vec<u32>>(&entry["ids"]));
        assert_eq!(ids, batched);
        let tokens: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
        assert_eq!(tokens, list::<Vec<String>>(&entry["tokens"]));
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), entry["decoded"].as_str().unwrap());
    }
    for (token, id) in golden["special_ids"].as_object().unwrap() {
        assert_eq!(tokenizer.encode(token).unwrap(), [id.as_u64().unwrap() as u32]);
    }
}

#[test]
fn chat_template() {
    let (tokenizer, golden) = (tokenizer(), golden());
    let entries = golden["chat_template"].as_array().unwrap();
    assert_eq!(entries.len(), 6);
    for entry in entries {
        let messages: Vec<Message> = list(&entry["messages"]);
        let (_, prompt) = messages.split_last().unwrap();
        assert_eq!(tokenizer.render(prompt, true).unwrap(), entry["prompt_text"].as_str().unwrap());
        assert_eq!(tokenizer.render(&messages, false).unwrap(), entry["full_text"].as_str().unwrap());
    }
}

#[test]
fn rows_of_every_section() {
    let (tokenizer, golden) = (tokenizer(), golden());
    for (section, count) in [("conversational", 6), ("implicit_prompt", 2), ("plain", 4)] {
        let entries = golden[section].as_array().unwrap();
        let pairs = pairs(&golden, section);
        assert_eq!(pairs.len(), count);
        for (entry, pair) in entries.iter().zip(&pairs) {
            if section == "plain" && pair.source.row == MERGED {
                continue;
            }
            let found = tokenize_pair(&tokenizer, pair).unwrap();
            for (name, ids) in [("prompt", &found.prompt), ("chosen", &found.chosen), ("rejected", &found.rejected)] {
                assert_eq!(*ids, list::<Vec<u32>>(&entry[format!("{name}_ids")]), "{section} {} {name}", pair.source);
                let text = entry[format!("{name}_text")].as_str().unwrap();
                assert_eq!(tokenizer.decode(ids, false).unwrap(), text);
            }
            let chosen = tokenize_sample(&tokenizer, &pair.chosen_sample()).unwrap();
            assert_eq!(chosen, found.chosen_sample());
            let rejected = tokenize_sample(&tokenizer, &pair.rejected_sample()).unwrap();
            assert_eq!(rejected, found.rejected_sample());
        }
    }
}

/// The plain row whose last prompt token and first completion token merge: TRL cuts it by count and loses characters.
const MERGED: usize = 4;

#[test]
fn the_row_that_trl_cuts_within_a_token() {
    let (tokenizer, golden) = (tokenizer(), golden());
    let pairs = pairs(&golden, "plain");
    let entry = &golden["plain"][MERGED - 1];
    let error = tokenize_pair(&tokenizer, &pairs[MERGED - 1]).unwrap_err();
    let DataError::Boundary { at, position, prompt, whole } = &error else { panic!("{error}") };
    let expected: Vec<u32> = list(&entry["prompt_ids"]);
    assert_eq!((at.row, *position), (MERGED, expected.len() - 1));
    assert!(prompt.contains(&format!("{} ", expected[*position])) && !whole.is_empty(), "{error}");
    assert!(error.to_string().contains("tokenized.json, row 4: the tokens of the prompt"), "{error}");
    assert!(matches!(tokenize_pairs(&tokenizer, &pairs, &LengthOptions::default()), Err(DataError::Boundary { .. })));

    let prepare =
        |boundary| tokenize_pairs(&tokenizer, &pairs, PrepareOptions { boundary, ..PrepareOptions::default() }).unwrap();
    let (kept, audit) = prepare(Boundary::Drop);
    assert_eq!(kept.iter().map(|pair| pair.source.row).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(audit.dropped["prompt and completion merge in a token"].rows, [MERGED]);
    // row 2 of the plain rows writes the EOS token out
    assert_eq!(audit.notes["special token written in the text"].rows, [2]);

    let (kept, audit) = prepare(Boundary::Join);
    assert_eq!(audit.notes["completion joined where it merges with the prompt"].rows, [MERGED]);
    let (joined, row) = (&kept[MERGED - 1], &entry["row"]);
    assert_eq!(joined.prompt, expected);
    let mut lost = 0;
    for (ids, name) in [(&joined.chosen, "chosen"), (&joined.rejected, "rejected")] {
        let text = [row["prompt"].as_str().unwrap(), row[name].as_str().unwrap(), "<|im_end|>"].concat();
        assert_eq!(tokenizer.decode(&[&expected[..], ids].concat(), false).unwrap(), text);
        let trl = [expected.clone(), list(&entry[format!("{name}_ids")])].concat();
        lost += usize::from(tokenizer.decode(&trl, false).unwrap() != text);
    }
    assert!(lost > 0, "TRL lost nothing in this row");
}

#[test]
fn batches() {
    let (tokenizer, golden) = (tokenizer(), golden());
    let pairs = pairs(&golden, "conversational");
    let entries = golden["batches"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        let truncation: Truncation = list(&entry["truncation_mode"]);
        let options = LengthOptions { max_length: list(&entry["max_length"]), truncation };
        let (kept, audit) = tokenize_pairs(&tokenizer, &pairs, &options).unwrap();
        let rows: Vec<usize> = kept.iter().map(|pair: &TokenPair| pair.source.row - 1).collect();
        assert_eq!(rows, list::<Vec<usize>>(&entry["kept_rows"]));
        assert_eq!(audit.kept, rows.len());
        assert_eq!(audit.dropped_count(), pairs.len() - rows.len());
        assert!(audit.notes.is_empty(), "{audit:?}");
        assert_eq!(audit.cut.longest, 151);
        let padded = pad_pairs(&kept, tokenizer.pad_id().unwrap());
        assert_eq!(padded.input_ids, list::<Vec<Vec<u32>>>(&entry["input_ids"]));
        assert_eq!(padded.attention_mask, list::<Vec<Vec<u8>>>(&entry["attention_mask"]));
        assert_eq!(padded.completion_mask, list::<Vec<Vec<u8>>>(&entry["completion_mask"]));
    }
}
