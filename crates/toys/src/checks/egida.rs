//! Egida: few pairs make a policy refuse attacks of styles and topics that it has not seen, and benign prompts as well.

use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::{Dpo, Objective};

use crate::worlds::{Descent, PairBatch, Policy, Stream, Traced, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const TOPICS: usize = 9;
const STYLES: usize = 6;
/// Topics and styles that are trained on.
const SEEN: [usize; 2] = [6, 4];
/// Weights of topics, of styles, of harmful intent, and the bias.
const DIM: usize = TOPICS + STYLES + 2;
const BETA: f64 = 0.1;
const RATE: f64 = 1.0;

/// A policy that complies with probability `σ(topic + style + intent + bias)`, benign prompts having topics and the bias
/// alone. Weights of topics and styles start normal with deviation 0.5, intent at −1.6, the bias at 2. DPO on pairs that
/// refuse rather than comply, β = 0.1, plain steps of 1, on 2, 8 or all 24 of the seen combinations of topic and style.
/// Attack success rates and refusal rates are exact. The start and the size of steps are ours.
pub(super) const TOY: Toy = Toy {
    row: "egida",
    title: "Efficient Safety Retrofitting Against Jailbreaking for LLMs",
    arxiv: "2502.13603",
    claim: "A few pairs lower the success of attacks, of unseen styles and topics nearly as much as of seen ones; benign \
            prompts are refused more, the longer the training.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::above_by("attacks(start, seen)", "attacks(8 pairs, step 20, seen)", 0.3),
        Relation::above_by("attacks(start, unseen styles)", "attacks(8 pairs, step 20, unseen styles)", 0.3),
        Relation::above_by("attacks(start, unseen topics)", "attacks(8 pairs, step 20, unseen topics)", 0.3),
        Relation::near("attacks(8 pairs, step 20, unseen styles)", "attacks(8 pairs, step 20, seen)", 0.1),
        Relation::near("attacks(8 pairs, step 20, unseen topics)", "attacks(8 pairs, step 20, seen)", 0.1),
        Relation::near("attacks(2 pairs, step 20, seen)", "attacks(24 pairs, step 20, seen)", 0.05),
        Relation::above("refusals(8 pairs, step 20)", "refusals(start)"),
        Relation::above_by("refusals(8 pairs, step 60)", "refusals(8 pairs, step 20)", 0.2),
        Relation::below_value("attacks(8 pairs, step 60, seen)", 0.05),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let mut start: Vec<f64> = random.normals(TOPICS + STYLES).iter().map(|w| 0.5 * w).collect();
    start.extend([-1.6, 2.0]);
    let world = World { start };
    let mut figures = Figures::default();
    world.report(&mut figures, "start", &[0.0; DIM]);
    let order = random.order(SEEN[0] * SEEN[1]);
    for pairs in [2, 8, 24] {
        let seen: Vec<[usize; 2]> = order[..pairs].iter().map(|k| [k % SEEN[0], k / SEEN[0]]).collect();
        let looks: &[usize] = if pairs == 8 { &[20, 60] } else { &[20] };
        world.train(&seen, looks, |step, at| world.report(&mut figures, &format!("{pairs} pairs, step {step}"), at))?;
    }
    Ok(figures)
}

struct World {
    start: Vec<f64>,
}

/// What is active for an attack.
fn features(topic: usize, style: usize) -> Vec<f64> {
    let mut x = vec![0.0; DIM];
    [topic, TOPICS + style, DIM - 2, DIM - 1].into_iter().for_each(|i| x[i] = 1.0);
    x
}

impl World {
    /// Follows DPO on the attacks and hands the changes of the weights over at each look.
    fn train(
        &self,
        attacks: &[[usize; 2]],
        looks: &[usize],
        mut report: impl FnMut(usize, &[f64]),
    ) -> Result<(), ToyError> {
        // cells: refusing and complying, attack by attack
        let rows: Vec<Vec<f64>> = attacks.iter().map(|[topic, style]| features(*topic, *style)).collect();
        let dot = |x: &[f64]| x.iter().zip(&self.start).map(|(x, w)| x * w).sum::<f64>();
        let base: Vec<f64> = rows.iter().flat_map(|x| [0.0, dot(x)]).collect();
        let cells: Vec<f64> = rows.iter().flat_map(|x| [vec![0.0; DIM], x.clone()].concat()).collect();
        let policy = Policy::log_linear(attacks.len(), base, &cells)?;
        let pairs: Vec<(usize, usize)> = (0..attacks.len()).map(|row| (2 * row, 2 * row + 1)).collect();
        let batch = PairBatch::cells(2 * attacks.len(), &pairs)?;
        let reference = batch.reference(&policy.table(&[0.0; DIM])?)?;
        let objective: Objective = Dpo::default().with_beta(BETA).into();
        let (mut at, mut rule, mut done) = (vec![0.0; DIM], Descent::plain(RATE), 0);
        for &look in looks {
            for _ in done..look {
                let (_, slopes) =
                    gradient(&at, |x: Traced| batch.loss(&objective, policy.logps(x)?, &reference))?;
                rule.step(&mut at, &slopes)?;
            }
            done = look;
            report(look, &at);
        }
        Ok(())
    }

    fn report(&self, figures: &mut Figures, name: &str, changes: &[f64]) {
        let weights: Vec<f64> = self.start.iter().zip(changes).map(|(w, c)| w + c).collect();
        let logit = |x: Vec<f64>| x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>();
        let cell = |topics: std::ops::Range<usize>, styles: std::ops::Range<usize>| {
            let all = topics.flat_map(|t| styles.clone().map(move |s| (t, s)));
            let rates: Vec<f64> = all.map(|(t, s)| sigmoid_scalar(logit(features(t, s)))).collect();
            rates.iter().sum::<f64>() / rates.len() as f64
        };
        let [topics, styles] = SEEN;
        figures.push(format!("attacks({name}, seen)"), "", cell(0..topics, 0..styles));
        figures.push(format!("attacks({name}, unseen styles)"), "", cell(0..topics, styles..STYLES));
        figures.push(format!("attacks({name}, unseen topics)"), "", cell(topics..TOPICS, 0..styles));
        figures.push(format!("attacks({name}, both unseen)"), "", cell(topics..TOPICS, styles..STYLES));
        let refused = |topic: usize| sigmoid_scalar(-(weights[topic] + weights[DIM - 1]));
        figures.push(format!("refusals({name})"), "", (0..TOPICS).map(refused).sum::<f64>() / TOPICS as f64);
    }
}
