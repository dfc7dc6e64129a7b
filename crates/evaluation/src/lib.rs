//! Metrics with confidence intervals on plain slices.
