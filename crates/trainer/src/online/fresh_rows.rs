//! Rows made of rated completions.
use super::fresh::{Choose, FreshOptions, OBJECTIVE, PairRule};
use super::gather::{Group, PromptRow};
use crate::rows::{RowKind, Rows, TokenTriple};
use std::ops::Range;
use tropism_data::record::Numbers;
use tropism_data::tokens::{TokenPair, TokenSample};

/// The column that asks for completions of the reference.
pub(crate) const POLICY_CHOSEN: &str = "policy_sample_chosen";

/// The rated completions of a step, prompt by prompt; those that a stage does not ask for are empty lists.
#[derive(Default)]
pub(crate) struct Pools {
    /// the policy's
    pub(crate) ours: Vec<Group>,
    /// the reference's
    pub(crate) theirs: Vec<Group>,
    /// the data's
    pub(crate) given: Vec<Group>,
}

/// A completion with its reward.
#[derive(Clone, Copy, Debug)]
struct Rated<'a> {
    tokens: &'a [u32],
    /// what was said between its turns
    given: &'a [Range<usize>],
    reward: f64,
}

/// The completions of one prompt that have a reward: the policy's first, then the data's.
struct Candidates<'a> {
    prompt: &'a PromptRow,
    all: Vec<Rated<'a>>,
    /// how many are the policy's
    ours: usize,
    /// whether rewards are win rates
    judged: bool,
}

impl FreshOptions {
    /// The rows of a step.
    pub(crate) fn rows(&self, prompts: &[PromptRow], pools: &Pools) -> Rows {
        let picked = [&pools.ours, &pools.theirs, &pools.given].into_iter().find(|p| !p.is_empty());
        let n = picked.map_or(0, Vec::len);
        let prompt = |at: usize| &prompts[picked.map_or(0, |p| p[at].prompt)];
        let total = |g: &Group, i: usize| g.sums[i];
        let candidates = |at: usize| Candidates { judged: self.by_judge(), ..Candidates::of(prompt(at), pools, at, total) };
        let theirs = |at: usize| pools.theirs.get(at).map(|g| rated(g, total)).unwrap_or_default();
        match RowKind::of(&self.objective) {
            Some(RowKind::Pairs) if self.against_reference() => {
                let both = |at: usize| against(prompt(at), &pools.ours[at], &pools.theirs[at]);
                Rows::Pairs((0..n).flat_map(both).collect())
            }
            Some(RowKind::Pairs) if self.by_aspect() => {
                let aspect = |at: usize, k: usize, (place, weight): (usize, f64)| {
                    let score = |g: &Group, i: usize| weight * g.ratings[i][place].score.unwrap_or(f64::NAN);
                    let mut pairs = Candidates::of(prompt(at), pools, at, score).pairs(&self.pairs);
                    for p in &mut pairs {
                        p.numbers.insert(OBJECTIVE.into(), k as f64);
                    }
                    pairs
                };
                let aspects: Vec<(usize, f64)> = self.aspects().map(|(place, _, weight)| (place, weight)).collect();
                let all = (0..n).flat_map(|at| aspects.iter().enumerate().map(move |(k, a)| (at, k, *a)));
                Rows::Pairs(all.flat_map(|(at, k, a)| aspect(at, k, a)).collect())
            }
            Some(RowKind::Pairs) => Rows::Pairs((0..n).flat_map(|at| candidates(at).pairs(&self.pairs)).collect()),
            Some(RowKind::Triples) => {
                Rows::Triples((0..n).flat_map(|at| candidates(at).triples(&theirs(at), &self.pairs)).collect())
            }
            Some(RowKind::Unpaired) => Rows::Unpaired((0..n).flat_map(|at| candidates(at).judged()).collect()),
            _ => Rows::Samples((0..n).flat_map(|at| candidates(at).best(self.best)).collect()),
        }
    }
}

fn rated<'a>(group: &'a Group, reward: impl Fn(&Group, usize) -> f64) -> Vec<Rated<'a>> {
    let all = group.answers.iter().enumerate().map(|(i, a)| Rated {
        tokens: &a.tokens,
        given: &a.given,
        reward: reward(group, i),
    });
    all.filter(|r| !r.reward.is_nan()).collect()
}

/// Best first; equal ones in their order.
fn ranked<'a>(all: &[Rated<'a>]) -> Vec<Rated<'a>> {
    let mut order = all.to_vec();
    order.sort_by(|a, b| b.reward.total_cmp(&a.reward));
    order
}

impl<'a> Candidates<'a> {
    fn of(prompt: &'a PromptRow, pools: &'a Pools, at: usize, reward: impl Fn(&Group, usize) -> f64) -> Self {
        let mut all = pools.ours.get(at).map(|g| rated(g, &reward)).unwrap_or_default();
        let ours = all.len();
        all.extend(pools.given.get(at).map(|g| rated(g, &reward)).unwrap_or_default());
        Candidates { prompt, all, ours, judged: false }
    }

    /// The share of the policy's other completions that one is better than, ties by half.
    fn win_rate(&self, one: usize) -> f64 {
        if self.judged {
            return self.all[one].reward;
        }
        let others = || (0..self.ours).filter(|&i| i != one);
        let wins = others().map(|i| match self.all[one].reward - self.all[i].reward {
            gap if gap > 0.0 => 1.0,
            gap if gap < 0.0 => 0.0,
            _ => 0.5,
        });
        wins.sum::<f64>() / others().count().max(1) as f64
    }

    /// Pairs whose sides differ as the rule asks.
    fn pairs(&self, rule: &PairRule) -> Vec<TokenPair> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by(|&a, &b| self.all[b].reward.total_cmp(&self.all[a].reward));
        let both: Vec<(usize, usize)> = match (rule.choose, &order[..]) {
            (_, [] | [_]) => vec![],
            (Choose::BestWorst, [first, .., last]) => vec![(*first, *last)],
            (Choose::All, all) => (0..all.len()).flat_map(|i| (i + 1..all.len()).map(move |j| (all[i], all[j]))).collect(),
        };
        let apart = |&(won, lost): &(usize, usize)| rule.holds(self.all[won].reward - self.all[lost].reward);
        both.into_iter().filter(apart).map(|(won, lost)| self.pair(won, lost)).collect()
    }

    fn pair(&self, won: usize, lost: usize) -> TokenPair {
        let gap = self.all[won].reward - self.all[lost].reward;
        let rates = [("win_rate/chosen", self.win_rate(won)), ("win_rate/rejected", self.win_rate(lost))];
        pair(self.prompt, [&self.all[won], &self.all[lost]], &[("score_gap", gap), rates[0], rates[1]])
    }

    /// For each completion of the reference's, the best and the worst of it and all candidates, and itself.
    fn triples(&self, theirs: &[Rated], rule: &PairRule) -> Vec<TokenTriple> {
        let one = |third: &Rated| {
            let all: Vec<Rated> = self.all.iter().copied().chain([*third]).collect();
            let order = ranked(&all);
            let (won, lost) = (order.first()?, order.last()?);
            let gap = won.reward - lost.reward;
            rule.holds(gap).then(|| TokenTriple {
                source: self.prompt.source.clone(),
                prompt: self.prompt.tokens.clone(),
                completions: [won, lost, third].map(|r| r.tokens.to_vec()),
                numbers: Numbers::from([("score_gap".to_owned(), gap)]),
            })
        };
        theirs.iter().filter_map(one).collect()
    }

    /// All completions, desirable above the mean of a group whose rewards differ.
    fn judged(&self) -> Vec<(TokenSample, bool)> {
        let order = ranked(&self.all);
        let mean = order.iter().map(|r| r.reward).sum::<f64>() / order.len().max(1) as f64;
        let differ = order.iter().any(|r| r.reward != order[0].reward);
        let kept = order.iter().filter(|_| differ);
        kept.map(|r| (self.sample(r), r.reward > mean)).collect()
    }

    /// The best of a group.
    fn best(&self, n: usize) -> Vec<TokenSample> {
        ranked(&self.all).iter().take(n).map(|r| self.sample(r)).collect()
    }

    fn sample(&self, r: &Rated) -> TokenSample {
        let (source, prompt) = (self.prompt.source.clone(), self.prompt.tokens.clone());
        TokenSample { source, prompt, completion: r.tokens.to_vec(), given: r.given.to_vec() }
    }
}

fn pair(prompt: &PromptRow, sides: [&Rated; 2], numbers: &[(&str, f64)]) -> TokenPair {
    let [chosen, rejected] = sides.map(|side| side.tokens.to_vec());
    TokenPair {
        source: prompt.source.clone(),
        prompt: prompt.tokens.clone(),
        chosen,
        rejected,
        rejected_prompt: None,
        given: sides.map(|side| side.given.to_vec()),
        numbers: numbers.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
    }
}

/// Each completion of the policy against one of the reference; ties are left out.
fn against(prompt: &PromptRow, ours: &Group, theirs: &Group) -> Vec<TokenPair> {
    let versus = |i: usize| {
        let gap = ours.sums[i] - theirs.sums[i];
        let [a, b] =
            [&ours.answers[i], &theirs.answers[i]].map(|a| Rated { tokens: &a.tokens, given: &a.given, reward: 0.0 });
        let won = gap > 0.0;
        let numbers = [("score_gap", gap.abs()), (POLICY_CHOSEN, f64::from(u8::from(won)))];
        let sides = if won { [&a, &b] } else { [&b, &a] };
        // a reward that is missing makes no pair either
        (gap.abs() > 0.0).then(|| pair(prompt, sides, &numbers))
    };
    (0..ours.answers.len().min(theirs.answers.len())).filter_map(versus).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]
mod tests {
    use super::super::rewards::{Rating, WeightedReward};
    use super::*;
    use std::collections::BTreeMap;
    use tropism_data::record::Source;
    use tropism_lm::{Answer, End};
    use tropism_objectives::{Dpo, Kto, MahDpo, Objective, Selm, Sft, Xpo};

    /// Completions that are named by their number, from `first` on.
    fn group(first: u32, sums: &[f64]) -> Group {
        let answer = |i: usize| Answer {
            tokens: vec![first + i as u32],
            end: End::Length,
            model_logps: vec![-1.0],
            sampling_logps: vec![-1.0],
            text: None,
            given: vec![],
        };
        let scored = |score: f64| Rating { score: Some(score), ..Rating::default() };
        let rating = |s: &f64| [7.0, *s, -s].map(scored).to_vec();
        let ratings = sums.iter().map(rating).collect();
        Group { prompt: 0, answers: (0..sums.len()).map(answer).collect(), ratings, sums: sums.to_vec() }
    }

    fn options(objective: Objective) -> FreshOptions {
        let function = toml::from_str("function = { type = 'world' }").unwrap();
        FreshOptions::new(objective, "r", function)
    }

    fn rows(options: &FreshOptions, ours: &[f64], theirs: &[f64], given: &[f64]) -> Rows {
        let prompt = PromptRow::new(Source::row("p", 1), vec![99], "", None);
        let some = |first, sums: &[f64]| if sums.is_empty() { vec![] } else { vec![group(first, sums)] };
        let pools = Pools { ours: some(0, ours), theirs: some(10, theirs), given: some(20, given) };
        options.rows(&[prompt], &pools)
    }

    fn sides(rows: Rows) -> Vec<(u32, u32)> {
        let Rows::Pairs(pairs) = rows else { panic!("{:?}", rows.kind()) };
        pairs.iter().map(|p| (p.chosen[0], p.rejected[0])).collect()
    }

    #[test]
    fn pairs_are_the_best_against_the_worst() {
        let o = options(Dpo::default().into());
        let Rows::Pairs(pairs) = rows(&o, &[0.5, 2.0, f64::NAN, 0.0, 2.0], &[], &[]) else { panic!() };
        assert_eq!((pairs[0].chosen.as_slice(), pairs[0].rejected.as_slice()), ([1].as_slice(), [3].as_slice()));
        assert_eq!(pairs[0].numbers["score_gap"], 2.0);
        // better than two of three others, and equal to one; better than none
        assert_eq!((pairs[0].numbers["win_rate/chosen"], pairs[0].numbers["win_rate/rejected"]), (2.5 / 3.0, 0.0));
        assert!(rows(&o, &[1.0, 1.0], &[], &[]).is_empty());
        assert!(rows(&o, &[1.0], &[], &[]).is_empty());
        assert!(rows(&o, &[f64::NAN, f64::NAN], &[], &[]).is_empty());
        assert!(rows(&o, &[], &[], &[]).is_empty());
    }

    #[test]
    fn rows_know_what_was_said_between_turns() {
        let mut pools = Pools { ours: vec![group(0, &[0.5, 2.0])], ..Pools::default() };
        for (i, answer) in pools.ours[0].answers.iter_mut().enumerate() {
            answer.tokens.extend([7, 8, 9]);
            answer.given = vec![1..2 + i];
        }
        let prompt = PromptRow::new(Source::row("p", 1), vec![99], "", None);
        let Rows::Pairs(pairs) = options(Dpo::default().into()).rows(std::slice::from_ref(&prompt), &pools) else {
            panic!()
        };
        assert_eq!((pairs[0].chosen[0], &pairs[0].given), (1, &[vec![1..3], vec![1..2]]));
        assert_eq!(pairs[0].rejected_sample().given, [1..2]);
        let swapped = Rows::Pairs(pairs).swapped();
        let Rows::Pairs(pairs) = &swapped else { panic!() };
        assert_eq!((pairs[0].chosen[0], &pairs[0].given), (0, &[vec![1..2], vec![1..3]]));
        let Rows::Samples(best) = options(Sft::default().into()).rows(&[prompt], &pools) else { panic!() };
        assert_eq!((best[0].completion[0], &best[0].given[..]), (1, &[1..3][..]));
    }

    #[test]
    fn all_pairs_that_differ_enough_or_only_the_widest() {
        let mut o = options(Dpo::default().into());
        o.pairs = PairRule { choose: Choose::All, margin: 0.0 };
        assert_eq!(sides(rows(&o, &[0.0, 2.0, 1.0, 2.0], &[], &[])), [(1, 2), (1, 0), (3, 2), (3, 0), (2, 0)]);
        o.pairs.margin = 1.5;
        assert_eq!(sides(rows(&o, &[0.0, 2.0, 1.0, 2.0], &[], &[])), [(1, 0), (3, 0)]);
        o.pairs = PairRule { choose: Choose::BestWorst, margin: 2.5 };
        assert!(rows(&o, &[0.0, 2.0], &[], &[]).is_empty());
    }

    #[test]
    fn completions_of_the_data_join_but_win_rates_are_against_the_policy() {
        let o = options(Dpo::default().into());
        let Rows::Pairs(pairs) = rows(&o, &[0.0, 1.0], &[], &[5.0, -5.0]) else { panic!() };
        assert_eq!((pairs[0].chosen[0], pairs[0].rejected[0]), (20, 21));
        assert_eq!((pairs[0].numbers["win_rate/chosen"], pairs[0].numbers["win_rate/rejected"]), (1.0, 0.0));
    }

    #[test]
    fn a_judge_s_reward_is_the_win_rate() {
        let mut o = options(Dpo::default().into());
        o.rewards = BTreeMap::from([("judge".to_owned(), toml::from_str("function = { type = 'circle' }").unwrap())]);
        let Rows::Pairs(pairs) = rows(&o, &[0.7, 0.2, 0.4], &[], &[]) else { panic!() };
        assert_eq!((pairs[0].numbers["win_rate/chosen"], pairs[0].numbers["win_rate/rejected"]), (0.7, 0.2));
    }

    #[test]
    fn each_completion_meets_one_of_the_reference() {
        let o = options(Xpo::default().into());
        let Rows::Pairs(pairs) = rows(&o, &[1.0, 0.0, 1.0, f64::NAN], &[0.0, 1.0, 1.0, 1.0], &[]) else { panic!() };
        assert_eq!(pairs.len(), 2);
        assert_eq!((pairs[0].numbers[POLICY_CHOSEN], pairs[1].numbers[POLICY_CHOSEN]), (1.0, 0.0));
        assert_eq!(pairs.iter().map(|p| (p.chosen[0], p.rejected[0])).collect::<Vec<_>>(), [(0, 10), (11, 1)]);
    }

    #[test]
    fn the_reference_s_completion_is_third_even_where_it_is_best_or_worst() {
        let o = options(Selm::default().into());
        let three = |ours: &[f64], theirs: &[f64], given: &[f64]| -> Vec<[u32; 3]> {
            let Rows::Triples(triples) = rows(&o, ours, theirs, given) else { panic!() };
            triples.iter().map(|t| t.completions.each_ref().map(|c| c[0])).collect()
        };
        assert_eq!(three(&[], &[1.0], &[0.0, 2.0]), [[21, 20, 10]]);
        assert_eq!(three(&[], &[3.0, -1.0], &[0.0, 2.0]), [[10, 20, 10], [21, 11, 11]]);
        // ties are dropped, and so is a completion without a reward
        assert!(three(&[], &[1.0, f64::NAN], &[1.0, 1.0]).is_empty());
        assert_eq!(three(&[2.0, 0.0], &[1.0], &[]), [[0, 1, 10]]);
    }

    #[test]
    fn each_aspect_makes_its_own_pairs() {
        let mut o = options(MahDpo::default().into());
        o.rewards.insert("a".into(), WeightedReward { weight: 0.0, ..o.rewards["r"].clone() });
        o.rewards.insert("s".into(), o.rewards["r"].clone());
        let Rows::Pairs(pairs) = rows(&o, &[0.0, 1.0], &[], &[]) else { panic!() };
        let found: Vec<_> = pairs.iter().map(|p| (p.chosen[0], p.rejected[0], p.numbers[OBJECTIVE])).collect();
        assert_eq!(found, [(1, 0, 0.0), (0, 1, 1.0)]);
    }

    #[test]
    fn single_completions_are_the_best_or_judged_against_the_mean() {
        let mut o = options(Sft::default().into());
        o.best = 2;
        let Rows::Samples(samples) = rows(&o, &[0.0, 3.0, 1.0], &[], &[]) else { panic!() };
        assert_eq!(samples.iter().map(|s| s.completion[0]).collect::<Vec<_>>(), [1, 2]);
        let o = options(Kto::default().into());
        let Rows::Unpaired(all) = rows(&o, &[0.0, 3.0, 1.0], &[], &[]) else { panic!() };
        let found: Vec<_> = all.iter().map(|(s, good)| (s.completion[0], *good)).collect();
        assert_eq!(found, [(1, true), (2, false), (0, false)]);
        let Rows::Unpaired(all) = rows(&o, &[0.0, 3.0, 2.0], &[], &[]) else { panic!() };
        assert_eq!(all.iter().map(|(_, good)| *good).collect::<Vec<_>>(), [true, true, false]);
        assert!(rows(&o, &[1.0, 1.0], &[], &[]).is_empty());
    }
}
