//! The losses of this crate as one type, chosen by name in configuration files.

use dfdx::prelude::*;
use tropism_core::{Column, LossTerms};

use crate::*;

tropism_core::methods! {
    ($) CreditError;
    /// One loss with its options.
    ///
    /// In a configuration file the name stands in `method`, and the method's options stand beside it. Options left out
    /// take their defaults; unknown ones are errors.
    ///
    /// ```
    /// use tropism_credit::{Credit, Tgdpo};
    ///
    /// let credit: Credit = toml::from_str("method = 'tgdpo'\nalpha = 2.0")?;
    /// assert_eq!(credit, Credit::Tgdpo(Tgdpo::default().with_alpha(2.0)));
    /// assert!(toml::from_str::<Credit>("method = 'tgdpo'\nalhpa = 2.0").is_err());
    /// # Ok::<(), toml::de::Error>(())
    /// ```
    pub enum Credit;
    /// Option names of a method, without `method` itself; empty for an unknown method.
    ///
    /// ```
    /// assert_eq!(tropism_credit::keys("tdpo2"), ["beta", "alpha"]);
    /// ```
    pub fn keys;

    /// DPO by token; see [`token_dpo()`].
    TokenDpo(TokenDpo) = "token_dpo";
    /// DPO with given token weights; see [`weighted_token_dpo()`].
    WeightedTokenDpo(WeightedTokenDpo) = "weighted_token_dpo";
    /// Token rewards of a guide; see [`tgdpo()`].
    Tgdpo(Tgdpo) = "tgdpo";
    /// Token rewards of a scoring model; see [`sail()`].
    Sail(Sail) = "sail";
    /// Token weights by attention; see [`sail_attention()`].
    SailAttention(SailAttention) = "sail_attention";
    /// DPO with divergences of whole distributions; see [`tdpo1()`].
    Tdpo1(Tdpo1) = "tdpo1";
    /// The same with a stopped gradient; see [`tdpo2()`].
    Tdpo2(Tdpo2) = "tdpo2";
    /// Distillation from an extrapolated teacher; see [`aligndistil()`].
    AlignDistil(AlignDistil) = "aligndistil";
    /// A process reward model of agents; see [`oprl()`].
    Oprl(Oprl) = "oprl";
}

impl Credit {
    /// The kind of input that the loss reads.
    pub fn input(&self) -> CreditKind {
        with_config!(self, config => config.input())
    }

    /// Whether the loss compares the policy with a frozen model.
    pub fn needs_reference(&self) -> bool {
        self.input().has_reference()
    }

    /// The constants that the loss reads beside it.
    pub fn columns(&self) -> Vec<Column> {
        with_config!(self, config => config.columns())
    }

    /// Whether a row's loss depends on other rows, so that a step may be split between groups of rows only.
    pub fn couples_rows(&self) -> bool {
        with_config!(self, config => config.couples_rows())
    }

    /// The loss of a batch.
    ///
    /// # Errors
    /// [`CreditError::WrongInput`] and [`CreditError::Column`] when the batch is not what the method reads, and
    /// those of the method.
    pub fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: impl Into<CreditBatch<P, C, E, D, T>>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        self.check()?;
        let batch = batch.into();
        with_config!(self, config => {
            batch.check(self.name(), config)?;
            config.loss(batch)
        })
    }
}
