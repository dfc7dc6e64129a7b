//! Safety: attack success, refusals, separability of pairs, belief conflicts, role adherence, drift of attention.

mod attack;
mod belief;
mod cras;
mod drift;
mod features;
mod judge;
mod probe;
mod refusal;
mod roc;
mod separability;

pub use attack::{AttackReport, Attempt, Cells, Grouped, Reduction, attack_success, generalisation, reduction};
pub use belief::{
    BeliefConflict, Match, ProvenanceVeto, Surprisal, TraceIndex, Traced, belief_conflict, trace, would_refuse,
};
pub use cras::{Cras, CrasReport, cras_report};
pub use drift::{AttentionMap, Drift, Localised, attention_drift, localise};
pub use features::text_features;
pub use judge::{JudgeQuality, graded_attack_success, judge_quality, rogan_gladen};
pub use probe::{Probe, fit_probe};
pub use refusal::{REFUSALS, RefusalMatcher, Scope, keyword_attack_success, over_refusal};
pub use roc::{Roc, roc};
pub use separability::{Separability, SeparabilityOptions, separability};
