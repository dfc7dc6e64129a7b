//! Pairs from the scores of single prompts.

use super::list::List;
use super::{Build, characters};
use crate::construct::dataset::Row;
use crate::construct::*;
use crate::record::Text;

/// Why a pair is left out.
const TIED: &str = "tie";
const SAME: &str = "identical sides";

impl Build {
    /// The pairs of strategies that read scores and writers only; the reason where there are none.
    pub(super) fn pairs(&mut self, list: &List<'_>, scores: &Scores<'_>, strategy: &Strategy) -> Option<&'static str> {
        let links = match strategy {
            Strategy::BestWorst(options) => best_worst(scores, options),
            Strategy::BestRandom(options) => best_random(scores, options, self.seed),
            Strategy::AllPairs(options) => all_pairs(scores, options),
            Strategy::Adjacent(options) => adjacent(scores, options),
            Strategy::Margin(options) => margin(scores, options),
            Strategy::TopBottom(options) => top_bottom(scores, options),
            Strategy::Curry(options) => curry(scores, options),
            Strategy::Origins(options) => origins(scores, &written(list), options),
            _ => Links::skipped("not a strategy on pairs"),
        };
        self.links(list, &links);
        links.skipped
    }

    /// Adds pairs of whole responses.
    pub(super) fn links(&mut self, list: &List<'_>, links: &Links) {
        self.audit.leave_out(TIED, links.ties, list.record);
        for link in &links.links {
            if self.keeps(list, link) {
                let row = Row::of(list.at, [list.taken[link.chosen], list.taken[link.rejected]]);
                self.rows.push_link(row, link, &list.scores);
            }
        }
    }

    /// False for a pair of equal texts, which is counted.
    pub(super) fn keeps(&mut self, list: &List<'_>, link: &Link) -> bool {
        let same = list.same(link.chosen, link.rejected);
        if same {
            self.audit.leave_out(SAME, 1, list.record);
        }
        !same
    }

    pub(super) fn left_out_ties(&mut self, list: &List<'_>, links: &Links) {
        self.audit.leave_out(TIED, links.ties, list.record);
    }
}

fn written<'r>(list: &List<'r>) -> Vec<Origin<'r>> {
    let trimmed = |text: &Text| match text {
        Text::Plain(text) => text.trim().chars().count(),
        chat => characters(chat),
    };
    list.responses()
        .map(|response| Origin { model: response.model.as_deref(), characters: trimmed(&response.content) })
        .collect()
}
