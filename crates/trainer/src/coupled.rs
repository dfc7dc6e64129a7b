//! Losses that compare the rows of a step: whether these fit into one micro-batch, before anything is trained.
use crate::error::TrainError;
use crate::online::{Choose, FreshOptions, PromptRow};
use crate::rows::{RowKind, Rows};
use crate::stage::Stage;
use tropism_data::order::Order;
use tropism_objectives::Objective;

impl<O> Stage<O> {
    fn too_small(&self, objective: &Objective, tokens: &str, help: &str) -> TrainError {
        let (name, is) = (objective.name(), self.micro_batch_tokens);
        let problem = format!("is {is}, but {name} compares its rows, and {tokens}; {help}");
        TrainError::Config { stage: self.name.clone(), key: "micro_batch_tokens", problem }
    }
}

impl Stage {
    /// Checks that no step has to be split whose rows are compared: the steps over `rows` at `seed` are gone through.
    ///
    /// # Errors
    /// Names the option, the step that has the most tokens, and their number.
    pub fn check_split(&self, rows: &Rows, seed: u64) -> Result<(), TrainError> {
        let most = self.micro_batch_tokens;
        // the usual case is known without going through the steps
        let lengths = rows.lengths();
        if !self.objective.couples_rows() || lengths.iter().sum::<usize>() <= most {
            return Ok(());
        }
        let mut order = Order::new(rows.len(), seed, self.shuffle)?;
        let mut widest = (0, 0);
        for step in 1..=self.steps(rows.len()) {
            let picked = order.batch(self.batch_size);
            let tokens = picked.iter().map(|&r| lengths[r]).sum::<usize>();
            if picked.len() > 1 && tokens > widest.0 {
                widest = (tokens, step);
            }
        }
        let (tokens, step) = widest;
        if tokens <= most {
            return Ok(());
        }
        let found = format!("those of step {step} have {tokens} tokens");
        Err(self.too_small(&self.objective, &found, &format!("set it to {tokens}, or lower batch_size")))
    }
}

impl Stage<FreshOptions> {
    /// As [`Stage::check_split`], by the most tokens that the rows of a step can have.
    pub(crate) fn check_fresh_split(&self, prompts: &[PromptRow]) -> Result<(), TrainError> {
        let o = &self.objective;
        let (rows, tokens) =
            prompts.iter().map(|p| o.widest(p)).max_by_key(|(rows, tokens)| rows * tokens).unwrap_or_default();
        let rows = self.batch_size.min(prompts.len()) * rows;
        let rows = rows + o.replay.map_or(0, |r| r.most(rows));
        let all = rows * tokens;
        if !o.objective.couples_rows() || rows < 2 || all <= self.micro_batch_tokens {
            return Ok(());
        }
        let found = format!("those of a step may be {rows} of up to {tokens} tokens");
        let help = format!("set it to {all}, or lower batch_size or rollout.max_new_tokens");
        Err(self.too_small(&o.objective, &found, &help))
    }
}

impl FreshOptions {
    /// Most rows that a group of this prompt makes, and most tokens of one of them.
    fn widest(&self, prompt: &PromptRow) -> (usize, usize) {
        let (group, given) = (self.rollout.group, if self.data_completions { prompt.given.len() } else { 0 });
        let ours = if self.policy_samples() { group } else { 0 };
        let longest = prompt.given.iter().take(given).map(Vec::len).max().unwrap_or(0).max(self.rollout.max_new_tokens);
        let n = ours + given;
        let pairs = if self.pairs.choose == Choose::All { n * n.saturating_sub(1) / 2 } else { 1 };
        let (rows, sides) = match RowKind::of(&self.objective) {
            Some(RowKind::Pairs) if self.against_reference() => (group, 2),
            Some(RowKind::Pairs) if self.by_aspect() => (pairs * self.aspects().count(), 2),
            Some(RowKind::Pairs) => (pairs, 2),
            Some(RowKind::Triples) => (group, 3),
            Some(RowKind::Unpaired) => (n, 1),
            _ => (self.best, 1),
        };
        (rows, prompt.tokens.len() + sides * longest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tropism_data::record::Source;
    use tropism_objectives::{Aot, Dpo, Kto, MahDpo, Selm, Sft, Xpo};

    #[test]
    fn the_most_that_a_group_can_make() {
        let prompt =
            PromptRow { given: vec![vec![0; 9], vec![0; 30]], ..PromptRow::new(Source::row("p", 1), vec![1; 5], "", None) };
        let widest = |objective: Objective, change: fn(&mut FreshOptions)| {
            let reward = toml::from_str("function = { type = 'world' }").unwrap();
            let mut o = FreshOptions::new(objective, "r", reward);
            (o.rollout.group, o.rollout.max_new_tokens) = (4, 20);
            change(&mut o);
            o.widest(&prompt)
        };
        assert_eq!(widest(Dpo::default().into(), |_| {}), (1, 45));
        assert_eq!(widest(Dpo::default().into(), |o| o.pairs.choose = Choose::All), (6, 45));
        // both sides may be the data's longest
        assert_eq!(widest(Dpo::default().into(), |o| o.data_completions = true), (1, 65));
        assert_eq!(widest(Dpo::default().into(), |o| (o.data_completions, o.pairs.choose) = (true, Choose::All)), (15, 65));
        assert_eq!(widest(Xpo::default().into(), |_| {}), (4, 45));
        assert_eq!(widest(Selm::default().into(), |_| {}), (4, 65));
        assert_eq!(widest(Kto::default().into(), |_| {}), (4, 25));
        assert_eq!(widest(Sft::default().into(), |o| o.best = 3), (3, 25));
        let two = |o: &mut FreshOptions| {
            o.rewards.insert("s".into(), o.rewards["r"].clone());
        };
        assert_eq!(widest(MahDpo::default().into(), two), (2, 45));
        assert_eq!(widest(Aot::default().into(), two), (1, 45));
    }
}
