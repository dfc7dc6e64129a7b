//! Adapter folders in PEFT's format: `adapter_config.json` and `adapter_model.safetensors`.
use super::config::Targets;
use super::peft;
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::load::{Fill, NameSet, read};
use crate::save::{Collect, WeightDtype};
use dfdx::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use tropism_ops::Scalar;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before the names of the model that it wraps.
const PREFIX: &str = "base_model.model.";

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// The same model with the adapter of a PEFT folder; weights are shared with `self` and no longer trained, as in
    /// [`Decoder::with_lora`]. A folder whose `lora_dropout` is
    /// not 0 is refused: dropout is not supported.
    ///
    /// # Errors
    /// Missing or damaged files, a setting that is not supported, tensors that are missing, unknown or misshapen: named by
    /// file and key or tensor.
    pub fn with_adapter_folder(&self, folder: &Path) -> Result<Self, LmError> {
        let path = folder.join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(LmError::io(&path))?;
        let config = peft::parse(&text, &path, self.names)?;
        let (mut model, used) = self.with_empty_lora(&config).map_err(|e| LmError::file(&path, e.to_string()))?;
        if used.modules.is_empty() {
            let problem =
                format!("`target_modules` names none of the model's projections: {}", self.projections()?.join(", "));
            return Err(LmError::file(&path, problem));
        }
        model.fill_adapter(&folder.join(WEIGHTS))?;
        Ok(model)
    }

    fn fill_adapter(&mut self, path: &Path) -> Result<(), LmError> {
        let (names, bytes) = (self.names, read(path)?);
        let mut wanted = NameSet::default();
        self.visit_adapter(&mut wanted)?;
        let known: BTreeSet<String> = wanted.0.iter().map(|n| names.base(n).to_owned()).collect();
        let key = |name: &str| Some(names.base(name.strip_prefix(PREFIX).unwrap_or(name)).to_owned());
        let mut fill = Fill::new((path, &bytes), names, CONFIG, &known, key)?;
        self.visit_adapter_mut(&mut fill)?;
        match wanted.0.difference(&fill.found).next() {
            None => Ok(()),
            Some(name) => {
                let problem = format!("is missing, {CONFIG} asks for it");
                Err(LmError::Tensor { path: path.into(), name: name.clone(), problem })
            }
        }
    }

    /// Writes the adapter into an existing folder, as PEFT does. `base` says where the model without the adapter is found: a
    /// folder or a name on the hub.
    ///
    /// # Errors
    /// A model without adapter, a file that cannot be written, a number outside the range of `dtype`.
    pub fn save_adapter(&self, folder: &Path, base: &str, dtype: WeightDtype) -> Result<(), LmError> {
        let config = self.adapter().ok_or_else(|| LmError::Invalid("the model has no adapter to save".into()))?;
        let modules = match &config.target_modules {
            Targets::Named(names) => names.clone(),
            // by name, for PEFT's meaning of `all-linear` may change
            Targets::AllLinear => self.projections()?,
        };
        let path = folder.join(CONFIG);
        std::fs::write(&path, peft::to_json(config, &modules, base, self.names)).map_err(LmError::io(&path))?;
        let mut tensors = Collect::new(self.names);
        self.visit_adapter(&mut tensors)?;
        for (name, _, _) in &mut tensors.tensors {
            *name = format!("{PREFIX}{}", self.names.whole(name));
        }
        tensors.write(&folder.join(WEIGHTS), dtype)
    }
}
