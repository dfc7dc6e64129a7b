//! RankDPO: the whole ranking against its best and worst, all pairs alike, and one pair.

use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::Condition;
use tropism_diffusion::objectives::{ErrorTable, RankDpo, weighted_ranking, win_rates};
use tropism_diffusion::train::{Training, errors_at};

use crate::worlds::ring::{Ring, batch, points};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const K: usize = 4;
const LISTS: usize = 3000;
const ROWS: usize = 128;
const BETA: f64 = 500.0;

/// RING-8: 3000 lists of 4 samples of the base, win rates from 5 judges that see the first coordinate with noise of 0.3. 500 steps of Adam
/// at 1e-4 on 128 lists, β = 500, time and noise shared in a list; every variant's pair weights sum to 6 a list.
pub(super) const TOY: Toy = Toy {
    row: "rankdpo",
    title: "Scalable Ranked Preference Optimization for Text-to-Image Generation",
    arxiv: "2410.18013",
    claim: "Weights by discounted gains make more of a ranking than all pairs alike or a single pair do.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above("reward(ranked)", "reward(all pairs)"),
        Relation::above("reward(all pairs)", "reward(one pair)"),
        Relation::near("reward(ranked)", "reward(best and worst)", 0.05),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let ring = Ring::diffusion(seed)?;
    let samples = ring.drawn(LISTS * K)?;
    let mut judges = ring.stream(3);
    let rates = samples.chunks(2 * K).map(|list| rates(list, &mut judges)).collect::<Result<Vec<_>, _>>()?;
    let mut figures = Figures::default();
    ring.report(&mut figures, "base", &ring.base)?;
    for (name, variant) in
        [("ranked", Variant::Ranked), ("best and worst", Variant::Extremes), ("all pairs", Variant::All), ("one pair", Variant::One)]
    {
        let mut draws = ring.stream(4);
        let weights: Vec<Vec<f64>> = rates.iter().map(|list| variant.weights(list, &mut draws)).collect();
        let mut training = Training::new(ring.base.clone(), ring.config(500, 1e-4))?;
        training.run(
            |model, stream, tape| {
                let at = batch(LISTS, ROWS, stream);
                let data: Vec<f64> = at.iter().flat_map(|&i| samples[2 * K * i..2 * K * (i + 1)].to_vec()).collect();
                let alike = |values: Vec<f64>, width: usize| -> Vec<f64> {
                    values.chunks(width).flat_map(|v| v.repeat(K)).collect()
                };
                let times = alike(ring.process.draw_times(ROWS, stream), 1);
                let noise = alike(stream.normals(2 * ROWS), 2);
                let noised = ring.process.noise(&points(&data)?, &points(&noise)?, &times)?;
                let none = Condition::none();
                let table = |errors: tropism_diffusion::train::Errors<f32, _>| -> Result<_, tropism_diffusion::DiffusionError> {
                    ErrorTable::new(dfdx::prelude::ReshapeTo::reshape_like(errors, &(ROWS, K)))
                };
                let ours = table(errors_at(model, &noised, &none, tape)?)?;
                let theirs = errors_at(&ring.base, &noised, &none, dfdx::prelude::NoneTape)?;
                let theirs = ErrorTable::new(dfdx::prelude::ReshapeTo::reshape_like(theirs, &(ROWS, K)))?;
                let weights: Vec<f64> = at.iter().flat_map(|&i| weights[i].clone()).collect();
                Ok(weighted_ranking(ours, theirs, &weights, BETA)?)
            },
            |_| (),
        )?;
        ring.report(&mut figures, name, training.model())?;
    }
    Ok(figures)
}

/// Win rates of a list by five judges.
fn rates(list: &[f64], stream: &mut Stream) -> Result<Vec<f64>, ToyError> {
    let mut judge = || list.chunks(2).map(|x| x[0] + 0.3 * stream.normal()).collect::<Vec<f64>>();
    let scores: Vec<Vec<f64>> = (0..5).map(|_| judge()).collect();
    Ok(win_rates(&scores)?)
}

#[derive(Clone, Copy)]
enum Variant {
    Ranked,
    Extremes,
    All,
    One,
}

impl Variant {
    /// Pair weights of a list, which sum to `K(K−1)/2` unless all of its rates are the same.
    fn weights(self, rates: &[f64], stream: &mut Stream) -> Vec<f64> {
        if let Variant::Ranked = self {
            return RankDpo::default().with_normalized(true).pair_weights(rates);
        }
        let pairs: Vec<usize> = (0..K * K).filter(|at| rates[at / K] > rates[at % K]).collect();
        let gap = |at: usize| rates[at / K] - rates[at % K];
        let kept = match self {
            Variant::All | Variant::Ranked => pairs,
            Variant::One => pairs.get(stream.below(pairs.len())).copied().into_iter().collect(),
            Variant::Extremes => pairs.iter().copied().max_by(|&a, &b| gap(a).total_cmp(&gap(b))).into_iter().collect(),
        };
        let mut weights = vec![0.0; K * K];
        kept.iter().for_each(|&at| weights[at] = (K * (K - 1)) as f64 / 2.0 / kept.len() as f64);
        weights
    }
}
