//! The choice of one token from one row of logits.
//!
//! No sort of the vocabulary: top-k is a threshold found among the maxima of blocks, top-p a selection that halves the
//! candidates until the border is found. Every sum has a fixed order, so the same row and draw give the same token.
use super::options::Sampling;
use std::cmp::Ordering;
use tropism_ops::{Scalar, at_least, block_maxima, largest_of, weights_of};

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) token: usize,
    /// its log-probability under the distribution that it was drawn from, in nats
    pub(super) logp: f64,
}

/// Buffers, kept from token to token.
#[derive(Default)]
pub(super) struct Scratch<E> {
    weights: Vec<E>,
    sums: Vec<f64>,
    ids: Vec<u32>,
    values: Vec<E>,
    kept: Vec<(E, u32)>,
    spare: Vec<(E, u32)>,
}

/// So many exponentials one by one cost as much as those of a whole row side by side.
const FEW: usize = 512;

/// Transformers' repetition penalty on the given tokens.
pub(super) fn penalise<E: Scalar>(row: &mut [E], tokens: &[u32], penalty: f64) {
    let penalty = E::c(penalty);
    for &t in tokens {
        let x = &mut row[t as usize];
        *x = if *x < E::zero() { *x * penalty } else { *x / penalty };
    }
}

impl<E: Scalar> Scratch<E> {
    /// Draws by temperature and filters; `uniform` is in [0, 1). None when no logit is finite or one is +inf; a NaN must have
    /// been looked for before.
    pub(super) fn choose(&mut self, row: &[E], sampling: &Sampling, uniform: f64) -> Option<Choice> {
        let top = largest_of(row);
        if !top.is_finite() {
            return None;
        }
        if sampling.temperature == 0.0 {
            return row.iter().position(|&x| x == top).map(|token| Choice { token, logp: 0.0 });
        }
        // neither infinite nor 0, which would make NaN of a difference of 0 or of a veto
        let scale = E::c(1.0 / sampling.temperature).min(E::max_value()).max(E::min_positive_value());
        if sampling.top_k == 0 && sampling.top_p == 1.0 && sampling.min_p == 0.0 {
            weights_of(row, top, scale, &mut self.weights, &mut self.sums);
            return Some(self.draw_all(uniform));
        }
        self.filter(row, sampling, top, scale);
        Some(draw(&self.kept, uniform))
    }

    /// Leaves the tokens that pass the filters, in their order, in `kept`.
    fn filter(&mut self, row: &[E], s: &Sampling, top: E, scale: E) {
        let mut cut = if s.top_k > 0 { self.kth_largest(row, s.top_k) } else { E::neg_infinity() };
        if s.top_k == 0 && s.top_p < 1.0 {
            weights_of(row, top, scale, &mut self.weights, &mut self.sums);
            let mass: f64 = self.sums.iter().sum();
            // all tokens below this weight together hold less than what top-p leaves out
            let least = E::c((1.0 - s.top_p) * mass / row.len() as f64);
            at_least(&self.weights, least, &mut self.ids);
            self.kept.clear();
            self.kept.extend(self.ids.iter().map(|&i| (self.weights[i as usize], i)));
            nucleus(&mut self.kept, &mut self.spare, s.top_p * mass);
        } else {
            if s.top_p == 1.0 && s.min_p > 0.0 {
                // a little below, as `retain` has the last word
                cut = cut.max(top + E::c(s.min_p.ln() - 1e-3) / scale);
            }
            at_least(row, cut, &mut self.ids);
            self.kept.clear();
            if self.ids.len() > FEW {
                weights_of(row, top, scale, &mut self.weights, &mut self.sums);
                self.kept.extend(self.ids.iter().map(|&i| (self.weights[i as usize], i)));
            } else {
                self.kept.extend(self.ids.iter().map(|&i| (((row[i as usize] - top) * scale).vexp(), i)));
            }
            if s.top_p < 1.0 {
                let mass: f64 = self.kept.iter().map(|k| k.0.f()).sum();
                nucleus(&mut self.kept, &mut self.spare, s.top_p * mass);
            }
        }
        if s.min_p > 0.0 {
            self.kept.retain(|k| k.0.f() >= s.min_p);
        }
    }

    /// The `k`-th largest logit, the smallest of all when there are fewer.
    fn kth_largest(&mut self, row: &[E], k: usize) -> E {
        if k >= row.len() {
            return E::neg_infinity();
        }
        block_maxima(row, &mut self.values);
        if k <= self.values.len() {
            // k blocks hold an element of at least this, so the k largest are among those
            let bound = nth(&mut self.values, k - 1);
            at_least(row, bound, &mut self.ids);
            self.values.clear();
            self.values.extend(self.ids.iter().map(|&i| row[i as usize]));
        } else {
            self.values.clear();
            self.values.extend_from_slice(row);
        }
        nth(&mut self.values, k - 1)
    }

    /// A draw from all weights, through the sums of their blocks.
    fn draw_all(&self, uniform: f64) -> Choice {
        let mass: f64 = self.sums.iter().sum();
        let (mut left, mut block) = (uniform * mass, 0);
        while block + 1 < self.sums.len() && left >= self.sums[block] {
            left -= self.sums[block];
            block += 1;
        }
        let weights = &self.weights[block * 64..];
        let (mut token, mut last) = (None, 0);
        for (i, w) in weights.iter().enumerate().filter(|(_, w)| **w > E::zero()) {
            left -= w.f();
            last = i;
            if left < 0.0 {
                token = Some(i);
                break;
            }
        }
        let token = block * 64 + token.unwrap_or(last);
        Choice { token, logp: (self.weights[token].f() / mass).ln() }
    }
}

/// The element that would stand at `n` in descending order.
fn nth<E: Scalar>(values: &mut [E], n: usize) -> E {
    *values.select_nth_unstable_by(n, |a, b| b.partial_cmp(a).unwrap_or(Ordering::Equal)).1
}

/// Cuts to the fewest heaviest that hold `need` together; at least one. Of equal weights the first are kept.
fn nucleus<E: Scalar>(kept: &mut Vec<(E, u32)>, spare: &mut Vec<(E, u32)>, mut need: f64) {
    let heavier = |a: &(E, u32), b: &(E, u32)| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1));
    spare.clone_from(kept);
    let (mut low, mut high) = (0, spare.len());
    while high - low > 16 {
        let middle = low + (high - low) / 2;
        spare[low..high].select_nth_unstable_by(middle - low, heavier);
        let mass: f64 = spare[low..middle].iter().map(|k| k.0.f()).sum();
        if mass >= need {
            high = middle;
        } else {
            need -= mass;
            low = middle;
        }
    }
    spare[low..high].sort_unstable_by(heavier);
    while low < high && need > 0.0 {
        need -= spare[low].0.f();
        low += 1;
    }
    if let Some(border) = spare.get(low.max(1) - 1) {
        kept.retain(|k| heavier(k, border) != Ordering::Greater);
    }
}

fn draw<E: Scalar>(kept: &[(E, u32)], uniform: f64) -> Choice {
    let mass: f64 = kept.iter().map(|k| k.0.f()).sum();
    let mut left = uniform * mass;
    let hit = kept.iter().filter(|k| k.0 > E::zero()).find(|k| {
        left -= k.0.f();
        left < 0.0
    });
    let (weight, token) = hit.or(kept.iter().rfind(|k| k.0 > E::zero())).copied().unwrap_or((E::one(), 0));
    Choice { token: token as usize, logp: (weight.f() / mass).ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 % 1013) as f32 * 0.37).sin() * 4.0).collect()
    }

    /// Probabilities after the filters, by sorting, as their definitions say.
    fn exact(row: &[f32], s: &Sampling) -> Vec<f64> {
        let mut p: Vec<f64> = row.iter().map(|&x| (f64::from(x) / s.temperature).exp()).collect();
        let normalise = |p: &mut Vec<f64>| {
            let sum: f64 = p.iter().sum();
            p.iter_mut().for_each(|p| *p /= sum);
        };
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        if s.top_k > 0 && s.top_k < row.len() {
            let last = row[order[s.top_k - 1]];
            (0..row.len()).filter(|&i| row[i] < last).for_each(|i| p[i] = 0.0);
        }
        normalise(&mut p);
        let mut before = 0.0;
        for &i in &order {
            let own = p[i];
            if before >= s.top_p {
                p[i] = 0.0;
            }
            before += own;
        }
        normalise(&mut p);
        let most = p.iter().copied().fold(0.0, f64::max);
        p.iter_mut().for_each(|p| *p = if *p < s.min_p * most { 0.0 } else { *p });
        normalise(&mut p);
        p
    }

    /// Every token gets as many of evenly spaced draws as its probability says.
    fn check(n: usize, s: &Sampling) {
        let (row, mut scratch) = (logits(n), Scratch::default());
        let p = exact(&row, s);
        let (draws, mut seen) = (20_000, vec![0usize; n]);
        for i in 0..draws {
            let choice = scratch.choose(&row, s, (i as f64 + 0.5) / draws as f64).expect("a choice");
            seen[choice.token] += 1;
            assert!((choice.logp - p[choice.token].ln()).abs() < 1e-4, "{s:?}: {choice:?} against {}", p[choice.token].ln());
        }
        for (i, (&seen, p)) in seen.iter().zip(&p).enumerate() {
            assert!((seen as f64 - p * draws as f64).abs() < 1.6, "{s:?}: token {i} was drawn {seen} times, p = {p}");
        }
    }

    #[test]
    fn every_filter_and_their_combinations_keep_the_exact_distribution() {
        let base = Sampling::default();
        for n in [1, 5, 63, 64, 65, 700] {
            for (temperature, top_k, top_p, min_p) in [
                (1.0, 0, 1.0, 0.0),
                (0.3, 0, 1.0, 0.0),
                (1.0, 7, 1.0, 0.0),
                (2.0, 60, 1.0, 0.0),
                (1.0, 5000, 1.0, 0.0),
                (1.0, 0, 0.9, 0.0),
                (1.0, 0, 0.1, 0.0),
                (0.7, 0, 1e-9, 0.0),
                (1.0, 0, 1.0, 0.2),
                (1.0, 0, 1.0, 1.0),
                (1.5, 20, 0.7, 0.0),
                (1.5, 20, 0.9, 0.3),
                (3.0, 0, 0.95, 0.5),
                (3.0, 11, 1.0, 0.5),
            ] {
                check(n, &Sampling { temperature, top_k, top_p, min_p, ..base.clone() });
            }
        }
    }

    #[test]
    fn top_k_keeps_what_is_as_likely_as_the_last() {
        let (s, mut scratch) = (Sampling { top_k: 2, ..Sampling::default() }, Scratch::default());
        let row = [1.0f32, 3.0, 1.0, 1.0, 0.0];
        let mut seen: Vec<usize> =
            (0..1000).filter_map(|i| scratch.choose(&row, &s, i as f64 / 1000.0)).map(|c| c.token).collect();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3]);
    }

    #[test]
    fn vetoed_rows_and_extremes() {
        let (s, mut scratch) = (Sampling::default(), Scratch::default());
        assert_eq!(scratch.choose(&[f32::NEG_INFINITY; 70], &s, 0.5), None);
        assert_eq!(scratch.choose(&[0.0, f32::INFINITY], &s, 0.5), None);
        let mut row = vec![f32::NEG_INFINITY; 130];
        row[100] = -1e30;
        for temperature in [0.0, 1e-300, 1.0, 1e300] {
            for top_p in [1.0, 0.5] {
                let s = Sampling { temperature, top_p, ..s.clone() };
                let choice = scratch.choose(&row, &s, 1.0 - f64::EPSILON);
                assert_eq!(choice, Some(Choice { token: 100, logp: 0.0 }), "{s:?}");
            }
        }
        // at temperature 0 the first of equals
        let greedy = Sampling { temperature: 0.0, ..s };
        assert_eq!(scratch.choose(&[1.0f32, 2.0, 2.0], &greedy, 0.9).map(|c| c.token), Some(1));
    }

    #[test]
    fn the_penalty_divides_what_is_positive_and_multiplies_what_is_negative() {
        let mut row = [2.0f32, -2.0, 2.0, -2.0];
        penalise(&mut row, &[0, 1], 1.25);
        assert_eq!(row, [1.6, -2.5, 2.0, -2.0]);
    }
}
