//! All tests of this crate in one program, so that there is one to link.
#![allow(clippy::unwrap_used)]

mod aligndistil;
mod common;
mod family;
mod oprl;
mod proof;
mod r_to_q;
mod rto;
mod sail;
mod search;
mod tars;
mod tdpo;
mod tgdpo;
mod vocabulary;
