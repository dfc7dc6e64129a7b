//! 3D-Properties: what DPO does to a small network, and what two regularisers change.

use dfdx::prelude::*;
use tropism_core::numerics::from_f64;
use tropism_core::{PairLogps, SequenceLogps};
use tropism_evaluation::likelihood::{ScoredPairs, ThreeD, three_d_properties};
use tropism_objectives::{Dpo, FlexDpo, Objective, Sft};

use crate::worlds::{Descent, ScorePairs, Stream, descend, device, gradient, pick};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const PROMPTS: usize = 4;
const RESPONSES: usize = 10;
const CELLS: usize = PROMPTS * RESPONSES;
const BETA: f64 = 0.1;
const RATE: f64 = 1e-2;
/// Steps that fit the reference, and steps of preference training.
const STEPS: [usize; 2] = [400, 500];

/// Four one-hot prompts, a network 4 → h → h → 10 with tanh and softmax, h = 3 or 32, and a reference that gives responses
/// 0 to 3 a probability of 0.2. Prompt `i` has chosen `i` and rejected `i + 1 mod 4`, so that what is chosen for one prompt
/// is rejected for another. Adam at 0.01, β = 0.1, figures after 500 steps, averaged over prompts.
///
/// Falls, rises and gradients are in logs, the gradients those in the probabilities of chosen and rejected. "Many orders"
/// and "exploding" mean a factor of 10⁴ and 10³ at least; "late growth" is that of the mass on unseen responses above its
/// lowest value during training, 0.01 at least; it differs so much between seeds that twelve do not tell.
/// Weights start uniform within `± 1/√inputs`, our choice.
pub(super) const TOY: Toy = Toy {
    row: "3d-properties",
    title: "3D-Properties: Identifying Challenges in DPO and Charting a Path Forward",
    arxiv: "2406.07327",
    claim: "DPO drops rejected responses by orders, loses its push on chosen ones, and moves mass to unseen responses; a \
            smaller scale for the rejected side or a likelihood term keep that mass down, but do not stop the drop.",
    chance: Chance::Seeds(100),
    relations: &[
        Relation::above_value("fall of rejected(dpo)", 9.2),
        Relation::below_value("rise of chosen(dpo)", 5.0),
        Relation::above("log gradient of chosen(dpo, start)", "log gradient of chosen(dpo)"),
        Relation::above_by("log gradient of rejected(dpo)", "log gradient of rejected(dpo, start)", 6.9),
        Relation::above("log gradient of chosen(dpo, start)", "log gradient of chosen(dpo, width 32)"),
        Relation::above_by("log gradient of rejected(dpo, width 32)", "log gradient of rejected(dpo, start)", 6.9),
        Relation::above("unseen(dpo)", "unseen(flex 0.02)"),
        Relation::above("unseen(dpo)", "unseen(nll 0.1)"),
        Relation::above_value("late growth of unseen(dpo, width 32)", 0.01),
        Relation::above_value("fall of rejected(flex 0.02)", 9.2),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let flex = |rejected: f64, nll: f64| -> Objective {
        FlexDpo::default().with_beta_chosen(BETA).with_beta_rejected(rejected).with_nll_weight(nll).into()
    };
    let dpo: Objective = Dpo::default().with_beta(BETA).into();
    let settings = [
        ("dpo", &dpo),
        ("flex 0.08", &flex(0.08, 0.0)),
        ("flex 0.02", &flex(0.02, 0.0)),
        ("nll 0.02", &flex(BETA, 0.02)),
        ("nll 0.1", &flex(BETA, 0.1)),
    ];
    let mut figures = Figures::default();
    let narrow = World::new(seed, 3)?;
    gradients(&mut figures, "dpo, start", &narrow.properties(&narrow.table)?);
    for (name, objective) in settings {
        narrow.report(&mut figures, name, &narrow.train(objective)?.0)?;
    }
    let wide = World::new(seed, 32)?;
    let (end, least) = wide.train(&dpo)?;
    wide.report(&mut figures, "dpo, width 32", &end)?;
    figures.push("late growth of unseen(dpo, width 32)", "", wide.unseen(&end) - least);
    Ok(figures)
}

struct World {
    network: Network,
    start: Vec<f64>,
    /// log-probabilities of the reference
    table: Vec<f64>,
    pairs: ScorePairs,
    reference: PairLogps<usize, f64, Cpu>,
}

/// Cells of a prompt's chosen and rejected response.
fn cells(prompt: usize) -> (usize, usize) {
    let row = prompt * RESPONSES;
    (row + prompt, row + (prompt + 1) % PROMPTS)
}

impl World {
    fn new(seed: u64, width: usize) -> Result<Self, ToyError> {
        let network = Network { width };
        let mut start = network.draw(&mut Stream::new(seed, width as u64));
        let lengths = [1; CELLS];
        let likely = |cell: usize| if cell % RESPONSES < PROMPTS { 0.2 } else { 0.2 / 6.0 };
        let targets: Vec<f64> = (0..CELLS).map(likely).collect();
        descend(&mut start, Descent::adam(RATE), STEPS[0], |x| {
            let rows = SequenceLogps::new(network.logps(x)?, &lengths)?;
            Ok(Objective::from(Sft::default()).sequence_loss(rows)?.times_rows(&targets)?.mean()?)
        })?;
        let table = network.table(&start)?;
        let pairs = ScorePairs::cells(&[0, 1, 2, 3].map(cells));
        let reference = pairs.frozen(&table)?;
        Ok(Self { network, start, table, pairs, reference })
    }

    /// Log-probabilities at the end, and the lowest unseen mass on the way.
    fn train(&self, objective: &Objective) -> Result<(Vec<f64>, f64), ToyError> {
        let (mut at, mut rule, mut least) = (self.start.clone(), Descent::adam(RATE), 1.0f64);
        for _ in 0..STEPS[1] {
            let loss = |x| self.pairs.loss(objective, self.network.logps(x)?, &self.reference);
            let (_, slopes) = gradient(&at, loss)?;
            rule.step(&mut at, &slopes)?;
            least = least.min(self.unseen(&self.network.table(&at)?));
        }
        Ok((self.network.table(&at)?, least))
    }

    /// Probability of responses that are neither chosen nor rejected for a prompt.
    fn unseen(&self, table: &[f64]) -> f64 {
        1.0 - average(|prompt| table[cells(prompt).0].exp() + table[cells(prompt).1].exp())
    }

    /// Drop, degradation and dispersion under a table.
    fn properties(&self, table: &[f64]) -> Result<ThreeD, ToyError> {
        let side = |table: &[f64], of: fn((usize, usize)) -> usize| (0..PROMPTS).map(|p| table[of(cells(p))]).collect::<Vec<_>>();
        let both = |table: &[f64]| [side(table, |c| c.0), side(table, |c| c.1)];
        let ([chosen, rejected], [ref_chosen, ref_rejected]) = (both(table), both(&self.table));
        let pairs = ScoredPairs::new(&chosen, &rejected)?.with_reference(&ref_chosen, &ref_rejected)?;
        Ok(three_d_properties(&pairs, [BETA; 2], None)?)
    }

    fn report(&self, figures: &mut Figures, name: &str, table: &[f64]) -> Result<(), ToyError> {
        let found = self.properties(table)?;
        let chosen = |t: &[f64]| average(|p| t[cells(p).0].exp());
        figures.push(format!("chosen({name})"), "", chosen(table));
        figures.push(format!("rise of chosen({name})"), "", chosen(table) / chosen(&self.table));
        figures.push(format!("fall of rejected({name})"), "nats", -found.drop.rejected.value);
        figures.push(format!("unseen({name})"), "", self.unseen(table));
        // of DPO alone: the other losses have other gradients
        if name.starts_with("dpo") {
            gradients(figures, name, &found);
        }
        Ok(())
    }
}

/// Logs of DPO's gradients in the probabilities of chosen and rejected.
fn gradients(figures: &mut Figures, name: &str, found: &ThreeD) {
    figures.push(format!("log gradient of chosen({name})"), "nats", found.log_gradient_chosen.value);
    figures.push(format!("log gradient of rejected({name})"), "nats", found.log_gradient_rejected.value);
}

fn average(of: impl Fn(usize) -> f64) -> f64 {
    (0..PROMPTS).map(of).sum::<f64>() / PROMPTS as f64
}

/// Two hidden layers of tanh on one-hot prompts, softmax over responses; weights and biases layer by layer.
struct Network {
    width: usize,
}

impl Network {
    fn layers(&self) -> [(usize, usize); 3] {
        [(PROMPTS, self.width), (self.width, self.width), (self.width, RESPONSES)]
    }

    fn draw(&self, random: &mut Stream) -> Vec<f64> {
        let mut layer = |(inputs, outputs): (usize, usize)| {
            let bound = 1.0 / (inputs as f64).sqrt();
            (0..(inputs + 1) * outputs).map(|_| bound * (2.0 * random.uniform() - 1.0)).collect::<Vec<_>>()
        };
        self.layers().map(&mut layer).concat()
    }

    /// Log-probabilities of all cells, on the tape of the parameters.
    fn logps<T: Tape<f64, Cpu>>(
        &self,
        parameters: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<Tensor<(usize,), f64, Cpu, T>, ToyError> {
        let part = |from: usize, size: usize| {
            pick(parameters.with_empty_tape(), &(from..from + size).collect::<Vec<_>>())
        };
        let one_hot: Vec<f64> = (0..PROMPTS * PROMPTS).map(|i| f64::from(i % (PROMPTS + 1) == 0)).collect();
        let input: Tensor<(usize, usize), f64, Cpu> = from_f64(&Cpu::default(), &one_hot, (PROMPTS, PROMPTS))?;
        let (mut states, mut at) = (input.put_tape(T::default()), 0);
        for (layer, (inputs, outputs)) in self.layers().into_iter().enumerate() {
            let weights = part(at, inputs * outputs)?.try_reshape_like(&(inputs, outputs)).map_err(device)?;
            let bias = part(at + inputs * outputs, outputs)?;
            at += (inputs + 1) * outputs;
            let bias = bias.try_broadcast_like::<_, Axis<0>>(&(PROMPTS, outputs)).map_err(device)?;
            states = states.try_matmul(weights).and_then(|s| s.try_add(bias)).map_err(device)?;
            if layer < 2 {
                states = states.try_tanh().map_err(device)?;
            }
        }
        let table = states.try_log_softmax::<Axis<1>>().map_err(device)?;
        let table = table.try_reshape_like(&(CELLS,)).map_err(device)?;
        // the tape of the parameters joins those of their parts
        let (_, tape) = parameters.split_tape();
        let (table, own) = table.split_tape();
        Ok(table.put_tape(tape.merge(own)))
    }

    fn table(&self, parameters: &[f64]) -> Result<Vec<f64>, ToyError> {
        Ok(self.logps(from_f64(&Cpu::default(), parameters, (parameters.len(),))?)?.as_vec())
    }
}
