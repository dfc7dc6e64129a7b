//! Reward models as transformers' `…ForSequenceClassification`: a trunk and `score.weight`.
use super::{HeadSpec, Headed, Heads};
use crate::architecture::HEAD;
use crate::config::Config;
use crate::dims::Dims;
use crate::error::LmError;
use crate::load::{load_with, stray};
use crate::save::{WeightDtype, write};
use dfdx::prelude::*;
use serde_json::{Map, Value, json};
use std::path::Path;
use tropism_ops::{Params, Scalar};

/// The name of the head in such a folder.
const SCORE: &str = "score.weight";
const NAME: &str = "score";

impl<M: Dims, E: Scalar> Headed<M, E>
where
    Cpu: Device<E>,
{
    /// Writes the model folder of a reward model, which transformers opens as `AutoModelForSequenceClassification`: the trunk
    /// without its output projection, and the one head as `score.weight`. For batches transformers wants a `pad_token_id`;
    /// set it with [`Config::set`] when the model has none.
    ///
    /// # Errors
    /// Several heads, or a bias, which such folders have no place for; as [`Decoder::save`](crate::Decoder::save).
    pub fn save_classifier(&self, folder: &Path, dtype: WeightDtype) -> Result<(), LmError> {
        self.trunk.can_save()?;
        let mut heads = self.heads.list.values();
        let (Some(head), None) = (heads.next(), heads.next()) else {
            let found = self.heads.list.len();
            return Err(LmError::Invalid(format!("a sequence classifier has one head, here are {found}; save them beside")));
        };
        if head.bias.is_some() {
            return Err(LmError::Invalid("the head of a sequence classifier has no bias; save it beside the model".into()));
        }
        let mut tensors = self.trunk.collected()?;
        tensors.tensors.retain(|(name, _, _)| name != HEAD);
        self.heads.visit(&mut tensors)?;
        if let Some((name, _, _)) = tensors.tensors.last_mut() {
            *name = SCORE.into();
        }
        write(folder, dtype, &classifying(self.trunk.config().clone(), head.weight.shape().0.size()), &tensors)
    }

    /// Reads the folder of a reward model; its head is called `score`. The trunk has an output projection only when the
    /// model is tied or the folder holds one.
    ///
    /// # Errors
    /// As [`load`](crate::load); a folder without `score.weight`, or with another number of scores than `id2label` has.
    pub fn load_classifier(folder: &Path, dims: impl FnOnce(Config) -> Result<M, LmError>) -> Result<Self, LmError> {
        let mut score = None;
        let mut trunk = load_with(folder, dims, &[HEAD, SCORE], |path, bytes| {
            if let Some(found) = stray::<E>(path, bytes, SCORE)? {
                score = Some((path.to_owned(), found));
            }
            Ok(())
        })?;
        let Some((path, (shape, numbers))) = score else {
            let problem = format!("holds no tensor `{SCORE}`; it is no reward model");
            return Err(LmError::file(folder, problem));
        };
        let hidden = trunk.dims.hidden();
        let refuse = |problem| LmError::Tensor { path, name: SCORE.into(), problem };
        if shape.len() != 2 || shape[1] != hidden.size() {
            return Err(refuse(format!("has shape {shape:?}; expected [scores, {}]", hidden.size())));
        }
        let labels = trunk.config().raw("id2label").and_then(Value::as_object).map(Map::len);
        if let Some(labels) = labels.filter(|&n| n != shape[0]) {
            return Err(refuse(format!("has {} rows, `id2label` of config.json names {labels}", shape[0])));
        }
        let heads = Heads::one(hidden, HeadSpec { name: NAME.into(), outputs: shape[0], bias: false }, &numbers)?;
        generating(trunk.config_mut());
        Ok(Headed { trunk, heads })
    }
}

/// The configuration of a classifier of `labels` scores. transformers counts the labels, and has two where none are named.
fn classifying(mut config: Config, labels: usize) -> Config {
    let name = |i: usize| format!("LABEL_{i}");
    let by_id: Map<String, Value> = (0..labels).map(|i| (i.to_string(), json!(name(i)))).collect();
    let by_name: Map<String, Value> = (0..labels).map(|i| (name(i), json!(i))).collect();
    config.set("architectures", json!([config.architecture.classes()[1]]));
    config.set("id2label", Value::Object(by_id));
    config.set("label2id", Value::Object(by_name));
    config
}

/// Takes out again what [`classifying`] put in.
fn generating(config: &mut Config) {
    config.set("architectures", json!([config.architecture.classes()[0]]));
    ["id2label", "label2id", "num_labels", "problem_type"].into_iter().for_each(|key| config.unset(key));
}
