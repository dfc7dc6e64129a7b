//! The methods as one type, chosen by name in configuration files.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use crate::*;

tropism_core::methods! {
    ($) ObjectiveError;
    /// One method with its options.
    ///
    /// In a configuration file the name stands in `method`, and the method's options stand beside it. Options left out
    /// take their defaults; unknown ones are errors.
    ///
    /// ```
    /// use tropism_objectives::{Objective, Simpo};
    ///
    /// let objective: Objective = toml::from_str("method = 'simpo'\nbeta = 2.5")?;
    /// assert_eq!(objective, Objective::Simpo(Simpo::default().with_beta(2.5)));
    /// assert!(toml::from_str::<Objective>("method = 'simpo'\nbetta = 2.5").is_err());
    /// # Ok::<(), toml::de::Error>(())
    /// ```
    pub enum Objective;
    /// Option names of a method, without `method` itself; empty for an unknown method and for one without options.
    ///
    /// ```
    /// assert_eq!(tropism_objectives::keys("simpo"), ["beta", "gamma_beta_ratio", "label_smoothing"]);
    /// ```
    pub fn keys;

    /// Supervised fine-tuning; see [`sft()`].
    Sft(Sft) = "sft";
    /// The best answer for a direction of rewards; see [`dpa()`].
    Dpa(Dpa) = "dpa";
    /// SFT under other divergences, by sequence; see [`f_sft()`].
    FSft(FSft) = "f_sft";
    /// SFT under other divergences, by token; see [`f_sft_tokens()`].
    FSftTokens(FSftTokens) = "f_sft_tokens";
    /// SFT under other divergences, by action values; see [`f_sft_values()`].
    FSftValues(FSftValues) = "f_sft_values";
    /// Direct preference optimisation; see [`dpo()`].
    Dpo(Dpo) = "dpo";
    /// DPO with smoothed labels; see [`cdpo()`].
    Cdpo(Cdpo) = "cdpo";
    /// DPO corrected for swapped labels; see [`robust()`].
    Robust(Robust) = "robust";
    /// Hinge loss; see [`hinge()`].
    Hinge(Hinge) = "hinge";
    /// Identity preference optimisation; see [`ipo()`].
    Ipo(Ipo) = "ipo";
    /// Multi-objective DPO; see [`modpo()`].
    Modpo(Modpo) = "modpo";
    /// Pairs of several objectives, each with its own mean; see [`mah_dpo()`].
    MahDpo(MahDpo) = "mah_dpo";
    /// One policy out of several domains; see [`cofs_dpo()`].
    CofsDpo(CofsDpo) = "cofs_dpo";
    /// One of two modules that chase each other; see [`ofs_dpo()`].
    OfsDpo(OfsDpo) = "ofs_dpo";
    /// DPO with a share of the reference; see [`attenuated_dpo()`].
    AttenuatedDpo(AttenuatedDpo) = "attenuated_dpo";
    /// DPO with a `β` for each batch; see [`beta_dpo()`].
    BetaDpo(BetaDpo) = "beta_dpo";
    /// Best against worst of several samples; see [`bonbon()`].
    Bonbon(Bonbon) = "bonbon";
    /// Distillation of reward margins; see [`e_dpo()`].
    EDpo(EDpo) = "e_dpo";
    /// Generalised preference optimisation; see [`gpo()`].
    Gpo(Gpo) = "gpo";
    /// Safe completions win; see [`safe_dpo()`].
    SafeDpo(SafeDpo) = "safe_dpo";
    /// Efficient exact optimisation; see [`exo()`].
    Exo(Exo) = "exo";
    /// Noise-contrastive alignment; see [`nca_pair()`].
    NcaPair(Nca) = "nca_pair";
    /// Binary classifier optimisation on pairs; see [`bco_pair()`].
    BcoPair(BcoPair) = "bco_pair";
    /// Self-play preference optimisation; see [`sppo_hard()`].
    SppoHard(Sppo) = "sppo_hard";
    /// Alignment via optimal transport, paired; see [`aot()`].
    Aot(Aot) = "aot";
    /// Alignment via optimal transport, unpaired; see [`aot_unpaired()`].
    AotUnpaired(AotUnpaired) = "aot_unpaired";
    /// Anchored preference optimisation, zero; see [`apo_zero()`].
    ApoZero(ApoZero) = "apo_zero";
    /// Anchored preference optimisation, down; see [`apo_down()`].
    ApoDown(ApoDown) = "apo_down";
    /// Discovered preference optimisation; see [`discopop()`].
    Discopop(Discopop) = "discopop";
    /// Aligned supervised fine-tuning; see [`asft()`].
    Asft(Asft) = "asft";
    /// DPO with calibrated log-ratios; see [`cal_dpo()`].
    CalDpo(CalDpo) = "cal_dpo";
    /// DPO with a chi-squared penalty; see [`chi_po()`].
    ChiPo(ChiPo) = "chi_po";
    /// DPO with Davidson's ties; see [`davidson()`].
    Davidson(Davidson) = "davidson";
    /// Preferences between pairs of prompt and completion; see [`dove()`].
    Dove(Dove) = "dove";
    /// DPO-Positive; see [`dpop()`].
    Dpop(Dpop) = "dpop";
    /// DPO with a scale for each side; see [`flex_dpo()`].
    FlexDpo(FlexDpo) = "flex_dpo";
    /// Negative preference optimisation; see [`npo()`].
    Npo(Npo) = "npo";
    /// DPO with an offset; see [`odpo()`].
    Odpo(Odpo) = "odpo";
    /// DPO with a price for length; see [`r_dpo()`].
    RDpo(RDpo) = "r_dpo";
    /// DPO with Rao and Kupper's ties; see [`rao_kupper()`].
    RaoKupper(RaoKupper) = "rao_kupper";
    /// Reinforcement distillation; see [`redi()`].
    Redi(Redi) = "redi";
    /// Regularised preference optimisation; see [`rpo()`].
    Rpo(Rpo) = "rpo";
    /// NPO per token without a reference; see [`simnpo()`].
    Simnpo(Simnpo) = "simnpo";
    /// Inverse perplexities; see [`simper()`].
    Simper(Simper) = "simper";
    /// DPO with soft labels; see [`soft_dpo()`].
    SoftDpo(SoftDpo) = "soft_dpo";
    /// Reward difference optimisation; see [`dpo_rc()`].
    DpoRc(DpoRc) = "dpo_rc";
    /// A soft minimum of losses over the batch; see [`dr_dpo()`].
    DrDpo(DrDpo) = "dr_dpo";
    /// Group-robust preference optimisation; see [`group_robust()`].
    GroupRobust(GroupRobust) = "group_robust";
    /// Non-stationary DPO; see [`ns_dpo()`].
    NsDpo(NsDpo) = "ns_dpo";
    /// Earlier tokens count for more; see [`d2po()`].
    D2po(D2po) = "d2po";
    /// Equally many sampled tokens on both sides; see [`sampo()`].
    Sampo(Sampo) = "sampo";
    /// Key tokens alone; see [`sepo()`].
    Sepo(Sepo) = "sepo";
    /// Tokens by importance; see [`tis_dpo()`].
    TisDpo(TisDpo) = "tis_dpo";
    /// Deconfliction of traced spans; see [`tracealign()`].
    Tracealign(Tracealign) = "tracealign";
    /// DPO under perturbed prompts with spectra; see [`tars()`].
    Tars(Tars) = "tars";
    /// Length-normalised DPO; see [`ln_dpo()`].
    LnDpo(LnDpo) = "ln_dpo";
    /// SimPO; see [`simpo()`].
    Simpo(Simpo) = "simpo";
    /// AlphaPO; see [`alphapo()`].
    Alphapo(Alphapo) = "alphapo";
    /// Contrastive preference optimisation; see [`cpo()`].
    Cpo(Cpo) = "cpo";
    /// Likelihood of the chosen completions; see [`chosen_nll()`].
    ChosenNll(ChosenNll) = "chosen_nll";
    /// Odds-ratio preference optimisation; see [`orpo()`].
    Orpo(Orpo) = "orpo";
    /// Length-desensitised losses; see [`ld_dpo()`].
    LdDpo(LdDpo) = "ld_dpo";
    /// Weighted preference optimisation; see [`wpo()`].
    Wpo(Wpo) = "wpo";
    /// Triple preference optimisation; see [`tpo()`].
    Tpo(Tpo) = "tpo";
    /// Kahneman–Tversky optimisation; see [`kto()`].
    Kto(Kto) = "kto";
    /// Anchored preference optimisation on single completions; see [`apo_zero_unpaired()`].
    ApoZeroUnpaired(ApoZeroUnpaired) = "apo_zero_unpaired";
    /// Binary classifier optimisation; see [`bco()`].
    Bco(Bco) = "bco";
    /// DPO on rankings; see [`plackett_luce()`].
    PlackettLuce(PlackettLuce) = "plackett_luce";
    /// Pairs taken from rankings; see [`ranking_pairs()`].
    RankingPairs(RankingPairs) = "ranking_pairs";
    /// LiPO's λ-loss; see [`lambda_ranking()`].
    LambdaRanking(LambdaRanking) = "lambda_ranking";
    /// Softmax cross-entropy of lists; see [`softmax_ranking()`].
    SoftmaxRanking(SoftmaxRanking) = "softmax_ranking";
    /// In-context ranking; see [`in_context_ranking()`].
    InContextRanking(InContextRanking) = "in_context_ranking";
    /// Distillation of a reward-conditioned posterior; see [`brain()`].
    Brain(Brain) = "brain";
    /// Reward models of several aspects; see [`aspect_regression()`].
    AspectRegression(AspectRegression) = "aspect_regression";
    /// Reward models of steps; see [`process_reward()`].
    ProcessReward(ProcessReward) = "process_reward";
    /// Reward models on pairs; see [`bradley_terry()`].
    BradleyTerry(BradleyTerry) = "bradley_terry";
    /// Exploratory preference optimisation; see [`xpo()`].
    Xpo(Xpo) = "xpo";
    /// Nash mirror descent; see [`nash_md()`].
    NashMd(NashMd) = "nash_md";
    /// Direct Nash optimisation; see [`dno()`].
    Dno(Dno) = "dno";
    /// Self-exploring language models; see [`selm()`].
    Selm(Selm) = "selm";
    /// Self-improving robust preference optimisation; see [`srpo()`].
    Srpo(Srpo) = "srpo";
    /// DPO with a KL penalty on own samples; see [`hypo()`].
    Hypo(Hypo) = "hypo";
    /// A*-PO; see [`a2po()`].
    A2po(A2po) = "a2po";
    /// Weighted sum of methods; see [`Sum`].
    Sum(Sum) = "sum";
}

impl Objective {
    /// The kind of input that the loss reads.
    pub fn input(&self) -> InputKind {
        with_config!(self, config => config.input())
    }

    /// Whether the loss compares the policy with a frozen reference model.
    pub fn needs_reference(&self) -> bool {
        with_config!(self, config => config.needs_reference())
    }

    /// The constants that the loss reads beside log-probabilities.
    pub fn columns(&self) -> Vec<Column> {
        with_config!(self, config => config.columns())
    }

    /// Whether the loss also reads the tokens of prompts.
    pub fn reads_prompt(&self) -> bool {
        with_config!(self, config => config.reads_prompt())
    }

    /// Whether a row's loss depends on the other rows of its batch, so that a step must not be split.
    pub fn couples_rows(&self) -> bool {
        with_config!(self, config => config.couples_rows())
    }

    /// The loss of a batch.
    ///
    /// # Errors
    /// [`ObjectiveError::WrongInput`], [`ObjectiveError::MissingReference`], [`ObjectiveError::UnusedReference`],
    /// [`ObjectiveError::MissingColumn`], [`ObjectiveError::UnusedColumn`], [`ObjectiveError::Column`] when the
    /// batch is not what the method reads, and those of the method.
    pub fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        self.check()?;
        with_config!(self, config => {
            batch.check(self.name(), config)?;
            config.loss(batch)
        })
    }
}
