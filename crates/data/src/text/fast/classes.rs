//! Letters, numbers and white space, as the pre-tokenisers' regular expressions mean them.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// A letter, `\p{L}`.
pub(super) const LETTER: u8 = 1;
/// A number, `\p{N}`.
pub(super) const NUMBER: u8 = 2;
/// White space, `\s`.
pub(super) const SPACE: u8 = 4;

/// Characters to a page of the table.
const PAGE: usize = 256;

/// Class bits of every character, in pages of which equal ones stand once.
pub(super) struct Classes {
    ascii: [u8; 128],
    pages: Vec<u8>,
    page_of: Vec<u16>,
}

/// The classes by the Unicode tables that the regular expressions of the tokenizers library use too.
///
/// None where those tables do not parse, which a test rules out.
pub(super) static CLASSES: LazyLock<Option<Classes>> = LazyLock::new(Classes::new);

impl Classes {
    fn new() -> Option<Self> {
        let mut all = vec![0u8; 0x11_0000];
        for (pattern, bit) in [(r"\p{L}", LETTER), (r"\p{N}", NUMBER), (r"\s", SPACE)] {
            let hir = regex_syntax::parse(pattern).ok()?;
            let HirKind::Class(Class::Unicode(class)) = hir.kind() else {
                return None;
            };
            for range in class.ranges() {
                all[range.start() as usize..=range.end() as usize].iter_mut().for_each(|bits| *bits |= bit);
            }
        }
        let mut ascii = [0; 128];
        ascii.copy_from_slice(&all[..128]);
        let (mut pages, mut page_of): (Vec<u8>, Vec<u16>) = (Vec::new(), Vec::new());
        for page in all.chunks(PAGE) {
            let found = pages.chunks(PAGE).position(|known| known == page);
            page_of.push(found.unwrap_or(pages.len() / PAGE) as u16);
            if found.is_none() {
                pages.extend_from_slice(page);
            }
        }
        Some(Self { ascii, pages, page_of })
    }

    /// Class bits of a character; 0 for one that is none of the three.
    pub(super) fn of(&self, c: char) -> u8 {
        let code = c as usize;
        self.pages[self.page_of[code / PAGE] as usize * PAGE + code % PAGE]
    }

    /// Class bits and byte length of the character at a boundary of `text`; at its end, no bits and no bytes.
    #[inline]
    pub(super) fn at(&self, text: &str, at: usize) -> (u8, usize) {
        match text.as_bytes().get(at) {
            Some(&byte) if byte < 128 => (self.ascii[byte as usize], 1),
            Some(_) => text[at..].chars().next().map_or((0, 0), |c| (self.of(c), c.len_utf8())),
            None => (0, 0),
        }
    }

    /// End of the run of characters from `at` whose bits satisfy `holds`.
    #[inline]
    pub(super) fn run(&self, text: &str, mut at: usize, holds: impl Fn(u8) -> bool) -> usize {
        loop {
            match self.at(text, at) {
                (_, 0) => return at,
                (bits, length) if holds(bits) => at += length,
                _ => return at,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn known_characters() {
        let classes = CLASSES.as_ref().unwrap();
        let expected = [
            ('a', LETTER),
            ('é', LETTER),
            ('天', LETTER),
            ('7', NUMBER),
            ('Ⅷ', NUMBER),
            ('½', NUMBER),
            (' ', SPACE),
            ('\u{a0}', SPACE),
            ('\u{3000}', SPACE),
            ('\u{1c}', 0),
            ('!', 0),
            ('\u{301}', 0),
            ('Ⓐ', 0),
        ];
        for (c, bits) in expected {
            assert_eq!(classes.of(c), bits, "{c:?}");
        }
    }

    #[test]
    fn white_space_and_numbers_are_the_standard_librarys() {
        let classes = CLASSES.as_ref().unwrap();
        for c in '\0'..=char::MAX {
            assert_eq!(classes.of(c) & SPACE != 0, c.is_whitespace(), "{c:?}");
            assert_eq!(classes.at(&c.to_string(), 0), (classes.of(c), c.len_utf8()));
        }
    }
}
