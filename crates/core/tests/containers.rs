//! What the containers accept, refuse and hand on.
#![allow(clippy::unwrap_used)]

use dfdx::prelude::*;
use tropism_core::*;

#[test]
fn pairs_check_sizes_and_values() {
    let dev = Cpu::default();
    let logps = |v: &[f64]| dev.tensor_from_vec(v.to_vec(), (v.len(),));
    let good = PairLogps::new(logps(&[-1.0, -2.0]), logps(&[-3.0, -4.0]), &[1, 2], &[3, 0]).unwrap();
    assert_eq!((good.rows(), good.rejected_lengths.as_vec()), (2, vec![3.0, 0.0]));

    let ragged = PairLogps::new(logps(&[-1.0, -2.0]), logps(&[-3.0]), &[1, 2], &[3]);
    assert!(matches!(ragged, Err(CoreError::SizeMismatch { what: "rejected logps", .. })));
    let lengths = PairLogps::new(logps(&[-1.0]), logps(&[-3.0]), &[1], &[3, 4]);
    assert!(matches!(lengths, Err(CoreError::SizeMismatch { what: "rejected lengths", .. })));
    let lengths = PairLogps::new(logps(&[-1.0]), logps(&[-3.0]), &[], &[3]);
    assert!(matches!(lengths, Err(CoreError::SizeMismatch { what: "chosen lengths", .. })));
    let infinite = PairLogps::new(logps(&[-1.0, -2.0]), logps(&[-3.0, f64::NEG_INFINITY]), &[1; 2], &[1; 2]);
    let Err(CoreError::NotFinite { what, row, value }) = infinite else { panic!("accepted -inf") };
    assert_eq!((what, row, value), ("rejected logps", 1, f64::NEG_INFINITY));
    let empty = PairLogps::new(logps(&[]), logps(&[]), &[], &[]);
    assert!(matches!(empty, Err(CoreError::Empty { .. })));
}

#[test]
fn sequences_check_sizes_and_values() {
    let dev = Cpu::default();
    let good = SequenceLogps::new(dev.tensor([-1.0_f32]), &[4]).unwrap();
    assert_eq!((good.rows(), good.lengths.array()), (1, [4.0]));
    let lengths = SequenceLogps::new(dev.tensor([-1.0_f32]), &[4, 5]);
    assert!(matches!(lengths, Err(CoreError::SizeMismatch { what: "lengths", .. })));
    let nan = SequenceLogps::new(dev.tensor([0.0, f32::NAN]), &[4, 5]);
    assert!(matches!(nan, Err(CoreError::NotFinite { row: 1, .. })));
}

#[test]
fn tokens_refuse_junk_only_where_it_counts() {
    let dev = Cpu::default();
    let logps = || dev.tensor([[-1.0_f64, f64::NAN], [-2.0, -3.0]]);
    let tokens = TokenLogps::new(logps(), &[true, false, true, true]).unwrap();
    assert_eq!(tokens.counts(), [1, 2]);
    let counted = TokenLogps::new(logps(), &[true; 4]);
    assert!(matches!(counted, Err(CoreError::NotFinite { what: "token logps", row: 0, .. })));
    let short = TokenLogps::new(logps(), &[true; 3]);
    assert!(matches!(short, Err(CoreError::SizeMismatch { expected: 4, found: 3, .. })));
    let empty = TokenLogps::new(dev.tensor_from_vec(Vec::<f64>::new(), (2usize, 0usize)), &[]);
    assert!(matches!(empty, Err(CoreError::Empty { .. })));
}

#[test]
fn pairs_from_tokens_share_one_tape() {
    let dev = Cpu::default();
    let chosen = dev.tensor([[-1.0_f64, -2.0, f64::NAN]]);
    let rejected = dev.tensor([[f64::NEG_INFINITY, -5.0]]);
    let pairs = PairLogps::from_tokens(
        TokenLogps::new(chosen.leaky_trace(), &[true, true, false]).unwrap(),
        TokenLogps::new(rejected.retaped(), &[false, true]).unwrap(),
    )
    .unwrap();
    assert_eq!((pairs.chosen_lengths.array(), pairs.rejected_lengths.array()), ([2.0], [1.0]));
    let copy = pairs.detach().unwrap();
    assert_eq!((copy.chosen.array(), copy.rejected.array()), ([-3.0], [-5.0]));
    let grads = (pairs.chosen * 2.0 - pairs.rejected).sum().backward();
    assert_eq!(grads.get(&chosen).array(), [[2.0, 2.0, 0.0]]);
    assert_eq!(grads.get(&rejected).array(), [[0.0, -1.0]]);
}

#[test]
fn sides_of_different_size_are_no_pairs() {
    let dev = Cpu::default();
    let rows = |n: usize| SequenceLogps::new(dev.tensor_from_vec(vec![-1.0_f64; n], (n,)), &vec![1; n]);
    let refused = PairLogps::from_sequences(rows(2).unwrap(), rows(3).unwrap());
    assert!(matches!(refused, Err(CoreError::SizeMismatch { expected: 2, found: 3, .. })));
    let joined = PairLogps::from_sequences(rows(2).unwrap(), rows(2).unwrap()).unwrap();
    assert_eq!((joined.rows(), joined.chosen_lengths.as_vec()), (2, vec![1.0; 2]));
}

#[test]
fn terms_check_their_parts() {
    let dev = Cpu::default();
    let losses = || dev.tensor([1.0_f64, 2.0]);
    let weights = |w: &[f64]| LossTerms::new(losses(), w.to_vec(), Diagnostics::default());
    assert!(matches!(weights(&[1.0]), Err(CoreError::SizeMismatch { .. })));
    assert!(matches!(weights(&[1.0, -1.0]), Err(CoreError::NegativeWeight { row: 1, .. })));
    assert!(matches!(weights(&[f64::NAN, 1.0]), Err(CoreError::NotFinite { row: 0, .. })));
    let mut ragged = Diagnostics::default();
    ragged.push("a", vec![1.0]).unwrap();
    assert!(matches!(LossTerms::new(losses(), vec![1.0; 2], ragged), Err(CoreError::SizeMismatch { .. })));
    let nan = LossTerms::new(dev.tensor([f64::INFINITY]), vec![1.0], Diagnostics::default());
    assert!(matches!(nan, Err(CoreError::NotFinite { what: "loss", .. })));
}

#[test]
fn terms_divide_once_by_the_whole() {
    let dev = Cpu::default();
    let part = |losses: [f64; 2], weights: [f64; 2]| {
        LossTerms::new(dev.tensor(losses), weights.to_vec(), Diagnostics::default()).unwrap()
    };
    let parts = [part([1.0, 2.0], [1.0, 4.0]), part([3.0, 4.0], [2.0, 0.0])];
    assert_eq!(parts[0].values(), [1.0, 2.0]);
    let whole: f64 = parts.iter().map(LossTerms::weight).sum();
    let sum: f64 = parts.into_iter().map(|p| p.into_scaled(&[whole]).unwrap().array()).sum();
    assert!((sum - 10.0 / 7.0).abs() < 1e-15);
}

#[test]
fn without_weight_there_is_no_mean() {
    let dev = Cpu::default();
    let terms = || LossTerms::new(dev.tensor([0.0_f64]), vec![0.0], Diagnostics::default()).unwrap();
    assert!(matches!(terms().mean(), Err(CoreError::NoWeight { weight: 0.0 })));
    assert!(terms().into_scaled(&[f64::NAN]).is_err());
    assert!(terms().into_scaled(&[f64::INFINITY]).is_err());
    assert!(terms().into_scaled(&[-1.0]).is_err());
    assert_eq!(terms().sum().unwrap().array(), 0.0);
}

#[test]
fn prompts_are_apart_from_completions() {
    let dev = Cpu::default();
    let tokens = || TokenLogps::new(dev.tensor([[-1.0_f64, -2.0, f64::NAN]]), &[false, true, false]).unwrap();
    let both = tokens().with_prompt(&[true, false, false]).unwrap();
    assert_eq!((both.counts(), both.values()), ([1].as_slice(), vec![-1.0, -2.0, 0.0]));
    assert_eq!(both.prompt_mask(), Some([true, false, false].as_slice()));
    assert_eq!(both.sum().unwrap().logps.array(), [-2.0]);
    assert!(matches!(tokens().with_prompt(&[true, true, false]), Err(CoreError::Overlap { row: 0, column: 1 })));
    assert!(matches!(tokens().with_prompt(&[false, false, true]), Err(CoreError::NotFinite { what: "prompt logps", .. })));
    assert!(matches!(tokens().with_prompt(&[true]), Err(CoreError::SizeMismatch { expected: 3, found: 1, .. })));
}

#[test]
fn weighted_sums_ignore_what_is_masked() {
    let dev = Cpu::default();
    let logps = dev.tensor([[-1.0_f64, -2.0, f64::NAN]]);
    let tokens = TokenLogps::new(logps.leaky_trace(), &[true, true, false]).unwrap();
    let rows = tokens.weighted_sum(&[1.0, 0.5, f64::INFINITY]).unwrap();
    assert_eq!((rows.logps.array(), rows.lengths.array()), ([-2.0], [2.0]));
    assert_eq!(rows.logps.sum().backward().get(&logps).array(), [[1.0, 0.5, 0.0]]);
}

#[test]
fn joined_rows_must_be_as_many() {
    let dev = Cpu::default();
    let tokens =
        |n: usize| TokenLogps::new(dev.tensor_from_vec(vec![-1.0_f64; n * 2], (n, 2usize)), &vec![true; n * 2]).unwrap();
    assert!(matches!(PairTokens::new(tokens(2), tokens(3)), Err(CoreError::SizeMismatch { expected: 2, found: 3, .. })));
    let sums = |n: usize| tokens(n).sum().unwrap();
    let pair = PairLogps::from_sequences(sums(2), sums(2)).unwrap();
    assert!(matches!(TripleLogps::new(pair, sums(1)), Err(CoreError::SizeMismatch { expected: 2, found: 1, .. })));
    let list = |lengths: &[usize]| ListLogps::new(dev.tensor([[-1.0_f64, f64::NAN]]), &[true, false], lengths).map(|_| ());
    assert_eq!(list(&[3, 0]), Ok(()));
    assert!(matches!(list(&[3]), Err(CoreError::SizeMismatch { what: "list lengths", .. })));
    let pair = |n: usize| PairLogps::from_sequences(sums(n), sums(n)).unwrap();
    let three = |b: usize, c: usize| RevisionLogps::new(pair(2), pair(b), pair(c)).map(|_| ());
    assert_eq!(three(2, 2), Ok(()));
    for error in [three(1, 2), three(2, 3)] {
        assert!(matches!(error, Err(CoreError::SizeMismatch { expected: 2, .. })));
    }
    let figures = |n: usize| dev.tensor_from_vec(vec![0.5_f64; n], (n,));
    let scored = |n: usize| ScoredPairs::new(pair(2), PairScores::new(figures(n), figures(n)).unwrap()).map(|s| s.rows());
    assert_eq!(scored(2), Ok(2));
    assert!(matches!(scored(3), Err(CoreError::SizeMismatch { expected: 2, found: 3, .. })));
    let scores = PairScores::new(dev.tensor([1.0_f64]), dev.tensor([f64::NAN]));
    assert!(matches!(scores, Err(CoreError::NotFinite { what: "rejected scores", row: 0, .. })));
    let table = ScoreTable::new(dev.tensor([[1.0_f64, f64::NAN]]), &[true, true]);
    assert!(matches!(table, Err(CoreError::NotFinite { what: "scores", row: 0, .. })));
}

#[test]
fn values_must_cover_the_completion() {
    let dev = Cpu::default();
    let table = |rows: usize, columns: usize, mask: &[bool]| {
        let cells = dev.tensor_from_vec(vec![1.0_f64; rows * columns], (rows, columns));
        ScoreTable::new(cells, mask).unwrap()
    };
    let tokens = || TokenLogps::new(dev.tensor_from_vec(vec![-1.0_f64; 6], (2usize, 3usize)), &[true; 6]).unwrap();
    assert!(ValuedTokens::new(tokens(), table(2, 3, &[true; 6])).is_ok());
    let lost = ValuedTokens::new(tokens(), table(2, 3, &[true, true, true, true, false, true])).map(|_| ());
    assert_eq!(lost, Err(CoreError::MissingValue { row: 1, column: 1 }));
    let sizes = [(1, 3), (2, 2)].map(|(r, c)| ValuedTokens::new(tokens(), table(r, c, &vec![true; r * c])).map(|_| ()));
    assert!(sizes.iter().all(|s| matches!(s, Err(CoreError::SizeMismatch { .. }))));
}

#[test]
fn parts_have_denominators_of_their_own() {
    let dev = Cpu::default();
    let part = |losses: [f64; 2], weights: [f64; 2]| {
        LossTerms::new(dev.tensor(losses), weights.to_vec(), Diagnostics::default()).unwrap()
    };
    let both = || part([1.0, 3.0], [1.0, 1.0]).with(part([4.0, 6.0], [2.0, 3.0])).unwrap();
    assert_eq!(both().part_values(), [[1.0, 3.0], [4.0, 6.0]]);
    assert!(matches!(both().sum(), Err(CoreError::Denominators { parts: 2, found: 0 })));
    assert!(matches!(both().into_scaled(&[2.0]), Err(CoreError::Denominators { parts: 2, found: 1 })));
    assert_eq!(both().into_scaled(&[4.0, 10.0]).unwrap().array(), 2.0);
    assert_eq!(both().sum_over(&[4.0, 10.0]).unwrap().array(), 8.0);
    assert_eq!(both().times(0.5).unwrap().mean().unwrap().array(), 2.0);
    assert_eq!(both().times_rows(&[1.0, 0.0]).unwrap().mean().unwrap().array(), 0.5 + 0.8);
    // A part that nothing counts for is left out, the first one must count.
    let empty = part([1.0, 3.0], [1.0, 1.0]).with(part([0.0, 0.0], [0.0, 0.0])).unwrap();
    assert_eq!(empty.mean().unwrap().array(), 2.0);
    assert!(matches!(part([0.0; 2], [0.0; 2]).with(both()).unwrap().mean(), Err(CoreError::NoWeight { .. })));
    let one = LossTerms::new(dev.tensor([1.0_f64]), vec![1.0], Diagnostics::default()).unwrap();
    let two =
        LossTerms::new(dev.tensor_from_vec(vec![1.0_f64; 2], (2usize,)), vec![1.0; 2], Diagnostics::default()).unwrap();
    let loose = LossTerms::new(dev.tensor_from_vec(vec![1.0_f64], (1usize,)), vec![1.0], Diagnostics::default()).unwrap();
    assert!(matches!(two.with(loose), Err(CoreError::SizeMismatch { expected: 2, found: 1, .. })));
    assert_eq!(one.denominators(), [1.0]);
}
