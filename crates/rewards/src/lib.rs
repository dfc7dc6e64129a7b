//! Verifiers and reward functions on text.
