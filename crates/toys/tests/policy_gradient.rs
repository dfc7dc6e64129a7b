//! The toys of advantages and policy-gradient losses: `deep-research-rl`, `disco`, `drpo`, `mo-grpo`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

#[test]
fn deep_research_rl() {
    let relations = [
        "episodes(outcome, inapt) > episodes(turn, inapt)",
        "episodes(outcome, inapt) > episodes(step, inapt)",
        "repeated(gain, apt) > repeated(step, apt)",
        "repeated(gain, inapt) > repeated(step, inapt)",
    ];
    let outcome = came_out("deep-research-rl", 12, &relations);
    for name in ["turn, apt", "step, apt", "curriculum, apt", "turn, inapt", "step, inapt"] {
        assert!(mean(&outcome, &format!("success({name})")) > 0.9, "{name}:\n{outcome}");
    }
}

#[test]
fn disco() {
    let relations = [
        "error(grpo) < 1e-12",
        "error(dr grpo) < 1e-12",
        "error(disco) < 1e-12",
        "weight(grpo, 4/8) > weight(grpo, 1/8)",
        "share of 1/8(grpo) > share of 1/8(dr grpo)",
        "|share of 1/8(disco) - 1| < 1e-12",
    ];
    let outcome = came_out("disco", 1, &relations);
    assert!((mean(&outcome, "weight(grpo, 6/8)") - 0.1875f64.sqrt()).abs() < 1e-12);
}

#[test]
fn drpo() {
    let relations = [
        "|pushed down(grpo 0.5) - 0.2| < 0.02",
        "|pushed down(drpo) - 0| < 1e-12",
        "length(drpo inf) > length(drpo 0.5)",
        "length(drpo 0.2) > length(drpo 0.1)",
        "accuracy(drpo 0.2) > accuracy(drpo inf) - 0.03",
        "jump(grpo) > jump(drpo)",
    ];
    let outcome = came_out("drpo", 4, &relations);
    // it has learnt: a uniform policy is right in half the cases
    assert!(mean(&outcome, "accuracy(drpo inf)") > 0.8);
}

#[test]
fn mo_grpo() {
    let relations = [
        "polite(equal) > polite(uniform)",
        "meaningful(equal) > meaningful(uniform)",
        "safe(equal) > safe(uniform)",
        "safe(uniform) > safe(actionable only)",
        "mse(polite, 0 labels) > mse(polite, 256 labels)",
        "gain(256 labels) > gain(4 labels)",
        "tracking > 0",
    ];
    let outcome = came_out("mo-grpo", 20, &relations);
    // one axis alone goes further than in company
    assert!(mean(&outcome, "actionable(actionable only)") > mean(&outcome, "actionable(equal)"));
}
