//! What stands in for a server's client in a build without it. Options with an engine are refused there, so nothing here is
//! ever called.
use super::super::gather::Environment;
use super::super::options::RolloutOptions;
use crate::error::TrainError;
use dfdx::prelude::*;
use std::path::Path;
use tropism_data::record::Source;
use tropism_lm::{Answer, Decoder, Dims};
use tropism_ops::Scalar;

/// Nobody.
pub(crate) enum Remote {}

impl Remote {
    pub(crate) fn of(_: &RolloutOptions) -> Option<Self> {
        None
    }

    pub(crate) fn restore(_: &RolloutOptions, _: &Path) -> Result<Option<Self>, TrainError> {
        Ok(None)
    }

    pub(crate) fn sync<M: Dims, E: Scalar>(&self, _: &Decoder<M, E>, _: &Environment) -> Result<(), TrainError>
    where
        Cpu: Device<E>,
    {
        match *self {}
    }

    pub(crate) fn sample(
        &self,
        _: &RolloutOptions,
        _: &Environment,
        _: (&[&[u32]], &[&str], &[&Source]),
        _: (usize, u64),
        _: &mut dyn FnMut(usize, usize, &Answer),
    ) -> Result<Vec<Vec<Answer>>, TrainError> {
        match *self {}
    }

    pub(crate) fn forget(&self) {
        match *self {}
    }

    pub(crate) fn save(&self, _: &Path) -> Result<(), TrainError> {
        match *self {}
    }

    pub(crate) fn tolerances(&self) -> (f64, f64) {
        match *self {}
    }

    pub(crate) fn error(&self, _: String) -> TrainError {
        match *self {}
    }
}
