//! Attention to an instruction, and the token weights that SAIL makes of it.

use std::ops::Range;

use tropism_core::CoreError;

use crate::CreditError;
use crate::figures::row_sums;

/// How much each answer token attends to the instruction, averaged over focal heads.
///
/// `maps` are attention probabilities `[heads, queries, keys]` row by row: of the heads that count, and of the queries that are
/// the answer's tokens. `span` are the keys of the instruction.
///
/// ```text
/// c_t = mean_h Σ_{k ∈ span} map[h, t, k]        from 0 to 1
/// ```
///
/// Source: arXiv 2509.23188 speaks of focal attentional contribution and gives no formula; this one is ours.
///
/// # Errors
/// [`CreditError::Core`] for no heads or queries, or another number of entries; [`CreditError::Outside`] for a span that is empty
/// or goes beyond the keys; [`CreditError::Value`] for a query (`heads · queries` of them) whose attention is not from 0 to 1 or
/// sums to more than 1.
///
/// ```
/// use tropism_credit::instruction_attention;
///
/// // Two heads, one answer token, three keys of which the first two are the instruction.
/// let found = instruction_attention(&[0.5, 0.25, 0.25, 0.0, 0.25, 0.75], [2, 1, 3], 0..2)?;
/// assert_eq!(found, [0.5]);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn instruction_attention(maps: &[f64], size: [usize; 3], span: Range<usize>) -> Result<Vec<f64>, CreditError> {
    let [heads, queries, keys] = size;
    if heads * queries * keys == 0 {
        return Err(CoreError::Empty { what: "attention maps" }.into());
    }
    CoreError::check_size("attention maps", heads * queries * keys, maps.len())?;
    if span.is_empty() || span.end > keys {
        let index = if span.is_empty() { span.start } else { span.end - 1 };
        let bound = keys.min(span.end);
        return Err(CreditError::Outside { what: "instruction key", row: 0, index, bound });
    }
    let share = |row: &[f64]| {
        let sound = row.iter().all(|a| (0.0..=1.0).contains(a));
        if sound { row.iter().sum() } else { f64::NAN }
    };
    let totals: Vec<f64> = maps.chunks(keys).map(share).collect();
    // Probabilities of a model in half precision do not sum to 1 exactly.
    CreditError::check_rows("attention of query", &totals, "made of shares that sum to at most 1", |s| s <= 1.01)?;
    let of = |head: usize, query: usize| maps[(head * queries + query) * keys..][span.clone()].iter().sum::<f64>();
    Ok((0..queries).map(|t| (0..heads).map(|h| of(h, t)).sum::<f64>() / heads as f64).collect())
}

/// `n c_t / Σ_s c_s` over the counted cells of each row of `columns` cells, 0 elsewhere.
///
/// # Errors
/// [`CreditError::Core`] unless there is one entry of `attention` per cell; [`CreditError::Value`] for a row with tokens whose
/// attention adds up to nothing, or to no number.
///
/// ```
/// use tropism_credit::attention_weights;
///
/// let weights = attention_weights(&[0.3, 0.1, 9.0], &[true, true, false], 3)?;
/// assert!((weights[0] - 1.5).abs() < 1e-15 && (weights[1] - 0.5).abs() < 1e-15 && weights[2] == 0.0);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn attention_weights(attention: &[f64], mask: &[bool], columns: usize) -> Result<Vec<f64>, CreditError> {
    CoreError::check_size("attention", mask.len(), attention.len())?;
    if columns == 0 {
        return Err(CoreError::Empty { what: "attention" }.into());
    }
    let kept: Vec<f64> = attention.iter().zip(mask).map(|(&c, &m)| if m { c } else { 0.0 }).collect();
    let sums = row_sums(&kept, columns);
    let counts: Vec<f64> = mask.chunks(columns).map(|row| row.iter().filter(|m| **m).count() as f64).collect();
    let totals: Vec<f64> = sums.iter().zip(&counts).map(|(&s, &n)| if n == 0.0 { 1.0 } else { s }).collect();
    let requirement = "positive and finite; leave out completions that attend to no instruction";
    CreditError::check_rows("summed attention", &totals, requirement, |s| s > 0.0 && s.is_finite())?;
    Ok(kept.iter().enumerate().map(|(i, c)| counts[i / columns] * c / totals[i / columns]).collect())
}
