//! Questions of one to three facts.

use super::LookupConfig;
use super::table::{NAMES, Relation, Table, Value, query};
use crate::Difficulty;

/// A value of a person who is reached over relations.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) value: Value,
    /// From the person named to the one whose value is asked for.
    pub(super) relations: Vec<Relation>,
    person: usize,
}

/// A query and its answer.
pub(super) type Fact = (String, &'static str);

impl Question {
    pub(super) fn hops(&self) -> usize {
        self.relations.len() + 1
    }

    /// "What is the pet of the teacher of Ann?"
    pub(super) fn prompt(&self) -> String {
        let over = self.relations.iter().rev().map(|relation| format!("the {} of ", relation.word()));
        format!("What is the {} of {}{}?", self.value.word(), over.collect::<String>(), NAMES[self.person])
    }

    pub(super) fn difficulty(&self) -> Difficulty {
        match self.hops() {
            1 => Difficulty::Easy,
            2 => Difficulty::Medium,
            _ => Difficulty::Hard,
        }
    }

    /// The facts that lead to the answer, in their order; the last one holds it.
    pub(super) fn facts(&self, table: &Table) -> Vec<Fact> {
        let mut person = self.person;
        let mut facts = Vec::with_capacity(self.hops());
        for &relation in &self.relations {
            let asked = query(relation.word(), person);
            person = table.related(relation, person);
            facts.push((asked, NAMES[person]));
        }
        facts.push((query(self.value.word(), person), table.value(self.value, person)));
        facts
    }

    /// The same question with the other relation in one place, or the other value in the last.
    pub(super) fn mistaken(&self, place: usize) -> Self {
        let mut question = self.clone();
        match question.relations.get_mut(place) {
            Some(relation) => *relation = relation.other(),
            None => question.value = question.value.other(),
        }
        question
    }
}

/// All questions, by hops, value, relations and person.
pub(super) fn all(config: &LookupConfig) -> Vec<Question> {
    let mut questions = Vec::new();
    for hops in (1..=3).filter(|hops| config.hops.contains(hops)) {
        for value in Value::ALL {
            for relations in paths(hops - 1) {
                let ask = |person| Question { value, relations: relations.clone(), person };
                questions.extend((0..config.people).map(ask));
            }
        }
    }
    questions
}

/// All sequences of so many relations.
fn paths(length: usize) -> Vec<Vec<Relation>> {
    let longer = |paths: Vec<Vec<Relation>>| -> Vec<Vec<Relation>> {
        let extend = |path: Vec<Relation>| Relation::ALL.map(|relation| [path.as_slice(), &[relation]].concat());
        paths.into_iter().flat_map(extend).collect()
    };
    (0..length).fold(vec![Vec::new()], |paths, _| longer(paths))
}
