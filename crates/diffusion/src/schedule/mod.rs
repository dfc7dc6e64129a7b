//! Noise schedules, times of sampling, weights of errors.
