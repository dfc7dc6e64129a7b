//! Worked examples and identities of text metrics.
use super::{all_close, close, text_of, words};
use proptest::prelude::*;
use tropism_evaluation::text::*;

#[test]
fn lengths_worked() {
    let found = length_stats(&[12, 45, 45, 80, 200], Some(200)).unwrap();
    all_close([found.mean.value, found.median, found.sd, found.p90], &[76.4, 45.0, 73.159415, 152.0]);
    close(found.truncated.unwrap().value, 0.2);
    let bias = length_bias(&[120, 80, 60, 200, 90], &[100, 90, 60, 150, 40], Some(&[0.5, -0.1, 0.2, 1.0, 0.3])).unwrap();
    all_close(
        [bias.chosen_longer.value, bias.difference.value, bias.margin_correlation.unwrap().value],
        &[0.7, 22.0, 0.753985],
    );
    assert!(length_bias(&[1, 2], &[1, 1], None).unwrap().margin_correlation.is_none());
}

#[test]
fn diversity_worked() {
    let texts = ["the cat sat on the mat", "the cat ate the fish", "a dog sat on the mat"].map(words);
    let texts = super::rows(&texts);
    for (n, distinct, total) in [(1, 9, 17), (2, 10, 14), (3, 9, 11)] {
        let found = distinct_n(&texts, n).unwrap();
        assert_eq!((found.distinct, found.total), (distinct, total));
        close(found.rate, distinct as f64 / total as f64);
    }
    close(entropy_n(&texts, 2).unwrap(), 2.242973);
    let floor = Bleu { smoothing: BleuSmoothing::Floor(0.1), ..Bleu::default() };
    let each = |i: usize| {
        let others: Vec<&[&str]> = (0..3).filter(|j| *j != i).map(|j| texts[j]).collect();
        BleuCounts::of(texts[i], &others, 4).unwrap().score(floor.smoothing, false)
    };
    all_close((0..3).map(each), &[0.604275, 0.102950, 0.508133]);
    let found = self_bleu(&texts, &floor).unwrap();
    close(found.value, 0.405119);
    assert_eq!(found.n, 3);
    close(self_bleu(&texts, &Bleu { order: 2, ..floor }).unwrap().value, 0.614659);
}

#[test]
fn bleu_worked() {
    let candidate = words("the cat is on the mat");
    let references = ["the cat sat on the mat", "there is a cat on the mat"].map(words);
    let counts = BleuCounts::of(&candidate, &super::rows(&references), 4).unwrap();
    assert_eq!((&counts.matches[..], &counts.totals[..]), (&[6, 3, 1, 0][..], &[6, 5, 4, 3][..]));
    let score = |s| counts.score(s, false);
    let found = [BleuSmoothing::None, BleuSmoothing::Floor(0.1), BleuSmoothing::AddK(1.0), BleuSmoothing::Exp].map(score);
    all_close(found, &[0.0, 0.265915, 0.508133, 0.397635]);
    let [c, r] = ["the quick brown fox jumps over the lazy dog", "the quick brown fox jumped over the lazy dog"].map(words);
    let counts = BleuCounts::of(&c, &[&r], 4).unwrap();
    assert_eq!(counts.matches, [8, 6, 4, 2]);
    close(counts.score(BleuSmoothing::None, false), 0.596949);
}

#[test]
fn rouge_worked() {
    let [c, r] = ["the cat is on the mat", "the cat sat on the mat"].map(words);
    close(rouge_l(&c, &r).f1, 0.833333);
    close(rouge_n(&c, &r, 2).f1, 0.6);
    let [c, r] = ["police killed the gunman", "the gunman police killed"].map(words);
    close(rouge_l(&c, &r).f1, 0.5);
    close(mean_overlap(&[rouge_l(&c, &r), rouge_l(&c, &c)]).unwrap().value, 0.75);
    assert_eq!(rouge_l::<u32>(&[], &[1, 2]).f1, 0.0);
}

#[test]
fn pass_at_k_worked() {
    for (n, c, k, value) in [(10, 3, 1, 0.3), (10, 3, 5, 0.916667), (200, 13, 10, 0.497551), (10, 8, 5, 1.0)] {
        close(pass_at_k_of(n, c, k).unwrap(), value);
    }
    let found = pass_at_k(&[10, 10], &[3, 8], 5).unwrap();
    close(found.value, (0.916667 + 1.0) / 2.0);
    assert_eq!(found.n, 2);
    assert!(text_of(pass_at_k_of(3, 4, 1)).contains("correct answers is 4"));
    assert!(text_of(pass_at_k_of(3, 1, 4)).contains("k is 4"));
}

#[test]
fn repetition_by_hand() {
    // four bigrams, two different
    let found = repetition_n(&[&[1, 2, 1, 2, 1][..], &[1][..]], 2).unwrap();
    close(found.value, 0.25);
    assert_eq!(ending_loop(&words("x y a b a b a b a"), 4, 3), Some(Loop { period: 2, times: 3 }));
    assert_eq!(ending_loop(&[7, 7, 7, 7], 4, 2), Some(Loop { period: 1, times: 4 }));
    assert_eq!(ending_loop(&[1, 2, 3], 4, 2), None);
    assert_eq!(ending_loop::<u32>(&[], 4, 2), None);
}

#[test]
fn copies_are_no_variety() {
    let texts: Vec<Vec<u32>> = vec![vec![1, 2, 3, 4, 5]; 6];
    let found = self_bleu(&super::rows(&texts), &Bleu::default()).unwrap();
    assert_eq!((found.value, found.low, found.high), (1.0, 1.0, 1.0));
    close(distinct_n(&super::rows(&texts), 1).unwrap().rate, 1.0 / 6.0);
}

proptest! {
    #[test]
    fn overlap_with_itself_is_whole(x in prop::collection::vec(0u8..5, 4..20), y in prop::collection::vec(0u8..5, 1..20)) {
        let bleu = BleuCounts::of(&x, &[&x], 4).unwrap().score(BleuSmoothing::None, false);
        prop_assert!((bleu - 1.0).abs() < 1e-12);
        prop_assert_eq!(rouge_l(&x, &x).f1, 1.0);
        prop_assert!((rouge_l(&x, &y).f1 - rouge_l(&y, &x).f1).abs() < 1e-15);
        prop_assert_eq!(rouge_l(&x, &y).precision, rouge_l(&y, &x).recall);
        for smoothing in [BleuSmoothing::None, BleuSmoothing::Floor(0.1), BleuSmoothing::AddK(1.0), BleuSmoothing::Exp] {
            let score = BleuCounts::of(&y, &[&x], 4).unwrap().score(smoothing, true);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&score), "{smoothing:?} {score}");
        }
    }

    #[test]
    fn self_bleu_is_bleu_against_the_others(texts in prop::collection::vec(prop::collection::vec(0u8..4, 0..12), 2..6)) {
        let (texts, bleu) = (super::rows(&texts), Bleu { smoothing: BleuSmoothing::Floor(0.1), ..Bleu::default() });
        let each = |i: usize| {
            let others: Vec<&[u8]> = (0..texts.len()).filter(|j| *j != i).map(|j| texts[j]).collect();
            BleuCounts::of(texts[i], &others, 4).unwrap().score(bleu.smoothing, false)
        };
        let expected = (0..texts.len()).map(each).sum::<f64>() / texts.len() as f64;
        prop_assert!((self_bleu(&texts, &bleu).unwrap().value - expected).abs() < 1e-12);
    }

    #[test]
    fn pass_at_k_grows(n in 1usize..60, c in 0usize..60) {
        let c = c.min(n);
        let all: Vec<f64> = (1..=n).map(|k| pass_at_k_of(n, c, k).unwrap()).collect();
        prop_assert!((all[0] - c as f64 / n as f64).abs() < 1e-12);
        prop_assert!(all.windows(2).all(|w| w[1] >= w[0] - 1e-12));
        prop_assert_eq!(all[n - 1], f64::from(u8::from(c > 0)));
    }

    #[test]
    fn loops_are_found(prefix in prop::collection::vec(0u32..9, 0..9), period in prop::collection::vec(10u32..20, 1..5), times in 3usize..6) {
        let text: Vec<u32> = prefix.into_iter().chain(period.iter().copied().cycle().take(period.len() * times)).collect();
        let found = ending_loop(&text, 8, 3).unwrap();
        prop_assert!(found.period * found.times >= period.len() * times, "{found:?}");
    }
}
