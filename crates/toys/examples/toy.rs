//! Runs one toy: `cargo run --release -p tropism-toys --example toy -- simpo-toy [FIRST_SEED [SEEDS]]`.
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().ok_or("give the name of a toy")?;
    let toy = tropism_toys::find(name).ok_or_else(|| format!("there is no toy `{name}`"))?;
    let first = args.get(1).map_or(Ok(0), |s| s.parse())?;
    let seeds = args.get(2).map_or(Ok(toy.default_seeds()), |s| s.parse())?;
    println!("{}", toy.check(first, seeds)?);
    Ok(())
}
