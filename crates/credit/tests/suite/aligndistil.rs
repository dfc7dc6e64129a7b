//! AlignDistil: worked numbers, invariants, chunks of any size, a dense computation, gradients by differences.

use crate::common::close;
use crate::common::plain::Rng;
use proptest::prelude::*;
use tropism_core::VocabularyFigure;
use tropism_credit::*;

type Row = [Vec<f64>; 3];

/// Student, model that is favoured, other model.
fn worked() -> [Row; 2] {
    let row = |s: [f64; 3], a: [f64; 3], b: [f64; 3]| [s.to_vec(), a.to_vec(), b.to_vec()];
    [row([0.2, -0.1, 0.0], [0.8, -0.4, 0.1], [-0.2, 0.5, 0.0]), row([1.0, 0.0, -0.5], [1.1, 0.1, -0.6], [0.9, 0.2, -0.4])]
}

/// The token after all passes in chunks of `size`.
fn read(figure: &Distillation, row: &Row, size: usize) -> DistilToken {
    let mut token = figure.start();
    for pass in 0..figure.passes() {
        for from in (0..row[0].len()).step_by(size) {
            let to = (from + size).min(row[0].len());
            figure.read(pass, &mut token, &[&row[0][from..to], &row[1][from..to], &row[2][from..to]]);
        }
    }
    token
}

fn whole(figure: &Distillation, row: &Row) -> (f64, Vec<f64>) {
    figure.of_row(&[&row[0], &row[1], &row[2]])
}

fn config() -> AlignDistil {
    AlignDistil::default()
}

/// `log softmax` of logits over a temperature.
fn logps(logits: &[f64], tau: f64) -> Vec<f64> {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lse = logits.iter().map(|z| ((z - top) / tau).exp()).sum::<f64>().ln();
    logits.iter().map(|z| (z - top) / tau - lse).collect()
}

/// The divergence with its weight, written out over whole distributions; and the teacher's log-probabilities.
fn dense(config: &AlignDistil, row: &Row) -> (f64, Vec<f64>) {
    let [a, b] = [logps(&row[1], 1.0), logps(&row[2], 1.0)];
    let tv = 0.5 * a.iter().zip(&b).map(|(a, b)| (a.exp() - b.exp()).abs()).sum::<f64>();
    let s = match config.strength {
        Strength::Adaptive { ratio, floor } => ratio * tv + floor,
        Strength::Constant(s) => s,
    };
    let mixed: Vec<f64> = a
        .iter()
        .zip(&b)
        .map(|(a, b)| match config.teacher {
            Teacher::Extrapolated => a + s * (a - b),
            Teacher::Interpolated => b + s * (a - b),
        })
        .collect();
    let (p, q) = (logps(&row[0], config.temperature), logps(&mixed, config.temperature));
    let each = p.iter().zip(&q);
    let distance: f64 = match config.distance {
        Distance::ReverseKl => each.map(|(p, q)| p.exp() * (p - q)).sum(),
        Distance::ForwardKl => each.map(|(p, q)| q.exp() * (q - p)).sum(),
        Distance::TotalVariation => each.map(|(p, q)| 0.5 * (p.exp() - q.exp()).abs()).sum(),
    };
    (config.beta / s * distance, q)
}

#[test]
fn worked_example() {
    let figure = config().distillation().unwrap();
    let tokens = worked().map(|row| read(&figure, &row, 3));
    let each = |f: &dyn Fn(&DistilToken) -> f64| tokens.iter().map(f).collect::<Vec<f64>>();
    close(&each(&|t| t.total_variation()), &[0.32012290, 0.07967334], 6e-9);
    close(&each(&|t| t.strength()), &[6.40345791, 1.59446684], 6e-9);
    close(&each(&|t| figure.weight(t)), &[0.01561656, 0.06271689], 6e-9);
    close(&each(&|t| figure.distance(t)), &[4.84702805, 0.04480777], 6e-9);
    close(&each(&|t| figure.value(t)), &[0.07569392, 0.00281020], 6e-9);
    let teacher = |k: usize| figure.teacher_logps(&tokens[k], &worked()[k].each_ref().map(Vec::as_slice));
    let q = [0, 1].map(|k| teacher(k).iter().map(|q| q.exp()).collect::<Vec<f64>>());
    close(&q[0], &[0.99844093, 0.00000156, 0.00155750], 6e-9);
    close(&q[1], &[0.75496943, 0.17214501, 0.07288556], 6e-9);
    // The sheet's logits of the teacher are those of unnormalised models: their differences are the same.
    let z = [[7.20345791, -6.16311212, 0.74034579], [1.41889337, -0.05944668, -0.91889337]];
    for (k, z) in z.iter().enumerate() {
        let q = teacher(k);
        close(&[q[0] - q[1], q[0] - q[2]], &[z[0] - z[1], z[0] - z[2]], 6e-9);
    }
    let p = worked().map(|row| logps(&row[0], 1.0).iter().map(|p| p.exp()).collect::<Vec<f64>>());
    close(&p[0], &[0.39069383, 0.28943311, 0.31987306], 6e-9);
    close(&p[1], &[0.62853172, 0.23122390, 0.14024438], 6e-9);
    let mean = each(&|t| figure.value(t)).iter().sum::<f64>() / 2.0;
    close(&[mean], &[0.0392520599379826], 1e-15);
    let want = [[-0.01764891, 0.01645549, 0.00119341], [-0.00449577, 0.00181446, 0.00268131]];
    for (row, want) in worked().iter().zip(want) {
        let half: Vec<f64> = whole(&figure, row).1.iter().map(|g| g / 2.0).collect();
        close(&half, &want, 6e-9);
    }
}

#[test]
fn kls_are_those_of_whole_distributions_at_any_distance() {
    let kl = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
    for distance in [Distance::ReverseKl, Distance::ForwardKl, Distance::TotalVariation] {
        for temperature in [1.0, 1.7] {
            let options = config().with_distance(distance).with_temperature(temperature);
            let figure = options.distillation().unwrap();
            for row in worked() {
                let token = read(&figure, &row, 2);
                let (p, q) = (logps(&row[0], temperature), dense(&options, &row).1);
                close(&[token.kl_to_teacher()], &[kl(&p, &q)], 1e-12);
                let plain = row.each_ref().map(|z| logps(z, 1.0));
                close(&token.kl_to_models(), &[kl(&plain[0], &plain[1]), kl(&plain[0], &plain[2])], 1e-13);
            }
        }
    }
}

#[test]
fn invariant_1_models_that_agree_give_the_largest_weight_and_no_reward() {
    let figure = config().distillation().unwrap();
    let [student, model, _] = worked()[0].clone();
    let token = read(&figure, &[student.clone(), model.clone(), model.clone()], 2);
    assert_eq!((token.total_variation(), token.strength()), (0.0, 1e-3));
    close(&[figure.weight(&token)], &[100.0], 1e-13);
    // The teacher is the model itself.
    let (p, q) = (logps(&student, 1.0), logps(&model, 1.0));
    let kl: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
    close(&[figure.distance(&token)], &[kl], 1e-12);
}

#[test]
fn invariant_2_a_student_at_the_teacher_has_no_loss_and_no_gradient() {
    for distance in [Distance::ReverseKl, Distance::ForwardKl, Distance::TotalVariation] {
        let options = config().with_strength(Strength::Constant(2.0)).with_distance(distance);
        let figure = options.distillation().unwrap();
        for [_, a, b] in worked() {
            let student: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + 2.0 * (a - b) + 7.5).collect();
            let (value, slopes) = whole(&figure, &[student, a, b]);
            close(&[value], &[0.0], 1e-14);
            // The total variation has a kink there: rounding decides the signs.
            if distance != Distance::TotalVariation {
                close(&slopes, &[0.0; 3], 1e-14);
            }
        }
    }
}

#[test]
fn invariant_3_shifted_logits_change_nothing() {
    let figure = config().distillation().unwrap();
    for row in worked() {
        let shifted = [40.0, -300.0, 5.5].iter().zip(&row).map(|(by, z)| z.iter().map(|z| z + by).collect());
        let shifted: Vec<Vec<f64>> = shifted.collect();
        let (a, b) = (whole(&figure, &row), whole(&figure, &shifted.try_into().unwrap()));
        close(&[a.0], &[b.0], 1e-11);
        close(&a.1, &b.1, 1e-11);
    }
}

/// `Σ_v π_v [β₀ log(π_dpo/π_ref) − β log(π/π_ref)] = −β KL(π ‖ π*) + β log Σ_v e^{z*_v}`, `z*` from log-probabilities.
#[test]
fn invariant_4_theorem_1_holds_at_each_token() {
    let (beta, beta0) = (0.05, 0.1);
    let strength = Strength::Constant(beta0 / beta);
    let figure = config().with_teacher(Teacher::Interpolated).with_strength(strength).distillation().unwrap();
    let mut rng = Rng(4);
    for _ in 0..20 {
        let row: Row = [0; 3].map(|_| rng.reals(7, -3.0, 3.0));
        let [p, dpo, reference] = [0, 1, 2].map(|k| logps(&row[k], 1.0));
        let reward: f64 =
            (0..7).map(|v| p[v].exp() * (beta0 * (dpo[v] - reference[v]) - beta * (p[v] - reference[v]))).sum();
        let star: Vec<f64> = (0..7).map(|v| reference[v] + beta0 / beta * (dpo[v] - reference[v])).collect();
        let free = star.iter().map(|z| z.exp()).sum::<f64>().ln();
        // The factor of the divergence is β₀ / s = β.
        close(&[whole(&figure, &row).0], &[beta * free - reward], 1e-12);
    }
}

#[test]
fn invariant_5_constant_strengths_are_adaptive_ones_without_a_ratio() {
    let adaptive = config().with_strength(Strength::Adaptive { ratio: 0.0, floor: 1.7 }).distillation().unwrap();
    let constant = config().with_strength(Strength::Constant(1.7)).distillation().unwrap();
    for row in worked() {
        assert_eq!(whole(&adaptive, &row), whole(&constant, &row));
        assert_eq!(figure_strength(&constant, &row), 1.7);
    }
}

fn figure_strength(figure: &Distillation, row: &Row) -> f64 {
    read(figure, row, 2).strength()
}

/// With `r = log(π_a/π_b)`: the teacher earns at least as much as the favoured model, the teacher of swapped models at most as
/// much as the other.
#[test]
fn invariant_9_teachers_raise_the_contrastive_reward() {
    let mut rng = Rng(8);
    for _ in 0..50 {
        let [a, b] = [0; 2].map(|_| rng.reals(6, -2.0, 2.0));
        let (la, lb) = (logps(&a, 1.0), logps(&b, 1.0));
        let earns = |q: &[f64]| (0..6).map(|v| q[v].exp() * (la[v] - lb[v])).sum::<f64>();
        let teacher = dense(&config(), &[a.clone(), a.clone(), b.clone()]).1;
        let swapped = dense(&config(), &[a.clone(), b.clone(), a.clone()]).1;
        assert!(earns(&teacher) >= earns(&la) - 1e-12 && earns(&swapped) <= earns(&lb) + 1e-12);
        // Strength is the same either way, and what a student earns is reported.
        let figure = config().distillation().unwrap();
        let (one, two) = (read(&figure, &[a.clone(), a.clone(), b.clone()], 4), read(&figure, &[a.clone(), b, a], 4));
        close(&[one.strength()], &[two.strength()], 1e-14);
        close(&[one.contrast()], &[earns(&la)], 1e-12);
    }
}

fn any_config() -> impl Strategy<Value = AlignDistil> {
    let strength = prop_oneof![
        (0.1f64..30.0).prop_map(|ratio| Strength::Adaptive { ratio, floor: 1e-3 }),
        (0.1f64..5.0).prop_map(Strength::Constant),
    ];
    let distance = prop::sample::select(vec![Distance::ReverseKl, Distance::ForwardKl, Distance::TotalVariation]);
    let teacher = prop::sample::select(vec![Teacher::Extrapolated, Teacher::Interpolated]);
    let tau = prop::sample::select(vec![1.0, 0.5, 3.0]);
    (strength, distance, teacher, tau).prop_map(|(strength, distance, teacher, tau)| {
        config().with_strength(strength).with_distance(distance).with_teacher(teacher).with_temperature(tau)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn invariants_6_7_8_hold_and_chunks_agree_with_a_dense_computation(config in any_config(), vocab in 1usize..40, size in 1usize..17,
            spread in prop::sample::select(vec![0.1, 3.0, 30.0]), seed in any::<u64>()) {
        let mut rng = Rng(seed);
        let row: Row = [0; 3].map(|_| rng.reals(vocab, -spread, spread));
        let figure = config.distillation().unwrap();
        let (value, slopes) = whole(&figure, &row);
        let want = dense(&config, &row).0;
        // Terms as large as the teacher's logits cancel.
        let scale = want.abs().max(1.0) * spread.max(1.0) * 30.0;
        prop_assert!((value - want).abs() <= 1e-13 * scale, "{value}, not {want}");
        let token = read(&figure, &row, size);
        prop_assert!((figure.value(&token) - value).abs() <= 1e-13 * scale);
        prop_assert!(value >= -1e-12 * scale, "{value} is negative");
        prop_assert!(slopes.iter().sum::<f64>().abs() <= 1e-12 * scale, "gradients sum to 0");
        if let Strength::Adaptive { ratio, floor } = config.strength {
            prop_assert!(token.strength() >= floor && token.strength() <= ratio + floor + 1e-12);
        }
        prop_assert!((figure.weight(&token) * token.strength() - 0.1).abs() < 1e-15);
        // So does the teacher.
        let (q, want) = (figure.teacher_logps(&token, &[&row[0], &row[1], &row[2]]), dense(&config, &row).1);
        for (a, b) in q.iter().zip(&want) {
            prop_assert!((a - b).abs() <= 1e-13 * scale.max(b.abs()), "{a}, not {b}");
        }
        // Slopes of a chunk need the token alone.
        let at = size.min(vocab);
        let mut part = vec![0.0; at];
        figure.slopes(&token, &[&row[0][..at], &row[1][..at], &row[2][..at]], &mut part);
        for (a, b) in part.iter().zip(&slopes) {
            prop_assert!((a - b).abs() <= 1e-12 * scale);
        }
    }

    #[test]
    fn invariant_7_gradients_by_differences(config in any_config(), vocab in 1usize..9,
            spread in prop::sample::select(vec![0.3, 3.0, 12.0, 40.0]), seed in any::<u64>()) {
        let mut rng = Rng(seed);
        let row: Row = [0; 3].map(|_| rng.reals(vocab, -spread, spread));
        let figure = config.distillation().unwrap();
        let slopes = whole(&figure, &row).1;
        let h = 1e-5;
        for v in 0..vocab {
            let at = |by: f64| {
                let mut moved = row.clone();
                moved[0][v] += by;
                whole(&figure, &moved).0
            };
            let (up, here, down) = (at(h), at(0.0), at(-h));
            let want = (up - down) / (2.0 * h);
            let noise = 1e-14 * 100.0 * spread.max(1.0) * here.abs().max(1.0) / h;
            // At a kink of the total variation the two sides disagree.
            let kink = ((up - here) - (here - down)).abs() / h;
            if config.distance == Distance::TotalVariation && kink > 0.01 * want.abs().max(1e-3) + noise {
                continue;
            }
            prop_assert!((slopes[v] - want).abs() <= 1e-5 * want.abs() + 1e-7 + noise, "{v}: {}, not {want}", slopes[v]);
        }
    }
}

#[test]
fn extreme_logits_give_finite_figures() {
    for distance in [Distance::ReverseKl, Distance::ForwardKl, Distance::TotalVariation] {
        let figure = config().with_distance(distance).distillation().unwrap();
        let rows: [Row; 3] = [
            [vec![1e4, -1e4], vec![-1e4, 1e4], vec![1e4, -1e4]],
            [vec![0.0, 0.0], vec![1e4, -1e4], vec![1e4, -1e4]],
            [vec![3.0], vec![-2.0], vec![1e5]],
        ];
        for row in rows {
            let (value, slopes) = whole(&figure, &row);
            assert!(value.is_finite() && slopes.iter().all(|s| s.is_finite()), "{distance:?} {row:?}: {value} {slopes:?}");
        }
    }
}

#[test]
fn options_are_checked_and_read_from_files() {
    let text = "method = 'aligndistil'\nstrength = { constant = 2.0 }\ndistance = 'forward_kl'\nteacher = 'interpolated'";
    let credit: Credit = toml::from_str(text).unwrap();
    let want = config()
        .with_strength(Strength::Constant(2.0))
        .with_distance(Distance::ForwardKl)
        .with_teacher(Teacher::Interpolated);
    assert_eq!(credit, want.into());
    let adaptive: Credit =
        toml::from_str("method = 'aligndistil'\nstrength = { adaptive = { ratio = 5.0, floor = 0.01 } }").unwrap();
    assert_eq!(adaptive, config().with_strength(Strength::Adaptive { ratio: 5.0, floor: 0.01 }).into());
    let fails = |strength| config().with_strength(strength).check().unwrap_err().to_string();
    assert_eq!(fails(Strength::Constant(0.0)), "aligndistil: `strength` is 0; it must be positive and finite");
    let floor = fails(Strength::Adaptive { ratio: 1.0, floor: 0.0 });
    assert_eq!(floor, "aligndistil: `strength` is 0; it must be positive and finite in `floor`");
    assert!(config().with_temperature(-1.0).distillation().is_err());
}

#[test]
fn an_empty_completion_has_no_loss() {
    use dfdx::prelude::*;
    let sums = Cpu::default().tensor([0.0_f64, 3.0]);
    let terms = aligndistil(TokenSums::new(sums.leaky_trace(), &[0, 6]).unwrap(), &config()).unwrap();
    assert_eq!((terms.values(), terms.weights.clone()), (vec![0.0, 0.5], vec![1.0, 1.0]));
    assert_eq!(terms.mean().unwrap().backward().get(&sums).array()[1], 1.0 / 12.0);
    // Summed instead.
    let config = config().with_normalization(Normalization::Sum);
    let terms = aligndistil(TokenSums::new(sums.leaky_trace(), &[0, 6]).unwrap(), &config).unwrap();
    assert_eq!((terms.values(), terms.diagnostics.get("divergence").unwrap()), (vec![0.0, 3.0], [0.0, 0.5].as_slice()));
    assert_eq!(terms.mean().unwrap().backward().get(&sums).array(), [0.5; 2]);
}
