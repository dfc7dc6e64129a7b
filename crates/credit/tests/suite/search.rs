//! Beam search against exhaustive search.

use std::convert::Infallible;

use crate::common::plain::Rng;
use tropism_credit::*;

const END: usize = 0;

/// Next-token log-probabilities from a table that is filled as it is asked for.
struct Table {
    vocab: usize,
    depth: usize,
    seed: u64,
}

impl Table {
    /// Ends for certain at the depth.
    fn row(&self, prefix: &[usize]) -> Vec<f64> {
        if prefix.len() + 1 == self.depth {
            return (0..self.vocab).map(|v| if v == END { 0.0 } else { f64::NEG_INFINITY }).collect();
        }
        let seed = prefix.iter().fold(self.seed, |seed, &t| seed.wrapping_mul(1_000_003).wrapping_add(t as u64 + 1));
        let z = Rng(seed).reals(self.vocab, -2.0, 2.0);
        let lse = z.iter().map(|z| z.exp()).sum::<f64>().ln();
        z.iter().map(|z| z - lse).collect()
    }

    /// The best complete answer by looking at all.
    fn exhaustive(&self) -> (Vec<usize>, f64) {
        let (mut open, mut best) = (vec![(Vec::new(), 0.0)], (Vec::new(), f64::NEG_INFINITY));
        while let Some((prefix, logp)) = open.pop() {
            for (token, lp) in self.row(&prefix).into_iter().enumerate().filter(|(_, lp)| lp.is_finite()) {
                let longer: Vec<usize> = prefix.iter().copied().chain([token]).collect();
                match token == END {
                    true if logp + lp > best.1 => best = (longer, logp + lp),
                    true => {}
                    false => open.push((longer, logp + lp)),
                }
            }
        }
        best
    }
}

impl NextTokens for Table {
    type Error = Infallible;

    fn next_logps(&mut self, prefixes: &[&[usize]]) -> Result<Vec<Vec<f64>>, Infallible> {
        Ok(prefixes.iter().map(|prefix| self.row(prefix)).collect())
    }
}

fn search(width: usize, max_tokens: usize) -> BeamSearch {
    BeamSearch { width, end: END, max_tokens }
}

#[test]
fn invariant_5_beams_as_wide_as_the_tree_find_the_optimum_and_wider_ones_are_no_worse() {
    let (mut found, mut gaps) = ([0; 3], [0.0; 3]);
    for seed in 0..60 {
        let mut table = Table { vocab: 4, depth: 4, seed };
        let (tokens, logp) = table.exhaustive();
        let whole = search(4usize.pow(4), 4).best(&mut table).unwrap();
        assert_eq!(whole.tokens, tokens);
        assert!((whole.logp - logp).abs() < 1e-12 && whole.finished);
        for (k, width) in [1, 2, 5].into_iter().enumerate() {
            let best = search(width, 4).best(&mut table).unwrap();
            found[k] += usize::from(best.tokens == tokens);
            gaps[k] += logp - best.logp;
            assert!(best.logp <= logp + 1e-12);
        }
    }
    assert!(found[0] < found[1] && found[1] <= found[2], "{found:?}");
    assert!(gaps[0] > gaps[1] && gaps[1] >= gaps[2], "{gaps:?}");
}

/// The best answer under the soft-optimal policy is the one of the largest reward plus reference log-probability.
#[test]
fn invariant_5_likelihood_under_the_optimal_policy_is_reward_guided_search() {
    let beta = 0.5;
    let mut rng = Rng(4);
    for _ in 0..30 {
        // One level of answers below each of three first tokens.
        let state = |rng: &mut Rng, next: [Option<usize>; 3]| {
            let z = rng.reals(3, -1.0, 1.0);
            let lse = z.iter().map(|z| z.exp()).sum::<f64>().ln();
            let rewards = rng.reals(3, -1.0, 1.0);
            (0..3).map(|a| Action { reward: rewards[a], reference_logp: z[a] - lse, next: next[a] }).collect()
        };
        let mut states = vec![state(&mut rng, [Some(1), Some(2), Some(3)])];
        (0..3).for_each(|_| states.push(state(&mut rng, [None; 3])));
        let tree = SoftTree::new(states).unwrap();
        let values = tree.solve(beta).unwrap();
        let score = |a: usize, b: usize| {
            let (first, last) = (tree.states()[0][a], tree.states()[a + 1][b]);
            (
                first.reward + last.reward + beta * (first.reference_logp + last.reference_logp),
                values.logps[0][a] + values.logps[a + 1][b],
            )
        };
        let all: Vec<(f64, f64)> = (0..3).flat_map(|a| (0..3).map(move |b| (a, b))).map(|(a, b)| score(a, b)).collect();
        let best = |key: fn(&(f64, f64)) -> f64| (0..9).max_by(|&i, &j| key(&all[i]).total_cmp(&key(&all[j]))).unwrap();
        assert_eq!(best(|s| s.0), best(|s| s.1));
        for (guided, logp) in all {
            assert!((beta * logp + values.values[0] - guided).abs() < 1e-12);
        }
    }
}

/// Goes on for ever, ever more surely.
struct Endless;

impl NextTokens for Endless {
    type Error = Infallible;

    fn next_logps(&mut self, prefixes: &[&[usize]]) -> Result<Vec<Vec<f64>>, Infallible> {
        Ok(prefixes.iter().map(|_| vec![0.1_f64.ln(), 0.9_f64.ln()]).collect())
    }
}

#[test]
fn finished_beams_keep_their_score_and_open_ones_are_cut() {
    let beams = search(3, 4).run(&mut Endless).unwrap();
    assert_eq!((beams[0].tokens.as_slice(), beams[0].finished), ([1; 4].as_slice(), false));
    assert!((beams[0].logp - 4.0 * 0.9_f64.ln()).abs() < 1e-12);
    // An answer that ended early lies behind, with the score that it ended with, and is what `best` returns.
    assert_eq!(beams[1].tokens, [0]);
    assert!((beams[1].logp - 0.1_f64.ln()).abs() < 1e-12);
    assert_eq!(search(3, 4).best(&mut Endless).unwrap(), beams[1]);
    // One beam never ends, so its one answer is cut.
    assert!(!search(1, 4).best(&mut Endless).unwrap().finished);
}

#[test]
fn ties_go_by_place_and_token() {
    struct Even;
    impl NextTokens for Even {
        type Error = Infallible;
        fn next_logps(&mut self, prefixes: &[&[usize]]) -> Result<Vec<Vec<f64>>, Infallible> {
            Ok(vec![vec![-1.0; 3]; prefixes.len()])
        }
    }
    let found: Vec<Vec<usize>> = search(4, 2).run(&mut Even).unwrap().into_iter().map(|b| b.tokens).collect();
    assert_eq!(found, [vec![0], vec![1, 0], vec![1, 1], vec![1, 2]]);
}

struct Given(Vec<Vec<f64>>);

#[derive(Debug, thiserror::Error, PartialEq, Clone)]
#[error("no scores")]
struct NoScores;

impl NextTokens for Given {
    type Error = NoScores;

    fn next_logps(&mut self, _: &[&[usize]]) -> Result<Vec<Vec<f64>>, NoScores> {
        if self.0.is_empty() { Err(NoScores) } else { Ok(self.0.clone()) }
    }
}

#[test]
fn bad_scores_and_options_are_named() {
    let fails = |search: BeamSearch, rows: Vec<Vec<f64>>| search.run(&mut Given(rows)).unwrap_err();
    assert_eq!(fails(search(0, 3), vec![]), SearchError::Zero { key: "width" });
    assert_eq!(fails(search(1, 0), vec![]), SearchError::Zero { key: "max_tokens" });
    assert_eq!(fails(search(1, 3), vec![]), SearchError::Scorer(NoScores));
    let dead = vec![vec![f64::NEG_INFINITY; 2]];
    assert_eq!(fails(search(2, 3), dead), SearchError::DeadEnd { tokens: 0 });
    for rows in [vec![vec![0.0; 2]; 2], vec![vec![]], vec![vec![f64::NAN, 0.0]], vec![vec![f64::INFINITY, 0.0]]] {
        assert!(matches!(fails(search(1, 3), rows), SearchError::Scores { .. }));
    }
}
