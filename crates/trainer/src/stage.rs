//! The options of one stage.
use crate::constants::{lacking, reads_baseline};
use crate::error::TrainError;
use crate::rows::{RowKind, Rows};
use crate::schedule::Schedule;
use dfdx::prelude::{Cpu, Device};
use serde::{Deserialize, Serialize};
use tropism_lm::{Decoder, Dims, LoraConfig};
use tropism_objectives::Objective;
use tropism_ops::Scalar;

/// Type of numbers; sums, parameters and gradients are f32 in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats
    #[default]
    F32,
    /// bf16; products round their operands where the processor multiplies such numbers, and are as with `f32` elsewhere
    Bf16,
}

impl From<Precision> for tropism_ops::Precision {
    fn from(p: Precision) -> Self {
        match p {
            Precision::F32 => tropism_ops::Precision::Full,
            Precision::Bf16 => tropism_ops::Precision::Bf16,
        }
    }
}

/// One named stage of a run.
///
/// `init` and `reference` name an earlier stage, or `model` for the model that the run started from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage<O = Objective> {
    /// its name in the run's files and in other stages' `init` and `reference`
    pub name: String,
    /// what is learnt: a loss on rows and its options, or those of a stage that samples
    pub objective: O,
    /// name of the random streams that its sampling draws from, in place of its own: arms of a comparison with the same one
    /// sample with the same draws in each step
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// where the policy starts; the stage before, or the run's model, when left out
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// the frozen model of a method with a reference; the same as `init` when left out
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// peak learning rate
    pub learning_rate: f64,
    /// what the learning rate does after the warm-up
    #[serde(default)]
    pub schedule: Schedule,
    /// share of the steps that warm up, 0 to 1
    #[serde(default = "warmup_ratio")]
    pub warmup_ratio: f64,
    /// passes over the data
    #[serde(default = "one")]
    pub epochs: usize,
    /// stop after this many steps, whatever `epochs` says
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<usize>,
    /// put the rows of each epoch into a random order; off, they are seen in the order of the data, as a curriculum wants
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub shuffle: bool,
    /// only the pairs of this stage of the data's curriculum (column `stage`, from 0)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_stage: Option<usize>,
    /// learn from the pairs with chosen and rejected side swapped: a model that prefers what the data reject
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub swap_pairs: bool,
    /// rows (pairs or samples) per optimiser step
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// most tokens computed at a time; a step's rows are split into micro-batches of at most this size
    #[serde(default = "micro_batch_tokens")]
    pub micro_batch_tokens: usize,
    /// what products are made of
    #[serde(default)]
    pub precision: Precision,
    /// numbers that the optimiser's moments are stored in; `bf16` takes half the memory
    #[serde(default)]
    pub optimizer_state: Precision,
    /// keep only the input of each layer, and compute the rest again in the backward pass: a third more work, far less memory
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// train a low-rank adapter instead of the weights; the stage ends with the adapter merged into them
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// tensors that are not trained, by their checkpoint's names; `*` stands for any characters: `model.embed_tokens.*`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// decoupled weight decay of matrices
    #[serde(default)]
    pub weight_decay: f64,
    /// decay rates of Adam's moments
    #[serde(default = "betas")]
    pub betas: [f64; 2],
    /// Adam's epsilon
    #[serde(default = "eps")]
    pub eps: f64,
    /// gradients are scaled down to this norm
    #[serde(default = "max_grad_norm")]
    pub max_grad_norm: f64,
    /// write a checkpoint every this many steps; 0 for none
    #[serde(default)]
    pub checkpoint_every: usize,
}

fn yes() -> bool {
    true
}
fn is_true(value: &bool) -> bool {
    *value
}
fn one() -> usize {
    1
}
fn warmup_ratio() -> f64 {
    0.1
}
fn batch_size() -> usize {
    32
}
fn micro_batch_tokens() -> usize {
    4096
}
fn betas() -> [f64; 2] {
    [0.9, 0.999]
}
fn eps() -> f64 {
    1e-8
}
fn max_grad_norm() -> f64 {
    1.0
}

impl<O> Stage<O> {
    /// A stage of any kind with the defaults of a recipe.
    pub fn of(name: impl Into<String>, objective: O, learning_rate: f64) -> Self {
        Stage {
            name: name.into(),
            objective,
            stream: None,
            init: None,
            reference: None,
            learning_rate,
            schedule: Schedule::default(),
            warmup_ratio: warmup_ratio(),
            epochs: 1,
            max_steps: None,
            shuffle: true,
            data_stage: None,
            swap_pairs: false,
            batch_size: batch_size(),
            micro_batch_tokens: micro_batch_tokens(),
            precision: Precision::F32,
            optimizer_state: Precision::F32,
            gradient_checkpointing: false,
            lora: None,
            freeze: vec![],
            weight_decay: 0.0,
            betas: betas(),
            eps: eps(),
            max_grad_norm: max_grad_norm(),
            checkpoint_every: 0,
        }
    }

    /// Checks the options that all kinds of stages share; `method` is what the stage's objective is called, and whether it
    /// reads a reference.
    pub(crate) fn check_shared(&self, (method, reads_reference): (&str, bool)) -> Result<(), TrainError> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let stream = self.stream.as_ref().is_none_or(|s| !s.is_empty());
        let rules: [(&'static str, bool, String); 11] = [
            ("stream", stream, "is empty; leave it out for one of the stage's own".into()),
            (
                "name",
                !self.name.is_empty() && !self.name.contains(['/', '\\', '.']),
                format!("is `{}`; give a plain word", self.name),
            ),
            ("learning_rate", positive(self.learning_rate), format!("is {}, it must be above 0", self.learning_rate)),
            (
                "warmup_ratio",
                (0.0..=1.0).contains(&self.warmup_ratio),
                format!("is {}, it must be 0 to 1", self.warmup_ratio),
            ),
            ("epochs", self.epochs > 0, "is 0, it must be at least 1".into()),
            ("max_steps", self.max_steps != Some(0), "is 0; leave it out to train all epochs".into()),
            ("batch_size", self.batch_size > 0, "is 0, it must be at least 1".into()),
            ("micro_batch_tokens", self.micro_batch_tokens > 0, "is 0, it must be at least 1".into()),
            (
                "weight_decay",
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                format!("is {}, it must be 0 or more", self.weight_decay),
            ),
            ("eps", positive(self.eps), format!("is {}, it must be above 0", self.eps)),
            ("max_grad_norm", positive(self.max_grad_norm), format!("is {}, it must be above 0", self.max_grad_norm)),
        ];
        let betas = self.betas.iter().all(|b| (0.0..1.0).contains(b));
        let betas = ("betas", betas, format!("are {:?}, both must be in 0..1", self.betas));
        let unread = self.reference.is_none() || reads_reference;
        let unread = ("reference", unread, format!("is set, but {method} does not read one; remove it"));
        let both = self.lora.is_none() || self.freeze.is_empty();
        let both = ("freeze", both, "is set beside `lora`, which trains the adapter alone; remove one of the two".into());
        match rules.into_iter().chain([betas, unread, both]).find(|r| !r.1) {
            None => Ok(()),
            Some((key, _, problem)) => Err(TrainError::Config { stage: self.name.clone(), key, problem }),
        }
    }

    /// The model that the stage trains: `model` itself, with some tensors frozen, or with a fresh adapter. The weights are
    /// shared.
    ///
    /// # Errors
    /// Options of the adapter that do not fit the model; patterns that freeze nothing, or everything.
    pub fn adapt<M: Dims, E: Scalar>(&self, model: Decoder<M, E>, seed: u64) -> Result<Decoder<M, E>, TrainError>
    where
        Cpu: Device<E>,
    {
        let Some(config) = &self.lora else { return self.with_frozen(model) };
        let refuse = |problem| TrainError::Config { stage: self.name.clone(), key: "lora", problem };
        model.with_lora(config, seed).map_err(|e| refuse(format!("does not fit: {e}")))
    }

    /// `model` without training of what `freeze` names.
    pub(crate) fn with_frozen<M: Dims, E: Scalar>(&self, mut model: Decoder<M, E>) -> Result<Decoder<M, E>, TrainError>
    where
        Cpu: Device<E>,
    {
        let refuse = |problem| TrainError::Config { stage: self.name.clone(), key: "freeze", problem };
        let patterns: Vec<&str> = self.freeze.iter().map(String::as_str).collect();
        model.freeze(&patterns).map_err(|e| refuse(format!("does not fit: {e}")))?;
        if model.parameters() == 0 {
            return Err(refuse("covers every tensor; there is nothing left to train".into()));
        }
        Ok(model)
    }

    /// Optimiser steps over `rows` rows. Each epoch ends with a smaller step when its rows do not divide evenly.
    pub fn steps(&self, rows: usize) -> usize {
        let all = self.epochs * rows.div_ceil(self.batch_size);
        self.max_steps.map_or(all, |most| all.min(most))
    }

    /// Steps of the warm-up among `total`.
    pub fn warmup(&self, total: usize) -> usize {
        (self.warmup_ratio * total as f64).round() as usize
    }
}

impl Stage {
    /// A stage that learns from rows, with the defaults of a recipe.
    pub fn new(name: impl Into<String>, objective: Objective, learning_rate: f64) -> Self {
        Self::of(name, objective, learning_rate)
    }

    /// Checks every option.
    ///
    /// # Errors
    /// Names the stage, the option and what would do.
    pub fn check(&self) -> Result<(), TrainError> {
        self.objective.check()?;
        if self.swap_pairs && RowKind::of(&self.objective) != Some(RowKind::Pairs) {
            let problem = format!("is set, but {} does not read pairs; remove it", self.objective.name());
            return Err(TrainError::Config { stage: self.name.clone(), key: "swap_pairs", problem });
        }
        self.check_shared((self.objective.name(), self.objective.needs_reference()))
    }

    /// Checks every option, and whether the objective can learn from these rows.
    ///
    /// # Errors
    /// As [`Stage::check`]; no rows, rows of another kind, columns of numbers that they lack.
    pub fn check_rows(&self, rows: &Rows) -> Result<(), TrainError> {
        self.check()?;
        let refuse = |problem: String| TrainError::Config { stage: self.name.clone(), key: "objective", problem };
        let name = self.objective.name();
        if rows.is_empty() {
            return Err(refuse(format!("{name} has no rows to learn from; look at the audit of the data")));
        }
        let Some(kind) = RowKind::of(&self.objective) else {
            let input = self.objective.input();
            return Err(refuse(format!("{name} reads {input}, which stages cannot give it yet; take a method on pairs")));
        };
        if kind != rows.kind() && matches!(kind, RowKind::Triples | RowKind::Revisions) {
            let input = self.objective.input();
            return Err(refuse(format!("{name} reads {input}, which stages cannot give it yet; take a method on pairs")));
        }
        if kind != rows.kind() {
            return Err(refuse(format!("{name} was given the wrong kind of rows")));
        }
        if let Some(problem) = lacking(&self.objective, rows) {
            return Err(refuse(problem));
        }
        if reads_baseline(&self.objective) && rows.mismatched().is_none() {
            return Err(refuse(format!("{name} compares answers of different prompts; the data have only one")));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tropism_objectives::{Sft, Simpo};

    #[test]
    fn every_bad_option_is_named() {
        let good = Stage::new("a", Objective::Simpo(Simpo::default()), 1e-3);
        good.check().unwrap();
        let bad = |change: fn(&mut Stage)| {
            let mut stage = good.clone();
            change(&mut stage);
            stage.check().unwrap_err().to_string()
        };
        assert!(bad(|s| s.learning_rate = f64::NAN).contains("stage `a`: `learning_rate` is NaN"));
        assert!(bad(|s| s.name = "a/b".into()).contains("`name`"));
        assert!(bad(|s| s.batch_size = 0).contains("`batch_size`"));
        assert!(bad(|s| s.betas = [0.9, 1.0]).contains("`betas`"));
        assert!(bad(|s| s.warmup_ratio = 1.5).contains("`warmup_ratio`"));
        assert!(bad(|s| s.max_steps = Some(0)).contains("`max_steps`"));
        assert!(
            bad(|s| {
                s.freeze = vec!["*".into()];
                s.lora = Some(LoraConfig::new(1, 1.0, tropism_lm::Targets::AllLinear));
            })
            .contains("`freeze` is set beside `lora`")
        );
        assert!(bad(|s| s.reference = Some("sft".into())).contains("simpo does not read one"));
        assert!(bad(|s| s.objective = Objective::Simpo(Simpo::default().with_beta(-1.0))).contains("beta"));
    }

    #[test]
    fn steps_count_the_ragged_end_of_each_epoch() {
        let mut stage = Stage::new("a", Objective::Sft(Sft::default()), 1e-3);
        (stage.batch_size, stage.epochs) = (4, 3);
        assert_eq!((stage.steps(8), stage.steps(9), stage.steps(1)), (6, 9, 3));
        stage.max_steps = Some(5);
        assert_eq!((stage.steps(9), stage.warmup(5)), (5, 1));
    }
}
