//! Adapters of a whole decoder: attach, merge, take off.
use super::Lora;
use super::config::{LoraConfig, Targets};
use crate::architecture::Names;
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::layer::{Layer, Qkv};
use crate::linear::Linear;
use crate::random::Stream;
use crate::visit::{Origin, See};
use dfdx::prelude::*;
use std::collections::BTreeSet;
use tropism_ops::{Param, Scalar, VisitMut, data_mut};

/// Stream of the first factors, among the streams of one seed.
const STREAM: u64 = 1;

/// Changes projections, whatever their sizes.
trait EachLinear<E: Dtype> {
    fn linear<I: Dim, O: Dim>(&mut self, name: &str, l: &mut Linear<I, O, E>) -> Result<(), LmError>;
}

impl<M: Dims, E: Dtype> Layer<M, E> {
    /// Shows the projections of layer `i`.
    fn linears(&mut self, names: Names, i: usize, f: &mut impl EachLinear<E>) -> Result<(), LmError> {
        let parts = names.parts();
        let name = |part: &str| names.layer(i, part);
        match &mut self.qkv {
            Qkv::Apart(q, k, v) => {
                f.linear(&name(parts.qkv[0]), q)?;
                f.linear(&name(parts.qkv[1]), k)?;
                f.linear(&name(parts.qkv[2]), v)?;
            }
            Qkv::Fused(all) => f.linear(&name(parts.fused), all)?,
        }
        f.linear(&name(parts.output), &mut self.output)?;
        if let Some(gate) = &mut self.ff.gate {
            f.linear(&name(parts.gate), gate)?;
        }
        f.linear(&name(parts.up), &mut self.ff.up)?;
        f.linear(&name(parts.down), &mut self.ff.down)
    }
}

/// Puts an empty adapter on every projection that the options name.
struct Attach<'a> {
    config: &'a LoraConfig,
    /// entries of the targets that met a projection
    used: BTreeSet<usize>,
    /// their modules, without the way to them
    modules: BTreeSet<String>,
}

impl<E: Scalar> EachLinear<E> for Attach<'_>
where
    Cpu: Device<E>,
{
    fn linear<I: Dim, O: Dim>(&mut self, name: &str, l: &mut Linear<I, O, E>) -> Result<(), LmError> {
        if let Some(entry) = self.config.target_modules.matching(name) {
            let (to, from) = l.weight.shape();
            l.lora = Some(Box::new(Lora::zeros(from, to, self.config)?));
            self.used.insert(entry);
            self.modules.insert(name.rsplit('.').next().unwrap_or(name).to_owned());
        }
        Ok(())
    }
}

/// [`Linear::shift`] of all.
struct Shift(f64);
impl<E: Scalar> EachLinear<E> for Shift
where
    Cpu: Device<E>,
{
    fn linear<I: Dim, O: Dim>(&mut self, _: &str, l: &mut Linear<I, O, E>) -> Result<(), LmError> {
        l.shift(self.0)
    }
}

struct Remove;
impl<E: Dtype> EachLinear<E> for Remove {
    fn linear<I: Dim, O: Dim>(&mut self, _: &str, l: &mut Linear<I, O, E>) -> Result<(), LmError> {
        l.lora = None;
        Ok(())
    }
}

/// First factors: uniform within `1 / sqrt(in)`. Second factors stay 0.
struct Draw(Stream);
impl<E: Scalar> VisitMut<E> for Draw {
    type Error = LmError;
    fn tensor<S: Shape>(&mut self, name: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), LmError> {
        if name.ends_with(".lora_A.weight") {
            let shape: Vec<usize> = t.shape().concrete().into();
            let bound = (shape[1] as f64).sqrt().recip();
            data_mut(t).iter_mut().for_each(|v| *v = E::c(bound * (2.0 * self.0.uniform() - 1.0)));
        }
        Ok(())
    }
}

impl<M: Dims, E: Dtype> Decoder<M, E> {
    /// The adapter's options; none without an adapter.
    pub fn adapter(&self) -> Option<&LoraConfig> {
        self.adapter.as_ref()
    }

    /// Whether the adapter stands in the weights.
    pub fn is_merged(&self) -> bool {
        struct Merged;
        impl<E: Dtype> See<E> for Merged {
            type Error = ();
            fn param<S: Shape>(&mut self, _: &str, origin: Origin, _: &Param<S, E>) -> Result<(), ()> {
                if origin == Origin::Merged { Err(()) } else { Ok(()) }
            }
        }
        self.see(&mut Merged).is_err()
    }
}

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// The same model with a fresh adapter, which changes nothing yet. Weights are shared with `self`, dense or frozen; none
    /// of them is trained any more, so that visitors show the two factors of each target alone (`….lora_A.weight`,
    /// `….lora_B.weight`) and no gradient of another tensor is made.
    ///
    /// # Errors
    /// An option that does not fit the model, a target that no projection's name ends in, an adapter that is there already.
    pub fn with_lora(&self, config: &LoraConfig, seed: u64) -> Result<Self, LmError> {
        let (mut model, used) = self.with_empty_lora(config)?;
        if let (Targets::Named(names), Some(unused)) = (&config.target_modules, used.missing()) {
            let problem = format!("key `target_modules` names `{}`, which is none of", names[unused]);
            return Err(LmError::Invalid(format!(
                "lora: {problem} the model's projections: {}",
                self.projections()?.join(", ")
            )));
        }
        model.visit_adapter_mut(&mut Draw(Stream::new(seed, STREAM)))?;
        Ok(model)
    }

    /// An adapter with both factors 0, and which targets met a projection.
    pub(super) fn with_empty_lora(&self, config: &LoraConfig) -> Result<(Self, Used), LmError> {
        config.check(self.layers.len())?;
        if self.adapter.is_some() {
            return Err(LmError::Invalid("the model has an adapter; take it off or merge it before another one".into()));
        }
        let mut model = self.clone();
        let mut attach = Attach { config, used: BTreeSet::new(), modules: BTreeSet::new() };
        for (i, layer) in model.layers.iter_mut().enumerate().filter(|(i, _)| config.has_layer(*i)) {
            layer.linears(self.names, i, &mut attach)?;
        }
        let entries = if let Targets::Named(names) = &config.target_modules { names.len() } else { 1 };
        let used = Used { entries: (0..entries).map(|i| attach.used.contains(&i)).collect(), modules: attach.modules };
        model.train_all(false);
        model.adapter = Some(config.clone());
        Ok((model, used))
    }

    /// The names of a layer's projections.
    pub(super) fn projections(&self) -> Result<Vec<String>, LmError> {
        let mut model = self.clone();
        model.adapter = None;
        let (_, all) = model.with_empty_lora(&LoraConfig::new(1, 1.0, Targets::AllLinear))?;
        Ok(all.modules.into_iter().collect())
    }

    /// Adds the adapter to the weights, `W + scale B A`: the same function without the two extra products. A merged adapter
    /// is not trained. The weights that it changes are copied when another model shares them.
    ///
    /// # Errors
    /// No adapter, one that is merged already, weights of 16 or 8 bits.
    pub fn merge(&mut self) -> Result<(), LmError> {
        if self.adapter.is_none() || self.is_merged() {
            return Err(LmError::Invalid("there is no adapter to merge, or it is merged already".into()));
        }
        self.shift(1.0)
    }

    /// Takes a merged adapter out of the weights again, exact to rounding.
    ///
    /// # Errors
    /// When no adapter is merged.
    pub fn unmerge(&mut self) -> Result<(), LmError> {
        if !self.is_merged() {
            return Err(LmError::Invalid("no adapter is merged".into()));
        }
        self.shift(-1.0)
    }

    fn shift(&mut self, sign: f64) -> Result<(), LmError> {
        let names = self.names;
        // all or nothing: a failure half-way would leave a model that is neither
        let mut layers = self.layers.clone();
        for (i, layer) in layers.iter_mut().enumerate() {
            layer.linears(names, i, &mut Shift(sign))?;
        }
        self.layers = layers;
        Ok(())
    }

    /// The model without its adapter: the reference of a method that has one. Weights are shared, so it costs no memory
    /// (after [`Decoder::merge`], a copy of the merged ones); none of them is trained.
    ///
    /// # Errors
    /// When the device cannot allocate.
    pub fn base(&self) -> Result<Self, LmError> {
        let mut base = self.clone();
        if base.is_merged() {
            base.unmerge()?;
        }
        base.take_off()?;
        Ok(base)
    }

    /// The model with its adapter added to the weights for good: a plain model, whose tensors are all trained again.
    ///
    /// # Errors
    /// As [`Decoder::merge`]; a model that is merged already is as good.
    pub fn merged(mut self) -> Result<Self, LmError> {
        if !self.is_merged() {
            self.merge()?;
        }
        self.take_off()?;
        self.train_all(true);
        Ok(self)
    }

    fn take_off(&mut self) -> Result<(), LmError> {
        self.adapter = None;
        let names = self.names;
        self.layers.iter_mut().enumerate().try_for_each(|(i, layer)| layer.linears(names, i, &mut Remove))
    }
}

/// What the targets of an adapter met.
pub(super) struct Used {
    /// per entry of the targets: whether it met a projection
    entries: Vec<bool>,
    /// last parts of the names of the projections
    pub(super) modules: BTreeSet<String>,
}

impl Used {
    /// The first entry that met none.
    pub(super) fn missing(&self) -> Option<usize> {
        self.entries.iter().position(|met| !met)
    }
}
