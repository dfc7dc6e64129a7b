//! AlignDistil: alignment as distillation from a teacher that extrapolates preferences.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::options::{any, positive};
use tropism_core::{Diagnostics, LossTerms};

use super::teacher::{Distance, Distillation, Strength, Teacher};
use crate::method::options;
use crate::{CreditBatch, CreditError, CreditKind, CreditMethod, Normalization, TokenSums};

options! {
    /// Options of [`aligndistil()`] and of the divergence that it sums.
    AlignDistil = "aligndistil", "AlignDistil: Token-Level Alignment as Adaptive Policy Distillation, arXiv 2503.02832" {
        /// Inverse temperature that the two models were trained with, `β₀ > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// How the teacher's logits are made: `"extrapolated"` (the default) or `"interpolated"`.
        teacher: Teacher = Teacher::Extrapolated, with_teacher, any;
        /// How strong the reward is in it: `{ adaptive = { ratio = 20.0, floor = 0.001 } }` (the default) or
        /// `{ constant = 2.0 }`.
        strength: Strength = Strength::default(), with_strength, Strength::check;
        /// How far the student is from the teacher: `"reverse_kl"` (the default), `"forward_kl"` or `"total_variation"`.
        distance: Distance = Distance::ReverseKl, with_distance, any;
        /// Temperature of student and teacher in the distance, `τ > 0`; 1 by default.
        temperature: f64 = 1.0, with_temperature, positive;
        /// Whether a completion's divergences are averaged over its tokens (`"mean"`, the default) or summed (`"sum"`).
        normalization: Normalization = Normalization::Mean, with_normalization, any;
    }
}

impl AlignDistil {
    /// The divergence at each token that [`aligndistil()`] sums, to be computed chunk by chunk of the vocabulary.
    ///
    /// With logits of the student `z`, of a model that prefers what is wanted `z_a` and of another model `z_b`:
    ///
    /// ```text
    /// TV_t = ½ Σ_v |π_a − π_b|     s_t = ratio · TV_t + floor, or constant     β_t = β₀ / s_t     no gradient
    /// z*_t = z_a + s_t (z_a − z_b) (extrapolated), or z_b + s_t (z_a − z_b) (interpolated)
    /// p = softmax(z / τ)     q = softmax(z* / τ)     value = β_t · KL(p ‖ q), β_t · KL(q ‖ p), or β_t · ½ Σ_v |p − q|
    /// ∂value/∂z_v = (β_t / τ) p_v (log p_v − log q_v − KL(p ‖ q))     reverse
    ///             = (β_t / τ) (p_v − q_v)                            forward
    ///             = (β_t / τ) ½ p_v (sign(p_v − q_v) − Σ_u p_u sign(p_u − q_u))     total variation
    /// ```
    ///
    /// The paper's `π_a` is a DPO model, `π_b` one trained on swapped pairs. Its first theorem is `interpolated` with the
    /// reference as `π_b` and a constant `s = β₀ / β`: then maximising the DPO reward under a KL penalty `β` is
    /// minimising this divergence. Adding a number to all logits of a token changes nothing.
    ///
    /// # Errors
    /// [`CreditError::Option`].
    ///
    /// ```
    /// use tropism_core::VocabularyFigure;
    /// use tropism_credit::AlignDistil;
    ///
    /// let divergence = AlignDistil::default().distillation()?;
    /// let (value, slopes) = divergence.of_row(&[&[0.2, -0.1, 0.0], &[0.8, -0.4, 0.1], &[-0.2, 0.5, 0.0]]);
    /// assert!((value - 0.07569392).abs() < 1e-8 && slopes.iter().sum::<f64>().abs() < 1e-15);
    /// # Ok::<(), tropism_credit::CreditError>(())
    /// ```
    pub fn distillation(&self) -> Result<Distillation, CreditError> {
        self.check()?;
        let Self { beta, teacher, strength, distance, temperature, .. } = *self;
        Ok(Distillation { beta, teacher, strength, distance, temperature })
    }
}

impl CreditMethod for AlignDistil {
    const INPUT: CreditKind = CreditKind::Divergences;

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let (sums,) = batch.into_divergences(Self::NAME)?;
        aligndistil(sums, self)
    }
}

/// The AlignDistil loss of `P` completions, from their divergences summed over tokens.
///
/// With [`AlignDistil::distillation`]'s value `D_t` at token `t` of a completion of `n` tokens:
///
/// ```text
/// losses = 1/n Σ_t D_t (mean; n = 0 counts as 1), or Σ_t D_t (sum)     weights = 1     ∂losses/∂D_t = 1/n, or 1
/// ```
///
/// The gradient in the student's logits is the divergence's; sampled tokens, strengths and the teacher are constants. Off
/// policy the completions are the chosen ones of the preference data, on policy they are samples of the student.
/// [`trained_positions`](crate::trained_positions) says which logits belong to a completion. Reports `divergence` (per
/// token) and `lengths`.
///
/// Source: Zhang et al. 2025, arXiv 2503.02832, equations 8 to 19. Printed on-policy losses have `β_t` outside of the sum
/// over tokens, where it cannot be.
///
/// # Errors
/// [`CreditError::Option`]; [`CreditError::Core`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_credit::{AlignDistil, TokenSums, aligndistil};
///
/// let sums = Cpu::default().tensor([0.07569392_f64 + 0.00281020]);
/// let terms = aligndistil(TokenSums::new(sums, &[2])?, &AlignDistil::default())?;
/// assert!((terms.values()[0] - 0.03925206).abs() < 1e-12);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn aligndistil<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    divergences: TokenSums<P, E, D, T>,
    config: &AlignDistil,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    let (values, lengths) = (to_f64(&divergences.sums), divergences.lengths);
    let shares: Vec<f64> = lengths.iter().map(|&n| 1.0 / n.max(1) as f64).collect();
    let slopes = match config.normalization {
        Normalization::Mean => shares.clone(),
        Normalization::Sum => vec![1.0; shares.len()],
    };
    let times = |by: &[f64]| values.iter().zip(by).map(|(v, s)| v * s).collect::<Vec<f64>>();
    let losses = times(&slopes);
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("divergence", times(&shares))?;
    diagnostics.push("lengths", lengths.iter().map(|&n| n as f64).collect())?;
    let weights = vec![1.0; losses.len()];
    Ok(LossTerms::new(attach(&losses, [(divergences.sums, slopes)])?, weights, diagnostics)?)
}
