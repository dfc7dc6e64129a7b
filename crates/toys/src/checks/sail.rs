//! SAIL: drift of attention finds the layers that handle a conflict.

use tropism_evaluation::safety::{AttentionMap, Drift, attention_drift, localise};

use crate::worlds::Stream;
use crate::{Chance, Figures, Relation, Toy, ToyError};

const LAYERS: usize = 12;
const HEADS: usize = 4;
const KEYS: usize = 10;
const CELLS: usize = LAYERS * HEADS * KEYS;
/// Layers that attend elsewhere under conflict, counted from 0.
const FOCAL: std::ops::Range<usize> = 5..7;
/// Shares of the mass that are redrawn: everywhere, and in the focal layers.
const NOISE: f64 = 0.05;
const CONFLICT: f64 = 0.5;
const PROMPTS: usize = 8;

/// Attention of twelve layers with four heads over ten keys, uniform on the simplex; of the same prompt under conflict,
/// with a twentieth of the mass redrawn in all layers and half of it in layers 5 and 6. Eight pairs of prompts, or one. The two
/// neighbouring layers with the largest mean Jensen–Shannon divergence are to be those.
///
/// The part of the sheet that trains adapters of these layers needs a transformer and is not here.
pub(super) const TOY: Toy = Toy {
    row: "sail",
    title: "Diagnose, Localize, Align: A Full-Stack Framework for Reliable LLM Multi-Agent Systems under Instruction Conflicts",
    arxiv: "2509.23188",
    claim: "Layers that handle a conflict between instructions are found by the drift of their attention.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::near_value("found(8 prompts)", 1.0, 1e-9),
        Relation::near_value("found(1 prompt)", 1.0, 1e-9),
        Relation::above("least drift of focal layers", "largest drift of other layers"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let drifts: Vec<Drift> = (0..PROMPTS).map(|_| drift(&mut random)).collect::<Result<_, _>>()?;
    let all = localise(&drifts, None, FOCAL.len())?;
    let one = localise(&drifts[..1], None, FOCAL.len())?;
    let of = |focal: bool| {
        let layers = all.layers.iter().enumerate();
        layers.filter(move |(l, _)| FOCAL.contains(l) == focal).map(|(_, f)| f.value)
    };
    let mut figures = Figures::default();
    figures.push("found(8 prompts)", "", f64::from(u8::from(all.focal == FOCAL)));
    figures.push("found(1 prompt)", "", f64::from(u8::from(one.focal == FOCAL)));
    figures.push("least drift of focal layers", "nats", of(true).fold(f64::INFINITY, f64::min));
    figures.push("largest drift of other layers", "nats", of(false).fold(0.0, f64::max));
    Ok(figures)
}

/// Drift of a pair of prompts.
fn drift(random: &mut Stream) -> Result<Drift, ToyError> {
    let (clean, fresh) = (attention(random), attention(random));
    let share = |cell: usize| if FOCAL.contains(&(cell / (HEADS * KEYS))) { CONFLICT } else { NOISE };
    let conflict: Vec<f64> =
        (0..CELLS).map(|cell| (1.0 - share(cell)) * clean[cell] + share(cell) * fresh[cell]).collect();
    let shape = [LAYERS, HEADS, 1, KEYS];
    let keys: Vec<(usize, usize)> = (0..KEYS).map(|k| (k, k)).collect();
    Ok(attention_drift(&AttentionMap::new(shape, &clean)?, &AttentionMap::new(shape, &conflict)?, &keys)?)
}

/// Distributions over the keys, uniform on the simplex.
fn attention(random: &mut Stream) -> Vec<f64> {
    let mut weights: Vec<f64> = (0..CELLS).map(|_| -(1.0 - random.uniform()).ln()).collect();
    for row in weights.chunks_mut(KEYS) {
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|w| *w /= sum);
    }
    weights
}
