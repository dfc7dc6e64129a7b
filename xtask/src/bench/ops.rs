//! Operations one by one, beside the machine's peak.
use super::{name, precision};
use crate::cli::BenchOpsArgs;
use crate::error::XtaskError;
use crate::model::sizes;
use dfdx::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Instant;
use tropism_lm::LmError;
use tropism_ops::{
    Activation, AttentionConfig, Heads, Machine, OpsError, Precision, RopeTable, Tree, attention, gated, linear,
    linear_logps, rmsnorm, rope,
};

type Matrix = Tensor<(usize, usize), f32, Cpu>;

/// Sizes and settings of a bench.
struct Bench {
    tokens: usize,
    precision: Precision,
    repeat: usize,
    dev: Cpu,
    lines: Map<String, Value>,
}

pub(super) fn run(args: &BenchOpsArgs) -> Result<Value, XtaskError> {
    let [vocab, hidden, ff, _, heads, kv_heads] = sizes(args.shape);
    let (tokens, repeat) = (args.tokens.max(1), args.repeat.max(1));
    let precision = precision(args.dtype)?;
    let mut bench = Bench { tokens, precision, repeat, dev: Cpu::default(), lines: Map::new() };
    bench.all([vocab, hidden, ff], Heads { heads, kv_heads, dim: hidden / heads }).map_err(LmError::from)?;
    let peak = Machine::measure();
    Ok(json!({
        "bench": "ops", "dtype": name(args.dtype), "tokens": tokens, "threads": peak.threads,
        "bf16_path": peak.bf16_path.to_string(), "bf16_note": Precision::bf16_note(),
        "peak": {"f32_gflops": peak.f32_gflops.round(), "bf16_gflops": peak.bf16_gflops.map(f64::round),
            "read_gbs": peak.read_gbs.round()},
        "ops": bench.lines,
    }))
}

impl Bench {
    fn all(&mut self, [vocab, hidden, ff]: [usize; 3], heads: Heads) -> Result<(), OpsError> {
        for (what, i, o) in [("q_proj", hidden, hidden), ("gate_proj", hidden, ff), ("down_proj", ff, hidden)] {
            self.linear(what, i, o)?;
        }
        self.logps(hidden, vocab)?;
        self.attention(heads)?;
        self.elementwise(hidden, ff, heads.dim)
    }

    /// Best time of `forward`, and of `forward` with the backward pass behind it less that.
    fn both<S: Shape>(
        &self,
        mut forward: impl FnMut() -> Result<Tensor<S, f32, Cpu, OwnedTape<f32, Cpu>>, OpsError>,
    ) -> Result<(f64, f64), OpsError> {
        let (mut there, mut back) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..=self.repeat {
            let clock = Instant::now();
            let y = forward()?;
            let middle = clock.elapsed().as_secs_f64();
            let loss = y.sum();
            let clock = Instant::now();
            drop(loss.backward());
            (there, back) = (there.min(middle), back.min(clock.elapsed().as_secs_f64()));
        }
        Ok((there, back))
    }

    fn matrix(&self, rows: usize, cols: usize) -> Matrix {
        self.dev.sample_normal_like(&(rows, cols)) * 0.05
    }

    /// `work` operations (or bytes) forward and twice as many backward.
    fn keep(&mut self, what: &str, unit: &str, work: f64, factor: f64, (there, back): (f64, f64)) {
        let rate = |w: f64, s: f64| (w / s / 1e8).round() / 10.0;
        let line = json!({
            format!("forward_{unit}"): rate(work, there), format!("backward_{unit}"): rate(work * factor, back),
            "forward_ms": (there * 1e5).round() / 100.0, "backward_ms": (back * 1e5).round() / 100.0,
        });
        self.lines.insert(what.to_owned(), line);
    }

    fn linear(&mut self, what: &str, i: usize, o: usize) -> Result<(), OpsError> {
        let (x, w) = (self.matrix(self.tokens, i), self.matrix(o, i));
        let times = self.both(|| linear(x.leaky_trace(), &w, self.precision))?;
        self.keep(what, "gflops", 2.0 * (self.tokens * i * o) as f64, 2.0, times);
        Ok(())
    }

    fn logps(&mut self, hidden: usize, vocab: usize) -> Result<(), OpsError> {
        let (x, w) = (self.matrix(self.tokens, hidden), self.matrix(vocab, hidden));
        let targets: Vec<usize> = (0..self.tokens).map(|i| i * 7919 % vocab).collect();
        let times = self.both(|| linear_logps(x.leaky_trace(), &w, &targets, self.precision))?;
        // backward makes the logits once more
        self.keep("linear_logps", "gflops", 2.0 * (self.tokens * hidden * vocab) as f64, 3.0, times);
        Ok(())
    }

    fn attention(&mut self, heads: Heads) -> Result<(), OpsError> {
        let (n, d) = (self.tokens, heads.dim);
        let tree = Tree::sequences(&[n])?;
        let q = self.matrix(n, heads.heads * d);
        let (k, v) = (self.matrix(n, heads.kv_heads * d), self.matrix(n, heads.kv_heads * d));
        let config = AttentionConfig { precision: self.precision, ..heads.into() };
        let times = self.both(|| attention(q.leaky_trace(), k.retaped(), v.retaped(), &tree, config))?;
        // scores and values over the lower triangle; backward makes the scores again and needs four more products
        self.keep("attention", "gflops", (2 * n * (n + 1) * heads.heads * d) as f64, 2.5, times);
        Ok(())
    }

    fn elementwise(&mut self, hidden: usize, ff: usize, dim: usize) -> Result<(), OpsError> {
        let n = self.tokens;
        let (x, scale) = (self.matrix(n, hidden), self.dev.sample_normal_like(&(hidden,)));
        let times = self.both(|| rmsnorm(x.leaky_trace(), &scale, 1e-5))?;
        self.keep("rmsnorm", "gbs", (8 * n * hidden) as f64, 2.0, times);
        let (gate, up) = (self.matrix(n, ff), self.matrix(n, ff));
        let times = self.both(|| gated(gate.leaky_trace(), up.retaped(), Activation::Silu))?;
        self.keep("swiglu", "gbs", (12 * n * ff) as f64, 7.0 / 3.0, times);
        let positions: Vec<usize> = (0..n).collect();
        let frequencies: Vec<f64> = (0..dim / 2).map(|i| 1e-4f64.powf(2.0 * i as f64 / dim as f64)).collect();
        let table = RopeTable::new(&frequencies, n);
        let times = self.both(|| rope(x.leaky_trace(), &table, &positions))?;
        self.keep("rope", "gbs", (8 * n * hidden) as f64, 1.0, times);
        Ok(())
    }
}
