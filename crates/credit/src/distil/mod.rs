//! Distillation from teachers that are made of two models, and divergences of whole distributions.

mod aligndistil;
mod log_sum_exp;
mod positions;
mod teacher;
mod token;

pub use aligndistil::{AlignDistil, aligndistil};
pub use positions::PositionKl;
pub use positions::{Alignment, trained_positions};
pub use teacher::{Distance, Distillation, Strength, Teacher};
pub use token::DistilToken;
