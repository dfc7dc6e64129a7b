//! Words of texts, and hashes of runs of them.

use crate::record::{Message, Record, Text};

/// Words of a text: runs of letters and digits, in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The texts of a record, each by itself: no run of words spans two of them.
pub(super) fn texts(record: &Record) -> Vec<&str> {
    let mut found = texts_of(&record.prompt);
    record.responses.iter().for_each(|response| found.extend(texts_of(&response.content)));
    found
}

/// The texts of a prompt or response.
pub(super) fn texts_of(text: &Text) -> Vec<&str> {
    match text {
        Text::Plain(text) => vec![text],
        Text::Chat(messages) => messages.iter().map(|message: &Message| message.content.as_str()).collect(),
    }
}

/// Hashes of the words of a text: FNV-1a, 64 bits, so that results do not change with a library.
pub(super) fn hashes(text: &str) -> Vec<u64> {
    let hash = |word: String| {
        word.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    words(text).map(hash).collect()
}

/// Hash of a run of words.
pub(super) fn run(words: &[u64]) -> u64 {
    words.iter().fold(words.len() as u64, |hash, word| mix(hash ^ *word))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input reaches every bit of the output.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits() {
        let found: Vec<String> = words("It's 3.5 — ÄPFEL, x_y!").collect();
        assert_eq!(found, ["it", "s", "3", "5", "äpfel", "x", "y"]);
        assert_eq!(hashes("a B"), hashes("A, b?"));
    }

    #[test]
    fn runs_depend_on_order_and_length() {
        let (a, b) = (hashes("a")[0], hashes("b")[0]);
        assert_ne!(run(&[a, b]), run(&[b, a]));
        assert_ne!(run(&[a]), run(&[a, a]));
        // reference values of SplitMix64 from state 0: the finaliser of the golden ratio
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        // FNV-1a of "a"
        assert_eq!(a, 0xaf63_dc4c_8601_ec8c);
    }
}
