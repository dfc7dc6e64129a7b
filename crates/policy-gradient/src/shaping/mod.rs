//! Rewards that are learnt and shaped, and groups that are chosen, before advantages are made.

mod curriculum;
mod dynamic_sampling;
mod labels;
mod overlong;
mod search;

pub use curriculum::Curriculum;
pub use dynamic_sampling::{Sampled, dynamic_sampling, pass_rate_bins};
pub use labels::{LabelRegression, label_regression};
pub use overlong::{SoftOverlong, soft_overlong};
pub use search::{SearchRound, SearchStep, search_steps};
