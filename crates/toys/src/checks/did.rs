//! Differential information: DPO finds its target only where rejected answers come from the matching sampler.

use tropism_core::PairLogps;
use tropism_evaluation::likelihood::{did, did_entropy_sampled, entropy, jensen_shannon, log_margin_order, optimal_rejected};
use tropism_objectives::{Cpo, Dpo, Ipo, Objective, Simpo};

use crate::worlds::{Descent, Policy, ScorePairs, Stream, Traced, descend};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const OUTCOMES: usize = 32;
const BETA: f64 = 0.5;
const RATE: f64 = 0.05;
const STEPS: usize = 2000;
/// Samples of an estimate of the entropy, and repetitions of it.
const SAMPLES: usize = 32;
const REPEATS: usize = 200;

/// A reference and a target over 32 outcomes; chosen answers are the reference's, rejected ones those of a sampler, and the
/// expected loss over all pairs is minimised by 2000 steps of Adam at 0.05 from the reference. Distances are Jensen–Shannon
/// divergences to the target. The matching sampler is `π_ref (π_ref/π*)^β`, β = 0.5.
///
/// IPO pulls the margin to 1. ORPO, which the sheet also has, adds a likelihood of its own and is left out. The entropy of
/// the differential information is that of a target `π_ref²` (sharper) and `√π_ref` (smoother); its estimates take 32 samples,
/// in this world and in the sheet's one of four outcomes.
pub(super) const TOY: Toy = Toy {
    row: "did",
    title: "Differential Information: An Information-Theoretic Perspective on Preference Optimization",
    arxiv: "2505.23761",
    claim: "If preferences encode the differential information between reference and target, the log-ratio reward alone \
            recovers the target, and the sampler of rejected answers has to match.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::below_value("distance(dpo)", 1e-4),
        Relation::above_by("distance(cpo)", "distance(dpo)", 0.01),
        Relation::above_by("distance(ipo)", "distance(dpo)", 0.01),
        Relation::above_by("distance(simpo)", "distance(dpo)", 0.01),
        Relation::near("distance(dpo, rejected from reference)", "distance(start)", 0.01),
        Relation::above_by("distance(dpo, rejected uniform)", "distance(dpo)", 0.01),
        Relation::above_by("distance(dpo, exponent 1)", "distance(dpo)", 0.01),
        Relation::near_value("slope of log-margins", 0.5, 1e-9),
        Relation::near_value("ordered log-margins", 1.0, 1e-9),
        Relation::below_value("entropy change(sharper)", 0.0),
        Relation::above_value("entropy change(smoother)", 0.0),
        Relation::above("spread of estimates(four outcomes, from reference)", "spread of estimates(four outcomes, from policy)"),
        Relation::above("spread of estimates(from reference)", "spread of estimates(from policy)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let policy = Policy::tabular(1, OUTCOMES);
    let reference = policy.table(&random.normals(OUTCOMES))?;
    let noisy: Vec<f64> = reference.iter().map(|l| l + random.normal()).collect();
    let target = policy.table(&noisy)?;
    let world = World { policy, reference, target };
    let mut figures = Figures::default();
    figures.push("distance(start)", "nats", world.distance(&world.reference)?);
    world.rewards(&mut figures)?;
    world.samplers(&mut figures)?;
    world.entropies(&mut figures, &mut random)?;
    Ok(figures)
}

struct World {
    policy: Policy,
    reference: Vec<f64>,
    target: Vec<f64>,
}

impl World {
    fn distance(&self, logps: &[f64]) -> Result<f64, ToyError> {
        Ok(jensen_shannon(logps, &self.target)?)
    }

    /// Different rewards on the matching sampler.
    fn rewards(&self, figures: &mut Figures) -> Result<(), ToyError> {
        let matching = optimal_rejected(&self.reference, &self.target, BETA)?;
        let simpo = Simpo::default().with_beta(2.0).with_gamma_beta_ratio(0.25);
        let objectives: [(&str, Objective); 4] = [
            ("dpo", Dpo::default().with_beta(BETA).into()),
            ("cpo", Cpo::default().with_beta(BETA).with_nll_weight(0.0).into()),
            ("ipo", Ipo::default().with_beta(0.5).into()),
            ("simpo", simpo.into()),
        ];
        for (name, objective) in objectives {
            figures.push(format!("distance({name})"), "nats", self.distance(&self.fit(&objective, &matching)?)?);
        }
        let margins = |table: &[f64]| {
            let pairs = (0..OUTCOMES).flat_map(|i| (0..i).map(move |j| (i, j)));
            pairs.map(|(i, j)| table[i] - table[j]).collect::<Vec<_>>()
        };
        let order = log_margin_order(&margins(&matching), &margins(&self.reference), &margins(&self.target))?;
        figures.push("slope of log-margins", "", order.slope);
        figures.push("ordered log-margins", "", order.ordered.value);
        Ok(())
    }

    /// DPO on other samplers of rejected answers.
    fn samplers(&self, figures: &mut Figures) -> Result<(), ToyError> {
        let dpo = Dpo::default().with_beta(BETA).into();
        let uniform = vec![-(OUTCOMES as f64).ln(); OUTCOMES];
        let steep = optimal_rejected(&self.reference, &self.target, 1.0)?;
        let samplers =
            [("rejected from reference", &self.reference), ("rejected uniform", &uniform), ("exponent 1", &steep)];
        for (name, rejected) in samplers {
            figures.push(format!("distance(dpo, {name})"), "nats", self.distance(&self.fit(&dpo, rejected)?)?);
        }
        Ok(())
    }

    /// Log-probabilities at the minimum of the expected loss.
    fn fit(&self, objective: &Objective, rejected: &[f64]) -> Result<Vec<f64>, ToyError> {
        let all: Vec<(usize, usize)> = (0..OUTCOMES * OUTCOMES).map(|k| (k / OUTCOMES, k % OUTCOMES)).collect();
        let weights: Vec<f64> = all.iter().map(|&(w, l)| (self.reference[w] + rejected[l]).exp()).collect();
        let pairs = ScorePairs::cells(&all);
        let frozen: PairLogps<_, _, _> = pairs.frozen(&self.reference)?;
        let mut logits = self.reference.clone();
        descend(&mut logits, Descent::adam(RATE), STEPS, |x: Traced| {
            let terms = pairs.terms(objective, self.policy.logps(x)?, &frozen, Default::default())?;
            Ok(terms.times_rows(&weights)?.times(all.len() as f64)?.mean()?)
        })?;
        self.policy.table(&logits)
    }

    fn entropies(&self, figures: &mut Figures, random: &mut Stream) -> Result<(), ToyError> {
        for (name, power) in [("sharper", 2.0), ("smoother", 0.5)] {
            let target = self.policy.table(&self.reference.iter().map(|l| power * l).collect::<Vec<_>>())?;
            figures.push(format!("entropy of the information({name})"), "nats", did(&target, &self.reference)?.entropy);
            figures.push(format!("entropy change({name})"), "nats", entropy(&target)? - entropy(&self.reference)?);
        }
        figures.push("entropy of the information(target)", "nats", did(&self.target, &self.reference)?.entropy);
        let log = |p: [f64; 4]| p.map(f64::ln);
        estimates(figures, "four outcomes, ", [&log([0.4, 0.3, 0.2, 0.1]), &log([0.1, 0.15, 0.25, 0.5])], random)?;
        estimates(figures, "", [&self.reference, &self.target], random)
    }
}

/// Bias and spread of estimates of the entropy from either side's samples.
fn estimates(
    figures: &mut Figures,
    world: &str,
    [reference, target]: [&[f64]; 2],
    random: &mut Stream,
) -> Result<(), ToyError> {
    let exact = did(target, reference)?.entropy;
    for (name, proposal) in [("reference", reference), ("policy", target)] {
        let odds: Vec<f64> = proposal.iter().map(|l| l.exp()).collect();
        let (mut bias, mut square, mut effective) = (0.0, 0.0, 0.0);
        for _ in 0..REPEATS {
            let drawn: Vec<usize> = (0..SAMPLES).map(|_| random.pick(&odds)).collect();
            let of = |table: &[f64]| drawn.iter().map(|&i| table[i]).collect::<Vec<_>>();
            let found = did_entropy_sampled(&of(target), &of(reference), &of(proposal))?;
            bias += (found.entropy - exact) / REPEATS as f64;
            square += (found.entropy - exact).powi(2) / REPEATS as f64;
            effective += found.effective / REPEATS as f64;
        }
        figures.push(format!("bias of estimates({world}from {name})"), "nats", bias);
        figures.push(format!("spread of estimates({world}from {name})"), "nats", (square - bias * bias).sqrt());
        figures.push(format!("effective samples({world}from {name})"), "", effective);
    }
    Ok(())
}
