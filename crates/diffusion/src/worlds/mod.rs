//! Densities and tasks with exact rewards.
