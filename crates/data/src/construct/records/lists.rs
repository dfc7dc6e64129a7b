//! Rankings, groups and single responses.

use super::Build;
use super::list::List;
use crate::construct::dataset::Row;
use crate::construct::*;

impl Build {
    /// The rows of strategies on whole lists; the reason where there are none.
    pub(super) fn lists(&mut self, list: &List<'_>, scores: &Scores<'_>, strategy: &Strategy) -> Option<&'static str> {
        match strategy {
            Strategy::Ranking(options) => match ranking(scores, options, self.seed) {
                Ok(ranked) => self.ranking(list, ranked),
                Err(reason) => return Some(reason),
            },
            Strategy::Groups(options) => match group(scores, options, self.seed) {
                Ok(members) => self.group(list, &members),
                // prompts to be sampled need no responses
                Err(FEW) if list.record.responses.is_empty() => self.group(list, &[]),
                Err(reason) => return Some(reason),
            },
            Strategy::Unpaired(options) => {
                for (place, desirable) in unpaired(scores, options) {
                    let row = Row::of(list.at, [list.taken[place]]);
                    self.rows.push(row, [("label", f64::from(u8::from(desirable))), ("score", list.scores[place])]);
                }
            }
            _ => {}
        }
        Some("no response to take")
    }

    fn ranking(&mut self, list: &List<'_>, ranked: Ranked) {
        if ranked.ties > 0 {
            self.audit.note("equal scores put in an order by seed", list.record);
        }
        let same = |(i, &a): (usize, &usize)| ranked.order[i + 1..].iter().any(|&b| list.same(a, b));
        if ranked.order.iter().enumerate().any(same) {
            self.audit.note("identical responses in a ranking", list.record);
        }
        self.rows.push(Row::of(list.at, ranked.order.iter().map(|&place| list.taken[place])), []);
        self.rows.push_cells("scores", ranked.order.iter().map(|&place| list.scores[place]).collect());
        self.rows.push_cells("rank", (0..ranked.order.len()).map(|place| place as f64).collect());
        if let Some(relevance) = ranked.relevance {
            self.rows.push_cells("relevance", relevance);
        }
    }

    fn group(&mut self, list: &List<'_>, members: &[usize]) {
        self.rows.push(Row::of(list.at, members.iter().map(|&place| list.taken[place])), []);
        self.rows.push_cells("rewards", members.iter().map(|&place| list.scores[place]).collect());
    }
}
