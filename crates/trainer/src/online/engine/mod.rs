//! Rollouts by a server: any that completes prompts by the protocol of OpenAI.
//!
//! Before a step samples, the policy is written as a Hugging Face folder and the server is told to load it; then every
//! completion is one request. What comes back must name each token by its id, so that the loss sees what was sampled.
#[cfg(feature = "http")]
mod ask;
#[cfg(feature = "http")]
mod client;
mod options;
#[cfg(feature = "http")]
mod remote;
#[cfg(feature = "http")]
mod reply;
#[cfg(not(feature = "http"))]
mod without;

pub use options::{Engine, OpenAiEngine};
#[cfg(feature = "http")]
pub(crate) use remote::Remote;
#[cfg(not(feature = "http"))]
pub(crate) use without::Remote;
