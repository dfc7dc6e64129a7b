//! What a tokenizer's file says about added tokens and words, where it is a combination that can be followed by hand.

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

use super::words::Words;

/// Division into numbers and other text before that into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    /// None.
    Together,
    /// Runs of numbers.
    Runs,
    /// Numbers one by one.
    Single,
}

/// How text becomes words and added tokens.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) words: Words,
    pub(super) digits: Digits,
    /// Whether text is brought into Unicode's composed form first.
    pub(super) composed: bool,
    /// Texts of added tokens with their ids: those looked for first, and those looked for in what lies between.
    pub(super) added: Vec<(AhoCorasick, Vec<u32>)>,
}

impl Plan {
    /// The plan of a `tokenizer.json`; none for one that does anything beyond what is followed here.
    ///
    /// Followed: byte-level BPE without dropout; no normaliser, or composition (NFC) with added tokens that
    /// are looked for before it; GPT-2's words, with or without a division at digits, or those of Llama 3 and Qwen;
    /// added tokens that take no white space and may stand within words; whatever is done with the ids afterwards only
    /// adds special tokens, which preparation never asks for.
    pub(super) fn new(json: &Value, id: impl Fn(&str) -> Option<u32>) -> Option<Self> {
        let model = &json["model"];
        if model["type"] != "BPE" || !model["dropout"].is_null() || !adds_only(&json["post_processor"]) {
            return None;
        }
        let composed = match &json["normalizer"] {
            Value::Null => false,
            normalizer if only(normalizer, &["type"]) && normalizer["type"] == "NFC" => true,
            _ => return None,
        };
        let (words, digits) = words(&json["pre_tokenizer"])?;
        let added = added(&json["added_tokens"], composed, id)?;
        Some(Self { words, digits, composed, added })
    }
}

/// True for an object that has none but these keys.
fn only(value: &Value, keys: &[&str]) -> bool {
    value.as_object().is_some_and(|object| object.keys().all(|key| keys.contains(&key.as_str())))
}

fn words(pre_tokenizer: &Value) -> Option<(Words, Digits)> {
    if let Some(words) = byte_level(pre_tokenizer, true) {
        return Some((words, Digits::Together));
    }
    if pre_tokenizer["type"] != "Sequence" || !only(pre_tokenizer, &["type", "pretokenizers"]) {
        return None;
    }
    let [first, second] = &pre_tokenizer["pretokenizers"].as_array()?[..] else {
        return None;
    };
    if first["type"] == "Digits" && only(first, &["type", "individual_digits"]) {
        let digits = if first["individual_digits"].as_bool()? { Digits::Single } else { Digits::Runs };
        return Some((byte_level(second, true)?, digits));
    }
    let split = first["type"] == "Split"
        && first["behavior"] == "Isolated"
        && first["invert"] == false
        && only(first, &["type", "pattern", "behavior", "invert"])
        && only(&first["pattern"], &["Regex"]);
    byte_level(second, false).filter(|_| split)?;
    Some((Words::of_pattern(first["pattern"]["Regex"].as_str()?)?, Digits::Together))
}

/// The words of a byte-level pre-tokeniser that adds no space, with or without its own expression.
fn byte_level(value: &Value, expression: bool) -> Option<Words> {
    let known = value["type"] == "ByteLevel"
        && value["add_prefix_space"] == false
        && value["use_regex"].as_bool().unwrap_or(true) == expression
        && only(value, &["type", "add_prefix_space", "trim_offsets", "use_regex"]);
    known.then_some(Words::Gpt2)
}

/// Whether a post-processor leaves ids alone unless special tokens are asked for.
fn adds_only(value: &Value) -> bool {
    match value["type"].as_str() {
        None => value.is_null(),
        Some("ByteLevel" | "RobertaProcessing" | "BertProcessing") => true,
        Some("Sequence") => value["processors"].as_array().is_some_and(|all| all.iter().all(adds_only)),
        Some("TemplateProcessing") => {
            let sequences =
                value["single"].as_array().map(|pieces| pieces.iter().filter(|p| !p["Sequence"].is_null()).count());
            sequences == Some(1)
        }
        Some(_) => false,
    }
}

fn added(tokens: &Value, composed: bool, id: impl Fn(&str) -> Option<u32>) -> Option<Vec<(AhoCorasick, Vec<u32>)>> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    // special tokens are listed before others, as the library does, should two have the same text
    let tokens = tokens.as_array().map_or(&[][..], Vec::as_slice);
    let (special, other): (Vec<_>, Vec<_>) = tokens.iter().partition(|token| token["special"] == true);
    for token in special.into_iter().chain(other) {
        let flags = ["single_word", "lstrip", "rstrip"];
        let content = token["content"].as_str()?;
        if content.is_empty() || flags.iter().any(|flag| token[flag] != false) {
            return None;
        }
        let list = match token["normalized"].as_bool()? {
            true if composed => return None,
            true => &mut second,
            false => &mut first,
        };
        list.push((content, id(content)?));
    }
    [first, second].into_iter().filter(|list| !list.is_empty()).map(automaton).collect()
}

fn automaton(tokens: Vec<(&str, u32)>) -> Option<(AhoCorasick, Vec<u32>)> {
    let (texts, ids): (Vec<&str>, Vec<u32>) = tokens.into_iter().unzip();
    let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts).ok()?;
    Some((search, ids))
}
