//! Preference and supervised losses on sequence log-probabilities.
//!
//! Each method is one file with a config struct and a pure function from log-probabilities to
//! [`LossTerms`]: losses per row, each row's weight in the denominator, and diagnostics.
//! No function takes a mean; the caller divides once over all rows of its step.
//!
//! Pairs: [`dpo()`], [`cdpo()`], [`robust()`], [`hinge()`], [`ipo()`], [`exo()`], [`nca_pair()`], [`bco_pair()`],
//! [`sppo_hard()`], [`aot()`], [`aot_unpaired()`], [`apo_zero()`], [`apo_down()`], [`discopop()`], [`ln_dpo()`], [`rpo()`],
//! [`flex_dpo()`], [`odpo()`], [`dpop()`], [`r_dpo()`], [`cal_dpo()`], [`chi_po()`], [`npo()`], [`soft_dpo()`], [`e_dpo()`],
//! [`gpo()`], [`bonbon()`], [`attenuated_dpo()`], [`safe_dpo()`], with ties [`rao_kupper()`], [`davidson()`]; of several
//! objectives [`modpo()`], [`mah_dpo()`]; of two policies [`ofs_dpo()`], [`cofs_dpo()`]; over the batch [`dr_dpo()`],
//! [`beta_dpo()`]; by weighted rows [`dpo_rc()`], [`ns_dpo()`], [`group_robust()`]; without a reference [`simpo()`],
//! [`alphapo()`], [`cpo()`], [`asft()`], [`redi()`], [`simper()`], [`simnpo()`], [`chosen_nll()`]; by token [`orpo()`],
//! [`ld_dpo()`], [`wpo()`], [`dove()`], [`d2po()`], [`sampo()`], [`tis_dpo()`], [`sepo()`], [`tracealign()`]; with spectra of
//! hidden states [`tars()`]; with a third completion [`tpo()`]. Single completions: [`sft()`], [`f_sft()`],
//! [`f_sft_tokens()`], [`f_sft_values()`], [`kto()`], [`apo_zero_unpaired()`], [`bco()`]. Lists: [`plackett_luce()`],
//! [`ranking_pairs()`], [`lambda_ranking()`], [`softmax_ranking()`], [`in_context_ranking()`], [`brain()`], [`dpa()`]. Reward
//! models: [`bradley_terry()`], [`aspect_regression()`], [`process_reward()`]. Sampled during training: [`xpo()`], [`selm()`],
//! [`hypo()`], [`dno()`], [`srpo()`], [`nash_md()`], [`a2po()`]. Weighted sums: [`Sum`].
//!
//! [`Objective`] picks one by name from a configuration file.
//!
//! ## Gradients
//!
//! Losses are differentiable in the policy's log-probabilities; references, lengths and diagnostics are constants.
//! Trace one side of the pair with the gradient store and give the other an empty tape:
//!
//! ```
//! use dfdx::prelude::*;
//! use tropism_core::PairLogps;
//! use tropism_objectives::{Dpo, dpo};
//!
//! let dev = Cpu::default();
//! let (chosen, rejected) = (dev.tensor([-10.0_f64]), dev.tensor([-12.0]));
//! let policy = PairLogps::new(chosen.leaky_trace(), rejected.retaped(), &[5], &[8])?;
//! let reference = PairLogps::new(dev.tensor([-11.0]), dev.tensor([-11.5]), &[5], &[8])?;
//! let terms = dpo(policy, reference, &Dpo::default())?;
//! assert_eq!(terms.diagnostics.get("rewards/accuracies"), Some([1.0].as_slice()));
//! let loss = terms.mean()?;
//! assert!((loss.array() - 0.62095705).abs() < 1e-8);
//! let grads = loss.backward();
//! assert!((grads.get(&chosen).array()[0] + 0.04625702).abs() < 1e-8);
//! assert!((grads.get(&rejected).array()[0] - 0.04625702).abs() < 1e-8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What does not belong together does not compile. A reference of other rows than the policy:
//!
//! ```compile_fail,E0277
//! use dfdx::prelude::*;
//! use tropism_core::PairLogps;
//! use tropism_objectives::{Dpo, dpo};
//!
//! let dev = Cpu::default();
//! let policy = PairLogps::new(dev.tensor([-1.0_f64, -2.0]), dev.tensor([-1.0, -2.0]), &[1; 2], &[1; 2]).unwrap();
//! let reference = PairLogps::new(dev.tensor([-1.0_f64]), dev.tensor([-1.0]), &[1], &[1]).unwrap();
//! let _ = dpo(policy, Some(reference), &Dpo::default());
//! ```
//!
//! Chosen and rejected sides of different rows, and of different dtypes:
//!
//! ```compile_fail,E0308
//! use dfdx::prelude::*;
//! use tropism_core::PairLogps;
//!
//! let dev = Cpu::default();
//! let _ = PairLogps::new(dev.tensor([-1.0_f64, -2.0]), dev.tensor([-1.0_f64]), &[1; 2], &[1]);
//! ```
//!
//! ```compile_fail,E0308
//! use dfdx::prelude::*;
//! use tropism_core::PairLogps;
//!
//! let dev = Cpu::default();
//! let _ = PairLogps::new(dev.tensor([-1.0_f64]), dev.tensor([-1.0_f32]), &[1], &[1]);
//! ```
//!
//! A reference in another dtype:
//!
//! ```compile_fail,E0277
//! use dfdx::prelude::*;
//! use tropism_core::PairLogps;
//! use tropism_objectives::{Dpo, dpo};
//!
//! let dev = Cpu::default();
//! let policy = PairLogps::new(dev.tensor([-1.0_f64]), dev.tensor([-2.0]), &[1], &[1]).unwrap();
//! let reference = PairLogps::new(dev.tensor([-1.0_f32]), dev.tensor([-2.0]), &[1], &[1]).unwrap();
//! let _ = dpo(policy, Some(reference), &Dpo::default());
//! ```
//!
//! Policy and reference in each other's places where the policy carries a tape, so that nothing is trained by mistake:
//!
//! ```compile_fail,E0277
//! use dfdx::prelude::*;
//! use tropism_core::PairLogps;
//! use tropism_objectives::{Dpo, dpo};
//!
//! let dev = Cpu::default();
//! let (chosen, rejected) = (dev.tensor([-1.0_f64]), dev.tensor([-2.0_f64]));
//! let policy = PairLogps::new(chosen.leaky_trace(), rejected.retaped(), &[1], &[1]).unwrap();
//! let reference = PairLogps::new(chosen, rejected, &[1], &[1]).unwrap();
//! let _ = dpo(reference, Some(policy), &Dpo::default());
//! ```
//!
//! Tokens where sums are read, pairs where lists are, lists of other lengths than the reference's:
//!
//! ```compile_fail,E0308
//! use dfdx::prelude::*;
//! use tropism_core::TokenLogps;
//! use tropism_objectives::{Sft, sft};
//!
//! let tokens = TokenLogps::new(Cpu::default().tensor([[-1.0_f64, -2.0]]), &[true; 2]).unwrap();
//! let _ = sft(tokens, &Sft::default());
//! ```
//!
//! ```compile_fail,E0308
//! use dfdx::prelude::*;
//! use tropism_core::{ListLogps, PairLogps};
//! use tropism_objectives::{PlackettLuce, plackett_luce};
//!
//! let dev = Cpu::default();
//! let pairs = PairLogps::new(dev.tensor([-1.0_f64]), dev.tensor([-2.0]), &[1], &[1]).unwrap();
//! let lists = ListLogps::new(dev.tensor([[-1.0_f64, -2.0]]), &[true; 2], &[1; 2]).unwrap();
//! let _ = plackett_luce(pairs, lists, &[0.0, 1.0], &PlackettLuce::default());
//! ```
//!
//! ```compile_fail,E0308
//! use dfdx::prelude::*;
//! use tropism_core::ListLogps;
//! use tropism_objectives::{PlackettLuce, plackett_luce};
//!
//! let dev = Cpu::default();
//! let two = ListLogps::new(dev.tensor([[-1.0_f64, -2.0]]), &[true; 2], &[1; 2]).unwrap();
//! let three = ListLogps::new(dev.tensor([[-1.0_f64, -2.0, -3.0]]), &[true; 3], &[1; 3]).unwrap();
//! let _ = plackett_luce(two, three, &[0.0, 1.0], &PlackettLuce::default());
//! ```
//!
//! The options of another method:
//!
//! ```compile_fail,E0308
//! use dfdx::prelude::*;
//! use tropism_core::PairLogps;
//! use tropism_objectives::{Ipo, dpo};
//!
//! let dev = Cpu::default();
//! let pair = || PairLogps::new(dev.tensor([-1.0_f64]), dev.tensor([-2.0]), &[1], &[1]).unwrap();
//! let _ = dpo(pair(), pair(), &Ipo::default());
//! ```
//!
//! ## Diagnostics
//!
//! One value per row, in nats, with the names known from TRL. Pairwise methods report `rewards/chosen`,
//! `rewards/rejected`, `rewards/margins` (their difference), `rewards/accuracies` (1 where chosen is strictly above
//! rejected), `rewards/ties`, `logps/chosen`, `logps/rejected` (sums, whatever the loss divides by),
//! `lengths/chosen`, `lengths/rejected` (tokens); those with a reference add likelihood displacement: `displacement/chosen`,
//! the log-ratio of the chosen completion, and `displacement/fell`, 1 where it is below 0. SimPO adds `mean_logps/chosen` and `mean_logps/rejected`, which TRL
//! logs under the names of the sums. [`sft()`] reports `logps` and `lengths`.
//!
//! ## Used alone
//!
//! The containers of `tropism-core` are re-exported, so a training loop of dfdx needs this crate only.
//!
//! ## Features
//!
//! `golden` adds the module `golden`, which checks the losses and gradients against a file of reference figures.
#![deny(missing_docs)]

mod batch;
mod combined;
mod diagnostics;
mod error;
mod family;
#[cfg(feature = "golden")]
pub mod golden;
mod input;
mod link;
mod listwise;
mod method;
mod online;
mod options;
mod pairwise;
mod reward;
mod shortcuts;
mod supervised;
mod unpaired;

// What losses read and return, so that this crate can be used alone.
pub use tropism_core::{
    Columns, CoreError, Diagnostics, ListLogps, LossTerms, PairLogps, PairScores, PairTokens, RevisionLogps, ScoreTable,
    ScoredPairs, SequenceLogps, TokenLogps, TripleLogps, ValuedTokens,
};

pub use batch::Batch;
pub use combined::{Sum, Term};
pub use error::ObjectiveError;
pub use family::{METHODS, ORIGINS, Objective, keys};
pub use input::{Input, InputKind};
pub use listwise::*;
pub use method::Method;
pub use online::*;
pub use pairwise::*;
pub use reward::*;
pub use supervised::*;
pub use tropism_core::{Column, Domain, Origin, Per};
pub use unpaired::*;
