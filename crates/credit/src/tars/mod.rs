//! What TARS needs beside its loss: which prompt tokens are perturbed, and energies of hidden states.

mod selection;
mod spectrum;

pub use selection::{perturbation_size, perturbed_tokens};
pub use spectrum::{spectral_energies, spectral_energy};
