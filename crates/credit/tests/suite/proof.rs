//! Every loss passes the proof, by default and with the options that change its formula.

use crate::common::prove::prove;
use tropism_credit::*;

#[test]
fn every_loss_by_default() {
    for credit in Credit::defaults() {
        // TDPO₂ stops the gradient of the chosen completion's divergence, the third input.
        let held: &[usize] = if matches!(credit, Credit::Tdpo2(_)) { &[2] } else { &[] };
        prove(credit, held);
    }
}

#[test]
fn options_that_change_the_formula() {
    prove(TokenDpo::default().with_beta(1.0), &[]);
    prove(WeightedTokenDpo::default().with_sft_weight(0.7), &[]);
    prove(Tgdpo::default().with_alpha(-1.5).with_guide_beta(Some(0.7)), &[]);
    prove(Tgdpo::default().with_alpha(3.0).with_guide_beta(Some(1.0)).with_floor(Some(0.2)), &[]);
    prove(Tgdpo::default().with_sft_weight(0.3), &[]);
    prove(Sail::default().with_alpha(5.0).with_floor(Some(0.0)).with_sft_weight(0.3), &[]);
    prove(SailAttention::default().with_sft_weight(0.3), &[]);
    prove(Tdpo2::default().with_alpha(2.0), &[2]);
    prove(Tars::default().with_alpha(0.1).with_beta(0.5).with_spectral_weight(2.0), &[]);
    prove(AlignDistil::default().with_normalization(Normalization::Sum), &[]);
    prove(Oprl::default().with_beta(0.3).with_normalization(Normalization::Mean), &[]);
    prove(Oprl::default().with_pairing(Pairing::Ranked), &[]);
}
