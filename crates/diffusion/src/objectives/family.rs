//! The losses of this crate as one type, chosen by name in configuration files.

use dfdx::prelude::*;
use tropism_core::{Column, LossTerms};

use super::*;
use crate::DiffusionError;

tropism_core::methods! {
    ($) DiffusionError;
    /// One loss with its options.
    ///
    /// In a configuration file the name stands in `method`, and the method's options stand beside it. Options left out take their
    /// defaults; unknown ones are errors.
    ///
    /// ```
    /// use tropism_diffusion::objectives::{DiffusionDpo, DiffusionObjective};
    ///
    /// let objective: DiffusionObjective = serde_json::from_str(r#"{"method": "diffusion_dpo", "beta": 500.0}"#)?;
    /// assert_eq!(objective, DiffusionDpo::default().with_beta(500.0).into());
    /// assert!(serde_json::from_str::<DiffusionObjective>(r#"{"method": "diffusion_dpo", "bate": 500.0}"#).is_err());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub enum DiffusionObjective;
    /// Option names of a method, without `method` itself; empty for an unknown method.
    ///
    /// ```
    /// assert_eq!(tropism_diffusion::objectives::keys("d3po"), ["beta", "clip"]);
    /// ```
    pub fn keys;

    /// DPO on denoising errors; see [`diffusion_dpo()`].
    DiffusionDpo(DiffusionDpo) = "diffusion_dpo";
    /// Margins smoothed by scores, at inverted points; see [`smpo()`].
    Smpo(Smpo) = "smpo";
    /// A policy told whose preference it is; see [`ppd()`].
    Ppd(Ppd) = "ppd";
    /// Good samples' errors down, bad ones' up; see [`dso_dro()`].
    DsoDro(DsoDro) = "dso_dro";
    /// The same for samples that are no pairs; see [`dso_unpaired()`].
    DsoUnpaired(DsoUnpaired) = "dso_unpaired";
    /// DSO's DPO baseline; see [`dso_dpo()`].
    DsoDpo(DsoDpo) = "dso_dpo";
    /// Whole rankings; see [`rankdpo()`].
    RankDpo(RankDpo) = "rankdpo";
    /// Preferences by segment; see [`densedpo()`].
    DenseDpo(DenseDpo) = "densedpo";
    /// Pairs along inverted trajectories; see [`inversion_dpo()`].
    InversionDpo(InversionDpo) = "inversion_dpo";
    /// Experts above the policy's samples; see [`diffusion_dro()`].
    DiffusionDro(DiffusionDro) = "diffusion_dro";
    /// DPO for every denoising step; see [`d3po()`].
    D3po(D3po) = "d3po";
    /// Errors weighted by advantages; see [`awm()`].
    Awm(Awm) = "awm";
    /// Policy gradients on denoising steps; see [`ddpo()`].
    Ddpo(Ddpo) = "ddpo";
    /// Policy gradients on steps of a flow's SDE; see [`flow_grpo()`].
    FlowGrpo(FlowGrpo) = "flow_grpo";
}

impl DiffusionObjective {
    /// The kind of input that the loss reads.
    pub fn input(&self) -> DiffusionKind {
        with_config!(self, config => config.input())
    }

    /// Whether the loss compares with a frozen model's figures.
    pub fn needs_reference(&self) -> bool {
        self.input().has_reference()
    }

    /// The constants that the loss reads beside it.
    pub fn columns(&self) -> Vec<Column> {
        with_config!(self, config => config.columns())
    }

    /// The loss of a batch.
    ///
    /// # Errors
    /// [`DiffusionError::Input`] and [`DiffusionError::Column`] when the batch is not what the method reads, and those of the method.
    pub fn loss<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: impl Into<DiffusionBatch<P, K, E, D, T>>,
    ) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
        self.check()?;
        let batch = batch.into();
        with_config!(self, config => {
            batch.check(self.name(), config)?;
            config.loss(batch)
        })
    }
}
