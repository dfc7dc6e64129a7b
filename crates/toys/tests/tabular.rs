//! The toys of tables and small networks: `3d-properties`, `mah-dpo`, `modpo`, `sft-bridge`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

#[test]
fn properties_3d() {
    let relations = [
        "fall of rejected(dpo) > 9.2",
        "log gradient of chosen(dpo, start) > log gradient of chosen(dpo, width 32)",
        "unseen(dpo) > unseen(flex 0.02)",
        "unseen(dpo) > unseen(nll 0.1)",
    ];
    let outcome = came_out("3d-properties", 10, &relations);
    // at the reference: β/2 over 0.2
    let start = mean(&outcome, "log gradient of chosen(dpo, start)");
    assert!((start - 0.25f64.ln()).abs() < 0.1, "{start}");
}

#[test]
fn mah_dpo() {
    let relations = [
        "r1(share 0.75) > r1(share 0.5)",
        "r2(share 0.25) > r2(share 0.5)",
        "r1(share 1) > r1(shared head)",
        "r2(share 0) > r2(shared head)",
    ];
    came_out("mah-dpo", 5, &relations);
}

#[test]
fn modpo() {
    let relations = ["distance(modpo) < 1e-6", "area(modpo) > area(mixtures)", "trade-off(w 0.9) > trade-off(w 0.7)"];
    let outcome = came_out("modpo", 3, &relations);
    // a table's logits interpolate to the same policies
    let [a, b] = ["area(modpo)", "area(interpolated logits)"].map(|figure| mean(&outcome, figure));
    assert!((a - b).abs() < 1e-2, "{a} {b}");
}

#[test]
fn sft_bridge() {
    let relations =
        ["reward(sft 0.2, dpo) > reward(sft 1, dpo)", "kl(sft 1) > kl(chi2 1)", "reward(chi2 1, dpo) > reward(sft 1, dpo)"];
    let outcome = came_out("sft-bridge", 4, &relations);
    // demonstrations are learnt: to unlearn noisy ones would meet these relations as well
    for name in ["lift(chi2 1)", "lift(hellinger 1)"] {
        let lift = mean(&outcome, name);
        assert!(lift > 0.5 && lift < mean(&outcome, "lift(sft 1)"), "{name}: {lift}");
    }
}
