//! A small-scale check of one paper.

use super::{Figures, Relation, ToyError};

/// Whether a toy draws anything at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// It does; the number of seeds that it is run with by default.
    Seeds(usize),
    /// It does not: one run says everything, whatever its seed.
    None,
}

/// A small-scale check of what one paper claims.
#[derive(Clone, Copy, Debug)]
pub struct Toy {
    /// short name of the paper; the toy is called `ROW-toy`
    pub row: &'static str,
    /// the paper
    pub title: &'static str,
    /// its number on arXiv
    pub arxiv: &'static str,
    /// what is checked, in one sentence
    pub claim: &'static str,
    /// whether it draws at random, and its seeds
    pub chance: Chance,
    /// what should hold between the figures
    pub relations: &'static [Relation],
    /// measures the figures of a seed
    pub run: fn(u64) -> Result<Figures, ToyError>,
}

impl Toy {
    /// The name by which it is called.
    pub fn name(&self) -> String {
        format!("{}-toy", self.row)
    }

    /// Seeds of a run where none are asked for.
    pub fn default_seeds(&self) -> usize {
        match self.chance {
            Chance::Seeds(n) => n,
            Chance::None => 1,
        }
    }
}
