//! Division of items into micro-batches by token count.

use std::ops::Range;

use crate::DataError;

/// Divides consecutive items of the given lengths (in tokens) into micro-batches.
///
/// Each range takes as many items as fit: at most `max_items`, and at most `max_tokens` tokens together where
/// a limit is given. An item longer than `max_tokens` stands alone in its batch, since leaving it out would
/// change what is trained. The ranges cover all items in order; none is empty.
///
/// ```
/// use tropism_data::batches::batches;
/// assert_eq!(batches(&[3, 3, 9, 1, 1], Some(6), 8)?, [0..2, 2..3, 3..5]);
/// assert_eq!(batches(&[3, 3, 9], None, 2)?, [0..2, 2..3]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// A limit of 0.
pub fn batches(lengths: &[usize], max_tokens: Option<usize>, max_items: usize) -> Result<Vec<Range<usize>>, DataError> {
    if max_items == 0 {
        return Err(DataError::config("max_items", 0, "a micro-batch holds at least one item"));
    }
    if max_tokens == Some(0) {
        return Err(DataError::config("max_tokens", 0, "a micro-batch holds at least one token; leave it out for no limit"));
    }
    let limit = max_tokens.unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let (mut start, mut tokens) = (0, 0usize);
    for (i, &length) in lengths.iter().enumerate() {
        let full = i - start == max_items || tokens.saturating_add(length) > limit;
        if full && i > start {
            found.push(start..i);
            (start, tokens) = (i, 0);
        }
        tokens = tokens.saturating_add(length);
    }
    if start < lengths.len() {
        found.push(start..lengths.len());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        assert!(batches(&[], Some(3), 1).unwrap().is_empty());
        assert_eq!(batches(&[9, 9], Some(3), 1).unwrap(), [0..1, 1..2]);
        assert_eq!(batches(&[usize::MAX; 3], None, 2).unwrap(), [0..2, 2..3]);
        assert!(batches(&[1], None, 0).unwrap_err().to_string().contains("`max_items` is 0"));
        assert!(batches(&[1], Some(0), 1).unwrap_err().to_string().contains("`max_tokens` is 0"));
    }

    proptest! {
        #[test]
        fn ranges_cover_fit_and_are_full(
            lengths in prop::collection::vec(0usize..20, 0..60),
            max_tokens in prop::option::of(1usize..40),
            max_items in 1usize..6,
        ) {
            let found = batches(&lengths, max_tokens, max_items).unwrap();
            let limit = max_tokens.unwrap_or(usize::MAX);
            let mut next = 0;
            for range in &found {
                prop_assert_eq!(range.start, next);
                next = range.end;
                let tokens: usize = lengths[range.clone()].iter().sum();
                prop_assert!(!range.is_empty() && range.len() <= max_items);
                prop_assert!(tokens <= limit || range.len() == 1);
                if let Some(&following) = lengths.get(range.end) {
                    prop_assert!(range.len() == max_items || tokens + following > limit);
                }
            }
            prop_assert_eq!(next, lengths.len());
        }
    }
}
