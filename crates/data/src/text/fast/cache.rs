//! Words with their ids: what the model said once need not be asked again.

use std::collections::HashMap;

/// Places for short words, a power of two: 2 MiB of memory to a worker.
const PLACES: usize = 1 << 16;

/// Bytes of the longest word that is short: the last byte of its key holds the length.
const SHORT: usize = 15;

/// Ids of a word that fit into its place.
const FEW: usize = 3;

/// Words kept in the other table, and the bytes of the longest of them.
const MOST_LONG: usize = 1 << 14;
const LONGEST: usize = 256;

#[derive(Clone, Copy, Default)]
#[repr(C, align(32))]
struct Place {
    /// The word with its length; 0, which no word has, where the place is free.
    key: u128,
    ids: [u32; FEW],
    count: u32,
}

/// Ids by word, in bounded memory. A word has at least one byte.
///
/// A short word with few ids has two neighbouring places, of which the older one is given up: no probing, no growth, and
/// nothing that a malicious text could slow down beyond asking the model each time.
pub(super) struct Cache {
    places: Box<[Place]>,
    others: HashMap<Box<[u8]>, Box<[u32]>>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { places: vec![Place::default(); PLACES].into_boxed_slice(), others: HashMap::new() }
    }

    /// Appends the ids of the word, found here or made by `ask`, which appends them to what it is given.
    #[inline]
    pub(super) fn get<E>(
        &mut self,
        word: &[u8],
        ids: &mut Vec<u32>,
        ask: impl FnOnce(&mut Vec<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(key) = key(word) else {
            return self.other(word, ids, ask);
        };
        let at = first_place(key);
        for place in &self.places[at..at + 2] {
            if place.key == key {
                // a fixed number of ids is copied faster than a varying one
                let end = ids.len() + place.count as usize;
                ids.extend_from_slice(&place.ids);
                ids.truncate(end);
                return Ok(());
            }
        }
        let before = ids.len();
        self.other(word, ids, ask)?;
        if let Some(ids) = few(&ids[before..]) {
            self.places[at + 1] = self.places[at];
            self.places[at] = Place { key, ids: ids.0, count: ids.1 };
        }
        Ok(())
    }

    #[cold]
    fn other<E>(
        &mut self,
        word: &[u8],
        ids: &mut Vec<u32>,
        ask: impl FnOnce(&mut Vec<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(found) = self.others.get(word) {
            ids.extend_from_slice(found);
            return Ok(());
        }
        let before = ids.len();
        ask(ids)?;
        let new = &ids[before..];
        let kept_elsewhere = word.len() <= SHORT && new.len() <= FEW;
        if word.len() <= LONGEST && !kept_elsewhere {
            if self.others.len() >= MOST_LONG {
                self.others.clear();
            }
            self.others.insert(word.into(), new.into());
        }
        Ok(())
    }
}

/// The bytes of a short word with its length behind them; none for a long or an empty word.
#[inline]
fn key(word: &[u8]) -> Option<u128> {
    if word.is_empty() || word.len() > SHORT {
        return None;
    }
    let mut bytes = [0; SHORT + 1];
    bytes[..word.len()].copy_from_slice(word);
    bytes[SHORT] = word.len() as u8;
    Some(u128::from_le_bytes(bytes))
}

/// The first of a word's two places.
#[inline]
fn first_place(key: u128) -> usize {
    // odd factors spread all bits into the upper ones
    let folded = (key as u64 ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xff51_afd7_ed55_8ccd)
        ^ ((key >> 64) as u64).wrapping_mul(0xc4ce_b9fe_1a85_ec53).rotate_left(32);
    let mixed = (folded ^ (folded >> 32)).wrapping_mul(0x9fb2_1c65_1e98_df25);
    ((mixed >> 40) as usize % PLACES) & !1
}

fn few(ids: &[u32]) -> Option<([u32; FEW], u32)> {
    let mut kept = [0; FEW];
    kept.get_mut(..ids.len())?.copy_from_slice(ids);
    Some((kept, ids.len() as u32))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn ids_of(word: &[u8]) -> Vec<u32> {
        let salt = word.iter().fold(word.len() as u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        (0..word.len() as u32 % 7).map(|i| salt ^ i).collect()
    }

    fn look_up(cache: &mut Cache, word: &[u8], asked: &mut usize) -> Vec<u32> {
        let mut ids = vec![7];
        cache
            .get(word, &mut ids, |ids| {
                *asked += 1;
                ids.extend(ids_of(word));
                Ok::<(), ()>(())
            })
            .unwrap();
        assert_eq!(ids[0], 7);
        ids.split_off(1)
    }

    #[test]
    fn asked_once() {
        let (mut cache, mut asked) = (Cache::new(), 0);
        for word in [&b"a"[..], b"fifteen letters", b"sixteen letters!", b"\0", b"\0\0", &[b'x'; LONGEST]] {
            let before = asked;
            for _ in 0..3 {
                assert_eq!(look_up(&mut cache, word, &mut asked), ids_of(word));
            }
            assert_eq!(asked, before + 1, "{word:?}");
        }
        let before = asked;
        look_up(&mut cache, &[b'x'; LONGEST + 1], &mut asked);
        look_up(&mut cache, &[b'x'; LONGEST + 1], &mut asked);
        assert_eq!(asked, before + 2);
    }

    #[test]
    fn memory_is_bounded_and_answers_stay_right() {
        let (mut cache, mut asked) = (Cache::new(), 0);
        for i in 0..3 * PLACES {
            let word = format!("word {i}, which is {}", if i % 4 == 0 { "long" } else { "" });
            assert_eq!(look_up(&mut cache, word.as_bytes(), &mut asked), ids_of(word.as_bytes()));
            let short = i.to_string();
            assert_eq!(look_up(&mut cache, short.as_bytes(), &mut asked), ids_of(short.as_bytes()));
        }
        assert!(cache.others.len() <= MOST_LONG);
    }

    #[test]
    fn errors_leave_nothing_behind() {
        let mut cache = Cache::new();
        for word in [&b"ab"[..], b"a word of many letters"] {
            assert_eq!(cache.get(word, &mut Vec::new(), |_| Err("no")), Err("no"));
            assert_eq!(look_up(&mut cache, word, &mut 0), ids_of(word));
        }
    }

    proptest! {
        #[test]
        fn any_words(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..60)) {
            let (mut cache, mut asked) = (Cache::new(), 0);
            for word in words.iter().chain(&words) {
                prop_assert_eq!(look_up(&mut cache, word, &mut asked), ids_of(word));
            }
        }
    }
}
