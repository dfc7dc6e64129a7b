//! The methods by name, options and their limits, rollouts that do not fit, groups that say nothing.

use dfdx::prelude::*;
use tropism_core::{CoreError, OptionError, ScoreTable, TokenLogps};
use tropism_policy_gradient::*;

type Table<T = NoneTape> = TokenLogps<Const<2>, Const<2>, f64, Cpu, T>;

fn logps(mask: &[bool; 4]) -> Table {
    TokenLogps::new(Cpu::default().tensor([[-1.0, -2.0], [-0.5, -0.25]]), mask).unwrap()
}

const MASK: [bool; 4] = [true, true, true, false];

fn rollout() -> Rollout<Const<2>, Const<2>, f64, Cpu> {
    Rollout::new(logps(&MASK))
}

fn table() -> ScoreTable<Const<2>, Const<2>, f64, Cpu> {
    ScoreTable::new(Cpu::default().tensor([[1.0, 2.0], [0.5, 0.25]]), &MASK).unwrap()
}

/// The rollout with one field.
fn with(field: Field, rollout: Rollout<Const<2>, Const<2>, f64, Cpu>) -> Rollout<Const<2>, Const<2>, f64, Cpu> {
    match field {
        Field::Advantages => rollout.with_advantages(&[1.0, -1.0]).unwrap(),
        Field::Old => rollout.with_old(logps(&MASK)).unwrap(),
        Field::Reference => rollout.with_reference(logps(&MASK)).unwrap(),
        Field::Sampler => rollout.with_sampler(logps(&MASK)).unwrap(),
        Field::Entropies => rollout.with_entropies(table()).unwrap(),
        Field::EntropyThreshold => rollout.with_entropy_threshold(0.5),
        Field::Critic => rollout.with_critic(Critic::new(table(), &[0.0; 4], &[0.0; 4]).unwrap()).unwrap(),
        Field::Rewards => rollout.with_rewards(&[1.0, 0.0]).unwrap(),
        Field::Groups => rollout.with_groups(Groups::new(&[0, 0]).unwrap()).unwrap(),
        Field::StepKl => rollout.with_step_kl(0.1),
        other => panic!("{other}"),
    }
}

const FIELDS: [Field; 10] = [
    Field::Advantages,
    Field::Old,
    Field::Reference,
    Field::Sampler,
    Field::Entropies,
    Field::EntropyThreshold,
    Field::Critic,
    Field::Rewards,
    Field::Groups,
    Field::StepKl,
];

/// Methods with options under which they read everything that they can.
fn methods() -> Vec<PolicyGradient> {
    let mut methods = PolicyGradient::defaults();
    let sampler = Some(SamplerCorrection::default());
    let all = Dapo::default().with_sampler(sampler).with_kl(KlPenalty::of(0.1)).with_top_entropy_quantile(0.5);
    methods.push(all.with_aggregation(Aggregation::GroupMean).into());
    methods.push(Grpo::default().with_entropy_coefficient(0.1).into());
    methods
}

#[test]
fn a_name_alone_gives_the_defaults() {
    for (name, want) in METHODS.iter().zip(PolicyGradient::defaults()) {
        assert_eq!(toml::from_str::<PolicyGradient>(&format!("method = '{name}'")).unwrap(), want);
        assert_eq!(want.name(), *name);
        want.check().unwrap();
    }
    assert_eq!(METHODS.len(), PolicyGradient::defaults().len());
}

#[test]
fn configurations_survive_toml_and_json() {
    for method in methods() {
        let toml = toml::to_string(&method).unwrap();
        assert_eq!(toml::from_str::<PolicyGradient>(&toml).unwrap(), method);
        let json = serde_json::to_string(&method).unwrap();
        assert_eq!(serde_json::from_str::<PolicyGradient>(&json).unwrap(), method);
    }
}

#[test]
fn listed_keys_are_the_keys_of_the_configuration() {
    for method in PolicyGradient::defaults() {
        let json = serde_json::to_value(&method).unwrap();
        let mut found: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        found.retain(|key| *key != "method");
        let mut listed = keys(method.name()).to_vec();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }
    assert!(keys("grpoo").is_empty());
}

#[test]
fn options_stand_beside_the_name() {
    let text = "method = 'grpo'\nepsilon_high = 0.28\naggregation = { constant = 512.0 }\nratio = 'sequence'\n\
                kl = { coefficient = 0.1, estimator = 'k1', weighting = 'ratio', clamp = 10.0 }\n\
                sampler = { level = 'sequence', out_of_bounds = 'mask', cap = 2.0, floor = 0.5 }";
    let want = Grpo::default()
        .with_epsilon_high(0.28)
        .with_aggregation(Aggregation::Constant(512.0))
        .with_ratio(RatioLevel::Sequence)
        .with_kl(KlPenalty { coefficient: 0.1, estimator: Estimator::K1, weighting: KlWeighting::Ratio, clamp: Some(10.0) })
        .with_sampler(Some(SamplerCorrection {
            level: CorrectionLevel::Sequence,
            out_of_bounds: OutOfBounds::Mask,
            cap: 2.0,
            floor: 0.5,
        }));
    assert_eq!(toml::from_str::<PolicyGradient>(text).unwrap(), want.into());
    let text = "method = 'ppo'\nvalue_clip = 'none'\nvalue_coefficient = 0.5";
    let want = Ppo::default().with_value_clip(ValueClip::None).with_value_coefficient(0.5);
    assert_eq!(toml::from_str::<PolicyGradient>(text).unwrap(), want.into());
}

#[test]
fn unknown_names_options_and_values_are_errors() {
    for (text, part) in [
        ("epsilon_low = 0.2", "method"),
        ("method = 'grpoo'", "grpoo"),
        ("method = 'grpo'\nepsilon = 0.2", "epsilon"),
        ("method = 'cispo'\nepsilon_low = 0.2", "epsilon_low"),
        ("method = 'grpo'\naggregation = 'mean'", "mean"),
        ("method = 'grpo'\nkl = { beta = 0.1 }", "beta"),
        ("method = 'sapo'\ndelta = 2.0", "delta"),
        ("method = 'drpo'\nscore = 'log_l'", "score"),
    ] {
        let error = toml::from_str::<PolicyGradient>(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn bad_values_are_named() {
    let bad: [(PolicyGradient, &str); 16] = [
        (Grpo::default().with_epsilon_low(1.5).into(), "epsilon_low"),
        (Grpo::default().with_epsilon_high(-0.1).into(), "epsilon_high"),
        (Dapo::default().with_delta(Some(0.0)).into(), "delta"),
        (DrGrpo::default().with_aggregation(Aggregation::Constant(0.0)).into(), "aggregation"),
        (Bnpo::default().with_kl(KlPenalty::of(-0.1)).into(), "kl"),
        (Bnpo::default().with_kl(KlPenalty { clamp: Some(0.0), ..KlPenalty::default() }).into(), "kl"),
        (Gmpo::default().with_kl(KlPenalty { weighting: KlWeighting::Ratio, ..KlPenalty::default() }).into(), "kl"),
        (
            Gspo::default().with_sampler(Some(SamplerCorrection { cap: 0.5, floor: 0.5, ..Default::default() })).into(),
            "sampler",
        ),
        (Gspo::default().with_top_entropy_quantile(1.5).into(), "top_entropy_quantile"),
        (Rloo::default().with_off_policy_mask_threshold(Some(-1.0)).into(), "off_policy_mask_threshold"),
        (Luspo::default().with_entropy_coefficient(f64::NAN).into(), "entropy_coefficient"),
        (Sapo::default().with_temperature_neg(0.0).into(), "temperature_neg"),
        (Vespo::default().with_k_pos(-1.0).into(), "k_pos"),
        (Ppo::default().with_value_clip(ValueClip::Range(0.0)).into(), "value_clip"),
        (Disco::default().with_beta(0.0).into(), "beta"),
        (Drpo::default().with_lambda(f64::INFINITY).into(), "lambda"),
    ];
    for (method, key) in bad {
        match method.check().unwrap_err() {
            PolicyGradientError::Option(OptionError::Value { method: name, key: found, .. })
            | PolicyGradientError::Option(OptionError::Problem { method: name, key: found, .. }) => {
                assert_eq!((name, found), (method.name(), key));
            }
            other => panic!("{other}"),
        }
        // The loss itself refuses them as well.
        assert!(matches!(method.loss(rollout()), Err(PolicyGradientError::Option(_))));
    }
    let message = Grpo::default().with_epsilon_low(-1.0).check().unwrap_err().to_string();
    assert_eq!(message, "grpo: `epsilon_low` is -1; it must be from 0 to 1");
}

#[test]
fn rollouts_must_have_what_is_read_and_nothing_else() {
    for method in methods() {
        let reads = method.reads();
        let needs: Vec<Field> = reads.iter().filter(|(_, n)| *n == Need::Required).map(|(f, _)| *f).collect();
        let full = || needs.iter().fold(rollout(), |r, &f| with(f, r));
        method.loss(full()).unwrap();
        for &field in &needs {
            let part = needs.iter().filter(|f| **f != field).fold(rollout(), |r, &f| with(f, r));
            let want = PolicyGradientError::Missing { method: method.name(), field };
            assert_eq!(method.loss(part).unwrap_err(), want);
        }
        for field in FIELDS {
            let found = method.loss(with(field, full()));
            match reads.iter().any(|(f, _)| *f == field) {
                true => drop(found.unwrap()),
                false => assert_eq!(found.unwrap_err(), PolicyGradientError::Unused { method: method.name(), field }),
            }
        }
    }
    let message = Grpo::default().loss(rollout()).unwrap_err().to_string();
    assert_eq!(message, "grpo reads advantages, which the rollout does not have; add it with `Rollout::with_advantages`");
}

#[test]
fn parts_of_a_rollout_must_belong_together() {
    let uneven = rollout().with_old(logps(&[true, true, true, true])).unwrap_err();
    assert_eq!(uneven, PolicyGradientError::UnevenMask { field: Field::Old, row: 1 });
    let size = |found: Result<_, PolicyGradientError>| {
        assert!(matches!(found.unwrap_err(), PolicyGradientError::Core(CoreError::SizeMismatch { .. })));
    };
    size(rollout().with_advantages(&[1.0; 3]));
    size(rollout().with_rewards(&[1.0]));
    size(rollout().with_kept(&[true; 4]));
    size(rollout().with_groups(Groups::new(&[0]).unwrap()));
    assert!(rollout().with_advantages(&[f64::NAN, 1.0]).is_err());
    assert!(rollout().with_advantages(&[1.0, 1.0, 1.0, f64::NAN]).is_ok());
    assert!(rollout().with_advantages(&[1.0, f64::NAN, 1.0, 1.0]).is_err());
    assert!(Critic::new(table(), &[f64::NAN, 0.0, 0.0, 0.0], &[0.0; 4]).is_err());
    assert!(Critic::new(table(), &[0.0, 0.0, 0.0, f64::NAN], &[0.0; 4]).is_ok());
}

#[test]
fn overflow_is_an_error_and_not_a_number_of_the_loss() {
    let dev = Cpu::default();
    let far = |values: [[f64; 2]; 1]| TokenLogps::new(dev.tensor(values), &[true, true]).unwrap();
    let of = |advantage: f64| {
        let rollout = Rollout::new(far([[-1.0, -1.0]])).with_old(far([[-1000.0, -1.0]])).unwrap();
        bnpo(rollout.with_advantages(&[advantage]).unwrap(), &Bnpo::default())
    };
    // The clipped product bounds a positive advantage; no advantage, no loss.
    assert_eq!(of(1.0).unwrap().values(), [-2.2]);
    assert_eq!(of(0.0).unwrap().values(), [0.0]);
    assert!(matches!(of(-1.0), Err(PolicyGradientError::Core(CoreError::NotFinite { row: 0, .. }))));
    let capped = Bnpo::default().with_delta(Some(3.0));
    let rollout = Rollout::new(far([[-1.0, -1.0]])).with_old(far([[-1000.0, -1.0]])).unwrap();
    assert_eq!(bnpo(rollout.with_advantages(&[-1.0]).unwrap(), &capped).unwrap().values(), [4.0]);
}

#[test]
fn groups_of_equal_rewards_follow_the_policy() {
    let (rewards, groups) = (RewardTable::single(&[1.0, 1.0, 0.0, 1.0]).unwrap(), Groups::new(&[0, 0, 1, 1]).unwrap());
    let of =
        |zero_variance| group_normalized(&rewards, &groups, &GroupNormalized::default().with_zero_variance(zero_variance));
    let zero = of(ZeroVariance::Zero).unwrap();
    assert_eq!((zero.kept.as_slice(), zero.zero_variance, zero.groups), ([true; 4].as_slice(), 1, 2));
    assert_eq!(zero.frac_reward_zero_std(), 0.5);
    let dropped = of(ZeroVariance::Drop).unwrap();
    assert_eq!(dropped.kept, [false, false, true, true]);
    assert_eq!(dropped.kept, dynamic_sampling(&rewards.sums(), &groups).unwrap().kept);
    let refused = of(ZeroVariance::Refuse).unwrap_err();
    assert!(matches!(refused, PolicyGradientError::Group { group: 0, .. }), "{refused}");
}

#[test]
fn unscored_rows_are_left_out() {
    let none = f64::NAN;
    let rewards = RewardTable::new(&[1.0, none, 0.0, 2.0, none, none, none, 1.0], &[1.0, 1.0]).unwrap();
    let groups = Groups::new(&[0, 0, 0, 1]).unwrap();
    let config = GroupNormalized::default().with_scale_rewards(ScaleRewards::None);
    let found = group_normalized(&rewards, &groups, &config).unwrap();
    assert_eq!(found.values, [-0.5, 0.5, 0.0, 0.0]);
    assert_eq!((found.unscored, found.zero_variance), (1, 1));
    assert_eq!(leave_one_out(&rewards, &[], &groups, &LeaveOneOut::default()).unwrap().values, [-1.0, 1.0, 0.0, 0.0]);
    assert!(RewardTable::single(&[f64::INFINITY]).is_err());
    assert!(RewardTable::new(&[1.0; 3], &[1.0, 1.0]).is_err());
}

#[test]
fn corrections_for_the_sampler() {
    let dev = Cpu::default();
    let one = |lp: [[f64; 3]; 1]| TokenLogps::new(dev.tensor(lp), &[true; 3]).unwrap();
    // Ratios of the old policy to the sampler: 4, 1, 1/4; together 1.
    let (policy, sampler) = ([[-1.0, -1.0, -1.0]], [[-1.0 - 4.0_f64.ln(), -1.0, -1.0 + 4.0_f64.ln()]]);
    let loss = |level, out_of_bounds, floor| {
        let sampler_options = SamplerCorrection { level, out_of_bounds, cap: 2.0, floor };
        let rollout = Rollout::new(one(policy)).with_sampler(one(sampler)).unwrap().with_advantages(&[-1.0]).unwrap();
        let terms = bnpo(rollout, &Bnpo::default().with_sampler(Some(sampler_options))).unwrap();
        assert_eq!(terms.weights, [3.0]);
        terms.values()[0]
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    close(loss(CorrectionLevel::Token, OutOfBounds::Truncate, 0.0), 2.0 + 1.0 + 0.25);
    close(loss(CorrectionLevel::Token, OutOfBounds::Truncate, 0.5), 2.0 + 1.0 + 0.5);
    close(loss(CorrectionLevel::Token, OutOfBounds::Mask, 0.0), 0.0 + 1.0 + 0.25);
    close(loss(CorrectionLevel::Token, OutOfBounds::Mask, 0.5), 1.0);
    close(loss(CorrectionLevel::Sequence, OutOfBounds::Mask, 0.5), 3.0);
}
