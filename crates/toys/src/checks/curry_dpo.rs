//! Curry-DPO: several pairs per prompt in stages, with the last stage's policy as reference.

use tropism_objectives::{Dpo, Objective};

use crate::worlds::{Descent, Policy, ScorePairs, Stream, dot, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const PROMPTS: usize = 60;
const TEST_PROMPTS: usize = 300;
const RESPONSES: usize = 4;
const STAGES: usize = RESPONSES - 1;
const DIM: usize = 16;
const MINIBATCH: usize = 20;

/// Sixty prompts with four rated responses of sixteen features, the reward linear in them, ratings with noise; the scorer is
/// a linear log-ratio. Pairs (best, worst), (best, third), (best, second) in three stages of 5 or 60 minibatches of twenty,
/// or as many steps on one kind of pair or on all of them shuffled; plain steps of 1 on the gradient divided by β = 0.5. The
/// figure is the exact expected reward of `softmax(θ·x)` on 300 new prompts.
///
/// Easy to hard and hard to easy are not told apart by this world, so no relation speaks of the order; at β = 0.1 with few
/// steps single pairs can win, which is measured and not asserted.
pub(super) const TOY: Toy = Toy {
    row: "curry-dpo",
    title: "Curry-DPO: Enhancing Alignment using Curriculum Learning & Ranked Preferences",
    arxiv: "2403.07230",
    claim: "Stages of ranked pairs with the previous stage's policy as reference beat a fixed reference and single pairs.",
    chance: Chance::Seeds(30),
    relations: &[
        Relation::above("reward(stages, noise 0.1, 60 steps)", "reward(fixed reference, noise 0.1, 60 steps)"),
        Relation::above("reward(stages, noise 0.3, 60 steps)", "reward(fixed reference, noise 0.3, 60 steps)"),
        Relation::above("reward(stages, noise 0.1, 5 steps)", "reward(fixed reference, noise 0.1, 5 steps)"),
        Relation::above("reward(stages, noise 0.3, 5 steps)", "reward(fixed reference, noise 0.3, 5 steps)"),
        Relation::above("reward(stages, noise 0.1, 60 steps)", "reward(single, noise 0.1, 60 steps)"),
        Relation::above("reward(stages, noise 0.3, 60 steps)", "reward(single, noise 0.3, 60 steps)"),
        Relation::above("reward(stages, noise 0.1, 5 steps)", "reward(single, noise 0.1, 5 steps)"),
        Relation::above("reward(stages, noise 0.3, 5 steps)", "reward(single, noise 0.3, 5 steps)"),
    ],
    run,
};

/// Which pairs come when, and whether the reference follows.
const CURRICULA: [(&str, Curriculum); 5] = [
    ("single", Curriculum { stages: [&[3], &[3], &[3]], follow: false }),
    ("pooled", Curriculum { stages: [&[3, 2, 1], &[3, 2, 1], &[3, 2, 1]], follow: false }),
    ("fixed reference", Curriculum { stages: [&[3], &[2], &[1]], follow: false }),
    ("stages", Curriculum { stages: [&[3], &[2], &[1]], follow: true }),
    ("hard to easy", Curriculum { stages: [&[1], &[2], &[3]], follow: true }),
];

/// Places of the rejected responses in each stage, and whether each stage starts with a new reference.
#[derive(Clone, Copy)]
struct Curriculum {
    stages: [&'static [usize]; STAGES],
    follow: bool,
}

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let truth: Vec<f64> = random.normals(DIM).iter().map(|w| w / (DIM as f64).sqrt()).collect();
    let [train, test] = [PROMPTS, TEST_PROMPTS].map(|n| random.normals(n * RESPONSES * DIM));
    let noise = random.normals(PROMPTS * RESPONSES);
    let mut figures = Figures::default();
    for (sigma, steps, beta) in [(0.1, 60, 0.5), (0.3, 60, 0.5), (0.1, 5, 0.5), (0.3, 5, 0.5), (0.1, 5, 0.1)] {
        let ratings: Vec<f64> = train.chunks(DIM).zip(&noise).map(|(x, n)| dot(x, &truth) + sigma * n).collect();
        let ranked = Ranked { features: &train, order: ratings.chunks(RESPONSES).map(falling).collect() };
        let more = if beta == 0.1 { ", beta 0.1" } else { "" };
        for (name, curriculum) in CURRICULA {
            let weights = ranked.train(curriculum, beta, steps, &mut Stream::new(seed, 1))?;
            let name = format!("reward({name}, noise {sigma}, {steps} steps{more})");
            figures.push(name, "", expected(&weights, &test, &truth)?);
        }
    }
    Ok(figures)
}

/// Responses of each prompt, best rating first.
struct Ranked<'d> {
    features: &'d [f64],
    order: Vec<Vec<usize>>,
}

impl Ranked<'_> {
    fn train(&self, by: Curriculum, beta: f64, steps: usize, random: &mut Stream) -> Result<Vec<f64>, ToyError> {
        let objective: Objective = Dpo::default().with_beta(beta).into();
        let (mut at, mut reference) = (vec![0.0; DIM], vec![0.0; DIM]);
        let mut queue: Vec<(usize, usize)> = Vec::new();
        for (stage, places) in by.stages.into_iter().enumerate() {
            if by.follow {
                reference.clone_from(&at);
            }
            // the same pairs again are one long stage: they go on in their order
            if stage > 0 && by.stages[stage - 1] != places {
                queue.clear();
            }
            let mut rule = Descent::plain(1.0 / beta);
            for _ in 0..steps {
                if queue.len() < MINIBATCH {
                    queue = self.shuffled(places, random);
                }
                let batch = self.batch(&queue.split_off(queue.len() - MINIBATCH))?;
                let frozen = batch.frozen(&reference)?;
                let (_, slopes) = gradient(&at, |x| batch.loss(&objective, x, &frozen))?;
                rule.step(&mut at, &slopes)?;
            }
        }
        Ok(at)
    }

    /// Prompts with the place of the rejected response, in random order.
    fn shuffled(&self, places: &[usize], random: &mut Stream) -> Vec<(usize, usize)> {
        let all: Vec<(usize, usize)> = places.iter().flat_map(|&p| (0..PROMPTS).map(move |x| (x, p))).collect();
        random.order(all.len()).into_iter().map(|i| all[i]).collect()
    }

    fn batch(&self, pairs: &[(usize, usize)]) -> Result<ScorePairs, ToyError> {
        let points = |place: fn(usize) -> usize| -> Vec<f64> {
            let cell = |&(prompt, rejected): &(usize, usize)| prompt * RESPONSES + self.order[prompt][place(rejected)];
            pairs.iter().flat_map(|pair| &self.features[cell(pair) * DIM..][..DIM]).copied().collect()
        };
        ScorePairs::features(DIM, &points(|_| 0), &points(|rejected| rejected))
    }
}

/// Indices in falling order.
fn falling(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    order
}

/// Expected reward of `softmax(θ·x)`, averaged over prompts.
fn expected(weights: &[f64], features: &[f64], truth: &[f64]) -> Result<f64, ToyError> {
    let cells = features.len() / DIM;
    let prompts = cells / RESPONSES;
    let table = Policy::log_linear(prompts, vec![0.0; cells], features)?.table(weights)?;
    let rewards = table.iter().zip(features.chunks(DIM)).map(|(l, x)| l.exp() * dot(x, truth));
    Ok(rewards.sum::<f64>() / prompts as f64)
}
