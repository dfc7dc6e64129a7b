//! Small tasks with known truth.
