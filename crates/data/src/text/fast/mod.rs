//! Tokenisation of byte-level BPE without the general pipeline of the tokenizers library.
//!
//! The library keeps, for every character, where it came from, and builds strings and offsets that nobody reads here. This
//! path follows the same steps on plain text: added tokens, words, and for each word its ids, from a cache or from
//! the library's own model. It is taken for tokenizers whose steps are known (see [`Plan`]) and gives the same ids,
//! which is tested against the library on random texts, and checked on some when a tokenizer is loaded.

mod cache;
mod classes;
mod composed;
mod plan;
mod words;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokenizers::Model;

use cache::Cache;
use classes::{CLASSES, Classes};
use plan::{Digits, Plan};

/// Why a text could not be tokenised.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A stretch of a text: an added token, or text between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Id of an added token.
    id: Option<u32>,
}

/// The fast path of one tokenizer, with the caches of its workers.
pub(super) struct Fast {
    plan: Plan,
    classes: &'static Classes,
    byte_chars: [char; 256],
    idle: Mutex<Vec<Worker>>,
}

/// What one thread needs to tokenise.
pub(super) struct Worker {
    cache: Cache,
    written: String,
}

impl fmt::Debug for Fast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fast").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Fast {
    /// The fast path of a tokenizer given with its file; none where there is none, or where it would not give the ids
    /// that the library gives.
    pub(super) fn new(inner: &tokenizers::Tokenizer, file: &[u8]) -> Option<Self> {
        let json = serde_json::from_slice(file).ok()?;
        let plan = Plan::new(&json, |token| inner.token_to_id(token))?;
        let fast = Self { plan, classes: CLASSES.as_ref()?, byte_chars: byte_chars(), idle: Mutex::default() };
        fast.agrees(inner).then_some(fast)
    }

    /// Compares ids with the library's on texts that touch every rule.
    fn agrees(&self, inner: &tokenizers::Tokenizer) -> bool {
        let added: Vec<String> = inner.get_added_tokens_decoder().into_values().map(|token| token.content).collect();
        let mut texts: Vec<String> = PROBES.iter().map(|&text| text.to_owned()).collect();
        texts.extend(added.iter().take(16).map(|token| format!(" a{token}{token} \n{token}b1234")));
        let mut worker = Worker::new();
        texts.iter().all(|text| {
            let mut ids = Vec::new();
            let own = self.encode(inner, &mut worker, text, &mut ids);
            let library = inner.encode_fast(text.as_str(), false);
            own.is_ok() && library.is_ok_and(|encoding| encoding.get_ids() == ids)
        })
    }

    /// Takes an idle worker, or makes one.
    pub(super) fn worker(&self) -> Worker {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().unwrap_or_else(Worker::new)
    }

    /// Gives a worker back, with what it has learnt.
    pub(super) fn give_back(&self, worker: Worker) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    /// Appends the ids of a text.
    pub(super) fn encode(
        &self,
        inner: &tokenizers::Tokenizer,
        worker: &mut Worker,
        text: &str,
        ids: &mut Vec<u32>,
    ) -> Result<(), Failure> {
        let mut stretches = Vec::new();
        self.stretches(text, &mut stretches);
        stretches.into_iter().try_for_each(|stretch| self.encode_stretch(inner, worker, text, stretch, ids))
    }

    /// Divides a text at its added tokens; the stretches cover it in order.
    pub(super) fn stretches(&self, text: &str, found: &mut Vec<Stretch>) {
        found.clear();
        self.divide(text, 0, text.len(), 0, found);
    }

    /// Divides a part of a text by the given list of added tokens and those after it.
    fn divide(&self, text: &str, start: usize, end: usize, list: usize, found: &mut Vec<Stretch>) {
        if start == end {
            return;
        }
        let Some((search, ids)) = self.plan.added.get(list) else {
            found.push(Stretch { start, end, id: None });
            return;
        };
        let mut at = start;
        for token in search.find_iter(&text[start..end]) {
            self.divide(text, at, start + token.start(), list + 1, found);
            at = start + token.end();
            found.push(Stretch { start: start + token.start(), end: at, id: Some(ids[token.pattern().as_usize()]) });
        }
        self.divide(text, at, end, list + 1, found);
    }

    /// Appends the ids of one stretch.
    pub(super) fn encode_stretch(
        &self,
        inner: &tokenizers::Tokenizer,
        worker: &mut Worker,
        text: &str,
        stretch: Stretch,
        ids: &mut Vec<u32>,
    ) -> Result<(), Failure> {
        if let Some(id) = stretch.id {
            ids.push(id);
            return Ok(());
        }
        let part = &text[stretch.start..stretch.end];
        if self.plan.composed && !composed::is_composed(part) {
            ids.extend_from_slice(inner.encode_fast(part, false)?.get_ids());
            return Ok(());
        }
        match self.plan.digits {
            Digits::Together => self.encode_words(inner, worker, part, ids),
            digits => parts_at_digits(part, digits == Digits::Single, |part| self.encode_words(inner, worker, part, ids)),
        }
    }

    fn encode_words(
        &self,
        inner: &tokenizers::Tokenizer,
        worker: &mut Worker,
        text: &str,
        ids: &mut Vec<u32>,
    ) -> Result<(), Failure> {
        let mut at = 0;
        while at < text.len() {
            let end = self.plan.words.end(self.classes, text, at);
            let word = &text.as_bytes()[at..end];
            let written = &mut worker.written;
            worker.cache.get(word, ids, |ids| {
                written.clear();
                written.extend(word.iter().map(|&byte| self.byte_chars[byte as usize]));
                ids.extend(inner.get_model().tokenize(written)?.iter().map(|token| token.id));
                Ok::<(), Failure>(())
            })?;
            at = end;
        }
        Ok(())
    }
}

impl Worker {
    fn new() -> Self {
        Self { cache: Cache::new(), written: String::new() }
    }
}

/// Hands on the numbers of a text, one by one or in runs, and what lies between.
fn parts_at_digits(text: &str, single: bool, mut each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first.is_numeric() {
            true if single => first.len_utf8(),
            numeric => rest.find(|c: char| c.is_numeric() != numeric).unwrap_or(rest.len()),
        };
        each(&rest[..end])?;
        rest = &rest[end..];
    }
    Ok(())
}

/// The character by which byte-level vocabularies write each byte: itself where it is printable, else one from 256 on.
fn byte_chars() -> [char; 256] {
    let mut next = 256;
    std::array::from_fn(|byte| {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable { byte as u32 } else { next };
        next += u32::from(!printable);
        char::from_u32(code).unwrap_or_default()
    })
}

/// Texts that touch every rule by which words are made.
const PROBES: [&str; 12] = [
    "",
    " ",
    "Hello, world! It's 1234567 o'clock; we'll've DON'T 'SO' it'ſ.",
    "  two  spaces \t tabs\t\tx\r\n\r\nlines \n  x \n",
    "naïve café — “quotes” … €5 ½ Ⅷ x² 天気予報 🙂👍🏽 e\u{301} \u{2126}",
    "a\u{a0}b\u{3000}\u{2003}c \u{200b}d\u{85}\u{1c}e",
    "fn main() { println!(\"{:?}\", x[0]); }\n\n\n// ---- *** ====\n",
    "!!!\n\n???\r\n x\n\n\ny   ",
    "'re 'RE 'x ''s 's",
    "१२३ 12 三 ١٢٣ Ⅻ1a2b",
    "trailing   ",
    "\0\u{7f}\u{10ffff}",
];
