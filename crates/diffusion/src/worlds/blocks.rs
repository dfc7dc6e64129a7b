//! Stacks of blocks, and whether they stand.
use super::{Picture, World};
use crate::Stream;
use serde::{Deserialize, Serialize};

/// Stacks of `count` blocks of height 1 and one density. A sample lists the blocks from below: horizontal middle and width of each, so it
/// has `2 · count` numbers. Each block's middle is drawn around that of the block below it.
///
/// ```
/// use tropism_diffusion::worlds::Blocks;
///
/// // a second block that reaches beyond the first by more than half of itself falls
/// assert!(Blocks::stability(&[0.0, 1.0, 0.4, 1.0]).stands());
/// assert!(!Blocks::stability(&[0.0, 1.0, 0.6, 1.0]).stands());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Blocks {
    /// blocks of a stack
    pub count: usize,
    /// deviation of a block's middle from that of the block below
    pub offset: f64,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks { count: 4, offset: 0.35 }
    }
}

/// What the simulator says of a stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stability {
    /// the block over which the stack is closest to turning, and the distance from the weight above it to the nearer edge of its support:
    /// positive where it rests, negative where it falls
    pub margin: f64,
    /// that block, counted from below; 0 is the ground under the first
    pub joint: usize,
}

impl Stability {
    /// Whether the stack stands.
    pub fn stands(&self) -> bool {
        self.margin > 0.0
    }
}

/// Narrowest width that a block is taken to have: generated ones may be worse than thin.
const THIN: f64 = 1e-3;

impl Blocks {
    /// Statics of rigid blocks: everything above a joint rests on it as long as its centre of mass lies over the contact of the two
    /// blocks. No friction is needed, for all contacts are level; no glue holds.
    pub fn stability(sample: &[f64]) -> Stability {
        let blocks: Vec<(f64, f64)> = sample.chunks_exact(2).map(|b| (b[0], b[1].max(THIN))).collect();
        let edges = |(x, w): (f64, f64)| (x - w / 2.0, x + w / 2.0);
        let (mut mass, mut moment) = (0.0, 0.0);
        let mut worst = Stability { margin: f64::INFINITY, joint: 0 };
        for (joint, &(x, w)) in blocks.iter().enumerate().rev() {
            mass += w;
            moment += w * x;
            let (mut left, mut right) = edges((x, w));
            if joint > 0 {
                let below = edges(blocks[joint - 1]);
                (left, right) = (left.max(below.0), right.min(below.1));
            }
            let centre = moment / mass;
            let margin = (centre - left).min(right - centre);
            if margin < worst.margin {
                worst = Stability { margin, joint };
            }
        }
        worst
    }
}

impl World for Blocks {
    fn dim(&self) -> usize {
        2 * self.count
    }

    fn draw(&self, _: usize, stream: &mut Stream) -> Vec<f64> {
        let mut x = 0.0;
        let mut sample = vec![];
        for i in 0..self.count {
            x += if i > 0 { self.offset * stream.normal() } else { 0.1 * stream.normal() };
            sample.extend([x, 0.6 + 0.8 * stream.uniform()]);
        }
        sample
    }

    /// 1 for a stack that stands, 0 for one that falls.
    fn reward(&self, sample: &[f64], _: usize) -> f64 {
        f64::from(u8::from(Self::stability(sample).stands()))
    }

    /// How far widths lie outside the drawn range, and steps between middles beyond three deviations: root of the sum of squares.
    fn distance(&self, sample: &[f64], _: usize) -> f64 {
        let outside = |v: f64, low: f64, high: f64| (low - v).max(v - high).max(0.0);
        let mut before = None;
        let mut sum = 0.0;
        for block in sample.chunks_exact(2) {
            let reach = before.map_or(0.3, |_| 3.0 * self.offset);
            let step = block[0] - before.unwrap_or(0.0);
            sum += outside(block[1], 0.6, 1.4).powi(2) + outside(step, -reach, reach).powi(2);
            before = Some(block[0]);
        }
        sum.sqrt()
    }

    fn picture(&self) -> Picture {
        Picture::Boxes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harmonic_stack_is_at_its_limit() {
        // equal blocks may each reach over the one below by 1/2, 1/4, 1/6, 1/8 of their width, from the top down
        let stack = |share: f64| {
            let mut x = 0.0;
            let mut blocks = vec![0.0, 1.0];
            for above in [4.0, 3.0, 2.0, 1.0] {
                x += share * 0.5 / above;
                blocks.extend([x, 1.0]);
            }
            Blocks::stability(&blocks)
        };
        assert!(stack(1.0).margin.abs() < 1e-12 && stack(1.0).joint > 0, "{:?}", stack(1.0));
        assert!(stack(0.999).stands());
        assert!(!stack(1.001).stands());
    }

    #[test]
    fn a_weight_on_top_can_hold_a_stack() {
        // a beam over an edge falls, and is held by a wide block on its near end
        let beam = [0.0, 1.0, 0.55, 1.0];
        assert!(!Blocks::stability(&beam).stands());
        assert!(Blocks::stability(&[0.0, 1.0, 0.55, 1.0, 0.1, 1.0]).stands());
    }

    #[test]
    fn blocks_that_do_not_touch_fall() {
        let found = Blocks::stability(&[0.0, 1.0, 3.0, 1.0]);
        assert!(!found.stands() && found.joint == 1, "{found:?}");
    }

    #[test]
    fn both_kinds_are_drawn() {
        let (world, mut stream) = (Blocks::default(), Stream::new(2, 0));
        let stands = (0..2000).map(|_| world.reward(&world.draw(0, &mut stream), 0)).sum::<f64>() / 2000.0;
        assert!((0.3..0.8).contains(&stands), "{stands}");
        assert_eq!(world.distance(&[0.0, 1.0, 0.2, 0.8, 0.1, 1.2, 0.0, 0.7], 0), 0.0);
        assert!((world.distance(&[0.0, 1.9], 0) - 0.5).abs() < 1e-12);
    }
}
