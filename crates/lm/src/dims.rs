//! The dimensions of a model as types.
use crate::config::Config;
use crate::error::LmError;
use dfdx::prelude::*;
use std::fmt::Debug;
use tropism_ops::Heads;

/// Sizes of a model: constants in a [`Preset`], named run-time sizes when [`Loaded`]. Generic code sees distinct types for
/// the five roles, so a swapped projection does not compile for either.
pub trait Dims: Clone + Debug + 'static {
    /// rows of the embedding
    type Vocab: Dim;
    /// width of the residual stream
    type Hidden: Dim;
    /// width of the feed-forward layer
    type Ff: Dim;
    /// all query heads together
    type Query: Dim;
    /// all key (or value) heads together
    type KeyValue: Dim;

    /// The whole configuration.
    fn config(&self) -> &Config;
    /// For settings that are no sizes.
    fn config_mut(&mut self) -> &mut Config;
    /// The vocabulary.
    fn vocab(&self) -> Self::Vocab;
    /// The residual stream.
    fn hidden(&self) -> Self::Hidden;
    /// The feed-forward layer.
    fn ff(&self) -> Self::Ff;
    /// The queries.
    fn query(&self) -> Self::Query;
    /// The keys and the values.
    fn key_value(&self) -> Self::KeyValue;

    /// Width of one head.
    fn head_dim(&self) -> HeadDim {
        HeadDim(self.config().sizes.head_dim)
    }

    /// Queries, keys and values together.
    fn query_key_value(&self) -> QueryKeyValue {
        QueryKeyValue(self.query().size() + 2 * self.key_value().size())
    }

    /// Positions that are learned one by one.
    fn positions(&self) -> Positions {
        Positions(self.config().sizes.positions)
    }

    /// Sizes of the heads.
    fn heads(&self) -> Heads {
        let s = self.config().sizes;
        Heads { heads: s.heads, kv_heads: s.kv_heads, dim: s.head_dim }
    }
}

macro_rules! named {
    ($($(#[$m:meta])* $name:ident),* $(,)?) => { $(
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(usize);

        impl Dim for $name {
            fn size(&self) -> usize {
                self.0
            }
            fn from_size(size: usize) -> Option<Self> {
                Some($name(size))
            }
        }
    )* };
}
named! {
    /// Run-time size of the vocabulary.
    Vocab,
    /// Run-time width of the residual stream.
    Hidden,
    /// Run-time width of the feed-forward layer.
    Ff,
    /// Run-time width of all query heads.
    Query,
    /// Run-time width of all key heads.
    KeyValue,
    /// Run-time width of one head.
    HeadDim,
    /// Run-time width of queries, keys and values together.
    QueryKeyValue,
    /// Run-time number of learned positions.
    Positions,
    /// Run-time rank of an adapter.
    Rank,
    /// Run-time number of outputs of a head.
    Outputs,
}

/// Sizes known at run time.
#[derive(Clone, Debug)]
pub struct Loaded(Config);

impl Loaded {
    /// Any configuration will do.
    pub fn new(config: Config) -> Self {
        Loaded(config)
    }
}

impl Dims for Loaded {
    type Vocab = Vocab;
    type Hidden = Hidden;
    type Ff = Ff;
    type Query = Query;
    type KeyValue = KeyValue;

    fn config(&self) -> &Config {
        &self.0
    }
    fn config_mut(&mut self) -> &mut Config {
        &mut self.0
    }
    fn vocab(&self) -> Vocab {
        Vocab(self.0.sizes.vocab)
    }
    fn hidden(&self) -> Hidden {
        Hidden(self.0.sizes.hidden)
    }
    fn ff(&self) -> Ff {
        Ff(self.0.sizes.ff)
    }
    fn query(&self) -> Query {
        Query(self.0.sizes.heads * self.0.sizes.head_dim)
    }
    fn key_value(&self) -> KeyValue {
        KeyValue(self.0.sizes.kv_heads * self.0.sizes.head_dim)
    }
}

/// Sizes known at compile time: vocabulary, hidden, feed-forward, all query heads, all key heads.
#[derive(Clone, Debug)]
pub struct Preset<const V: usize, const H: usize, const F: usize, const Q: usize, const K: usize>(Config);

/// The sizes of SmolLM2-135M.
pub type SmolLm135 = Preset<49152, 576, 1536, 576, 192>;

impl<const V: usize, const H: usize, const F: usize, const Q: usize, const K: usize> Preset<V, H, F, Q, K> {
    /// The configuration as this preset.
    ///
    /// # Errors
    /// When its sizes are not the type's.
    pub fn new(config: Config) -> Result<Self, LmError> {
        let s = config.sizes;
        let found = [s.vocab, s.hidden, s.ff, s.heads * s.head_dim, s.kv_heads * s.head_dim];
        if found == [V, H, F, Q, K] {
            Ok(Preset(config))
        } else {
            let want = [V, H, F, Q, K];
            Err(LmError::Invalid(format!(
                "the model's sizes {found:?} are not the preset's {want:?}; load it with run-time sizes"
            )))
        }
    }
}

impl<const V: usize, const H: usize, const F: usize, const Q: usize, const K: usize> Dims for Preset<V, H, F, Q, K> {
    type Vocab = Const<V>;
    type Hidden = Const<H>;
    type Ff = Const<F>;
    type Query = Const<Q>;
    type KeyValue = Const<K>;

    fn config(&self) -> &Config {
        &self.0
    }
    fn config_mut(&mut self) -> &mut Config {
        &mut self.0
    }
    fn vocab(&self) -> Const<V> {
        Const
    }
    fn hidden(&self) -> Const<H> {
        Const
    }
    fn ff(&self) -> Const<F> {
        Const
    }
    fn query(&self) -> Const<Q> {
        Const
    }
    fn key_value(&self) -> Const<K> {
        Const
    }
}
