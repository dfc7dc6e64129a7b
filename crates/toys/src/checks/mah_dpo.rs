//! MAH-DPO: a head per objective on one trunk, mixed when answers are drawn.

use tropism_core::Columns;
use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::{Dpo, MahDpo, Objective};

use crate::worlds::{Descent, Policy, ScorePairs, Stream, Traced, descend, dot};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const CONTEXTS: usize = 8;
const RESPONSES: usize = 12;
const CELLS: usize = CONTEXTS * RESPONSES;
const DIM: usize = 6;
/// Weights of one head, response by response.
const HEAD: usize = RESPONSES * DIM;
const BETA: f64 = 0.5;
const RATE: f64 = 20.0;
const STEPS: usize = 1500;
/// Share of the first head when heads are mixed.
const SHARES: [f64; 5] = [1.0, 0.75, 0.5, 0.25, 0.0];

/// Eight contexts with fixed states of six dimensions, twelve responses, and linear heads from states to logits; `r1` is
/// normal, `r2 = −0.6 r1 + 0.8 · noise`. Two heads that start as copies of a random one with noise of 0.001, trained on the
/// exact loss over all pairs of both objectives, against one head trained on the same pairs mixed. Points are exact expected
/// rewards of the policy with the heads' logits mixed.
///
/// "Close" means within 0.15. Rate and the sizes of states and start are ours.
pub(super) const TOY: Toy = Toy {
    row: "mah-dpo",
    title: "Simultaneous Multi-objective Alignment Across Verifiable and Non-verifiable Rewards",
    arxiv: "2510.01167",
    claim: "Mixing the heads of two objectives gives a monotone trade-off whose ends are beyond one shared head; the equal \
            mix is close to the shared head.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::above("r1(share 1)", "r1(share 0.75)"),
        Relation::above("r1(share 0.75)", "r1(share 0.5)"),
        Relation::above("r1(share 0.5)", "r1(share 0.25)"),
        Relation::above("r1(share 0.25)", "r1(share 0)"),
        Relation::above("r2(share 0)", "r2(share 0.25)"),
        Relation::above("r2(share 0.25)", "r2(share 0.5)"),
        Relation::above("r2(share 0.5)", "r2(share 0.75)"),
        Relation::above("r2(share 0.75)", "r2(share 1)"),
        Relation::above("r1(share 1)", "r1(shared head)"),
        Relation::above("r2(share 0)", "r2(shared head)"),
        Relation::near("r1(share 0.5)", "r1(shared head)", 0.15),
        Relation::near("r2(share 0.5)", "r2(shared head)", 0.15),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let world = World::draw(&mut random);
    let head = random.normals(HEAD);
    let copy = |random: &mut Stream| head.iter().map(|w| w + 1e-3 * random.normal()).collect::<Vec<_>>();
    let copies = [copy(&mut random), copy(&mut random)];
    let mut figures = Figures::default();
    world.report(&mut figures, "reference", &head);
    let shared = world.train(&Dpo::default().with_beta(BETA).into(), &[&head], &head)?;
    world.report(&mut figures, "shared head", &shared);
    let base = Box::new(Dpo::default().with_beta(BETA).into());
    let heads = world.train(&MahDpo::default().with_base(base).into(), &[&head, &head], &copies.concat())?;
    for share in SHARES {
        let mixed: Vec<f64> = heads[..HEAD].iter().zip(&heads[HEAD..]).map(|(a, b)| share * a + (1.0 - share) * b).collect();
        world.report(&mut figures, &format!("share {share}"), &mixed);
    }
    Ok(figures)
}

struct World {
    states: Vec<f64>,
    rewards: [Vec<f64>; 2],
}

impl World {
    fn draw(random: &mut Stream) -> Self {
        let states = random.normals(CONTEXTS * DIM);
        let first = random.normals(CELLS);
        let second = first.iter().map(|r| -0.6 * r + 0.8 * random.normal()).collect();
        Self { states, rewards: [first, second] }
    }

    fn state(&self, context: usize) -> &[f64] {
        &self.states[context * DIM..][..DIM]
    }

    /// Policies of several heads: contexts one after another, head by head; weights one after another.
    fn policy(&self, heads: usize) -> Result<Policy, ToyError> {
        let cells = heads * CELLS;
        let mut features = vec![0.0; cells * heads * HEAD];
        for (cell, row) in features.chunks_mut(heads * HEAD).enumerate() {
            let (head, context, response) = (cell / CELLS, cell % CELLS / RESPONSES, cell % RESPONSES);
            row[head * HEAD + response * DIM..][..DIM].copy_from_slice(self.state(context));
        }
        Policy::log_linear(heads * CONTEXTS, vec![0.0; cells], &features)
    }

    /// Weights after steps on all pairs of both objectives, each in the head of its objective, or in the only one.
    fn train(&self, objective: &Objective, reference: &[&Vec<f64>], start: &[f64]) -> Result<Vec<f64>, ToyError> {
        let heads = reference.len();
        let policy = self.policy(heads)?;
        let (mut pairs, mut weights, mut of) = (Vec::new(), Vec::new(), Vec::new());
        for (k, rewards) in self.rewards.iter().enumerate() {
            let shift = if heads > 1 { k * CELLS } else { 0 };
            for (i, j) in ordered() {
                pairs.push((shift + i, shift + j));
                weights.push(2.0 * sigmoid_scalar(rewards[i] - rewards[j]));
                of.push(k as f64);
            }
        }
        let columns = if heads > 1 { Columns::default().with("objective", of)? } else { Columns::default() };
        let pairs = ScorePairs::cells(&pairs);
        let reference = reference.iter().flat_map(|head| head.iter().copied()).collect::<Vec<_>>();
        let reference = pairs.frozen(&policy.table(&reference)?)?;
        let mut at = start.to_vec();
        descend(&mut at, Descent::plain(RATE), STEPS, |x: Traced| {
            let terms = pairs.terms(objective, policy.logps(x)?, &reference, columns.clone())?;
            Ok(terms.times_rows(&weights)?.mean()?)
        })?;
        Ok(at)
    }

    /// Expected rewards of one head's policy, averaged over contexts.
    fn report(&self, figures: &mut Figures, name: &str, head: &[f64]) {
        let mut found = [0.0; 2];
        for context in 0..CONTEXTS {
            let odds: Vec<f64> = head.chunks(DIM).map(|w| dot(w, self.state(context)).exp()).collect();
            let total = odds.iter().sum::<f64>() * CONTEXTS as f64;
            for (sum, rewards) in found.iter_mut().zip(&self.rewards) {
                *sum += dot(&odds, &rewards[context * RESPONSES..][..RESPONSES]) / total;
            }
        }
        figures.push(format!("r1({name})"), "", found[0]);
        figures.push(format!("r2({name})"), "", found[1]);
    }
}

/// All ordered pairs of responses to one context.
fn ordered() -> impl Iterator<Item = (usize, usize)> {
    let row = |i: usize| i / RESPONSES * RESPONSES..(i / RESPONSES + 1) * RESPONSES;
    (0..CELLS).flat_map(move |i| row(i).filter(move |&j| j != i).map(move |j| (i, j)))
}
