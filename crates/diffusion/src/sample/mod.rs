//! Samplers, their log-densities, inversion and guidance.
