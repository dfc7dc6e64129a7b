//! What can go wrong in a world.

use thiserror::Error;

/// An error of a world.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum WorldError {
    /// A setting or an argument has a value that makes no sense.
    #[error("world `{world}`: `{key}` is {value}, but must be {expected}")]
    BadValue {
        /// Name of the world.
        world: &'static str,
        /// Name of the setting or argument, with dots for nested settings.
        key: &'static str,
        /// The value that was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// There are no tasks to draw from.
    #[error("world `{world}`: there are no tasks to draw from; pass at least one")]
    NoTasks {
        /// Name of the world.
        world: &'static str,
    },
    /// One side of a split would be empty.
    #[error(
        "world `{world}`: a test fraction of {fraction} leaves one side of {tasks} tasks empty; \
         change the fraction or make more tasks"
    )]
    EmptySide {
        /// Name of the world.
        world: &'static str,
        /// The fraction asked for.
        fraction: f64,
        /// Number of tasks.
        tasks: usize,
    },
    /// The mix of answers holds no two answers of different reward.
    #[error(
        "world `{world}`: the mix gives no two answers of different reward to {prompt:?}; \
         give weight to another kind of answer, or set `mix.wrong` between 0 and 1"
    )]
    NoContrast {
        /// Name of the world.
        world: &'static str,
        /// The prompt at which this was found.
        prompt: String,
    },
    /// A task is none of this world's.
    #[error("world `{world}`: {prompt:?} is none of its tasks; pass tasks of a world with the same settings")]
    UnknownTask {
        /// Name of the world.
        world: &'static str,
        /// The prompt of the task, shortened for display.
        prompt: String,
    },
}
