//! Recomputed activations give the same values and gradients.
#![allow(clippy::unwrap_used)]
use dfdx::prelude::*;
use tropism_ops::*;

type Matrix = Tensor<(usize, usize), f64, Cpu>;

/// `x + norm(x) W^T`
#[derive(Clone)]
struct Block {
    scale: Tensor<(usize,), f64, Cpu>,
    weight: Matrix,
}

impl Params<f64> for Block {
    fn visit<V: Visit<f64>>(&self, v: &mut V) -> Result<(), V::Error> {
        v.tensor("scale", &self.scale)?;
        v.tensor("weight", &self.weight)
    }
    fn visit_mut<V: VisitMut<f64>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        v.tensor("scale", &mut self.scale)?;
        v.tensor("weight", &mut self.weight)
    }
}

impl Part<(usize, usize), f64> for Block {
    type Error = OpsError;
    fn run<T: TapeOf<f64>>(
        &self,
        x: Tensor<(usize, usize), f64, Cpu, T>,
    ) -> Result<Tensor<(usize, usize), f64, Cpu, T>, OpsError> {
        let h = rmsnorm(x.with_empty_tape(), &self.scale, 1e-5)?;
        linear_add(h, &self.weight, x, Precision::Full)
    }
}

fn blocks(dev: &Cpu) -> Vec<Block> {
    (0..3).map(|_| Block { scale: dev.sample_normal_like(&(5,)), weight: dev.sample_normal_like(&(5, 5)) }).collect()
}

#[test]
fn gradients_equal_those_of_kept_activations() {
    let dev = Cpu::seed_from_u64(4);
    let (blocks, x): (_, Matrix) = (blocks(&dev), dev.sample_normal_like(&(4, 5)));
    let run = |kept: bool| {
        // two passes into one store: what is there already stays
        let mut grads = Gradients::leaky();
        let mut value = vec![];
        for _ in 0..2 {
            let mut y = x.clone().traced(grads);
            for b in &blocks {
                y = if kept { b.run(y).unwrap() } else { checkpoint(y, b.clone()).unwrap() };
            }
            value = y.as_vec();
            grads = y.square().sum().backward();
        }
        let mut all = vec![value];
        for b in &blocks {
            all.push(grads.get(&b.scale).as_vec());
            all.push(grads.get(&b.weight).as_vec());
        }
        (all, grads.get(&x).as_vec())
    };
    let ((kept, dx), (made_again, dx_again)) = (run(true), run(false));
    assert_eq!(kept, made_again);
    // x holds the gradient of both passes, which are summed in another order
    for (a, b) in dx.iter().zip(dx_again) {
        assert!((a - b).abs() < 1e-12 * a.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn without_a_tape_a_part_just_runs() {
    let dev = Cpu::seed_from_u64(4);
    let (blocks, x): (_, Matrix) = (blocks(&dev), dev.sample_normal_like(&(4, 5)));
    let y = checkpoint(x.clone(), blocks[0].clone()).unwrap();
    assert_eq!(y.as_vec(), blocks[0].run(x).unwrap().as_vec());
}
