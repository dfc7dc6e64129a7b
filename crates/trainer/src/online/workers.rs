//! Rewards on threads of their own, bounded in time.
//!
//! Completions are handed over as they are written, so that rating and sampling overlap. A call that takes too long, fails or
//! panics has no result; who is rated by whom and when changes nothing else, as results go by completion and reward.
use super::rewards::{Completion, Rating, RatingFailure, RewardFunction};
use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tropism_rewards::Reward;

/// How completions are rated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatingOptions {
    /// threads that rate while completions are written
    pub threads: usize,
    /// longest time of one call of one reward, in seconds; what takes longer has no result
    pub timeout_s: f64,
    /// largest share of a round's calls of one reward that may have no result because of time or errors; above it the run
    /// ends
    pub max_failed: f64,
}

impl Default for RatingOptions {
    fn default() -> Self {
        RatingOptions { threads: 2, timeout_s: 30.0, max_failed: 0.1 }
    }
}

impl RatingOptions {
    pub(crate) fn problem(&self) -> Option<String> {
        if self.threads == 0 {
            return Some("has threads 0; it must be at least 1".into());
        }
        if !(self.timeout_s > 0.0 && Duration::try_from_secs_f64(self.timeout_s).is_ok()) {
            return Some(format!("has timeout_s {}; it must be above 0", self.timeout_s));
        }
        (!(0.0..=1.0).contains(&self.max_failed))
            .then(|| format!("has max_failed {}; it must be from 0 to 1", self.max_failed))
    }
}

/// Calls that were given up and have not come back yet, in this process; a thread that hangs cannot be ended.
static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Most of them; then something is wrong with the reward, and threads must not pile up.
const MOST_HANGING: usize = 64;

/// A completion with its own texts, for threads that may outlive the step.
struct Owned {
    prompt: String,
    truth: Option<String>,
    text: String,
    tokens: usize,
    turns: Vec<String>,
    /// the other completions of the group, where they are compared
    others: Option<Vec<String>>,
}

/// One call: the prompt's place in the round, the completion's number, and the reward.
pub(crate) type Call = (usize, usize, usize);

/// What a call came to; an error with what was said.
pub(crate) type Outcome = Result<Rating, String>;

/// What the threads share.
struct Shared {
    rewards: Vec<Option<RewardFunction>>,
    world: Option<Arc<dyn Reward>>,
    queue: Mutex<(VecDeque<(Call, Arc<Owned>)>, bool)>,
    waiting: Condvar,
}

/// A thread, as the pool sees it.
struct Worker {
    /// the call that it is at, and since when
    at: Arc<Mutex<Option<(Call, Instant)>>>,
    /// nobody waits for it any more
    abandoned: Arc<AtomicBool>,
}

impl Worker {
    /// Leaves the thread to itself if its call has run out of time, and says which call that was.
    fn give_up(&self, timeout: Duration) -> Option<Call> {
        // under the lock, so that a call is either over or given up
        let at = locked(&self.at);
        let (call, _) = at.filter(|(_, since)| since.elapsed() >= timeout)?;
        self.abandoned.store(true, Ordering::SeqCst);
        HANGING.fetch_add(1, Ordering::SeqCst);
        Some(call)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads that rate completions.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    send: Sender<(Call, Outcome)>,
    receive: Receiver<(Call, Outcome)>,
    timeout: Duration,
    pending: usize,
    found: BTreeMap<Call, Outcome>,
}

impl Pool {
    /// Starts the threads; `rewards` in the order of their names, nothing for one that is not computed here.
    pub(crate) fn new(
        options: &RatingOptions,
        rewards: Vec<Option<RewardFunction>>,
        world: Option<Arc<dyn Reward>>,
    ) -> Result<Self, TrainError> {
        let (send, receive) = mpsc::channel();
        let shared = Shared { rewards, world, queue: Mutex::default(), waiting: Condvar::new() };
        let mut pool = Pool {
            shared: Arc::new(shared),
            workers: vec![],
            send,
            receive,
            timeout: Duration::try_from_secs_f64(options.timeout_s).unwrap_or(Duration::MAX),
            pending: 0,
            found: BTreeMap::new(),
        };
        for _ in 0..options.threads {
            pool.hire()?;
        }
        Ok(pool)
    }

    fn hire(&mut self) -> Result<(), TrainError> {
        let worker = Worker { at: Arc::default(), abandoned: Arc::default() };
        let (shared, send) = (self.shared.clone(), self.send.clone());
        let (at, abandoned) = (worker.at.clone(), worker.abandoned.clone());
        let thread = std::thread::Builder::new().name("reward".into());
        let started = thread.spawn(move || work(&shared, &at, &abandoned, &send));
        started.map_err(TrainError::io("a thread for rewards"))?;
        self.workers.push(worker);
        Ok(())
    }

    /// Hands a completion over to all rewards that look at it alone.
    pub(crate) fn submit(&mut self, at: (usize, usize), what: &Completion) {
        self.hand_over(at, what, None);
    }

    /// Hands a completion and the others of its group over to all rewards that ask which is better.
    pub(crate) fn submit_group(&mut self, at: (usize, usize), what: &Completion, others: Vec<String>) {
        self.hand_over(at, what, Some(others));
    }

    /// Whether a reward asks which completion of a group is better.
    pub(crate) fn asks_of_groups(&self) -> bool {
        self.shared.rewards.iter().flatten().any(RewardFunction::asks_of_groups)
    }

    fn hand_over(&mut self, (place, number): (usize, usize), what: &Completion, others: Option<Vec<String>>) {
        let grouped = others.is_some();
        let owned = Arc::new(Owned {
            prompt: what.prompt.to_owned(),
            truth: what.truth.map(str::to_owned),
            text: what.text.to_owned(),
            tokens: what.tokens,
            turns: what.turns.to_vec(),
            others,
        });
        let mut queue = locked(&self.shared.queue);
        for (reward, _) in
            self.shared.rewards.iter().enumerate().filter(|(_, r)| r.as_ref().is_some_and(|r| r.asks_of_groups() == grouped))
        {
            queue.0.push_back(((place, number, reward), owned.clone()));
            self.pending += 1;
        }
        drop(queue);
        self.shared.waiting.notify_all();
    }

    /// The outcomes of all calls, when each is there or has run out of time.
    ///
    /// # Errors
    /// More calls hang than a process should bear.
    pub(crate) fn collect(&mut self) -> Result<BTreeMap<Call, Outcome>, TrainError> {
        while self.pending > 0 {
            match self.receive.recv_timeout(self.patience()) {
                Ok((call, outcome)) => self.settle(call, outcome),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.dismiss()?,
            }
        }
        Ok(std::mem::take(&mut self.found))
    }

    fn settle(&mut self, call: Call, outcome: Outcome) {
        // a call that was given up may still come back; what was said of it stands
        if let std::collections::btree_map::Entry::Vacant(free) = self.found.entry(call) {
            free.insert(outcome);
            self.pending -= 1;
        }
    }

    /// Until the first call that is under way runs out of time.
    fn patience(&self) -> Duration {
        let left = |w: &Worker| locked(&w.at).map(|(_, since)| self.timeout.saturating_sub(since.elapsed()));
        self.workers.iter().filter_map(left).min().unwrap_or(Duration::from_millis(2)).max(Duration::from_micros(100))
    }

    /// Gives up the calls that have run out of time, with their threads.
    fn dismiss(&mut self) -> Result<(), TrainError> {
        while let Ok((call, outcome)) = self.receive.try_recv() {
            self.settle(call, outcome);
        }
        let mut i = 0;
        while i < self.workers.len() {
            let Some(call) = self.workers[i].give_up(self.timeout) else {
                i += 1;
                continue;
            };
            self.workers.swap_remove(i);
            if HANGING.load(Ordering::SeqCst) > MOST_HANGING {
                let problem = format!("{MOST_HANGING} calls of rewards hang at the same time; look at the reward");
                return Err(TrainError::Reward { row: "rewards".into(), problem });
            }
            self.settle(call, Ok(Rating { failure: Some(RatingFailure::TimedOut), ..Rating::default() }));
            self.hire()?;
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        locked(&self.shared.queue).1 = true;
        self.shared.waiting.notify_all();
    }
}

fn work(shared: &Shared, at: &Mutex<Option<(Call, Instant)>>, abandoned: &AtomicBool, send: &Sender<(Call, Outcome)>) {
    loop {
        let mut queue = locked(&shared.queue);
        let (call, owned) = loop {
            match queue.0.pop_front() {
                _ if queue.1 => return,
                Some(next) => break next,
                None => queue = shared.waiting.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        // before the queue is free again: a call is in the queue, at a worker, or done
        *locked(at) = Some((call, Instant::now()));
        drop(queue);
        let outcome = rated(shared, call.2, &owned);
        let gone = {
            let mut at = locked(at);
            *at = None;
            abandoned.load(Ordering::SeqCst)
        };
        // nobody listens once the step is over
        let _ = send.send((call, outcome));
        if gone {
            HANGING.fetch_sub(1, Ordering::SeqCst);
            return;
        }
    }
}

fn rated(shared: &Shared, reward: usize, owned: &Owned) -> Outcome {
    let Owned { prompt, truth, text, tokens, turns, others } = owned;
    let completion = Completion { prompt, truth: truth.as_deref(), text, tokens: *tokens, turns };
    let call = || match &shared.rewards[reward] {
        Some(reward) => match others {
            Some(others) => reward.against(&completion, others),
            None => reward.rate(&completion, shared.world.as_deref()),
        },
        None => Ok(Rating::default()),
    };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(found) => found.map_err(|e| e.to_string()),
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(format!("it panicked: {said}"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::rewards::WorldReward;
    use super::*;
    use tropism_rewards::RewardError;

    /// Says the length of the text; hangs, fails or panics over some.
    struct Moody;

    impl Reward for Moody {
        fn name(&self) -> &str {
            "moody"
        }

        fn score(&self, _: &str, completion: &str, _: Option<&str>) -> Result<Option<f64>, RewardError> {
            match completion {
                "hang" => std::thread::sleep(Duration::from_secs(4)),
                "fail" => return Err(RewardError::NoParts { reward: "moody".into() }),
                "panic" => panic!("at this text"),
                _ => {}
            }
            Ok(Some(completion.len() as f64))
        }
    }

    fn outcomes(texts: &[&str], threads: usize, timeout_s: f64) -> Vec<Outcome> {
        let options = RatingOptions { threads, timeout_s, ..RatingOptions::default() };
        let rewards = vec![None, Some(RewardFunction::World(WorldReward {}))];
        let mut pool = Pool::new(&options, rewards, Some(Arc::new(Moody))).unwrap();
        for (i, text) in texts.iter().enumerate() {
            pool.submit((i, 0), &Completion { prompt: "", truth: None, text, tokens: 1, turns: &[] });
        }
        pool.collect().unwrap().into_values().collect()
    }

    #[test]
    fn calls_that_hang_fail_or_panic_are_bounded_and_told_apart() {
        let texts = ["hang", "a", "fail", "bcd", "panic", "hang", "ef"];
        for threads in [1, 3] {
            let clock = Instant::now();
            let found = outcomes(&texts, threads, 0.4);
            let score = |i: usize| found[i].as_ref().unwrap().score;
            assert_eq!([score(1), score(3), score(6)], [Some(1.0), Some(3.0), Some(2.0)]);
            for i in [0, 5] {
                assert_eq!(found[i].as_ref().unwrap().failure, Some(RatingFailure::TimedOut));
                assert_eq!(score(i), None);
            }
            assert!(found[2].as_ref().unwrap_err().contains("moody"));
            assert!(found[4].as_ref().unwrap_err().contains("panicked: at this text"));
            // two calls hang, and nobody waited for either
            assert!(clock.elapsed() < Duration::from_secs(4), "{:?}", clock.elapsed());
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_outcomes() {
        let texts: Vec<String> = (0..200).map(|i| "x".repeat(i % 17)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let one = outcomes(&texts, 1, 30.0);
        assert_eq!(one.len(), 200);
        assert!([2, 5, 16].iter().all(|n| outcomes(&texts, *n, 30.0) == one));
        assert!(outcomes(&[], 2, 30.0).is_empty());
    }
}
