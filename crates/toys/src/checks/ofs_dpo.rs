//! OFS-DPO and COFS-DPO: two modules that chase each other, and what several domains keep of each other.

use tropism_core::Columns;
use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::{ChasingRoles, CofsDpo, Dpo, Objective, OfsDpo, fit_combination};

use crate::worlds::{Descent, ScorePairs, Stream, dot, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const DIM: usize = 20;
const TRAINING: usize = 400;
const MEMORY: usize = 40;
const TEST: usize = 2000;
const MINIBATCH: usize = 8;
const BETA: f64 = 0.5;
const ALPHA: f64 = 0.3;
/// Learning rates of the two modules; DPO alone takes the first.
const RATES: [f64; 2] = [0.5, 0.1];
const INTERVAL: usize = 20;
const STEPS: usize = 2000;
const EARLY: usize = 50;

/// Linear preference models on differences of twenty features, labels `σ(4 x·θ*)`, and two domains whose `θ*` have a cosine
/// of 0.3; 400 pairs each, minibatches of eight, β = 0.5, α = 0.3, roles looked at every 20 steps, 2000 steps per domain.
/// Accuracies are shares of 2000 new labelled pairs of a domain; the combination is fitted on 40 pairs of each domain.
/// "Gradient" is the norm of the gradient over all training pairs that still drives a policy at the end of domain 1: that of
/// DPO, and that of the fast module's own loss.
///
/// Speed at the start is measured (step 50) and not asserted: this convex world does not tell the methods apart.
pub(super) const TOY: Toy = Toy {
    row: "ofs-dpo",
    title: "Online DPO: Online Direct Preference Optimization with Fast-Slow Chasing",
    arxiv: "2406.05534",
    claim: "The chase keeps the gradient alive; a combination of the domains' fast modules keeps more of both domains than \
            DPO on one after the other, which is best on the last.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::above("accuracy(cofs, mean)", "accuracy(dpo in order, mean)"),
        Relation::above("accuracy(dpo in order, domain 2)", "accuracy(cofs, domain 2)"),
        Relation::above("accuracy(dpo on domain 1, domain 1)", "accuracy(dpo in order, domain 1)"),
        Relation::above("gradient(ofs)", "gradient(dpo)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let domains = Domain::draw_two(seed)?;
    let [first, second] = &domains;
    let mut figures = Figures::default();
    let mut accuracies = |name: &str, weights: &[f64]| {
        let [a, b] = domains.each_ref().map(|d| d.accuracy(weights));
        figures.push(format!("accuracy({name}, domain 1)"), "", a);
        figures.push(format!("accuracy({name}, domain 2)"), "", b);
        figures.push(format!("accuracy({name}, mean)"), "", 0.5 * (a + b));
    };
    let dpo = first.descend(&[0.0; DIM], STEPS, &mut Stream::new(seed, 2))?;
    accuracies("dpo on domain 1", &dpo);
    accuracies("dpo in order", &second.descend(&dpo, STEPS, &mut Stream::new(seed, 3))?);
    let ofs = first.chase(&[0.0; DIM], STEPS, &mut Stream::new(seed, 2))?;
    let later = second.chase(ofs.fast(), STEPS, &mut Stream::new(seed, 3))?;
    accuracies("ofs in order", later.fast());
    let (combined, share) = combine(&domains, [ofs.fast(), later.fast()])?;
    accuracies("cofs", &combined);
    figures.push("share of domain 1(cofs)", "", share);
    figures.push("gradient(dpo)", "", norm(&first.slopes(&first.training, &plain(), &dpo, Columns::default())?.1));
    figures.push("gradient(ofs)", "", norm(&ofs.slopes(first, &first.training, ofs.role())?.1));
    let early = first.descend(&[0.0; DIM], EARLY, &mut Stream::new(seed, 2))?;
    figures.push("early accuracy(dpo)", "", first.accuracy(&early));
    let early = first.chase(&[0.0; DIM], EARLY, &mut Stream::new(seed, 2))?;
    figures.push("early accuracy(ofs)", "", first.accuracy(early.fast()));
    Ok(figures)
}

fn plain() -> Objective {
    Dpo::default().with_beta(BETA).into()
}

fn norm(slopes: &[f64]) -> f64 {
    dot(slopes, slopes).sqrt()
}

/// Differences chosen − rejected.
struct Domain {
    points: Vec<f64>,
    training: ScorePairs,
    memory: Vec<f64>,
    test: Vec<f64>,
}

impl Domain {
    fn draw_two(seed: u64) -> Result<[Self; 2], ToyError> {
        let mut random = Stream::new(seed, 0);
        let unit = |v: Vec<f64>| v.iter().map(|x| x / norm(&v)).collect::<Vec<_>>();
        let first = unit(random.normals(DIM));
        let other = random.normals(DIM);
        let along = dot(&first, &other);
        let across = unit(other.iter().zip(&first).map(|(o, f)| o - along * f).collect());
        let second: Vec<f64> = first.iter().zip(across).map(|(f, u)| 0.3 * f + 0.91f64.sqrt() * u).collect();
        Ok([Self::draw(&first, &mut random)?, Self::draw(&second, &mut random)?])
    }

    fn draw(truth: &[f64], random: &mut Stream) -> Result<Self, ToyError> {
        let mut pairs = |n: usize| -> Vec<f64> {
            let mut pair = || {
                let x = random.normals(DIM);
                let first = random.chance(sigmoid_scalar(4.0 * dot(&x, truth)));
                x.into_iter().map(move |x| if first { x } else { -x })
            };
            (0..n).flat_map(|_| pair()).collect()
        };
        let points = pairs(TRAINING);
        let training = score(&points)?;
        Ok(Self { points, training, memory: pairs(MEMORY), test: pairs(TEST) })
    }

    fn accuracy(&self, weights: &[f64]) -> f64 {
        self.test.chunks(DIM).filter(|x| dot(x, weights) > 0.0).count() as f64 / TEST as f64
    }

    fn minibatch(&self, random: &mut Stream) -> Result<ScorePairs, ToyError> {
        let rows = (0..MINIBATCH).map(|_| random.below(TRAINING));
        score(&rows.flat_map(|row| &self.points[row * DIM..][..DIM]).copied().collect::<Vec<_>>())
    }

    /// Mean loss and gradient over pairs, against a reference of 0.
    fn slopes(
        &self,
        pairs: &ScorePairs,
        objective: &Objective,
        at: &[f64],
        columns: Columns,
    ) -> Result<(f64, Vec<f64>), ToyError> {
        let reference = pairs.frozen(&[0.0; DIM])?;
        gradient(at, |x| Ok(pairs.terms(objective, x, &reference, columns)?.mean()?))
    }

    /// DPO.
    fn descend(&self, start: &[f64], steps: usize, random: &mut Stream) -> Result<Vec<f64>, ToyError> {
        let (mut at, mut rule, objective) = (start.to_vec(), Descent::plain(RATES[0]), plain());
        for _ in 0..steps {
            let slopes = self.slopes(&self.minibatch(random)?, &objective, &at, Columns::default())?.1;
            rule.step(&mut at, &slopes)?;
        }
        Ok(at)
    }

    /// OFS-DPO: both modules from the same start.
    fn chase(&self, start: &[f64], steps: usize, random: &mut Stream) -> Result<Chase, ToyError> {
        let mut chase = Chase { modules: [start.to_vec(), start.to_vec()], roles: ChasingRoles::new(INTERVAL)? };
        let mut rules = RATES.map(Descent::plain);
        for _ in 0..steps {
            let batch = self.minibatch(random)?;
            let slopes = [chase.slopes(self, &batch, 0)?.1, chase.slopes(self, &batch, 1)?.1];
            let loss = |at: &Vec<f64>| Ok::<_, ToyError>(self.slopes(&batch, &plain(), at, Columns::default())?.0);
            let losses = [loss(&chase.modules[0])?, loss(&chase.modules[1])?];
            for ((module, rule), slopes) in chase.modules.iter_mut().zip(&mut rules).zip(slopes) {
                rule.step(module, &slopes)?;
            }
            chase.roles.record(losses)?;
        }
        Ok(chase)
    }
}

/// Pairs by their differences.
fn score(differences: &[f64]) -> Result<ScorePairs, ToyError> {
    ScorePairs::features(DIM, differences, &vec![0.0; differences.len()])
}

/// Two modules and their parts.
struct Chase {
    modules: [Vec<f64>; 2],
    roles: ChasingRoles,
}

impl Chase {
    /// Number of the module that plays the fast one.
    fn role(&self) -> usize {
        usize::from(self.roles.role(1) == tropism_objectives::Role::Fast)
    }

    fn fast(&self) -> &[f64] {
        &self.modules[self.role()]
    }

    /// Loss and gradient of one module, the other one held.
    fn slopes(&self, domain: &Domain, pairs: &ScorePairs, module: usize) -> Result<(f64, Vec<f64>), ToyError> {
        let other = pairs.frozen(&self.modules[1 - module])?;
        let columns = Columns::default()
            .with("other_logps/chosen", other.chosen.as_vec())?
            .with("other_logps/rejected", other.rejected.as_vec())?;
        let objective = OfsDpo::default().with_beta(BETA).with_alpha(ALPHA).with_role(self.roles.role(module));
        domain.slopes(pairs, &objective.into(), &self.modules[module], columns)
    }
}

/// The combination of two modules that is best on the memories, and the share of the first.
fn combine(domains: &[Domain; 2], modules: [&[f64]; 2]) -> Result<(Vec<f64>, f64), ToyError> {
    let memory = score(&[domains[0].memory.as_slice(), &domains[1].memory].concat())?;
    let of: Vec<f64> = (0..2 * MEMORY).map(|row| (row / MEMORY) as f64).collect();
    let columns = Columns::default().with("domain", of)?;
    let objective: Objective = CofsDpo::default().with_beta(BETA).into();
    let mix = |w: &[f64]| modules[0].iter().zip(modules[1]).map(|(a, b)| w[0] * a + w[1] * b).collect::<Vec<_>>();
    let shares = fit_combination(2, 300, 0.5, |w| {
        let (value, slopes) = domains[0].slopes(&memory, &objective, &mix(w), columns.clone())?;
        Ok::<_, ToyError>((value, modules.iter().map(|m| dot(&slopes, m)).collect()))
    })?;
    Ok((mix(&shares), shares[0]))
}
