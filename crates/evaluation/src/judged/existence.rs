//! When ratings have a finite maximum.
use super::battles::Rows;
use crate::error::EvaluationError;

/// Ford's condition: in every split of the models in two groups, each group took something off the other. That is, the graph
/// with an edge from every model to those it took a win or tie from is strongly connected.
pub(super) fn strongly_connected(rows: &Rows, weights: &[f64]) -> Result<(), EvaluationError> {
    let mut beats = vec![Vec::new(); rows.models];
    let mut beaten = vec![Vec::new(); rows.models];
    for ((&[a, b], score), _) in rows.pairs.iter().zip(&rows.scores).zip(weights).filter(|(_, w)| **w > 0.0) {
        for (winner, loser, got) in [(a, b, *score), (b, a, 1.0 - score)] {
            if got > 0.0 {
                beats[winner].push(loser);
                beaten[loser].push(winner);
            }
        }
    }
    for (edges, did) in [(&beats, "never won against"), (&beaten, "never lost to")] {
        let reached = reachable(edges);
        let rest: Vec<usize> = (0..rows.models).filter(|m| !reached[*m]).collect();
        if !rest.is_empty() {
            let problem = format!(
                "models outside {rest:?} {did} those in it, so ratings run off to infinity; add a ridge, or leave models out"
            );
            return Err(EvaluationError::Undefined { what: "Bradley-Terry ratings", problem });
        }
    }
    Ok(())
}

fn reachable(edges: &[Vec<usize>]) -> Vec<bool> {
    let mut seen = vec![false; edges.len()];
    let mut open = vec![0];
    while let Some(m) = open.pop() {
        if !std::mem::replace(&mut seen[m], true) {
            open.extend(edges[m].iter().filter(|e| !seen[**e]));
        }
    }
    seen
}
