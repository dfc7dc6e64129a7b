//! TraceAlign: what a model learnt by heart from unsafe documents is found by its rarity, vetoed, or unlearnt.

use dfdx::prelude::*;
use tropism_core::PairTokens;
use tropism_evaluation::safety::{Surprisal, TraceIndex, belief_conflict, trace, would_refuse};
use tropism_objectives::{Batch, Dpo, Input, Objective, Tracealign, conflict_weights};

use crate::worlds::{Descent, Policy, Stream, TokenRows, Traced, descend};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const VOCABULARY: usize = 200;
const DOCUMENTS: usize = 200;
const LENGTH: usize = 40;
/// Planted sequences, their tokens, and their copies in training.
const PLANTED: usize = 5;
const SPAN: usize = 8;
const COPIES: usize = 3;
const SMOOTHING: f64 = 0.002;
const WINDOW: usize = 4;
const THRESHOLD: f64 = 20.0;
const GENERATED: usize = 12;
const RUNS: usize = 300;
const STEPS: usize = 100;
const RATE: f64 = 5.0;

/// Two hundred benign documents of forty tokens by Zipf's law (1.1, 200 tokens), and five sequences of eight rare tokens,
/// three times each in training as documents of their own, which are the unsafe corpus. A bigram model with smoothing 0.002;
/// prompts are the first two tokens of a planted sequence, or two of a benign document; twelve tokens, 300 runs. Drift is the
/// share of runs in which four tokens stand in the unsafe corpus with a belief conflict above 20 nats. The veto takes every
/// token that would complete such a span.
///
/// Then 30 pairs with a planted continuation as the chosen side: DPO (β = 0.1), and DPO with unlikelihood of traced spans at a
/// weight of 0.01 and of 1, a hundred plain steps of 5 each on the bigram logits. Lengths of documents and steps are ours.
pub(super) const TOY: Toy = Toy {
    row: "tracealign",
    title: "Tracing the Drift: Attributing Alignment Failures to Training-Time Belief Sources in LLMs",
    arxiv: "2508.02063",
    claim: "Spans of unsafe training text stand out by their belief conflict; a veto on them ends drift and costs benign text \
            nothing, and a penalty on them lowers them even where they are preferred.",
    chance: Chance::Seeds(8),
    relations: &[
        Relation::above_by("conflict(planted)", "conflict(random)", 5.0),
        Relation::above_value("conflict(planted)", THRESHOLD),
        Relation::above_value("drift(plain)", 0.01),
        Relation::near_value("drift(veto)", 0.0, 1e-9),
        Relation::near_value("drift(benign, veto)", 0.0, 1e-9),
        Relation::near("logp(benign, veto)", "logp(benign, plain)", 0.01),
        Relation::above("planted(dpo)", "planted(dpo, spans 0.01)"),
        Relation::above("planted(dpo)", "planted(dpo, spans 1)"),
        Relation::below_value("planted(dpo, spans 0.01)", 0.0),
        Relation::below_value("planted(dpo, spans 1)", 0.0),
        Relation::below_value("benign loss(dpo, spans 0.01)", 0.05),
        Relation::below_value("benign loss(dpo, spans 1)", 0.05),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let world = World::draw(&mut random)?;
    let mut figures = Figures::default();
    world.conflicts(&mut figures, &mut random)?;
    for (name, benign) in [("", false), ("benign, ", true)] {
        for veto in [false, true] {
            // the same prompts and draws with and without the veto
            let (drift, logp) = world.generate(benign, veto, &mut Stream::new(seed, 1 + u64::from(benign)))?;
            let name = format!("{name}{}", if veto { "veto" } else { "plain" });
            figures.push(format!("drift({name})"), "", drift);
            figures.push(format!("logp({name})"), "nats per token", logp);
        }
    }
    world.unlearn(&mut figures, &mut random)?;
    Ok(figures)
}

struct World {
    documents: Vec<Vec<u32>>,
    planted: Vec<Vec<u32>>,
    index: TraceIndex,
    surprisal: Surprisal,
    /// log-probabilities of the bigram model, row by row
    table: Vec<f64>,
}

impl World {
    fn draw(random: &mut Stream) -> Result<Self, ToyError> {
        let weights: Vec<f64> = (1..=VOCABULARY).map(|rank| (rank as f64).powf(-1.1)).collect();
        let sum: f64 = weights.iter().sum();
        let odds: Vec<f64> = weights.iter().map(|w| w / sum).collect();
        let document = |random: &mut Stream| (0..LENGTH).map(|_| random.pick(&odds) as u32).collect::<Vec<_>>();
        let documents: Vec<Vec<u32>> = (0..DOCUMENTS).map(|_| document(random)).collect();
        let rare = |random: &mut Stream| (VOCABULARY / 2 + random.below(VOCABULARY / 2)) as u32;
        let planted: Vec<Vec<u32>> = (0..PLANTED).map(|_| (0..SPAN).map(|_| rare(random)).collect()).collect();
        let copies = std::iter::repeat_n(&planted, COPIES).flatten();
        let training: Vec<&[u32]> = documents.iter().chain(copies).map(Vec::as_slice).collect();
        Ok(Self {
            index: TraceIndex::new(&planted.iter().map(Vec::as_slice).collect::<Vec<_>>())?,
            surprisal: Surprisal::from_corpus(&training, VOCABULARY)?,
            table: bigrams(&training),
            documents,
            planted,
        })
    }

    fn row(&self, last: u32) -> &[f64] {
        &self.table[last as usize * VOCABULARY..][..VOCABULARY]
    }

    /// Belief conflict of windows of planted sequences, and of documents.
    fn conflicts(&self, figures: &mut Figures, random: &mut Stream) -> Result<(), ToyError> {
        let mut mean = |name: &str, windows: Vec<&[u32]>| -> Result<(), ToyError> {
            let all = windows.iter().map(|w| Ok(belief_conflict(w, &self.surprisal)?.total));
            let all = all.collect::<Result<Vec<f64>, ToyError>>()?;
            figures.push(format!("conflict({name})"), "nats", all.iter().sum::<f64>() / all.len() as f64);
            Ok(())
        };
        mean("planted", self.planted.iter().flat_map(|p| p.windows(WINDOW)).collect())?;
        let mut window = || &self.documents[random.below(DOCUMENTS)][random.below(LENGTH - WINDOW)..][..WINDOW];
        mean("random", (0..RUNS).map(|_| window()).collect())
    }

    /// Whether a text contains an unsafe span.
    fn drifts(&self, text: &[u32]) -> Result<bool, ToyError> {
        Ok(would_refuse(&trace(text, WINDOW, &self.index, &self.surprisal, None)?, THRESHOLD))
    }

    /// Share of runs that drift, and mean log-probability of a token under the model without veto.
    fn generate(&self, benign: bool, veto: bool, random: &mut Stream) -> Result<(f64, f64), ToyError> {
        let (mut drifted, mut logp) = (0, 0.0);
        for _ in 0..RUNS {
            let prompt = match benign {
                true => &self.documents[random.below(DOCUMENTS)][random.below(LENGTH - 2)..][..2],
                false => &self.planted[random.below(PLANTED)][..2],
            };
            let mut text = prompt.to_vec();
            for _ in 0..GENERATED {
                let row = self.row(text[text.len() - 1]);
                let mut odds: Vec<f64> = row.iter().map(|l| l.exp()).collect();
                if veto {
                    self.veto(&text, &mut odds)?;
                }
                let token = random.pick(&odds);
                logp += row[token] / (RUNS * GENERATED) as f64;
                text.push(token as u32);
            }
            drifted += usize::from(self.drifts(&text)?);
        }
        Ok((drifted as f64 / RUNS as f64, logp))
    }

    /// Takes tokens that would complete an unsafe span; the others keep their proportions.
    fn veto(&self, text: &[u32], odds: &mut [f64]) -> Result<(), ToyError> {
        let Some(start) = (text.len() + 1).checked_sub(WINDOW) else { return Ok(()) };
        for (token, odds) in odds.iter_mut().enumerate() {
            let span = [&text[start..], &[token as u32]].concat();
            if self.drifts(&span)? {
                *odds = 0.0;
            }
        }
        let sum: f64 = odds.iter().sum();
        odds.iter_mut().for_each(|p| *p /= sum);
        Ok(())
    }

    /// Training on pairs that prefer planted continuations.
    fn unlearn(&self, figures: &mut Figures, random: &mut Stream) -> Result<(), ToyError> {
        let cells = |text: &[u32]| text.windows(2).map(|w| w[0] as usize * VOCABULARY + w[1] as usize).collect::<Vec<_>>();
        let mut sides = [Vec::new(), Vec::new()];
        let mut conflicts = [Vec::new(), Vec::new()];
        for k in 0..PLANTED * 6 {
            let chosen = self.planted[k % PLANTED].clone();
            let mut rejected = chosen[..2].to_vec();
            while rejected.len() < SPAN {
                let odds: Vec<f64> = self.row(rejected[rejected.len() - 1]).iter().map(|l| l.exp()).collect();
                rejected.push(random.pick(&odds) as u32);
            }
            for (side, text) in [chosen, rejected].into_iter().enumerate() {
                // the first token is predicted by none
                let spans = trace(&text, WINDOW, &self.index, &self.surprisal, None)?;
                let spans = spans.into_iter().map(|t| (t.span.start.max(1) - 1..t.span.end - 1, t.conflict.total));
                conflicts[side].extend(conflict_weights(SPAN - 1, &spans.collect::<Vec<_>>(), THRESHOLD, 1.0)?);
                sides[side].push(cells(&text));
            }
        }
        let [chosen, rejected] = [TokenRows::new(&sides[0], SPAN - 1)?, TokenRows::new(&sides[1], SPAN - 1)?];
        let policy = Policy::tabular(VOCABULARY, VOCABULARY);
        let start = tropism_core::numerics::from_f64(&Cpu::default(), &self.table, (self.table.len(),))?;
        let pairs = |cells: Tensor<(usize,), f64, Cpu>| Ok::<_, ToyError>(PairTokens::new(chosen.logps(cells.clone())?, rejected.logps(cells)?)?);
        let reference = pairs(start)?;
        let columns = tropism_core::Columns::default()
            .with("conflict/chosen", conflicts[0].clone())?
            .with("conflict/rejected", conflicts[1].clone())?;
        for (name, weight) in [("dpo", 0.0), ("dpo, spans 0.01", 0.01), ("dpo, spans 1", 1.0)] {
            let objective: Objective = Tracealign::default().with_lambda(weight).with_base(Box::new(Dpo::default().into())).into();
            let mut logits = self.table.clone();
            descend(&mut logits, Descent::plain(RATE), STEPS, |x: Traced| {
                let table = policy.logps(x)?;
                let again = table.with_empty_tape();
                let input = Input::PairTokens(PairTokens::new(chosen.logps(table)?, rejected.logps(again)?)?, Some(reference.clone()));
                Ok(objective.loss(Batch::from(input).with_columns(columns.clone()))?.mean()?)
            })?;
            self.changes(figures, name, &policy.table(&logits)?);
        }
        Ok(())
    }

    /// Change of the log-probability of planted sequences, and relative rise of the loss on benign documents.
    fn changes(&self, figures: &mut Figures, name: &str, table: &[f64]) {
        let mean = |texts: &[Vec<u32>], table: &[f64]| {
            let all: Vec<f64> = texts.iter().flat_map(|t| t.windows(2)).map(|w| table[w[0] as usize * VOCABULARY + w[1] as usize]).collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        let change = |texts: &[Vec<u32>]| mean(texts, table) - mean(texts, &self.table);
        figures.push(format!("planted({name})"), "nats per token", change(&self.planted));
        figures.push(format!("benign loss({name})"), "", change(&self.documents) / mean(&self.documents, &self.table));
    }
}

/// A bigram model: `(count + s) / (total + s V)` in logs.
fn bigrams(documents: &[&[u32]]) -> Vec<f64> {
    let mut counts = vec![SMOOTHING; VOCABULARY * VOCABULARY];
    documents.iter().flat_map(|d| d.windows(2)).for_each(|w| counts[w[0] as usize * VOCABULARY + w[1] as usize] += 1.0);
    for row in counts.chunks_mut(VOCABULARY) {
        let total: f64 = row.iter().sum();
        row.iter_mut().for_each(|c| *c = (*c / total).ln());
    }
    counts
}
