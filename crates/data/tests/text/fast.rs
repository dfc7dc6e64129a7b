//! The fast path against the tokenizers library: the same ids for any text, the same rows for any pair.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tropism_data::record::{Message, Pair, Source, Text};
use tropism_data::text::{Boundary, PrepareOptions, Tokenizer, tokenize_pairs};

use crate::variants::{changed, golden};

const LLAMA3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn byte_level(expression: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": expression})
}

fn split(pattern: &str) -> Value {
    let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    json!({"type": "Sequence", "pretokenizers": [split, byte_level(false)]})
}

fn digits(single: bool) -> Value {
    let digits = json!({"type": "Digits", "individual_digits": single});
    json!({"type": "Sequence", "pretokenizers": [digits, byte_level(true)]})
}

fn added(content: &str, id: u32, normalized: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": normalized, "special": false})
}

/// Tokenizers of every arrangement that takes the fast path, each with its plain twin.
static ALL: LazyLock<Vec<(&str, Tokenizer, Tokenizer)>> = LazyLock::new(|| {
    let with = |pre_tokenizer: Value| changed(move |json| json["pre_tokenizer"] = pre_tokenizer.clone());
    let qwen = LLAMA3.replace("{1,3}", "");
    let tokenizers = [
        ("gpt2", golden()),
        ("llama3", with(split(LLAMA3))),
        ("qwen", {
            changed(move |json| {
                json["pre_tokenizer"] = split(&qwen);
                json["normalizer"] = json!({"type": "NFC"});
            })
        }),
        ("smollm", with(digits(true))),
        ("runs of digits", with(digits(false))),
        ("added words", {
            changed(|json| {
                let tokens = json["added_tokens"].as_array_mut().unwrap();
                for (id, (text, normalized)) in
                    [("ab", true), ("abc", false), ("  ", false), ("the", true), ("é<|", false)].into_iter().enumerate()
                {
                    tokens.push(added(text, 384 + id as u32, normalized));
                }
            })
        }),
        ("merges ignored", changed(|json| json["model"]["ignore_merges"] = json!(true))),
    ];
    tokenizers.map(|(name, tokenizer)| (name, tokenizer.clone(), tokenizer.by_library())).into()
});

#[test]
fn known_arrangements_are_fast_and_others_are_not() {
    for (name, fast, plain) in ALL.iter() {
        assert!(fast.is_fast() && !plain.is_fast(), "{name}");
    }
    let other: [(&str, fn(&mut Value)); 10] = [
        ("dropout", |json| json["model"]["dropout"] = json!(0.1)),
        ("prefix space", |json| json["pre_tokenizer"]["add_prefix_space"] = json!(true)),
        ("lower case", |json| json["normalizer"] = json!({"type": "Lowercase"})),
        ("another expression", |json| json["pre_tokenizer"] = split(&format!("{LLAMA3}|x"))),
        ("removed delimiters", |json| {
            json["pre_tokenizer"] = split(LLAMA3);
            json["pre_tokenizer"]["pretokenizers"][0]["behavior"] = json!("Removed");
        }),
        ("inverted", |json| {
            json["pre_tokenizer"] = split(LLAMA3);
            json["pre_tokenizer"]["pretokenizers"][0]["invert"] = json!(true);
        }),
        ("no pre-tokeniser", |json| json["pre_tokenizer"] = Value::Null),
        ("stripping token", |json| json["added_tokens"][0]["lstrip"] = json!(true)),
        ("whole words", |json| json["added_tokens"][0]["single_word"] = json!(true)),
        ("white space", |json| json["pre_tokenizer"] = json!({"type": "Whitespace"})),
    ];
    for (name, change) in other {
        let tokenizer = changed(change);
        assert!(!tokenizer.is_fast(), "{name}");
        assert!(tokenizer.encode("Hello, world").is_ok(), "{name}");
    }
}

/// Texts in which all rules meet.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z]{1,9}",
        3 => Just(" ".to_owned()),
        2 => "[ \t\r\n]{1,4}",
        1 => "[\u{a0}\u{2003}\u{3000}\u{85}\u{c}\u{1c}]{1,2}",
        2 => "[0-9]{1,7}",
        1 => "[٠-٩ⅧⅫ½²१]{1,3}",
        2 => "'(s|t|re|ve|m|ll|d|S|LL|Re|vE|ſ|x|sea)",
        2 => "[!-/:-@\\[-`{-~]{1,4}",
        1 => "[éüñçß天気予報한글кот]{1,5}",
        1 => "[🙂👍🏽e\u{301}\u{2126}\u{fb01}\u{1100}\u{1161}\u{200b}]{1,3}",
        1 => prop_oneof![Just("<|im_start|>"), Just("<|im_end|>"), Just("<pad>"), Just("<|im_"), Just("abc"), Just("the")]
            .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn message(role: &'static str) -> impl Strategy<Value = Message> {
    text().prop_map(move |content| Message::new(role, content))
}

fn pair() -> impl Strategy<Value = Pair> {
    let chat = (prop::collection::vec(message("user"), 1..4), message("assistant"), message("assistant"))
        .prop_map(|(prompt, chosen, rejected)| [prompt, vec![chosen], vec![rejected]].map(Text::Chat));
    let plain = (text(), text(), text()).prop_map(|(prompt, chosen, rejected)| [prompt, chosen, rejected].map(Text::Plain));
    prop_oneof![chat, plain].prop_map(|[prompt, chosen, rejected]| Pair {
        source: Source::row("random", 1),
        prompt,
        tools: vec![],
        chosen,
        rejected,
        numbers: Default::default(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn any_text_has_the_librarys_ids(text in text()) {
        for (name, fast, plain) in ALL.iter() {
            prop_assert_eq!(fast.encode(&text).unwrap(), plain.encode(&text).unwrap(), "{}: {:?}", name, text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_pairs_have_the_librarys_rows(pairs in prop::collection::vec(pair(), 1..6), join: bool) {
        let boundary = if join { Boundary::Join } else { Boundary::Drop };
        let options = PrepareOptions { boundary, ..PrepareOptions::default() };
        for (name, fast, plain) in ALL.iter() {
            let rows = |tokenizer| tokenize_pairs(tokenizer, &pairs, options).map_err(|error| error.to_string());
            prop_assert_eq!(rows(fast), rows(plain), "{}", name);
        }
    }

    #[test]
    fn batches_are_single_texts(texts in prop::collection::vec(text(), 0..100)) {
        let (_, fast, _) = &ALL[0];
        let single: Vec<Vec<u32>> = texts.iter().map(|text| fast.encode(text).unwrap()).collect();
        prop_assert_eq!(fast.encode_batch(&texts).unwrap(), single);
    }
}

#[test]
fn every_character_between_others() {
    // all of the planes in use, by a stride that meets every block
    let all: Vec<char> = (0..0x3_2000u32).step_by(7).filter_map(char::from_u32).collect();
    for (name, fast, plain) in ALL.iter() {
        for part in all.chunks(500) {
            let text: String = part.iter().flat_map(|&c| ['a', c, ' ', c, c, '1', c, '\n', '\'']).collect();
            assert_eq!(fast.encode(&text).unwrap(), plain.encode(&text).unwrap(), "{name}: {:?}", part[0]);
        }
    }
}

#[cfg(feature = "files")]
#[test]
fn real_dialogues_have_the_librarys_ids() {
    let folder = std::env::var("TROPISM_DATA").unwrap_or("../shared/data".into());
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let path = path.join("hh-rlhf/harmless-base-test.jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("skipped: {} is missing; set TROPISM_DATA", path.display());
        return;
    };
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    let texts: Vec<String> = text.lines().step_by(16).map(str::to_owned).collect();
    assert!(texts.len() > 100);
    for (name, fast, plain) in ALL.iter() {
        assert!(fast.encode_batch(&texts).unwrap() == plain.encode_batch(&texts).unwrap(), "{name}");
    }
}
