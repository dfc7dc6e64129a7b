//! DenseDPO: pairs from one clip, and labels for its segments.

use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::{Condition, Denoiser, DenoiserError, Mlp, MlpConfig, asked};
use tropism_diffusion::objectives::{DenseDpo, ErrorTable, SegmentPairs, densedpo, segment_errors};
use tropism_diffusion::sample::{euler_moves, sample};
use tropism_diffusion::schedule::flow_times;
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::train::{Noised, Process, TrainConfig, Traced, Training, denoising, rows_of};
use tropism_diffusion::worlds::{Segments, draw_many};
use tropism_ops::TapeOf;

use crate::{Chance, Figures, Relation, Toy, ToyError};

const SEGMENTS: usize = 4;
const DIM: usize = 2 * SEGMENTS;
const CANDIDATES: usize = 4000;
const HELD_OUT: usize = 1000;
const BATCH: usize = 256;
const MOVES: usize = 20;
/// Qualities closer than this are ties.
const DEAD_ZONE: f64 = 0.15;
/// Draws of time and noise over which the held-out figure is averaged.
const LOOKS: usize = 16;
/// Share of noise from which guided pairs start.
const GUIDED: f64 = 0.35;

/// Clips of four segments, each with a motion and a defect; defects come with high motion. A flow of width 192 learns them in 6000 steps.
/// 4000 candidate pairs come from independent noise (vanilla), or from two noised copies of one flawless clip (structural and dense,
/// η = 0.35); labels are the sign of the difference of qualities outside a dead zone of 0.15, of the whole clip or by segment. 600 steps
/// of 256 pairs at β = 10 or 1200 at β = 30, learning rate 1e-4. Figures: the share of samples with high motion, the share of segments
/// with a defect, and how often the sign of the implicit value is right on segments of 1000 held-out guided pairs, its errors averaged
/// over 16 times and noises.
pub(super) const TOY: Toy = Toy {
    row: "densedpo",
    title: "DenseDPO: Fine-Grained Temporal Preference Optimization for Video Diffusion Models",
    arxiv: "2506.03517",
    claim: "Pairs that share a clip, and labels by segment, keep the motion that preferences for clean clips take away.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above("same motion(structural)", "same motion(vanilla)"),
        Relation::above("high motion(structural, beta 10)", "high motion(vanilla, beta 10)"),
        Relation::above("high motion(dense, beta 10)", "high motion(structural, beta 10)"),
        Relation::above("segment accuracy(structural, beta 10)", "segment accuracy(vanilla, beta 10)"),
        Relation::above("segment accuracy(dense, beta 10)", "segment accuracy(structural, beta 10)"),
        Relation::above("high motion(structural, beta 30)", "high motion(vanilla, beta 30)"),
        Relation::above("high motion(dense, beta 30)", "high motion(structural, beta 30)"),
        Relation::above("segment accuracy(structural, beta 30)", "segment accuracy(vanilla, beta 30)"),
        Relation::above("segment accuracy(dense, beta 30)", "segment accuracy(structural, beta 30)"),
        Relation::above("defects(base)", "defects(dense, beta 10)"),
    ],
    run,
};

/// The base, and the world that it knows.
struct Base {
    world: Segments,
    process: Process,
    model: Mlp<f32>,
    seed: u64,
}

/// Pairs with labels by segment, flat rows.
#[derive(Default)]
struct Pairs {
    first: Vec<f64>,
    second: Vec<f64>,
    labels: Vec<f64>,
}

fn run(seed: u64) -> Result<Figures, ToyError> {
    let base = Base::new(seed)?;
    let vanilla = base.candidates(1.0, CANDIDATES, &mut Stream::new(seed, 1))?;
    let guided = base.candidates(GUIDED, CANDIDATES, &mut Stream::new(seed, 2))?;
    let held_out = base.candidates(GUIDED, HELD_OUT, &mut Stream::new(seed, 3))?.labelled(by_segment);
    let mut figures = Figures::default();
    figures.push("same motion(vanilla)", "", vanilla.same_motion());
    figures.push("same motion(structural)", "", guided.same_motion());
    base.look(&base.model, "base", &mut figures)?;
    let settings = [
        ("vanilla", vanilla.labelled(whole)),
        ("structural", guided.labelled(whole)),
        ("dense", guided.labelled(by_segment)),
    ];
    for (beta, steps) in [(10.0, 600), (30.0, 1200)] {
        for (name, pairs) in &settings {
            let model = base.tuned(pairs, beta, steps)?;
            let name = format!("{name}, beta {beta}");
            base.look(&model, &name, &mut figures)?;
            figures.push(format!("segment accuracy({name})"), "", base.accuracy(&model, &held_out)?);
        }
    }
    Ok(figures)
}

/// 1, −1 or, within the dead zone, 0.
fn label(gap: f64) -> f64 {
    if gap.abs() < DEAD_ZONE { 0.0 } else { gap.signum() }
}

/// A label for each segment.
fn by_segment(gaps: &[f64]) -> Vec<f64> {
    gaps.iter().map(|g| label(*g)).collect()
}

/// The whole clip's label for all of its segments.
fn whole(gaps: &[f64]) -> Vec<f64> {
    vec![label(gaps.iter().sum()); gaps.len()]
}

impl Pairs {
    fn len(&self) -> usize {
        self.first.len() / DIM
    }

    /// The pairs with at least one label, and those.
    fn labelled(&self, labels: fn(&[f64]) -> Vec<f64>) -> Pairs {
        let mut kept = Pairs::default();
        for (a, b) in self.first.chunks_exact(DIM).zip(self.second.chunks_exact(DIM)) {
            let gaps: Vec<f64> = Segments::qualities(a).iter().zip(Segments::qualities(b)).map(|(a, b)| a - b).collect();
            let labels = labels(&gaps);
            if labels.iter().any(|l| *l != 0.0) {
                kept.first.extend(a);
                kept.second.extend(b);
                kept.labels.extend(labels);
            }
        }
        kept
    }

    fn rows(&self, at: &[usize]) -> Pairs {
        let pick = |x: &[f64], width: usize| at.iter().flat_map(|i| x[i * width..(i + 1) * width].to_vec()).collect();
        Pairs { first: pick(&self.first, DIM), second: pick(&self.second, DIM), labels: pick(&self.labels, SEGMENTS) }
    }

    /// Share of pairs whose members both have high or both low motion.
    fn same_motion(&self) -> f64 {
        let both = self.first.chunks_exact(DIM).zip(self.second.chunks_exact(DIM));
        both.filter(|(a, b)| Segments::is_high(a) == Segments::is_high(b)).count() as f64 / self.len() as f64
    }
}

/// Errors by segment.
fn segments<T: TapeOf<f32>>(
    model: &Mlp<f32>,
    at: &Noised<f32>,
    tape: T,
) -> Result<ErrorTable<usize, usize, f32, dfdx::prelude::Cpu, T>, DenoiserError> {
    use dfdx::prelude::PutTape;
    let output = model.predict(at.x.clone().put_tape(tape), &at.times, &Condition::none())?;
    Ok(ErrorTable::new(segment_errors(output, &at.target, &[2; SEGMENTS])?)?)
}

impl Base {
    fn new(seed: u64) -> Result<Self, ToyError> {
        let (world, process) = (Segments { count: SEGMENTS, ..Segments::default() }, Process::flow(Some([0.0, 1.0])));
        let network = MlpConfig { dim: DIM, hidden: 192, ..MlpConfig::default() };
        let config = TrainConfig { steps: 6000, lr: 2e-3, end_lr: Some(4e-5), seed, ..TrainConfig::default() };
        let mut training = Training::new(Mlp::new(&network, seed)?, config)?;
        training.run(
            |model, stream, tape| {
                let data = rows_of(&draw_many(&world, BATCH, stream).0, DIM)?;
                denoising(model, &process, (&data, &Condition::none()), stream, tape)
            },
            |_| {},
        )?;
        Ok(Self { world, process, model: training.into_model(), seed })
    }

    /// Pairs from two noises on one flawless clip, from `round(eta · MOVES)` of the sampler's moves on; with `eta = 1` nothing is left
    /// of the clip.
    fn candidates(&self, eta: f64, n: usize, stream: &mut Stream) -> Result<Pairs, ToyError> {
        let clips = draw_many(&self.world.flawless(), n, stream).0;
        let moves = (eta * MOVES as f64).round() as usize;
        let t = moves as f64 / MOVES as f64;
        let times = &flow_times(MOVES)?[MOVES - moves..];
        let steps = euler_moves(Prediction::Velocity, times)?;
        let mut member = || -> Result<Vec<f64>, ToyError> {
            let noised: Vec<f64> = clips.iter().map(|x| (1.0 - t) * x + t * stream.normal()).collect();
            let none = Condition::none();
            let x = sample(asked(&self.model, &none, 1.0), &steps, &rows_of(&noised, DIM)?, &mut Stream::new(0, 0))?;
            Ok(x.as_vec().into_iter().map(f64::from).collect())
        };
        Ok(Pairs { first: member()?, second: member()?, labels: vec![] })
    }

    fn tuned(&self, pairs: &Pairs, beta: f64, steps: u64) -> Result<Mlp<f32>, ToyError> {
        let config = TrainConfig { steps, lr: 1e-4, seed: self.seed, ..TrainConfig::default() };
        let objective = DenseDpo::default().with_beta(beta);
        let mut training = Training::new(self.model.clone(), config)?;
        training.run(
            |model, stream, tape| {
                let at: Vec<usize> = (0..BATCH).map(|_| stream.below(pairs.len())).collect();
                let batch = pairs.rows(&at);
                let (a, b) = self.noised(&batch, stream)?;
                let policy = SegmentPairs::new(segments(model, &a, tape)?, segments(model, &b, Traced::default())?)?;
                let none = dfdx::prelude::NoneTape;
                let reference = SegmentPairs::new(segments(&self.model, &a, none)?, segments(&self.model, &b, none)?)?;
                Ok(densedpo(policy, reference, &batch.labels, &[2.0; SEGMENTS * BATCH], &objective)?)
            },
            |_| {},
        )?;
        Ok(training.into_model())
    }

    /// Both members at one time and with one noise per pair.
    fn noised(&self, pairs: &Pairs, stream: &mut Stream) -> Result<(Noised<f32>, Noised<f32>), DenoiserError> {
        let times = self.process.draw_times(pairs.len(), stream);
        let noise = rows_of(&stream.normals(pairs.len() * DIM), DIM)?;
        let of = |x: &[f64]| -> Result<_, DenoiserError> { Ok(self.process.noise(&rows_of(x, DIM)?, &noise, &times)?) };
        Ok((of(&pairs.first)?, of(&pairs.second)?))
    }

    /// How often `−(s⁰ − s¹)` has the sign of a labelled segment.
    fn accuracy(&self, model: &Mlp<f32>, pairs: &Pairs) -> Result<f64, ToyError> {
        let stream = &mut Stream::new(self.seed, 5);
        let mut sums = vec![0.0; pairs.labels.len()];
        let none = dfdx::prelude::NoneTape;
        for _ in 0..LOOKS {
            let (a, b) = self.noised(pairs, stream)?;
            let table = |m, at| -> Result<Vec<f32>, DenoiserError> { Ok(segments(m, at, none)?.errors.as_vec()) };
            let (pa, pb) = (table(model, &a)?, table(model, &b)?);
            let (ra, rb) = (table(&self.model, &a)?, table(&self.model, &b)?);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum -= f64::from((pa[i] - ra[i]) - (pb[i] - rb[i]));
            }
        }
        let labelled: Vec<bool> =
            sums.iter().zip(&pairs.labels).filter(|(_, l)| **l != 0.0).map(|(s, l)| s * l > 0.0).collect();
        Ok(labelled.iter().filter(|right| **right).count() as f64 / labelled.len() as f64)
    }

    /// Motion and defects of new samples.
    fn look(&self, model: &Mlp<f32>, name: &str, figures: &mut Figures) -> Result<(), ToyError> {
        let n = 4000;
        let samples = self.process.sample(model, &Condition::none(), n, MOVES, &mut Stream::new(self.seed, 4))?;
        let clips = || samples.chunks_exact(DIM);
        figures.push(format!("high motion({name})"), "", clips().filter(|c| Segments::is_high(c)).count() as f64 / n as f64);
        figures.push(format!("defects({name})"), "", clips().map(Segments::defects).sum::<f64>() / n as f64);
        Ok(())
    }
}
