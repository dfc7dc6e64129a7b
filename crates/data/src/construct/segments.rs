//! Pairs of segments: where two responses part for the first time.

use serde::{Deserialize, Serialize};

use super::options::tied_options;
use super::{Link, Links, Scores, all_pairs};

/// Where a response is cut into segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// After every line break.
    #[default]
    Lines,
    /// After every empty line.
    Paragraphs,
    /// After `.`, `!` or `?` with a blank behind it, and after every line break.
    Sentences,
}

/// What the sides of a pair hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first segment in which they differ.
    #[default]
    Segment,
    /// Everything from there on.
    Rest,
}

tied_options! {
    /// Options of [`segments`].
    Segments = "segments" {
        /// Where responses are cut.
        cut: Cut = Cut::Lines;
        /// What the sides hold.
        side: Side = Side::Segment;
        /// Segments that both responses must share; 0 takes pairs that part at once, too.
        min_shared: usize = 0;
    }
}

/// A pair of segments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentLink {
    /// The responses.
    pub link: Link,
    /// Bytes that both responses share, to be added to the prompt.
    pub shared: usize,
    /// Ends of the sides, in bytes of their responses; they begin at `shared`.
    pub ends: [usize; 2],
}

/// Pairs of responses with different scores, cut down to the segment in which they part: the shared segments go to the prompt.
///
/// Pairs: of those of [`all_pairs()`](super::all_pairs()) the ones that share at least `min_shared` segments and of which neither is the
/// beginning of the other, so that both sides have a segment. `prompt + shared + side` reproduces a prefix of each
/// response, byte for byte.
///
/// Source: step-wise pairs as in Step-DPO (arXiv 2406.18629), with the first difference in place of the first wrong step, which
/// needs labels of steps.
///
/// ```
/// use tropism_data::construct::{Scores, Segments, segments};
/// let texts = ["1 + 2 = 3\n3 * 2 = 6\n6", "1 + 2 = 3\n3 * 2 = 5\n5"];
/// let (pairs, _) = segments(&Scores::new("k", &[1.0, 0.0])?, &texts, &Segments::default());
/// let pair = pairs[0];
/// assert_eq!(&texts[0][..pair.shared], "1 + 2 = 3\n");
/// assert_eq!(&texts[1][pair.shared..pair.ends[1]], "3 * 2 = 5\n");
/// # Ok::<(), tropism_data::DataError>(())
/// ```
pub fn segments(scores: &Scores<'_>, texts: &[&str], options: &Segments) -> (Vec<SegmentLink>, Links) {
    if scores.len() < 2 {
        return (Vec::new(), Links::skipped(super::FEW));
    }
    let parts: Vec<Vec<usize>> = texts.iter().map(|text| ends(text, options.cut)).collect();
    let mut links = Links::between(scores, all_pairs::every(&scores.order()), &options.rule());
    let found: Vec<SegmentLink> = links.links.iter().filter_map(|&link| part(link, texts, &parts, options)).collect();
    if found.is_empty() && !links.links.is_empty() {
        links.skipped = Some("no two responses part after shared segments");
    }
    links.links = found.iter().map(|found| found.link).collect();
    (found, links)
}

/// Where two responses part.
fn part(link: Link, texts: &[&str], parts: &[Vec<usize>], options: &Segments) -> Option<SegmentLink> {
    let sides = [link.chosen, link.rejected];
    let [a, b] = sides.map(|i| &parts[i]);
    let same = |i: usize| a[i] == b[i] && texts[sides[0]][..a[i]] == texts[sides[1]][..b[i]];
    let shared = (0..a.len().min(b.len())).take_while(|&i| same(i)).count();
    if shared < options.min_shared || shared == a.len() || shared == b.len() {
        return None;
    }
    let start = shared.checked_sub(1).map_or(0, |last| a[last]);
    let ends = match options.side {
        Side::Segment => [a[shared], b[shared]],
        Side::Rest => sides.map(|i| texts[i].len()),
    };
    Some(SegmentLink { link, shared: start, ends })
}

/// Byte positions after each segment; the last is the text's end. An empty text has none.
fn ends(text: &str, cut: Cut) -> Vec<usize> {
    let bytes = text.as_bytes();
    let after = |i: usize| {
        let (byte, next) = (bytes[i], bytes.get(i + 1));
        match cut {
            Cut::Lines => byte == b'\n',
            Cut::Paragraphs => byte == b'\n' && i > 0 && bytes[i - 1] == b'\n' && next != Some(&b'\n'),
            Cut::Sentences => byte == b'\n' || (byte == b' ' && i > 0 && matches!(bytes[i - 1], b'.' | b'!' | b'?')),
        }
    };
    let mut ends: Vec<usize> = (0..bytes.len()).filter(|&i| after(i)).map(|i| i + 1).collect();
    if !text.is_empty() && ends.last() != Some(&text.len()) {
        ends.push(text.len());
    }
    ends
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_cut_where_asked() {
        let pieces = |text: &'static str, cut| {
            let mut start = 0;
            let piece = |end| std::mem::replace(&mut start, end)..end;
            ends(text, cut).into_iter().map(piece).map(|range| &text[range]).collect::<Vec<_>>()
        };
        assert_eq!(pieces("a\nb\n", Cut::Lines), ["a\n", "b\n"]);
        assert_eq!(pieces("a\n\n\nb", Cut::Paragraphs), ["a\n\n\n", "b"]);
        assert_eq!(pieces("Is it? Yes. 3.5\nno", Cut::Sentences), ["Is it? ", "Yes. ", "3.5\n", "no"]);
        assert_eq!(pieces("", Cut::Lines), [""; 0]);
    }

    proptest! {
        #[test]
        fn sides_differ_and_shared_text_is_shared(texts in prop::collection::vec("[ab\n. ]{0,8}", 2..6), rest: bool) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let values: Vec<f64> = (0..texts.len()).map(|i| i as f64).collect();
            let side = if rest { Side::Rest } else { Side::Segment };
            for cut in [Cut::Lines, Cut::Paragraphs, Cut::Sentences] {
                let options = Segments { cut, side, ..Segments::default() };
                let (found, _) = segments(&Scores::new("k", &values).unwrap(), &texts, &options);
                for pair in found {
                    let (chosen, rejected) = (texts[pair.link.chosen], texts[pair.link.rejected]);
                    prop_assert_eq!(&chosen[..pair.shared], &rejected[..pair.shared]);
                    let sides = (&chosen[pair.shared..pair.ends[0]], &rejected[pair.shared..pair.ends[1]]);
                    prop_assert!(!sides.0.is_empty() && !sides.1.is_empty());
                    prop_assert_ne!(sides.0, sides.1);
                }
            }
        }
    }
}
