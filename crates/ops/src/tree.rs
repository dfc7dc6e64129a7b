//! Packed prefix trees: several sequences in one flat run of tokens, shared prefixes once.
use crate::error::OpsError;

/// A stretch of tokens that continues its parent's (or starts a sequence of its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// first token
    pub start: usize,
    /// number of tokens, at least 1
    pub len: usize,
    /// index of the segment that it continues
    pub parent: Option<usize>,
}

/// The segments of a batch, checked: they cover the tokens without gap, a parent stands before its children and holds
/// tokens of the same tree, and trees do not interleave.
///
/// ```
/// use tropism_ops::{Segment, Tree};
/// // a prompt of 3 tokens with two answers of 2 and 4
/// let segment = |start, len, parent| Segment { start, len, parent };
/// let tree = Tree::new(vec![segment(0, 3, None), segment(3, 2, Some(0)), segment(5, 4, Some(0))])?;
/// assert_eq!(tree.positions(), [0, 1, 2, 3, 4, 3, 4, 5, 6]);
/// # Ok::<(), tropism_ops::OpsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tree {
    segments: Vec<Segment>,
    /// per segment: its ancestors from the root down, itself last
    chains: Vec<Vec<usize>>,
    /// per tree: its segments
    trees: Vec<std::ops::Range<usize>>,
    positions: Vec<usize>,
}

impl Tree {
    /// Checks the segments.
    ///
    /// # Errors
    /// Names the first segment that breaks a rule.
    pub fn new(segments: Vec<Segment>) -> Result<Self, OpsError> {
        let mut tree = Tree { segments, chains: vec![], trees: vec![], positions: vec![] };
        for i in 0..tree.segments.len() {
            tree.add(i).map_err(|reason| OpsError::Tree { segment: i, reason })?;
        }
        Ok(tree)
    }

    /// Independent sequences of these lengths.
    ///
    /// # Errors
    /// A length of 0.
    pub fn sequences(lengths: &[usize]) -> Result<Self, OpsError> {
        let mut start = 0;
        let segment = |&len: &usize| {
            start += len;
            Segment { start: start - len, len, parent: None }
        };
        Tree::new(lengths.iter().map(segment).collect())
    }

    fn add(&mut self, i: usize) -> Result<(), &'static str> {
        let s = self.segments[i];
        if s.len == 0 {
            return Err("holds no token");
        }
        if s.start != self.positions.len() {
            return Err("does not start where the one before it ends");
        }
        let (mut chain, first) = match s.parent {
            None => {
                self.trees.push(i..i);
                (vec![], 0)
            }
            Some(p) if p >= i => return Err("stands before its parent"),
            Some(p) if self.trees.last().is_some_and(|t| p < t.start) => return Err("continues an earlier tree"),
            Some(p) => (self.chains[p].clone(), self.first_position(p) + self.segments[p].len),
        };
        chain.push(i);
        self.chains.push(chain);
        self.positions.extend(first..first + s.len);
        if let Some(t) = self.trees.last_mut() {
            t.end = i + 1;
        }
        Ok(())
    }

    fn first_position(&self, segment: usize) -> usize {
        self.positions[self.segments[segment].start]
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.positions.len()
    }

    /// Position of every token in its own sequence, counted from 0.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// The segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn chain(&self, segment: usize) -> impl Iterator<Item = Segment> + '_ {
        self.chains[segment].iter().map(|&i| self.segments[i])
    }

    pub(crate) fn trees(&self) -> &[std::ops::Range<usize>] {
        &self.trees
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(segments: &[(usize, usize, Option<usize>)]) -> String {
        let list = segments.iter().map(|&(start, len, parent)| Segment { start, len, parent }).collect();
        Tree::new(list).map(|_| String::new()).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn broken_trees_are_refused_by_name() {
        assert_eq!(refused(&[(0, 2, None), (2, 3, Some(0)), (5, 1, Some(1))]), "");
        assert!(refused(&[(0, 0, None)]).contains("segment 0 holds no token"));
        assert!(refused(&[(0, 2, None), (3, 1, None)]).contains("segment 1 does not start"));
        assert!(refused(&[(0, 2, Some(0))]).contains("segment 0 stands before its parent"));
        assert!(refused(&[(0, 1, None), (1, 1, None), (2, 1, Some(0))]).contains("segment 2 continues an earlier tree"));
    }
}
