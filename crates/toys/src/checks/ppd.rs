//! PPD: one denoiser for the tastes of many users, told whose preference it is.

use tropism_diffusion::denoiser::{Condition, Mlp, MlpConfig};
use tropism_diffusion::objectives::{Ppd, drop_users, mixed_embedding, ppd, user_embedding};
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::schedule::{BetaSchedule, NoiseSchedule};
use tropism_diffusion::train::{Preferences, Process, TrainConfig, Training, denoising, pair_errors, rows_of};
use tropism_diffusion::worlds::{Mixture, draw_many};
use tropism_diffusion::{DiffusionError, Stream, figures};

use crate::{Chance, Figures, Relation, Toy, ToyError};

const USERS: usize = 64;
const PAIRS: usize = 100;
const SHOWN: usize = 4;
const NEW_USERS: usize = 16;
const SAMPLES: usize = 500;
const BATCH: usize = 256;
const MOVES: usize = 20;
const DROPPED: f64 = 0.1;

/// Eight Gaussians on a circle, learnt with a two-dimensional condition at zero. 64 users like random directions; each judges 100 pairs
/// of the base's samples, and 4 more that give the embedding: the mean difference of preferred and rejected, at length 1. 1500 steps of
/// 256 pairs, learning rate 2e-4, embeddings dropped with probability 0.1; the reference is told zeros. Sixteen new users show 4 pairs
/// each; the figures are their rewards over 500 samples and the share of wins against samples of the base.
pub(super) const TOY: Toy = Toy {
    row: "ppd",
    title: "Personalized Preference Fine-tuning of Diffusion Models",
    arxiv: "2501.06655",
    claim: "A denoiser told a user's embedding serves new users from four pairs, where one trained on pooled preferences stays at the base.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above_value("win rate(ppd, beta 100)", 0.65),
        Relation::near_value("win rate(pooled, beta 100)", 0.5, 0.03),
        Relation::above("reward(ppd, beta 100)", "reward(pooled, beta 100)"),
        Relation::above("reward(ppd, beta 100)", "reward(ppd, beta 500)"),
        Relation::above("reward(ppd, beta 50)", "reward(ppd, beta 100)"),
        Relation::near_value("reward(no user, beta 100)", 0.0, 0.1),
        Relation::above("first taste(first user)", "first taste(half way)"),
        Relation::above("first taste(half way)", "first taste(second user)"),
    ],
    run,
};

/// The base and what is drawn from it.
struct World {
    ring: Mixture,
    process: Process,
    base: Mlp<f32>,
    seed: u64,
}

/// A taste, and what four pairs say of it.
struct User {
    direction: Vec<f64>,
    embedding: Vec<f64>,
}

fn run(seed: u64) -> Result<Figures, ToyError> {
    let world = World::new(seed)?;
    let (users, pairs) = world.training_pairs()?;
    let new = (0..NEW_USERS).map(|i| world.user(&mut Stream::new(seed, 1000 + i as u64))).collect::<Result<Vec<_>, _>>()?;
    let mut figures = Figures::default();
    let cosine = |u: &User| u.direction.iter().zip(&u.embedding).map(|(a, b)| a * b).sum::<f64>();
    let all: Vec<f64> = users.iter().map(cosine).collect();
    figures.push("cosine of embedding and taste", "", all.iter().sum::<f64>() / all.len() as f64);
    for (name, beta, told) in [("pooled", 100.0, false), ("ppd", 500.0, true), ("ppd", 100.0, true), ("ppd", 50.0, true)] {
        let model = world.tuned(&pairs, beta, told)?;
        let (reward, wins) = world.served(&model, &new, told)?;
        figures.push(format!("reward({name}, beta {beta})"), "", reward);
        figures.push(format!("win rate({name}, beta {beta})"), "", wins);
        if told && beta == 100.0 {
            world.between(&model, &new, &mut figures)?;
        }
    }
    Ok(figures)
}

impl World {
    fn new(seed: u64) -> Result<Self, ToyError> {
        let schedule = NoiseSchedule::new(BetaSchedule::Linear, 100)?;
        let (ring, process) = (Mixture::ring(8, 1.0, 0.08), Process::diffusion(schedule, Prediction::Noise));
        let network = MlpConfig { features: 2, ..MlpConfig::default() };
        let config = TrainConfig { steps: 4000, lr: 2e-3, end_lr: Some(4e-5), seed, ..TrainConfig::default() };
        let mut training = Training::new(Mlp::new(&network, seed)?, config)?;
        training.run(
            |model, stream, tape| {
                let data = rows_of(&draw_many(&ring, BATCH, stream).0, 2)?;
                // no condition says the same as zeros
                denoising(model, &process, (&data, &Condition::none()), stream, tape)
            },
            |_| {},
        )?;
        Ok(Self { ring, process, base: training.into_model(), seed })
    }

    /// Samples of the base.
    fn drawn(&self, n: usize, stream: &mut Stream) -> Result<Vec<f64>, ToyError> {
        Ok(self.process.sample(&self.base, &Condition::none(), n, MOVES, stream)?)
    }

    /// A user who likes a random direction, and has shown some pairs.
    fn user(&self, stream: &mut Stream) -> Result<User, ToyError> {
        let angle = std::f64::consts::TAU * stream.uniform();
        let direction = vec![angle.cos(), angle.sin()];
        let samples = self.drawn(2 * SHOWN, stream)?;
        let (mut liked, mut others) = (vec![], vec![]);
        for pair in samples.chunks_exact(4) {
            let (a, b) = (pair[..2].to_vec(), pair[2..].to_vec());
            let (w, l) = if dot(&a, &direction) > dot(&b, &direction) { (a, b) } else { (b, a) };
            liked.push(w);
            others.push(l);
        }
        Ok(User { embedding: user_embedding(&liked, &others)?, direction })
    }

    /// Users and what they said of pairs that their embeddings were not made from; the condition is the embedding.
    fn training_pairs(&self) -> Result<(Vec<User>, Preferences<f32>), ToyError> {
        let stream = &mut Stream::new(self.seed, 1);
        let users = (0..USERS).map(|_| self.user(stream)).collect::<Result<Vec<_>, _>>()?;
        let samples = self.drawn(2 * USERS * PAIRS, stream)?;
        let whose = |pair: usize| &users[pair / PAIRS];
        let embeddings: Vec<f64> = (0..USERS * PAIRS).flat_map(|pair| whose(pair).embedding.clone()).collect();
        let condition = Condition::features(rows_of(&embeddings, 2)?);
        let pairs = Preferences::by_reward(&samples, 2, &condition, |i, x| dot(x, &whose(i / 2).direction))?;
        Ok((users, pairs))
    }

    /// The base after fine-tuning on all users' pairs, told whose they are or not.
    fn tuned(&self, pairs: &Preferences<f32>, beta: f64, told: bool) -> Result<Mlp<f32>, ToyError> {
        let config = TrainConfig { steps: 1500, lr: 2e-4, seed: self.seed, ..TrainConfig::default() };
        let objective = Ppd::default().with_beta(beta);
        let mut training = Training::new(self.base.clone(), config)?;
        training.run(
            |model, stream, tape| {
                let mut batch = pairs.batch(BATCH, stream)?;
                let embeddings = batch.condition.features.take().map(|u| u.as_vec()).unwrap_or_default();
                let mut embeddings: Vec<f64> = embeddings.into_iter().map(f64::from).collect();
                let (policy, reference) = if told {
                    drop_users(&mut embeddings, 2, DROPPED, stream);
                    self.errors(model, &batch, &embeddings, stream, tape)?
                } else {
                    pair_errors((model, &self.base), &self.process, &batch, true, stream, tape)?
                };
                Ok(ppd(policy, reference, &objective)?)
            },
            |_| {},
        )?;
        Ok(training.into_model())
    }

    /// Errors of a policy that is told embeddings, and of the base, which is told zeros.
    fn errors(
        &self,
        model: &Mlp<f32>,
        batch: &Preferences<f32>,
        embeddings: &[f64],
        stream: &mut Stream,
        tape: tropism_diffusion::train::Traced<f32>,
    ) -> Result<tropism_diffusion::train::PolicyAndReference<f32>, tropism_diffusion::denoiser::DenoiserError> {
        let told = Preferences { condition: Condition::features(rows_of(embeddings, 2)?), ..batch.clone() };
        // the same times and noise for both
        let (policy, _) = pair_errors((model, model), &self.process, &told, true, &mut stream.clone(), tape)?;
        let (_, reference) =
            pair_errors((&self.base, &self.base), &self.process, batch, true, stream, tropism_diffusion::train::Traced::default())?;
        Ok((policy, reference))
    }

    /// Samples for an embedding.
    fn generated(&self, model: &Mlp<f32>, embedding: Option<&[f64]>, stream: &mut Stream) -> Result<Vec<f64>, ToyError> {
        let condition = match embedding {
            Some(u) => Condition::features(rows_of(&u.repeat(SAMPLES), 2)?),
            None => Condition::none(),
        };
        Ok(self.process.sample(model, &condition, SAMPLES, MOVES, stream)?)
    }

    /// Mean reward of new users, and the share of their comparisons with the base that the model wins.
    fn served(&self, model: &Mlp<f32>, users: &[User], told: bool) -> Result<(f64, f64), ToyError> {
        let (mut reward, mut wins) = (0.0, 0.0);
        for (i, user) in users.iter().enumerate() {
            let stream = &mut Stream::new(self.seed, 2000 + i as u64);
            let ours = self.generated(model, told.then_some(&user.embedding), stream)?;
            let theirs = self.generated(&self.base, None, stream)?;
            let [ours, theirs] = [ours, theirs].map(|x| x.chunks_exact(2).map(|x| dot(x, &user.direction)).collect::<Vec<_>>());
            reward += ours.iter().sum::<f64>() / ours.len() as f64 / users.len() as f64;
            wins += figures::win_rate(&ours, &theirs)?.value / users.len() as f64;
        }
        Ok((reward, wins))
    }

    /// No user at all, and the way from the first user to the one whose taste is the least like theirs.
    fn between(&self, model: &Mlp<f32>, users: &[User], figures: &mut Figures) -> Result<(), ToyError> {
        let stream = &mut Stream::new(self.seed, 3000);
        let nobody = self.generated(model, None, stream)?;
        let rewards = nobody.chunks_exact(2).map(|x| users.iter().map(|u| dot(x, &u.direction)).sum::<f64>());
        let count = (SAMPLES * users.len()) as f64;
        figures.push("reward(no user, beta 100)", "", rewards.sum::<f64>() / count);
        figures.push("modedist(no user, beta 100)", "", self.ring.compare(&nobody).mode_distance);
        figures.push("modedist(base)", "", self.ring.compare(&self.drawn(SAMPLES, stream)?).mode_distance);
        let first = &users[0];
        let other = users.iter().min_by(|a, b| {
            let to = |u: &User| dot(&u.embedding, &first.embedding);
            to(a).total_cmp(&to(b))
        });
        let Some(other) = other else {
            let problem = "there are no new users".to_owned();
            return Err(DiffusionError::Input { method: "ppd", problem }.into());
        };
        for (name, weight) in [("first user", 1.0), ("half way", 0.5), ("second user", 0.0)] {
            let mixed = mixed_embedding(&[first.embedding.clone(), other.embedding.clone()], &[weight, 1.0 - weight])?;
            let samples = self.generated(model, Some(&mixed), &mut Stream::new(self.seed, 3001))?;
            let taste = samples.chunks_exact(2).map(|x| dot(x, &first.direction)).sum::<f64>() / SAMPLES as f64;
            figures.push(format!("first taste({name})"), "", taste);
        }
        Ok(())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
