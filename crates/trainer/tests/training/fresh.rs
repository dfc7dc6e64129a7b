//! Stages that make their rows of their own completions: learning, resume, refusals.
use super::online::{environment, length, prompts};
use super::{model, weights};
use tropism_lm::Loaded;
use tropism_objectives::{Dno, Dpo, Kto, MahDpo, Objective, Selm, Sft, Srpo, Tpo, Xpo};
use tropism_trainer::*;

fn stage(objective: impl Into<Objective>) -> Stage<FreshOptions> {
    let mut options = FreshOptions::new(objective.into(), "length", length());
    (options.rollout.group, options.rollout.max_new_tokens) = (4, 8);
    let mut stage = Stage::of("fresh", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (6, 100, Some(4));
    stage
}

fn trained(stage: &Stage<FreshOptions>, n: usize) -> (Vec<f64>, Vec<StepMetrics>) {
    let (rows, start) = (prompts(n), model::<f64>(1));
    let reference = stage.objective.needs_reference().then(|| start.clone());
    let mut run = FreshRun::new(stage, &rows, start, reference, environment(), 3).unwrap();
    let mut seen = vec![];
    while let Some(m) = run.next_step().unwrap() {
        seen.push(m);
    }
    (weights(run.policy()), seen)
}

#[test]
fn every_kind_of_row_teaches_what_the_reward_asks_for() {
    let figure = |m: &StepMetrics, name: &str| m.figures[name].as_f64().unwrap();
    let losses: Vec<Objective> = vec![
        Dpo::default().into(),
        Dno::default().into(),
        Xpo::default().into(),
        Selm::default().with_beta(0.1).into(),
        MahDpo::default().into(),
        Kto::default().into(),
        Sft::default().into(),
    ];
    for loss in losses {
        let mut stage = Stage { max_steps: Some(25), schedule: Schedule::Constant, ..stage(loss) };
        stage.objective.reference_every = if stage.objective.needs_reference() { 10 } else { 0 };
        let (_, seen) = trained(&stage, 13);
        let mean = |part: &[StepMetrics]| part.iter().map(|m| figure(m, "reward")).sum::<f64>() / part.len() as f64;
        let (first, last) = (mean(&seen[..5]), mean(&seen[20..]));
        assert!(last > first + 0.03, "{}: {first} to {last}", stage.objective.objective.name());
        for name in ["rows", "rewards/length/mean", "completions/mean_length", "time/rollout", "time/update"] {
            assert!(figure(&seen[0], name).is_finite(), "{name}");
        }
    }
}

#[test]
fn a_restored_run_goes_on_to_the_same_bits_with_a_reference_that_moves() {
    let mut stage = stage(Dpo::default());
    stage.objective.reference_every = 2;
    let (want, seen) = trained(&stage, 13);
    for cut in 1..4 {
        let dir = tempfile::tempdir().unwrap();
        let (folder, rows) = (dir.path().join("checkpoint"), prompts(13));
        let start = model::<f64>(1);
        let mut run = FreshRun::new(&stage, &rows, start.clone(), Some(start.clone()), environment(), 3).unwrap();
        for _ in 0..cut {
            run.next_step().unwrap().unwrap();
        }
        run.save(&folder, 5).unwrap();
        let (mut run, bytes) = FreshRun::<Loaded, f64>::restore(&stage, &rows, Some(start), environment(), &folder).unwrap();
        assert_eq!((run.done(), bytes), (cut, 5));
        let mut rest = vec![];
        while let Some(m) = run.next_step().unwrap() {
            rest.push(m);
        }
        assert!(weights(run.policy()) == want, "after {cut}");
        for (mut a, mut b) in rest.into_iter().zip(seen[cut..].iter().cloned()) {
            for m in [&mut a, &mut b] {
                m.figures.retain(|k, _| !k.starts_with("time/"));
            }
            assert_eq!(a, b);
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let said = |stage: Stage<FreshOptions>| stage.check().unwrap_err().to_string();
    assert!(said(stage(Tpo::default())).contains("`objective` is tpo"));
    assert!(said(stage(Srpo::default())).contains("`objective` is srpo"));
    let with = |objective: Objective, change: fn(&mut FreshOptions)| {
        let mut stage = stage(objective);
        change(&mut stage.objective);
        said(stage)
    };
    assert!(with(Xpo::default().into(), |o| o.data_completions = true).contains("`data_completions` is set, but xpo"));
    assert!(with(Xpo::default().into(), |o| o.pairs.choose = Choose::All).contains("`pairs` is set, but rows of xpo"));
    assert!(with(Selm::default().into(), |o| o.pairs.choose = Choose::All).contains("`pairs` is set, but rows of selm"));
    assert!(with(Kto::default().into(), |o| o.pairs.margin = 0.1).contains("`pairs` is set, but rows of kto"));
    assert!(with(Dpo::default().into(), |o| o.pairs.margin = f64::NAN).contains("`pairs.margin` is NaN"));
    assert!(with(Dpo::default().into(), |o| o.pairs.margin = -1.0).contains("`pairs.margin` is -1"));
    let mut given = stage(Selm::default());
    given.objective.data_completions = true;
    given.objective.rollout.group = 1;
    given.check().unwrap();
    let bare = given.check_prompts(&prompts(3), &environment()).unwrap_err().to_string();
    assert!(
        bare.contains("`data_completions` is set, but the data have no completions for the prompt of prompts.jsonl row 1"),
        "{bare}"
    );
    for text in ["online_preference.data_stage = 1", "data_stage = 1"] {
        let stage = format!(
            "name = 'f'\nlearning_rate = 1e-4\n{text}\nonline_preference.objective = {{ method = 'dpo' }}\n\
             online_preference.rewards.a = {{ function = {{ type = 'exact' }} }}"
        );
        let found =
            toml::from_str::<AnyStage>(&stage).map_err(|e| e.to_string()).and_then(|s| s.check().map_err(|e| e.to_string()));
        assert!(found.unwrap_err().contains("data_stage"), "{text}");
    }
    let mut alone = stage(Dpo::default());
    alone.objective.rollout.group = 1;
    assert!(said(alone).contains("`rollout.group` is 1"));
    let mut best = stage(Sft::default());
    best.objective.best = 5;
    assert!(said(best).contains("`best` is 5"));
    let mut moving = stage(Sft::default());
    moving.objective.reference_every = 3;
    assert!(said(moving).contains("`reference_every`"));
    let kind = |key: &str, method: &str| {
        let text = format!(
            "name = 'f'\nlearning_rate = 1e-4\n[{key}]\nobjective = {{ method = '{method}' }}\n\
             rewards.a = {{ function = {{ type = 'exact' }} }}"
        );
        toml::from_str::<AnyStage>(&text).unwrap()
    };
    kind("online_preference", "dpo").check().unwrap();
    kind("rejection_sampling", "sft").check().unwrap();
    assert!(kind("online_preference", "sft").check().unwrap_err().to_string().contains("call it rejection_sampling"));
    assert!(kind("rejection_sampling", "dpo").check().unwrap_err().to_string().contains("call it online_preference"));
    for stage in [kind("online_preference", "kto"), kind("rejection_sampling", "sft")] {
        let back: AnyStage = toml::from_str(&toml::to_string(&stage).unwrap()).unwrap();
        assert_eq!(back, stage);
    }
}
