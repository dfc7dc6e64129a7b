//! Backward passes of whole networks against central differences in f64.
use crate::common::{ALL, condition, normals, numbers, stirred, times};
use dfdx::prelude::*;
use tropism_diffusion::denoiser::{Condition, Denoiser, DenoiserError, Network, Rows, Stored};
use tropism_ops::Scalar;

const ROWS: usize = 3;

/// A fixed weighting of the output, so that every element counts differently.
fn weighed<T: tropism_ops::TapeOf<f64>>(y: Rows<f64, T>) -> Tensor<Rank0, f64, Cpu, T> {
    let n = y.shape().num_elements();
    let weights = (0..n).map(|i| (1.0 + i as f64 * 0.7).sin()).collect();
    let weights: Rows<f64> = Cpu::default().tensor_from_vec(weights, *y.shape());
    (y * weights).sum()
}

fn value(model: &Network<f64>, x: &Rows<f64>) -> f64 {
    weighed(model.predict(x.clone(), &times(ROWS), &condition(ROWS)).unwrap()).array()
}

/// Central differences at two steps, and what they tend to: norms over few channels bend sharply.
fn slope(mut at: impl FnMut(f64) -> f64) -> f64 {
    let mut central = |h: f64| (at(h) - at(-h)) / (2.0 * h);
    (4.0 * central(1e-5) - central(2e-5)) / 3.0
}

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-7 * expected.abs().max(1.0), "{what}: {found} against {expected}");
}

#[test]
fn parameters_and_inputs() {
    for config in ALL {
        let mut model = stirred::<f64>(&config, 1);
        let x = normals(2, ROWS, model.width());
        let y = model.predict(x.leaky_trace(), &times(ROWS), &condition(ROWS)).unwrap();
        let grads = weighed(y).backward();
        let input = grads.get(&x).as_vec();
        for (i, &found) in input.iter().enumerate() {
            let at = |step: f64| {
                let mut moved = x.as_vec();
                moved[i] += step;
                value(&model, &Cpu::default().tensor_from_vec(moved, *x.shape()))
            };
            close(found, slope(at), &format!("{config:?}: x[{i}]"));
        }
        let found: Vec<(String, Vec<f64>)> = model
            .stored()
            .iter()
            .map(|(name, p)| {
                (
                    name.clone(),
                    match p {
                        Stored::Matrix(p) => grads.get(&p.values).as_vec(),
                        Stored::Vector(p) => grads.get(&p.values).as_vec(),
                    },
                )
            })
            .collect();
        for (k, (name, found)) in found.iter().enumerate() {
            assert!(found.iter().any(|g| *g != 0.0), "{config:?}: {name} has no gradient");
            // every element of small parameters, some of large ones
            for i in (0..found.len()).step_by(1 + found.len() / 40) {
                let at = |step: f64| {
                    numbers(&mut model.stored_mut()[k].1)[i] += step;
                    let y = value(&model, &x);
                    numbers(&mut model.stored_mut()[k].1)[i] -= step;
                    y
                };
                close(found[i], slope(at), &format!("{config:?}: {name}[{i}]"));
            }
        }
    }
}

#[test]
fn rows_do_not_see_each_other() {
    for config in ALL {
        let model = stirred::<f64>(&config, 3);
        let (x, times, condition) = (normals::<f64>(5, ROWS, model.width()), times(ROWS), condition(ROWS));
        let all = model.predict(x.clone(), &times, &condition).unwrap().as_vec();
        for i in 0..ROWS {
            let row: Rows<f64> = tropism_ops::rows(x.clone(), &[i]).unwrap();
            let alone = model.predict(row, &times[i..=i], &condition.rows(&[i]).unwrap()).unwrap().as_vec();
            let (from, to) = (i * model.width(), (i + 1) * model.width());
            assert!(alone.iter().zip(&all[from..to]).all(|(a, b)| (a - b).abs() < 1e-12), "{config:?}");
        }
    }
}

#[test]
fn singles_follow_doubles() {
    for config in ALL {
        let (double, single) = (stirred::<f64>(&config, 4), stirred::<f32>(&config, 4));
        let of = |m: &dyn Fn() -> Vec<f64>| m();
        let a = of(&|| double.predict(normals(6, 2, double.width()), &times(2), &condition(2)).unwrap().as_vec());
        let b = of(&|| {
            let y = single.predict(normals(6, 2, single.width()), &times(2), &condition(2)).unwrap();
            y.as_vec().into_iter().map(|v: f32| v.f()).collect()
        });
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs().max(1.0)), "{config:?}: {a:?} {b:?}");
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = stirred::<f32>(&ALL[0], 1);
    let x = || normals::<f32>(1, 2, 2);
    let refused = |x, times: &[f64], condition: &Condition<f32>| -> String {
        match model.predict::<NoneTape>(x, times, condition) {
            Err(e @ DenoiserError::Input(_)) => e.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let none = Condition::none();
    assert!(refused(normals(1, 2, 3), &[0.1; 2], &none).contains("x is [2, 3]"));
    assert!(refused(x(), &[0.1], &none).contains("1 times for 2 rows"));
    assert!(refused(x(), &[0.1, f64::NAN], &none).contains("the time of row 1 is NaN"));
    assert!(refused(x(), &[0.1; 2], &Condition::features(normals(1, 2, 2))).contains("reads [2, 3]"));
    assert!(refused(x(), &[0.1; 2], &none.with_users(normals(1, 3, 2))).contains("users are [3, 2]"));
}
