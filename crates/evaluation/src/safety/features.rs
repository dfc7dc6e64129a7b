//! Features of texts for a probe that needs no model.

/// Hashed bag of words: for each of `buckets` buckets the log of 1 + the number of lower-case words in it, then the log of 1 +
/// the number of words, then line breaks per word. Words are runs of letters and digits; the hash is FNV-1a, so features are
/// the same everywhere.
pub fn text_features(text: &str, buckets: usize) -> Vec<f64> {
    let mut counts = vec![0.0f64; buckets + 2];
    let lower = text.to_lowercase();
    let mut words = 0.0f64;
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        words += 1.0;
        if buckets > 0 {
            counts[(fnv(word) % buckets as u64) as usize] += 1.0;
        }
    }
    counts.iter_mut().for_each(|c| *c = c.ln_1p());
    counts[buckets] = words.ln_1p();
    counts[buckets + 1] = text.matches('\n').count() as f64 / words.max(1.0);
    counts
}

fn fnv(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}
