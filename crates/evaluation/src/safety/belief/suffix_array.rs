//! Suffix arrays by induced sorting, in linear time.

const EMPTY: u32 = u32::MAX;

/// Starts of all suffixes in their order. `text` holds symbols below `alphabet` and ends in a 0, which stands nowhere else.
///
/// Nong, Zhang and Chan 2009: suffixes that are smaller than the next one and follow a larger one ("LMS") are sorted, by
/// recursion on their names if need be; all others follow from them in two passes over the buckets.
pub(super) fn suffix_array(text: &[u32], alphabet: usize) -> Vec<u32> {
    if text.len() < 2 {
        return (0..text.len() as u32).collect();
    }
    let smaller = smaller_than_next(text);
    let lms: Vec<u32> = (1..text.len() as u32).filter(|&i| is_lms(&smaller, i)).collect();
    let buckets = Buckets::of(text, alphabet);
    let rough = buckets.induce(text, &smaller, &lms);
    let sorted: Vec<u32> = rough.into_iter().filter(|&i| is_lms(&smaller, i)).collect();
    let (names, different) = name(text, &smaller, &sorted);
    if different == lms.len() {
        return buckets.induce(text, &smaller, &sorted);
    }
    let shorter: Vec<u32> = lms.iter().map(|&i| names[i as usize / 2]).collect();
    drop(names);
    let order: Vec<u32> = suffix_array(&shorter, different).into_iter().map(|k| lms[k as usize]).collect();
    buckets.induce(text, &smaller, &order)
}

/// For each suffix whether it is smaller than the next one; the last counts as smaller.
fn smaller_than_next(text: &[u32]) -> Vec<bool> {
    let mut smaller = vec![true; text.len()];
    for i in (0..text.len() - 1).rev() {
        smaller[i] = text[i] < text[i + 1] || (text[i] == text[i + 1] && smaller[i + 1]);
    }
    smaller
}

fn is_lms(smaller: &[bool], i: u32) -> bool {
    i > 0 && smaller[i as usize] && !smaller[i as usize - 1]
}

/// Names of the stretches between LMS suffixes by their order, at half the place of their start (LMS suffixes are at least
/// two apart), and how many different ones there are.
fn name(text: &[u32], smaller: &[bool], sorted: &[u32]) -> (Vec<u32>, usize) {
    let mut names = vec![EMPTY; text.len() / 2 + 1];
    let mut different = 0;
    let mut before: Option<u32> = None;
    for &i in sorted {
        if before.is_some_and(|b| !same_stretch(text, smaller, b, i)) {
            different += 1;
        }
        names[i as usize / 2] = different;
        before = Some(i);
    }
    (names, different as usize + 1)
}

fn same_stretch(text: &[u32], smaller: &[bool], a: u32, b: u32) -> bool {
    let last = text.len() as u32 - 1;
    for k in 0.. {
        let (i, j) = (a + k, b + k);
        // the final 0 is a stretch of its own
        if i > last || j > last || text[i as usize] != text[j as usize] {
            return false;
        }
        let ends = [is_lms(smaller, i), is_lms(smaller, j)];
        if k > 0 && (ends[0] || ends[1]) {
            return ends[0] && ends[1];
        }
        if i == last || j == last {
            return i == j;
        }
    }
    true
}

/// Where the suffixes of each first symbol lie.
struct Buckets(Vec<u32>);

impl Buckets {
    fn of(text: &[u32], alphabet: usize) -> Self {
        let mut ends = vec![0; alphabet];
        text.iter().for_each(|&c| ends[c as usize] += 1);
        let mut sum = 0;
        ends.iter_mut().for_each(|e| {
            sum += *e;
            *e = sum;
        });
        Self(ends)
    }

    fn starts(&self) -> Vec<u32> {
        std::iter::once(0).chain(self.0.iter().copied()).take(self.0.len()).collect()
    }

    /// All suffixes from the order of the LMS ones: larger ones from the left, smaller ones from the right.
    fn induce(&self, text: &[u32], smaller: &[bool], lms: &[u32]) -> Vec<u32> {
        let mut array = vec![EMPTY; text.len()];
        let mut ends = self.0.clone();
        let put_back = |array: &mut [u32], ends: &mut [u32], i: u32| {
            let end = &mut ends[text[i as usize] as usize];
            *end -= 1;
            array[*end as usize] = i;
        };
        lms.iter().rev().for_each(|&i| put_back(&mut array, &mut ends, i));
        let mut starts = self.starts();
        for at in 0..array.len() {
            let i = array[at];
            if i != EMPTY && i > 0 && !smaller[i as usize - 1] {
                let start = &mut starts[text[i as usize - 1] as usize];
                array[*start as usize] = i - 1;
                *start += 1;
            }
        }
        ends.copy_from_slice(&self.0);
        for at in (0..array.len()).rev() {
            let i = array[at];
            if i != EMPTY && i > 0 && smaller[i as usize - 1] {
                put_back(&mut array, &mut ends, i - 1);
            }
        }
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute(text: &[u32]) -> Vec<u32> {
        let mut all: Vec<u32> = (0..text.len() as u32).collect();
        all.sort_by(|&a, &b| text[a as usize..].cmp(&text[b as usize..]));
        all
    }

    #[test]
    fn known_texts() {
        let text: Vec<u32> = "mmiissiissiippii".bytes().map(|b| u32::from(b - b'a') + 1).chain([0]).collect();
        assert_eq!(suffix_array(&text, 27), brute(&text));
        assert_eq!(suffix_array(&[0], 1), [0]);
        assert_eq!(suffix_array(&[1, 1, 1, 1, 0], 2), [4, 3, 2, 1, 0]);
    }

    proptest! {
        #[test]
        fn sorting_says_the_same(mut text in prop::collection::vec(1u32..4, 0..200), wide in prop::collection::vec(1u32..60, 0..200)) {
            text.push(0);
            prop_assert_eq!(suffix_array(&text, 4), brute(&text));
            let wide: Vec<u32> = wide.into_iter().chain([0]).collect();
            prop_assert_eq!(suffix_array(&wide, 60), brute(&wide));
        }
    }
}
