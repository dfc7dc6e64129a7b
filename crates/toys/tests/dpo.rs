//! The toys of `dpo`, `simpo` and `ln-dpo`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

#[test]
fn dpo() {
    let relations = [
        "distance(dpo, beta 0.5) < 1e-8",
        "distance(dpo, beta 1) < 1e-8",
        "|reward(robust, noise) - 1| < 1e-6",
        "reward(robust, noise) > reward(dpo, noise)",
        "reward(dpo, noise) > reward(cdpo, noise)",
        "late fall(dpo) > 1",
        "|late fall(ipo) - 0| < 1e-6",
    ];
    let outcome = came_out("dpo", 2, &relations);
    // the minimisers of the expected losses under noise: β δ = logit(0.2 + 0.6 p), smoothed once more for cDPO
    for (figure, value) in [("reward(dpo, noise)", 0.534), ("reward(cdpo, noise)", 0.309)] {
        let found = mean(&outcome, figure);
        assert!((found - value).abs() < 5e-4, "{figure}: {found}");
    }
}

#[test]
fn simpo() {
    came_out("simpo", 6, &["length(dpo) > length(simpo)", "quality(simpo) > quality(dpo) - 0.01"]);
}

#[test]
fn ln_dpo() {
    let relations = [
        "length(dpo) > length(ln_dpo)",
        "length(ln_dpo) > length(simpo)",
        "|quality(ln_dpo) - quality(dpo)| < 0.02",
        "length(dpo, no bias) > length(ln_dpo, no bias)",
    ];
    let outcome = came_out("ln-dpo", 4, &relations);
    assert!(mean(&outcome, "length(dpo)") > mean(&outcome, "length(dpo, no bias)"));
}
