//! Lengths, diversity, overlap and repetition of texts, and pass@k. Overlaps are shares between 0 and 1, not percent.
//!
//! What counts n-grams works on any tokens: words, characters or token ids. [`words_13a`] and [`words_rouge`] cut text as
//! sacrebleu and rouge-score do.

mod bleu;
mod diversity;
mod lengths;
mod ngrams;
mod pass_at_k;
mod repetition;
mod rouge;
mod words;

pub use bleu::{Bleu, BleuCounts, BleuSmoothing, corpus_bleu};
pub use diversity::{Distinct, distinct_n, entropy_n, self_bleu};
pub use lengths::{LengthBias, LengthStats, length_bias, length_stats};
pub use pass_at_k::{pass_at_k, pass_at_k_of};
pub use repetition::{Loop, ending_loop, repetition_n};
pub use rouge::{Overlap, mean_overlap, rouge_l, rouge_n};
pub use words::{words_13a, words_rouge};
