//! Small networks and inputs.
use dfdx::prelude::*;
use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::{Condition, Denoiser, MlpConfig, Network, NetworkConfig, Rows, StoredMut, UNetConfig};
use tropism_ops::{Scalar, data_mut};

pub(crate) const MLP: NetworkConfig = NetworkConfig::Mlp(MlpConfig { dim: 2, hidden: 5, blocks: 2, features: 3, users: 2 });
pub(crate) const IMAGES: NetworkConfig = NetworkConfig::UNet(UNetConfig {
    channels: 2,
    frames: 1,
    height: 5,
    width: 4,
    hidden: 4,
    levels: 2,
    features: 3,
    users: 2,
});
pub(crate) const CLIPS: NetworkConfig = NetworkConfig::UNet(UNetConfig {
    channels: 1,
    frames: 3,
    height: 4,
    width: 3,
    hidden: 2,
    levels: 1,
    features: 3,
    users: 2,
});
pub(crate) const ALL: [NetworkConfig; 3] = [MLP, IMAGES, CLIPS];

/// Rows of standard normals.
pub(crate) fn normals<E: Scalar>(seed: u64, rows: usize, columns: usize) -> Rows<E>
where
    Cpu: Device<E>,
{
    let numbers = Stream::new(seed, 7).normals(rows * columns).into_iter().map(E::c).collect();
    Cpu::default().tensor_from_vec(numbers, (rows, columns))
}

/// A network whose parameters are all different from 0, the users' branch too.
pub(crate) fn stirred<E: Scalar>(config: &NetworkConfig, seed: u64) -> Network<E>
where
    Cpu: Device<E>,
{
    let (mut model, mut stream) = (Network::new(config, seed).unwrap(), Stream::new(seed, 9));
    for (_, mut p) in model.stored_mut() {
        for x in numbers(&mut p) {
            *x += E::c(0.2 * stream.normal());
        }
    }
    model
}

pub(crate) fn numbers<'a, E: Scalar>(p: &'a mut StoredMut<'_, E>) -> &'a mut [E] {
    match p {
        StoredMut::Matrix(p) => data_mut(&mut p.values),
        StoredMut::Vector(p) => data_mut(&mut p.values),
    }
}

pub(crate) fn condition<E: Scalar>(rows: usize) -> Condition<E>
where
    Cpu: Device<E>,
{
    Condition::features(normals(3, rows, 3)).with_users(normals(4, rows, 2))
}

pub(crate) fn times(rows: usize) -> Vec<f64> {
    (0..rows).map(|i| (i as f64 + 0.4) / rows as f64).collect()
}
