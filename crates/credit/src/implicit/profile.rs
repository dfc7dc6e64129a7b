//! Where in completions credit falls, for reports.

/// Figures of the credits of many completions.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CreditProfile {
    /// Number of tokens.
    pub tokens: usize,
    /// Mean credit of a token.
    pub mean: f64,
    /// Standard deviation over all tokens (division by their number).
    pub std: f64,
    /// Share of tokens with a credit above 0.
    pub positive: f64,
    /// Lowest, lower quartile, median, upper quartile and highest credit, linearly interpolated.
    pub quartiles: [f64; 5],
    /// Share of the sum of magnitudes that the tenth of tokens with the largest ones hold (at least one token); 0.1 if all are
    /// alike, near 1 if few tokens decide. 0 when all credits are.
    pub concentration: f64,
    /// Mean credit by position, over the completions that are as long.
    pub positions: Vec<PositionCredit>,
}

/// Credit at one position.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PositionCredit {
    /// Completions that have a token there.
    pub completions: usize,
    /// Mean credit of these tokens.
    pub mean: f64,
    /// Mean sum of the credits up to there, this position included.
    pub cumulative: f64,
}

impl CreditProfile {
    /// Figures of completions, of which one at least has a token.
    pub(super) fn of(rows: &[Vec<f64>]) -> Self {
        let mut all: Vec<f64> = rows.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        let n = all.len() as f64;
        let mean = all.iter().sum::<f64>() / n;
        let variance = all.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n;
        let above = all.iter().filter(|&&c| c > 0.0).count() as f64;
        Self {
            tokens: all.len(),
            mean,
            std: variance.sqrt(),
            positive: above / n,
            quartiles: [0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&all, q)),
            concentration: concentration(&all),
            positions: positions(rows),
        }
    }
}

/// The `q`-quantile of sorted values.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (place - place.floor()) * (sorted[high] - sorted[low])
}

fn concentration(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|c| c.abs()).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let total: f64 = sizes.iter().sum();
    let largest = sizes.len().div_ceil(10);
    if total > 0.0 { sizes[..largest].iter().sum::<f64>() / total } else { 0.0 }
}

fn positions(rows: &[Vec<f64>]) -> Vec<PositionCredit> {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let at = |position: usize| {
        let there: Vec<&Vec<f64>> = rows.iter().filter(|row| row.len() > position).collect();
        let n = there.len() as f64;
        let mean = there.iter().map(|row| row[position]).sum::<f64>() / n;
        let cumulative = there.iter().map(|row| row[..=position].iter().sum::<f64>()).sum::<f64>() / n;
        PositionCredit { completions: there.len(), mean, cumulative }
    };
    (0..longest).map(at).collect()
}
