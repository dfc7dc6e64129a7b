//! Every operation's backward pass against central differences in f64.
#![allow(clippy::unwrap_used)]
mod common;
use common::{check, weigh};
use dfdx::prelude::*;
use tropism_ops::*;

fn vector(x: &common::Matrix) -> Tensor<(usize,), f64, Cpu> {
    x.clone().reshape_like(&(x.shape().1,))
}

#[test]
fn linear_with_and_without_residual() {
    check(&[(3, 5), (4, 5)], 1, |x| weigh(linear(x[0].leaky_trace(), &x[1], Precision::Full).unwrap()));
    check(&[(3, 5), (4, 5), (3, 4)], 2, |x| {
        weigh(linear_add(x[0].leaky_trace(), &x[1], x[2].retaped(), Precision::Full).unwrap())
    });
}

#[test]
fn a_strided_weight_keeps_its_gradient() {
    check(&[(3, 5), (5, 4)], 3, |x| {
        let w: common::Matrix = x[1].clone().permute::<_, Axes2<1, 0>>();
        weigh(linear(x[0].leaky_trace(), &w, Precision::Full).unwrap())
    });
}

#[test]
fn rms_norm_over_a_lane_and_a_rest() {
    for (rows, width) in [(1, 1), (3, 37), (300, 3)] {
        check(&[(rows, width), (1, width)], 4, |x| {
            // the weight is shown as a vector: same buffer, same gradient
            let w: Tensor<(usize,), f64, Cpu> = vector(&x[1]);
            weigh(rmsnorm(x[0].leaky_trace(), &w, 1e-2).unwrap())
        });
    }
}

const ACTIVATIONS: [Activation; 3] = [Activation::Silu, Activation::GeluTanh, Activation::GeluErf];

#[test]
fn activations_plain_and_gated() {
    for act in ACTIVATIONS {
        check(&[(4, 9), (4, 9)], 5, |x| weigh(gated(x[0].leaky_trace(), x[1].retaped(), act).unwrap()));
        check(&[(1, 1)], 6, |x| weigh(activate(x[0].leaky_trace(), act).unwrap()));
        check(&[(5, 67)], 7, |x| weigh(activate(x[0].leaky_trace().try_mul(4.0).unwrap(), act).unwrap()));
    }
}

#[test]
fn rms_norm_with_an_offset() {
    check(&[(3, 37), (1, 37)], 4, |x| weigh(rmsnorm_offset(x[0].leaky_trace(), &vector(&x[1]), 1.0, 1e-2).unwrap()));
}

#[test]
fn layer_norm_over_a_lane_and_a_rest() {
    for (rows, width) in [(1, 1), (1, 2), (3, 37), (300, 3)] {
        check(&[(rows, width), (1, width), (1, width)], 14, |x| {
            weigh(layernorm(x[0].leaky_trace(), &vector(&x[1]), &vector(&x[2]), 1e-2).unwrap())
        });
    }
}

#[test]
fn a_bias_with_and_without_residual() {
    for rows in [1, 3, 300] {
        check(&[(rows, 2), (5, 2), (1, 5)], 15, |x| {
            weigh(linear_bias(x[0].leaky_trace(), &x[1], &vector(&x[2]), Precision::Full).unwrap())
        });
    }
    check(&[(3, 4), (5, 4), (1, 5), (3, 5)], 16, |x| {
        let residual = x[3].retaped();
        weigh(linear_bias_add(x[0].leaky_trace(), &x[1], &vector(&x[2]), residual, Precision::Full).unwrap())
    });
}

#[test]
fn a_bias_under_a_result_that_is_used_twice() {
    check(&[(3, 4), (5, 4), (1, 5)], 17, |x| {
        let y = linear_bias(x[0].leaky_trace(), &x[1], &vector(&x[2]), Precision::Full).unwrap();
        weigh(plus(activate(y.with_empty_tape(), Activation::Silu).unwrap(), y).unwrap())
    });
}

#[test]
fn sums_columns_and_caps() {
    check(&[(3, 4), (3, 4)], 18, |x| weigh(plus(x[0].leaky_trace(), x[1].retaped()).unwrap()));
    check(&[(3, 7)], 19, |x| {
        let x: Tensor<(usize, usize), f64, Cpu, _> = x[0].leaky_trace();
        let (a, b) = (columns(x.with_empty_tape(), 0, 3usize).unwrap(), columns(x, 2, 3usize).unwrap());
        weigh(gated(a, b, Activation::Silu).unwrap())
    });
    check(&[(3, 7)], 20, |x| weigh(softcap(x[0].leaky_trace(), 0.4).unwrap()));
}

#[test]
fn embedding_and_rows_add_up_repeated_use() {
    check(&[(6, 3)], 6, |x| {
        let tape = tape_into(&Cpu::default(), Gradients::leaky());
        weigh(embed(&x[0], &[5, 0, 5, 2], tape).unwrap())
    });
    check(&[(6, 3)], 6, |x| {
        let tape = tape_into(&Cpu::default(), Gradients::leaky());
        weigh(embed_scaled(&x[0], &[5, 0, 5, 2], 1.7, tape).unwrap())
    });
    check(&[(6, 3)], 7, |x| weigh(rows(x[0].leaky_trace(), &[1, 1, 4]).unwrap()));
}

#[test]
fn range_sums_overlap_and_may_be_empty() {
    check(&[(1, 7)], 8, |x| {
        let x: Tensor<(usize,), f64, Cpu, _> = x[0].leaky_trace().reshape_like(&(7,));
        weigh(range_sums(x, &[0..3, 2..7, 4..4]).unwrap())
    });
}

#[test]
fn rope_turns_back_in_the_backward_pass() {
    let table = RopeTable::new(&[1.0, 0.3, 0.01], 9);
    check(&[(4, 12)], 9, |x| weigh(rope(x[0].leaky_trace(), &table, &[0, 8, 3, 3]).unwrap()));
    let table = RopeTable::scaled(&[1.0, 0.3, 0.01], 1.3, 9);
    check(&[(4, 12)], 9, |x| weigh(rope(x[0].leaky_trace(), &table, &[0, 8, 3, 3]).unwrap()));
}

#[test]
fn token_logps_with_an_ignored_row() {
    for vocab in [1, 5] {
        check(&[(4, 3), (vocab, 3)], 10, |x| {
            weigh(linear_logps(x[0].leaky_trace(), &x[1], &[0, vocab - 1, Logps::IGNORED, 0], Precision::Full).unwrap())
        });
        check(&[(4, 3), (vocab, 3)], 10, |x| {
            let targets = [0, vocab - 1, Logps::IGNORED, 0];
            weigh(linear_logps_capped(x[0].leaky_trace(), &x[1], &targets, Some(0.7), Precision::Full).unwrap())
        });
    }
}

#[test]
fn attention_over_a_tree() {
    let s = |start, len, parent| Segment { start, len, parent };
    let tree = Tree::new(vec![s(0, 3, None), s(3, 2, Some(0)), s(5, 1, Some(1)), s(6, 3, Some(0)), s(9, 2, None)]).unwrap();
    for (heads, kv_heads) in [(2, 2), (4, 2), (3, 1)] {
        let heads = Heads { heads, kv_heads, dim: 3 };
        let (q, kv) = (heads.heads * 3, heads.kv_heads * 3);
        check(&[(11, q), (11, kv), (11, kv)], 11, |x| {
            weigh(attention(x[0].leaky_trace(), x[1].retaped(), x[2].retaped(), &tree, heads).unwrap())
        });
    }
}

/// Scale, cap and window all away from their defaults.
fn peculiar(heads: Heads, window: usize) -> AttentionConfig {
    AttentionConfig { scale: 1.1, softcap: Some(0.8), window: Some(window), ..heads.into() }
}

#[test]
fn attention_with_cap_and_window_over_a_tree() {
    let s = |start, len, parent| Segment { start, len, parent };
    let tree = Tree::new(vec![s(0, 3, None), s(3, 2, Some(0)), s(5, 1, Some(1)), s(6, 3, Some(0)), s(9, 2, None)]).unwrap();
    let heads = Heads { heads: 4, kv_heads: 2, dim: 3 };
    for window in [1, 2, 4, 50] {
        check(&[(11, 12), (11, 6), (11, 6)], 11, |x| {
            weigh(attention(x[0].leaky_trace(), x[1].retaped(), x[2].retaped(), &tree, peculiar(heads, window)).unwrap())
        });
    }
}

#[test]
fn attention_with_a_window_beyond_one_block_of_rows() {
    let tree = Tree::sequences(&[150]).unwrap();
    let heads = Heads { heads: 1, kv_heads: 1, dim: 1 };
    check(&[(150, 1), (150, 1), (150, 1)], 13, |x| {
        weigh(attention(x[0].leaky_trace(), x[1].retaped(), x[2].retaped(), &tree, peculiar(heads, 9)).unwrap())
    });
}

#[test]
fn attention_beyond_one_block_of_rows() {
    let tree = Tree::sequences(&[150]).unwrap();
    let heads = Heads { heads: 1, kv_heads: 1, dim: 1 };
    check(&[(150, 1), (150, 1), (150, 1)], 12, |x| {
        weigh(attention(x[0].leaky_trace(), x[1].retaped(), x[2].retaped(), &tree, heads).unwrap())
    });
}

#[test]
fn a_factor() {
    check(&[(3, 5)], 31, |x| weigh(scaled(x[0].leaky_trace(), -1.7).unwrap()));
}

/// The loss of all operations that read weights, and those weights.
fn all_operands(x: &common::Matrix, trained: bool) -> (common::Taped<Rank0>, [common::Matrix; 5]) {
    let dev = Cpu::default();
    let drawn: [common::Matrix; 5] =
        [(4, 5), (5, 4), (1, 4), (1, 5), (1, 5)].map(|(r, c)| common::matrix(&dev, (10 * r + c) as u64, r, c));
    let [w, back, b, scale, shift] = &drawn;
    let matrix = |m: &common::Matrix| Param { values: m.clone(), trained };
    let row = |m: &common::Matrix| Param { values: vector(m), trained };
    let (w, back, b, scale, shift) = (matrix(w), matrix(back), row(b), row(scale), row(shift));
    let h = layernorm(rmsnorm(x.leaky_trace(), &scale, 1e-2).unwrap(), &scale, &shift, 1e-2).unwrap();
    let y = linear_bias(h.with_empty_tape(), &w, &b, Precision::Full).unwrap();
    let y = linear_bias_add(h, &w, &b, y, Precision::Full).unwrap();
    let looked_up = embed(&w, &[3, 0, 3], OwnedTape::default()).unwrap();
    let states = plus(linear(y, &back, Precision::Full).unwrap(), looked_up).unwrap();
    (weigh(linear_logps(states, &w, &[1, 3, 0], Precision::Full).unwrap()), drawn)
}

#[test]
fn untrained_weights_get_no_gradient() {
    let x = common::matrix(&Cpu::default(), 5, 3, 5);
    let (loss, weights) = all_operands(&x, true);
    let trained = loss.backward();
    assert!(weights.iter().all(|w| trained.get(w).as_vec().iter().any(|g| *g != 0.0)));
    let (loss, weights) = all_operands(&x, false);
    let untrained = loss.backward();
    assert_eq!(trained.get(&x).as_vec(), untrained.get(&x).as_vec());
    for (i, w) in weights.iter().enumerate() {
        // dfdx has no other way to ask whether a gradient is there
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| untrained.get(w)));
        assert!(found.is_err(), "weight {i} has a gradient");
    }
}

#[test]
fn convolutions_of_images_and_clips() {
    let whole = |size, kernel, stride| Window { size, kernel, stride };
    for (window, inputs, outputs, samples) in [
        (Window::spatial([1, 3, 4], 3, 1), 2, 3, 2),
        (Window::spatial([1, 5, 4], 3, 2), 1, 2, 3),
        (Window::temporal([4, 1, 2], 3), 2, 2, 2),
        (whole([2, 3, 3], [3, 3, 1], [2, 1, 2]), 2, 1, 1),
    ] {
        let rows = samples * window.size.iter().product::<usize>();
        check(&[(rows, inputs), (outputs, window.taps() * inputs), (1, outputs)], 31, |x| {
            weigh(conv(x[0].leaky_trace(), &x[1], &vector(&x[2]), window, Precision::Full).unwrap())
        });
    }
}
