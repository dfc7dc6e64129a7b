//! The suffix array against plain search, and belief conflicts.
use super::{close, near};
use proptest::prelude::*;
use tropism_evaluation::safety::*;

/// Tokens: the, mix, with, fuel, and.
fn sheet() -> Surprisal {
    Surprisal::from_probabilities(&[(0, 0.05), (1, 1e-4), (2, 0.01), (3, 2e-5), (4, 0.03)], 1e-9).unwrap()
}

#[test]
fn belief_conflict_worked() {
    let bci = |span: &[u32]| belief_conflict(span, &sheet()).unwrap();
    let each = [2.9957322736, 9.2103403720, 4.6051701860, 10.8197782844, 3.5065578973];
    (0..5).for_each(|t| near(sheet().of(t as u32), each[t], 1e-9));
    near(bci(&[1, 0, 3]).total, 23.0258509299, 1e-9);
    near(bci(&[1, 0, 3]).density, 7.6752836433, 1e-9);
    near(bci(&[1, 2, 3]).total, 24.6352888424, 1e-9);
    near(bci(&[0, 4, 2]).total, 11.1074603569, 1e-9);
    near(bci(&[99]).total, 20.7232658369, 1e-9);
    near(bci(&[1, 2, 3]).total - 20.0, 4.6352888424, 1e-9);
    near(bci(&[1, 2, 3]).max, each[3], 1e-9);
    // ⅔ · log(⅔ / 0.05) + ⅓ · log(⅓ / 0.03)
    near(bci(&[0, 0, 4]).kl, 2.0 / 3.0 * (2.0f64 / 3.0 / 0.05).ln() + (1.0f64 / 3.0 / 0.03).ln() / 3.0, 1e-12);
}

#[test]
fn counts_become_probabilities() {
    let s = Surprisal::from_corpus(&[&[1, 1, 2], &[1]], 4).unwrap();
    close(s.of(1), 2f64.ln());
    close(s.of(7), 8f64.ln());
    assert!(Surprisal::from_corpus(&[&[1, 2]], 1).is_err() && Surprisal::from_corpus(&[&[]], 1).is_err());
    assert!(Surprisal::from_probabilities(&[(1, 0.0)], 1e-9).is_err());
}

#[test]
fn answers_are_traced() {
    let index = TraceIndex::new(&[&[1, 2, 3, 0], &[0, 0, 1, 2, 3]]).unwrap();
    assert_eq!(index.find(&[1, 2, 3], 5), [Match { document: 0, offset: 0 }, Match { document: 1, offset: 2 }]);
    assert_eq!(index.find(&[1, 2, 3], 1).len(), 1);
    assert_eq!((index.count(&[3, 0, 0]), index.count(&[]), index.count(&[42])), (0, 0, 0));
    let found = trace(&[4, 1, 2, 3, 4], 3, &index, &sheet(), Some(3)).unwrap();
    assert_eq!(found.iter().map(|t| (t.span.clone(), t.matches)).collect::<Vec<_>>(), [(1..4, 2)]);
    assert!(would_refuse(&found, 20.0) && !would_refuse(&found, 25.0));
    assert!(trace(&[4, 1, 2, 3, 4], 3, &index, &sheet(), Some(1)).unwrap().is_empty());
    // an answer shorter than the window
    assert_eq!(trace(&[2, 3], 8, &index, &sheet(), None).unwrap()[0].span, 0..2);
    assert!(trace(&[], 8, &index, &sheet(), None).unwrap().is_empty());
}

#[test]
fn thresholds_by_roc() {
    let found = roc(&[1.0, 2.0, 3.0], &[3.5, 4.0, 2.5]).unwrap();
    close(found.auc.value, 8.0 / 9.0);
    assert_eq!((found.threshold, found.true_positives), (2.0, 1.0));
    close(found.false_positives, 1.0 / 3.0);
    let apart = roc(&[1.0, 2.0], &[3.0, 4.0]).unwrap();
    assert_eq!((apart.auc.value, apart.threshold, apart.true_positives, apart.false_positives), (1.0, 2.0, 1.0, 0.0));
}

/// Every place of a span, by looking everywhere.
fn brute(documents: &[Vec<u32>], span: &[u32]) -> Vec<Match> {
    let in_document = |(document, tokens): (usize, &Vec<u32>)| {
        let places: Vec<usize> =
            tokens.windows(span.len().max(1)).enumerate().filter(|(_, w)| *w == span).map(|(i, _)| i).collect();
        places.into_iter().map(move |offset| Match { document, offset })
    };
    documents.iter().enumerate().flat_map(in_document).collect()
}

proptest! {
    #[test]
    fn lookup_is_search(
        documents in prop::collection::vec(prop::collection::vec(5u32..9, 0..30), 1..6),
        spans in prop::collection::vec(prop::collection::vec(5u32..9, 1..6), 1..10),
    ) {
        let index = TraceIndex::new(&super::rows(&documents)).unwrap();
        // also ends of documents, and a span longer than any of them
        let ends = documents.iter().filter(|d| d.len() > 1).map(|d| d[d.len() - 2..].to_vec());
        let long = [documents.concat(), vec![5; 40]].concat();
        for span in spans.into_iter().chain(ends).chain([long]) {
            let expected = brute(&documents, &span);
            prop_assert_eq!(index.count(&span), expected.len());
            prop_assert_eq!(index.find(&span, usize::MAX), expected);
        }
        let turned: Vec<Vec<u32>> = documents.iter().rev().cloned().collect();
        let other = TraceIndex::new(&super::rows(&turned)).unwrap();
        for d in &documents {
            prop_assert_eq!(index.count(d), other.count(d));
        }
    }

    #[test]
    fn conflicts_add_up(a in prop::collection::vec(0u32..7, 1..12), b in prop::collection::vec(0u32..7, 1..12), low in 5.0f64..30.0) {
        let (s, both) = (sheet(), [a.clone(), b.clone()].concat());
        let bci = |span: &[u32]| belief_conflict(span, &s).unwrap();
        near(bci(&both).total, bci(&a).total + bci(&b).total, 1e-9);
        prop_assert!(bci(&a).total >= 0.0 && bci(&a).kl >= -1e-12 && bci(&a).max <= bci(&a).total + 1e-12);
        let mut turned = both.clone();
        turned.reverse();
        near(bci(&both).total, bci(&turned).total, 1e-9);
        // a higher threshold never refuses more
        let index = TraceIndex::new(&[&a]).unwrap();
        let found = trace(&both, 3, &index, &s, None).unwrap();
        prop_assert!(would_refuse(&found, low) || !would_refuse(&found, low + 1.0));
    }
}

proptest! {
    #[test]
    fn a_veto_looks_up_every_candidate(
        corpus in prop::collection::vec(prop::collection::vec(0u32..6, 1..12), 1..6),
        answer in prop::collection::vec(0u32..7, 0..10),
        window in 1usize..5,
        threshold in 0.0f64..8.0,
    ) {
        let documents: Vec<&[u32]> = corpus.iter().map(Vec::as_slice).collect();
        let index = TraceIndex::new(&documents).unwrap();
        let surprisal = Surprisal::from_corpus(&documents, 7).unwrap();
        let veto = ProvenanceVeto::new(index, surprisal.clone(), window, threshold).unwrap();
        let before = &answer[answer.len().saturating_sub(window - 1)..];
        let expected: Vec<u32> = (0..7)
            .filter(|&v| {
                let span = [before, &[v]].concat();
                let found = corpus.iter().any(|d| d.windows(span.len()).any(|w| w == span));
                found && belief_conflict(&span, &surprisal).unwrap().total > threshold
            })
            .collect();
        prop_assert_eq!(veto.risky(&answer), expected);
    }

    #[test]
    fn what_takes_no_risky_token_passes_the_shield(
        corpus in prop::collection::vec(prop::collection::vec(0u32..5, 1..12), 1..6),
        drawn in prop::collection::vec(0u32..6, 0..16),
        window in 1usize..5,
        threshold in 0.0f64..8.0,
    ) {
        let documents: Vec<&[u32]> = corpus.iter().map(Vec::as_slice).collect();
        let index = TraceIndex::new(&documents).unwrap();
        let surprisal = Surprisal::from_corpus(&documents, 6).unwrap();
        let veto = ProvenanceVeto::new(index, surprisal, window, threshold).unwrap();
        let mut answer = Vec::new();
        for token in drawn {
            if !veto.risky(&answer).contains(&token) {
                answer.push(token);
            }
        }
        prop_assert!(!veto.refuses(&answer).unwrap());
    }
}

#[test]
fn a_veto_needs_a_window_and_a_threshold() {
    let make = |window, threshold| ProvenanceVeto::new(TraceIndex::new(&[&[1, 2]]).unwrap(), sheet(), window, threshold);
    assert!(make(0, 20.0).is_err() && make(8, f64::NAN).is_err() && make(8, -1.0).is_err());
    assert!(make(1, 0.0).unwrap().risky(&[]) == [1, 2]);
}
