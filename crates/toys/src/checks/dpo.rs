//! DPO: the closed-form optimum, label noise, and preferences that are nearly certain.

use tropism_objectives::{Cdpo, Dpo, Ipo, Objective, Robust};

use crate::worlds::{Descent, OrderedPairs, Policy, Stream, centred, descend};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const REWARDS: [f64; 5] = [1.0, 0.5, 0.0, -0.5, -1.0];

/// Five arms, a random reference, and the exact loss over all pairs. (a) DPO's distance from `π_ref exp(r/β)/Z`; (b) the
/// reward that DPO, cDPO and robust DPO imply for the best arm (true: 1) when 20 % of the labels are swapped; (c) how far
/// the log-probability of the worst arm falls between step 500 and step 20000 when preferences are nearly certain.
pub(super) const TOY: Toy = Toy {
    row: "dpo",
    title: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
    arxiv: "2305.18290",
    claim: "DPO finds the optimum of RLHF in closed form; the robust loss undoes label noise, smoothing does not; with \
            certain preferences DPO has no fixed point and IPO has one.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::below_value("distance(dpo, beta 0.5)", 1e-8),
        Relation::below_value("distance(dpo, beta 1)", 1e-8),
        Relation::near_value("reward(robust, noise)", 1.0, 1e-6),
        Relation::above("reward(robust, noise)", "reward(dpo, noise)"),
        Relation::above("reward(dpo, noise)", "reward(cdpo, noise)"),
        Relation::above_value("late fall(dpo)", 1.0),
        Relation::near_value("late fall(ipo)", 0.0, 1e-6),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    let policy = Policy::tabular(1, REWARDS.len());
    let start = Stream::new(seed, 0).normals(REWARDS.len());
    let reference = policy.table(&start)?;
    let bandit = Bandit { policy, start, reference };
    for beta in [0.5, 1.0] {
        let found = bandit.train(&Dpo::default().with_beta(beta).into(), 0.0, 1.0 / (beta * beta), 4000)?;
        figures.push(format!("distance(dpo, beta {beta})"), "nats", bandit.distance(&found, beta)?);
    }
    let noisy: [(&str, Objective); 3] = [
        ("dpo", Dpo::default().with_beta(0.5).into()),
        ("cdpo", Cdpo::default().with_beta(0.5).with_label_smoothing(0.2).into()),
        ("robust", Robust::default().with_beta(0.5).with_label_smoothing(0.2).into()),
    ];
    for (name, objective) in &noisy {
        let found = bandit.train(objective, 0.2, 4.0, 4000)?;
        figures.push(format!("reward({name}, noise)"), "", bandit.implied(&found, 0.5)[0]);
    }
    let certain: [(&str, Objective, f64); 2] =
        [("dpo", Dpo::default().with_beta(0.5).into(), 4.0), ("ipo", Ipo::default().with_beta(0.5).into(), 0.05)];
    for (name, objective, rate) in &certain {
        figures.push(format!("late fall({name})"), "nats", bandit.late_fall(objective, *rate)?);
    }
    Ok(figures)
}

struct Bandit {
    policy: Policy,
    start: Vec<f64>,
    reference: Vec<f64>,
}

impl Bandit {
    /// Log-probabilities after gradient descent on labels of which a share is swapped.
    fn train(&self, objective: &Objective, flipped: f64, rate: f64, steps: usize) -> Result<Vec<f64>, ToyError> {
        let pairs = OrderedPairs::new(&REWARDS, flipped, &self.reference)?;
        let mut logits = self.start.clone();
        descend(&mut logits, Descent::plain(rate), steps, |x| pairs.loss(objective, self.policy.logps(x)?))?;
        self.policy.table(&logits)
    }

    /// `β log(π/π_ref)`, centred.
    fn implied(&self, logps: &[f64], beta: f64) -> Vec<f64> {
        centred(&logps.iter().zip(&self.reference).map(|(l, r)| beta * (l - r)).collect::<Vec<_>>())
    }

    /// Largest distance of a log-probability from the optimum's.
    fn distance(&self, logps: &[f64], beta: f64) -> Result<f64, ToyError> {
        let logits: Vec<f64> = self.reference.iter().zip(REWARDS).map(|(l, r)| l + r / beta).collect();
        let optimum = self.policy.table(&logits)?;
        Ok(logps.iter().zip(optimum).map(|(l, o)| (l - o).abs()).fold(0.0, f64::max))
    }

    /// How far the worst arm's log-probability falls after step 500, under rewards fifty times as large.
    fn late_fall(&self, objective: &Objective, rate: f64) -> Result<f64, ToyError> {
        let pairs = OrderedPairs::new(&REWARDS.map(|r| 50.0 * r), 0.0, &self.reference)?;
        let loss = |x| pairs.loss(objective, self.policy.logps(x)?);
        let mut logits = self.start.clone();
        descend(&mut logits, Descent::plain(rate), 500, loss)?;
        let early = self.policy.table(&logits)?;
        descend(&mut logits, Descent::plain(rate), 19_500, loss)?;
        let late = self.policy.table(&logits)?;
        let worst = REWARDS.len() - 1;
        Ok(early[worst] - late[worst])
    }
}
