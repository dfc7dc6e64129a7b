//! Credit for single tokens and steps.

mod distil;
mod error;
mod family;
mod figures;
mod implicit;
mod input;
mod method;
mod oprl;
mod pairs;
mod rto;
mod search;
mod sums;
mod tars;

pub use distil::*;
pub use error::CreditError;
pub use family::{Credit, METHODS, keys};
pub use implicit::*;
pub use input::{CreditBatch, CreditInput, CreditKind};
pub use method::CreditMethod;
pub use oprl::*;
pub use pairs::*;
pub use rto::*;
pub use search::*;
pub use sums::{Normalization, TokenSums};
pub use tars::*;
