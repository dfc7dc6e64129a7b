//! In-context ranking: a loss of whole lists learns more from a step than one of single pairs.

use dfdx::prelude::*;
use tropism_core::numerics::from_f64;
use tropism_core::{Columns, ListLogps};
use tropism_objectives::{Batch, Dpo, InContextRanking, Input, Objective};

use crate::worlds::{Descent, Loss, ScorePairs, Stream, Traced, device, dot, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const DIM: usize = 20;
const TEST_LISTS: usize = 400;
/// Length of a step; the steps after which rankings are looked at.
const STEP: f64 = 0.1;
const LOOKS: [usize; 2] = [10, 150];

/// Items with twenty features, a linear scorer, and a hidden utility with noise: the best two of a list are relevant at
/// grade 2, the next three at grade 1. Eight lists of ten items or sixteen of twenty; the in-context ranking loss on all
/// items against DPO on one random pair of unequal items per list and step, both with β = 1 and steps of the same length.
/// NDCG at 1, 3 and 5 on 400 new lists. "The same level" means within 0.02, which twenty seeds cannot tell for the smaller
/// world.
pub(super) const TOY: Toy = Toy {
    row: "irpo",
    title: "In-context Ranking Preference Optimization",
    arxiv: "2504.15477",
    claim: "After equally few steps the loss of whole lists ranks better than DPO on pairs; later both reach the same level.",
    chance: Chance::Seeds(100),
    relations: &[
        Relation::above("ndcg@1(irpo, 8 lists, step 10)", "ndcg@1(dpo, 8 lists, step 10)"),
        Relation::above("ndcg@3(irpo, 8 lists, step 10)", "ndcg@3(dpo, 8 lists, step 10)"),
        Relation::above("ndcg@5(irpo, 8 lists, step 10)", "ndcg@5(dpo, 8 lists, step 10)"),
        Relation::above("ndcg@1(irpo, 16 lists, step 10)", "ndcg@1(dpo, 16 lists, step 10)"),
        Relation::above("ndcg@3(irpo, 16 lists, step 10)", "ndcg@3(dpo, 16 lists, step 10)"),
        Relation::above("ndcg@5(irpo, 16 lists, step 10)", "ndcg@5(dpo, 16 lists, step 10)"),
        Relation::near("ndcg@5(irpo, 8 lists, step 150)", "ndcg@5(dpo, 8 lists, step 150)", 0.02),
        Relation::near("ndcg@5(irpo, 16 lists, step 150)", "ndcg@5(dpo, 16 lists, step 150)", 0.02),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let truth: Vec<f64> = random.normals(DIM).iter().map(|w| w / (DIM as f64).sqrt()).collect();
    let mut figures = Figures::default();
    for (lists, items) in [(8, 10), (16, 20)] {
        let [train, test] = [lists, TEST_LISTS].map(|n| Lists::draw(n, items, &truth, &mut random));
        let mut pairs = Stream::new(seed, 1);
        let features = train.features()?;
        let ranking = |x| train.ranking_loss(&features, x);
        follow(&mut figures, &format!("irpo, {lists} lists"), &test, |at| gradient(at, ranking))?;
        follow(&mut figures, &format!("dpo, {lists} lists"), &test, |at| {
            let (chosen, rejected) = train.one_pair_each(&mut pairs);
            let batch = ScorePairs::features(DIM, &chosen, &rejected)?;
            let (objective, reference) = (Dpo::default().with_beta(1.0).into(), batch.frozen(&[0.0; DIM])?);
            gradient(at, |x| batch.loss(&objective, x, &reference))
        })?;
    }
    Ok(figures)
}

/// Normalised steps from 0 along a gradient that may change from step to step; reports at the looks.
fn follow(
    figures: &mut Figures,
    name: &str,
    test: &Lists,
    mut slopes: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>), ToyError>,
) -> Result<(), ToyError> {
    let (mut at, mut rule, mut done) = (vec![0.0; DIM], Descent::normalized(STEP), 0);
    for look in LOOKS {
        for _ in done..look {
            let (_, slopes) = slopes(&at)?;
            rule.step(&mut at, &slopes)?;
        }
        done = look;
        for k in [1, 3, 5] {
            figures.push(format!("ndcg@{k}({name}, step {look})"), "", test.ndcg(&at, k));
        }
    }
    Ok(())
}

/// Lists of items, item by item.
struct Lists {
    items: usize,
    points: Vec<f64>,
    /// places by utility, from 0 for the best
    ranks: Vec<usize>,
}

/// Graded relevance of an item by its place.
fn relevance(rank: usize) -> f64 {
    match rank {
        0 | 1 => 2.0,
        2..=4 => 1.0,
        _ => 0.0,
    }
}

impl Lists {
    fn draw(lists: usize, items: usize, truth: &[f64], random: &mut Stream) -> Self {
        let points = random.normals(lists * items * DIM);
        let utilities: Vec<f64> = points.chunks(DIM).map(|x| dot(x, truth) + 0.7 * random.normal()).collect();
        let ranks = utilities.chunks(items).flat_map(places).collect();
        Self { items, points, ranks }
    }

    /// Features dimension by dimension, `[dim, items]`.
    fn features(&self) -> Result<Tensor<(usize, usize), f64, Cpu>, ToyError> {
        let items = self.ranks.len();
        let turned: Vec<f64> = (0..DIM * items).map(|i| self.points[i % items * DIM + i / items]).collect();
        Ok(from_f64(&Cpu::default(), &turned, (DIM, items))?)
    }

    fn ranking_loss(&self, features: &Tensor<(usize, usize), f64, Cpu>, x: Traced) -> Result<Loss, ToyError> {
        let scores = x.try_matmul(features.clone()).map_err(device)?;
        let still = from_f64(&Cpu::default(), &vec![0.0; self.ranks.len()], (self.ranks.len(),))?;
        let columns = Columns::default()
            .with("relevance", self.ranks.iter().map(|&r| relevance(r)).collect())?
            .with("rank", self.ranks.iter().map(|&r| r as f64).collect())?;
        let input = Input::Lists(self.logps(scores)?, Some(self.logps::<NoneTape>(still)?));
        let objective: Objective = InContextRanking::default().into();
        Ok(objective.loss(Batch::from(input).with_columns(columns))?.mean()?)
    }

    fn logps<T: Tape<f64, Cpu>>(
        &self,
        scores: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<ListLogps<usize, usize, f64, Cpu, T>, ToyError> {
        let cells = self.ranks.len();
        let table = scores.try_reshape_like(&(cells / self.items, self.items)).map_err(device)?;
        Ok(ListLogps::new(table, &vec![true; cells], &vec![1; cells])?)
    }

    /// Features of a more and a less relevant item of each list.
    fn one_pair_each(&self, random: &mut Stream) -> (Vec<f64>, Vec<f64>) {
        let (mut chosen, mut rejected) = (Vec::new(), Vec::new());
        for (points, ranks) in self.points.chunks(self.items * DIM).zip(self.ranks.chunks(self.items)) {
            let (w, l) = loop {
                let [i, j] = [0; 2].map(|_| random.below(self.items));
                if relevance(ranks[i]) > relevance(ranks[j]) {
                    break (i, j);
                }
            };
            chosen.extend(&points[w * DIM..][..DIM]);
            rejected.extend(&points[l * DIM..][..DIM]);
        }
        (chosen, rejected)
    }

    /// Mean NDCG at `k` of the ranking by score, with gains `2^y − 1`.
    fn ndcg(&self, weights: &[f64], k: usize) -> f64 {
        let scores: Vec<f64> = self.points.chunks(DIM).map(|x| dot(x, weights)).collect();
        let gain = |rank: usize, place: usize| (relevance(rank).exp2() - 1.0) / (place as f64 + 2.0).log2();
        let ideal: f64 = (0..k).map(|place| gain(place, place)).sum();
        let lists = scores.chunks(self.items).zip(self.ranks.chunks(self.items)).map(|(scores, ranks)| {
            let found = places(scores).into_iter().zip(ranks).filter(|(place, _)| *place < k);
            found.map(|(place, &rank)| gain(rank, place)).sum::<f64>() / ideal
        });
        lists.sum::<f64>() * self.items as f64 / self.ranks.len() as f64
    }
}

/// Each entry's place in falling order, from 0.
fn places(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    let mut places = vec![0; values.len()];
    order.into_iter().enumerate().for_each(|(place, i)| places[i] = place);
    places
}
