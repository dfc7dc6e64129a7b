//! The HH-RLHF harmless-base test split, read, tokenised and packed. Skipped where the file is missing.
#![cfg(all(feature = "files", feature = "text"))]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tropism_data::audit::Audit;
use tropism_data::pack::pack_pairs;
use tropism_data::read::{ReadOptions, read_pairs};
use tropism_data::record::{Pair, Text};
use tropism_data::split::split_by_prompt;
use tropism_data::text::{Tokenizer, tokenize_pairs};
use tropism_data::tokens::{LengthOptions, Truncation, check_vocab};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tokenizer");
const DEFAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

fn hh() -> Option<(Vec<Pair>, Audit)> {
    let folder = std::env::var_os("TROPISM_DATA").map_or_else(|| PathBuf::from(DEFAULT), PathBuf::from);
    let path = folder.join("hh-rlhf/harmless-base-test.jsonl.gz");
    if !path.exists() {
        println!("skipped: {} is missing; set TROPISM_DATA to the folder of the data sets", path.display());
        return None;
    }
    Some(read_pairs(&path, &ReadOptions::default()).unwrap())
}

#[test]
fn rows_kept_and_left_out() {
    let Some((pairs, audit)) = hh() else { return };
    assert_eq!((audit.read, audit.kept, pairs.len()), (2312, 2303, 2303));
    // the five pairs that do not share the text before the last answer, and four answers without a word
    assert_eq!(audit.dropped["completion has two turns of one role in a row"].rows, [1255, 1689, 1951, 1953, 2037]);
    assert_eq!(audit.dropped["empty chosen completion"].rows, [87, 517, 926, 1104]);
    assert_eq!(audit.dropped_count(), 9);
    for pair in &pairs {
        let (Text::Chat(prompt), Text::Chat(chosen)) = (&pair.prompt, &pair.chosen) else { panic!("{}", pair.source) };
        assert_eq!(prompt.last().unwrap().role, "user", "{}", pair.source);
        assert_eq!(chosen.len(), 1);
        assert_eq!(chosen[0].role, "assistant");
        assert_eq!(pair.source.line, Some(pair.source.row));
    }
}

#[test]
fn split_keeps_prompts_together() {
    let Some((pairs, _)) = hh() else { return };
    let (train, test) = split_by_prompt(pairs, Pair::prompt_key, 0.1, 1).unwrap();
    assert!((150..320).contains(&test.len()), "{}", test.len());
    let keys = |side: &[Pair]| side.iter().map(Pair::prompt_key).collect::<BTreeSet<_>>();
    assert!(keys(&train).is_disjoint(&keys(&test)));
}

#[test]
fn tokenised_and_packed() {
    let Some((pairs, _)) = hh() else { return };
    let tokenizer = Tokenizer::load(Path::new(GOLDEN)).unwrap();
    for truncation in [Truncation::KeepStart, Truncation::KeepEnd] {
        let options = LengthOptions { max_length: Some(256), truncation };
        let (kept, audit) = tokenize_pairs(&tokenizer, &pairs, &options).unwrap();
        assert_eq!(audit.read, pairs.len());
        assert!(audit.notes.keys().all(|note| !note.contains("merges")), "{audit:?}");
        check_vocab(&kept, tokenizer.vocab_size()).unwrap();
        assert!(kept.iter().all(|pair| pair.longest() <= 256));
        let packed = pack_pairs(&kept).unwrap();
        assert_eq!(packed.sequences.len(), 2 * kept.len());
        assert_eq!(packed.lengths().iter().sum::<usize>(), packed.targets.len());
    }
    let (kept, _) = tokenize_pairs(&tokenizer, &pairs, &LengthOptions::default()).unwrap();
    let long = kept.iter().find(|pair| pair.longest() > 2000).unwrap();
    let text = tokenizer.decode(&[&long.prompt[..], &long.chosen].concat(), false).unwrap();
    let of_pair = pairs.iter().find(|pair| pair.source == long.source).unwrap();
    let (Text::Chat(prompt), Text::Chat(chosen)) = (&of_pair.prompt, &of_pair.chosen) else { panic!() };
    assert_eq!(text, tokenizer.render(&[&prompt[..], chosen].concat(), false).unwrap());
}

#[test]
fn training_restores_the_golden_vocabulary() {
    // the golden tokenizer was trained on the chosen dialogues of this file
    let folder = std::env::var_os("TROPISM_DATA").map_or_else(|| PathBuf::from(DEFAULT), PathBuf::from);
    let path = folder.join("hh-rlhf/harmless-base-test.jsonl.gz");
    if !path.exists() {
        println!("skipped: {} is missing; set TROPISM_DATA to the folder of the data sets", path.display());
        return;
    }
    let options: ReadOptions = serde_json::from_str(r#"{"format": "pairs"}"#).unwrap();
    let (pairs, _) = read_pairs(&path, &options).unwrap();
    let texts: Vec<&str> = pairs
        .iter()
        .filter_map(|pair| match &pair.chosen {
            Text::Plain(text) => Some(text.as_str()),
            Text::Chat(_) => None,
        })
        .collect();
    let trained = Tokenizer::train(texts.into_iter(), 384).unwrap();
    let golden = Tokenizer::load(Path::new(GOLDEN)).unwrap();
    let tokens = |tokenizer: &Tokenizer| (0..384).map(|id| tokenizer.token(id).unwrap()).collect::<Vec<_>>();
    assert_eq!(tokens(&trained), tokens(&golden));
}
