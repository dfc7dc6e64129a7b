//! Several language-model heads on one trunk.
use super::PREFIX;
use crate::config::Config;
use crate::decoder::{Decoder, TokenBatch};
use crate::dims::Dims;
use crate::error::LmError;
use crate::load::{Fill, NameSet, load, parse, read};
use crate::matrix::Matrix;
use crate::random::Stream;
use crate::sample::HookStep;
use crate::save::{Collect, WeightDtype};
use dfdx::prelude::*;
use std::path::Path;
use tropism_ops::{Param, Params, Scalar, TapeOf, Visit, VisitMut, cells, data, data_mut, rows};

/// The file beside a model that holds its language-model heads.
const FILE: &str = "language_heads.safetensors";

/// Stream of the noise on the first head, among the streams of one seed; the others follow.
const STREAM: u64 = 100;

/// A trunk with several output projections, trained together: one for each of several objectives (MAH-DPO). Visitors see the trunk's
/// trained parameters and then the heads' (`heads.0.weight`, …).
///
/// Heads are linear, so mixing their logits by weights that add up to 1 is one head with the mean of their weights
/// ([`LanguageHeads::mixed`]); [`LanguageHeads::mix`] does the same at each step of a sampler.
#[derive(Clone, Debug)]
pub struct LanguageHeads<M: Dims, E: Dtype> {
    /// has no projection of its own
    trunk: Decoder<M, E>,
    heads: Vec<Matrix<M::Vocab, M::Hidden, E>>,
}

impl<M: Dims, E: Scalar> LanguageHeads<M, E>
where
    Cpu: Device<E>,
{
    /// `count` copies of the model's output projection, each with normal noise of deviation `noise` from a stream of its own.
    ///
    /// # Errors
    /// No heads, a noise that is no number from 0 on; a model whose output projection is tied to its embedding (the noise
    /// would reach the embedding), rounded, or that has an adapter.
    pub fn new(model: &Decoder<M, E>, count: usize, noise: f64, seed: u64) -> Result<Self, LmError> {
        let refuse = |problem: String| Err(LmError::Invalid(problem));
        if count == 0 || !(noise >= 0.0 && noise.is_finite()) {
            return refuse(format!("{count} heads with a noise of {noise}; give at least one, and a noise of 0 or more"));
        }
        if model.adapter.is_some() {
            return refuse("several heads train the whole model; leave the adapter out".into());
        }
        let Some(own) = model.head.as_ref().and_then(Matrix::dense) else {
            let problem =
                "several heads need an output projection of their own: the model's is tied to its embedding, or rounded";
            return refuse(format!("{problem}; untie it (tie_word_embeddings = false)"));
        };
        let copy = |i: usize| -> Result<Matrix<M::Vocab, M::Hidden, E>, LmError> {
            let mut stream = Stream::new(seed, STREAM + i as u64);
            let noisy = data(&own.values).iter().map(|v| *v + E::c(noise * stream.normal())).collect();
            fresh(*own.shape(), noisy)
        };
        let heads = (0..count).map(copy).collect::<Result<_, _>>()?;
        Ok(LanguageHeads { trunk: Decoder { head: None, ..model.clone() }, heads })
    }

    /// Number of heads.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Never: there is at least one head.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The trunk, which has no output projection.
    pub fn trunk(&self) -> &Decoder<M, E> {
        &self.trunk
    }

    /// The trunk, to say how it is computed.
    pub fn trunk_mut(&mut self) -> &mut Decoder<M, E> {
        &mut self.trunk
    }

    /// Shares of the heads: `weights` over their sum.
    fn shares(&self, weights: &[f64]) -> Result<Vec<f64>, LmError> {
        let sum: f64 = weights.iter().sum();
        if weights.len() != self.heads.len() || weights.iter().any(|w| *w < 0.0) || !(sum > 0.0 && sum.is_finite()) {
            let n = self.heads.len();
            return Err(LmError::Invalid(format!(
                "weights {weights:?} for {n} heads; give one for each, 0 or more, not all 0"
            )));
        }
        Ok(weights.iter().map(|w| w / sum).collect())
    }

    /// A plain model whose output projection is the weighted mean of the heads: its distribution is that of the mixed logits.
    ///
    /// # Errors
    /// Weights below 0, of another number than the heads, or all 0; a model that caps its logits, which is not linear.
    pub fn mixed(&self, weights: &[f64]) -> Result<Decoder<M, E>, LmError> {
        let shares = self.shares(weights)?;
        self.linear()?;
        let mut sum = vec![0.0; self.heads[0].len()];
        for (head, share) in self.heads.iter().zip(&shares) {
            let values = head.dense().map(|w| data(&w.values)).unwrap_or_default();
            sum.iter_mut().zip(values).for_each(|(s, v)| *s += share * v.f());
        }
        let head = fresh(self.heads[0].shape(), sum.into_iter().map(E::c).collect())?;
        Ok(Decoder { head: Some(head), ..self.trunk.clone() })
    }

    /// What puts the mixed logits of all heads in place of a sampler's.
    ///
    /// # Errors
    /// As [`LanguageHeads::mixed`].
    pub fn mix(&self, weights: &[f64]) -> Result<impl FnMut(&HookStep<E>, &mut [E]) -> Result<(), LmError> + '_, LmError> {
        let shares = self.shares(weights)?;
        self.linear()?;
        Ok(move |step: &HookStep<E>, logits: &mut [E]| {
            let width = step.state.len();
            let heads: Vec<(&[E], f64)> = self
                .heads
                .iter()
                .zip(&shares)
                .filter_map(|(head, share)| Some((data(&head.dense()?.values), *share)))
                .filter(|(_, share)| *share > 0.0)
                .collect();
            for (token, logit) in logits.iter_mut().enumerate() {
                let row = token * width..(token + 1) * width;
                let product = |w: &[E]| w[row.clone()].iter().zip(step.state).map(|(a, b)| a.f() * b.f()).sum::<f64>();
                *logit = E::c(heads.iter().map(|(w, share)| share * product(w)).sum());
            }
            Ok(())
        })
    }

    fn linear(&self) -> Result<(), LmError> {
        match self.trunk.config().style.logit_softcap {
            None => Ok(()),
            Some(_) => Err(LmError::Invalid("the model caps its logits, which mixing heads does not support".into())),
        }
    }

    /// Log-probability of each target under the head of its number, `[targets]`, in nats.
    ///
    /// # Gradient
    /// To the trunk's trained parameters, and to the heads that have a target; the others' stays 0.
    ///
    /// # Errors
    /// As [`Decoder::token_logps`]; a number of heads that is not the targets', a head that there is not.
    pub fn token_logps<T: TapeOf<E>>(
        &self,
        batch: TokenBatch,
        of: &[usize],
        tape: T,
    ) -> Result<Tensor<(usize,), E, Cpu, T>, LmError> {
        self.trunk.check_targets(&batch)?;
        let n = batch.targets.len();
        if of.len() != n || of.iter().any(|h| *h >= self.heads.len()) {
            let (k, heads) = (of.len(), self.heads.len());
            return Err(LmError::Invalid(format!("{n} targets with {k} numbers of heads, of which there are {heads}")));
        }
        let states = self.trunk.states(batch.ids, batch.tree, tape)?;
        let cap = self.trunk.config().style.logit_softcap;
        let part = |head: usize, states: Tensor<(usize, M::Hidden), E, Cpu, T>| {
            let at: Vec<usize> = (0..n).filter(|&t| of[t] == head).collect();
            let pick = |from: &[usize]| at.iter().map(|&t| from[t]).collect::<Vec<_>>();
            let states = rows(states, &pick(batch.sources))?;
            let logps = self.heads[head].logps(states, &pick(batch.targets), cap, self.trunk.precision)?;
            let mut places = vec![None; n];
            at.iter().enumerate().for_each(|(i, &t)| places[t] = Some(i));
            Ok::<_, LmError>(cells(logps, &places, n)?.try_reshape_like(&(n,))?)
        };
        let used: Vec<usize> = (0..self.heads.len()).filter(|h| of.contains(h)).collect();
        let (first, others) =
            used.split_first().ok_or_else(|| LmError::Invalid("a batch needs at least one target".into()))?;
        let parts = others.iter().map(|&h| part(h, states.with_empty_tape())).collect::<Result<Vec<_>, _>>()?;
        let mut sum = part(*first, states)?;
        for other in parts {
            sum = sum.try_add(other)?;
        }
        Ok(sum)
    }

    /// Writes the model folder with the mean of all heads as its output projection, and the heads beside it, into an existing
    /// folder.
    ///
    /// # Errors
    /// As [`Decoder::save`].
    pub fn save(&self, folder: &Path, dtype: WeightDtype) -> Result<(), LmError> {
        self.mixed(&vec![1.0; self.heads.len()])?.save(folder, dtype)?;
        let mut tensors = Collect::plain();
        self.visit_heads(&mut tensors)?;
        tensors.write(&folder.join(FILE), dtype)
    }

    /// Reads what [`LanguageHeads::save`] wrote.
    ///
    /// # Errors
    /// As [`load`](crate::load()); heads that are missing, damaged, or do not belong to the model.
    pub fn load(folder: &Path, dims: impl FnOnce(Config) -> Result<M, LmError>) -> Result<Self, LmError> {
        let model: Decoder<M, E> = load(folder, dims)?;
        let path = folder.join(FILE);
        let bytes = read(&path)?;
        let mut found = Self::new(&model, parse(&path, &bytes)?.names().len(), 0.0, 0)?;
        let mut wanted = NameSet::default();
        found.visit_heads(&mut wanted)?;
        let mut fill = Fill::plain((&path, &bytes), "the model's width", &wanted.0, |name| Some(name.to_owned()))?;
        found.visit_heads_mut(&mut fill)?;
        match wanted.0.difference(&fill.found).next() {
            None => Ok(found),
            Some(name) => Err(LmError::Tensor { path: path.clone(), name: name.clone(), problem: "is missing".into() }),
        }
    }
}

/// A trained matrix of these numbers.
fn fresh<O: Dim, I: Dim, E: Scalar>(shape: (O, I), values: Vec<E>) -> Result<Matrix<O, I, E>, LmError>
where
    Cpu: Device<E>,
{
    let mut matrix = Cpu::default().try_zeros_like(&shape)?;
    data_mut(&mut matrix).copy_from_slice(&values);
    Ok(Matrix::Dense(Param::new(matrix)))
}

impl<M: Dims, E: Dtype> LanguageHeads<M, E> {
    fn visit_heads<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        for (i, head) in self.heads.iter().enumerate() {
            if let Matrix::Dense(weight) = head {
                v.tensor(&format!("{PREFIX}{i}.weight"), &weight.values)?;
            }
        }
        Ok(())
    }

    fn visit_heads_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        for (i, head) in self.heads.iter_mut().enumerate() {
            if let Matrix::Dense(weight) = head {
                v.tensor(&format!("{PREFIX}{i}.weight"), &mut weight.values)?;
            }
        }
        Ok(())
    }
}

impl<M: Dims, E: Dtype> Params<E> for LanguageHeads<M, E> {
    fn visit<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        self.trunk.visit(v)?;
        self.visit_heads(v)
    }

    fn visit_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        self.trunk.visit_mut(v)?;
        self.visit_heads_mut(v)
    }
}
