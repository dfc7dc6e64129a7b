//! Attention with operands, or cached keys and values, rounded to bf16.
#![allow(clippy::unwrap_used)]
mod common;
use common::random;
use dfdx::prelude::*;
use tropism_ops::*;

type Floats = Tensor<(usize, usize), f32, Cpu>;

fn floats(seed: u64, rows: usize, cols: usize) -> Floats {
    let numbers = random(seed, rows * cols).into_iter().map(|x| x as f32).collect();
    Cpu::default().tensor_from_vec(numbers, (rows, cols))
}

/// Largest difference, as a share of the largest of `b`.
fn share(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let most = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / most
}

/// Result and gradients of q, k and v.
fn run(tree: &Tree, config: AttentionConfig) -> [Vec<f32>; 4] {
    let (n, heads) = (tree.tokens(), config.heads);
    let (q, k) = (floats(1, n, heads.heads * heads.dim), floats(2, n, heads.kv_heads * heads.dim));
    let v = floats(3, n, heads.kv_heads * heads.dim);
    let y = attention(q.leaky_trace(), k.leaky_trace(), v.leaky_trace(), tree, config).unwrap();
    let out = y.as_vec();
    let grads = y.square().sum().backward();
    [out, grads.get(&q).as_vec(), grads.get(&k).as_vec(), grads.get(&v).as_vec()]
}

#[test]
fn rounded_products_stay_near_exact_ones() {
    // a shared beginning of odd length, longer than a block of rows, and two ends; then a sequence by itself
    let segments = [(0, 131, None), (131, 70, Some(0)), (201, 9, Some(0)), (210, 33, None)];
    let tree = Tree::new(segments.map(|(start, len, parent)| Segment { start, len, parent }).to_vec()).unwrap();
    let plain = AttentionConfig::from(Heads { heads: 4, kv_heads: 2, dim: 36 });
    for config in [plain, AttentionConfig { window: Some(50), softcap: Some(2.0), ..plain }] {
        let exact = run(&tree, config);
        let rounded = run(&tree, AttentionConfig { precision: Precision::Bf16, ..config });
        for (what, (a, b)) in ["result", "q", "k", "v"].into_iter().zip(rounded.iter().zip(&exact)) {
            // two operands of relative error 2^-9 each, then a softmax of scores near 1
            assert!(share(a, b) < 1.0 / 64.0, "{what}: {}", share(a, b));
            // and they are rounded where the processor can
            assert_eq!(share(a, b) > 1e-5, Precision::has_bf16(), "{what}");
        }
    }
}

#[test]
fn in_f64_nothing_is_rounded() {
    let tree = Tree::sequences(&[20]).unwrap();
    let dev = Cpu::default();
    let x = common::matrix(&dev, 4, 20, 8);
    let config = AttentionConfig::from(Heads { heads: 1, kv_heads: 1, dim: 8 });
    let run = |config| attention(x.clone(), x.clone(), x.clone(), &tree, config).unwrap().as_vec();
    assert_eq!(run(config), run(AttentionConfig { precision: Precision::Bf16, ..config }));
}

/// To the nearest number with 8 bits of precision.
fn half(x: f32) -> f32 {
    let unit = 2f32.powi(x.abs().log2().floor() as i32 - 7);
    (x / unit).round_ties_even() * unit
}

#[test]
fn a_rounded_cache_holds_the_nearest_numbers() {
    let heads = Heads { heads: 6, kv_heads: 2, dim: 34 };
    let lengths = [70, 1, 32, 33];
    let (k, v, q) = (floats(5, 70, 68), floats(6, 70, 68), floats(7, 4, 204));
    let step = |mut cache: Pages<f32>, form: fn(f32) -> f32| {
        let mut pages: Vec<Vec<usize>> = vec![];
        for len in lengths {
            pages.push((0..len).step_by(PAGE).map(|i| cache.len() + i / PAGE).collect());
            pages.last().unwrap().iter().for_each(|_| cache.add_page());
            for t in 0..len {
                let row = |x: &Floats| data(x)[t * 68..(t + 1) * 68].iter().map(|&x| form(x)).collect::<Vec<f32>>();
                cache.write(pages.last().unwrap()[t / PAGE], t % PAGE, &row(&k), &row(&v)).unwrap();
            }
        }
        // a page keeps its numbers when it is copied
        cache.add_page();
        let (from, to) = (pages[0][1], cache.len() - 1);
        cache.copy(from, to).unwrap();
        pages[0][1] = to;
        let paged: Vec<Paged> = pages.iter().zip(lengths).map(|(pages, len)| Paged { pages, len }).collect();
        decode_attention(&q, &cache, &paged, heads).unwrap().as_vec()
    };
    let rounded = step(Pages::rounded(heads), |x| x);
    assert_eq!(rounded, step(Pages::new(heads), half));
    assert_ne!(rounded, step(Pages::new(heads), |x| x));
}
