//! PPD: worked numbers and identities.

use dfdx::prelude::*;
use tropism_diffusion::Stream;
use tropism_diffusion::objectives::*;
use tropism_diffusion::prediction::squared_errors;

use crate::common::pairs::{frozen, solved};
use crate::common::{close, rows};

fn config() -> Ppd {
    Ppd::default().with_beta(20.0)
}

#[test]
fn worked_users_of_opposite_taste() {
    let eps = rows(&[&[0.5, -1.0], &[0.5, -1.0]]);
    // Rows are users A and B; A prefers w, B prefers l.
    let chosen = rows(&[&[0.3, -0.7], &[0.6, -0.8]]);
    let rejected = rows(&[&[0.9, -0.4], &[0.1, -0.5]]);
    let policy = PairErrors::new(
        squared_errors(chosen.leaky_trace(), &eps).unwrap(),
        squared_errors(rejected.retaped(), &eps).unwrap(),
    );
    let terms = ppd(policy.unwrap(), frozen(&[0.125, 0.10], &[0.10, 0.125]), &config()).unwrap();
    close(terms.diagnostics.get("rewards/margins").unwrap(), &[2.2, 1.55], 1e-12);
    let mean = terms.mean().unwrap();
    close(&[mean.array()], &[0.1487798927], 1e-10);
    let grads = mean.backward();
    let (w, l) = (grads.get(&chosen).as_vec(), grads.get(&rejected).as_vec());
    close(&w, &[-0.0997504891, 0.1496257337, 0.0875431341, 0.1750862682], 1e-10);
    close(&l, &[-0.1995009782, -0.2992514674, 0.3501725363, -0.4377156704], 1e-10);
}

#[test]
fn a_network_blind_to_users_cannot_go_below_ln_2() {
    // Both users get A's outputs; B's labels are swapped.
    let blind = |w: f64, l: f64| solved(&[w, l], &[l, w], |p| ppd(p, frozen(&[0.125, 0.10], &[0.10, 0.125]), &config()));
    close(&[blind(0.065, 0.26).0], &[1.2050833198], 1e-10);
    let (loss, w, l) = blind(0.125, 0.10);
    assert_eq!(loss, 2.0_f64.ln());
    // The gradients of both users cancel: chosen of A is rejected of B.
    assert_eq!((w[0] + l[1], w[1] + l[0]), (0.0, 0.0));
    for (w, l) in [(0.0, 0.3), (0.4, 0.1), (2.0, 0.0)] {
        assert!(blind(w, l).0 >= 2.0_f64.ln());
    }
}

#[test]
fn without_users_it_is_diffusion_dpo_in_any_order() {
    let reference = || frozen(&[0.2, 0.4], &[0.1, 0.3]);
    let dpo = DiffusionDpo::default().with_beta(20.0);
    let ppd_found = solved(&[0.1, 0.5], &[0.3, 0.2], |p| ppd(p, reference(), &config()));
    assert_eq!(ppd_found, solved(&[0.1, 0.5], &[0.3, 0.2], |p| diffusion_dpo(p, reference(), &dpo)));
    let turned = solved(&[0.5, 0.1], &[0.2, 0.3], |p| ppd(p, frozen(&[0.4, 0.2], &[0.3, 0.1]), &config()));
    close(&[turned.0], &[ppd_found.0], 1e-15);
}

#[test]
fn embeddings_of_users() {
    let user = user_embedding(&[vec![2.0, 1.0], vec![2.0, 3.0]], &[vec![1.0, 1.0], vec![0.0, -1.0]]).unwrap();
    close(&user, &[0.6, 0.8], 1e-15);
    assert!(user_embedding(&[vec![1.0]], &[vec![1.0]]).unwrap_err().to_string().contains("cancel"));
    assert!(user_embedding(&[], &[]).is_err() && user_embedding(&[vec![1.0]], &[vec![1.0, 2.0]]).is_err());
    let users = [vec![1.0, 0.0], vec![0.0, 1.0]];
    assert_eq!(mixed_embedding(&users, &[1.0, 0.0]).unwrap(), users[0]);
    assert_eq!(mixed_embedding(&users, &[0.25, 0.75]).unwrap(), [0.25, 0.75]);
    assert!(mixed_embedding(&users, &[0.5, 0.6]).is_err() && mixed_embedding(&users, &[1.0]).is_err());
}

#[test]
fn users_are_dropped_at_the_asked_rate() {
    let mut rows = vec![1.0; 3 * 5000];
    drop_users(&mut rows, 3, 0.1, &mut Stream::new(1, 0));
    let dropped = rows.chunks(3).filter(|r| **r == [0.0; 3]).count();
    assert_eq!(rows.chunks(3).filter(|r| **r == [1.0; 3]).count() + dropped, 5000);
    // The standard error is 21.
    assert!((400..600).contains(&dropped), "{dropped}");
}
