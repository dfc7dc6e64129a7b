//! One DPO batch: loss, log-probabilities, gradient norms, and three steps of SGD and of AdamW.
use super::Tally;
use super::bounds::Bounds;
use super::models::{indices, numbers};
use crate::error::XtaskError;
use dfdx::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use tropism_data::record::Source;
use tropism_data::tokens::TokenPair;
use tropism_lm::{Decoder, Loaded};
use tropism_objectives::{Dpo, Objective};
use tropism_ops::{AdamW, Params, Precision, Scalar, Sgd, Visit, data};
use tropism_trainer::{PairScore, Rows, Stage, StageRun, TrainError, score_pairs};

pub(super) const CHECKS: [&str; 9] =
    ["loss", "logps", "rewards", "grad_norms", "grad_norm_total", "sgd/losses", "sgd/moved", "adamw/losses", "adamw/moved"];

/// What one batch is checked with.
struct Batch<'a, E: Dtype> {
    policy: &'a Decoder<Loaded, E>,
    reference: &'a Decoder<Loaded, E>,
    stage: Stage,
    rows: Rows,
    figures: &'a Value,
    beta: f64,
    bounds: &'a Bounds,
}

pub(super) fn check<E: Scalar>(
    policy: &Decoder<Loaded, E>,
    reference: &Decoder<Loaded, E>,
    figures: &Value,
    bounds: &Bounds,
    id: &impl Fn(&str) -> String,
    tally: &mut Tally,
) -> Result<(), XtaskError>
where
    Cpu: Device<E>,
{
    let figures = &figures["dpo"];
    let beta = figures["beta"].as_f64().unwrap_or(f64::NAN);
    let mut stage = Stage::new("golden", Objective::Dpo(Dpo::default().with_beta(beta)), 1.0);
    if policy.precision == Precision::Bf16 {
        stage.precision = tropism_trainer::Precision::Bf16;
    }
    let rows = Rows::Pairs(pairs(&figures["pairs"]));
    let batch = Batch { policy, reference, stage, rows, figures, beta, bounds };
    batch.values(id, tally)?;
    batch.gradients(id, tally)?;
    batch.steps("sgd", id, tally)?;
    batch.steps("adamw", id, tally)
}

fn pairs(v: &Value) -> Vec<TokenPair> {
    let ids = |v: &Value| indices(v).into_iter().map(|i| i as u32).collect();
    let pair = |(i, p): (usize, &Value)| TokenPair {
        source: Source::row("forward.json", i + 1),
        prompt: ids(&p["prompt_ids"]),
        chosen: ids(&p["chosen_ids"]),
        rejected: ids(&p["rejected_ids"]),
        rejected_prompt: None,
        given: Default::default(),
        numbers: Default::default(),
    };
    v.as_array().map(|l| l.iter().enumerate().map(pair).collect()).unwrap_or_default()
}

impl<E: Scalar> Batch<'_, E>
where
    Cpu: Device<E>,
{
    fn run(&self) -> Result<StageRun<'_, Loaded, E>, TrainError> {
        StageRun::new(&self.stage, &self.rows, self.policy.clone(), Some(self.reference), 0)
    }

    fn values(&self, id: &impl Fn(&str) -> String, tally: &mut Tally) -> Result<(), XtaskError> {
        let Rows::Pairs(pairs) = &self.rows else { return Ok(()) };
        let (p, r) = (score_pairs(self.policy, pairs, 4096)?, score_pairs(self.reference, pairs, 4096)?);
        let column = |s: &[PairScore], f: fn(&PairScore) -> f64| s.iter().map(f).collect::<Vec<_>>();
        let (chosen, rejected): (fn(&PairScore) -> f64, fn(&PairScore) -> f64) = (|s| s.chosen.logps, |s| s.rejected.logps);
        let found = [column(&p, chosen), column(&p, rejected), column(&r, chosen), column(&r, rejected)];
        let names = ["chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps"];
        let expected: Vec<f64> = names.iter().flat_map(|n| numbers(&self.figures[*n])).collect();
        let lengths = [column(&p, |s| s.chosen.tokens as f64), column(&p, |s| s.rejected.tokens as f64)].concat();
        let length = |i: usize| lengths[i % lengths.len()] as usize;
        tally.close(&id("logps"), &found.concat(), &expected, |i| self.bounds.sequence(length(i)));
        let reward = |k: usize| found[k].iter().zip(&found[k + 2]).map(|(p, r)| self.beta * (p - r)).collect::<Vec<_>>();
        let expected: Vec<f64> =
            ["chosen_rewards", "rejected_rewards"].iter().flat_map(|n| numbers(&self.figures[*n])).collect();
        let bound = |i: usize| self.bounds.reward(self.beta, length(i));
        tally.close(&id("rewards"), &[reward(0), reward(1)].concat(), &expected, bound);
        Ok(())
    }

    /// What the loss may be off by.
    fn loss_bound(&self) -> f64 {
        let Rows::Pairs(pairs) = &self.rows else { return 0.0 };
        let rewards = [numbers(&self.figures["chosen_rewards"]), numbers(&self.figures["rejected_rewards"])];
        let margins = rewards[0].iter().zip(&rewards[1]).map(|(c, r)| c - r);
        let lengths = pairs.iter().map(|p| p.chosen.len() + p.rejected.len());
        self.bounds.loss(self.beta, &margins.zip(lengths).collect::<Vec<_>>())
    }

    fn gradients(&self, id: &impl Fn(&str) -> String, tally: &mut Tally) -> Result<(), XtaskError> {
        let mut run = self.run()?;
        let (loss, norms) = run.loss_and_gradients(&[0, 1])?;
        tally.close(&id("loss"), &[loss], &numbers(&self.figures["loss"]), |_| self.loss_bound());
        named(
            &id("grad_norms"),
            &norms,
            &self.figures["grad_norms"],
            |parameter: &str| if is_faint(parameter) { self.bounds.faint_gradient() } else { self.bounds.gradient() },
            tally,
        );
        let total = norms.values().map(|n| n * n).sum::<f64>().sqrt();
        let expected = numbers(&self.figures["grad_norm_total"]);
        tally.close(&id("grad_norm_total"), &[total], &expected, |i| self.bounds.whole_gradient() * expected[i]);
        Ok(())
    }

    /// Three steps at a constant rate, unclipped: the loss after each, and how far every parameter moved.
    fn steps(&self, name: &str, id: &impl Fn(&str) -> String, tally: &mut Tally) -> Result<(), XtaskError> {
        let figures = &self.figures[name];
        let lr = figures["lr"].as_f64().unwrap_or(f64::NAN);
        let mut run = self.run()?;
        let mut adamw = AdamW::new(figures["weight_decay"].as_f64().unwrap_or(0.0));
        adamw.decay_vectors = true;
        let mut losses = vec![];
        for _ in 0..3 {
            run.loss_and_gradients(&[0, 1])?;
            run.apply(|policy, grads, scale| match name {
                "sgd" => Sgd.step(policy, grads, lr * scale),
                _ => adamw.step(policy, grads, lr, scale),
            })?;
            losses.push(run.loss_and_gradients(&[0, 1])?.0);
        }
        let later = self.bounds.later_loss(self.loss_bound());
        tally.close(&id(&format!("{name}/losses")), &losses, &numbers(&figures["losses_after_steps"]), |_| later);
        let moved = distances(run.policy(), self.policy);
        let tolerance = |parameter: &str| match name {
            "sgd" => self.bounds.moved(),
            _ => self.bounds.moved_by_adamw(is_faint(parameter)),
        };
        named(&id(&format!("{name}/moved")), &moved, &figures["moved_norms"], tolerance, tally);
        Ok(())
    }
}

/// Whether the softmax sees little of the parameter. A bias of the keys adds the same to all scores of a query where positions
/// are not rotated: that third of GPT-2's fused bias has no gradient but rounding, which AdamW turns into steps that differ
/// from one machine to the next. Rotated, what is left of it is small.
fn is_faint(parameter: &str) -> bool {
    parameter.ends_with("attn.c_attn.bias") || parameter.ends_with("k_proj.bias")
}

/// Compares figures by parameter name, to a relative tolerance per name.
fn named(id: &str, found: &BTreeMap<String, f64>, expected: &Value, tolerance: impl Fn(&str) -> f64, tally: &mut Tally) {
    let expected: BTreeMap<String, f64> =
        expected.as_object().into_iter().flatten().filter_map(|(n, v)| Some((n.clone(), v.as_f64()?))).collect();
    if let Some(name) =
        expected.keys().find(|n| !found.contains_key(*n)).or_else(|| found.keys().find(|n| !expected.contains_key(*n)))
    {
        return tally.add(id, Some(format!("parameter {name} stands on one side only")));
    }
    let off = expected.iter().find(|(n, e)| !super::tally::near(found[*n], **e, tolerance(n) * e.abs()));
    tally.add(id, off.map(|(n, e)| format!("{n}: expected {e}, found {}, relative bound {:.1e}", found[n], tolerance(n))));
}

/// L2 distance of every parameter of two models.
fn distances<E: Scalar>(a: &Decoder<Loaded, E>, b: &Decoder<Loaded, E>) -> BTreeMap<String, f64> {
    struct Collect(Vec<(String, Vec<f64>)>);
    impl<E: Scalar> Visit<E> for Collect {
        type Error = std::convert::Infallible;
        fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, E, Cpu>) -> Result<(), Self::Error> {
            self.0.push((name.to_owned(), data(t).iter().map(|v| v.f()).collect()));
            Ok(())
        }
    }
    let all = |m: &Decoder<Loaded, E>| {
        let mut c = Collect(vec![]);
        let Ok(()) = m.visit(&mut c);
        c.0
    };
    let norm = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
    all(a).into_iter().zip(all(b)).map(|((name, a), (_, b))| (name, norm(&a, &b))).collect()
}
