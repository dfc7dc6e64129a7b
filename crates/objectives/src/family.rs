//! The methods as one type, chosen by name in configuration files.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{Columns, LossTerms, PairLogps, SequenceLogps};

use crate::*;

/// Where a method is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The method's name.
    pub method: &'static str,
    /// The name of its options in Rust.
    pub options: &'static str,
    /// Its file in the repository.
    pub file: &'static str,
    /// The paper or trainer, by title and number.
    pub source: &'static str,
}

/// The table of methods: `Variant(Config) = "name"`.
macro_rules! methods {
    ($( $(#[$meta:meta])* $variant:ident($config:ident) = $name:literal; )*) => {
        /// Names of all methods, in the order of [`Objective`]'s variants.
        pub const METHODS: &[&str] = &[$( $name ),*];

        /// Where each method is from, in the order of [`METHODS`].
        pub const ORIGINS: &[Origin] = &[
            $( Origin { method: $name, options: stringify!($config), file: $config::FILE, source: $config::SOURCE }, )*
        ];

        $( const _: () = assert!(same($name, $config::NAME), "the table's name is not the method's"); )*

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
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "method")]
        #[non_exhaustive]
        pub enum Objective {
            $( $(#[$meta])* #[serde(rename = $name)] $variant($config), )*
        }

        $(
            impl From<$config> for Objective {
                fn from(config: $config) -> Self {
                    Self::$variant(config)
                }
            }
        )*

        /// Option names of a method, without `method` itself; empty for an unknown method and for one without options.
        ///
        /// ```
        /// assert_eq!(tropism_objectives::keys("simpo"), ["beta", "gamma_beta_ratio", "label_smoothing"]);
        /// ```
        pub fn keys(method: &str) -> &'static [&'static str] {
            match method {
                $( $name => $config::KEYS, )*
                _ => &[],
            }
        }

        impl Objective {
            /// All methods with their default options, in the order of [`METHODS`].
            pub fn defaults() -> Vec<Self> {
                vec![$( Self::$variant($config::default()) ),*]
            }

            /// The method's name, one of [`METHODS`].
            pub fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }

            /// Checks the method's options.
            ///
            /// # Errors
            /// [`ObjectiveError::Config`] or [`ObjectiveError::Option`], naming method, option and value.
            pub fn check(&self) -> Result<(), ObjectiveError> {
                match self { $( Self::$variant(config) => config.check(), )* }
            }

            /// The kind of input that the loss reads.
            pub fn input(&self) -> InputKind {
                match self { $( Self::$variant(config) => config.input(), )* }
            }

            /// Whether the loss compares the policy with a frozen reference model.
            pub fn needs_reference(&self) -> bool {
                match self { $( Self::$variant(config) => config.needs_reference(), )* }
            }

            /// The constants that the loss reads beside log-probabilities.
            pub fn columns(&self) -> Vec<Column> {
                match self { $( Self::$variant(config) => config.columns(), )* }
            }

            /// Whether the loss also reads the tokens of prompts.
            pub fn reads_prompt(&self) -> bool {
                match self { $( Self::$variant(config) => config.reads_prompt(), )* }
            }

            /// Whether a row's loss depends on the other rows of its batch, so that a step must not be split.
            pub fn couples_rows(&self) -> bool {
                match self { $( Self::$variant(config) => config.couples_rows(), )* }
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
                match self {
                    $( Self::$variant(config) => { batch.check($name, config)?; config.loss(batch) } )*
                }
            }
        }
    };
}

methods! {
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
    /// Whether the loss reads pairs.
    pub fn is_pairwise(&self) -> bool {
        self.input() == InputKind::Pairs
    }

    /// The loss of pairs, for a method that reads no further constants.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn pair_loss<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        policy: PairLogps<P, E, D, T>,
        reference: Option<PairLogps<P, E, D>>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        self.loss(Batch::<P, usize, E, D, T>::pairs(policy, reference))
    }

    /// The loss of single completions, for a method that reads neither reference nor constants.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn sequence_loss<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        policy: SequenceLogps<P, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        self.loss(Batch::<P, usize, E, D, T>::completions(policy, None))
    }

    /// What the weights of a step of pairs add up to, one figure per part of the loss, known from the lengths alone.
    ///
    /// A trainer that splits a step hands them to [`LossTerms::sum_over`].
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    ///
    /// ```
    /// use tropism_objectives::{Cpo, Objective};
    ///
    /// let cpo = Objective::from(Cpo::default());
    /// assert_eq!(cpo.pair_denominators(&[3, 5], &[4, 4])?, [2.0, 8.0]);
    /// # Ok::<(), tropism_objectives::ObjectiveError>(())
    /// ```
    pub fn pair_denominators(&self, chosen: &[usize], rejected: &[usize]) -> Result<Vec<f64>, ObjectiveError> {
        // Weights do not depend on log-probabilities, so any will do.
        let dev = Cpu::default();
        let logps = |lengths: &[usize]| {
            let values: Vec<f64> = lengths.iter().map(|&n| -(n as f64)).collect();
            tropism_core::numerics::from_f64::<(usize,), f64, Cpu>(&dev, &values, (lengths.len(),))
        };
        let policy = PairLogps::new(logps(chosen)?, logps(rejected)?, chosen, rejected)?;
        let reference = if self.needs_reference() { Some(policy.detach()?) } else { None };
        Ok(self.pair_loss(policy, reference)?.denominators())
    }

    /// What the weights of a step add up to, one figure per part of the loss, from a batch of its lengths, masks and constants;
    /// weights do not depend on log-probabilities, so any will do.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn denominators<P: Dim, C: Dim, E: Dtype, D: Device<E>>(
        &self,
        batch: Batch<P, C, E, D>,
    ) -> Result<Vec<f64>, ObjectiveError> {
        Ok(self.loss(batch)?.denominators())
    }

    /// What the weights of a step of single completions add up to; as [`pair_denominators`](Self::pair_denominators).
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn sequence_denominators(&self, lengths: &[usize]) -> Result<Vec<f64>, ObjectiveError> {
        let values: Vec<f64> = lengths.iter().map(|&n| -(n as f64)).collect();
        let logps = tropism_core::numerics::from_f64::<(usize,), f64, Cpu>(&Cpu::default(), &values, (lengths.len(),))?;
        Ok(self.sequence_loss(SequenceLogps::new(logps, lengths)?)?.denominators())
    }

    /// The constants that this method reads, out of those of a combination.
    pub(crate) fn keep(&self, columns: &Columns) -> Result<Columns, ObjectiveError> {
        let mut kept = Columns::default();
        for column in self.columns() {
            if let Some(values) = columns.get(column.name) {
                kept = kept.with(column.name, values.to_vec())?;
            }
        }
        Ok(kept)
    }
}

/// Whether two names are the same, at compile time.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
