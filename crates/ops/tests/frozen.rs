//! Frozen weights: what they store, and products with them.
#![allow(clippy::unwrap_used)]
mod common;
use common::{check, random, weigh};
use dfdx::prelude::*;
use tropism_ops::*;

const FORMATS: [FrozenFormat; 2] = [FrozenFormat::Bf16, FrozenFormat::Int8];

/// The weights that a frozen matrix stands for: the rows of its product with the unit matrix.
fn numbers<E: Scalar>(w: &Frozen<usize, usize>) -> Vec<E>
where
    Cpu: Device<E>,
{
    let ((o, i), dev) = (w.shape(), Cpu::default());
    let mut unit: Tensor<(usize, usize), E, Cpu> = dev.zeros_like(&(i, i));
    for k in 0..i {
        unit[[k, k]] = E::one();
    }
    let out = linear_frozen(unit, w, None, None).unwrap().as_vec();
    (0..o * i).map(|at| out[at % i * o + at / i]).collect()
}

fn matrix<E: Scalar>(rows: usize, cols: usize, seed: u64) -> Tensor<(usize, usize), E, Cpu>
where
    Cpu: Device<E>,
{
    let drawn = random(seed, rows * cols).into_iter().map(E::c).collect();
    Cpu::default().tensor_from_vec(drawn, (rows, cols))
}

#[test]
fn stored_weights_are_within_their_format() {
    for (o, i) in [(1, 1), (5, 3), (16, 4), (40, 31), (530, 66)] {
        let w: Tensor<_, f64, _> = matrix(o, i, 1);
        for format in FORMATS {
            let stored: Vec<f64> = numbers(&Frozen::new(&w, format));
            for (row, (a, b)) in w.as_vec().chunks(i).zip(stored.chunks(i)).enumerate() {
                let largest = a.iter().fold(0f64, |m, v| m.max(v.abs()));
                for (a, b) in a.iter().zip(b) {
                    let most = if format == FrozenFormat::Bf16 { a.abs() / 256.0 } else { largest / 253.9 };
                    assert!((a - b).abs() <= most, "{format:?} {o}x{i} row {row}: {a} is stored as {b}");
                }
            }
        }
    }
}

#[test]
fn products_are_those_of_the_stored_weights() {
    for (n, o, i) in [(1, 5, 3), (3, 16, 64), (9, 70, 33), (70, 600, 10)] {
        let (w, x, r): (Tensor<_, f32, _>, Tensor<_, f32, _>, Tensor<_, f32, _>) =
            (matrix(o, i, 1), matrix(n, i, 2), matrix(n, o, 3));
        for format in FORMATS {
            let frozen = Frozen::new(&w, format);
            let dense =
                Cpu::default().tensor_from_vec(numbers::<f64>(&frozen).into_iter().map(|v| v as f32).collect(), (o, i));
            let want = linear_add(x.clone(), &dense, r.clone(), Precision::Full).unwrap().as_vec();
            let found = linear_frozen(x.clone(), &frozen, None, Some(r.clone())).unwrap().as_vec();
            // processors with bf16 products round x, and 8-bit weights times their scale, to 8 bits of precision
            let scale = (i as f32).sqrt() * 3.0 / 256.0;
            for (a, b) in want.iter().zip(found) {
                assert!((a - b).abs() <= scale + 0.02 * a.abs(), "{format:?} {n}x{o}x{i}: {b}, expected {a}");
            }
        }
    }
}

#[test]
fn gradients() {
    for format in FORMATS {
        let w = Frozen::new(&matrix::<f64>(20, 6, 4), format);
        check(&[(3, 6), (3, 20), (1, 20)], 5, |x| {
            let bias = Param::new(x[2].clone().reshape_like(&(20,)));
            weigh(linear_frozen(x[0].leaky_trace(), &w, Some(&bias), Some(x[1].retaped())).unwrap())
        });
    }
}

#[test]
fn rows_and_log_probabilities() {
    for format in FORMATS {
        let frozen = Frozen::new(&matrix::<f64>(50, 6, 4), format);
        let dense = Cpu::default().tensor_from_vec(numbers::<f64>(&frozen), (50, 6));
        let (targets, ids) = ([3, Logps::IGNORED, 49], [7, 0, 7]);
        let rows: Tensor<_, f64, _> = embed_frozen(&frozen, &ids, 2.0).unwrap();
        assert_eq!(rows.as_vec(), embed_scaled(&dense, &ids, 2.0, NoneTape).unwrap().as_vec());
        for limit in [None, Some(1.5)] {
            let plain = linear_logps_capped(rows.clone(), &dense, &targets, limit, Precision::Full).unwrap().as_vec();
            let found = linear_logps_frozen(rows.clone(), &frozen, &targets, limit).unwrap().as_vec();
            for (a, b) in plain.iter().zip(found) {
                assert!((a - b).abs() < 1e-12, "{a} {b}");
            }
            check(&[(3, 6)], 5, |x| weigh(linear_logps_frozen(x[0].leaky_trace(), &frozen, &targets, limit).unwrap()));
        }
        assert!(embed_frozen::<_, _, f64>(&frozen, &[50], 1.0).unwrap_err().to_string().contains("index 50"));
    }
}

#[test]
fn memory_and_errors() {
    let w: Tensor<_, f32, _> = matrix(32, 64, 1);
    assert_eq!(Frozen::new(&w, FrozenFormat::Bf16).bytes(), 32 * 64 * 2);
    assert_eq!(Frozen::new(&w, FrozenFormat::Int8).bytes(), 32 * 64 + 32 * 4);
    let wrong: Tensor<_, f32, _> = matrix(2, 63, 1);
    let e = linear_frozen(wrong, &Frozen::new(&w, FrozenFormat::Int8), None, None).unwrap_err();
    assert!(e.to_string().contains("columns of the weight is 64, expected 63"), "{e}");
}

#[test]
fn a_row_of_zeros_stays_zero() {
    let w: Tensor<(usize, usize), f64, _> = Cpu::default().zeros_like(&(3, 5));
    assert!(numbers::<f64>(&Frozen::new(&w, FrozenFormat::Int8)).iter().all(|v| *v == 0.0));
}
