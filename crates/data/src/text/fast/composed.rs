//! Texts that Unicode's composed form (NFC) surely leaves as they are.

/// True where composition changes nothing. False may also mean that it is not known here.
///
/// All characters are in ranges in which each is its own composed form and none composes with a neighbour out of these
/// ranges: Latin, punctuation and symbols in common use, kana, Han, Hangul syllables, emoji.
pub(super) fn is_composed(text: &str) -> bool {
    text.is_ascii() || text.chars().all(stays)
}

fn stays(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{2ff}'
            | '\u{400}'..='\u{482}'
            | '\u{2010}'..='\u{2027}'
            | '\u{20a0}'..='\u{20bf}'
            | '\u{2190}'..='\u{22ff}'
            | '\u{2500}'..='\u{27bf}'
            | '\u{3001}'..='\u{3029}'
            | '\u{3041}'..='\u{3096}'
            | '\u{30a1}'..='\u{30fa}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{ff01}'..='\u{ff60}'
            | '\u{1f300}'..='\u{1faff}'
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokenizers::normalizers::NFC;
    use tokenizers::{NormalizedString, Normalizer};

    fn composed(text: &str) -> String {
        let mut text = NormalizedString::from(text);
        NFC.normalize(&mut text).unwrap();
        text.get().to_owned()
    }

    #[test]
    fn every_character_stays_alone_and_beside_others() {
        let all: Vec<char> = ('\0'..=char::MAX).filter(|&c| stays(c)).collect();
        assert!(all.len() > 30_000);
        let forward: String = all.iter().collect();
        assert!(is_composed(&forward) && composed(&forward) == forward);
        // neighbours from afar: each character between others of every range
        let strides = [7, 101, 1009, 10007];
        for stride in strides {
            let mixed: String = (0..all.len()).map(|i| all[i * stride % all.len()]).collect();
            assert_eq!(composed(&mixed), mixed, "{stride}");
        }
    }

    #[test]
    fn others_are_left_to_the_library() {
        for text in ["e\u{301}", "\u{2126}", "\u{212b}", "\u{1100}\u{1161}", "が\u{3099}", "\u{2000}"] {
            assert!(!is_composed(text), "{text:?}");
        }
        assert!(is_composed("naïve “quotes” — 天気 🙂 가"));
    }
}
