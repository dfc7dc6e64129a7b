//! Small-scale checks ("toys") of what papers claim, on worlds where the answer can be computed exactly.
//!
//! A [`Toy`] belongs to one paper. It trains tabular or linear policies with the losses of `tropism-objectives`,
//! `tropism-credit` and `tropism-policy-gradient`, measures exact figures for each seed, and states *relations* between them
//! that the paper leads one to expect.
//! [`Toy::check`] runs it over several seeds and decides each relation by a paired 95 % interval: it came out, it did
//! not, or the seeds do not tell. All toys stand in [`TOYS`].
//!
//! ```
//! use tropism_toys::{TOYS, find};
//!
//! let toy = find("simpo-toy").ok_or("no such toy")?;
//! assert_eq!((toy.row, toy.arxiv), ("simpo", "2405.14734"));
//! let outcome = toy.check(0, 2)?;
//! let length = |of: &str| outcome.figure(&format!("length({of})")).map_or(f64::NAN, |f| f.estimate.value);
//! assert!(length("simpo") < length("dpo"));
//! assert!(TOYS.len() >= 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The papers on denoisers train small networks of `tropism-diffusion` instead, with its losses, and judge them by samples; their toys go by
//! their names alone, too (`diffusion-dpo`).
//!
//! Everything is f64 on the CPU, but for those networks, which are f32. What is drawn at random follows from the seed alone, so figures do not depend on the
//! number of threads.

mod checks;
mod framework;
mod worlds;

pub use checks::{TOYS, find};
pub use framework::{Chance, Decided, Figure, Figures, Measured, Outcome, Relation, Run, Toy, ToyError, Verdict};
