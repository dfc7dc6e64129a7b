//! Where an unsafe answer comes from: spans of a corpus that it repeats, and how improbable they are.

mod index;
mod suffix_array;
mod surprisal;
mod trace;
mod veto;

pub use index::{Match, TraceIndex};
pub use surprisal::{BeliefConflict, Surprisal, belief_conflict};
pub use trace::{Traced, trace, would_refuse};
pub use veto::ProvenanceVeto;
