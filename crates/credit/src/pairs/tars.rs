//! TARS: DPO under a perturbed prompt, with a spectral regulariser.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, log_sigmoid_scalar, sigmoid_scalar, to_f64};
use tropism_core::options::{not_negative, positive};
use tropism_core::{Column, CoreError, Domain, LossTerms, PairLogps, PairScores};

use crate::figures::PairSums;
use crate::method::options;
use crate::{CreditBatch, CreditError, CreditKind, CreditMethod};

options! {
    /// Options of [`tars()`].
    Tars = "tars" {
        /// Inverse temperature of the DPO part, `α > 0`; 1 by default.
        alpha: f64 = 1.0, with_alpha, positive;
        /// Inverse temperature of the spectral part, `β > 0`; 1 by default.
        beta: f64 = 1.0, with_beta, positive;
        /// Weight of the spectral part, `λ ≥ 0`; 0.1 by default, 0 is DPO.
        spectral_weight: f64 = 0.1, with_spectral_weight, not_negative;
    }
}

/// Energies of the reference's states under the unperturbed prompt.
const CHOSEN: Column = Column::row("reference_energy/chosen", Domain::NotNegative);
const REJECTED: Column = Column::row("reference_energy/rejected", Domain::NotNegative);

impl CreditMethod for Tars {
    const INPUT: CreditKind = CreditKind::PairEnergies;

    fn columns(&self) -> Vec<Column> {
        vec![CHOSEN, REJECTED]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let columns = [batch.column(&CHOSEN), batch.column(&REJECTED)];
        let (policy, reference, energies) = batch.into_pair_energies(Self::NAME)?;
        tars(policy, reference, energies, [&columns[0], &columns[1]], self)
    }
}

/// The TARS loss of `P` pairs.
///
/// With log-ratios `h_w`, `h_l` in nats, policy and reference both under the perturbed prompt
/// ([`perturbed_tokens`](crate::perturbed_tokens) chooses its tokens), and energies `F`
/// ([`spectral_energies`](crate::spectral_energies)) of the policy's last hidden states under the perturbed prompt and `F°`
/// of the reference's under the clean one (columns `reference_energy/chosen` and `reference_energy/rejected`), all positive:
///
/// ```text
/// u = β (log(F_w / F°_w) − log(F_l / F°_l))     losses = log(1 + e^{−α (h_w − h_l)}) + λ log(1 + e^{−u})     weights = 1
/// ∂losses/∂lp_w = −α σ(−α (h_w − h_l))     ∂losses/∂F_w = −λ β σ(−u) / F_w     the opposite for y_l
/// ```
///
/// The spectral part raises the chosen energy relative to the rejected one. It depends on energies through their ratios
/// alone. Reports `spectral/margins` (`u`) and `spectral/losses`.
///
/// The authors' code computes something else: hinge-like distances of embedding magnitudes of the batch's first example.
///
/// Source: arXiv 2507.21584, equations 5 and 10 to 12, where the energy is a sum over frequencies and features.
///
/// # Errors
/// [`CreditError::Option`]; [`CreditError::Value`] for an energy that is not positive; [`CreditError::UnevenLengths`];
/// [`CreditError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairLogps, PairScores};
/// use tropism_credit::{Tars, tars};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-10.5]), dev.tensor([-11.7]), &[5], &[8])?; // h = 0.8
/// let energies = PairScores::new(dev.tensor([4.875]), dev.tensor([6.375]))?;
/// let terms = tars(policy, reference, energies, [&[4.215], &[6.405]], &Tars::default())?;
/// assert!((terms.values()[0] - 0.4331887221).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tars<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: PairLogps<P, E, D>,
    energies: PairScores<P, E, D, T>,
    reference_energies: [&[f64]; 2],
    config: &Tars,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    let Tars { alpha, beta, spectral_weight } = *config;
    let sums = PairSums::of(&policy, &reference)?;
    let own = [to_f64(&energies.chosen), to_f64(&energies.rejected)];
    let raised = [logs("chosen", &own[0], reference_energies[0])?, logs("rejected", &own[1], reference_energies[1])?];
    CoreError::check_size("spectral energies", policy.rows(), raised[0].len())?;
    let margin = |row: usize| alpha * (sums.ratios[0][row] - sums.ratios[1][row]);
    let margins: Vec<f64> = (0..policy.rows()).map(margin).collect();
    let shifts: Vec<f64> = raised[0].iter().zip(&raised[1]).map(|(w, l)| beta * (w - l)).collect();
    let spectral: Vec<f64> = shifts.iter().map(|&u| -log_sigmoid_scalar(u)).collect();
    let whole = |(z, s): (&f64, &f64)| -log_sigmoid_scalar(*z) + spectral_weight * s;
    let losses: Vec<f64> = margins.iter().zip(&spectral).map(whole).collect();
    let slopes = |by: f64| margins.iter().map(|&z| by * alpha * sigmoid_scalar(-z)).collect::<Vec<f64>>();
    let pulls = |by: f64, own: &[f64]| {
        let each = shifts.iter().zip(own);
        each.map(|(&u, f)| by * spectral_weight * beta * sigmoid_scalar(-u) / f).collect::<Vec<f64>>()
    };
    let inputs = [
        (policy.chosen, slopes(-1.0)),
        (policy.rejected, slopes(1.0)),
        (energies.chosen, pulls(-1.0, &own[0])),
        (energies.rejected, pulls(1.0, &own[1])),
    ];
    let mut diagnostics = sums.diagnostics(alpha)?;
    diagnostics.push("spectral/margins", shifts)?;
    diagnostics.push("spectral/losses", spectral)?;
    let weights = vec![1.0; losses.len()];
    Ok(LossTerms::new(attach(&losses, inputs)?, weights, diagnostics)?)
}

/// `log(own / reference)` of each row.
fn logs(side: &'static str, own: &[f64], reference: &[f64]) -> Result<Vec<f64>, CreditError> {
    CoreError::check_size("reference energies", own.len(), reference.len())?;
    let (what, requirement) = match side {
        "chosen" => (["chosen spectral energy", "chosen reference energy"], "positive and finite"),
        _ => (["rejected spectral energy", "rejected reference energy"], "positive and finite"),
    };
    for (what, energies) in what.into_iter().zip([own, reference]) {
        CreditError::check_rows(what, energies, requirement, |f| f > 0.0 && f.is_finite())?;
    }
    Ok(own.iter().zip(reference).map(|(f, r)| f.ln() - r.ln()).collect())
}
