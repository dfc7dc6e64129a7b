//! What an adapter is attached to, and how large it is.
use crate::error::LmError;
use serde::{Deserialize, Serialize};

/// Options of a low-rank adapter.
///
/// ```
/// let config: tropism_lm::LoraConfig = serde_json::from_str(r#"{"r": 8, "alpha": 16, "target_modules": ["q_proj"]}"#)?;
/// assert_eq!(config.scale(), 2.0);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// rank of the two factors
    pub r: usize,
    /// the product of the factors is multiplied by `alpha / r`
    pub alpha: f64,
    /// the projections that get an adapter
    pub target_modules: Targets,
    /// the layers that get one, counted from 0; all when left out
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers_to_transform: Option<Vec<usize>>,
    /// multiply by `alpha / sqrt(r)` instead, so that updates keep their size when the rank grows (Kalajdzievski 2023)
    #[serde(default)]
    pub use_rslora: bool,
}

/// Which projections get an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Targets {
    /// every projection of every layer: `all-linear`
    AllLinear,
    /// those whose module name is one of these or ends in a dot and one of these: `q_proj`, `mlp.c_proj`, …
    Named(Vec<String>),
}

const ALL_LINEAR: &str = "all-linear";

/// Targets as they stand in a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "target_modules must be `all-linear` or a list of module names")]
enum Written {
    Word(String),
    List(Vec<String>),
}

impl TryFrom<Written> for Targets {
    type Error = String;
    fn try_from(w: Written) -> Result<Self, String> {
        match w {
            Written::Word(word) if word == ALL_LINEAR => Ok(Targets::AllLinear),
            Written::Word(word) => {
                Err(format!("target_modules is `{word}`; patterns are not supported, give `all-linear` or a list of names"))
            }
            Written::List(names) => Ok(Targets::Named(names)),
        }
    }
}

impl From<Targets> for Written {
    fn from(t: Targets) -> Self {
        match t {
            Targets::AllLinear => Written::Word(ALL_LINEAR.into()),
            Targets::Named(names) => Written::List(names),
        }
    }
}

impl LoraConfig {
    /// An adapter of rank `r` with `alpha` on some projections of all layers.
    pub fn new(r: usize, alpha: f64, target_modules: Targets) -> Self {
        LoraConfig { r, alpha, target_modules, layers_to_transform: None, use_rslora: false }
    }

    /// What the product of the factors is multiplied by.
    pub fn scale(&self) -> f64 {
        let r = self.r as f64;
        self.alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// Checks the options for a model of `layers` layers.
    ///
    /// # Errors
    /// Names the key and what would do.
    pub fn check(&self, layers: usize) -> Result<(), LmError> {
        let refuse = |key: &str, problem: String| Err(LmError::Invalid(format!("lora: key `{key}` {problem}")));
        if self.r == 0 {
            return refuse("r", "is 0; it must be at least 1".into());
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return refuse("alpha", format!("is {}; it must be above 0", self.alpha));
        }
        if matches!(&self.target_modules, Targets::Named(names) if names.is_empty()) {
            return refuse("target_modules", "is empty; name a projection at least, or `all-linear`".into());
        }
        match &self.layers_to_transform {
            Some(list) if list.is_empty() => refuse("layers_to_transform", "is empty; leave it out for all layers".into()),
            Some(list) => match list.iter().find(|&&i| i >= layers) {
                Some(i) => {
                    refuse("layers_to_transform", format!("names layer {i}; the model has the layers 0 to {}", layers - 1))
                }
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Whether layer `i` gets an adapter.
    pub(crate) fn has_layer(&self, i: usize) -> bool {
        self.layers_to_transform.as_ref().is_none_or(|list| list.contains(&i))
    }
}

impl Targets {
    /// The entry that covers the module `name`, if one does: `all-linear` is entry 0.
    pub(crate) fn matching(&self, name: &str) -> Option<usize> {
        let ends = |t: &String| name.strip_suffix(t.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        match self {
            Targets::AllLinear => Some(0),
            Targets::Named(names) => names.iter().position(ends),
        }
    }
}
