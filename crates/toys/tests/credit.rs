//! The toys of credit for tokens and steps: `aligndistil`, `oprl`, `r-to-q`, `rto`, `tgdpo`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

#[test]
fn aligndistil() {
    let relations = [
        "reward(teacher, r 1) > reward(dpo)",
        "reward(teacher, r 20) > reward(teacher, r 5)",
        "|reward(student) - reward(teacher, r 20)| < 0.5",
    ];
    let outcome = came_out("aligndistil", 5, &relations);
    assert!(mean(&outcome, "divergence(student, end)") < 0.2 * mean(&outcome, "divergence(student, start)"));
}

#[test]
fn oprl() {
    let relations = [
        "success(alpha 1, updates 21-40) > success(alpha 0, updates 21-40)",
        "success(alpha 0.1, updates 61-80) > success(alpha 0, updates 61-80)",
    ];
    let outcome = came_out("oprl", 20, &relations);
    assert!(mean(&outcome, "success(alpha 1, updates 61-80)") > 0.5);
}

#[test]
fn r_to_q() {
    let relations = [
        "correlation(2000 pairs) > correlation(200 pairs)",
        "correlation(20000 pairs) > correlation(2000 pairs)",
        "found(2 beams) > found(1 beam)",
        "|found(5 beams) - 1| < 0.02",
    ];
    let outcome = came_out("r-to-q", 5, &relations);
    assert!(mean(&outcome, "correlation(20000 pairs)") > 0.95);
}

#[test]
fn rto() {
    let relations = [
        "reward(rto 0.05, iteration 10) > reward(ppo, iteration 10)",
        "reward(rto 0.2, iteration 20) > reward(ppo, iteration 20)",
    ];
    let outcome = came_out("rto", 8, &relations);
    assert!(mean(&outcome, "reward(ppo, iteration 59)") > mean(&outcome, "reward(ppo, iteration 10)") + 1.0);
}

#[test]
fn tgdpo() {
    let relations = [
        "reward(alpha 0.5, step 10) > reward(dpo, step 10)",
        "reward(alpha 2, step 30) > reward(dpo, step 30)",
        "loss(alpha 0.5, step 30) > loss(alpha 2, step 30)",
        "kl(alpha 0.5, converged) > kl(alpha 2, converged)",
    ];
    came_out("tgdpo", 5, &relations);
}
