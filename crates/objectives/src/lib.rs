//! Preference and supervised losses on sequence log-probabilities.
