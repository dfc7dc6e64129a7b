//! Packing and truncation: properties over random items.

use proptest::prelude::*;
use tropism_data::pack::{Packed, Segment, pack_groups, pack_pairs, pack_samples};
use tropism_data::record::Source;
use tropism_data::tokens::{
    LengthOptions, TokenGroup, TokenPair, TokenSample, Truncation, check_vocab, check_vocab_samples,
};

fn pair(row: usize, prompt: &[u32], chosen: &[u32], rejected: &[u32], own: Option<&[u32]>) -> TokenPair {
    TokenPair {
        source: Source::row("t", row),
        prompt: prompt.to_vec(),
        chosen: chosen.to_vec(),
        rejected: rejected.to_vec(),
        rejected_prompt: own.map(<[u32]>::to_vec),
        given: Default::default(),
        numbers: Default::default(),
    }
}

fn sample(row: usize, prompt: &[u32], completion: &[u32]) -> TokenSample {
    TokenSample { source: Source::row("t", row), prompt: prompt.to_vec(), completion: completion.to_vec(), given: vec![] }
}

#[test]
fn a_pair_as_drawn() {
    let packed = pack_pairs(&[pair(1, &[1, 2, 3], &[4, 5], &[6, 7, 8], None)]).unwrap();
    assert_eq!(packed.tokens, [1, 2, 3, 4, 5, 6, 7, 8]);
    let segment = |start, len, parent| Segment { start, len, parent };
    assert_eq!(packed.segments, [segment(0, 3, None), segment(3, 2, Some(0)), segment(5, 3, Some(0))]);
    assert_eq!(packed.sources, [2, 3, 2, 5, 6]);
    assert_eq!(packed.targets, [4, 5, 6, 7, 8]);
    assert_eq!(packed.sequences, [0..2, 2..5]);
    assert_eq!(packed.completions, [1, 2]);
    assert_eq!(packed.positions(), [0, 1, 2, 3, 4, 3, 4, 5]);
    assert_eq!(packed.lengths(), [2, 3]);
    assert_eq!(packed.rows, [Source::row("t", 1)]);
    assert_eq!(packed.unpack(2), None);
}

#[test]
fn without_prompt_the_first_token_is_no_target() {
    let packed = pack_pairs(&[pair(1, &[], &[4, 5], &[6, 7, 8], None)]).unwrap();
    assert!(packed.segments.iter().all(|segment| segment.parent.is_none()));
    assert_eq!(packed.targets, [5, 7, 8]);
    assert_eq!(packed.sources, [0, 2, 3]);
    assert_eq!(packed.sequences, [0..1, 1..3]);
}

#[test]
fn groups_share_their_prompt() {
    let packed = pack_samples(&[sample(1, &[1, 2], &[3]), sample(2, &[1, 2], &[4]), sample(3, &[1], &[5])]).unwrap();
    assert_eq!(packed.tokens, [1, 2, 3, 4, 1, 5]);
    assert_eq!(packed.sources, [1, 1, 4]);
    assert_eq!(packed.rows.len(), 3);
}

#[test]
fn what_was_given_is_read_and_no_target() {
    let mut turns = sample(1, &[1, 2], &[3, 4, 20, 21, 5, 22, 6]);
    turns.given = vec![2..4, 5..6];
    assert_eq!((turns.scored(), turns.written().collect::<Vec<_>>()), (4, vec![0..2, 4..5, 6..7]));
    let packed = pack_samples(&[turns.clone(), sample(2, &[1, 2], &[7])]).unwrap();
    assert_eq!(packed.tokens, [1, 2, 3, 4, 20, 21, 5, 22, 6, 7]);
    assert_eq!(packed.targets, [3, 4, 5, 6, 7]);
    // the last of what was given is what predicts the next turn's first token
    assert_eq!(packed.sources, [1, 2, 5, 7, 1]);
    assert_eq!(packed.sequences, [0..4, 4..5]);
    let mut both = pair(3, &[1, 2], &[3, 20, 4], &[21, 5], None);
    both.given = [vec![1..2], vec![0..1]];
    let packed = pack_pairs(&[both]).unwrap();
    assert_eq!((packed.targets, packed.sources, packed.sequences), (vec![3, 4, 5], vec![1, 3, 5], vec![0..2, 2..3]));
    // without a prompt the first token has no predictor, whoever wrote it
    turns.prompt = vec![];
    assert_eq!((turns.scored(), pack_samples(&[turns.clone()]).unwrap().targets), (3, vec![4, 5, 6]));
    turns.given = vec![0..1, 2..7];
    assert_eq!((turns.scored(), pack_samples(&[turns.clone()]).unwrap().targets), (1, vec![4]));
    turns.given = vec![1..7];
    assert!(pack_samples(&[turns.clone()]).unwrap_err().to_string().contains("no token to score"));
    #[expect(clippy::reversed_empty_ranges)]
    let reversed = vec![3..1];
    turns.given = reversed;
    assert!(pack_samples(&[turns.clone()]).unwrap_err().to_string().contains("3..1"));
    turns.given = vec![5..8];
    assert!(pack_samples(&[turns]).unwrap_err().to_string().contains("5..8"));
}

proptest! {
    #[test]
    fn a_cut_keeps_what_was_given_apart(
        own in proptest::collection::vec(1usize..4, 1..5),
        between in proptest::collection::vec(1usize..4, 4),
        prompt in 0usize..4,
        max in 2usize..20,
        end in any::<bool>(),
    ) {
        // what was written is below 100, what was given is not
        let (mut completion, mut given) = (vec![], vec![]);
        for (turn, n) in own.iter().enumerate() {
            if turn > 0 {
                given.push(completion.len()..completion.len() + between[turn - 1]);
                completion.extend(vec![100; between[turn - 1]]);
            }
            completion.extend(vec![7; *n]);
        }
        let whole = TokenSample { given, ..sample(1, &vec![1; prompt], &completion) };
        let truncation = if end { Truncation::KeepEnd } else { Truncation::KeepStart };
        let Ok(cut) = whole.clone().truncate(&LengthOptions { max_length: Some(max), truncation }) else { return Ok(()) };
        prop_assert!(cut.len() <= max.min(whole.len()));
        let is_given = |at: usize| cut.given.iter().any(|part| part.contains(&at));
        prop_assert!((0..cut.completion.len()).all(|at| is_given(at) == (cut.completion[at] == 100)));
        prop_assert!(cut.given.iter().all(|part| !part.is_empty()));
        prop_assert!(pack_samples(std::slice::from_ref(&cut)).unwrap().targets.iter().all(|t| *t == 7));
        prop_assert_eq!(pack_samples(std::slice::from_ref(&cut)).unwrap().targets.len(), cut.scored());
    }
}

#[test]
fn positions_follow_deep_trees() {
    let segment = |start, len, parent| Segment { start, len, parent };
    let segments = vec![segment(0, 2, None), segment(2, 3, Some(0)), segment(5, 1, Some(1)), segment(6, 2, Some(0))];
    let packed = Packed { tokens: vec![0; 8], segments, ..Packed::default() };
    assert_eq!(packed.positions(), [0, 1, 2, 3, 4, 5, 2, 3]);
}

#[test]
fn nothing_to_score_is_an_error_that_names_the_row() {
    for bad in [pair(7, &[1], &[], &[2], None), pair(7, &[1], &[2], &[], None), pair(7, &[], &[2], &[3, 4], None)] {
        let error = pack_pairs(&[bad]).unwrap_err().to_string();
        assert!(error.contains("t, row 7") && error.contains("no token to score"), "{error}");
    }
    assert!(pack_samples(&[sample(7, &[], &[2])]).unwrap_err().to_string().contains("t, row 7"));
    assert_eq!(pack_pairs(&[]).unwrap(), Packed::default());
}

#[test]
fn vocabulary_is_checked() {
    let pairs = [pair(1, &[1], &[2], &[3], None), pair(2, &[1], &[2], &[3], Some(&[9]))];
    assert!(check_vocab(&pairs, 10).is_ok());
    let error = check_vocab(&pairs, 9).unwrap_err().to_string();
    assert!(error.contains("t, row 2") && error.contains("id 9") && error.contains("size 9"), "{error}");
    assert!(check_vocab_samples(&[sample(1, &[1], &[2])], 3).is_ok());
    assert!(check_vocab_samples(&[sample(1, &[1], &[2])], 2).is_err());
}

fn cut(max_length: usize, truncation: Truncation) -> LengthOptions {
    LengthOptions { max_length: Some(max_length), truncation }
}

#[test]
fn truncation_table() {
    let full = pair(1, &[1, 2, 3], &[4, 5], &[6, 7, 8, 9], None);
    let start = |max| full.clone().truncate(&cut(max, Truncation::KeepStart));
    let end = |max| full.clone().truncate(&cut(max, Truncation::KeepEnd));
    assert_eq!(start(7).unwrap(), full);
    assert_eq!(start(6).unwrap(), pair(1, &[1, 2, 3], &[4, 5], &[6, 7, 8], None));
    assert_eq!(start(4).unwrap(), pair(1, &[1, 2, 3], &[4], &[6], None));
    assert_eq!(start(3), Err("prompt not shorter than max_length"));
    assert_eq!(end(7).unwrap(), full);
    assert_eq!(end(6).unwrap(), pair(1, &[1, 2, 3], &[4, 5], &[6, 7, 8, 9], Some(&[2, 3])));
    assert_eq!(end(4).unwrap(), pair(1, &[2, 3], &[4, 5], &[6, 7, 8, 9], Some(&[])));
    assert_eq!(end(2).unwrap(), pair(1, &[], &[4, 5], &[8, 9], None));
    assert_eq!(full.clone().truncate(&LengthOptions::default()).unwrap(), full);
    assert_eq!(pair(1, &[], &[4], &[5, 6], None).truncate(&LengthOptions::default()), Err("no token to score"));
    assert_eq!(sample(1, &[1, 2, 3], &[]).truncate(&LengthOptions::default()), Err("no token to score"));
    assert!(cut(1, Truncation::KeepEnd).check().unwrap_err().to_string().contains("`max_length` is 1"));
    assert!(cut(2, Truncation::KeepEnd).check().is_ok());
}

#[test]
fn items_that_are_too_long_can_be_dropped() {
    let full = pair(1, &[1, 2, 3], &[4, 5], &[6, 7, 8, 9], None);
    assert_eq!(full.clone().truncate(&cut(7, Truncation::Drop)).unwrap(), full);
    assert_eq!(full.truncate(&cut(6, Truncation::Drop)), Err("longer than max_length"));
    let long = sample(1, &[1, 2], &[3, 4]);
    assert_eq!(long.clone().truncate(&cut(4, Truncation::Drop)).unwrap(), long);
    assert_eq!(long.truncate(&cut(3, Truncation::Drop)), Err("longer than max_length"));
    assert_eq!(serde_json::from_str::<Truncation>("\"drop\"").unwrap(), Truncation::Drop);
}

fn group(prompt: &[u32], responses: &[&[u32]]) -> TokenGroup {
    let responses = responses.iter().map(|response| response.to_vec()).collect();
    TokenGroup { source: Source::row("t", 1), prompt: prompt.to_vec(), responses }
}

#[test]
fn groups_are_cut_with_one_prompt() {
    let full = group(&[1, 2, 3], &[&[4], &[5, 6, 7, 8], &[9, 9]]);
    let cut = |max, truncation| full.clone().truncate(&cut(max, truncation));
    assert_eq!((full.len(), full.longest(), full.unshared_len()), (10, 7, 16));
    assert_eq!(cut(7, Truncation::KeepStart).unwrap(), full);
    assert_eq!(cut(4, Truncation::KeepStart).unwrap(), group(&[1, 2, 3], &[&[4], &[5], &[9]]));
    assert_eq!(cut(3, Truncation::KeepStart), Err("prompt not shorter than max_length"));
    assert_eq!(cut(5, Truncation::KeepEnd).unwrap(), group(&[3], &[&[4], &[5, 6, 7, 8], &[9, 9]]));
    // without a prompt, the first token of a response has nothing before it
    assert_eq!(cut(4, Truncation::KeepEnd), Err("no token to score"));
    assert_eq!(cut(6, Truncation::Drop), Err("longer than max_length"));
    assert_eq!(group(&[1], &[]).truncate(&LengthOptions::default()), Err("no token to score"));
    let error = pack_groups(&[group(&[], &[&[1, 2], &[3]])]).unwrap_err().to_string();
    assert!(error.contains("t, row 1") && error.contains("no token to score"), "{error}");
}

fn ids(most: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0u32..5, 0..most)
}

fn scorable(prompt: &[u32], completion: &[u32]) -> bool {
    completion.len() > usize::from(prompt.is_empty())
}

fn any_pair() -> impl Strategy<Value = TokenPair> {
    (ids(5), ids(6), ids(6), prop::option::weighted(0.2, ids(4)))
        .prop_map(|(prompt, chosen, rejected, own)| pair(1, &prompt, &chosen, &rejected, own.as_deref()))
        .prop_filter("each side has something to score", |pair| {
            scorable(&pair.prompt, &pair.chosen) && scorable(pair.rejected_prompt(), &pair.rejected)
        })
}

/// What must hold of every layout, from the definition of its fields.
fn check_layout(packed: &Packed) -> Result<(), TestCaseError> {
    let mut next = 0;
    for (i, segment) in packed.segments.iter().enumerate() {
        prop_assert_eq!(segment.start, next);
        prop_assert!(segment.len > 0 && segment.parent.is_none_or(|parent| parent < i));
        next += segment.len;
    }
    prop_assert_eq!(next, packed.tokens.len());
    prop_assert_eq!(packed.sources.len(), packed.targets.len());
    let positions = packed.positions();
    let mut next = 0;
    for (sequence, range) in packed.sequences.iter().enumerate() {
        prop_assert_eq!(range.start, next);
        prop_assert!(range.end > range.start);
        next = range.end;
        let (prompt, completion) = packed.unpack(sequence).unwrap();
        let whole = [prompt, completion].concat();
        let first = prompt.len().max(1);
        prop_assert_eq!(&packed.targets[range.clone()], &whole[first..]);
        for (i, &source) in packed.sources[range.clone()].iter().enumerate() {
            prop_assert_eq!(packed.tokens[source], whole[first - 1 + i]);
            prop_assert_eq!(positions[source], first - 1 + i);
        }
    }
    prop_assert_eq!(next, packed.targets.len());
    Ok(())
}

proptest! {
    #[test]
    fn pairs_come_back(pairs in prop::collection::vec(any_pair(), 0..8)) {
        let packed = pack_pairs(&pairs).unwrap();
        check_layout(&packed)?;
        prop_assert_eq!(packed.sequences.len(), 2 * pairs.len());
        for (i, pair) in pairs.iter().enumerate() {
            prop_assert_eq!(packed.unpack(2 * i).unwrap(), (&pair.prompt[..], &pair.chosen[..]));
            prop_assert_eq!(packed.unpack(2 * i + 1).unwrap(), (pair.rejected_prompt(), &pair.rejected[..]));
        }
        prop_assert_eq!(packed.tokens.len(), pairs.iter().map(TokenPair::len).sum::<usize>());
    }

    #[test]
    fn groups_come_back(
        groups in prop::collection::vec((ids(5), prop::collection::vec(prop::collection::vec(0u32..5, 2..6), 1..5)), 0..6),
    ) {
        let groups: Vec<TokenGroup> = groups
            .into_iter()
            .map(|(prompt, responses)| TokenGroup { source: Source::row("t", 1), prompt, responses })
            .collect();
        let packed = pack_groups(&groups).unwrap();
        check_layout(&packed)?;
        let samples: Vec<TokenSample> = groups.iter().flat_map(TokenGroup::samples).collect();
        prop_assert_eq!(packed.sequences.len(), samples.len());
        for (i, sample) in samples.iter().enumerate() {
            prop_assert_eq!(packed.unpack(i).unwrap(), (&sample.prompt[..], &sample.completion[..]));
        }
        prop_assert_eq!(packed.tokens.len(), groups.iter().map(TokenGroup::len).sum::<usize>());
    }

    #[test]
    fn cut_groups_share_a_prompt_and_stay_within(
        prompt in ids(9), responses in prop::collection::vec(prop::collection::vec(0u32..5, 0..9), 1..5), max in 2usize..12, end: bool,
    ) {
        let truncation = if end { Truncation::KeepEnd } else { Truncation::KeepStart };
        let full = TokenGroup { source: Source::row("t", 1), prompt, responses };
        let Ok(short) = full.clone().truncate(&cut(max, truncation)) else { return Ok(()) };
        prop_assert_eq!(short.longest(), full.longest().min(max));
        prop_assert_eq!(short.responses.len(), full.responses.len());
        let kept = |was: &[u32], is: &[u32]| if end { was.ends_with(is) } else { was.starts_with(is) };
        prop_assert!(kept(&full.prompt, &short.prompt));
        for (was, is) in full.responses.iter().zip(&short.responses) {
            prop_assert!(kept(was, is));
            // nothing is cut that need not be
            let room = if end { max } else { max - full.prompt.len() };
            prop_assert_eq!(is.len(), was.len().min(room));
        }
        // one response cut as a group is cut as a sample
        let mut one = full;
        one.responses.truncate(1);
        let alone = one.samples().next().unwrap().truncate(&cut(max, truncation));
        let group = one.truncate(&cut(max, truncation)).map(|group| group.samples().next().unwrap());
        prop_assert_eq!(alone, group);
    }

    #[test]
    fn samples_come_back(pairs in prop::collection::vec(any_pair(), 0..8)) {
        let samples: Vec<TokenSample> = pairs.iter().flat_map(|p| [p.chosen_sample(), p.rejected_sample()]).collect();
        let packed = pack_samples(&samples).unwrap();
        check_layout(&packed)?;
        prop_assert_eq!(packed.sequences.len(), samples.len());
        for (i, sample) in samples.iter().enumerate() {
            prop_assert_eq!(packed.unpack(i).unwrap(), (&sample.prompt[..], &sample.completion[..]));
        }
    }

    #[test]
    fn a_cut_never_moves_the_boundary(pair in any_pair(), max in 2usize..12, mode in 0usize..3) {
        let truncation = [Truncation::KeepStart, Truncation::KeepEnd, Truncation::Drop][mode];
        let Ok(short) = pair.clone().truncate(&cut(max, truncation)) else { return Ok(()) };
        // what was completion is completion, what was prompt is prompt: the mask covers no prompt token
        for (was, is) in [(pair.chosen_sample(), short.chosen_sample()), (pair.rejected_sample(), short.rejected_sample())] {
            prop_assert!(was.completion.windows(is.completion.len().max(1)).any(|part| part == is.completion) || is.completion.is_empty());
            prop_assert!(is.prompt.is_empty() || was.prompt.starts_with(&is.prompt) || was.prompt.ends_with(&is.prompt));
            prop_assert!(is.len() <= max);
        }
    }

    #[test]
    fn truncation_keeps_an_end_of_the_right_length(pair in any_pair(), max in 2usize..12, end: bool) {
        let truncation = if end { Truncation::KeepEnd } else { Truncation::KeepStart };
        let Ok(short) = pair.clone().truncate(&cut(max, truncation)) else {
            // only keep-start leaves scorable pairs out, and only for the prompt
            prop_assert!(!end && pair.prompt.len().max(pair.rejected_prompt().len()) >= max);
            return Ok(());
        };
        for (was, is) in [
            (pair.chosen_sample(), short.chosen_sample()),
            (pair.rejected_sample(), short.rejected_sample()),
        ] {
            let (whole, kept) = ([was.prompt, was.completion.clone()].concat(), [is.prompt, is.completion.clone()].concat());
            prop_assert_eq!(kept.len(), whole.len().min(max));
            let same = if end { whole.ends_with(&kept) } else { whole.starts_with(&kept) };
            prop_assert!(same);
            let same = if end { was.completion.ends_with(&is.completion) } else { was.completion.starts_with(&is.completion) };
            prop_assert!(same);
        }
        if !end {
            prop_assert_eq!(short.prompt, pair.prompt);
        }
    }
}
