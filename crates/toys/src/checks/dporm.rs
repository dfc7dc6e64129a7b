//! DPORM: an implicit reward knows nothing of tokens that it was not trained on; an explicit one shares what it learnt.

use tropism_evaluation::Bootstrap;
use tropism_evaluation::reward_model::{Gap, reward_gap, scale_free_margin};
use tropism_objectives::{Dpo, Objective};

use crate::worlds::{Descent, PairBatch, Policy, ScorePairs, Stream, Traced, descend, dot};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const TOKENS: usize = 60;
/// Tokens of each class in training; tokens with even numbers are the good ones.
const TRAINED: usize = 10;
const DIM: usize = 8;
const PROMPTS: usize = 8;
/// Pairs to train on, enough for every good and bad token to meet every prompt, and pairs of an evaluation.
const TRAIN: usize = 1000;
const PAIRS: usize = 400;
const STEPS: usize = 400;
const BETA: f64 = 0.1;
/// Rewards closer than this are equal: rows that were not trained move by rounding alone.
const ROUNDING: f64 = 1e-9;

/// Answers of one token out of sixty, in two classes that the first axis of their embeddings tells apart, by noise of 0.5 on
/// all axes. Eight prompts with fixed hidden states; a thousand training pairs of ten tokens of each class, the good one chosen. The
/// implicit reward is DPO's of a softmax over `W h` (β = 0.1, plain steps of 20), the explicit one `u · e` of the embedding
/// (plain steps of 0.5), 400 steps each from the same data. Accuracy on 400 pairs each: of training tokens, of unseen ones, of
/// seen good and unseen bad ones. Dimensions, prompts and steps are ours.
pub(super) const TOY: Toy = Toy {
    row: "dporm",
    title: "On the Limited Generalization Capability of the Implicit Reward Model Induced by DPO",
    arxiv: "2409.03650",
    claim: "Implicit and explicit rewards fit the training pairs equally well; on answers that were not seen the implicit one \
            is worse.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::near("accuracy(explicit, seen)", "accuracy(implicit, seen)", 0.02),
        Relation::above_by("accuracy(explicit, unseen)", "accuracy(implicit, unseen)", 0.3),
        Relation::near_value("accuracy(implicit, unseen)", 0.5, 1e-9),
        Relation::near("accuracy(explicit, half)", "accuracy(implicit, half)", 0.02),
        Relation::near_value("accuracy(implicit, before)", 0.5, 1e-9),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let world = World::draw(&mut random)?;
    let train = Pair::draw(TRAIN, [0..TRAINED, 0..TRAINED], &mut random);
    let (implicit, explicit) = (world.implicit(&train)?, world.explicit(&train)?);
    let mut figures = Figures::default();
    let rest = TRAINED..TOKENS / 2;
    let sets = [("seen", [0..TRAINED, 0..TRAINED]), ("unseen", [rest.clone(), rest.clone()]), ("half", [0..TRAINED, rest])];
    for (name, tokens) in sets {
        let pairs = Pair::draw(PAIRS, tokens, &mut random);
        let ours = world.rewards(&pairs, |prompt, token| implicit[prompt * TOKENS + token]);
        let theirs = world.rewards(&pairs, |_, token| dot(world.embedding(token), &explicit));
        let gap = gap(&theirs, &ours, seed)?;
        figures.push(format!("accuracy(explicit, {name})"), "", gap.explicit.value);
        figures.push(format!("accuracy(implicit, {name})"), "", gap.implicit.value);
        figures.push(format!("margin(explicit, {name})"), "sd", scale_free_margin(&theirs[0], &theirs[1])?.value);
        if name != "unseen" {
            // rewards that are all equal have no scale
            figures.push(format!("margin(implicit, {name})"), "sd", scale_free_margin(&ours[0], &ours[1])?.value);
        }
        if name == "seen" {
            let still = self::gap(&theirs, &[vec![0.0; PAIRS], vec![0.0; PAIRS]], seed)?;
            figures.push("accuracy(implicit, before)", "", still.implicit.value);
        }
    }
    Ok(figures)
}

fn gap(explicit: &[Vec<f64>; 2], implicit: &[Vec<f64>; 2], seed: u64) -> Result<Gap, ToyError> {
    let [explicit, implicit] = [explicit, implicit].map(|r| [&r[0][..], &r[1][..]]);
    Ok(reward_gap(explicit, implicit, Bootstrap { resamples: 100, seed, ..Bootstrap::default() })?)
}

/// A prompt with a good and a bad answer.
struct Pair {
    prompt: usize,
    chosen: usize,
    rejected: usize,
}

impl Pair {
    /// Pairs of the tokens of both classes with these numbers.
    fn draw(pairs: usize, [good, bad]: [std::ops::Range<usize>; 2], random: &mut Stream) -> Vec<Self> {
        let mut pick = |class: &std::ops::Range<usize>| class.start + random.below(class.len());
        let mut pairs: Vec<Self> =
            (0..pairs).map(|_| Self { prompt: 0, chosen: 2 * pick(&good), rejected: 2 * pick(&bad) + 1 }).collect();
        pairs.iter_mut().for_each(|p| p.prompt = random.below(PROMPTS));
        pairs
    }
}

struct World {
    embeddings: Vec<f64>,
    policy: Policy,
    reference: Vec<f64>,
}

impl World {
    fn draw(random: &mut Stream) -> Result<Self, ToyError> {
        let class = |token: usize| if token.is_multiple_of(2) { 1.0 } else { -1.0 };
        let mut axis = |k: usize| 0.5 * random.normal() + if k.is_multiple_of(DIM) { class(k / DIM) } else { 0.0 };
        let embeddings = (0..TOKENS * DIM).map(&mut axis).collect();
        let hidden = random.normals(PROMPTS * DIM);
        let start = random.normals(TOKENS * DIM);
        // the features of a cell are the prompt's hidden state, at the place of the token's row of W
        let mut features = vec![0.0; PROMPTS * TOKENS * TOKENS * DIM];
        for cell in 0..PROMPTS * TOKENS {
            let (state, token) = (&hidden[cell / TOKENS * DIM..][..DIM], cell % TOKENS);
            features[cell * TOKENS * DIM + token * DIM..][..DIM].copy_from_slice(state);
        }
        let logit = |cell: usize| dot(&hidden[cell / TOKENS * DIM..][..DIM], &start[cell % TOKENS * DIM..][..DIM]);
        let policy = Policy::log_linear(PROMPTS, (0..PROMPTS * TOKENS).map(logit).collect(), &features)?;
        let reference = policy.table(&vec![0.0; TOKENS * DIM])?;
        Ok(Self { embeddings, policy, reference })
    }

    fn embedding(&self, token: usize) -> &[f64] {
        &self.embeddings[token * DIM..][..DIM]
    }

    /// Implicit rewards of all cells, after DPO.
    fn implicit(&self, pairs: &[Pair]) -> Result<Vec<f64>, ToyError> {
        let cells: Vec<(usize, usize)> =
            pairs.iter().map(|p| (p.prompt * TOKENS + p.chosen, p.prompt * TOKENS + p.rejected)).collect();
        let batch = PairBatch::cells(self.reference.len(), &cells)?;
        let reference = batch.reference(&self.reference)?;
        let objective: Objective = Dpo::default().with_beta(BETA).into();
        let mut at = vec![0.0; TOKENS * DIM];
        descend(&mut at, Descent::plain(20.0), STEPS, |x: Traced| batch.loss(&objective, self.policy.logps(x)?, &reference))?;
        Ok(self.policy.table(&at)?.iter().zip(&self.reference).map(|(l, r)| BETA * (l - r)).collect())
    }

    /// The head of the explicit reward: the Bradley–Terry loss is DPO's with β = 1 and a reference of 0.
    fn explicit(&self, pairs: &[Pair]) -> Result<Vec<f64>, ToyError> {
        let side = |of: fn(&Pair) -> usize| pairs.iter().flat_map(|p| self.embedding(of(p)).to_vec()).collect::<Vec<_>>();
        let batch = ScorePairs::features(DIM, &side(|p| p.chosen), &side(|p| p.rejected))?;
        let reference = batch.frozen(&[0.0; DIM])?;
        let objective: Objective = Dpo::default().with_beta(1.0).into();
        let mut head = vec![0.0; DIM];
        descend(&mut head, Descent::plain(0.5), STEPS, |x: Traced| batch.loss(&objective, x, &reference))?;
        Ok(head)
    }

    /// Rewards of both sides, differences within rounding taken out.
    fn rewards(&self, pairs: &[Pair], of: impl Fn(usize, usize) -> f64) -> [Vec<f64>; 2] {
        let both = |p: &Pair| {
            let (w, l) = (of(p.prompt, p.chosen), of(p.prompt, p.rejected));
            if (w - l).abs() < ROUNDING { (w, w) } else { (w, l) }
        };
        let (chosen, rejected) = pairs.iter().map(both).unzip();
        [chosen, rejected]
    }
}
