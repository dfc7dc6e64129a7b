//! Hygiene over streams of records: what must hold for any data.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tropism_data::hygiene::contamination::{Contamination, Decontaminator};
use tropism_data::hygiene::near::{NearOptions, Over};
use tropism_data::hygiene::{Cleaner, Filter, Hygiene};
use tropism_data::read::ReadOptions;
use tropism_data::record::{Record, Response, Source, Text};
use tropism_data::split::split_by_prompt;

use crate::support::Folder;

/// Texts from few words, so that duplicates and near ones are common.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "C", "d", " ", "e\n"]), 0..12)
        .prop_map(|words| words.join(" "))
}

fn record() -> impl Strategy<Value = Record> {
    let response = (text(), prop::option::of(1u8..4))
        .prop_map(|(text, rank)| Response { rank: rank.map(f64::from), ..Response::new(Text::Plain(text)) });
    let number = prop::option::of(0u8..5);
    (text(), prop::collection::vec(response, 0..4), number).prop_map(|(prompt, responses, number)| {
        let mut record = Record::new(Source::row("t", 1), Text::Plain(prompt));
        record.responses = responses;
        record.numbers.extend(number.map(|number| ("n".to_owned(), f64::from(number))));
        record
    })
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(record(), 0..40).prop_map(|mut records| {
        for (at, record) in records.iter_mut().enumerate() {
            record.source.row = at + 1;
        }
        records
    })
}

fn hygiene() -> impl Strategy<Value = Hygiene> {
    let near = (1usize..4, prop::sample::select(vec![0.5, 0.8, 1.0]), any::<bool>(), any::<u64>());
    let near = near.prop_map(|(words, threshold, prompt, seed)| NearOptions {
        words,
        threshold,
        seed,
        over: if prompt { Over::Prompt } else { Over::Record },
        ..NearOptions::default()
    });
    (any::<bool>(), prop::option::of(near), any::<bool>(), prop::option::of(1usize..3)).prop_map(
        |(exact_duplicates, near_duplicates, bound, most_per_prompt)| Hygiene {
            filter: Filter {
                minimum: bound.then(|| ("n".to_owned(), 2.0)).into_iter().collect(),
                most_per_prompt,
                ..Filter::default()
            },
            exact_duplicates,
            near_duplicates,
        },
    )
}

fn clean(options: &Hygiene, batches: &[Vec<Record>]) -> (Vec<Record>, tropism_data::audit::Audit) {
    let mut index = Decontaminator::new(&Contamination { words: 3, threshold: 0.6 }).unwrap();
    index.add("quiz", ["a b c d e a b c"]);
    let mut cleaner = Cleaner::new(options, Some(index)).unwrap();
    let kept = batches.iter().flat_map(|batch| cleaner.clean(batch.clone())).collect();
    (kept, cleaner.audit().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn cleaning_twice_changes_nothing(records in records(), options in hygiene()) {
        let (once, audit) = clean(&options, std::slice::from_ref(&records));
        prop_assert_eq!(audit.read, records.len());
        prop_assert_eq!(audit.kept, once.len());
        prop_assert_eq!(audit.kept + audit.dropped_count(), audit.read);
        let (twice, again) = clean(&options, std::slice::from_ref(&once));
        prop_assert_eq!(&twice, &once);
        prop_assert_eq!(again.dropped_count(), 0);
        prop_assert!(again.notes.is_empty());
    }

    #[test]
    fn batches_do_not_matter(records in records(), options in hygiene(), cut in 0usize..40) {
        let (left, right) = records.split_at(cut.min(records.len()));
        let whole = clean(&options, std::slice::from_ref(&records));
        prop_assert_eq!(clean(&options, &[left.to_vec(), right.to_vec()]), whole);
    }

    #[test]
    fn same_seed_same_bytes(records in records(), options in hygiene()) {
        let bytes = |found: (Vec<Record>, _)| format!("{found:?}");
        let first = bytes(clean(&options, std::slice::from_ref(&records)));
        prop_assert_eq!(bytes(clean(&options, std::slice::from_ref(&records))), first);
    }

    #[test]
    fn what_stays_is_sound(records in records(), options in hygiene()) {
        let (kept, _) = clean(&options, std::slice::from_ref(&records));
        let mut keys = BTreeSet::new();
        for record in &kept {
            let texts: Vec<String> = record.responses.iter().map(|response| response.content.words()).collect();
            prop_assert!(texts.iter().all(|text| !text.trim().is_empty()));
            prop_assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len());
            prop_assert!(options.filter.minimum.is_empty() || record.numbers["n"] >= 2.0);
            let normal = |text: &str| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
            let mut texts: Vec<String> = texts.iter().map(|text| normal(text)).collect();
            texts.sort();
            let new = keys.insert((normal(&record.prompt.words()), texts));
            prop_assert!(new || !options.exact_duplicates);
        }
    }

    #[test]
    fn prompts_never_stand_on_both_sides(records in records(), seed in any::<u64>(), tenths in 1u8..10) {
        let Ok((train, test)) = split_by_prompt(records.clone(), Record::prompt_key, f64::from(tenths) / 10.0, seed) else {
            return Ok(());
        };
        let keys = |side: &[Record]| side.iter().map(Record::prompt_key).collect::<BTreeSet<_>>();
        prop_assert!(keys(&train).is_disjoint(&keys(&test)));
        prop_assert_eq!(train.len() + test.len(), records.len());
        let again = split_by_prompt(records, Record::prompt_key, f64::from(tenths) / 10.0, seed).unwrap();
        prop_assert_eq!(again, (train, test));
    }
}

#[test]
fn evaluation_files_are_kept_out() {
    let folder = Folder::new();
    let path = folder.write(
        "quiz.jsonl",
        "{\"question\":\"How many eggs does a hen lay in a week if she lays one a day?\",\"answer\":\"#### 7\"}\n",
    );
    let mut index = Decontaminator::new(&Contamination::default()).unwrap();
    assert_eq!(index.add_file(&path, &ReadOptions::default()).unwrap(), 1);
    let record = |row: usize, text: &str| {
        let mut record = Record::new(Source::row("t", row), Text::Plain(text.into()));
        record.responses.push(Response::new(Text::Plain("seven".into())));
        record
    };
    let mut cleaner = Cleaner::new(&Hygiene::default(), Some(index)).unwrap();
    let kept = cleaner.clean(vec![
        record(1, "Tell me, how many eggs does a hen lay in a week, if she lays one a day?"),
        record(2, "How many eggs does a goose lay in a week if she lays one a month?"),
    ]);
    assert_eq!(kept.iter().map(|record| record.source.row).collect::<Vec<_>>(), [2]);
    let (reason, rows) = cleaner.audit().dropped.iter().next().unwrap();
    assert!(reason.starts_with("holds a text of the evaluation ") && reason.ends_with("quiz.jsonl"), "{reason}");
    assert_eq!(rows.rows, [1]);
}
