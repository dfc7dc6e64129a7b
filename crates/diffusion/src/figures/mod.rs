//! Figures of generated samples.
