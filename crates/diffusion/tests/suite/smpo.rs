//! SmPO: worked numbers and identities.

use tropism_diffusion::objectives::*;

use crate::common::close;
use crate::common::pairs::{from_outputs, frozen, solved};

fn config() -> Smpo {
    Smpo::default().with_beta(20.0)
}

#[test]
fn worked_factor() {
    let smoothing = Smoothing::default();
    let scaled = |r: f64| (r - smoothing.min) / (smoothing.max - smoothing.min);
    close(&[scaled(0.225), scaled(0.205)], &[0.6577286685, 0.5376665576], 1e-9);
    let p = scaled(0.225).exp() / (scaled(0.225).exp() + scaled(0.205).exp());
    close(&[p, 10.0 * p], &[0.5299795237, 5.2997952371], 1e-9);
    let f = smoothing.factor(0.225, 0.205).unwrap();
    close(&[f], &[0.5995904742], 1e-9);
    close(&[f], &[10.0 * (2.0 * p - 1.0)], 1e-12);
}

#[test]
fn worked_pair_with_its_gradient() {
    let eps = [0.5, -1.0];
    let f = [Smoothing::default().factor(0.225, 0.205).unwrap()];
    let (loss, w, l) =
        from_outputs([&[0.3, -0.7], &[0.9, -0.4]], [&eps, &eps], |p| smpo(p, frozen(&[0.125], &[0.10]), &f, &config()));
    close(&[loss], &[0.2369486906], 1e-9);
    close(&w, &[-0.2529890800, 0.3794836201], 1e-9);
    close(&l, &[-0.5059781601, -0.7589672401], 1e-9);
    let (_, dw, _) = solved(&[0.065], &[0.26], |p| smpo(p, frozen(&[0.125], &[0.10]), &f, &config()));
    close(&dw, &[1.2649454002], 1e-9);
}

#[test]
fn factors_are_bounded_and_follow_the_range() {
    let smoothing = Smoothing::default();
    close(&[smoothing.factor(smoothing.max, smoothing.min).unwrap()], &[4.6211715726], 1e-9);
    assert_eq!(smoothing.factor(0.2, 0.2).unwrap(), 0.0);
    let plain = smoothing.factor(0.25, 0.15).unwrap();
    let moved = Smoothing::default().with_min(3.0 * smoothing.min + 1.0).with_max(3.0 * smoothing.max + 1.0);
    close(&[moved.factor(1.75, 1.45).unwrap()], &[plain], 1e-12);
    assert!(smoothing.factor(0.15, 0.25).unwrap_err().to_string().contains("swap the members"));
    assert!(smoothing.factor(f64::NAN, 0.1).is_err());
    assert!(Smoothing::default().with_min(1.0).factor(0.2, 0.1).unwrap_err().to_string().contains("is empty"));
}

#[test]
fn a_tie_has_ln_2_and_no_gradient_and_factor_1_is_diffusion_dpo() {
    let (loss, w, l) = solved(&[0.065], &[0.26], |p| smpo(p, frozen(&[0.125], &[0.10]), &[0.0], &config()));
    assert_eq!((loss, w[0], l[0]), (2.0_f64.ln(), 0.0, 0.0));
    let one = solved(&[0.065], &[0.26], |p| smpo(p, frozen(&[0.125], &[0.10]), &[1.0], &config()));
    let dpo = DiffusionDpo::default().with_beta(20.0);
    assert_eq!(one, solved(&[0.065], &[0.26], |p| diffusion_dpo(p, frozen(&[0.125], &[0.10]), &dpo)));
}

#[test]
fn each_row_has_a_factor_of_its_own() {
    let both = solved(&[0.065; 2], &[0.26; 2], |p| smpo(p, frozen(&[0.125; 2], &[0.10; 2]), &[0.5, 2.0], &config()));
    let one = |f: f64| solved(&[0.065], &[0.26], |p| smpo(p, frozen(&[0.125], &[0.10]), &[f], &config()));
    close(&[both.0], &[(one(0.5).0 + one(2.0).0) / 2.0], 1e-14);
    close(&both.1, &[one(0.5).1[0] / 2.0, one(2.0).1[0] / 2.0], 1e-14);
    let error = smpo(frozen(&[0.1], &[0.1]), frozen(&[0.1], &[0.1]), &[-0.1], &config()).unwrap_err();
    assert_eq!(error.to_string(), "factor of row 0 is -0.1; it must be finite and at least 0");
}
