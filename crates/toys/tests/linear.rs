//! The toys of linear scorers: `curry-dpo`, `dove`, `irpo`, `ofs-dpo`, `tars`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

#[test]
fn curry_dpo() {
    let relations = [
        "reward(stages, noise 0.3, 5 steps) > reward(fixed reference, noise 0.3, 5 steps)",
        "reward(stages, noise 0.1, 5 steps) > reward(single, noise 0.1, 5 steps)",
    ];
    came_out("curry-dpo", 10, &relations);
}

#[test]
fn dove() {
    let relations = ["reward(40 joint) > reward(uniform)", "reward(40 conditional) > reward(40 joint)"];
    came_out("dove", 8, &relations);
}

#[test]
fn irpo() {
    came_out("irpo", 8, &["ndcg@5(irpo, 8 lists, step 10) > ndcg@5(dpo, 8 lists, step 10)"]);
}

#[test]
fn ofs_dpo() {
    let relations = [
        "accuracy(cofs, mean) > accuracy(dpo in order, mean)",
        "accuracy(dpo in order, domain 2) > accuracy(cofs, domain 2)",
        "gradient(ofs) > gradient(dpo)",
    ];
    let outcome = came_out("ofs-dpo", 4, &relations);
    let share = mean(&outcome, "share of domain 1(cofs)");
    assert!(share > 0.0 && share < 1.0, "{share}");
}

#[test]
fn tars() {
    let relations =
        ["shifted accuracy(least relevant) > shifted accuracy(random)", "shifted accuracy(none) > shifted accuracy(visual)"];
    came_out("tars", 4, &relations);
}
