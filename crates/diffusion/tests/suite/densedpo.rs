//! DenseDPO: worked numbers and identities.

use dfdx::prelude::*;
use tropism_diffusion::objectives::*;

use crate::common::pairs::{frozen, solved};
use crate::common::{close, rows};

const FIRST: [f64; 3] = [0.02, 0.10, -0.04];
const SECOND: [f64; 3] = [0.05, -0.02, 0.03];

fn config(segments: Segments) -> DenseDpo {
    DenseDpo::default().with_beta(8.0).with_segments(segments)
}

/// Loss of one pair and its gradients in the changes of both members.
fn dense(s: [&[f64]; 2], labels: &[f64], sizes: &[f64], config: &DenseDpo) -> (f64, Vec<f64>, Vec<f64>) {
    let raised = |s: &[f64]| rows(&[&s.iter().map(|s| 0.5 + s).collect::<Vec<_>>()]);
    let (a, b) = (raised(s[0]), raised(s[1]));
    let base = || ErrorTable::new(rows(&[&vec![0.5; labels.len()]])).unwrap();
    let policy = SegmentPairs::new(ErrorTable::new(a.leaky_trace()).unwrap(), ErrorTable::new(b.retaped()).unwrap());
    let reference = SegmentPairs::new(base(), base()).unwrap();
    let sum = densedpo(policy.unwrap(), reference, labels, sizes, config).unwrap().sum().unwrap();
    let (value, grads) = (sum.array(), sum.backward());
    (value, grads.get(&a).as_vec(), grads.get(&b).as_vec())
}

#[test]
fn worked_pair_with_its_gradient() {
    let labels = [1.0, -1.0, 0.0];
    let (loss, a, b) = dense([&FIRST, &SECOND], &labels, &[1.0; 3], &config(Segments::Sum));
    close(&[loss], &[0.2632824673], 1e-10);
    close(&a, &[1.8518017320, -1.8518017320, 0.0], 1e-9);
    close(&b, &[-1.8518017320, 1.8518017320, 0.0], 1e-9);
    assert_eq!((a[2], b[2]), (0.0, 0.0));
    let mean = dense([&FIRST, &SECOND], &labels, &[1.0; 3], &config(Segments::Mean)).0;
    let apart = dense([&FIRST, &SECOND], &labels, &[1.0; 3], &config(Segments::Apart)).0;
    close(&[mean, apart], &[0.4374879505, 0.4522537829], 1e-10);
    assert!(apart >= mean);
    close(&[dense([&FIRST, &SECOND], &[1.0; 3], &[1.0; 3], &config(Segments::Sum)).0], &[0.7763437730], 1e-10);
}

#[test]
fn one_segment_is_diffusion_dpo_with_twice_beta() {
    let dpo = DiffusionDpo::default().with_beta(16.0);
    for label in [1.0, -1.0] {
        let (loss, ..) = dense([&[0.1], &[-0.2]], &[label], &[5.0], &config(Segments::Mean));
        let (w, l) = if label > 0.0 { (0.6, 0.3) } else { (0.3, 0.6) };
        let want = solved(&[w], &[l], |p| diffusion_dpo(p, frozen(&[0.5], &[0.5]), &dpo)).0;
        close(&[loss], &[want], 1e-12);
    }
}

#[test]
fn equal_labels_are_a_global_label_on_mean_errors() {
    let sizes = [4.0, 4.0, 2.0];
    let whole = |s: &[f64]| s.iter().zip(sizes).map(|(s, n)| s * n).sum::<f64>() / 10.0;
    let segments = dense([&FIRST, &SECOND], &[1.0; 3], &sizes, &config(Segments::Mean)).0;
    let global = dense([&[whole(&FIRST)], &[whole(&SECOND)]], &[1.0], &[10.0], &config(Segments::Mean)).0;
    close(&[segments], &[global], 1e-13);
    // The sum form counts elements.
    let summed = dense([&FIRST, &SECOND], &[1.0; 3], &sizes, &config(Segments::Sum)).0;
    let global = dense([&[whole(&FIRST)], &[whole(&SECOND)]], &[1.0], &[10.0], &config(Segments::Sum)).0;
    close(&[summed], &[global], 1e-13);
}

#[test]
fn labels_members_and_segments_may_be_turned() {
    for form in [Segments::Mean, Segments::Sum, Segments::Apart] {
        let config = config(form);
        let (labels, sizes) = ([1.0, -1.0, 1.0], [4.0, 4.0, 2.0]);
        let plain = dense([&FIRST, &SECOND], &labels, &sizes, &config).0;
        let swapped = dense([&SECOND, &FIRST], &labels.map(|l| -l), &sizes, &config).0;
        close(&[swapped], &[plain], 1e-13);
        let turn = |x: &[f64]| vec![x[2], x[0], x[1]];
        let turned = dense([&turn(&FIRST), &turn(&SECOND)], &turn(&labels), &turn(&sizes), &config).0;
        close(&[turned], &[plain], 1e-13);
        // L(z) − L(−z) = −z.
        let negated = dense([&FIRST, &SECOND], &labels.map(|l| -l), &sizes, &config).0;
        assert!(form == Segments::Apart || (plain - negated).abs() > 1e-3);
    }
}

#[test]
fn nothing_in_a_tie_segment_counts() {
    for form in [Segments::Mean, Segments::Sum, Segments::Apart] {
        let labels = [1.0, -1.0, 0.0];
        let plain = dense([&FIRST, &SECOND], &labels, &[1.0; 3], &config(form));
        let moved = dense([&[0.02, 0.10, 300.0], &SECOND], &labels, &[1.0, 1.0, 7.0], &config(form));
        assert_eq!(plain, moved);
    }
}

#[test]
fn a_pair_of_ties_has_no_weight() {
    let table = |v: &[f64]| ErrorTable::new(rows(&[v, v])).unwrap();
    let pair = || SegmentPairs::new(table(&[0.3, 0.1]), table(&[0.2, 0.2])).unwrap();
    let terms = densedpo(pair(), pair(), &[0.0, 0.0, 1.0, 0.0], &[1.0; 4], &DenseDpo::default()).unwrap();
    assert_eq!(terms.weights, [0.0, 1.0]);
    assert_eq!(terms.values(), [0.0, 2.0_f64.ln()]);
    assert_eq!(terms.diagnostics.get("segments/labelled"), Some([0.0, 0.5].as_slice()));
    let single =
        || SegmentPairs::new(ErrorTable::new(rows(&[&[0.3]])).unwrap(), ErrorTable::new(rows(&[&[0.2]])).unwrap()).unwrap();
    assert!(densedpo(single(), single(), &[0.0], &[1.0], &DenseDpo::default()).unwrap().mean().is_err());
    let error = densedpo(single(), single(), &[0.5], &[1.0], &DenseDpo::default()).unwrap_err();
    assert_eq!(error.to_string(), "label of row 0 is 0.5; it must be -1, 0 or 1");
    assert!(densedpo(single(), single(), &[1.0], &[0.0], &DenseDpo::default()).is_err());
}

#[test]
fn segment_errors_are_means_over_their_elements() {
    let output = rows(&[&[1.0, 2.0, 4.0], &[0.0, 0.0, -1.0]]);
    let errors = segment_errors(output.leaky_trace(), &rows(&[&[0.0; 3], &[0.0; 3]]), &[2, 1]).unwrap();
    assert_eq!(errors.as_vec(), [2.5, 16.0, 0.0, 1.0]);
    assert_eq!(errors.sum().backward().get(&output).as_vec(), [1.0, 2.0, 8.0, 0.0, 0.0, -2.0]);
    assert!(segment_errors(output.clone(), &rows(&[&[0.0; 3], &[0.0; 3]]), &[2, 2]).is_err());
}
