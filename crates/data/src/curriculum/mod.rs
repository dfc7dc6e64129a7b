//! Curriculum: in which order rows are learned.
//!
//! [`Difficulty`] gives each row a number, [`arrange()`] orders rows by it and cuts the order into stages, and [`Pacing`] says
//! how much of the order may be drawn from at a time ([`Paced`]). All of it works on plain numbers; [`Curriculum::apply()`]
//! does it to a [`crate::construct::dataset::Dataset`].
//!
//! ```
//! use tropism_data::curriculum::{Curriculum, arrange};
//! let gaps = [0.5, 3.0, 1.0, 2.0];
//! let difficulty: Vec<f64> = gaps.iter().map(|gap| -gap).collect(); // a large gap is easy
//! let plan = arrange(&difficulty, &Curriculum { stages: 2, ..Curriculum::default() }, 0)?;
//! assert_eq!(plan.order, [1, 3, 2, 0]);
//! assert_eq!(plan.stages, [0..2, 2..4]);
//! # Ok::<(), tropism_data::DataError>(())
//! ```

mod apply;
mod difficulty;
mod pacing;
mod plan;

pub use difficulty::{Difficulty, reference_log_ratio, required_loss};
pub use pacing::{Curve, Paced, Pacing};
pub use plan::{Curriculum, Direction, Plan, Within, arrange, quantiles};
