//! Values against plain dfdx compositions, sharing against separate sequences, refusals, optimisers.
#![allow(clippy::unwrap_used)]
mod common;
use common::{Matrix, matrix};
use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_ops::*;

fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= tolerance, "element {i}: {x} against {y}");
    }
}

#[test]
fn logps_over_several_chunks_equal_log_softmax() {
    let dev = Cpu::default();
    let (h, w) = (matrix(&dev, 1, 13, 8), matrix(&dev, 2, 4500, 8));
    let targets: Vec<usize> = (0..13).map(|i| i * 374).collect();
    let fused = linear_logps(h.leaky_trace(), &w, &targets, Precision::Full).unwrap();
    let logits = h.leaky_trace().matmul(w.retaped::<OwnedTape<f64, Cpu>>().permute::<_, Axes2<1, 0>>());
    let plain = logits.log_softmax::<Axis<1>>().select(dev.tensor_from_vec(targets, (13,)));
    close(&fused.as_vec(), &plain.as_vec(), 1e-12);
    let (a, b) = (fused.sum().backward(), plain.sum().backward());
    close(&a.get(&h).as_vec(), &b.get(&h).as_vec(), 1e-12);
    close(&a.get(&w).as_vec(), &b.get(&w).as_vec(), 1e-12);
}

#[test]
fn logps_survive_huge_logits() {
    let dev = Cpu::default();
    let h: Tensor<(usize, usize), f32, _> = dev.tensor_from_vec(vec![1e4], (1, 1));
    let w: Tensor<(usize, usize), f32, _> = dev.tensor_from_vec(vec![1.0, -1.0, 0.5], (3, 1));
    let logps = linear_logps(h.clone(), &w, &[0], Precision::Full).unwrap().as_vec();
    assert_eq!(logps, [0.0]);
    assert_eq!(linear_logps(h, &w, &[1], Precision::Full).unwrap().as_vec(), [-2e4]);
}

#[test]
fn gradients_accumulate_over_two_passes() {
    let dev = Cpu::default();
    let (x, w) = (matrix(&dev, 1, 3, 4), matrix(&dev, 2, 2, 4));
    let once = linear(x.leaky_trace(), &w, Precision::Full).unwrap().sum().backward();
    let single = once.get(&w).as_vec();
    let twice = linear(x.trace(once), &w, Precision::Full).unwrap().sum().backward();
    close(&twice.get(&w).as_vec(), &single.iter().map(|g| 2.0 * g).collect::<Vec<_>>(), 1e-14);
}

#[test]
fn without_a_tape_the_values_are_the_same() {
    let dev = Cpu::default();
    let (x, w) = (matrix(&dev, 1, 3, 4), matrix(&dev, 2, 2, 4));
    assert_eq!(
        linear(x.clone(), &w, Precision::Full).unwrap().as_vec(),
        linear(x.leaky_trace(), &w, Precision::Full).unwrap().as_vec()
    );
}

#[test]
fn one_thread_and_several_give_the_same_bits() {
    let dev = Cpu::default();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (x, w) = (matrix(&dev, 1, 700, 33), matrix(&dev, 2, 1, 33).reshape_like(&(33,)));
        pool.install(|| {
            let grads = rmsnorm(x.leaky_trace(), &w, 1e-6).unwrap().square().sum().backward();
            (grads.get(&x).as_vec(), grads.get(&w).as_vec())
        })
    };
    assert_eq!(run(1), run(3));
}

/// Attention of one sequence alone, picked out of a tree.
fn alone(q: &Matrix, k: &Matrix, v: &Matrix, tokens: &[usize], config: AttentionConfig) -> Vec<f64> {
    let tree = Tree::sequences(&[tokens.len()]).unwrap();
    let pick = |x: &Matrix| rows(x.clone(), tokens).unwrap();
    attention(pick(q), pick(k), pick(v), &tree, config).unwrap().as_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn shared_prefixes_change_nothing(shape in prop::collection::vec((1usize..6, 0usize..4, any::<bool>()), 1..7), window in 0usize..9, seed in 0u64..1000) {
        let mut segments: Vec<Segment> = vec![];
        let (mut start, mut root) = (0, 0);
        for (i, &(len, parent, fresh)) in shape.iter().enumerate() {
            if fresh || i == 0 { root = i; }
            let parent = (root < i).then(|| root + parent % (i - root));
            segments.push(Segment { start, len, parent });
            start += len;
        }
        let dev = Cpu::default();
        let plain = AttentionConfig::from(Heads { heads: 4, kv_heads: 2, dim: 2 });
        // without a window also without a cap
        let peculiar = AttentionConfig { softcap: Some(0.5), window: Some(window.max(1)), ..plain };
        let config = if window == 0 { plain } else { peculiar };
        let (q, k, v) = (matrix(&dev, seed, start, 8), matrix(&dev, seed + 1, start, 4), matrix(&dev, seed + 2, start, 4));
        let tree = Tree::new(segments.clone()).unwrap();
        let packed = attention(q.clone(), k.clone(), v.clone(), &tree, config).unwrap().as_vec();
        for s in 0..segments.len() {
            let (mut tokens, mut at) = (vec![], Some(s));
            while let Some(i) = at {
                tokens.splice(0..0, segments[i].start..segments[i].start + segments[i].len);
                at = segments[i].parent;
            }
            let n = segments[s].len * 8;
            let single = alone(&q, &k, &v, &tokens, config);
            close(&packed[segments[s].start * 8..][..n], &single[single.len() - n..], 1e-12);
        }
    }
}

/// Capped, windowed attention written out, one query at a time.
fn written_out(q: &Matrix, k: &Matrix, v: &Matrix, config: AttentionConfig) -> Vec<f64> {
    let (h, cap, window) = (config.heads, config.softcap.unwrap(), config.window.unwrap());
    let (q, k, v, n) = (q.as_vec(), k.as_vec(), v.as_vec(), q.shape().0);
    let (wide, narrow, d) = (h.heads * h.dim, h.kv_heads * h.dim, h.dim);
    let mut out = vec![0.0; n * wide];
    for (i, head) in (0..n).flat_map(|i| (0..h.heads).map(move |h| (i, h))) {
        let kv = head / (h.heads / h.kv_heads);
        let seen: Vec<usize> = (0..=i).filter(|j| i - j < window).collect();
        let score = |j: usize| (0..d).map(|c| q[i * wide + head * d + c] * k[j * narrow + kv * d + c]).sum::<f64>();
        let weights: Vec<f64> = seen.iter().map(|&j| (cap * (config.scale * score(j) / cap).tanh()).exp()).collect();
        let total: f64 = weights.iter().sum();
        for c in 0..d {
            let sum: f64 = seen.iter().zip(&weights).map(|(&j, w)| w * v[j * narrow + kv * d + c]).sum();
            out[i * wide + head * d + c] = sum / total;
        }
    }
    out
}

#[test]
fn caps_and_windows_as_written_out() {
    let dev = Cpu::default();
    let heads = Heads { heads: 4, kv_heads: 2, dim: 3 };
    for (n, window) in [(1, 1), (7, 3), (300, 40), (300, 129)] {
        let config = AttentionConfig { scale: 2.0, softcap: Some(1.5), window: Some(window), ..heads.into() };
        let (q, k, v) = (matrix(&dev, 1, n, 12), matrix(&dev, 2, n, 6), matrix(&dev, 3, n, 6));
        let expected = written_out(&q, &k, &v, config);
        let tree = Tree::sequences(&[n]).unwrap();
        let found = attention(q.clone(), k.clone(), v.clone(), &tree, config).unwrap().as_vec();
        close(&found, &expected, 1e-13);
        let mut cache = Pages::new(heads);
        (0..n.div_ceil(PAGE)).for_each(|_| cache.add_page());
        let width = heads.kv_heads * heads.dim;
        for (t, (k, v)) in data(&k).chunks(width).zip(data(&v).chunks(width)).enumerate() {
            cache.write(t / PAGE, t % PAGE, k, v).unwrap();
        }
        let pages: Vec<usize> = (0..n.div_ceil(PAGE)).collect();
        let sequence = Paged { pages: &pages, len: n };
        let step = decode_attention(&rows(q, &[n - 1]).unwrap(), &cache, &[sequence], config).unwrap().as_vec();
        close(&step, &expected[(n - 1) * 12..], 1e-13);
    }
    let none = AttentionConfig { window: Some(0), ..heads.into() };
    let (q, k) = (matrix(&dev, 1, 2, 12), matrix(&dev, 2, 2, 6));
    let e = attention(q, k.clone(), k, &Tree::sequences(&[2]).unwrap(), none).unwrap_err().to_string();
    assert!(e.contains("window is 0"), "{e}");
}

#[test]
fn capped_logps_over_several_chunks() {
    let dev = Cpu::default();
    let (h, w) = (matrix(&dev, 1, 5, 8), matrix(&dev, 2, 4500, 8));
    let targets: Vec<usize> = (0..5).map(|i| i * 974).collect();
    let fused = linear_logps_capped(h.leaky_trace(), &w, &targets, Some(0.5), Precision::Full).unwrap();
    let logits = linear(h.leaky_trace(), &w, Precision::Full).unwrap();
    let plain = softcap(logits, 0.5).unwrap().log_softmax::<Axis<1>>().select(dev.tensor_from_vec(targets, (5,)));
    close(&fused.as_vec(), &plain.as_vec(), 1e-12);
    let (a, b) = (fused.sum().backward(), plain.sum().backward());
    close(&a.get(&h).as_vec(), &b.get(&h).as_vec(), 1e-12);
    close(&a.get(&w).as_vec(), &b.get(&w).as_vec(), 1e-12);
}

#[test]
fn layer_norm_of_a_large_offset() {
    let dev = Cpu::default();
    let x: Tensor<(usize, usize), f32, _> = dev.tensor_from_vec(vec![10_001.0, 10_002.0, 10_003.0], (1, 3));
    let (w, b) = (dev.tensor_from_vec(vec![1.0, 2.0, 3.0], (3,)), dev.tensor_from_vec(vec![0.5; 3], (3,)));
    let y = layernorm(x, &w, &b, 0.0).unwrap().as_vec();
    let edge = 1.5f32.sqrt();
    for (y, e) in y.iter().zip([0.5 - edge, 0.5, 0.5 + 3.0 * edge]) {
        assert!((y - e).abs() < 1e-5, "{y} against {e}");
    }
}

#[test]
fn wrong_sizes_and_indices_are_errors_that_name_them() {
    let dev = Cpu::default();
    let x = matrix(&dev, 1, 3, 4);
    let text = |e: OpsError| e.to_string();
    assert!(
        text(linear(x.clone(), &matrix(&dev, 2, 2, 5), Precision::Full).unwrap_err())
            .contains("columns of the weight is 5, expected 4")
    );
    assert!(text(embed(&x, &[0, 3], NoneTape).unwrap_err()).contains("index 3 at position 1 is not below 3"));
    assert!(text(linear_logps(x.clone(), &x, &[0, 0, 9], Precision::Full).unwrap_err()).contains("index 9"));
    assert!(text(linear_logps(x.clone(), &x, &[0], Precision::Full).unwrap_err()).contains("number of targets"));
    let short = matrix(&dev, 4, 1, 3).reshape_like(&(3,));
    assert!(
        text(linear_bias(x.clone(), &x, &matrix(&dev, 4, 1, 2).reshape_like(&(2,)), Precision::Full).unwrap_err())
            .contains("length of the bias is 2, expected 3")
    );
    assert!(text(layernorm(x.clone(), &short, &short, 0.0).unwrap_err()).contains("length of the weight is 3, expected 4"));
    assert!(text(columns(x.clone(), 2, 3usize).unwrap_err()).contains("end of the columns is 5, expected 4"));
    assert!(text(plus(x.clone(), matrix(&dev, 2, 2, 4)).unwrap_err()).contains("rows of the second is 2, expected 3"));
    let table = RopeTable::new(&[1.0], 2);
    assert!(text(rope(x, &table, &[0, 1, 2]).unwrap_err()).contains("index 2"));
}

struct One(Tensor<(usize, usize), f64, Cpu>, Tensor<(usize,), f64, Cpu>);
impl Params<f64> for One {
    fn visit<V: Visit<f64>>(&self, v: &mut V) -> Result<(), V::Error> {
        v.tensor("matrix", &self.0)?;
        v.tensor("vector", &self.1)
    }
    fn visit_mut<V: VisitMut<f64>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        v.tensor("matrix", &mut self.0)?;
        v.tensor("vector", &mut self.1)
    }
}

#[test]
fn adamw_by_hand() {
    let dev = Cpu::default();
    let mut model = One(dev.tensor_from_vec(vec![1.0, -2.0], (1, 2)), dev.tensor_from_vec(vec![3.0], (1,)));
    let mut opt = AdamW::new(0.1);
    let mut grads = alloc_grads(&model).unwrap();
    for step in 1..=3 {
        grad_mut(&mut grads, &model.0).unwrap().copy_from_slice(&[0.5, -0.25]);
        grad_mut(&mut grads, &model.1).unwrap().copy_from_slice(&[2.0]);
        assert!((grad_norm(&model, &mut grads).unwrap() - (0.25f64 + 0.0625 + 4.0).sqrt()).abs() < 1e-15);
        opt.step(&mut model, &mut grads, 0.01, 0.5).unwrap();
        assert_eq!(opt.steps, step);
        assert!(grad_mut(&mut grads, &model.0).unwrap().iter().all(|&g| g == 0.0));
    }
    // a constant gradient moves by lr each step whatever its size; decay first, vectors exempt
    let mut expected = 1.0;
    for _ in 0..3 {
        expected = expected * (1.0 - 0.001) - 0.01 * 0.25 / (0.25 + 1e-8);
    }
    close(&[model.0.as_vec()[0], model.1.as_vec()[0]], &[expected, 3.0 - 0.03], 1e-9);
    assert_eq!(opt.moments["vector"].first.len(), 1);
}

#[test]
fn moments_in_half_the_memory_follow_the_full_ones() {
    let n = 3000;
    let run = |format| {
        let mut model = One(Cpu::default().zeros_like(&(1, n)), Cpu::default().zeros_like(&(1,)));
        let mut opt = AdamW { format, ..AdamW::new(0.0) };
        let mut grads = alloc_grads(&model).unwrap();
        for step in 0..400 {
            let g = grad_mut(&mut grads, &model.0).unwrap();
            g.iter_mut().enumerate().for_each(|(i, g)| *g = 1.0 + ((i * 31 + step * 17) % 13) as f64 / 6.0);
            opt.step(&mut model, &mut grads, 0.01, 1.0).unwrap();
        }
        (model.0.as_vec(), opt.moments["matrix"].clone())
    };
    let ((full, _), (half, moments)) = (run(MomentFormat::Full), run(MomentFormat::Bf16));
    assert!(matches!(&moments.second, Moment::Bf16(v) if v.len() == n));
    // all gradients are above 0, so every element has moved by nearly 400 x 0.01; rounding to nearest would stall the second
    // moment, which moves by less than a step of bf16
    let far = full.iter().zip(&half).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n as f64;
    assert!(far < 0.15 && (mean(&full) - mean(&half)).abs() < 0.01, "{far} {} {}", mean(&full), mean(&half));
}

/// The sum that the documentation of `conv` writes, cell by cell.
fn slid(x: &[f64], w: &[f64], bias: &[f64], window: Window, channels: usize) -> Vec<f64> {
    let ([f, h, wd], [kt, ky, kx], [st, sy, sx]) = (window.size, window.kernel, window.stride);
    let ([of, oh, ow], cells) = (window.result(), f * h * wd);
    let cell = |at: usize, tap: usize, kernel: usize, size: usize| {
        let c = at as isize + tap as isize - (kernel / 2) as isize;
        (c >= 0 && c < size as isize).then_some(c as usize)
    };
    let mut y = vec![];
    for b in 0..x.len() / channels / cells {
        for (t, r, c) in (0..of).flat_map(|t| (0..oh).flat_map(move |r| (0..ow).map(move |c| (t, r, c)))) {
            for (o, bias) in bias.iter().enumerate() {
                let mut sum = *bias;
                for (dt, dy, dx) in (0..kt).flat_map(|a| (0..ky).flat_map(move |b| (0..kx).map(move |c| (a, b, c)))) {
                    let at = [cell(t * st, dt, kt, f), cell(r * sy, dy, ky, h), cell(c * sx, dx, kx, wd)];
                    let [Some(t), Some(r), Some(c)] = at else { continue };
                    let (tap, row) = ((dt * ky + dy) * kx + dx, b * cells + (t * h + r) * wd + c);
                    for i in 0..channels {
                        sum += w[(o * kt * ky * kx + tap) * channels + i] * x[row * channels + i];
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

#[test]
fn convolutions_are_the_sums_they_say() {
    let dev = Cpu::default();
    // more samples than one block takes
    for (window, samples) in [
        (Window::spatial([1, 16, 16], 3, 1), 9),
        (Window::spatial([1, 7, 5], 5, 2), 70),
        (Window { size: [5, 4, 3], kernel: [3, 1, 3], stride: [2, 1, 1] }, 40),
    ] {
        let (rows, channels, outputs) = (samples * window.size.iter().product::<usize>(), 3, 2);
        let (x, w) = (matrix(&dev, 1, rows, channels), matrix(&dev, 2, outputs, window.taps() * channels));
        let bias = dev.tensor_from_vec(vec![0.3, -0.2], (outputs,));
        let found = |threads| {
            let y = with_threads(threads, || conv(x.clone(), &w, &bias, window, Precision::Full).unwrap().as_vec());
            y.unwrap()
        };
        let (one, expected) = (found(1), slid(&x.as_vec(), &w.as_vec(), &bias.as_vec(), window, channels));
        assert_eq!(one.len(), expected.len());
        assert!(one.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{window:?}");
        assert_eq!(one, found(2));
    }
}

#[test]
fn a_kernel_that_cannot_slide_is_refused() {
    let dev = Cpu::default();
    let (x, w, bias) = (matrix(&dev, 1, 8, 1), matrix(&dev, 2, 1, 4), dev.tensor_from_vec(vec![0.0], (1,)));
    let refused = |window| conv(x.clone(), &w, &bias, window, Precision::Full).unwrap_err().to_string();
    assert!(refused(Window::spatial([1, 2, 4], 2, 1)).contains("kernels odd"));
    assert!(refused(Window::spatial([1, 2, 4], 3, 0)).contains("strides"));
    assert!(refused(Window::spatial([1, 3, 3], 3, 1)).contains("rows beyond whole samples"));
    assert!(refused(Window::spatial([1, 2, 4], 3, 1)).contains("columns of the weight is 4, expected 9"));
}
