//! Losses of completions that were sampled during training.

mod a2po;
mod dno;
mod hypo;
mod nash_md;
mod selm;
mod srpo;
mod xpo;

pub use a2po::{A2po, a2po};
pub use dno::{Dno, dno};
pub use hypo::{Hypo, hypo};
pub use nash_md::{NashMd, nash_md};
pub use selm::{Selm, selm};
pub use srpo::{Labels, Srpo, srpo};
pub use xpo::{Xpo, xpo};
