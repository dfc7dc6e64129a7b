//! Rollouts as plain numbers, made at random.

use super::rng::Rng;

/// A rollout of `rows` completions in `width` columns; tables row by row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) mask: Vec<bool>,
    pub(crate) policy: Vec<f64>,
    pub(crate) old: Vec<f64>,
    pub(crate) reference: Vec<f64>,
    pub(crate) sampler: Vec<f64>,
    pub(crate) entropies: Vec<f64>,
    pub(crate) values: Vec<f64>,
    pub(crate) old_values: Vec<f64>,
    pub(crate) returns: Vec<f64>,
    /// One per row, or by cell.
    pub(crate) advantages: Vec<f64>,
    pub(crate) rewards: Vec<f64>,
    pub(crate) groups: Vec<usize>,
    pub(crate) kept: Vec<bool>,
    pub(crate) entropy_threshold: Option<f64>,
    pub(crate) step_kl: Option<f64>,
}

impl Plain {
    /// A random rollout; log-ratios of whole completions have the given size in nats.
    pub(crate) fn random(rows: usize, ratio: f64, rng: &mut Rng) -> Self {
        let width = rng.whole(3, 7);
        let mut plain = Self { rows, width, kept: vec![true; rows], ..Self::default() };
        for row in 0..rows {
            // One row in eight is empty, one in four has a gap, as a tool's answer makes it.
            let (start, end) = if rng.whole(0, 8) == 0 { (0, 0) } else { (rng.whole(0, 2), rng.whole(2, width + 1)) };
            let gap = if rng.whole(0, 4) == 0 { rng.whole(0, width) } else { width };
            let n = (end - start).max(1) as f64;
            for column in 0..width {
                let lp = -rng.real(0.02, 3.0);
                plain.mask.push((start..end).contains(&column) && column != gap);
                plain.policy.push(lp);
                plain.old.push(lp - rng.real(-ratio, ratio) / n);
                plain.reference.push(lp - rng.real(-ratio, ratio) / n);
                plain.sampler.push(lp - rng.real(-ratio, ratio) / n);
                plain.entropies.push(rng.real(0.0, 3.0));
                plain.values.push(rng.real(-2.0, 2.0));
                plain.old_values.push(rng.real(-2.0, 2.0));
                plain.returns.push(rng.real(-2.0, 2.0));
            }
            plain.advantages.push(if rng.whole(0, 6) == 0 { 0.0 } else { rng.real(-2.0, 2.0) });
            plain.rewards.push([0.0, 1.0, 1.0, 0.0, 0.5][rng.whole(0, 5)]);
            plain.groups.push(rng.whole(0, row / 3 + 1));
        }
        plain
    }

    /// The same with an advantage for each cell.
    #[must_use]
    pub(crate) fn by_token(mut self, rng: &mut Rng) -> Self {
        self.advantages = (0..self.rows * self.width).map(|_| rng.real(-2.0, 2.0)).collect();
        self
    }

    /// The given rows, in that order.
    pub(crate) fn pick(&self, rows: &[usize]) -> Self {
        let of = |values: &[f64]| pick(values, self.rows, rows);
        Self {
            rows: rows.len(),
            width: self.width,
            mask: pick(&self.mask, self.rows, rows),
            policy: of(&self.policy),
            old: of(&self.old),
            reference: of(&self.reference),
            sampler: of(&self.sampler),
            entropies: of(&self.entropies),
            values: of(&self.values),
            old_values: of(&self.old_values),
            returns: of(&self.returns),
            advantages: of(&self.advantages),
            rewards: of(&self.rewards),
            groups: pick(&self.groups, self.rows, rows),
            kept: pick(&self.kept, self.rows, rows),
            entropy_threshold: self.entropy_threshold,
            step_kl: self.step_kl,
        }
    }

    /// The rollout with `junk` in all cells that must not count.
    pub(crate) fn with_junk(&self, junk: f64) -> Self {
        let mut plain = self.clone();
        for i in (0..self.mask.len()).filter(|&i| !self.mask[i]) {
            let tables = [&mut plain.policy, &mut plain.old, &mut plain.reference, &mut plain.sampler];
            tables.into_iter().for_each(|table| table[i] = junk);
            let tables = [&mut plain.entropies, &mut plain.values, &mut plain.old_values, &mut plain.returns];
            tables.into_iter().for_each(|table| table[i] = junk);
            if plain.advantages.len() > plain.rows {
                plain.advantages[i] = junk;
            }
        }
        plain
    }

    /// Counted cells of a row.
    pub(crate) fn cells(&self, row: usize) -> Vec<usize> {
        (row * self.width..(row + 1) * self.width).filter(|&i| self.mask[i]).collect()
    }

    /// The advantage of a cell.
    pub(crate) fn advantage(&self, cell: usize) -> f64 {
        if self.advantages.len() == self.rows { self.advantages[cell / self.width] } else { self.advantages[cell] }
    }

    /// `logp − logp_old` of the counted tokens of a row.
    pub(crate) fn log_ratios(&self, row: usize) -> Vec<f64> {
        self.cells(row).iter().map(|&i| self.policy[i] - self.old[i]).collect()
    }
}

/// The entries of some rows.
fn pick<V: Clone>(values: &[V], rows: usize, picked: &[usize]) -> Vec<V> {
    let each = values.len() / rows;
    picked.iter().flat_map(|&r| values[r * each..(r + 1) * each].to_vec()).collect()
}
