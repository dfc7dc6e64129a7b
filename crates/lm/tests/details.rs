//! Entropies, most probable tokens and sums of squared probabilities of a whole model.
#![allow(clippy::unwrap_used)]
mod common;
use common::{golden, log_softmax, logits, open};
use dfdx::prelude::*;
use tropism_lm::*;
use tropism_ops::{FrozenFormat, LogpsExtras, Tree};

#[test]
fn details_of_log_probabilities_dense_and_frozen() {
    for name in ["llama_tied", "llama_untied", "gemma2"] {
        let dense = open::<f64>(&golden(name));
        let tree = Tree::sequences(&[4]).unwrap();
        let batch = TokenBatch { ids: &[3, 1, 4, 1], tree: &tree, sources: &[0, 2], targets: &[1, 1] };
        let extras = LogpsExtras { entropy: true, top_k: 2, log_sum_squares: true };
        for model in [dense.frozen(FrozenFormat::Bf16), dense] {
            let found = model.token_logps_detailed(batch, extras, NoneTape).unwrap();
            assert_eq!(found.logps.as_vec(), model.token_logps(batch, NoneTape).unwrap().as_vec());
            let (entropy, top) = (found.entropy.unwrap().as_vec(), found.top.unwrap());
            for (i, at) in batch.sources.iter().enumerate() {
                let logps = log_softmax(&logits(&model, batch.ids, *at));
                let expected = -logps.iter().map(|l| l * l.exp()).sum::<f64>();
                assert!((entropy[i] - expected).abs() < 1e-10, "{name}: {} against {expected}", entropy[i]);
                let expected = logps.iter().map(|l| (2.0 * l).exp()).sum::<f64>().ln();
                assert!((found.log_sum_squares.as_ref().unwrap()[i] - expected).abs() < 1e-10);
                assert!((logps[top.ids[2 * i]] - top.logps[2 * i]).abs() < 1e-10);
                assert!(logps.iter().all(|l| *l <= top.logps[2 * i] + 1e-10));
            }
        }
    }
}
