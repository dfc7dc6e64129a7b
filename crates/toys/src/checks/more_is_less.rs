//! More is Less: pairs that style alone tells apart have a low loss and leave the policy unsafe.

use tropism_core::numerics::sigmoid_scalar;
use tropism_evaluation::safety::{SeparabilityOptions, separability};
use tropism_objectives::{Dpo, Objective};

use crate::worlds::{Descent, PairBatch, Policy, Stream, Traced, descend, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const BETA: f64 = 0.1;
const RATE: f64 = 10.0;
const STEPS: usize = 30;
/// What an attack adds to the logit of complying.
const ATTACK: f64 = 4.0;
/// Probability that a chosen and a rejected answer comply.
const COMPLIES: [f64; 2] = [0.25, 0.75];
const PROBED: usize = 250;

/// A policy of two independent bits, style and compliance, from logits of 0. Chosen answers comply with probability ¼,
/// rejected ones with ¾. Several models: chosen answers have the style, rejected ones do not. One model: both styles are coin
/// flips. DPO with β = 0.1, thirty steps of 10 on the exact expected loss, so these figures are the same under every seed.
///
/// The probe sees both bits and four random numbers of 250 sampled pairs; its accuracy is that of prompts held out.
pub(super) const TOY: Toy = Toy {
    row: "more-is-less",
    title: "More is Less: The Pitfalls of Multi-Model Synthetic Preference Data in DPO Safety Alignment",
    arxiv: "2504.02193",
    claim: "Pairs of several models are told apart by style: DPO reaches a lower loss on them and the policy complies with \
            more attacks than after pairs of its own.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::above("loss(one model)", "loss(several models)"),
        Relation::above("attack success(several models)", "attack success(one model)"),
        Relation::above("separability(several models)", "separability(one model)"),
        Relation::above("pairwise separability(several models)", "pairwise separability(one model)"),
        Relation::near_value("loss(several models)", 0.260126, 1e-6),
        Relation::near_value("loss(one model)", 0.570144, 1e-6),
        Relation::near_value("attack success(several models)", 0.381534, 1e-5),
        Relation::near_value("attack success(one model)", 0.114542, 1e-6),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    for (name, styled) in [("several models", true), ("one model", false)] {
        let (loss, logits) = train(styled)?;
        figures.push(format!("loss({name})"), "nats", loss);
        figures.push(format!("style logit({name})"), "", logits[0]);
        figures.push(format!("comply logit({name})"), "", logits[1]);
        figures.push(format!("attack success({name})"), "", sigmoid_scalar(logits[1] + ATTACK));
        probe(&mut figures, name, styled, &mut Stream::new(seed, u64::from(styled)))?;
    }
    Ok(figures)
}

/// Probability of a pair's bits, each as (chosen, rejected).
fn probability(style: (bool, bool), comply: (bool, bool), styled: bool) -> f64 {
    let of = |bit: bool, p: f64| if bit { p } else { 1.0 - p };
    let style = match styled {
        true => f64::from(u8::from(style == (true, false))),
        false => 0.25,
    };
    style * of(comply.0, COMPLIES[0]) * of(comply.1, COMPLIES[1])
}

/// Loss at the end and both logits.
fn train(styled: bool) -> Result<(f64, Vec<f64>), ToyError> {
    // cells: without and with the style, refusing and complying
    let policy = Policy::log_linear(2, vec![0.0; 4], &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0])?;
    let bit = |k: usize, place: usize| k >> place & 1 == 1;
    let answer = |style: bool, comply: bool| [usize::from(style), 2 + usize::from(comply)];
    let chosen: Vec<[usize; 2]> = (0..16).map(|k| answer(bit(k, 0), bit(k, 2))).collect();
    let rejected: Vec<[usize; 2]> = (0..16).map(|k| answer(bit(k, 1), bit(k, 3))).collect();
    let weights: Vec<f64> =
        (0..16).map(|k| probability((bit(k, 0), bit(k, 1)), (bit(k, 2), bit(k, 3)), styled)).collect();
    let [chosen, rejected] = [&chosen, &rejected].map(|side| side.iter().map(|a| &a[..]).collect::<Vec<_>>());
    let pairs = PairBatch::sequences(4, &chosen, &rejected)?;
    let reference = pairs.reference(&policy.table(&[0.0; 2])?)?;
    let objective: Objective = Dpo::default().with_beta(BETA).into();
    let loss = |x: Traced| {
        let terms = objective.pair_loss(pairs.logps(policy.logps(x)?)?, Some(reference.clone()))?;
        Ok(terms.times_rows(&weights)?.times(16.0)?.mean()?)
    };
    let mut logits = vec![0.0; 2];
    descend(&mut logits, Descent::plain(RATE), STEPS, loss)?;
    Ok((gradient(&logits, loss)?.0, logits))
}

fn probe(figures: &mut Figures, name: &str, styled: bool, random: &mut Stream) -> Result<(), ToyError> {
    let mut sides = [Vec::new(), Vec::new()];
    for _ in 0..PROBED {
        let styles = if styled { [true, false] } else { [random.chance(0.5), random.chance(0.5)] };
        for ((rows, style), complies) in sides.iter_mut().zip(styles).zip(COMPLIES) {
            let bits = [f64::from(u8::from(style)), f64::from(u8::from(random.chance(complies)))];
            rows.push([&bits[..], &random.normals(4)].concat());
        }
    }
    let [chosen, rejected] = sides.each_ref().map(|rows| rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let prompts: Vec<usize> = (0..PROBED).collect();
    let found = separability(&chosen, &rejected, &prompts, &SeparabilityOptions::default())?;
    figures.push(format!("separability({name})"), "", found.accuracy.value);
    figures.push(format!("pairwise separability({name})"), "", found.pairwise.value);
    Ok(())
}
