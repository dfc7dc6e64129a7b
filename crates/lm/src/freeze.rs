//! Which tensors of a checkpoint are trained.
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::visit::{Origin, See, SeeMut};
use dfdx::prelude::*;
use std::collections::BTreeSet;
use std::convert::Infallible;
use tropism_ops::Param;

impl<M: Dims, E: Dtype> Decoder<M, E> {
    /// Stops training the tensors whose checkpoint name one of `patterns` covers; `*` stands for any run of characters:
    /// `model.embed_tokens.weight`, `model.layers.0.*`, `*.bias`. They are saved as before, but visitors of parameters (the
    /// optimiser's among them) do not see them, and no gradient of them is made. Tensors that were frozen before stay so.
    ///
    /// # Errors
    /// A pattern that covers no tensor; then nothing is changed.
    pub fn freeze(&mut self, patterns: &[&str]) -> Result<(), LmError> {
        let mut names = Names(vec![]);
        let Ok(()) = self.see(&mut names);
        let mut chosen = BTreeSet::new();
        for pattern in patterns {
            let covered: Vec<&String> = names.0.iter().filter(|n| covers(pattern, n)).collect();
            if covered.is_empty() {
                let first = names.0.first().map_or("", |n| n.as_str());
                return Err(LmError::Invalid(format!(
                    "freeze: pattern `{pattern}` covers no tensor; names are like `{first}`, and `*` stands for any characters"
                )));
            }
            chosen.extend(covered.into_iter().cloned());
        }
        let Ok(()) = self.see_mut(&mut Train { chosen: Some(&chosen), to: false });
        Ok(())
    }

    /// Trains all tensors of the checkpoint again.
    pub fn unfreeze(&mut self) {
        self.train_all(true);
    }

    /// Trains all tensors of the checkpoint, or none of them.
    pub(crate) fn train_all(&mut self, to: bool) {
        let Ok(()) = self.see_mut(&mut Train { chosen: None, to });
    }
}

/// Names of the checkpoint's tensors.
struct Names(Vec<String>);
impl<E: Dtype> See<E> for Names {
    type Error = Infallible;
    fn param<S: Shape>(&mut self, name: &str, origin: Origin, _: &Param<S, E>) -> Result<(), Infallible> {
        if origin == Origin::Base {
            self.0.push(name.to_owned());
        }
        Ok(())
    }
}

/// Sets whether tensors of the checkpoint are trained: the chosen ones, or all.
struct Train<'a> {
    chosen: Option<&'a BTreeSet<String>>,
    to: bool,
}
impl<E: Dtype> SeeMut<E> for Train<'_> {
    type Error = Infallible;
    fn param<S: Shape>(&mut self, name: &str, origin: Origin, p: &mut Param<S, E>) -> Result<(), Infallible> {
        if origin == Origin::Base && self.chosen.is_none_or(|c| c.contains(name)) {
            p.trained = self.to;
        }
        Ok(())
    }
}

/// Whether the whole of `name` fits `pattern`.
fn covers(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut pieces = rest.split('*');
    let last = pieces.next_back().unwrap_or_default();
    // the first place is as good as any for all pieces but the last, which has to end the name
    for piece in pieces {
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn patterns() {
        let name = "model.layers.0.mlp.up_proj.weight";
        for good in ["*", "**", name, "model.*", "*.weight", "model.*.up_proj.*", "*layers*mlp*weight", "model.layers.0.*t"]
        {
            assert!(covers(good, name), "{good}");
        }
        for bad in [
            "",
            "model",
            "layers.*",
            "*.bias",
            "model.*.down_proj.*",
            "*weight*mlp*",
            "*weightweight",
            "model.layers.0.mlp.up_proj.weight*t",
        ] {
            assert!(!covers(bad, name), "{bad}");
        }
    }
}
