//! Built-in templates against figures of transformers, and what a tokenizer does with templates.

use serde_json::{Value, json};
use tropism_data::record::{self, Message};
use tropism_data::text::{AssistantMask, BuiltIn, TemplateLimits, Tokenizer, tokenize_chat};

use crate::variants::{changed, golden, variant};

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/templates.json");

/// Marks of all built-in templates as special tokens, with `<s>` and `</s>` as BOS and EOS.
fn with_all_marks() -> Tokenizer {
    let marks =
        ["<s>", "</s>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>"];
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = changed(|json| {
        let tokens = json["added_tokens"].as_array_mut().unwrap();
        for (id, mark) in marks.into_iter().enumerate() {
            tokens.push(json!({"id": 384 + id, "content": mark, "single_word": false, "lstrip": false, "rstrip": false,
                               "normalized": false, "special": true}));
        }
    });
    tokenizer.save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    (config["bos_token"], config["eos_token"]) = (json!("<s>"), json!("</s>"));
    std::fs::write(&path, config.to_string()).unwrap();
    Tokenizer::load(dir.path()).unwrap()
}

#[test]
fn built_in_templates_write_what_the_families_write() {
    // the order of keys counts, so the file is read into values that keep it
    let figures: record::Value = serde_json::from_slice(&std::fs::read(FIGURES).unwrap()).unwrap();
    let tokenizer = with_all_marks();
    let (mut texts, mut refusals, mut marked) = (0, 0, 0);
    for entry in figures.get("entries").unwrap().list().unwrap() {
        let template: BuiltIn = entry.get("template").unwrap().text().unwrap().parse().unwrap();
        let tokenizer = tokenizer.clone().with_built_in(template).unwrap();
        let case = format!("{template}, {}", entry.get("case").unwrap());
        let messages = entry.get("messages").unwrap().list().unwrap();
        let messages: Vec<Message> = messages.iter().map(|m| m.clone().try_into().unwrap()).collect();
        let tools = entry.get("tools").and_then(record::Value::list).unwrap_or_default();
        for (key, open) in [("text", false), ("prompt", true)] {
            let found = tokenizer.render_with_tools(&messages, tools, open);
            match entry.get(key).unwrap().text() {
                Some(text) => assert_eq!(found.unwrap(), text, "{case}"),
                None => assert!(found.is_err(), "{case}"),
            }
            texts += usize::from(entry.get(key).unwrap().text().is_some());
            refusals += usize::from(entry.get(key).unwrap().is_null());
        }
        if let Some(written) = entry.get("written").and_then(record::Value::list) {
            marked += usize::from(check_written(&tokenizer, &messages, tools, written, &case));
        }
    }
    assert_eq!((texts, refusals), (112, 16));
    assert!(marked >= 20, "{marked}");
}

/// The masks of both kinds agree with each other, and with what the training templates of TRL say the assistant wrote.
fn check_written(
    tokenizer: &Tokenizer,
    messages: &[Message],
    tools: &[record::Value],
    written: &[record::Value],
    case: &str,
) -> bool {
    let at = record::Source::row("figures", 1);
    let chats =
        [AssistantMask::Tags, AssistantMask::Prefix].map(|mask| tokenize_chat(tokenizer, &at, messages, tools, mask));
    let (Ok(tags), Ok(prefix)) = (&chats[0], &chats[1]) else {
        // a blank beginning of an answer merges with the break before it; nothing may be said by the assistant at all
        for said in chats.iter().filter_map(|chat| chat.as_ref().err()).map(ToString::to_string) {
            // before the first turn there is no text that its opening could continue
            let first = case.contains("assistant first") && said.contains("is not a prefix");
            assert!(
                first || said.contains("merges characters across") || said.contains("no assistant turn"),
                "{case}: {said}"
            );
        }
        return false;
    };
    assert_eq!(tags, prefix, "{case}");
    let trained: Vec<u32> = tags.ids.iter().zip(&tags.mask).filter(|(_, on)| **on).map(|(&id, _)| id).collect();
    // TRL's template for Qwen also trains the break after the role, which the opening of the turn already writes
    let parts: Vec<&str> = written
        .iter()
        .map(|part| part.text().unwrap())
        .map(|part| if case.starts_with("qwen") { part.strip_prefix('\n').unwrap() } else { part })
        .collect();
    assert_eq!(tokenizer.decode(&trained, false).unwrap(), parts.concat(), "{case}");
    true
}

#[test]
fn a_built_in_template_needs_its_tokens() {
    let error = |template| golden().with_built_in(template).unwrap_err().to_string();
    assert!(error(BuiltIn::Llama3).contains("names no bos_token"), "{}", error(BuiltIn::Llama3));
    assert!(error(BuiltIn::Mistral).contains("template mistral"), "{}", error(BuiltIn::Mistral));
    let bos = variant(|config| config["bos_token"] = json!("<pad>"), &[]).unwrap();
    let error = bos.with_built_in(BuiltIn::Gemma).unwrap_err().to_string();
    assert!(error.contains("`<start_of_turn>` is no token"), "{error}");
    for template in BuiltIn::ALL {
        assert_eq!(template.name().parse::<BuiltIn>().unwrap(), template);
        assert_eq!(serde_json::to_value(template).unwrap(), template.name());
        assert!(with_all_marks().with_built_in(template).unwrap().chat_template().unwrap().has_generation_tags());
    }
}

#[test]
fn a_given_template_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = golden().with_built_in(BuiltIn::Qwen).unwrap();
    assert_ne!(tokenizer.hash(), golden().hash());
    tokenizer.save(dir.path()).unwrap();
    let loaded = Tokenizer::load(dir.path()).unwrap();
    assert_eq!(loaded.hash(), tokenizer.hash());
    assert!(loaded.chat_template().unwrap().shows_tools());
    let error = golden().with_template("{% if %}", TemplateLimits::default()).unwrap_err().to_string();
    assert!(error.contains("does not compile"), "{error}");
}

#[test]
fn limits_can_be_set() {
    let limits = TemplateLimits { output: 10, ..TemplateLimits::default() };
    let tokenizer = golden().with_template_limits(limits);
    let error = tokenizer.render(&[Message::new("user", "x")], true).unwrap_err().to_string();
    assert!(error.contains("more than 10 bytes"), "{error}");
    let limits = TemplateLimits { work: 5, ..TemplateLimits::default() };
    let error = golden().with_template_limits(limits).render(&[Message::new("user", "x")], true).unwrap_err().to_string();
    assert!(error.contains("more than 5 units of work"), "{error}");
}
