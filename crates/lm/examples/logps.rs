//! Log-probability of every token but the first of a sequence under a model folder, in nats, one per line.
//!
//! `cargo run --release -p tropism-lm --example logps -- MODEL 5 17 42`
use std::error::Error;
use std::path::PathBuf;
use tropism_lm::{Loaded, TokenBatch, load};
use tropism_ops::Tree;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("give a model folder and at least two token ids")?);
    let ids = args.map(|a| a.parse()).collect::<Result<Vec<usize>, _>>()?;
    if ids.len() < 2 {
        return Err("give at least two token ids".into());
    }
    let model = load::<_, f32>(&folder, |c| Ok(Loaded::new(c)))?;
    let (tree, sources) = (Tree::sequences(&[ids.len()])?, (0..ids.len() - 1).collect::<Vec<_>>());
    let batch = TokenBatch { ids: &ids, tree: &tree, sources: &sources, targets: &ids[1..] };
    for logp in model.token_logps(batch, dfdx::prelude::NoneTape)?.as_vec() {
        println!("{logp}");
    }
    Ok(())
}
