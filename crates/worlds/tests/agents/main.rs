//! Worlds in which a policy acts by turns.
#![allow(clippy::unwrap_used)]

mod boards;
mod demonstrations;
mod episodes;
mod lookup;
mod settings;
mod sokoban;

use tropism_rewards::Episodes;
use tropism_worlds::{AgentWorld, Lookup, LookupConfig, Sokoban, SokobanConfig};

fn sokoban() -> Sokoban {
    Sokoban::new(SokobanConfig::default()).unwrap()
}

fn lookup() -> Lookup {
    Lookup::new(LookupConfig::default()).unwrap()
}

/// A world of either kind, with turns rewarded and tasks of all difficulties.
fn worlds() -> Vec<Box<dyn AgentWorld>> {
    let boxes = SokobanConfig { walls: 1, shaped: true, ..SokobanConfig::default() };
    let questions = LookupConfig { hops: vec![1, 2, 3], ..LookupConfig::default() };
    vec![Box::new(Sokoban::new(boxes).unwrap()), Box::new(Lookup::new(questions).unwrap())]
}

fn turns(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// An aspect that applies.
fn aspect(world: &dyn Episodes, name: &str, prompt: &str, turns: &[String]) -> f64 {
    world.aspect(name, prompt, turns).unwrap().unwrap()
}
