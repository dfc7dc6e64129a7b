//! The toys of `ld-dpo`, `redi`, `rpo` and `asft`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

#[test]
fn ld_dpo() {
    let relations = ["length(alpha 1) > length(alpha 0.5)", "|length(alpha 0.5, no bias) - length(alpha 1, no bias)| < 0.2"];
    let outcome = came_out("ld-dpo", 4, &relations);
    assert!(mean(&outcome, "length(alpha 0.5)") > mean(&outcome, "length(alpha 0)") + 0.1);
}

#[test]
fn redi() {
    let relations = [
        "quality(alpha 0.8, step 100) > quality(alpha 0.5, step 100)",
        "chosen(alpha 0.5, step 500) > chosen(alpha 0.8, step 500)",
        "chosen(alpha 0.8, step 500) > chosen(alpha 1, step 500) + 1",
        "gradient(alpha 0.8) > gradient(alpha 0.5)",
    ];
    let outcome = came_out("redi", 2, &relations);
    assert!(mean(&outcome, "quality(alpha 1, step 100)") > mean(&outcome, "quality(alpha 0.8, step 100)") + 0.05);
    assert!(mean(&outcome, "gradient(alpha 0.2)") < 1e-3);
}

#[test]
fn rpo() {
    let relations = [
        "chosen(eta 0, step 300) > chosen(eta 0, step 3000) + 3",
        "reward(eta 0.05, step 3000) > reward(eta 0, step 3000)",
        "reward(eta 0.2, step 3000) > reward(eta 0.2, step 300) - 0.1",
        "uncovered(eta 0, step 3000) > uncovered(eta 0.05, step 3000)",
        "chosen(eta 1, step 3000) > chosen(eta 0.2, step 3000)",
        "reward(eta 0.2, step 3000) > reward(eta 1, step 3000)",
    ];
    came_out("rpo", 20, &relations);
}

#[test]
fn asft() {
    let relations = [
        "chosen(asft, step 600) > 0",
        "chosen(dpo, step 600) < 0",
        "rejected(dpo, step 600) < 0",
        "chosen(dpo, step 600) > rejected(dpo, step 600)",
    ];
    let outcome = came_out("asft", 12, &relations);
    assert!(mean(&outcome, "uncovered(orpo, step 600)") > mean(&outcome, "uncovered(asft, step 600)"));
    // its second term pushes rejected arms down
    assert!(mean(&outcome, "rejected(asft, step 600)") < mean(&outcome, "rejected(imitation, step 600)") - 0.02);
}
