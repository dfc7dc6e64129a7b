//! Heads beside the language model's: linear maps from the trunk's states to a value, a reward, or several of either.
mod classifier;
mod headed;
mod language;

pub use headed::{Headed, last_tokens};
pub use language::LanguageHeads;

use crate::dims::Outputs;
use crate::error::LmError;
use crate::linear::{Linear, Rows};
use crate::load::{Fill, NameSet, parse, read};
use crate::matrix::Matrix;
use crate::random::Stream;
use crate::save::{Collect, WeightDtype};
use dfdx::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use tropism_ops::{Params, Precision, Scalar, TapeOf, Visit, VisitMut, data_mut};

/// The file beside a model that holds its heads.
const FILE: &str = "heads.safetensors";

/// Stream of fresh weights, among the streams of one seed.
const STREAM: u64 = 2;

/// What a head is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadSpec {
    /// its name: letters, digits, `_` and `-`
    pub name: String,
    /// numbers per state: 1 for a value or a reward, more for several aspects
    pub outputs: usize,
    /// whether it adds a bias
    pub bias: bool,
}

/// Linear heads by name, each `h W^T (+ b)` from hidden states to its outputs.
///
/// They are parameters of their own (`heads.NAME.weight`, `heads.NAME.bias`); [`Headed`] shows them together with those of
/// the trunk.
#[derive(Clone, Debug)]
pub struct Heads<H: Dim, E: Dtype> {
    list: BTreeMap<String, Linear<H, Outputs, E>>,
}

impl<H: Dim, E: Scalar> Heads<H, E>
where
    Cpu: Device<E>,
{
    /// All weights 0.
    fn zeros(hidden: H, specs: &[HeadSpec]) -> Result<Self, LmError> {
        let mut list = BTreeMap::new();
        for s in specs {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if s.name.is_empty() || !s.name.chars().all(plain) {
                return Err(LmError::Invalid(format!("head `{}`: a name is made of letters, digits, `_` and `-`", s.name)));
            }
            let outputs = Outputs::from_size(s.outputs).filter(|o| o.size() > 0);
            let outputs = outputs.ok_or_else(|| LmError::Invalid(format!("head `{}` has no outputs", s.name)))?;
            if list.insert(s.name.clone(), Linear::zeros(hidden, outputs, s.bias)?).is_some() {
                return Err(LmError::Invalid(format!("there are two heads of the name `{}`", s.name)));
            }
        }
        Ok(Heads { list })
    }

    /// One head with these numbers.
    fn one(hidden: H, spec: HeadSpec, weight: &[E]) -> Result<Self, LmError> {
        let mut heads = Self::zeros(hidden, std::slice::from_ref(&spec))?;
        if let Some(Linear { weight: Matrix::Dense(w), .. }) = heads.list.get_mut(&spec.name) {
            data_mut(&mut w.values).copy_from_slice(weight);
        }
        Ok(heads)
    }

    /// Fresh heads on states of width `hidden`: weights normal with deviation `std`, biases 0. A `std` of 0 is a head that
    /// says 0 until it is trained; `1 / sqrt(hidden + 1)` is what TRL starts reward models with.
    ///
    /// # Errors
    /// Names that are used twice or not plain, a head without outputs, a deviation below 0.
    pub fn random(hidden: H, specs: &[HeadSpec], std: f64, seed: u64) -> Result<Self, LmError> {
        struct Draw(Stream, f64);
        impl<E: Scalar> VisitMut<E> for Draw {
            type Error = LmError;
            fn tensor<S: Shape>(&mut self, _: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), LmError> {
                if S::NUM_DIMS == 2 {
                    data_mut(t).iter_mut().for_each(|v| *v = E::c(self.0.normal() * self.1));
                }
                Ok(())
            }
        }
        if !(std >= 0.0 && std.is_finite()) {
            return Err(LmError::Invalid(format!("heads: the deviation of fresh weights is {std}, it must be 0 or more")));
        }
        let mut heads = Self::zeros(hidden, specs)?;
        heads.visit_mut(&mut Draw(Stream::new(seed, STREAM), std))?;
        Ok(heads)
    }

    /// Names of all heads.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.keys().map(String::as_str)
    }

    /// The head of a name.
    ///
    /// # Errors
    /// When there is none: the names that there are.
    pub fn get(&self, name: &str) -> Result<&Linear<H, Outputs, E>, LmError> {
        self.list.get(name).ok_or_else(|| {
            let all: Vec<&str> = self.list.keys().map(String::as_str).collect();
            LmError::Invalid(format!("there is no head `{name}`; there are: {}", all.join(", ")))
        })
    }

    /// Outputs of a head for every state.
    ///
    /// # Shapes
    /// states (N, hidden), result (N, outputs).
    ///
    /// # Gradient
    /// To the states, to weight and bias.
    ///
    /// # Errors
    /// As [`Heads::get`].
    pub fn forward<T: TapeOf<E>>(&self, name: &str, states: Rows<H, E, T>) -> Result<Rows<Outputs, E, T>, LmError> {
        self.get(name)?.forward(states, Precision::Full)
    }

    /// The one output of a head for every state: values of tokens.
    ///
    /// # Shapes
    /// states (N, hidden), result (N,).
    ///
    /// # Errors
    /// As [`Heads::get`]; a head of several outputs.
    pub fn scalar<T: TapeOf<E>>(&self, name: &str, states: Rows<H, E, T>) -> Result<Tensor<(usize,), E, Cpu, T>, LmError> {
        let out = self.forward(name, states)?;
        let (n, outputs) = *out.shape();
        if outputs.size() != 1 {
            return Err(LmError::Invalid(format!("head `{name}` has {} outputs, a scalar has one", outputs.size())));
        }
        Ok(out.try_reshape_like(&(n,))?)
    }

    /// Writes `heads.safetensors` (`NAME.weight`, `NAME.bias`) into an existing folder.
    ///
    /// # Errors
    /// A file that cannot be written, a number outside the range of `dtype`.
    pub fn save(&self, folder: &Path, dtype: WeightDtype) -> Result<(), LmError> {
        let mut tensors = Collect::plain();
        self.visit(&mut tensors)?;
        for (name, _, _) in &mut tensors.tensors {
            *name = name.trim_start_matches(PREFIX).to_owned();
        }
        tensors.write(&folder.join(FILE), dtype)
    }

    /// Reads `heads.safetensors` of a folder, for states of width `hidden`.
    ///
    /// # Errors
    /// A missing or damaged file, tensors that make no head on such states.
    pub fn load(folder: &Path, hidden: H) -> Result<Self, LmError> {
        let path = folder.join(FILE);
        let bytes = read(&path)?;
        let mut specs: BTreeMap<String, HeadSpec> = BTreeMap::new();
        for (name, view) in parse(&path, &bytes)?.tensors() {
            let refuse = |problem: &str| LmError::Tensor { path: path.clone(), name: name.clone(), problem: problem.into() };
            let (head, part) = name.rsplit_once('.').ok_or_else(|| refuse("is no part of a head"))?;
            let outputs = view.shape().first().copied().unwrap_or_default();
            let spec = specs.entry(head.into()).or_insert(HeadSpec { name: head.into(), outputs, bias: false });
            match part {
                "weight" => spec.outputs = outputs,
                "bias" => spec.bias = true,
                _ => return Err(refuse("is no part of a head")),
            }
        }
        let mut heads = Self::zeros(hidden, &specs.into_values().collect::<Vec<_>>())?;
        heads.fill(&path, &bytes, |name| Some(format!("{PREFIX}{name}")))?;
        Ok(heads)
    }

    /// Fills all heads from a file; `key` turns a stored name into a parameter's, or says that it is none.
    fn fill(&mut self, path: &Path, bytes: &[u8], key: impl Fn(&str) -> Option<String>) -> Result<(), LmError> {
        let mut wanted = NameSet::default();
        self.visit(&mut wanted)?;
        let mut fill = Fill::plain((path, bytes), "the model's width", &wanted.0, key)?;
        self.visit_mut(&mut fill)?;
        match wanted.0.difference(&fill.found).next() {
            None => Ok(()),
            Some(name) => Err(LmError::Tensor { path: path.into(), name: name.clone(), problem: "is missing".into() }),
        }
    }
}

/// What stands before the names of heads where they are visited together with a trunk's tensors.
const PREFIX: &str = "heads.";

/// The tensors of all heads, which are always trained and never rounded.
macro_rules! walk {
    ($self:ident, $v:ident, $($mode:tt)+) => {{
        for (name, head) in $($mode)+ $self.list {
            if let Matrix::Dense(weight) = $($mode)+ head.weight {
                $v.tensor(&format!("{PREFIX}{name}.weight"), $($mode)+ weight.values)?;
            }
            if let Some(bias) = $($mode)+ head.bias {
                $v.tensor(&format!("{PREFIX}{name}.bias"), $($mode)+ bias.values)?;
            }
        }
        Ok(())
    }};
}

impl<H: Dim, E: Dtype> Params<E> for Heads<H, E> {
    fn visit<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        walk!(self, v, &)
    }

    fn visit_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        walk!(self, v, &mut)
    }
}
