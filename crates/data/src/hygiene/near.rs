//! Near duplicates by MinHash (Broder 1997) with locality-sensitive hashing (Indyk and Motwani 1998).
//!
//! A record is the set of runs of [`NearOptions::words`] words in its prompt and responses (of a shorter text, the text as
//! one run). The likeness of two records is the Jaccard coefficient of their sets, which the share of equal entries in two
//! signatures estimates without bias, with standard error sqrt(J (1 − J) / permutations): 0.035 at J = 0.8 and 128.
//! Entry i of a signature is the least of `(a_i x + b_i mod 2^64) >> 32` over the 32-bit hashes x of the runs, with a_i
//! and b_i drawn from the seed (multiply-add-shift, Dietzfelbinger 1996).
//!
//! A record is compared with earlier ones that agree with it in all entries of at least one of the bands. With 16 bands of
//! 8 entries a pair of likeness J is compared with probability 1 − (1 − J^8)^16: 0.947 at 0.8, 0.994 at 0.85, 0.9999 at 0.9,
//! 0.06 at 0.5.
//!
//! Memory: 4 bytes per entry and about 25 per band for each record that is kept, 0.9 GiB for a million with the defaults.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::words::{hashes, run, texts, texts_of};
use crate::DataError;
use crate::record::Record;
use crate::stream::Stream;

/// What near duplicates are compared by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Prompt and all responses.
    #[default]
    Record,
    /// The prompt alone: one record stays of each group of prompts that are alike.
    Prompt,
}

/// How near duplicates are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NearOptions {
    /// Words in a run.
    pub words: usize,
    /// Entries of a signature.
    pub permutations: usize,
    /// Bands into which the entries are divided; must divide their number.
    pub bands: usize,
    /// Estimated likeness from which a record is a duplicate.
    pub threshold: f64,
    /// Which texts are compared.
    pub over: Over,
    /// Seed of the hash functions.
    pub seed: u64,
}

impl Default for NearOptions {
    fn default() -> Self {
        Self { words: 5, permutations: 128, bands: 16, threshold: 0.8, over: Over::Record, seed: 0 }
    }
}

impl NearOptions {
    fn check(&self) -> Result<(), DataError> {
        if self.words == 0 {
            return Err(DataError::config("words", 0, "must be at least 1"));
        }
        if self.bands == 0 || self.permutations == 0 || !self.permutations.is_multiple_of(self.bands) {
            let reason = format!("must divide the {} permutations", self.permutations);
            return Err(DataError::config("bands", self.bands, reason));
        }
        if !(self.threshold > 0.0 && self.threshold <= 1.0) {
            return Err(DataError::config("threshold", self.threshold, "must lie in (0, 1]"));
        }
        Ok(())
    }
}

/// Remembers the signatures of the records that it has admitted.
#[derive(Debug)]
pub struct Near {
    options: NearOptions,
    factors: Vec<(u64, u64)>,
    signatures: Vec<u32>,
    /// for each band the last admitted record with given entries
    buckets: Vec<HashMap<u64, u32>>,
    /// for each admitted record and band the one before it in the same bucket
    chain: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Near {
    /// Nothing admitted yet.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn new(options: &NearOptions) -> Result<Self, DataError> {
        options.check()?;
        let mut stream = Stream::new(options.seed, "hygiene/near");
        // an even factor would lose the lowest bit of every hash
        let factors = (0..options.permutations).map(|_| (stream.bits() | 1, stream.bits())).collect();
        let buckets = vec![HashMap::new(); options.bands];
        Ok(Self { options: options.clone(), factors, signatures: Vec::new(), buckets, chain: Vec::new() })
    }

    /// Admits a record that is like no other; false for a near duplicate. A record without words is like none.
    pub fn admit(&mut self, record: &Record) -> bool {
        let Some(signature) = self.signature(record) else {
            return true;
        };
        let keys = self.keys(&signature);
        if self.is_known(&signature, &keys) {
            return false;
        }
        let id = (self.signatures.len() / self.options.permutations) as u32;
        for (bucket, key) in self.buckets.iter_mut().zip(keys) {
            self.chain.push(bucket.insert(key, id).unwrap_or(NONE));
        }
        self.signatures.extend(signature);
        true
    }

    fn is_known(&self, signature: &[u32], keys: &[u64]) -> bool {
        let mut asked = std::collections::HashSet::new();
        for (band, key) in keys.iter().enumerate() {
            let mut next = self.buckets[band].get(key).copied().unwrap_or(NONE);
            while next != NONE {
                if asked.insert(next) && self.likeness(signature, next as usize) >= self.options.threshold {
                    return true;
                }
                next = self.chain[next as usize * self.options.bands + band];
            }
        }
        false
    }

    /// Estimated likeness to an admitted record.
    fn likeness(&self, signature: &[u32], id: usize) -> f64 {
        let size = self.options.permutations;
        let other = &self.signatures[id * size..(id + 1) * size];
        let equal = signature.iter().zip(other).filter(|(a, b)| a == b).count();
        equal as f64 / size as f64
    }

    fn signature(&self, record: &Record) -> Option<Vec<u32>> {
        let texts = match self.options.over {
            Over::Record => texts(record),
            Over::Prompt => texts_of(&record.prompt),
        };
        let mut least = vec![u32::MAX; self.factors.len()];
        let mut any = false;
        for text in texts {
            let words = hashes(text);
            let runs = words.windows(self.options.words.min(words.len()).max(1));
            for run in runs.map(run) {
                any = true;
                let x = run >> 32;
                for (least, (a, b)) in least.iter_mut().zip(&self.factors) {
                    *least = (*least).min((a.wrapping_mul(x).wrapping_add(*b) >> 32) as u32);
                }
            }
        }
        any.then_some(least)
    }

    fn keys(&self, signature: &[u32]) -> Vec<u64> {
        let rows = self.options.permutations / self.options.bands;
        let key = |band: &[u32]| run(&band.iter().map(|entry| u64::from(*entry)).collect::<Vec<_>>());
        signature.chunks(rows).map(key).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::{Source, Text};

    fn record(text: &str) -> Record {
        Record::new(Source::row("t", 1), Text::Plain(text.into()))
    }

    /// `count` different words from `first`.
    fn text(first: usize, count: usize) -> String {
        (first..first + count).map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn signatures_estimate_the_jaccard_coefficient() {
        let options = NearOptions { permutations: 4096, bands: 1, ..NearOptions::default() };
        let mut near = Near::new(&options).unwrap();
        near.admit(&record(&text(0, 204)));
        for (shift, jaccard) in [(0, 1.0), (20, 180.0 / 220.0), (100, 100.0 / 300.0), (300, 0.0)] {
            // 200 runs of five words, of which `shift` differ on either side
            let signature = near.signature(&record(&text(shift, 204))).unwrap();
            let found = near.likeness(&signature, 0);
            // five standard errors at most
            assert!((found - jaccard).abs() < 0.04, "{shift}: {found} {jaccard}");
        }
    }

    #[test]
    fn like_records_are_refused() {
        let mut near = Near::new(&NearOptions::default()).unwrap();
        let long = text(0, 400);
        assert!(near.admit(&record(&long)));
        assert!(!near.admit(&record(&long.to_uppercase())));
        assert!(!near.admit(&record(&format!("{long} and a little more"))));
        assert!(near.admit(&record(&text(200, 400))));
        assert!(near.admit(&record("two words")));
        assert!(!near.admit(&record("Two words!")));
        assert!(near.admit(&record("...")) && near.admit(&record("...")));
    }

    #[test]
    fn seeds_fix_the_signatures() {
        let signature =
            |seed| Near::new(&NearOptions { seed, ..NearOptions::default() }).unwrap().signature(&record("a b c"));
        assert_eq!(signature(1), signature(1));
        assert_ne!(signature(1), signature(2));
    }

    #[test]
    fn options_are_checked() {
        let refused = |json: &str| Near::new(&serde_json::from_str(json).unwrap()).unwrap_err().to_string();
        assert!(refused(r#"{"bands":7}"#).contains("must divide"));
        assert!(refused(r#"{"bands":0}"#).contains("must divide"));
        assert!(refused(r#"{"words":0}"#).contains("words"));
        assert!(refused(r#"{"threshold":1.5}"#).contains("(0, 1]"));
    }
}
