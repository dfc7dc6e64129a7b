//! The branch that reads users.
use crate::common::{ALL, condition, normals, numbers, times};
use dfdx::prelude::*;
use tropism_core::{Diagnostics, LossTerms};
use tropism_diffusion::denoiser::{Condition, Denoiser, Network, Stored, one_hot};
use tropism_diffusion::train::{TrainConfig, Training};

#[test]
fn a_fresh_branch_says_nothing() {
    for config in ALL {
        let model = Network::<f64>::new(&config, 5).unwrap();
        let x = || normals(1, 2, model.width());
        let features = || Condition::features(normals(2, 2, 3));
        let without = model.predict(x(), &times(2), &features()).unwrap().as_vec();
        let with = model.predict(x(), &times(2), &features().with_users(normals(3, 2, 2))).unwrap().as_vec();
        assert_eq!(without, with);
    }
}

#[test]
fn no_user_and_zeros_are_the_same() {
    let mut model = Network::<f64>::new(&ALL[0], 5).unwrap();
    for (name, mut p) in model.stored_mut() {
        if name.starts_with("users.") {
            numbers(&mut p).fill(0.7);
        }
    }
    let predict = |c: &Condition<f64>| model.predict(normals(1, 2, 2), &times(2), c).unwrap().as_vec();
    let all = condition(2);
    let dropped = all.clone().drop_users(&[true, false]).unwrap();
    let (none, some, half) = (predict(&Condition { users: None, ..all.clone() }), predict(&all), predict(&dropped));
    assert_eq!((&half[..2], &half[2..]), (&none[..2], &some[2..]));
    assert_ne!(some[..2], none[..2]);
    assert!(all.drop_users(&[true]).unwrap_err().to_string().contains("1 marks for 2 rows"));
}

#[test]
fn only_the_branch_learns_when_the_rest_is_frozen() {
    for config in ALL {
        let mut model = Network::<f64>::new(&config, 5).unwrap();
        let error = model.train_only(|name| name == "user").unwrap_err().to_string();
        assert!(error.contains("nothing would be trained") && error.contains("users.weight"), "{error}");
        model.train_only(|name| name.starts_with("users.")).unwrap();
        let before = model.clone();
        let mut training = Training::new(model, TrainConfig { lr: 1e-2, steps: 2, ..TrainConfig::default() }).unwrap();
        training
            .run(
                |model, _, tape| {
                    let x = normals(6, 2, model.width()).put_tape(tape);
                    let errors = model.predict(x, &times(2), &condition(2))?.square().mean::<(usize,), Axis<1>>();
                    Ok(LossTerms::new(errors, vec![1.0; 2], Diagnostics::default())?)
                },
                |_| {},
            )
            .unwrap();
        for ((name, was), (_, is)) in before.stored().into_iter().zip(training.model().stored()) {
            let same = match (was, is) {
                (Stored::Matrix(a), Stored::Matrix(b)) => a.values.as_vec() == b.values.as_vec(),
                (Stored::Vector(a), Stored::Vector(b)) => a.values.as_vec() == b.values.as_vec(),
                _ => false,
            };
            assert_eq!(same, !name.starts_with("users."), "{config:?}: {name}");
        }
    }
}

#[test]
fn labels_become_columns() {
    let rows = one_hot::<f64>(&[2, 0], 3).unwrap();
    assert_eq!(rows.as_vec(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    assert!(one_hot::<f64>(&[0, 3], 3).unwrap_err().to_string().contains("label 3 of row 1"));
}
