//! Work split over the threads of the current rayon pool, with results that do not depend on how it was split.
use crate::error::OpsError;
use crate::team;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `f` with all operations on `n` threads; 0 stands for one per core.
///
/// ```
/// assert_eq!(tropism_ops::with_threads(2, || 7)?, 7);
/// # Ok::<(), tropism_ops::OpsError>(())
/// ```
///
/// # Errors
/// When the system gives no threads.
pub fn with_threads<R: Send>(n: usize, f: impl FnOnce() -> R + Send) -> Result<R, OpsError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
    Ok(pool.map_err(|e| OpsError::Threads(e.to_string()))?.install(f))
}

/// A pointer that may cross threads: tasks write disjoint parts of one buffer.
pub(crate) struct Ptr<T>(*mut T);

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ptr<T> {}

// SAFETY: only a pointer; whoever dereferences it (below, `unsafe`) promises disjoint ranges.
unsafe impl<T: Send> Send for Ptr<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Ptr<T> {}

impl<T> Ptr<T> {
    pub(crate) fn of(v: &mut [T]) -> Self {
        Ptr(v.as_mut_ptr())
    }

    /// A pointer whose owner knows its size.
    pub(crate) fn raw(p: *mut T) -> Self {
        Ptr(p)
    }

    /// # Safety
    /// Ranges handed out at the same time must not overlap and must lie inside the buffer, which must outlive them.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn range<'a>(self, start: usize, n: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), n) }
    }

    /// The rest of the buffer.
    ///
    /// # Safety
    /// `start` must lie inside the buffer.
    pub(crate) unsafe fn from(self, start: usize) -> Self {
        // SAFETY: the caller's promise
        Ptr(unsafe { self.0.add(start) })
    }

    /// # Safety
    /// `start` must lie inside the buffer.
    pub(crate) unsafe fn at(self, start: usize) -> *mut T {
        // SAFETY: the caller's promise
        unsafe { self.0.add(start) }
    }
}

/// Parts per thread of a range that is split: a thread that wakes late leaves its share to the others.
const PARTS: usize = 4;

/// Runs `f(begin, end)` on parts of `0..n` over all threads; parts hold at least `min` items.
pub(crate) fn split(n: usize, min: usize, f: impl Fn(usize, usize) + Sync + Send) {
    let most = n.div_ceil(min.max(1));
    let threads = rayon::current_num_threads().min(most);
    let parts = if threads <= 1 || team::inside() { 1 } else { (threads * PARTS).min(most) };
    share(n, n.div_ceil(parts), threads, || (), |(), begin, end| f(begin, end));
}

/// Runs `f(buffers, i)` for `0..n` over all threads, one by one: for few items of unequal weight. A thread makes its buffers
/// once, by `make`, for all items that it takes.
pub(crate) fn each_with<S>(n: usize, make: impl Fn() -> S + Sync + Send, f: impl Fn(&mut S, usize) + Sync + Send) {
    share(n, 1, rayon::current_num_threads().min(n), make, |s, i, _| f(s, i));
}

/// Hands parts of `step` items to whoever is free.
fn share<S>(
    n: usize,
    step: usize,
    threads: usize,
    make: impl Fn() -> S + Sync + Send,
    f: impl Fn(&mut S, usize, usize) + Sync + Send,
) {
    if threads <= 1 || team::inside() {
        let mut s = make();
        return (0..n).step_by(step.max(1)).for_each(|begin| f(&mut s, begin, (begin + step).min(n)));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut s = make();
        loop {
            let begin = next.fetch_add(step, Ordering::Relaxed);
            if begin >= n {
                return;
            }
            f(&mut s, begin, (begin + step).min(n));
        }
    };
    if team::run(threads - 1, &work) {
        return;
    }
    rayon::scope(|s| {
        (1..threads).for_each(|_| s.spawn(|_| work()));
        work();
    });
}

/// Runs `f(index, item)` for all items, shared out over the threads.
pub fn for_each<T: Send>(items: &mut [T], f: impl Fn(usize, &mut T) + Sync + Send) {
    split_rows((items, 1), (&mut [(); 0], 0), 1, |first, part, _| {
        part.iter_mut().enumerate().for_each(|(i, item)| f(first + i, item));
    });
}

/// Like [`split`] over rows of two outputs: `f(first row, rows of a, rows of b)`.
pub(crate) fn split_rows<A: Send, B: Send>(
    (a, width_a): (&mut [A], usize),
    (b, width_b): (&mut [B], usize),
    min: usize,
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync + Send,
) {
    let n = a.len() / width_a.max(1);
    assert!(a.len() == n * width_a && b.len() == n * width_b, "outputs of unequal row counts");
    let (pa, pb) = (Ptr::of(a), Ptr::of(b));
    split(n, min, |s, e| {
        // SAFETY: the parts s..e of different tasks are disjoint and end at n rows, which both buffers hold
        let (ra, rb) = unsafe { (pa.range(s * width_a, (e - s) * width_a), pb.range(s * width_b, (e - s) * width_b)) };
        f(s, ra, rb);
    });
}

/// `f(begin, end)` on fixed blocks of `block` items, results in order: the same sums for any number of threads.
pub(crate) fn blocks<R: Send>(n: usize, block: usize, f: impl Fn(usize, usize) -> R + Sync + Send) -> Vec<R> {
    let mut out: Vec<Option<R>> = (0..n.div_ceil(block)).map(|_| None).collect();
    let po = Ptr::of(&mut out);
    split(n.div_ceil(block), 1, |s, e| {
        for i in s..e {
            // SAFETY: block i belongs to this task alone
            let slot = unsafe { po.range(i, 1) };
            slot[0] = Some(f(i * block, ((i + 1) * block).min(n)));
        }
    });
    out.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_visited_once() {
        for n in [0, 1, 7, 100, 1001] {
            let seen: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
            split(n, 3, |a, b| {
                for s in &seen[a..b] {
                    s.fetch_add(1, Ordering::Relaxed);
                }
            });
            assert!(seen.iter().all(|s| s.load(Ordering::Relaxed) == 1), "{n} items");
        }
    }

    #[test]
    fn blocks_come_in_order() {
        assert_eq!(blocks(10, 4, |a, b| (a, b)), [(0, 4), (4, 8), (8, 10)]);
        assert!(blocks(0, 4, |a, b| (a, b)).is_empty());
    }
}
