//! The toys of tables and small networks: `3d-properties`, `mah-dpo`, `modpo`, `sft-bridge`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

#[test]
fn sft_bridge() {
    let relations =
        ["reward(sft 0.2, dpo) > reward(sft 1, dpo)", "kl(sft 1) > kl(chi2 1)", "reward(chi2 1, dpo) > reward(sft 1, dpo)"];
    let outcome = came_out("sft-bridge", 4, &relations);
    // demonstrations are not unlearnt, which would keep the policy near the base as well
    assert!(mean(&outcome, "reward(chi2 1)") > mean(&outcome, "reward(base)"));
}
