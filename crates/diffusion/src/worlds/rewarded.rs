//! Worlds as configuration files name them.
use super::{Blocks, Clips, Glyphs, Mixture, Picture, Segments, Taste, World};
use crate::{DiffusionError, Stream};
use serde::{Deserialize, Serialize};

/// Kind and options of a world: `{ kind = "ring" }`, `{ kind = "glyphs", taste = { stroke = 1.0 } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum WorldConfig {
    /// a [`Mixture`] on a circle of radius 1
    Ring {
        /// centres
        #[serde(default = "eight")]
        modes: usize,
        /// width of each
        #[serde(default = "narrow")]
        sd: f64,
        /// of the reward
        #[serde(default = "rightwards")]
        direction: [f64; 2],
    },
    /// [`Glyphs`]
    Glyphs {
        /// of the user
        taste: Taste,
    },
    /// [`Blocks`]
    Blocks(Blocks),
    /// [`Clips`]
    Clips(Clips),
    /// [`Segments`]
    Segments(Segments),
}

fn eight() -> usize {
    8
}

fn narrow() -> f64 {
    0.08
}

fn rightwards() -> [f64; 2] {
    [1.0, 0.0]
}

/// Any world of this crate.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyWorld {
    /// points
    Mixture(Mixture),
    /// signs
    Glyphs(Glyphs),
    /// stacks
    Blocks(Blocks),
    /// clips
    Clips(Clips),
    /// clips in numbers
    Segments(Segments),
}

impl WorldConfig {
    /// The world.
    ///
    /// # Errors
    /// [`DiffusionError::Input`] for options that make no world.
    pub fn build(&self) -> Result<AnyWorld, DiffusionError> {
        let refuse = |problem: &str| Err(DiffusionError::Input { method: "world", problem: problem.to_owned() });
        let share = |p: f64| (0.0..=1.0).contains(&p);
        match self {
            WorldConfig::Ring { modes, sd, direction } => {
                let ring = (*modes > 0).then(|| Mixture::ring(*modes, 1.0, *sd));
                let fits = *sd >= 0.0 && sd.is_finite() && direction.iter().all(|d| d.is_finite());
                match ring.filter(|_| fits).and_then(|r| r.towards(direction.to_vec())) {
                    Some(ring) => Ok(AnyWorld::Mixture(ring)),
                    None => refuse("a ring needs at least 1 mode, an `sd` of 0 or more and a finite direction"),
                }
            }
            WorldConfig::Glyphs { taste } => match [taste.stroke, taste.slant, taste.size].iter().all(|w| w.is_finite()) {
                true => Ok(AnyWorld::Glyphs(Glyphs { taste: *taste })),
                false => refuse("the weights of a taste must be finite"),
            },
            WorldConfig::Blocks(b) if b.count > 0 && b.offset >= 0.0 && b.offset.is_finite() => Ok(AnyWorld::Blocks(*b)),
            WorldConfig::Blocks(_) => refuse("blocks need a `count` of at least 1 and an `offset` of 0 or more"),
            WorldConfig::Clips(c) if share(c.slow_flaws) && share(c.fast_flaws) => Ok(AnyWorld::Clips(*c)),
            WorldConfig::Clips(_) => refuse("`slow_flaws` and `fast_flaws` are probabilities, 0 to 1"),
            WorldConfig::Segments(s) if s.count > 0 && share(s.low_defects) && share(s.high_defects) => {
                Ok(AnyWorld::Segments(*s))
            }
            WorldConfig::Segments(_) => {
                refuse("segments need a `count` of at least 1; `low_defects` and `high_defects` are probabilities, 0 to 1")
            }
        }
    }
}

/// Calls the world inside.
macro_rules! inside {
    ($world:expr, $w:ident => $call:expr) => {
        match $world {
            AnyWorld::Mixture($w) => $call,
            AnyWorld::Glyphs($w) => $call,
            AnyWorld::Blocks($w) => $call,
            AnyWorld::Clips($w) => $call,
            AnyWorld::Segments($w) => $call,
        }
    };
}

impl World for AnyWorld {
    fn dim(&self) -> usize {
        inside!(self, w => w.dim())
    }
    fn labels(&self) -> usize {
        inside!(self, w => w.labels())
    }
    fn draw(&self, label: usize, stream: &mut Stream) -> Vec<f64> {
        inside!(self, w => w.draw(label, stream))
    }
    fn reward(&self, sample: &[f64], label: usize) -> f64 {
        inside!(self, w => w.reward(sample, label))
    }
    fn distance(&self, sample: &[f64], label: usize) -> f64 {
        inside!(self, w => w.distance(sample, label))
    }
    fn picture(&self) -> Picture {
        inside!(self, w => w.picture())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_and_checked() {
        let read = |text: &str| serde_json::from_str::<WorldConfig>(text);
        let ring = read(r#"{"kind": "ring", "direction": [0, 1]}"#).unwrap().build().unwrap();
        assert_eq!((ring.dim(), ring.labels(), ring.reward(&[3.0, 2.0], 0)), (2, 1, 2.0));
        let glyphs = read(r#"{"kind": "glyphs", "taste": {"slant": 1.0}}"#).unwrap().build().unwrap();
        assert_eq!((glyphs.dim(), glyphs.labels()), (256, 4));
        assert!(read(r#"{"kind": "glyphs", "taste": {"colour": 1.0}}"#).is_err());
        assert!(read(r#"{"kind": "ring", "nodes": 3}"#).is_err());
        assert!(read(r#"{"kind": "blocks", "cuont": 3}"#).is_err());
        assert!(read(r#"{"kind": "rings"}"#).is_err());
        for bad in [
            r#"{"kind": "ring", "modes": 0}"#,
            r#"{"kind": "blocks", "count": 0}"#,
            r#"{"kind": "clips", "fast_flaws": 1.5}"#,
            r#"{"kind": "segments", "low_defects": -0.1}"#,
        ] {
            assert!(read(bad).unwrap().build().is_err(), "{bad}");
        }
        for (kind, dim) in [("blocks", 8), ("clips", 512), ("segments", 8)] {
            let world = read(&format!(r#"{{"kind": "{kind}"}}"#)).unwrap().build().unwrap();
            let x = world.draw(0, &mut Stream::new(0, 0));
            assert_eq!((world.dim(), x.len()), (dim, dim));
            assert!(world.reward(&x, 0).is_finite() && world.distance(&x, 0) >= 0.0);
        }
    }
}
