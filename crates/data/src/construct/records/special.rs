//! Strategies that read more than one score per response, or change texts.

use super::Build;
use super::list::List;
use crate::DataError;
use crate::construct::dataset::{Kind, Part, Prompted, Row};
use crate::construct::records::ScoreBy;
use crate::construct::*;
use crate::record::{Record, Text};

type Reason = Option<&'static str>;

impl Build {
    pub(super) fn aspects(
        &mut self,
        list: &List<'_>,
        scores: &Scores<'_>,
        options: &AspectPairs,
    ) -> Result<Reason, DataError> {
        let mut names: Vec<&str> = options.others.keys().map(String::as_str).collect();
        names.push(&options.aspect);
        let columns = names.iter().map(|name| aspect(list, name)).collect::<Result<Vec<_>, _>>()?;
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let (found, links) = aspect_pairs(scores, &names, &slices, options);
        self.left_out_ties(list, &links);
        let margins: Vec<String> = names.iter().map(|name| format!("margin/{name}")).collect();
        for pair in &found {
            if self.keeps(list, &pair.link) {
                let row = Row::of(list.at, [pair.link.chosen, pair.link.rejected].map(|place| list.taken[place]));
                self.rows.push_link(row, &pair.link, &list.scores);
                let [chosen, rejected] = pair.others;
                self.rows.add_columns([("other_rewards/chosen", chosen), ("other_rewards/rejected", rejected)]);
                self.rows.add_columns(margins.iter().map(String::as_str).zip(pair.margins.iter().copied()));
            }
        }
        Ok(links.skipped)
    }

    pub(super) fn directions(&mut self, list: &List<'_>, options: &Directions) -> Result<Reason, DataError> {
        let [first, second] = &options.aspects;
        let columns = [aspect(list, first)?, aspect(list, second)?];
        for kept in directions(&list.key, [&columns[0], &columns[1]], options, self.seed)? {
            let sides = if self.rows.kind == Kind::Pairs { vec![kept.best, kept.worst] } else { vec![kept.best] };
            if sides.len() == 2 && kept.best == kept.worst {
                self.audit.leave_out("tie", 1, list.record);
                continue;
            }
            let told = Prompted::Told(options.told(kept.direction));
            let row = Row { prompted: told, ..Row::of(list.at, sides.into_iter().map(|place| list.taken[place])) };
            let [x, y] = kept.direction;
            self.rows.push(row, [("direction/first", x), ("direction/second", y), ("directed_reward", kept.rewards[0])]);
            if self.rows.kind == Kind::Pairs {
                self.rows.add_columns([("score_gap", kept.rewards[0] - kept.rewards[1])]);
            }
        }
        Ok(Some(FEW))
    }

    pub(super) fn traces(&mut self, list: &List<'_>, scores: &Scores<'_>, options: &Traces) -> Reason {
        let sets = traces(scores, options);
        if let Some(positives) = &mut self.positives {
            let rows = sets.positives.iter().map(|&place| Row::of(list.at, [list.taken[place]]));
            rows.for_each(|row| positives.push(row, []));
        }
        self.links(list, &sets.links);
        sets.links.skipped
    }

    pub(super) fn segments(
        &mut self,
        list: &List<'_>,
        scores: &Scores<'_>,
        options: &Segments,
    ) -> Result<Reason, DataError> {
        let plain = |text: &'_ Text| matches!(text, Text::Plain(_));
        if !list.responses().all(|response| plain(&response.content)) || !plain(&list.record.prompt) {
            let reason =
                "segments continue a prompt in the middle of an answer, which chat templates cannot; give plain text";
            return Err(DataError::row(&list.record.source, reason));
        }
        let texts: Vec<&str> = list
            .responses()
            .map(|response| match &response.content {
                Text::Plain(text) => text.as_str(),
                Text::Chat(_) => "",
            })
            .collect();
        let (found, links) = segments(scores, &texts, options);
        self.left_out_ties(list, &links);
        for pair in found {
            let sides = [pair.link.chosen, pair.link.rejected];
            let part = |i: usize| Part { response: list.taken[sides[i]], bytes: Some(pair.shared..pair.ends[i]) };
            let prompted = match pair.shared {
                0 => Prompted::Alone,
                bytes => Prompted::Continued { response: list.taken[sides[0]], bytes },
            };
            let row = Row { record: list.at, rejected_record: None, prompted, parts: vec![part(0), part(1)] };
            self.rows.push_link(row, &pair.link, &list.scores);
        }
        Ok(links.skipped)
    }

    pub(super) fn information(&mut self, list: &List<'_>, options: &Information) -> Result<Reason, DataError> {
        let [policy, reference] = [&options.policy_logps, &options.reference_logps].map(|name| aspect(list, name));
        let (policy, reference) = (policy?, reference?);
        let proposal = match &options.proposal_logps {
            Some(name) => aspect(list, name)?,
            None => reference.clone(),
        };
        let logps = Sampled { policy: &policy, reference: &reference, proposal: &proposal };
        let links = information(&list.key, &logps, options, self.seed)?;
        self.audit.leave_out("the same response drawn twice", links.ties, list.record);
        for link in &links.links {
            if self.keeps(list, link) {
                let row = Row::of(list.at, [link.chosen, link.rejected].map(|place| list.taken[place]));
                self.rows
                    .push(row, [("label_log_odds", link.gap), ("effective_samples", logps.effective_samples(options.beta))]);
            }
        }
        Ok(links.skipped)
    }

    pub(super) fn joint(&mut self, records: &[Record], options: &Joint, by: &ScoreBy) -> Result<(), DataError> {
        let lists: Vec<List<'_>> =
            records.iter().enumerate().map(|(at, record)| List::new(at, record, by, &mut self.audit)).collect();
        let scores = lists.iter().map(|list| Scores::new(&list.key, &list.scores)).collect::<Result<Vec<_>, _>>()?;
        let found = joint(&scores, options, self.seed);
        self.audit.prompts = records.len();
        self.audit.responses = records.iter().map(|record| record.responses.len()).sum();
        let mut used = vec![false; records.len()];
        for link in &found.links {
            let places = [link.chosen, link.rejected].map(|(list, place)| (list, lists[list].taken[place]));
            let [a, b] = places.map(|(list, _)| &lists[list]);
            if a.key == b.key {
                self.audit.leave_out("the same prompt on both sides", 1, a.record);
                continue;
            }
            let values = [link.chosen, link.rejected].map(|(list, place)| lists[list].scores[place]);
            let link = JointLink { chosen: places[0], rejected: places[1], ..*link };
            self.rows.push_joint(&link, [a.at, b.at], values);
            used[a.at] = true;
            used[b.at] = true;
        }
        if let Some(first) = records.first() {
            self.audit.leave_out("tie", found.ties, first);
            self.audit.leave_out("an instance without partner", found.alone, first);
        }
        self.audit.used = used.iter().filter(|&&used| used).count();
        for (record, _) in records.iter().zip(&used).filter(|(_, used)| !**used) {
            self.audit.skip("no pair left", record);
        }
        Ok(())
    }
}

/// An aspect of every response that takes part.
fn aspect(list: &List<'_>, name: &str) -> Result<Vec<f64>, DataError> {
    let missing = |place: usize| {
        let there: Vec<&String> = list.response(place).aspects.keys().collect();
        let reason = format!("response {} has no aspect `{name}`; it has {there:?}", list.taken[place] + 1);
        DataError::row(&list.record.source, reason)
    };
    let value = |place: usize| list.response(place).aspects.get(name).copied().ok_or_else(|| missing(place));
    (0..list.taken.len()).map(value).collect()
}
