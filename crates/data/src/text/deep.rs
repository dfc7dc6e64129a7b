//! Threads with room for deep recursion.
//!
//! Templates are programs of strangers. The engine recurses over nested values and expressions, and a stack that
//! runs over ends the process. How deep a template can nest is bounded by its limits; these stacks hold that depth. Their
//! memory is taken only as far as it is used.

use std::sync::Mutex;
use std::thread::{Builder, scope};

use crate::DataError;

/// Bytes of stack for one unit of work: the cheapest level of nesting costs more than one unit, and printing it, the
/// deepest recursion that was seen, less than 1,000 bytes.
const LEVEL: usize = 1 << 10;

/// Smallest stack.
const LEAST: usize = 64 << 20;

/// A stack for values nested as deep as so much work can make them.
pub(super) fn stack_for(work: u64) -> usize {
    usize::try_from(work).unwrap_or(usize::MAX).saturating_mul(LEVEL).max(LEAST)
}

/// Does something on a thread with so much stack.
pub(super) fn on_deep_stack<R: Send>(stack: usize, work: impl FnOnce() -> R + Send) -> Result<R, DataError> {
    scope(|threads| {
        let started = Builder::new().stack_size(stack).spawn_scoped(threads, work);
        match started.map_err(not_started)?.join() {
            Ok(done) => Ok(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Does something with each share of the items, on threads with so much stack; the results are in the order of the items.
pub(super) fn share_out<T: Sync, R: Send>(
    stack: usize,
    items: &[T],
    share: usize,
    each: impl Fn(&[T]) -> Vec<R> + Sync,
) -> Result<Vec<R>, DataError> {
    let shares = Mutex::new(items.chunks(share.max(1)).enumerate());
    let work = || {
        let mut done = Vec::new();
        loop {
            let next = shares.lock().map(|mut shares| shares.next());
            match next {
                Ok(Some((index, share))) => done.push((index, each(share))),
                _ => return done,
            }
        }
    };
    let count = rayon::current_num_threads().min(items.len().div_ceil(share.max(1)));
    let mut done: Vec<(usize, Vec<R>)> = scope(|threads| {
        let start = |_| Builder::new().stack_size(stack).spawn_scoped(threads, work).map_err(not_started);
        let started = (0..count).map(start).collect::<Result<Vec<_>, _>>()?;
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok::<Vec<(usize, Vec<R>)>, DataError>(started.into_iter().flat_map(join).collect())
    })?;
    done.sort_unstable_by_key(|(index, _)| *index);
    Ok(done.into_iter().flat_map(|(_, results)| results).collect())
}

fn not_started(error: std::io::Error) -> DataError {
    DataError::Threads { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn order_is_kept() {
        let items: Vec<usize> = (0..1000).collect();
        for share in [0, 1, 7, 2000] {
            let done = share_out(LEAST, &items, share, |part| part.iter().map(|item| item * 2).collect()).unwrap();
            assert!(done.iter().enumerate().all(|(index, twice)| *twice == 2 * index) && done.len() == 1000);
        }
        assert!(share_out(LEAST, &[0; 0], 1, |part| part.to_vec()).unwrap().is_empty());
    }

    #[test]
    fn a_stack_that_cannot_be_had_is_an_error() {
        assert_eq!(on_deep_stack(LEAST, || 7).unwrap(), 7);
        let error = on_deep_stack(1 << 46, || 7).unwrap_err().to_string();
        assert!(error.contains("thread"), "{error}");
    }

    #[test]
    #[should_panic(expected = "from within")]
    fn panics_come_through() {
        let _ = on_deep_stack(LEAST, || panic!("from within"));
    }
}
