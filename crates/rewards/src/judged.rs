//! The part of a text that verifiers and rewards look at.

/// Number of characters (Unicode scalar values) of an answer that are looked at.
///
/// A policy may write without end; what stands behind this many characters counts as not written.
pub const JUDGED_CHARACTERS: usize = 8192;

/// The first [`JUDGED_CHARACTERS`] characters of `text`.
///
/// ```
/// use tropism_rewards::{JUDGED_CHARACTERS, judged};
///
/// assert_eq!(judged("twelve"), "twelve");
/// assert_eq!(judged(&"é".repeat(10_000)).chars().count(), JUDGED_CHARACTERS);
/// ```
pub fn judged(text: &str) -> &str {
    // A character has at least one byte, so short texts need no counting.
    if text.len() <= JUDGED_CHARACTERS {
        return text;
    }
    match text.char_indices().nth(JUDGED_CHARACTERS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_a_character_boundary() {
        for filler in ["a", "é", "語", "🦀"] {
            let exact = filler.repeat(JUDGED_CHARACTERS);
            assert_eq!(judged(&exact), exact);
            let longer = format!("{exact}{filler}");
            assert_eq!(judged(&longer), exact);
        }
        assert_eq!(judged(""), "");
    }
}
