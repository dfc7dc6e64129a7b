//! What an operation refuses.
use dfdx::tensor::CpuError;

/// Errors of the operations: wrong sizes or indices, or the device's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpsError {
    /// Two sizes that have to agree do not.
    #[error("{op}: {what} is {found}, expected {expected}")]
    Size {
        /// the operation
        op: &'static str,
        /// which size
        what: &'static str,
        /// the size that would fit
        expected: usize,
        /// the size that was given
        found: usize,
    },
    /// An index points outside its table.
    #[error(
        "{op}: index {index} at position {position} is not below {bound}; check that tokenizer and model belong together"
    )]
    Index {
        /// the operation
        op: &'static str,
        /// where in the list of indices
        position: usize,
        /// the index
        index: usize,
        /// number of rows of the table
        bound: usize,
    },
    /// More of the most probable tokens than there are.
    #[error("linear_logps: the {k} most probable tokens are asked for, the vocabulary has {vocab}")]
    TopK {
        /// how many
        k: usize,
        /// rows of the weight
        vocab: usize,
    },
    /// Moments of one parameter in two formats.
    #[error("adamw: the two moments of `{name}` are stored in different formats")]
    Moments {
        /// the parameter
        name: String,
    },
    /// Segments that do not make a packed tree.
    #[error("packed tree: segment {segment} {reason}")]
    Tree {
        /// index of the segment
        segment: usize,
        /// what is wrong with it
        reason: &'static str,
    },
    /// A kernel that cannot slide over its input.
    #[error("conv: size {:?}, kernel {:?}, stride {:?}: {problem}", window.size, window.kernel, window.stride)]
    Window {
        /// its sizes
        window: crate::Window,
        /// what is wrong with them
        problem: &'static str,
    },
    /// No thread pool.
    #[error("threads cannot be started: {0}")]
    Threads(String),
    /// The tensor library refused (out of memory).
    #[error("tensor device: {0}")]
    Device(#[from] CpuError),
}

/// `Ok` when the sizes agree.
pub(crate) fn same(op: &'static str, what: &'static str, expected: usize, found: usize) -> Result<(), OpsError> {
    if expected == found { Ok(()) } else { Err(OpsError::Size { op, what, expected, found }) }
}

/// `Ok` when every index is below `bound`; `skip` is let through.
pub(crate) fn below(op: &'static str, indices: &[usize], bound: usize, skip: Option<usize>) -> Result<(), OpsError> {
    match indices.iter().position(|&i| i >= bound && Some(i) != skip) {
        None => Ok(()),
        Some(position) => Err(OpsError::Index { op, position, index: indices[position], bound }),
    }
}
