//! Fitting a denoiser.
