//! Agreement of rankings: NDCG, Kendall's tau, Spearman's rho, reciprocal ranks.

mod correlation;
mod kendall;
mod ndcg;
mod reciprocal;

pub(crate) use correlation::ranks;
pub use correlation::{Correlation, pearson, spearman};
pub use kendall::{Kendall, kendall};
pub use ndcg::{Gain, dcg, mean_ndcg, ndcg, ndcg_by_scores};
pub use reciprocal::{first_relevant, mrr};
