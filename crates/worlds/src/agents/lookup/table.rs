//! The table that is searched: who is whose teacher and friend, who lives where and keeps which animal.

use std::collections::BTreeMap;

use tropism_data::stream::Stream;
use tropism_rewards::normalized;

/// People, as many of them as the settings say.
pub(super) const NAMES: [&str; 40] = [
    "Ann", "Ben", "Cal", "Dan", "Eva", "Fay", "Gus", "Hal", "Ida", "Jim", "Kay", "Leo", "Mia", "Ned", "Ola", "Pam", "Ray",
    "Sue", "Tom", "Una", "Vic", "Wes", "Zoe", "Abe", "Bob", "Deb", "Eli", "Flo", "Gil", "Ivy", "Joe", "Kim", "Lou", "Max",
    "Nan", "Oto", "Pat", "Rex", "Sam", "Tia",
];

const HOMES: [&str; 8] = ["hut", "inn", "farm", "mill", "tent", "cave", "ship", "fort"];
const PETS: [&str; 8] = ["cat", "dog", "hen", "fox", "owl", "pig", "cow", "rat"];

/// A person of a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Relation {
    Teacher,
    Friend,
}

impl Relation {
    pub(super) const ALL: [Self; 2] = [Self::Teacher, Self::Friend];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Friend => "friend",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Teacher => Self::Friend,
            Self::Friend => Self::Teacher,
        }
    }
}

/// A word of a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Home,
    Pet,
}

impl Value {
    pub(super) const ALL: [Self; 2] = [Self::Home, Self::Pet];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Pet => "pet",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Home => Self::Pet,
            Self::Pet => Self::Home,
        }
    }

    /// All words that it can be.
    pub(super) fn vocabulary(self) -> &'static [&'static str] {
        match self {
            Self::Home => &HOMES,
            Self::Pet => &PETS,
        }
    }
}

/// What is said of a person.
#[derive(Clone, Copy, Debug)]
struct Person {
    teacher: usize,
    friend: usize,
    home: &'static str,
    pet: &'static str,
}

/// All people, and the answers to all queries.
#[derive(Clone, Debug)]
pub(super) struct Table {
    people: Vec<Person>,
    answers: BTreeMap<String, &'static str>,
}

impl Table {
    /// A table of so many people (3 or more): nobody is their own teacher or friend, or has the same person for both.
    pub(super) fn draw(people: usize, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "lookup/table");
        let person = |id: usize| {
            let mut others: Vec<usize> = (0..people).filter(|&other| other != id).collect();
            let teacher = others.swap_remove(stream.below(others.len()));
            let friend = others[stream.below(others.len())];
            let (home, pet) = (HOMES[stream.below(HOMES.len())], PETS[stream.below(PETS.len())]);
            Person { teacher, friend, home, pet }
        };
        let mut table = Self { people: (0..people).map(person).collect(), answers: BTreeMap::new() };
        for id in 0..people {
            for relation in Relation::ALL {
                table.answers.insert(normalized(&query(relation.word(), id)), NAMES[table.related(relation, id)]);
            }
            for value in Value::ALL {
                table.answers.insert(normalized(&query(value.word(), id)), table.value(value, id));
            }
        }
        table
    }

    pub(super) fn related(&self, relation: Relation, id: usize) -> usize {
        let person = self.people[id];
        match relation {
            Relation::Teacher => person.teacher,
            Relation::Friend => person.friend,
        }
    }

    pub(super) fn value(&self, value: Value, id: usize) -> &'static str {
        let person = self.people[id];
        match value {
            Value::Home => person.home,
            Value::Pet => person.pet,
        }
    }

    /// The answer to a query that is already [`normalized()`].
    pub(super) fn answer(&self, query: &str) -> Option<&'static str> {
        self.answers.get(query).copied()
    }
}

/// "teacher of Ann".
pub(super) fn query(word: &str, id: usize) -> String {
    format!("{word} of {}", NAMES[id])
}
