//! A U-Net for small images and short clips.
use super::condition::{Condition, TIME_FEATURES, time_features};
use super::layer::{Branch, Linear, Norm, Rows};
use super::params::{Listed, Names, NamesMut};
use super::{Denoiser, DenoiserError, trained};
use crate::Stream;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_ops::{Activation, Scalar, TapeOf, Window, activate, plus, rows};

/// Sizes of a [`UNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UNetConfig {
    /// channels of the images
    pub channels: usize,
    /// frames of a clip; 1 for images, which have no layers over time
    pub frames: usize,
    /// rows of an image
    pub height: usize,
    /// columns of an image
    pub width: usize,
    /// channels of the largest maps; each halving of the size doubles them
    pub hidden: usize,
    /// halvings
    pub levels: usize,
    /// numbers of a condition's features
    pub features: usize,
    /// numbers of a user's embedding
    pub users: usize,
}

impl Default for UNetConfig {
    fn default() -> Self {
        UNetConfig { channels: 1, frames: 1, height: 16, width: 16, hidden: 32, levels: 2, features: 0, users: 0 }
    }
}

impl UNetConfig {
    /// Frames, rows and columns after `level` halvings of the images.
    fn size(&self, level: usize) -> [usize; 3] {
        let half = |n: usize| (0..level).fold(n, |n, _| n.div_ceil(2));
        [self.frames, half(self.height), half(self.width)]
    }

    /// Channels after `level` halvings.
    fn maps(&self, level: usize) -> usize {
        self.hidden << level
    }

    /// Numbers of the vector that says time and condition.
    fn embedding(&self) -> usize {
        2 * self.hidden
    }

    fn check(&self) -> Result<(), DenoiserError> {
        let least = [
            ("channels", self.channels),
            ("frames", self.frames),
            ("height", self.height),
            ("width", self.width),
            ("hidden", self.hidden),
        ];
        if let Some((name, _)) = least.into_iter().find(|(_, n)| *n == 0) {
            return Err(DenoiserError::Config(format!("unet: {name} is 0; it must be at least 1")));
        }
        if self.levels > 8 || self.size(self.levels.saturating_sub(1))[1..] == [1, 1] && self.levels > 0 {
            let problem = format!("unet: {} halvings are too many for {} x {}", self.levels, self.height, self.width);
            return Err(DenoiserError::Config(problem));
        }
        Ok(())
    }
}

/// `h + conv(SiLU(norm(conv(SiLU(norm(h))) + W e)))`, and over frames `h + conv(SiLU(norm(h)))`.
#[derive(Clone, Debug)]
struct Block<E: Dtype> {
    norms: Vec<Norm<E>>,
    convs: Vec<Linear<E>>,
    embedding: Linear<E>,
}

impl<E: Scalar> Block<E>
where
    Cpu: Device<E>,
{
    fn new(maps: usize, config: &UNetConfig, stream: &mut Stream) -> Result<Self, DenoiserError> {
        let mut taps = vec![9, 9];
        taps.extend((config.frames > 1).then_some(3));
        let embedding = config.embedding();
        Ok(Block {
            norms: taps.iter().map(|_| Norm::new(maps)).collect::<Result<_, _>>()?,
            convs: taps.iter().map(|n| Linear::random(n * maps, maps, n * maps, stream)).collect::<Result<_, _>>()?,
            embedding: Linear::random(embedding, maps, embedding, stream)?,
        })
    }

    /// `size` of the maps, `of` the sample that each row belongs to.
    fn forward<T: TapeOf<E>>(
        &self,
        h: Rows<E, T>,
        embedding: Rows<E, T>,
        (size, of): ([usize; 3], &[usize]),
    ) -> Result<Rows<E, T>, DenoiserError> {
        let layer = |i: usize, x: Rows<E, T>, window: Window| -> Result<Rows<E, T>, DenoiserError> {
            let x = activate(self.norms[i].forward(x)?, Activation::Silu)?;
            self.convs[i].slide(x, window)
        };
        let window = Window::spatial(size, 3, 1);
        let told = rows(self.embedding.forward(embedding)?, of)?;
        let y = plus(layer(0, h.with_empty_tape(), window)?, told)?;
        let h = plus(h, layer(1, y, window)?)?;
        if self.norms.len() == 2 {
            return Ok(h);
        }
        let y = layer(2, h.with_empty_tape(), Window::temporal(size, 3))?;
        Ok(plus(h, y)?)
    }
}

/// A level of the way down and back up.
#[derive(Clone, Debug)]
struct Level<E: Dtype> {
    block: Block<E>,
    /// halves the size
    down: Linear<E>,
    /// after doubling the size
    up: Linear<E>,
    /// reads the maps of the way down
    skip: Branch<E>,
    back: Block<E>,
}

impl<E: Scalar> Level<E>
where
    Cpu: Device<E>,
{
    fn new(level: usize, config: &UNetConfig, stream: &mut Stream) -> Result<Self, DenoiserError> {
        let (maps, below) = (config.maps(level), config.maps(level + 1));
        Ok(Level {
            block: Block::new(maps, config, stream)?,
            down: Linear::random(9 * maps, below, 9 * maps, stream)?,
            up: Linear::random(9 * below, maps, 9 * below + maps, stream)?,
            skip: Branch::random(maps, maps, 9 * below + maps, stream)?,
            back: Block::new(maps, config, stream)?,
        })
    }
}

/// Residual blocks of 3 x 3 convolutions on maps of several sizes, joined by skips; with frames, each block ends in a convolution
/// over three frames. The network is told time and condition by a vector that each block adds to its maps.
///
/// Normalisation is by cell, over the channels. Samples are images `C·H·W` or clips `C·F·H·W`, flattened.
///
/// # Source
/// Ho et al. 2020, appendix B, in small: without attention, with layer instead of group normalisation.
#[derive(Clone, Debug)]
pub struct UNet<E: Dtype> {
    config: UNetConfig,
    input: Linear<E>,
    time: Linear<E>,
    features: Option<Branch<E>>,
    users: Option<Branch<E>>,
    levels: Vec<Level<E>>,
    middle: Block<E>,
    norm: Norm<E>,
    output: Linear<E>,
}

impl<E: Scalar> UNet<E>
where
    Cpu: Device<E>,
{
    /// Fresh weights: uniform within `±1/√fan_in`, norms at 1 and 0, the users' branch at 0.
    ///
    /// # Errors
    /// Sizes of 0, more halvings than the images have; when the device cannot allocate.
    pub fn new(config: &UNetConfig, seed: u64) -> Result<Self, DenoiserError> {
        config.check()?;
        let UNetConfig { channels, hidden, levels, features, users, .. } = *config;
        let (stream, embedding) = (&mut Stream::new(seed, 0), config.embedding());
        Ok(UNet {
            config: *config,
            input: Linear::random(9 * channels, hidden, 9 * channels, stream)?,
            time: Linear::random(TIME_FEATURES, embedding, TIME_FEATURES + features, stream)?,
            features: (features > 0)
                .then(|| Branch::random(features, embedding, TIME_FEATURES + features, stream))
                .transpose()?,
            users: (users > 0).then(|| Branch::zeros(users, embedding)).transpose()?,
            levels: (0..levels).map(|i| Level::new(i, config, stream)).collect::<Result<_, _>>()?,
            middle: Block::new(config.maps(levels), config, stream)?,
            norm: Norm::new(hidden)?,
            output: Linear::random(9 * hidden, channels, 9 * hidden, stream)?,
        })
    }

    /// Its sizes.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// What each sample's blocks are told.
    fn embedding<T: TapeOf<E>>(&self, times: &[f64], condition: &Condition<E>) -> Result<Rows<E, T>, DenoiserError> {
        let mut e = self.time.forward(time_features(times)?.retaped::<T>())?;
        for (branch, given) in [(&self.features, &condition.features), (&self.users, &condition.users)] {
            if let (Some(branch), Some(given)) = (branch, given) {
                e = branch.onto(given, e)?;
            }
        }
        Ok(activate(e, Activation::Silu)?)
    }

    /// Cells as rows, channels last.
    fn cells<T: TapeOf<E>>(&self, x: Rows<E, T>) -> Result<Rows<E, T>, DenoiserError> {
        let (b, c) = (x.shape().0, self.config.channels);
        let cells = x.shape().1 / c;
        if c == 1 {
            return x.try_reshape_like(&(b * cells, 1)).map_err(DenoiserError::device);
        }
        let x = x.try_reshape_like(&(b, c, cells)).and_then(|x| x.try_permute::<_, Axes3<0, 2, 1>>());
        x.and_then(|x: Tensor<(usize, usize, usize), E, Cpu, T>| x.try_reshape_like(&(b * cells, c)))
            .map_err(DenoiserError::device)
    }

    /// Samples as rows again.
    fn samples<T: TapeOf<E>>(&self, x: Rows<E, T>, b: usize) -> Result<Rows<E, T>, DenoiserError> {
        let c = self.config.channels;
        let cells = x.shape().0 / b;
        if c == 1 {
            return x.try_reshape_like(&(b, cells)).map_err(DenoiserError::device);
        }
        let x = x.try_reshape_like(&(b, cells, c)).and_then(|x| x.try_permute::<_, Axes3<0, 2, 1>>());
        x.and_then(|x: Tensor<(usize, usize, usize), E, Cpu, T>| x.try_reshape_like(&(b, c * cells)))
            .map_err(DenoiserError::device)
    }
}

/// For each cell of maps of this size, its sample.
fn owners(size: [usize; 3], samples: usize) -> Vec<usize> {
    let cells: usize = size.iter().product();
    (0..samples * cells).map(|i| i / cells).collect()
}

/// For each cell of maps of size `fine`, the row of the cell over it in maps of half the size.
fn doubled(fine: [usize; 3], coarse: [usize; 3], samples: usize) -> Vec<usize> {
    let cells: usize = fine.iter().product();
    let cell = |i: usize| {
        let (b, [_, h, w]) = (i / cells, fine);
        let (t, y, x) = (i % cells / (h * w), i / w % h, i % w);
        ((b * coarse[0] + t) * coarse[1] + y / 2) * coarse[2] + x / 2
    };
    (0..samples * cells).map(cell).collect()
}

impl<E: Scalar> Denoiser<E> for UNet<E>
where
    Cpu: Device<E>,
{
    fn width(&self) -> usize {
        self.config.channels * self.config.frames * self.config.height * self.config.width
    }

    fn feature_width(&self) -> usize {
        self.config.features
    }

    fn user_width(&self) -> usize {
        self.config.users
    }

    fn predict<T: TapeOf<E>>(
        &self,
        x: Rows<E, T>,
        times: &[f64],
        condition: &Condition<E>,
    ) -> Result<Rows<E, T>, DenoiserError> {
        self.check(&x, times, condition)?;
        let (b, size) = (x.shape().0, |level| self.config.size(level));
        let told = self.embedding::<T>(times, condition)?;
        let run =
            |block: &Block<E>, h, level| block.forward(h, told.with_empty_tape(), (size(level), &owners(size(level), b)));
        let mut h = self.input.slide(self.cells(x)?, Window::spatial(size(0), 3, 1))?;
        let mut kept = vec![];
        for (i, level) in self.levels.iter().enumerate() {
            h = run(&level.block, h, i)?;
            kept.push(h.retaped::<NoneTape>());
            h = level.down.slide(h, Window::spatial(size(i), 3, 2))?;
        }
        h = run(&self.middle, h, self.levels.len())?;
        for (i, level) in self.levels.iter().enumerate().rev() {
            let fine = rows(h, &doubled(size(i), size(i + 1), b))?;
            h = level.up.slide(fine, Window::spatial(size(i), 3, 1))?;
            if let Some(skip) = kept.pop() {
                h = level.skip.onto(&skip, h)?;
            }
            h = run(&level.back, h, i)?;
        }
        let h = activate(self.norm.forward(h)?, Activation::Silu)?;
        let y = self.output.slide(h, Window::spatial(size(0), 3, 1))?;
        // the tape of the embedding joins that of the maps
        self.samples(join(y, told), b)
    }

    fn stored(&self) -> Names<'_, E> {
        let mut names = vec![];
        self.input.list("input", &mut names);
        self.time.list("time", &mut names);
        self.features.list("features", &mut names);
        self.users.list("users", &mut names);
        self.levels.list("levels", &mut names);
        self.middle.list("middle", &mut names);
        self.norm.list("norm", &mut names);
        self.output.list("output", &mut names);
        names
    }

    fn stored_mut(&mut self) -> NamesMut<'_, E> {
        let mut names = vec![];
        self.input.list_mut("input", &mut names);
        self.time.list_mut("time", &mut names);
        self.features.list_mut("features", &mut names);
        self.users.list_mut("users", &mut names);
        self.levels.list_mut("levels", &mut names);
        self.middle.list_mut("middle", &mut names);
        self.norm.list_mut("norm", &mut names);
        self.output.list_mut("output", &mut names);
        names
    }
}
trained!(UNet);

/// `y` with the tapes of both.
fn join<E: Dtype, T: TapeOf<E>>(y: Rows<E, T>, other: Rows<E, T>) -> Rows<E, T> {
    let (y, tape) = y.split_tape();
    y.put_tape(tape.merge(other.split_tape().1))
}

impl<E: Dtype> Listed<E> for Block<E> {
    fn list<'a>(&'a self, name: &str, to: &mut Names<'a, E>) {
        self.norms.list(&format!("{name}.norms"), to);
        self.convs.list(&format!("{name}.convs"), to);
        self.embedding.list(&format!("{name}.embedding"), to);
    }
    fn list_mut<'a>(&'a mut self, name: &str, to: &mut NamesMut<'a, E>) {
        self.norms.list_mut(&format!("{name}.norms"), to);
        self.convs.list_mut(&format!("{name}.convs"), to);
        self.embedding.list_mut(&format!("{name}.embedding"), to);
    }
}

impl<E: Dtype> Listed<E> for Level<E> {
    fn list<'a>(&'a self, name: &str, to: &mut Names<'a, E>) {
        self.block.list(&format!("{name}.block"), to);
        self.down.list(&format!("{name}.down"), to);
        self.up.list(&format!("{name}.up"), to);
        self.skip.list(&format!("{name}.skip"), to);
        self.back.list(&format!("{name}.back"), to);
    }
    fn list_mut<'a>(&'a mut self, name: &str, to: &mut NamesMut<'a, E>) {
        self.block.list_mut(&format!("{name}.block"), to);
        self.down.list_mut(&format!("{name}.down"), to);
        self.up.list_mut(&format!("{name}.up"), to);
        self.skip.list_mut(&format!("{name}.skip"), to);
        self.back.list_mut(&format!("{name}.back"), to);
    }
}
