//! Where the steps of completions end.
use super::batch::Batch;
use super::gather::Environment;
use crate::error::TrainError;
use std::collections::HashMap;
use std::ops::Range;

/// What ends a sentence.
pub(crate) const SENTENCE_ENDS: [&str; 4] = [".", "!", "?", "\n"];

impl Batch {
    /// Whether each token of each completion ends a step: its text holds one of the marks.
    pub(super) fn ends(&self, environment: &Environment, marks: &[String]) -> Result<Vec<Vec<bool>>, TrainError> {
        let mut known = HashMap::<u32, bool>::new();
        let mut ends = Vec::with_capacity(self.rows());
        for (sample, written) in self.samples.iter().zip(&self.written) {
            let mut row = Vec::with_capacity(written.len());
            for &token in written {
                let found = match known.get(&token) {
                    Some(found) => *found,
                    None => {
                        let refuse = |problem| TrainError::Reward { row: sample.source.to_string(), problem };
                        let text = (environment.decode)(&[token]).map_err(refuse)?;
                        let found = marks.iter().any(|m| text.contains(m.as_str()));
                        known.insert(token, found);
                        found
                    }
                };
                row.push(found);
            }
            ends.push(row);
        }
        Ok(ends)
    }

    /// The tokens of each step of each completion: up to and with the token that ends it, and what is left. A lone last token,
    /// such as the one that ends a completion, belongs to the step before it.
    pub(super) fn steps(&self, environment: &Environment, marks: &[String]) -> Result<Vec<Vec<Range<usize>>>, TrainError> {
        Ok(self.ends(environment, marks)?.iter().map(|row| split(row)).collect())
    }
}

fn split(ends: &[bool]) -> Vec<Range<usize>> {
    let (mut steps, mut start) = (Vec::<Range<usize>>::new(), 0);
    for (i, end) in ends.iter().enumerate() {
        if *end {
            steps.push(start..i + 1);
            start = i + 1;
        }
    }
    match steps.last_mut() {
        Some(last) if start + 1 == ends.len() => last.end = ends.len(),
        _ if start < ends.len() => steps.push(start..ends.len()),
        _ => {}
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::split;
    use std::slice::from_ref;

    #[test]
    fn steps_cover_a_completion() {
        let (y, n) = (true, false);
        assert_eq!(split(&[n, y, n, n, y, n]), [0..2, 2..6]);
        assert_eq!(split(&[n, y, n, n]), [0..2, 2..4]);
        assert_eq!(split(&[n, n, y]), from_ref(&(0..3)));
        assert_eq!(split(&[n]), from_ref(&(0..1)));
        assert_eq!(split(&[y, y]), [0..1, 1..2]);
    }
}
