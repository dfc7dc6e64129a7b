//! AWM: denoising errors weighted by advantages.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::{attach, to_f64};
use tropism_core::options::{any, not_negative, positive};
use tropism_core::{Column, CoreError, Domain, LossTerms, OptionError};

use super::MatchErrors;
use super::method::{DiffusionBatch, DiffusionInput, DiffusionKind, DiffusionMethod, options, wrong};
use super::ratio::clipped;
use super::shared::check_values;
use crate::DiffusionError;

options! {
    /// Options of [`awm()`].
    Awm = "awm", "Advantage Weighted Matching: Aligning RL with Pretraining in Diffusion Models, arXiv 2509.25050" {
        /// How an error becomes the stand-in for a log-density; that of the released configurations by default.
        proxy: Proxy = Proxy::GeneralHuber, with_proxy, any;
        /// Power `κ > 0` of [`Proxy::GeneralHuber`]; 0.25 by default.
        kappa: f64 = 0.25, with_kappa, positive;
        /// Bound of the ratio, to `1 ± clip`; 1 by default, which on-policy never bites.
        clip: f64 = 1.0, with_clip, positive;
        /// Whether the ratio is taken for each row or for a sample's rows together.
        ratio: Ratio = Ratio::ExpFirst, with_ratio, any;
        /// Rows of a sample, times of training; they stand one after another. Read with `ratio = "sum_first"`.
        times: usize = 1, with_times, at_least_one;
        /// Weight of the distance from the reference; 0.001 by default (GenEval; 0.003 for OCR, 1e-4 for PickScore).
        beta: f64 = 0.001, with_beta, not_negative;
        /// Weight of the distance from the slow copy; 1 by default.
        beta_ema: f64 = 1.0, with_beta_ema, not_negative;
        /// How both distances are weighted by time.
        kl_weight: KlWeight = KlWeight::Uniform, with_kl_weight, any;
        /// Noise level `a` in `σ_t = a √(t/(1−t))` of [`KlWeight::Elbo`]; 0.7 by default.
        noise_level: f64 = 0.7, with_noise_level, positive;
        /// Whether samples are of another policy, whose stand-ins are then given as `old_logps`; off by default.
        off_policy: bool = false, with_off_policy, any;
    }
}

fn at_least_one(method: &'static str, key: &'static str, value: &usize) -> Result<(), OptionError> {
    OptionError::check(*value >= 1, (method, key, *value as f64), "at least 1")
}

/// How the error `m` at time `t` becomes the stand-in `logp = −W(m, t)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// `m`.
    Uniform,
    /// `t m`.
    Time,
    /// `t² m`.
    SquaredTime,
    /// `t (√(m + 1e-10) − 1e-5)`.
    Huber,
    /// `(t/κ) ((m + 1e-10)^κ − (1e-10)^κ)`: with `κ = 1` as `Time`, with `κ = ½` twice `Huber`. Its slope grows as `m` falls.
    #[default]
    GeneralHuber,
}

/// Where the exponential of the ratio stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ratio {
    /// A ratio for each row.
    #[default]
    ExpFirst,
    /// One ratio for the mean over a sample's rows; the same gradient on-policy.
    SumFirst,
}

/// How distances from reference and slow copy are weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlWeight {
    /// By 1.
    #[default]
    Uniform,
    /// By `1/(2 σ_t²)`.
    Elbo,
}

/// Inside the powers of the stand-ins.
const SMALL: f64 = 1e-10;

impl Awm {
    /// The stand-in `−W(m, t)` and its slope in `m`.
    pub fn proxy(&self, m: f64, t: f64) -> (f64, f64) {
        match self.proxy {
            Proxy::Uniform => (-m, -1.0),
            Proxy::Time => (-t * m, -t),
            Proxy::SquaredTime => (-t * t * m, -t * t),
            Proxy::Huber => {
                let root = libm::sqrt(m + SMALL);
                (-t * (root - 1e-5), -t / (2.0 * root))
            }
            Proxy::GeneralHuber => {
                let k = self.kappa;
                let value = libm::pow(m + SMALL, k) - libm::pow(SMALL, k);
                (-t / k * value, -t * libm::pow(m + SMALL, k - 1.0))
            }
        }
    }

    /// Weights of the distances by row.
    fn kl_weights(&self, times: &[f64]) -> Vec<f64> {
        let elbo = |t: f64| (1.0 - t) / (2.0 * self.noise_level * self.noise_level * t);
        times.iter().map(|&t| if self.kl_weight == KlWeight::Elbo { elbo(t) } else { 1.0 }).collect()
    }
}

impl DiffusionMethod for Awm {
    fn input(&self) -> DiffusionKind {
        DiffusionKind::Matches
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![Column::row("advantages", Domain::Any), Column::row("time", Domain::Share)];
        if self.off_policy {
            columns.push(Column::row("old_logps", Domain::Any));
        }
        columns
    }

    fn loss<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: DiffusionBatch<P, K, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
        let columns = batch.columns;
        let read = |name| columns.get(name).unwrap_or_default();
        match batch.input {
            DiffusionInput::Matches(errors) => awm(errors, read("advantages"), read("time"), columns.get("old_logps"), self),
            other => Err(wrong(Self::NAME, self.input(), other.kind())),
        }
    }
}

/// The AWM loss of `P` rows, each a sample with a time of training `t` and fresh noise; `m = mean_D (v_θ − u)²`.
///
/// ```text
/// ρ = exp(logp − old)     logp = −W(m, t)
/// losses = max(−A ρ, −A clamp(ρ, 1−c, 1+c)) + β mean_D (v_θ − v_ref)² + β_ema mean_D (v_θ − v_ema)²     weights = 1
/// ∂losses/∂logp = −A ρ, unless clipped (A > 0 and ρ > 1+c, or A < 0 and ρ < 1−c)
/// ```
///
/// On-policy (`old = logp` held constant, the default) the gradient is that of `A · W(m, t)`: advantage-weighted matching. The policy
/// term's *value* is then `−A` and says nothing. `A = 1` everywhere is plain flow matching. Samples with `A < 0` are pushed away. With
/// [`Ratio::SumFirst`] a sample's rows share one ratio, of the mean of their stand-ins, and each has the sample's loss; a step is split between samples.
///
/// The stand-in is no log-density; with uniform weights the ratio is biased. Stay on-policy or clip.
///
/// Source: arXiv 2509.25050, in the form of the authors' `train_sd3_awm.py`. `W` is `m` in the text and the general Huber form in the
/// released configurations. Advantages: [`group_advantages`](super::group_advantages).
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Input`] where `β` or `β_ema` are positive and the error that they weight is missing, or the
/// other way round, for `old_logps` that are missing or not read, and for rows that are no multiple of `times`;
/// [`DiffusionError::Value`] for a time outside 0 to 1 (or at 0 under [`KlWeight::Elbo`]); [`DiffusionError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{Awm, MatchErrors, Proxy, awm};
///
/// let errors = MatchErrors::new(Cpu::default().tensor([0.04_f64, 1.105]), None, None)?;
/// let config = Awm::default().with_proxy(Proxy::Uniform).with_beta(0.0).with_beta_ema(0.0);
/// let loss = awm(errors, &[0.3014386348, -0.1808631809], &[0.4, 0.4], None, &config)?.mean()?.array();
/// assert!((loss + 0.0602877270).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn awm<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    errors: MatchErrors<P, E, D, T>,
    advantages: &[f64],
    times: &[f64],
    old_logps: Option<&[f64]>,
    config: &Awm,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let rows = errors.rows();
    let allowed: fn(f64) -> bool =
        if config.kl_weight == KlWeight::Elbo { |t| t > 0.0 && t <= 1.0 } else { |t| (0.0..=1.0).contains(&t) };
    check_values("time", times, rows, (allowed, "from 0 to 1, and not 0 where errors are divided by σ_t"))?;
    check_parts(&errors, old_logps, config)?;
    let found: Vec<(f64, f64)> = to_f64(&errors.target).iter().zip(times).map(|(&m, &t)| config.proxy(m, t)).collect();
    let logps: Vec<f64> = found.iter().map(|f| f.0).collect();
    let width = if config.ratio == Ratio::SumFirst { config.times } else { 1 };
    let old = old_logps.map_or_else(|| logps.clone(), <[f64]>::to_vec);
    let policy = clipped(&shared(&logps, width)?, &shared(&old, width)?, &shared(advantages, width)?, config.clip)?;
    let mut diagnostics = policy.diagnostics(advantages)?;
    diagnostics.push("logps", logps)?;
    let weights = config.kl_weights(times);
    let mut values = policy.losses;
    let mut add = |part: Option<Tensor<(P,), E, D, T>>, beta: f64, name: &'static str| {
        let Some(part) = part else { return Ok::<_, DiffusionError>(None) };
        let distances: Vec<f64> = to_f64(&part).iter().zip(&weights).map(|(d, w)| d * w).collect();
        values.iter_mut().zip(&distances).for_each(|(v, d)| *v += beta * d);
        diagnostics.push(name, distances)?;
        Ok(Some((part, weights.iter().map(|w| beta * w).collect::<Vec<_>>())))
    };
    let reference = add(errors.reference, config.beta, "kl")?;
    let ema = add(errors.ema, config.beta_ema, "kl_ema")?;
    CoreError::check_finite("loss", &values)?;
    let slopes = policy.slopes.iter().zip(&found).map(|(s, f)| s * f.1).collect();
    let mut losses = attach(&values, [(errors.target, slopes)])?;
    for (part, slopes) in [reference, ema].into_iter().flatten() {
        let part = attach(&vec![0.0; rows], [(part, slopes)])?;
        losses = losses.try_add(part).map_err(CoreError::device)?;
    }
    Ok(LossTerms::new(losses, vec![1.0; rows], diagnostics)?)
}

/// Each sample's mean at all of its rows.
fn shared(values: &[f64], width: usize) -> Result<Vec<f64>, DiffusionError> {
    if !values.len().is_multiple_of(width) {
        let problem = format!("{} rows are no multiple of `times` = {width}; keep a sample's rows together", values.len());
        return Err(DiffusionError::Input { method: Awm::NAME, problem });
    }
    let mean = |rows: &[f64]| rows.iter().sum::<f64>() / width as f64;
    Ok(values.chunks(width).flat_map(|rows| vec![mean(rows); width]).collect())
}

/// Fails unless the parts are those that the options weight.
fn check_parts<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    errors: &MatchErrors<P, E, D, T>,
    old_logps: Option<&[f64]>,
    config: &Awm,
) -> Result<(), DiffusionError> {
    let parts = [
        ("errors to the reference", "beta", config.beta > 0.0, errors.reference.is_some()),
        ("errors to the slow copy", "beta_ema", config.beta_ema > 0.0, errors.ema.is_some()),
        ("old_logps", "off_policy", config.off_policy, old_logps.is_some()),
    ];
    for (what, key, needed, given) in parts {
        let problem = match (needed, given) {
            (true, false) => format!("`{key}` is on and {what} are missing; give them or turn it off"),
            (false, true) => format!("`{key}` is off and so {what} are not read; leave them out or turn it on"),
            _ => continue,
        };
        return Err(DiffusionError::Input { method: Awm::NAME, problem });
    }
    Ok(())
}
