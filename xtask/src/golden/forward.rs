//! Logits, log-probabilities and greedy decoding of the reference model.
use super::Tally;
use super::bounds::Bounds;
use super::models::{indices, numbers};
use crate::error::XtaskError;
use dfdx::prelude::*;
use serde_json::Value;
use tropism_lm::{Decoder, Loaded, Sampling, TokenBatch};
use tropism_ops::{Scalar, Tree};
use tropism_trainer::TrainError;

pub(super) const CHECKS: [&str; 3] = ["logits", "label_logps", "greedy"];

pub(super) fn check<E: Scalar>(
    model: &Decoder<Loaded, E>,
    figures: &Value,
    bounds: &Bounds,
    id: &impl Fn(&str) -> String,
    tally: &mut Tally,
) -> Result<(), XtaskError>
where
    Cpu: Device<E>,
{
    let rows = unpadded(&figures["input_ids"], &figures["attention_mask"]);
    let starts: Vec<usize> = rows.iter().scan(0, |at, r| Some(std::mem::replace(at, *at + r.len()))).collect();
    let tokens: Vec<usize> = rows.concat();
    let tree = Tree::sequences(&rows.iter().map(Vec::len).collect::<Vec<_>>()).map_err(TrainError::from)?;
    let wide = |t: Vec<E>| t.into_iter().map(Scalar::f).collect::<Vec<f64>>();

    let at: Vec<usize> = indices(&figures["logit_positions"]).chunks(2).map(|p| starts[p[0]] + p[1]).collect();
    let logits = wide(model.logits(&tokens, &tree, &at)?.as_vec());
    tally.spread(&id("logits"), &logits, &numbers(&figures["logits"]), bounds.tokens());

    let sources: Vec<usize> = starts.iter().zip(&rows).flat_map(|(s, r)| *s..s + r.len() - 1).collect();
    let targets: Vec<usize> = sources.iter().map(|s| tokens[s + 1]).collect();
    let batch = TokenBatch { ids: &tokens, tree: &tree, sources: &sources, targets: &targets };
    let logps = wide(model.token_logps(batch, NoneTape)?.as_vec());
    let mask = numbers(&figures["label_mask"]);
    let expected: Vec<f64> =
        numbers(&figures["label_logps"]).into_iter().zip(mask).filter(|(_, m)| *m > 0.0).map(|(l, _)| l).collect();
    tally.spread(&id("label_logps"), &logps, &expected, bounds.tokens());
    greedy(model, &figures["greedy"], bounds, &id("greedy"), tally)
}

/// Greedy decoding. Where operands are rounded, another token may be taken whose logit is as high within the bound; what
/// follows it is another text.
fn greedy<E: Scalar>(
    model: &Decoder<Loaded, E>,
    figures: &Value,
    bounds: &Bounds,
    id: &str,
    tally: &mut Tally,
) -> Result<(), XtaskError>
where
    Cpu: Device<E>,
{
    let (prompt, new) = (indices(&figures["prompt_ids"]), indices(&figures["new_ids"]));
    let sampling = Sampling { temperature: 0.0, max_new_tokens: new.len(), ..Sampling::default() };
    let tokens = prompt.iter().map(|&t| t as u32).collect();
    let found = model.generate(&[tokens], &sampling, &[], 0)?.remove(0).tokens;
    let found: Vec<usize> = found.into_iter().map(|t| t as usize).collect();
    let failure = || format!("expected {new:?}, found {found:?}");
    let other = found.iter().zip(&new).position(|(f, n)| f != n).filter(|_| found.len() == new.len());
    let tie = match (other, bounds) {
        (Some(i), Bounds::Bf16 { .. }) => {
            let context = [&prompt, &new[..i]].concat();
            let tree = Tree::sequences(&[context.len()]).map_err(TrainError::from)?;
            let logits = model.logits(&context, &tree, &[context.len() - 1])?.as_vec();
            (logits[found[i]] - logits[new[i]]).f() <= bounds.tokens().1
        }
        _ => false,
    };
    tally.add(id, (found != new && !tie).then(failure));
    Ok(())
}

/// Rows of a padded batch without their padding.
pub(super) fn unpadded(ids: &Value, mask: &Value) -> Vec<Vec<usize>> {
    let rows = |v: &Value| v.as_array().map(|r| r.iter().map(indices).collect::<Vec<_>>()).unwrap_or_default();
    let keep =
        |(ids, mask): (Vec<usize>, Vec<usize>)| ids.into_iter().zip(mask).filter(|(_, m)| *m == 1).map(|(i, _)| i).collect();
    rows(ids).into_iter().zip(rows(mask)).map(keep).collect()
}
