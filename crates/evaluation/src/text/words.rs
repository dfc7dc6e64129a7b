//! Words as the reference implementations of BLEU and ROUGE cut them.

/// Words by the rules of mteval-v13a, sacrebleu's default: ASCII punctuation stands alone, but for full stops and commas
/// between digits and hyphens that do not follow a digit. Case is kept.
///
/// # Source
/// Post 2018, "A call for clarity in reporting BLEU scores"; the same words as sacrebleu's `13a`.
///
/// ```
/// use tropism_evaluation::text::words_13a;
///
/// assert_eq!(words_13a("It's 3.5 km, isn't it?"), ["It's", "3.5", "km", ",", "isn't", "it", "?"]);
/// ```
pub fn words_13a(text: &str) -> Vec<String> {
    let mut text = text.trim_end_matches(blank).replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, character) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(entity, character);
    }
    // in this order: each pass sees what the one before it made, as in the original's four substitutions
    let mut alone = String::with_capacity(2 * text.len());
    for c in format!(" {text} ").chars() {
        let blank = if stands_alone(c) { " " } else { "" };
        alone.push_str(blank);
        alone.push(c);
        alone.push_str(blank);
    }
    let spaced = pairs(&alone.chars().collect::<Vec<_>>(), |a, b| !digit(a) && stop(b), |a, b| [a, ' ', b, ' ']);
    let spaced = pairs(&spaced, |a, b| stop(a) && !digit(b), |a, b| [' ', a, ' ', b]);
    let spaced = pairs(&spaced, |a, b| digit(a) && b == '-', |a, b| [a, ' ', b, ' ']);
    let text: String = spaced.into_iter().collect();
    text.split(blank).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// Lower-case runs of ASCII letters and digits, as rouge-score cuts text without its stemmer.
///
/// ```
/// assert_eq!(tropism_evaluation::text::words_rouge("Don't stop-2"), ["don", "t", "stop", "2"]);
/// ```
pub fn words_rouge(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn stop(c: char) -> bool {
    c == '.' || c == ','
}

/// What Python calls white space: Unicode's, and four ASCII separators.
fn blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn stands_alone(c: char) -> bool {
    matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/')
}

/// Replaces pairs of neighbours from the left; a replaced character takes part in one pair only.
fn pairs(text: &[char], matches: impl Fn(char, char) -> bool, replace: impl Fn(char, char) -> [char; 4]) -> Vec<char> {
    let (mut out, mut at) = (Vec::with_capacity(text.len() + 16), 0);
    while at < text.len() {
        match text.get(at + 1) {
            Some(&next) if matches(text[at], next) => {
                out.extend(replace(text[at], next));
                at += 2;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}
