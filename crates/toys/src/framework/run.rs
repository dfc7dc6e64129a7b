//! Running a toy over seeds.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Chance, Figures, Outcome, Toy, ToyError};

/// The figures of one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// the seed
    pub seed: u64,
    /// what it measured
    pub figures: Figures,
}

impl Toy {
    /// Runs the seeds `first`, `first + 1`, … on up to two threads and decides the relations.
    ///
    /// # Errors
    /// [`ToyError::Seeds`] for no seeds, for seeds beyond 64 bits, and for several seeds of a toy that draws nothing;
    /// whatever a run fails with.
    pub fn check(&self, first: u64, seeds: usize) -> Result<Outcome, ToyError> {
        self.check_seeds(first, seeds)?;
        let runs = self.runs(first, seeds)?;
        Outcome::of(self, runs)
    }

    /// Fails unless the toy can be run with these seeds.
    ///
    /// # Errors
    /// [`ToyError::Seeds`].
    pub fn check_seeds(&self, first: u64, seeds: usize) -> Result<(), ToyError> {
        let refuse = |problem| Err(ToyError::Seeds { toy: self.row, first, seeds, problem });
        if seeds == 0 {
            return refuse("there is nothing to run; give at least 1");
        }
        if seeds > 1 && self.chance == Chance::None {
            return refuse("it draws nothing at random, so one run says everything; leave the number of seeds out");
        }
        match first.checked_add(seeds as u64 - 1) {
            Some(_) => Ok(()),
            None => refuse("the last one is beyond 64 bits; give a smaller first seed"),
        }
    }

    fn runs(&self, first: u64, seeds: usize) -> Result<Vec<Run>, ToyError> {
        let next = AtomicUsize::new(0);
        // each thread takes the next seed that nobody has; a seed's figures do not depend on who takes it
        let work = || {
            let mut done = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= seeds {
                    return done;
                }
                done.push((i, (self.run)(first + i as u64)));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(2).min(seeds);
        let mut all = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            all.extend(others.into_iter().filter_map(|o| o.join().ok()).flatten());
            all
        });
        all.sort_by_key(|(i, _)| *i);
        let mut all = all.into_iter();
        let run = |i| {
            let seed = first + i as u64;
            match all.next() {
                Some((found, figures)) if found == i => Ok(Run { seed, figures: figures? }),
                _ => Err(ToyError::Lost { toy: self.row, seed }),
            }
        };
        (0..seeds).map(run).collect()
    }
}
