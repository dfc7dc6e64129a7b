//! Densities and tasks with exact rewards: what a denoiser learns, and what better means there.
//!
//! | world | samples | reward |
//! |---|---|---|
//! | [`Mixture`] | points around centres, in any dimension | along a direction |
//! | [`Glyphs`] | drawn 16 × 16 signs | a taste for strokes, slants and sizes |
//! | [`Blocks`] | stacks of blocks | whether the stack stands, by statics |
//! | [`Clips`] | clips of a moving dot | how steady the dot shines, segment by segment |
//! | [`Segments`] | motion and defect of a clip's segments as numbers | little defect, segment by segment |
//!
//! [`World`] is what they have in common. All rewards are functions of the samples' numbers alone, so generated samples are scored like
//! drawn ones.

mod blocks;
mod clips;
mod glyphs;
mod mixture;
mod rewarded;
mod segments;

pub use blocks::{Blocks, Stability};
pub use clips::Clips;
pub use glyphs::{Attributes, GLYPH_SIDE, Glyph, Glyphs, Taste};
pub use mixture::{Ideal, Mixture};
pub use rewarded::{AnyWorld, WorldConfig};
pub use segments::Segments;

use crate::Stream;
use serde::{Deserialize, Serialize};

/// A distribution of samples with a reward.
pub trait World {
    /// Numbers of a sample.
    fn dim(&self) -> usize;

    /// Kinds of samples that a condition may ask for; 1 where there is nothing to ask for.
    fn labels(&self) -> usize {
        1
    }

    /// A sample of a kind.
    fn draw(&self, label: usize, stream: &mut Stream) -> Vec<f64>;

    /// The exact reward of any sample, drawn or generated, when `label` was asked for.
    fn reward(&self, sample: &[f64], label: usize) -> f64;

    /// How far a sample is from those that the world draws: 0 for one that it could draw exactly.
    fn distance(&self, sample: &[f64], label: usize) -> f64;

    /// How a sample is drawn for people.
    fn picture(&self) -> Picture;
}

/// How a sample is drawn for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// the first two numbers are a place in the plane
    Point,
    /// grey values from −1 (paper) to 1 (ink), frame by frame, row by row
    Image {
        /// frames; 1 for a still
        frames: usize,
        /// rows
        height: usize,
        /// columns
        width: usize,
    },
    /// boxes on the ground, from below: horizontal place and width of each, all of height 1
    Boxes,
}

/// `n` samples of kinds in turn, as flat rows, and the kinds.
pub fn draw_many(world: &impl World, n: usize, stream: &mut Stream) -> (Vec<f64>, Vec<usize>) {
    let labels: Vec<usize> = (0..n).map(|i| i % world.labels().max(1)).collect();
    (labels.iter().flat_map(|&l| world.draw(l, stream)).collect(), labels)
}
