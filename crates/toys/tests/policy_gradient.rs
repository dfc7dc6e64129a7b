//! The toys of advantages and policy-gradient losses: `drpo`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

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
