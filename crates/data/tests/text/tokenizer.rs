//! Tokenizers: loading, saving and training.

use std::path::Path;

use crate::variants::{GOLDEN, golden, variant, with_template};
use serde_json::{Value, json};
use tropism_data::record::Message;
use tropism_data::text::Tokenizer;

const TEXTS: [&str; 3] = ["the rain in Spain stays mainly in the plain", "she sells sea shells", "the sea the sea"];

#[test]
fn saved_files_are_byte_equal() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = golden();
    let target = dir.path().join("deep/er");
    tokenizer.save(&target).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        assert_eq!(std::fs::read(target.join(name)).unwrap(), std::fs::read(Path::new(GOLDEN).join(name)).unwrap());
    }
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 2);
    assert_eq!(Tokenizer::load(&target).unwrap().hash(), tokenizer.hash());
    assert_eq!(tokenizer.vocab_size(), 384);
    assert_eq!((tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()), (None, Some(1), Some(2)));
}

#[test]
fn special_tokens_from_every_place() {
    let objects = variant(|config| config["eos_token"] = json!({"content": "<pad>", "lstrip": false}), &[]).unwrap();
    assert_eq!(objects.eos_id(), Some(2));
    let none = |config: &mut Value| config["eos_token"] = Value::Null;
    assert_eq!(variant(none, &[]).unwrap().eos_id(), None);
    let map = ("special_tokens_map.json", r#"{"eos_token": "<|im_start|>"}"#);
    assert_eq!(variant(|_| {}, &[map]).unwrap().eos_id(), Some(1));
    let generation = ("generation_config.json", r#"{"eos_token_id": [2, 1], "bos_token_id": 0}"#);
    assert_eq!(variant(none, &[map]).unwrap().eos_id(), Some(0));
    let both = variant(none, &[map, generation]).unwrap();
    assert_eq!((both.eos_id(), both.bos_id()), (Some(0), Some(0)));
    assert_eq!(variant(none, &[generation]).unwrap().eos_token(), Some("<pad>"));
    let error = variant(|config| config["pad_token"] = json!("<none>"), &[]).unwrap_err().to_string();
    assert!(error.contains("pad_token \"<none>\" is not in the vocabulary"), "{error}");
}

#[test]
fn templates_from_every_place() {
    let user = [Message::new("user", "x")];
    let file = ("chat_template.jinja", "file:{{ messages[0].content }}");
    let tokenizer = variant(|_| {}, &[file]).unwrap();
    assert_eq!(tokenizer.render(&user, false).unwrap(), "file:x");
    let named = |config: &mut Value| {
        config["chat_template"] =
            json!([{"name": "tools", "template": "t"}, {"name": "default", "template": "d{{ eos_token }}"}]);
    };
    assert_eq!(variant(named, &[]).unwrap().render(&user, false).unwrap(), "d<|im_end|>");
    let none = variant(|config| config["chat_template"] = Value::Null, &[]).unwrap();
    assert!(!none.has_template());
    assert!(none.render(&user, false).unwrap_err().to_string().contains("has none"));
    // a template that does not compile matters only to those who render
    let broken = with_template("{% if %}");
    assert!(broken.encode("x").is_ok());
    assert!(broken.render(&user, false).unwrap_err().to_string().contains("does not compile"));
    assert!(variant(|config| config["chat_template"] = json!([{"name": "a", "template": ""}]), &[]).is_err());
}

#[test]
fn broken_folders() {
    let dir = tempfile::tempdir().unwrap();
    let error = Tokenizer::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json") && error.contains("cannot be read"), "{error}");
    std::fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
    assert!(Tokenizer::load(dir.path()).unwrap_err().to_string().contains("tokenizer.json: "));
    let error = variant(|_| {}, &[("generation_config.json", "{")]).unwrap_err().to_string();
    assert!(error.contains("generation_config.json: "), "{error}");
}

#[test]
fn training_is_deterministic_and_round_trips() {
    let train = |size| Tokenizer::train(TEXTS.into_iter(), size).unwrap();
    let tokenizer = train(266);
    assert_eq!(tokenizer.hash(), train(266).hash());
    assert_ne!(tokenizer.hash(), train(265).hash());
    assert_eq!(tokenizer.vocab_size(), 266);
    assert_eq!((tokenizer.eos_id(), tokenizer.pad_id(), tokenizer.bos_id()), (Some(1), Some(2), None));
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let loaded = Tokenizer::load(dir.path()).unwrap();
    for text in [TEXTS[0], "naïve 天気 🙂\r\n\0", "", "<|im_start|>user\n<pad>"] {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(loaded.encode(text).unwrap(), ids);
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
    assert_eq!(tokenizer.decode(&tokenizer.encode("a<|im_end|>").unwrap(), true).unwrap(), "a");
    let messages = [Message::new("system", "s"), Message::new("user", "u")];
    assert_eq!(tokenizer.render(&messages, true).unwrap(), golden().render(&messages, true).unwrap());
    assert!(tokenizer.encode(TEXTS[0]).unwrap().len() < TEXTS[0].len());
    // no pair occurs twice in nothing: the bytes remain
    assert_eq!(Tokenizer::train(std::iter::empty(), 1000).unwrap().vocab_size(), 259);
    let error = Tokenizer::train(TEXTS.into_iter(), 258).unwrap_err().to_string();
    assert!(error.contains("`vocab_size` is 258"), "{error}");
}

#[test]
fn limits_stored_in_the_file_are_not_applied() {
    let dir = tempfile::tempdir().unwrap();
    golden().save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["truncation"] = json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                             "pad_id": 2, "pad_type_id": 0, "pad_token": "<pad>"});
    std::fs::write(&path, json.to_string()).unwrap();
    let limited = Tokenizer::load(dir.path()).unwrap();
    for text in ["a", "Hello, world!"] {
        assert_eq!(limited.encode(text).unwrap(), golden().encode(text).unwrap());
        let batch = limited.encode_batch(&[text.to_owned()]).unwrap();
        assert_eq!(batch, [golden().encode(text).unwrap()]);
    }
}

#[test]
fn unknown_ids_are_refused() {
    let error = golden().decode(&[1, 384], false).unwrap_err().to_string();
    assert!(error.contains("384") && error.contains("vocabulary"), "{error}");
}
