//! What ends an answer.
use crate::error::LmError;

/// Text that ends an answer. It may begin in the middle of a token and span several.
#[derive(Clone, Copy)]
pub struct StopStrings<'a> {
    /// the strings; the one that begins first ends the answer
    pub strings: &'a [String],
    /// whether the answer keeps the string
    pub keep: bool,
    /// turns tokens into text; its error ends the run with that message
    pub decode: &'a dyn Fn(&[u32]) -> Result<String, String>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// a stop token, which is the answer's last token
    StopToken,
    /// this stop string
    StopString(String),
    /// `max_new_tokens`
    Length,
}

/// A stop string in an answer.
pub(super) struct Found {
    pub(super) string: String,
    /// tokens that stay
    pub(super) tokens: usize,
    /// the text that stays
    pub(super) text: String,
}

impl StopStrings<'_> {
    pub(super) fn check(&self) -> Result<(), LmError> {
        match self.strings.iter().position(String::is_empty) {
            Some(i) => Err(LmError::Invalid(format!("stop string {} is empty; it would end every answer at once", i + 1))),
            None => Ok(()),
        }
    }

    /// Ends an answer that somebody else has written as [`Sampler`](super::Sampler) would have: tokens that stay, the string,
    /// and the text that stays; nothing where no string ends it.
    ///
    /// # Errors
    /// Tokens that cannot be turned into text.
    pub fn cut(&self, tokens: &[u32]) -> Result<Option<(usize, String, String)>, LmError> {
        for n in 1..=tokens.len() {
            if let Some(found) = self.find(&tokens[..n], 0)? {
                return Ok(Some((found.tokens, found.string, found.text)));
            }
        }
        Ok(None)
    }

    fn text(&self, tokens: &[u32]) -> Result<String, LmError> {
        (self.decode)(tokens).map_err(|e| LmError::Invalid(format!("tokens cannot be turned into text: {e}")))
    }

    /// Looks for a string that ends with the last of `tokens`, or within token `min` or later.
    pub(super) fn find(&self, tokens: &[u32], min: usize) -> Result<Option<Found>, LmError> {
        let longest = self.strings.iter().map(String::len).max().unwrap_or(0);
        if longest == 0 || tokens.len() < min {
            return Ok(None);
        }
        // a token holds a byte at least, a few special ones none: the string lies in the last tokens
        let window = self.text(&tokens[tokens.len().saturating_sub(longest + 8)..])?;
        if !self.strings.iter().any(|s| window.contains(s.as_str())) {
            return Ok(None);
        }
        let (text, early) = (self.text(tokens)?, self.text(&tokens[..min.saturating_sub(1)])?.len());
        let first = |s: &&String| text.match_indices(s.as_str()).map(|m| m.0).find(|at| at + s.len() > early);
        let Some((at, string)) = self.strings.iter().filter_map(|s| Some((first(&s)?, s))).min_by_key(|f| f.0) else {
            return Ok(None);
        };
        let (string, end) = (string.clone(), if self.keep { at + string.len() } else { at });
        let tokens = if self.keep { tokens.len() } else { self.tokens_before(tokens, &text, at)? };
        Ok(Some(Found { string, tokens, text: text[..end].to_owned() }))
    }

    /// Number of tokens whose text lies wholly in the first `at` bytes.
    fn tokens_before(&self, tokens: &[u32], text: &str, at: usize) -> Result<usize, LmError> {
        for n in (1..tokens.len()).rev() {
            let part = self.text(&tokens[..n])?;
            if part.len() <= at && text.starts_with(&part) {
                return Ok(n);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: [&str; 6] = ["a", "b\n", "\n", "User", ":", "x\n\nUs"];

    fn decode(tokens: &[u32]) -> Result<String, String> {
        tokens.iter().map(|&t| PIECES.get(t as usize).map(|s| s.to_string()).ok_or("no such token".into())).collect()
    }

    fn find(strings: &[&str], keep: bool, tokens: &[u32], min: usize) -> Option<(String, usize, String)> {
        let strings: Vec<String> = strings.iter().map(|s| s.to_string()).collect();
        let found = StopStrings { strings: &strings, keep, decode: &decode }.find(tokens, min).expect("text");
        found.map(|f| (f.string, f.tokens, f.text))
    }

    #[test]
    fn strings_span_tokens_and_are_cut_or_kept() {
        let found = |s: &str, n, t: &str| Some((s.to_owned(), n, t.to_owned()));
        assert_eq!(find(&["\n\n"], false, &[0, 1], 0), None);
        assert_eq!(find(&["\n\n"], false, &[0, 1, 2], 0), found("\n\n", 1, "ab"));
        assert_eq!(find(&["\n\n"], true, &[0, 1, 2], 0), found("\n\n", 3, "ab\n\n"));
        assert_eq!(find(&["\n\nUser"], false, &[0, 2, 2, 3], 0), found("\n\nUser", 1, "a"));
        // in the middle of a token: the token goes, the text is exact
        assert_eq!(find(&["\n\n"], false, &[0, 5], 0), found("\n\n", 1, "ax"));
        assert_eq!(find(&[":", "User:"], false, &[0, 3, 4], 0), found("User:", 1, "a"));
        assert_eq!(find(&["a"], false, &[0], 0), found("a", 0, ""));
    }

    #[test]
    fn an_answer_of_somebody_else_is_cut_at_the_first_string() {
        let strings = ["\n\n".to_owned(), ":".to_owned()];
        let cut = |keep, tokens: &[u32]| StopStrings { strings: &strings, keep, decode: &decode }.cut(tokens).expect("text");
        assert_eq!(cut(true, &[0, 2, 2, 4, 2]), Some((3, "\n\n".into(), "a\n\n".into())));
        assert_eq!(cut(false, &[0, 2, 2, 4, 2]), Some((1, "\n\n".into(), "a".into())));
        assert_eq!((cut(true, &[0, 2, 3]), cut(true, &[])), (None, None));
    }

    #[test]
    fn a_string_before_the_shortest_length_does_not_count() {
        assert_eq!(find(&["a"], false, &[0, 3], 3), None);
        assert_eq!(find(&["a"], false, &[0, 3, 3], 3), None);
        assert_eq!(find(&["a"], false, &[0, 3, 3, 0], 3).map(|f| f.1), Some(3));
        assert_eq!(find(&["r:"], false, &[0, 3, 4], 3).map(|f| f.1), Some(1));
    }

    #[test]
    fn refusals() {
        let (empty, some) = ([String::new()], ["a".to_owned()]);
        assert!(StopStrings { strings: &empty, keep: false, decode: &decode }.check().is_err());
        let found = StopStrings { strings: &some, keep: false, decode: &decode }.find(&[99], 0);
        assert!(found.is_err_and(|e| e.to_string().contains("no such token")));
    }
}
