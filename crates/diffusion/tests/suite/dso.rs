//! DSO: worked numbers and identities.

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_diffusion::objectives::*;

use crate::common::pairs::{from_outputs, frozen, solved};
use crate::common::{close, vector};

fn unpaired(errors: &[f64], outcomes: &[f64], config: &DsoUnpaired) -> (f64, Vec<f64>) {
    let leaf = vector(errors);
    let mean = dso_unpaired(leaf.leaky_trace(), outcomes, config).unwrap().mean().unwrap();
    (mean.array(), mean.backward().get(&leaf).as_vec())
}

#[test]
fn dso_dro_worked_pair() {
    let targets: [&[f64]; 2] = [&[-0.5, -0.5], &[0.7, -1.3]];
    let (loss, w, l) = from_outputs([&[-0.3, -0.7], &[0.5, -1.0]], targets, |p| dso_dro(p, &DsoDro::default()));
    close(&[loss], &[-0.025], 1e-12);
    close(&w, &[0.2, -0.2], 1e-12);
    close(&l, &[0.2, -0.3], 1e-12);
}

#[test]
fn dso_unpaired_worked_rows() {
    let (loss, grads) = unpaired(&[0.04, 0.30, 0.10], &[1.0, 0.0, 1.0], &DsoUnpaired::default());
    close(&[loss], &[-0.0533333333], 1e-9);
    close(&grads, &[1.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0], 1e-15);
    let scaled = unpaired(&[0.04, 0.30, 0.10], &[1.0, 0.0, 1.0], &DsoUnpaired::default().with_scale(5.0));
    close(&[scaled.0], &[-0.2666666667], 1e-9);
    close(&scaled.1, &grads.iter().map(|g| 5.0 * g).collect::<Vec<_>>(), 1e-15);
}

#[test]
fn dso_dpo_worked_limit_of_small_beta() {
    let limit = |beta: f64, w: f64, l: f64, reference: (f64, f64)| {
        let config = DsoDpo::default().with_beta(beta);
        let (loss, ..) = solved(&[w], &[l], |p| dso_dpo(p, frozen(&[reference.0], &[reference.1]), &config));
        (loss - 2.0_f64.ln()) / (beta / 4.0)
    };
    let bare = |beta| limit(beta, 0.05, 0.10, (0.0, 0.0));
    close(&[bare(1.0), bare(0.1)], &[-0.0496875081, -0.0499687500], 1e-9);
    // At small β the loss itself has few digits left above ln 2.
    close(&[bare(0.01), bare(0.001)], &[-0.0499968750, -0.0499996875], 1e-9);
    let whole = |beta| limit(beta, 0.04, 0.065, (0.05, 0.01));
    close(&[whole(1.0), whole(0.01)], &[-0.0644718982, -0.0649947188], 1e-9);
}

#[test]
fn dso_dro_is_antisymmetric_and_reads_no_reference() {
    let dro = |w: f64, l: f64| solved(&[w], &[l], |p| dso_dro(p, &DsoDro::default()));
    assert_eq!(dro(0.3, 0.1).0, -dro(0.1, 0.3).0);
    assert_eq!(dro(0.3, 0.3).0, 0.0);
    for (w, l) in [(0.3, 0.1), (1e6, 0.0), (0.0, 1e9)] {
        assert_eq!((dro(w, l).1[0], dro(w, l).2[0]), (1.0, -1.0));
    }
}

#[test]
fn all_good_is_plain_training() {
    let (loss, grads) = unpaired(&[0.04, 0.30, 0.10], &[1.0; 3], &DsoUnpaired::default());
    close(&[loss], &[0.44 / 3.0], 1e-15);
    close(&grads, &[1.0 / 3.0; 3], 1e-15);
}

#[test]
fn a_balanced_batch_unpaired_is_half_of_its_pairs() {
    let (w, l) = ([0.04, 0.2], [0.3, 0.1]);
    let paired = solved(&w, &l, |p| dso_dro(p, &DsoDro::default())).0;
    let single = unpaired(&[w, l].concat(), &[1.0, 1.0, 0.0, 0.0], &DsoUnpaired::default()).0;
    close(&[single], &[paired / 2.0], 1e-15);
    assert_eq!(unpaired(&[w, l].concat(), &[1.0, 1.0, 0.0, 0.0], &DsoUnpaired::default().with_balanced(true)).0, single);
}

#[test]
fn balancing_gives_both_kinds_the_same_total() {
    let balanced = DsoUnpaired::default().with_balanced(true);
    let (_, grads) = unpaired(&[0.1, 0.2, 0.3, 0.4], &[1.0, 0.0, 0.0, 0.0], &balanced);
    close(&grads, &[0.5, -1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0], 1e-15);
    let error = dso_unpaired(vector(&[0.1]), &[1.0], &balanced).unwrap_err();
    assert_eq!(error.to_string(), "dso_unpaired: a balanced batch needs good and bad rows; this one has one kind");
    let error = dso_unpaired(vector(&[0.1]), &[0.5], &DsoUnpaired::default()).unwrap_err();
    assert_eq!(error.to_string(), "outcome of row 0 is 0.5; it must be 0 (bad) or 1 (good)");
}

proptest! {
    #[test]
    fn no_bound_holds_it_from_below(bound in 1.0..1e9f64) {
        let (loss, ..) = solved(&[0.1], &[bound + 0.2], |p| dso_dro(p, &DsoDro::default()));
        prop_assert!(loss < -bound);
    }
}

#[test]
fn with_shared_noise_the_baseline_is_diffusion_dpo() {
    let dpo = DiffusionDpo::default().with_beta(500.0);
    let reference = || frozen(&[0.05], &[0.01]);
    let one = solved(&[0.04], &[0.065], |p| dso_dpo(p, reference(), &DsoDpo::default()));
    assert_eq!(one, solved(&[0.04], &[0.065], |p| diffusion_dpo(p, reference(), &dpo)));
}
