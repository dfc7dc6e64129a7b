//! Distillation: the loss of whole distributions, splits, resume, both policies.
use super::online::{environment, prompts};
use super::{model, samples, weights};
use dfdx::prelude::*;
use tropism_core::VocabularyFigure;
use tropism_credit::{AlignDistil, Alignment};
use tropism_data::tokens::TokenSample;
use tropism_ops::{Scalar, Tree, data};
use tropism_trainer::*;

fn stage() -> Stage<DistilOptions> {
    let options = DistilOptions::new(AlignDistil::default(), "dpo", "reverse");
    Stage { batch_size: 6, ..Stage::of("distil", options, 1e-2) }
}

fn on_policy() -> Stage<DistilOptions> {
    let mut stage = Stage { batch_size: 4, epochs: 100, max_steps: Some(4), ..stage() };
    stage.objective.rollout = Some(RolloutOptions { group: 2, max_new_tokens: 8, ..RolloutOptions::default() });
    stage
}

fn rows(n: usize) -> Vec<TokenSample> {
    let Rows::Samples(rows) = samples(n) else { unreachable!() };
    rows
}

fn trained<E: Scalar>(stage: &Stage<DistilOptions>, source: DistilSource) -> (Vec<E>, Vec<StepMetrics>)
where
    Cpu: Device<E>,
{
    let mut run = DistilRun::new(stage, source, model::<E>(1), [model(2), model(3)], 3).unwrap();
    let mut seen = vec![];
    while let Some(m) = run.next_step().unwrap() {
        seen.push(m);
    }
    (weights(run.policy()), seen)
}

/// Mean over completions of the mean over their tokens of the divergence, from whole rows of logits.
fn by_hand(rows: &[TokenSample], first: impl Fn(&TokenSample) -> std::ops::Range<usize>) -> f64 {
    let figure = AlignDistil::default().distillation().unwrap();
    let models = [model::<f64>(1), model(2), model(3)];
    let of = |row: &TokenSample| {
        let ids: Vec<usize> = row.prompt.iter().chain(&row.completion).map(|t| *t as usize).collect();
        let at: Vec<usize> = first(row).collect();
        let tree = Tree::sequences(&[ids.len()]).unwrap();
        let logits: Vec<Vec<f64>> = models.iter().map(|m| data(&m.logits(&ids, &tree, &at).unwrap()).to_vec()).collect();
        let vocab = logits[0].len() / at.len();
        let token = |i: usize| {
            let parts: Vec<&[f64]> = logits.iter().map(|l| &l[i * vocab..(i + 1) * vocab]).collect();
            figure.of_row(&parts).0
        };
        (0..at.len()).map(token).sum::<f64>() / at.len() as f64
    };
    rows.iter().map(of).sum::<f64>() / rows.len() as f64
}

#[test]
fn the_loss_is_that_of_the_logits_that_predict_the_completion() {
    let all = rows(6);
    let (_, seen) = trained::<f64>(&stage(), DistilSource::Rows(&all));
    let want = by_hand(&all, |r| r.prompt.len() - 1..r.prompt.len() + r.completion.len() - 1);
    assert!((seen[0].loss - want).abs() < 1e-10, "{} {want}", seen[0].loss);
    // as the released code takes them
    let mut shifted = stage();
    shifted.objective.alignment = Alignment::ReleasedOffPolicy;
    let (_, seen) = trained::<f64>(&shifted, DistilSource::Rows(&all));
    let want = by_hand(&all, |r| r.prompt.len()..r.prompt.len() + r.completion.len());
    assert!((seen[0].loss - want).abs() < 1e-10, "{} {want}", seen[0].loss);
}

/// Log-probabilities of a row of logits.
fn logps(logits: &[f64]) -> Vec<f64> {
    let sum = logits.iter().map(|z| z.exp()).sum::<f64>().ln();
    logits.iter().map(|z| z - sum).collect()
}

#[test]
fn a_step_tells_the_kl_to_the_teacher_and_to_its_models() {
    let all = rows(6);
    let mut stage = stage();
    stage.objective.loss = AlignDistil::default().with_strength(tropism_credit::Strength::Constant(0.5));
    let models = [model::<f64>(1), model(2), model(3)];
    let (mut sums, mut tokens) = ([0.0; 3], 0.0);
    for row in &all {
        let ids: Vec<usize> = row.prompt.iter().chain(&row.completion).map(|t| *t as usize).collect();
        let at: Vec<usize> = (row.prompt.len() - 1..ids.len() - 1).collect();
        let tree = Tree::sequences(&[ids.len()]).unwrap();
        let logits = models.each_ref().map(|m| data(&m.logits(&ids, &tree, &at).unwrap()).to_vec());
        let vocab = logits[0].len() / at.len();
        for i in 0..at.len() {
            let [p, a, b] = logits.each_ref().map(|l| logps(&l[i * vocab..(i + 1) * vocab]));
            let mixed: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + 0.5 * (a - b)).collect();
            let kl = |q: &[f64]| p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
            sums.iter_mut().zip([kl(&logps(&mixed)), kl(&a), kl(&b)]).for_each(|(s, k)| *s += k);
            tokens += 1.0;
        }
    }
    for micro_batch_tokens in [100_000, 40] {
        let (_, seen) = trained::<f64>(&Stage { micro_batch_tokens, ..stage.clone() }, DistilSource::Rows(&all));
        for (name, sum) in ["kl/teacher", "kl/favoured", "kl/other"].into_iter().zip(sums) {
            let (found, want) = (seen[0].figures[name].as_f64().unwrap(), sum / tokens);
            assert!((found - want).abs() < 1e-10 && want > 0.0, "{name}: {found} {want}");
        }
    }
}

#[test]
fn a_student_that_is_its_teacher_has_nothing_to_learn_and_another_comes_nearer() {
    let all = rows(6);
    let same = [model::<f64>(1), model(1)];
    let short = stage();
    let mut run = DistilRun::new(&short, DistilSource::Rows(&all), model(1), same, 3).unwrap();
    let m = run.next_step().unwrap().unwrap();
    let figure = |m: &StepMetrics, name: &str| m.figures[name].as_f64().unwrap();
    assert!(m.loss.abs() < 1e-9 && m.grad_norm < 1e-6, "{m:?}");
    assert!((figure(&m, "strength") - 1e-3).abs() < 1e-12 && figure(&m, "total_variation").abs() < 1e-12);
    let long = Stage { epochs: 60, ..stage() };
    let (_, seen) = trained::<f32>(&long, DistilSource::Rows(&all));
    let (first, last) = (&seen[0], seen.last().unwrap());
    assert!(figure(last, "teacher_distance") < 0.5 * figure(first, "teacher_distance"), "{first:?} {last:?}");
    assert!(figure(last, "expected_reward") > figure(first, "expected_reward"));
}

#[test]
fn any_split_into_micro_batches_gives_the_same_update() {
    let (all, asked, environment) = (rows(13), prompts(7), environment());
    for (stage, source) in [(stage(), DistilSource::Rows(&all)), (on_policy(), DistilSource::Prompts(&asked, &environment))]
    {
        let (want, a) = trained::<f64>(&Stage { micro_batch_tokens: 100_000, ..stage.clone() }, source);
        for tokens in [1, 40] {
            let (split, b) = trained::<f64>(&Stage { micro_batch_tokens: tokens, ..stage.clone() }, source);
            let worst = want.iter().zip(&split).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-10, "at {tokens} tokens: {worst}");
            assert!(a.iter().zip(&b).all(|(x, y)| (x.loss - y.loss).abs() < 1e-10));
        }
    }
}

/// Runs a stage in one go, or stopped after `stop` steps and restored: weights, and losses.
fn bits(stage: &Stage<DistilOptions>, source: DistilSource, stop: Option<usize>) -> (Vec<f32>, Vec<f64>) {
    let dir = tempfile::tempdir().unwrap();
    let teachers = || [model(2), model(3)];
    let mut run = DistilRun::new(stage, source, model(1), teachers(), 3).unwrap();
    let mut losses = vec![];
    if let Some(stop) = stop {
        (0..stop).for_each(|_| losses.push(run.next_step().unwrap().unwrap().loss));
        run.save(dir.path().join("c").as_path(), 7).unwrap();
        run.next_step().unwrap();
        let (restored, bytes) = DistilRun::restore(stage, source, teachers(), &dir.path().join("c")).unwrap();
        assert_eq!((restored.done(), bytes), (stop, 7));
        run = restored;
    }
    while let Some(m) = run.next_step().unwrap() {
        losses.push(m.loss);
    }
    (weights(run.policy()), losses)
}

#[test]
fn a_restored_run_makes_the_same_bits() {
    let (all, asked, environment) = (rows(14), prompts(7), environment());
    for (stage, source) in [(stage(), DistilSource::Rows(&all)), (on_policy(), DistilSource::Prompts(&asked, &environment))]
    {
        let want = bits(&stage, source, None);
        for stop in [1, 2] {
            assert!(bits(&stage, source, Some(stop)) == want, "after a stop at {stop}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (all, asked, environment) = (rows(3), prompts(3), environment());
    let refusal = |stage: &Stage<DistilOptions>, source: DistilSource| {
        let teachers = [model::<f32>(2), model(3)];
        DistilRun::new(stage, source, model(1), teachers, 3).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refusal(&stage(), DistilSource::Rows(&[])).contains("has no completions or prompts"));
    assert!(refusal(&on_policy(), DistilSource::Rows(&all)).contains("`rollout`"));
    assert!(refusal(&stage(), DistilSource::Prompts(&asked, &environment)).contains("`rollout`"));
}
