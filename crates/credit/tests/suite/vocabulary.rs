//! Divergences over the vocabulary, chunk by chunk in `tropism-ops`, against dense computations of the same.

use crate::common::close;
use crate::common::plain::Rng;
use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_core::VocabularyFigure;
use tropism_credit::*;
use tropism_ops::{Frozen, FrozenFormat, OtherHead, Precision, vocabulary_figure, vocabulary_figure_frozen};

type Matrix<E> = Tensor<(usize, usize), E, Cpu>;

fn matrix<E: Dtype>(rows: usize, columns: usize, size: f64, rng: &mut Rng) -> Matrix<E>
where
    Cpu: Device<E>,
{
    let cells = rng.reals(rows * columns, -size, size).into_iter().map(|v| E::from_f64(v).unwrap()).collect();
    Cpu::default().tensor_from_vec(cells, (rows, columns))
}

/// Student, favoured and other model: hidden states and heads of three widths.
struct Models<E: Dtype> {
    hidden: [Matrix<E>; 3],
    weights: [Matrix<E>; 3],
    limit: Option<f64>,
}

impl<E: tropism_ops::Scalar> Models<E>
where
    Cpu: Device<E>,
{
    fn random(tokens: usize, vocab: usize, size: f64, limit: Option<f64>, rng: &mut Rng) -> Self {
        let widths = [3, 2, 4];
        let hidden = widths.map(|d| matrix(tokens, d, size, rng));
        Self { hidden, weights: widths.map(|d| matrix(vocab, d, size, rng)), limit }
    }

    fn others(&self, n: usize) -> Vec<OtherHead<E>> {
        let head = |k: usize| OtherHead::new(self.hidden[k].clone(), &self.weights[k], self.limit, Precision::Full);
        (1..n).map(|k| head(k).unwrap()).collect()
    }

    /// Logits of one token under model `k`.
    fn logits(&self, k: usize, token: usize) -> Vec<f64> {
        let (h, w) = (self.hidden[k].as_vec(), self.weights[k].as_vec());
        let d = self.hidden[k].shape().1;
        let dot = |v: usize| (0..d).map(|j| h[token * d + j].f() * w[v * d + j].f()).sum::<f64>();
        let capped = |z: f64| self.limit.map_or(z, |l| l * (z / l).tanh());
        (0..self.weights[k].shape().0).map(|v| capped(dot(v))).collect()
    }

    /// Figures of all tokens from whole distributions, and the gradient of their weighted sum in the student's states and head.
    fn dense(&self, figure: &impl VocabularyFigure, weigh: impl Fn(usize) -> f64) -> [Vec<f64>; 3] {
        let ((tokens, d), vocab) = (*self.hidden[0].shape(), self.weights[0].shape().0);
        let (h, w) = (self.hidden[0].as_vec(), self.weights[0].as_vec());
        let (mut values, mut dh, mut dw) = (vec![], vec![0.0; tokens * d], vec![0.0; vocab * d]);
        for t in 0..tokens {
            let logits: Vec<Vec<f64>> = (0..figure.models()).map(|k| self.logits(k, t)).collect();
            let (value, slopes) = figure.of_row(&logits.iter().map(Vec::as_slice).collect::<Vec<_>>());
            values.push(value);
            for v in 0..vocab {
                let uncapped = self.limit.map_or(1.0, |l| 1.0 - (logits[0][v] / l).powi(2));
                let pull = weigh(t) * slopes[v] * uncapped;
                for j in 0..d {
                    dh[t * d + j] += pull * w[v * d + j].f();
                    dw[v * d + j] += pull * h[t * d + j].f();
                }
            }
        }
        [values, dh, dw]
    }

    /// The same through the operation.
    fn chunked(&self, figure: impl VocabularyFigure, weigh: impl Fn(usize) -> f64) -> [Vec<f64>; 3] {
        let others = self.others(figure.models());
        let found =
            vocabulary_figure(self.hidden[0].leaky_trace(), &self.weights[0], self.limit, Precision::Full, &others, figure);
        let values = found.unwrap().values;
        let weights: Vec<E> = (0..values.shape().0).map(|t| E::c(weigh(t))).collect();
        let weights = Cpu::default().tensor_from_vec(weights, *values.shape());
        let plain = values.as_vec();
        let grads = (values * weights).sum().backward();
        let f64s = |v: Vec<E>| v.into_iter().map(|x| x.f()).collect::<Vec<f64>>();
        [f64s(plain), f64s(grads.get(&self.hidden[0]).as_vec()), f64s(grads.get(&self.weights[0]).as_vec())]
    }
}

fn weigh(token: usize) -> f64 {
    [0.7, -1.3, 0.0, 2.0][token % 4]
}

/// All forms of the divergence.
fn forms() -> Vec<AlignDistil> {
    let distances = [Distance::ReverseKl, Distance::ForwardKl, Distance::TotalVariation];
    let strengths = [Strength::default(), Strength::Adaptive { ratio: 2.0, floor: 0.01 }, Strength::Constant(1.5)];
    let teachers = [Teacher::Extrapolated, Teacher::Interpolated];
    let all = distances.into_iter().flat_map(|d| strengths.map(|s| (d, s))).flat_map(|(d, s)| teachers.map(|t| (d, s, t)));
    let config = |(d, s, t)| AlignDistil::default().with_distance(d).with_strength(s).with_teacher(t);
    all.map(config).collect()
}

fn agree(found: &[Vec<f64>; 3], want: &[Vec<f64>; 3], tolerance: f64) {
    for (found, want) in found.iter().zip(want) {
        let scale = want.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
        let apart = found.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(found.len() == want.len() && apart <= tolerance * scale, "{apart} apart: {found:?}, not {want:?}");
    }
}

/// Vocabularies below, at and above the size of a chunk; one token; soft caps.
#[test]
fn chunked_divergences_are_the_dense_ones() {
    let mut rng = Rng(21);
    for (tokens, vocab, limit) in [(1, 1, None), (3, 7, Some(2.0)), (5, 1023, None), (9, 1024, Some(5.0)), (6, 2500, None)] {
        let models = Models::<f64>::random(tokens, vocab, 1.2, limit, &mut rng);
        for config in forms() {
            let figure = config.distillation().unwrap();
            agree(&models.chunked(figure.clone(), weigh), &models.dense(&figure, weigh), 1e-10);
        }
        agree(&models.chunked(PositionKl, weigh), &models.dense(&PositionKl, weigh), 1e-11);
    }
}

#[test]
fn single_precision_agrees() {
    let (one, two) =
        (Models::<f32>::random(4, 1500, 1.0, None, &mut Rng(5)), Models::<f64>::random(4, 1500, 1.0, None, &mut Rng(5)));
    for config in forms().into_iter().filter(|c| c.distance != Distance::TotalVariation) {
        let figure = config.distillation().unwrap();
        agree(&one.chunked(figure.clone(), weigh), &two.dense(&figure, weigh), 2e-3);
    }
    agree(&one.chunked(PositionKl, weigh), &two.dense(&PositionKl, weigh), 1e-5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// The gradient with respect to the student's hidden states, by central differences of the chunked op itself.
    #[test]
    fn gradients_in_hidden_states_by_differences(form in 0usize..18, tokens in 1usize..4, vocab in 1usize..30,
            size in prop::sample::select(vec![0.3, 1.0, 3.0]), seed in any::<u64>(), cap in prop::option::of(1.0f64..9.0)) {
        let figure = forms()[form].distillation().unwrap();
        let smooth = forms()[form].distance != Distance::TotalVariation;
        let models = Models::<f64>::random(tokens, vocab, size, cap, &mut Rng(seed));
        let sum = |m: &Models<f64>| {
            let values = &m.chunked(figure.clone(), weigh)[0];
            values.iter().enumerate().map(|(t, v)| weigh(t) * v).sum::<f64>()
        };
        let [values, dh, dw] = models.chunked(figure.clone(), weigh);
        let h = 1e-5;
        for (k, grads) in [dh, dw].iter().enumerate() {
            for i in (0..grads.len()).step_by(3) {
                let at = |by: f64| {
                    let mut moved = Models { hidden: models.hidden.clone(), weights: models.weights.clone(), limit: cap };
                    let to = if k == 0 { &mut moved.hidden[0] } else { &mut moved.weights[0] };
                    let (mut cells, shape) = (to.as_vec(), *to.shape());
                    cells[i] += by;
                    *to = Cpu::default().tensor_from_vec(cells, shape);
                    sum(&moved)
                };
                let (up, here, down) = (at(h), at(0.0), at(-h));
                let want = (up - down) / (2.0 * h);
                let noise = 1e-12 * values.iter().fold(1.0, |m: f64, v| m.max(v.abs())) / h;
                let kink = ((up - here) - (here - down)).abs() / h;
                if !smooth && kink > 0.01 * want.abs().max(1e-3) + noise {
                    continue;
                }
                prop_assert!((grads[i] - want).abs() <= 1e-5 * want.abs() + 1e-6 + noise, "{k} {i}: {}, not {want}", grads[i]);
            }
        }
    }
}

/// From hidden states through the chunked op and sums over completions to the loss and back.
#[test]
fn aligndistil_reaches_the_students_states() {
    let models = Models::<f64>::random(5, 40, 1.0, None, &mut Rng(3));
    let (config, dev) = (AlignDistil::default(), Cpu::default());
    let figure = config.distillation().unwrap();
    let found = vocabulary_figure(
        models.hidden[0].leaky_trace(),
        &models.weights[0],
        None,
        Precision::Full,
        &models.others(3),
        figure.clone(),
    )
    .unwrap();
    // Completions of two and three tokens.
    let sums: Tensor<(usize,), f64, Cpu, _> = tropism_ops::range_sums(found.values, &[0..2, 2..5]).unwrap();
    let terms = aligndistil(TokenSums::new(sums, &[2, 3]).unwrap(), &config).unwrap();
    let loss = terms.mean().unwrap();
    let share = |t: usize| if t < 2 { 0.25 } else { 1.0 / 6.0 };
    let [values, dh, _] = models.dense(&figure, share);
    let want: f64 = values.iter().enumerate().map(|(t, v)| share(t) * v).sum();
    close(&[loss.array()], &[want], 1e-12);
    close(&loss.backward().get(&models.hidden[0]).as_vec(), &dh, 1e-11);
    assert_eq!(found.tokens.len(), 5);
    assert!(found.tokens.iter().all(|t| t.strength() >= 1e-3 && t.total_variation() <= 1.0));
    drop(dev);
}

#[test]
fn packed_heads_give_what_their_numbers_give() {
    let models = Models::<f64>::random(4, 1100, 1.0, Some(4.0), &mut Rng(13));
    let packed: Vec<Frozen<usize, usize>> = models.weights.iter().map(|w| Frozen::new(w, FrozenFormat::Bf16)).collect();
    let ids: Vec<usize> = (0..1100).collect();
    let weights = [0, 1, 2].map(|k| tropism_ops::embed_frozen::<_, _, f64>(&packed[k], &ids, 1.0).unwrap());
    let rounded = Models { hidden: models.hidden.clone(), weights, limit: models.limit };
    let others: Vec<OtherHead<f64>> =
        (1..3).map(|k| OtherHead::frozen(models.hidden[k].clone(), &packed[k], models.limit).unwrap()).collect();
    let figure = AlignDistil::default().distillation().unwrap();
    let hidden = models.hidden[0].clone();
    let found = vocabulary_figure_frozen(hidden.leaky_trace(), &packed[0], models.limit, &others, figure.clone()).unwrap();
    let [values, dh, _] = rounded.dense(&figure, |_| 1.0);
    close(&found.values.as_vec(), &values, 1e-10);
    close(&found.values.sum().backward().get(&hidden).as_vec(), &dh, 1e-10);
}

#[test]
fn models_that_do_not_belong_together_are_refused() {
    let models = Models::<f64>::random(3, 8, 1.0, None, &mut Rng(1));
    let figure = || AlignDistil::default().distillation().unwrap();
    let run = |others: &[OtherHead<f64>]| {
        vocabulary_figure(models.hidden[0].clone(), &models.weights[0], None, Precision::Full, others, figure())
            .err()
            .unwrap()
            .to_string()
    };
    assert_eq!(run(&models.others(2)), "vocabulary_figure: number of models is 2, expected 3");
    let larger = Models::<f64>::random(3, 9, 1.0, None, &mut Rng(1));
    assert_eq!(run(&larger.others(3)), "vocabulary_figure: vocabulary of another model is 9, expected 8");
    let longer = Models::<f64>::random(4, 8, 1.0, None, &mut Rng(1));
    assert_eq!(run(&longer.others(3)), "vocabulary_figure: tokens of another model is 4, expected 3");
}
