//! What a toy is, how it is run over seeds and how its relations are decided.

mod error;
mod figures;
mod outcome;
mod relation;
mod run;
mod table;
mod toy;

pub use error::ToyError;
pub use figures::{Figure, Figures};
pub use outcome::{Measured, Outcome};
pub use relation::{Decided, Relation, Verdict};
pub use run::Run;
pub use toy::{Chance, Toy};
