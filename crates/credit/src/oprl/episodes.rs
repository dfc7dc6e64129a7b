//! Which steps belong to which trajectory, and which trajectories to which task.

use tropism_core::CoreError;

use crate::CreditError;

/// One trajectory of an agent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trajectory {
    /// Its task: trajectories of one task are compared.
    pub group: usize,
    /// Its outcome, for instance 1 for success and 0 for failure.
    pub outcome: f64,
    /// Rows of its steps, in order.
    pub steps: Vec<usize>,
}

/// The trajectories of a batch whose rows are steps, in the order of their first steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Episodes {
    trajectories: Vec<Trajectory>,
    rows: usize,
}

impl Episodes {
    /// Gathers the rows of each trajectory. `trajectories`, `groups` and `outcomes` have one entry per step; trajectories
    /// are numbered over the whole batch, not within their group.
    ///
    /// # Errors
    /// [`CreditError::Core`] without steps, for lists of different lengths and for an outcome that is not finite;
    /// [`CreditError::Trajectory`] when steps of one trajectory disagree about its group or outcome.
    ///
    /// ```
    /// use tropism_credit::Episodes;
    ///
    /// let episodes = Episodes::new(&[7, 9, 7], &[0, 0, 0], &[1.0, 0.0, 1.0])?;
    /// assert_eq!(episodes.trajectories()[0].steps, [0, 2]);
    /// # Ok::<(), tropism_credit::CreditError>(())
    /// ```
    pub fn new(trajectories: &[usize], groups: &[usize], outcomes: &[f64]) -> Result<Self, CreditError> {
        let rows = trajectories.len();
        if rows == 0 {
            return Err(CoreError::Empty { what: "steps" }.into());
        }
        CoreError::check_size("groups", rows, groups.len())?;
        CoreError::check_size("outcomes", rows, outcomes.len())?;
        CoreError::check_finite("outcome", outcomes)?;
        let mut found: Vec<Trajectory> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (row, &trajectory) in trajectories.iter().enumerate() {
            let place = *places.entry(trajectory).or_insert(found.len());
            if place == found.len() {
                found.push(Trajectory { group: groups[row], outcome: outcomes[row], steps: Vec::new() });
            }
            let known = &mut found[place];
            for (same, what) in [(known.group == groups[row], "group"), (known.outcome == outcomes[row], "outcome")] {
                if !same {
                    return Err(CreditError::Trajectory { row, trajectory, what });
                }
            }
            known.steps.push(row);
        }
        Ok(Self { trajectories: found, rows })
    }

    /// The trajectories.
    pub fn trajectories(&self) -> &[Trajectory] {
        &self.trajectories
    }

    /// Number of steps of all trajectories.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Trajectories of each group, in the order of their first ones.
    pub fn groups(&self) -> Vec<Vec<&Trajectory>> {
        let mut groups: Vec<Vec<&Trajectory>> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for trajectory in &self.trajectories {
            let place = *places.entry(trajectory.group).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Vec::new());
            }
            groups[place].push(trajectory);
        }
        groups
    }
}
