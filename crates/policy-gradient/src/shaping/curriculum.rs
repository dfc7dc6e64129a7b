//! Tasks by difficulty, of which those up to a level are open.

use tropism_core::CoreError;

use crate::PolicyGradientError;

/// Tasks in levels, the easiest first, of which the first ones are open.
///
/// A level is opened when the newest open one is solved often enough; tasks are drawn from all open levels, each level as often as
/// any other, so that what was learnt stays in the mix. Levels without tasks are left out.
///
/// Source: staged reinforcement learning of search agents as the survey arXiv 2509.06733 lists it; the rule for the next level and
/// the even mix are ours.
///
/// ```
/// use tropism_policy_gradient::{Curriculum, pass_rate_bins};
///
/// // Bins count up from the hardest; the task that is never solved is in none.
/// let mut curriculum = Curriculum::new(&pass_rate_bins(&[0.9, 0.2, 0.0, 0.8], 2)?)?;
/// assert_eq!((curriculum.levels(), curriculum.open()), (2, 1));
/// assert_eq!((curriculum.draw([0.0, 0.0])?, curriculum.draw([0.9, 0.9])?), (0, 3));
/// assert!(curriculum.advance(0.95, 0.9)?);
/// assert_eq!(curriculum.draw([0.9, 0.9])?, 1);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curriculum {
    levels: Vec<Vec<usize>>,
    open: usize,
}

impl Curriculum {
    /// The curriculum of tasks in bins of pass rate, as [`pass_rate_bins`](crate::pass_rate_bins) gives them: the highest bin is
    /// the easiest level and alone open; tasks without a bin are left out.
    ///
    /// # Errors
    /// [`CoreError::Empty`] when no task has a bin.
    pub fn new(bins: &[Option<usize>]) -> Result<Self, PolicyGradientError> {
        let mut tasks: Vec<(usize, usize)> =
            bins.iter().enumerate().filter_map(|(task, bin)| Some(((*bin)?, task))).collect();
        // Tasks of a bin stay in their order.
        tasks.sort_by_key(|(bin, _)| std::cmp::Reverse(*bin));
        let levels: Vec<Vec<usize>> =
            tasks.chunk_by(|a, b| a.0 == b.0).map(|level| level.iter().map(|(_, task)| *task).collect()).collect();
        if levels.is_empty() {
            return Err(CoreError::Empty { what: "tasks that are solved sometimes" }.into());
        }
        Ok(Self { levels, open: 1 })
    }

    /// Levels that have tasks.
    pub fn levels(&self) -> usize {
        self.levels.len()
    }

    /// Levels that are open, at least 1.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Tasks of a level, counted from 0, the easiest; none beyond the last.
    pub fn tasks(&self, level: usize) -> &[usize] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// Opens the next level if the newest open one is solved at a rate of at least `threshold`; says whether it did.
    ///
    /// # Errors
    /// [`PolicyGradientError::Entry`] for a rate or threshold outside 0 to 1.
    pub fn advance(&mut self, pass_rate: f64, threshold: f64) -> Result<bool, PolicyGradientError> {
        let share = |p: f64| (0.0..=1.0).contains(&p);
        PolicyGradientError::check_entries(
            "the pass rate and its threshold",
            &[pass_rate, threshold],
            share,
            "from 0 to 1",
        )?;
        let opens = pass_rate >= threshold && self.open < self.levels.len();
        self.open += usize::from(opens);
        Ok(opens)
    }

    /// The task at two random numbers of the caller's, uniform from 0 to below 1: the first chooses among open levels, the second
    /// among the level's tasks.
    ///
    /// # Errors
    /// [`PolicyGradientError::Entry`] for a number outside 0 to below 1.
    pub fn draw(&self, uniform: [f64; 2]) -> Result<usize, PolicyGradientError> {
        let in_range = |u: f64| (0.0..1.0).contains(&u);
        PolicyGradientError::check_entries("uniform numbers", &uniform, in_range, "at least 0 and below 1")?;
        // A product may be rounded up to the whole.
        let place = |u: f64, n: usize| ((u * n as f64) as usize).min(n - 1);
        let level = &self.levels[place(uniform[0], self.open)];
        Ok(level[place(uniform[1], level.len())])
    }
}
