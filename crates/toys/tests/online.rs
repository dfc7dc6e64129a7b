//! The toys of `xpo`, `selm`, `dno`, `srpo` and `brain`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};
use tropism_toys::Outcome;

/// Figures that draw nothing at random.
#[track_caller]
fn exact(outcome: &Outcome, figures: &[(&str, f64)]) {
    for (figure, value) in figures {
        let found = mean(outcome, figure);
        assert!((found - value).abs() < 1e-4, "{figure}: {found}");
    }
}

#[test]
fn xpo() {
    let relations = [
        "found(alpha 0.002) > found(alpha 0)",
        "found(alpha 0.01) > found(alpha 0)",
        "reward(alpha 0.002, round 30) > reward(alpha 0.01, round 30)",
    ];
    let outcome = came_out("xpo", 8, &relations);
    assert!(mean(&outcome, "labels(alpha 0.002)") < 30.0);
}

#[test]
fn selm() {
    let relations = [
        "best arm(alpha 0.05, iteration 3) > best arm(alpha 0, iteration 3)",
        "reward(alpha 0.05, iteration 1) > reward(alpha 0, iteration 1)",
        "shift(alpha 0) > shift(alpha 0.05)",
        "shift(alpha 0.05) > shift(alpha 0.3)",
    ];
    came_out("selm", 20, &relations);
}

#[test]
fn dno() {
    let relations = [
        "exploitability(average, T 1) > exploitability(average, T 50)",
        "exploitability(average, T 50) > exploitability(average, T 200)",
        "most exploitability(average, late) < 0.05",
        "least exploitability(last, late) > 0.05",
        "least slack > 0",
    ];
    let outcome = came_out("dno", 3, &relations);
    exact(&outcome, &[("exploitability(average, T 50)", 0.0799), ("exploitability(average, T 400)", 0.0142)]);
    // both kinds of pairs teach
    assert!(mean(&outcome, "win rate(large margins)") > 0.7 && mean(&outcome, "win rate(all pairs)") > 0.7);
}

#[test]
fn srpo() {
    let relations = [
        "variation(srpo) < 1e-6",
        "distance(srpo) < 1e-6",
        "variation(dpo) > variation(ipo)",
        "variation(srpo, alpha 0) > variation(srpo)",
        "reward(1 revision) > reward(reference)",
        "share of the gain(1 revision) > 0.5",
    ];
    let outcome = came_out("srpo", 1, &relations);
    exact(&outcome, &[("variation(ipo)", 0.312), ("reward(reference)", 0.6287), ("reward(2 revisions)", 1.1254)]);
    exact(&outcome, &[("reward(1 revision)", 1.1121), ("reward(trained)", 1.1163)]);
}

#[test]
fn brain() {
    let relations = [
        "|variance(brain, mu 0) - variance(brain, mu 1)| < 0.05",
        "variance(gdc++, mu 0.5) > variance(brain, mu 0.5)",
        "variance(dpg, mu 1) > variance(brain, mu 1)",
        "mean(brain, mu 0) > -1",
        "fall(brain) > 10",
        "fall(dpg) > 10",
    ];
    let outcome = came_out("brain", 3, &relations);
    exact(&outcome, &[("variance(dpg, mu 0)", 0.125)]);
    assert!(mean(&outcome, "share slowest early(brain)") > 0.8);
    assert!((mean(&outcome, "mean(brain, mu 0)") + 0.767).abs() < 0.01);
}
