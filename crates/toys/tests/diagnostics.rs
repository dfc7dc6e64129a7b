//! The toys of `ranking-accuracy`, `did`, `more-is-less`, `dporm`, `egida`, `tracealign` and `sail`.
#![allow(clippy::unwrap_used)]
mod common;
use common::{came_out, mean};

#[test]
fn ranking_accuracy() {
    let relations = [
        "|violations - 0| < 0.5",
        "least lead of reward accuracy > 0",
        "reward accuracy > accuracy",
        "accuracy > accuracy(reference)",
        "flip rate(c 0 to 2) > flip rate(c above 20)",
    ];
    came_out("ranking-accuracy", 6, &relations);
}

#[test]
fn did() {
    let outcome = came_out("did", 2, &["distance(dpo) < 1e-4", "|slope of log-margins - 0.5| < 1e-9"]);
    for other in ["cpo", "ipo", "simpo", "dpo, rejected from reference", "dpo, rejected uniform", "dpo, exponent 1"] {
        assert!(mean(&outcome, &format!("distance({other})")) > 0.03, "{other}:\n{outcome}");
    }
    // the sheet's world of four outcomes; 0.13 and 0.04 in 200 draws of its own
    let spread = |from: &str| mean(&outcome, &format!("spread of estimates(four outcomes, from {from})"));
    assert!(spread("reference") > 0.1 && spread("policy") < 0.08, "{outcome}");
}

#[test]
fn more_is_less() {
    let relations = [
        "|loss(several models) - 0.260126| < 1e-6",
        "|attack success(one model) - 0.114542| < 1e-6",
        "separability(several models) > separability(one model)",
    ];
    let outcome = came_out("more-is-less", 3, &relations);
    assert!((mean(&outcome, "style logit(several models)") - 10.196052).abs() < 1e-6);
    assert!((mean(&outcome, "comply logit(one model)") + 6.045167).abs() < 1e-6);
}

#[test]
fn dporm() {
    let relations =
        ["accuracy(explicit, unseen) > accuracy(implicit, unseen) + 0.3", "|accuracy(implicit, unseen) - 0.5| < 1e-9"];
    let outcome = came_out("dporm", 3, &relations);
    assert!(
        mean(&outcome, "accuracy(explicit, seen)") > 0.99 && mean(&outcome, "accuracy(implicit, seen)") > 0.95,
        "{outcome}"
    );
}

#[test]
fn egida() {
    let relations = [
        "attacks(start, unseen styles) > attacks(8 pairs, step 20, unseen styles) + 0.3",
        "attacks(start, unseen topics) > attacks(8 pairs, step 20, unseen topics) + 0.3",
        "refusals(8 pairs, step 60) > refusals(8 pairs, step 20) + 0.2",
    ];
    came_out("egida", 10, &relations);
}

#[test]
fn tracealign() {
    let relations =
        ["conflict(planted) > conflict(random) + 5", "|drift(veto) - 0| < 1e-9", "planted(dpo) > planted(dpo, spans 1)"];
    let outcome = came_out("tracealign", 2, &relations);
    assert!(mean(&outcome, "drift(plain)") > 0.03, "{outcome}");
    assert!((mean(&outcome, "logp(benign, veto)") - mean(&outcome, "logp(benign, plain)")).abs() < 0.02, "{outcome}");
}

#[test]
fn sail() {
    came_out("sail", 10, &["|found(8 prompts) - 1| < 1e-9", "least drift of focal layers > largest drift of other layers"]);
}
