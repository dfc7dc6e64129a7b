//! Controls on pairs of records.

use tropism_data::construct::AllPairs;
use tropism_data::construct::controls::{Controls, Prefer};
use tropism_data::construct::dataset::Dataset;
use tropism_data::construct::records::{ScoreBy, construct};
use tropism_data::record::Record;

use crate::support::records;

fn made() -> (Vec<Record>, Dataset) {
    let lists: Vec<Vec<f64>> = (0..30).map(|i| (0..5).map(|j| ((7 * i + 3 * j) % 11) as f64).collect()).collect();
    let records = records(&lists);
    let rows = construct(&records, &AllPairs::default().into(), &ScoreBy::Auto, 1).unwrap().rows;
    (records, rows)
}

#[test]
fn each_does_what_it_says_and_says_what_it_did() {
    let (records, rows) = made();
    let run = |controls: Controls| {
        let mut audit = Vec::new();
        controls.apply(rows.clone(), &records, 1, &mut audit).map(|rows| (rows, audit))
    };
    let (same, audit) = run(Controls::default()).unwrap();
    assert_eq!((&same, audit.len()), (&rows, 0));
    let (capped, audit) =
        run(Controls { max_per_prompt: Some(3), prefer: Prefer::LargestGap, ..Controls::default() }).unwrap();
    assert_eq!((capped.len(), audit[0].before, audit[0].after), (90, rows.len(), 90));
    let (close, _) = run(Controls { max_length_ratio: Some(1.5), ..Controls::default() }).unwrap();
    let sides = |rows: &Dataset| rows.rows.iter().map(|row| row.characters(&records)).collect::<Vec<_>>();
    assert!(sides(&close).iter().all(|s| s[0].max(s[1]) as f64 <= 1.5 * s[0].min(s[1]) as f64));
    let (balanced, _) = run(Controls { balance_lengths: true, ..Controls::default() }).unwrap();
    let longer = sides(&balanced).iter().filter(|s| s[0] > s[1]).count();
    let shorter = sides(&balanced).iter().filter(|s| s[0] < s[1]).count();
    assert!(longer == shorter && longer > 0);
}

#[test]
fn noise_swaps_what_belongs_to_the_sides() {
    let (records, rows) = made();
    let noisy = Controls { label_noise: 0.3, ..Controls::default() };
    let mut audit = Vec::new();
    let flipped = noisy.apply(rows.clone(), &records, 1, &mut audit).unwrap();
    let count = flipped.columns["flipped"].iter().filter(|&&flip| flip == 1.0).count();
    assert_eq!(audit[0].changed, count);
    // binomial with 300 trials at most: five standard deviations
    assert!((count as f64 - 0.3 * rows.len() as f64).abs() < 40.0, "{count} of {}", rows.len());
    for row in 0..rows.len() {
        let (before, after) = (rows.item(row, &records), flipped.item(row, &records));
        let (old, new) = (rows.numbers(row), flipped.numbers(row));
        assert_eq!(old["score_gap"], new["score_gap"]);
        if flipped.columns["flipped"][row] == 1.0 {
            assert_eq!(before.completions[0], after.completions[1]);
            assert_eq!((old["score/chosen"], old["score/rejected"]), (new["score/rejected"], new["score/chosen"]));
        } else {
            assert_eq!(before, after);
        }
    }
}

#[test]
fn nonsense_is_refused() {
    let (records, rows) = made();
    let error = |controls: Controls| controls.apply(rows.clone(), &records, 1, &mut Vec::new()).unwrap_err().to_string();
    assert!(error(Controls { max_per_prompt: Some(0), ..Controls::default() }).contains("max_per_prompt"));
    assert!(error(Controls { prefer: Prefer::SmallestGap, ..Controls::default() }).contains("no effect"));
    assert!(error(Controls { max_length_ratio: Some(0.5), ..Controls::default() }).contains("max_length_ratio"));
    assert!(error(Controls { label_noise: 1.5, ..Controls::default() }).contains("label_noise"));
    let ranking = tropism_data::construct::Ranking::default().into();
    let lists = construct(&records, &ranking, &ScoreBy::Auto, 1).unwrap().rows;
    let noisy = Controls { label_noise: 0.5, ..Controls::default() };
    let error = noisy.apply(lists, &records, 1, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("rankings"), "{error}");
}
