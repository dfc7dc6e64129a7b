//! Threads that wait awake, for a short while, for the next loop to be shared out.
//!
//! A step of a small model, or of a sampler, is hundreds of loops of some microseconds. To wake a sleeping thread costs as
//! much as such a loop; so workers watch for the next one for [`AWAKE`] before they sleep. The one who shares a loop out takes
//! part in it and waits for nobody who has not begun.
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a worker stays awake without work.
const AWAKE: Duration = Duration::from_micros(40);

/// Work of a round; everyone who takes part calls it once.
type Job = *const (dyn Fn() + Sync);

/// The process's one team.
static TEAM: Team = Team {
    state: AtomicU64::new(CLOSED),
    job: UnsafeCell::new(None),
    lent: AtomicBool::new(false),
    asleep: AtomicUsize::new(0),
    hired: Mutex::new(0),
    bell: Condvar::new(),
    failed: AtomicBool::new(false),
};

thread_local! {
    /// Whether this thread is taking part in a round.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Team {
    /// from the highest bits: number of the round (32), places for workers (15), workers inside (16), [`CLOSED`] (1)
    state: AtomicU64,
    job: UnsafeCell<Option<Job>>,
    /// whether someone is sharing out a loop
    lent: AtomicBool,
    asleep: AtomicUsize,
    /// number of threads that exist
    hired: Mutex<usize>,
    bell: Condvar,
    /// whether a worker's part of the round panicked
    failed: AtomicBool,
}

// SAFETY: `job` is written only by the one who holds `lent`, while no round is open and no worker inside; workers read it
// after they have entered an open round, which was opened after the write
unsafe impl Sync for Team {}

const CLOSED: u64 = 1;
const WORKER: u64 = 1 << 1;
const PLACE: u64 = 1 << 17;
const ROUND: u64 = 1 << 32;

fn workers_inside(state: u64) -> u64 {
    (state / WORKER) % (1 << 16)
}

fn places(state: u64) -> usize {
    ((state / PLACE) % (1 << 15)) as usize
}

/// Whether the current thread is taking part in a shared loop: a loop inside it stays on its thread.
pub(crate) fn inside() -> bool {
    INSIDE.get()
}

/// Runs `job` on this thread and on up to `helpers` others at the same time; false, and nothing done, when the team is lent
/// to another thread.
pub(crate) fn run(helpers: usize, job: &(dyn Fn() + Sync)) -> bool {
    if TEAM.lent.swap(true, Acquire) {
        return false;
    }
    let outcome = TEAM.round(helpers, job);
    let failed = TEAM.failed.swap(false, Relaxed);
    TEAM.lent.store(false, Release);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
    assert!(!failed, "a worker thread's part of a loop panicked");
    true
}

impl Team {
    fn guard(&self) -> MutexGuard<'_, usize> {
        self.hired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a round, takes part, closes it, and waits for those who are inside.
    fn round(&'static self, helpers: usize, job: &(dyn Fn() + Sync)) -> std::thread::Result<()> {
        self.hire(helpers);
        // SAFETY: only the lifetime changes; nobody calls the job after this function has returned
        let job: &'static (dyn Fn() + Sync) = unsafe { std::mem::transmute(job) };
        // SAFETY: this thread holds `lent`, the last round is closed and empty
        unsafe { *self.job.get() = Some(job) };
        let round = (self.state.load(Relaxed) / ROUND).wrapping_add(1) << 32;
        self.state.store(round | (helpers as u64 * PLACE), SeqCst);
        if self.asleep.load(SeqCst) > 0 {
            drop(self.guard());
            self.bell.notify_all();
        }
        let outcome = within(job);
        self.state.fetch_or(CLOSED, AcqRel);
        let mut turns = 0u32;
        while workers_inside(self.state.load(Acquire)) > 0 {
            turns += 1;
            if turns < 10_000 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        outcome
    }

    /// Sees to it that there are `n` workers, as far as the system gives threads.
    fn hire(&'static self, n: usize) {
        let mut hired = self.guard();
        while *hired < n {
            let index = *hired;
            let name = format!("tropism-ops-{}", index + 1);
            if std::thread::Builder::new().name(name).spawn(move || self.work(index)).is_err() {
                return;
            }
            *hired += 1;
        }
    }

    /// A worker's life.
    fn work(&self, index: usize) {
        let mut seen = self.state.load(Acquire) / ROUND;
        // the round for which it was hired may be open already
        seen = seen.wrapping_sub(1);
        let mut since = Instant::now();
        loop {
            let state = self.state.load(Acquire);
            let round = state / ROUND;
            if round != seen && state & CLOSED == 0 && index < places(state) {
                if self.state.compare_exchange(state, state + WORKER, AcqRel, Relaxed).is_ok() {
                    seen = round;
                    self.take_part();
                    since = Instant::now();
                }
                continue;
            }
            (0..16).for_each(|_| std::hint::spin_loop());
            if since.elapsed() > AWAKE {
                self.sleep(seen, index);
                since = Instant::now();
            }
        }
    }

    fn take_part(&self) {
        // SAFETY: this worker is inside an open round, so the job was written before and outlives the round
        let job = unsafe { (*self.job.get()).map(|job| &*job) };
        if job.is_some_and(|job| within(job).is_err()) {
            self.failed.store(true, Relaxed);
        }
        self.state.fetch_sub(WORKER, AcqRel);
    }

    /// Until a round is opened that this worker has not seen.
    fn sleep(&self, seen: u64, index: usize) {
        let mut guard = self.guard();
        self.asleep.fetch_add(1, SeqCst);
        loop {
            let state = self.state.load(SeqCst);
            if state / ROUND != seen && state & CLOSED == 0 && index < places(state) {
                break;
            }
            guard = self.bell.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, SeqCst);
    }
}

/// Calls the job, marked as taking part.
fn within(job: &(dyn Fn() + Sync)) -> std::thread::Result<()> {
    INSIDE.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(job));
    INSIDE.set(false);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_calls_the_job_at_most_once_and_all_are_done_at_the_end() {
        for helpers in [1, 3] {
            for _ in 0..2000 {
                let (calls, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let ran = run(helpers, &|| {
                    calls.fetch_add(1, SeqCst);
                    std::hint::spin_loop();
                    done.fetch_add(1, SeqCst);
                });
                // other tests of this process may have the team
                let n = calls.into_inner();
                assert_eq!(n, done.into_inner());
                assert!(if ran { (1..=helpers + 1).contains(&n) } else { n == 0 }, "{n} calls");
            }
        }
    }

    #[test]
    fn sleepers_are_woken() {
        let wanted = std::sync::Barrier::new(2);
        for _ in 0..20 {
            std::thread::sleep(2 * AWAKE);
            // hangs unless the helper comes
            let calls = AtomicUsize::new(0);
            while !run(1, &|| {
                calls.fetch_add(1, SeqCst);
                wanted.wait();
            }) {}
            assert_eq!(calls.into_inner(), 2);
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_lives_on() {
        let attempt = catch_unwind(|| while !run(2, &|| panic!("on purpose")) {});
        assert!(attempt.is_err());
        while !run(2, &|| ()) {}
        assert!(!inside());
    }
}
