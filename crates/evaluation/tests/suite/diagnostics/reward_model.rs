//! Worked examples and identities of reward-model figures.
use super::{all_close, close, text_of};
use proptest::prelude::*;
use tropism_evaluation::reward_model::*;
use tropism_evaluation::{Bootstrap, mean};

fn few() -> Bootstrap {
    Bootstrap { resamples: 200, ..Bootstrap::default() }
}

#[test]
fn calibration_worked() {
    let confidence = [0.95, 0.92, 0.81, 0.78, 0.66, 0.61, 0.55, 0.52, 0.31, 0.12];
    let correct = [1, 1, 1, 0, 1, 0, 1, 0, 0, 0].map(|c| c == 1);
    let ece = |bins| calibration(&confidence, &correct, bins, few()).unwrap();
    all_close([ece(Binning::EqualWidth(5)).ece.value, ece(Binning::EqualWidth(10)).ece.value], &[0.187, 0.187]);
    let adaptive = ece(Binning::EqualCount(5));
    close(adaptive.ece.value, 0.149);
    all_close([adaptive.brier.value, adaptive.nll.value], &[0.172450, 0.504735]);
    assert_eq!((adaptive.curve.len(), adaptive.curve[0].accuracy.n), (5, 2));
    close(ece(Binning::EqualWidth(10)).max_gap, 0.78);
}

#[test]
fn edges_belong_to_the_bin_below() {
    // 0.07 · 100 is rounded up past 7
    let found = calibration(&[0.07, 0.0, 1.0], &[false, false, true], Binning::EqualWidth(100), few()).unwrap();
    all_close(found.curve.iter().map(|b| b.confidence), &[0.0, 0.07, 1.0]);
    let half = calibration(&[0.5; 8], &[true, false, true, false, true, false, true, false], Binning::EqualWidth(10), few());
    assert_eq!(half.unwrap().ece.value, 0.0);
    let (confidence, correct) = pair_confidence(&[0.0, 2.0, -2.0]);
    assert_eq!(correct, [true, false]);
    close(confidence[1], 0.880797);
    // certain and wrong
    assert!(text_of(calibration(&[1.0], &[false], Binning::EqualWidth(1), few())).contains("surprises[0]"));
}

#[test]
fn reward_bench_worked() {
    close(reward_bench_section(&[0.96, 0.80, 0.90, 1.0, 0.875], &[100, 95, 95, 28, 40]).unwrap(), 0.895251);
    close(mean(&[0.96, 0.80, 0.90, 1.0, 0.875]).unwrap(), 0.907);
    let (sections, total) = reward_bench_final(|name| Some(if name == "math-prm" { 1.0 } else { 0.5 })).unwrap();
    close(sections[3], (984.0 + 0.5 * 984.0) / (2.0 * 984.0));
    close(total, (1.5 + sections[3]) / 4.0);
    assert!(text_of(reward_bench_final(|n| (n != "hep-go").then_some(1.0))).contains("hep-go"));
    assert_eq!(REWARD_BENCH.iter().map(|(_, s)| s.len()).sum::<usize>(), 23);
}

#[test]
fn ties_worked() {
    let tied = [(&[2.0, 1.8, 1.5][..], &[0.5, 0.2][..]), (&[1.0, 0.2], &[0.6, 0.1])];
    let reference = [(&[2.2][..], &[1.0, 0.4][..]), (&[0.9], &[0.3, 0.8])];
    let prompts = |of: &[(&'static [f64], &'static [f64])]| {
        of.iter().map(|(right, wrong)| TiePrompt { right, wrong }).collect::<Vec<_>>()
    };
    let found = ties_score(&prompts(&tied), &prompts(&reference)).unwrap();
    all_close([found.accuracy_reference, found.accuracy_tied, found.gap_above_spread], &[1.0, 0.5, 0.5]);
    all_close([found.least_gap_above_spread, found.margin, found.score], &[0.5, -0.071777, 0.649282]);
    close(best_of_n_accuracy(&[&[1.0, 0.5, 0.2, 0.1], &[1.0, 1.0, 0.0, 0.0]]).unwrap().value, 0.5);
}

#[test]
fn style_matrix() {
    let found = rm_bench(&[[0.5, 0.4, 0.3], [0.6, 0.5, 0.2], [0.9, 0.7, 0.5]]).unwrap();
    all_close([found.hard, found.normal, found.easy, found.average], &[0.3, 0.5, 2.2 / 3.0, 4.6 / 9.0]);
}

#[test]
fn implicit_rewards_worked() {
    let policy = [[-20.0, -33.0, -18.0], [-22.0, -30.0, -18.0]];
    let reference = [[-21.0, -35.0, -18.5], [-20.0, -31.0, -18.5]];
    let [w, l] = [0, 1].map(|s| implicit_rewards(&policy[s], Some(&reference[s]), 0.1).unwrap());
    all_close(w.clone(), &[0.10, 0.20, 0.05]);
    all_close(l.clone(), &[-0.20, 0.10, 0.05]);
    close(pair_accuracy(&w[..2], &l[..2]).unwrap().value, 1.0);
    // the third pair ties up to rounding; computed from equal numbers it ties exactly
    close(pair_accuracy(&[0.1, 0.2, 0.05], &[-0.2, 0.1, 0.05]).unwrap().value, 0.833333);
    close(scale_free_margin(&w, &l).unwrap().value, 0.993808);
    let free = implicit_rewards(&policy[0], None, 0.1).unwrap();
    all_close(free.iter().zip(&w).map(|(f, w)| f - w), &[-2.1, -3.5, -1.85]);
}

#[test]
fn gaps_in_and_out_of_distribution() {
    let explicit = [&[1.0, 2.0, 3.0, 4.0][..], &[0.0, 1.0, 4.0, 4.0][..]];
    let constant = [&[0.0; 4][..], &[0.0; 4][..]];
    let gap = reward_gap(explicit, constant, few()).unwrap();
    all_close([gap.explicit.value, gap.implicit.value, gap.gap.value], &[0.625, 0.5, 0.125]);
    let zero = reward_gap(explicit, explicit, few()).unwrap();
    assert_eq!((zero.gap.value, zero.gap.low, zero.gap.high), (0.0, 0.0, 0.0));
    let set = |name: &str, inside, gap: &Gap| Shift { name: name.to_owned(), in_distribution: inside, gap: gap.clone() };
    let found = shifts(&[set("own", true, &zero), set("french", false, &gap), set("maths", false, &zero)]);
    assert_eq!((found.in_distribution, found.out_mean, found.out_max), (Some(0.0), Some(0.0625), Some(0.125)));
}

#[test]
fn domains() {
    let found = accuracy_by_domain(&[1.0, 1.0, 0.0], &[0.0, 0.0, 1.0], &["maths", "chat", "maths"]).unwrap();
    assert_eq!(
        found.domains.iter().map(|d| (d.name.as_str(), d.accuracy.value)).collect::<Vec<_>>(),
        [("chat", 1.0), ("maths", 0.5)]
    );
    close(found.micro.value, 2.0 / 3.0);
    close(found.macro_mean.value, 0.75);
}

#[test]
fn ensembles() {
    let members: [&[f64]; 3] = [&[1.0, 4.0], &[2.0, 4.0], &[6.0, 4.0]];
    all_close(combine(&members, Combine::Mean).unwrap(), &[3.0, 4.0]);
    all_close(combine(&members, Combine::Min).unwrap(), &[1.0, 4.0]);
    all_close(combine(&members, Combine::Median).unwrap(), &[2.0, 4.0]);
    all_close(combine(&members, Combine::MeanMinusVariance(0.5)).unwrap(), &[3.0 - 0.5 * 14.0 / 3.0, 4.0]);
    close(disagreement(&members).unwrap().value, 0.5 * (14.0f64 / 3.0).sqrt());
    close(unanimous(&members, &[&[0.0, 5.0], &[0.0, 5.0], &[7.0, 5.0]]).unwrap().value, 0.5);
}

proptest! {
    #[test]
    fn swapping_sides_turns_accuracy(rows in prop::collection::vec((-3i8..3, -3i8..3), 1..40), shift in -5.0f64..5.0, scale in 0.1f64..5.0) {
        let (w, l): (Vec<f64>, Vec<f64>) = rows.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).unzip();
        let (a, b) = (pair_accuracy(&w, &l).unwrap(), pair_accuracy(&l, &w).unwrap());
        prop_assert!((a.value + b.value - 1.0).abs() < 1e-12);
        let moved = |v: &[f64]| v.iter().map(|v| v * scale).collect::<Vec<_>>();
        prop_assert_eq!(pair_accuracy(&moved(&w), &moved(&l)).unwrap(), a);
        if let Ok(margin) = scale_free_margin(&w, &l) {
            let other = scale_free_margin(&moved(&w), &moved(&l)).unwrap();
            prop_assert!((margin.value - other.value).abs() < 1e-6);
            let shifted = |v: &[f64]| v.iter().map(|v| v + shift).collect::<Vec<_>>();
            prop_assert!((scale_free_margin(&shifted(&w), &shifted(&l)).unwrap().value - margin.value).abs() < 1e-6);
        }
    }
}
