//! Known values, coverage by simulation, symmetries and refusals.
use proptest::prelude::*;
use tropism_evaluation::*;

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 5e-5, "{a} against {b}");
}

#[test]
fn worked_intervals() {
    let w = wilson(8, 10).unwrap();
    close(w.low, 0.49016);
    close(w.high, 0.94331);
    assert_eq!((wilson(0, 5).unwrap().low, wilson(5, 5).unwrap().high), (0.0, 1.0));
    // mean 3, standard deviation sqrt(2.5), t(4) = 2.7764
    let m = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    close(m.low, 3.0 - 2.776445 * (2.5f64 / 5.0).sqrt());
    close(m.high, 3.0 + 2.776445 * (2.5f64 / 5.0).sqrt());
    assert_eq!(mean_interval(&[7.0]).unwrap(), Figure::exact(7.0, 1));
    let json = serde_json::to_string(&m).unwrap();
    assert!(
        json.starts_with("{\"value\":3.0,\"low\":")
            && json.ends_with("\"n\":5,\"method\":{\"interval\":\"student_t\",\"level\":0.95}}"),
        "{json}"
    );
}

#[test]
fn answers_to_one_prompt_are_one_observation() {
    let (ours, theirs) = (vec![1.0; 40], [0.0, 2.0].repeat(20));
    let alone = win_rate_by_prompt(&ours, &theirs, &(0..40).collect::<Vec<_>>()).unwrap();
    assert_eq!(alone, win_rate(&ours, &theirs).unwrap());
    let clusters: Vec<usize> = (0..40).map(|i| i % 4).collect();
    let c = win_rate_by_prompt(&ours, &theirs, &clusters).unwrap();
    assert_eq!((c.rate.value, c.rate.n, c.wins), (0.5, 4, 20));
    assert!(c.rate.high - c.rate.low > alone.rate.high - alone.rate.low);
}

#[test]
fn ties_are_counted_apart() {
    let c = reward_accuracy(&[0.0, 1.0, 2.0], &[0.0, 0.0, 3.0]).unwrap();
    assert_eq!((c.wins, c.ties, c.losses), (1, 1, 1));
    close(c.rate.value, 1.0 / 3.0);
    close(win_rate(&[0.0, 1.0, 2.0], &[0.0, 0.0, 3.0]).unwrap().rate.value, 0.5);
    let n = ranking_accuracy_normalized(&[-4.0], &[-3.0], &[8], &[2]).unwrap();
    assert_eq!((n.wins, ranking_accuracy(&[-4.0], &[-3.0]).unwrap().wins), (1, 0));
    close(reward_margin(&[1.0, 3.0], &[0.0, 1.0]).unwrap().value, 1.5);
}

#[test]
fn refusals_name_argument_and_index() {
    let text = |e: EvaluationError| e.to_string();
    assert!(text(mean_interval(&[]).unwrap_err()).contains("values is empty"));
    assert!(text(reward_accuracy(&[1.0, f64::NAN], &[0.0, 0.0]).unwrap_err()).contains("chosen rewards[1] is NaN"));
    assert!(text(win_rate(&[1.0], &[1.0, 2.0]).unwrap_err()).contains("theirs has 2 entries, expected 1"));
    assert!(text(wilson(3, 2).unwrap_err()).contains("successes is 3"));
    assert!(text(wilson(0, 0).unwrap_err()).contains("trials is empty"));
    assert!(text(clustered_mean(&[1.0], &[]).unwrap_err()).contains("clusters"));
    assert!(text(Bootstrap { resamples: 5, ..Bootstrap::default() }.mean(&[1.0]).unwrap_err()).contains("resamples is 5"));
    assert!(text(kl_sampled(&[0.0], &[f64::INFINITY]).unwrap_err()).contains("reference logps[0]"));
    assert!(response_length(&[]).is_err());
}

proptest! {
    #[test]
    fn shares_stay_in_order_and_in_range(n in 1usize..500, s in 0usize..500) {
        let e = wilson(s.min(n), n).unwrap();
        prop_assert!(0.0 <= e.low && e.low <= e.value && e.value <= e.high && e.high <= 1.0);
    }

    #[test]
    fn win_rates_of_both_sides_add_to_one(rows in prop::collection::vec((-3i8..3, -3i8..3), 1..60)) {
        let (a, b): (Vec<f64>, Vec<f64>) = rows.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).unzip();
        let (x, y) = (win_rate(&a, &b).unwrap(), win_rate(&b, &a).unwrap());
        prop_assert!((x.rate.value + y.rate.value - 1.0).abs() < 1e-12);
        prop_assert!((x.rate.low + y.rate.high - 1.0).abs() < 1e-9);
    }

    #[test]
    fn k3_is_never_negative(rows in prop::collection::vec((-5.0f64..0.0, -5.0f64..0.0), 1..60)) {
        let (p, r): (Vec<f64>, Vec<f64>) = rows.into_iter().unzip();
        prop_assert!(kl_k3(&p, &r).unwrap().value >= 0.0);
    }
}
