//! The world of searches.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tropism_rewards::{Episodes, Reward, Verdict};
use tropism_worlds::{AgentWorld, Difficulty, Lookup, LookupConfig};

use super::{aspect, lookup, turns};

const PROMPT: &str = "What is the pet of the teacher of Ann?";

fn hops(hops: &[usize]) -> Lookup {
    Lookup::new(LookupConfig { hops: hops.to_vec(), ..LookupConfig::default() }).unwrap()
}

/// What a search for this finds.
fn found(world: &Lookup, prompt: &str, query: &str) -> String {
    world.observe(prompt, &[format!("search: {query}")]).unwrap().unwrap()
}

/// The searches of a question and its answer, worked out from its words with the tool alone.
fn chased(world: &Lookup, prompt: &str) -> (Vec<String>, String) {
    let words = prompt.strip_prefix("What is the ").unwrap().strip_suffix('?').unwrap();
    let mut path: Vec<&str> = words.split(" of ").map(|word| word.trim_start_matches("the ")).collect();
    let mut at = path.pop().unwrap().to_owned();
    let mut searches = Vec::new();
    for word in path.into_iter().rev() {
        let query = format!("{word} of {at}");
        at = found(world, prompt, &query).strip_suffix('.').unwrap().to_owned();
        searches.push(format!("search: {query}"));
    }
    (searches, at)
}

#[test]
fn questions_can_be_answered_with_the_tool() {
    for (world, count) in [(lookup(), 80), (hops(&[1]), 40), (hops(&[3]), 160), (hops(&[3, 1, 2]), 280)] {
        assert_eq!(world.tasks().len(), count);
        for (index, task) in world.tasks().iter().enumerate() {
            assert_eq!(task.id, index);
            let (mut turns, answer) = chased(&world, &task.prompt);
            assert_eq!(task.difficulty, Difficulty::ALL[turns.len() - 1]);
            let facts: Vec<String> = world.facts(&task.prompt).unwrap().iter().map(|f| format!("search: {}", f.0)).collect();
            assert_eq!(facts, turns);
            let gain = 1.0 / turns.len() as f64;
            let mut rewards = vec![gain; turns.len()];
            rewards.push(0.0);
            turns.push(format!("answer: {answer}"));
            assert_eq!(world.verdict(&task.prompt, &turns), Ok(Verdict::Correct), "{}", task.prompt);
            assert_eq!(world.turn_rewards(&task.prompt, &turns), Ok(Some(rewards)));
            let aspects = ["found", "searches", "repeated", "solved"].map(|name| aspect(&world, name, &task.prompt, &turns));
            assert_eq!(aspects, [1.0, (turns.len() - 1) as f64, 0.0, 1.0]);
        }
        let prompts: BTreeSet<&str> = world.tasks().iter().map(|task| task.prompt.as_str()).collect();
        assert_eq!(prompts.len(), count);
    }
}

#[test]
fn nobody_is_their_own_teacher_or_friend() {
    for (people, seed) in [(3, 0), (20, 1), (40, 2)] {
        let world = Lookup::new(LookupConfig { people, seed, hops: vec![1], ..LookupConfig::default() }).unwrap();
        let names: BTreeSet<&str> = world.tasks().iter().map(|task| task.prompt[..].rsplit(' ').next().unwrap()).collect();
        assert_eq!(names.len(), people);
        for name in names {
            let name = name.trim_end_matches('?');
            let prompt = format!("What is the pet of {name}?");
            let [teacher, friend] = ["teacher", "friend"].map(|word| found(&world, &prompt, &format!("{word} of {name}")));
            assert!(teacher != friend && teacher != format!("{name}.") && friend != format!("{name}."), "{name}");
        }
    }
}

#[test]
fn the_table_follows_from_its_seed() {
    let answers = |seed| {
        let world = Lookup::new(LookupConfig { seed, ..LookupConfig::default() }).unwrap();
        let answers = world.tasks().iter().map(|task| chased(&world, &task.prompt).1);
        answers.collect::<Vec<_>>()
    };
    assert_eq!(answers(7), answers(7));
    assert_ne!(answers(7), answers(8));
}

#[test]
fn queries_are_read_without_case_articles_and_punctuation() {
    let world = lookup();
    let teacher = found(&world, PROMPT, "teacher of Ann");
    for query in ["Teacher of ANN", "the teacher of Ann.", "  teacher   of Ann ", "\"teacher of ann\""] {
        assert_eq!(found(&world, PROMPT, query), teacher, "{query}");
    }
    for query in
        ["", "Ann", "teacher", "teacher of", "teacher Ann", "pet of the teacher of Ann", "teacher of Zoe", "colour of Ann"]
    {
        // Zoe is not among the first twenty.
        assert_eq!(found(&world, PROMPT, query), "nothing found", "{query}");
    }
    for turn in ["SEARCH: teacher of Ann", "Search :teacher of Ann", "\n search:teacher of Ann"] {
        assert_eq!(world.observe(PROMPT, &turns(&[turn])), Ok(Some(teacher.clone())), "{turn:?}");
    }
}

#[test]
fn other_turns_are_unreadable() {
    let world = lookup();
    for turn in
        ["", ":", "cat", "search teacher of Ann", "ask: teacher of Ann", "I search: pet of Ann", "answer cat", "answer:"]
    {
        assert_eq!(world.observe(PROMPT, &turns(&[turn])), Ok(None), "{turn:?}");
        assert_eq!(world.verdict(PROMPT, &turns(&[turn])), Ok(Verdict::Unreadable), "{turn:?}");
    }
}

#[test]
fn answers_are_matched_as_words() {
    let world = lookup();
    let truth = chased(&world, PROMPT).1;
    let right = [truth.clone(), format!("The {truth}!"), truth.to_uppercase(), format!(" a  {truth} . ")];
    for answer in right {
        assert_eq!(world.judge(PROMPT, &format!("answer: {answer}"), None), Ok(Some(Verdict::Correct)), "{answer}");
    }
    for answer in [format!("{truth}s"), format!("{truth} {truth}"), "unicorn".to_owned(), format!("answer: {truth}")] {
        assert_eq!(world.judge(PROMPT, &format!("answer: {answer}"), None), Ok(Some(Verdict::Wrong)), "{answer}");
    }
    // Right by luck, and seen to be so.
    let lucky = [format!("answer: {truth}")];
    assert_eq!((aspect(&world, "solved", PROMPT, &lucky), aspect(&world, "found", PROMPT, &lucky)), (1.0, 0.0));
    assert_eq!(Episodes::aspect(&world, "repeated", PROMPT, &lucky), Ok(None));
}

#[test]
fn repeated_searches_gain_nothing() {
    let world = lookup();
    let (searches, _) = chased(&world, PROMPT);
    let taken = [searches[0].clone(), searches[0].replace("search: ", "search: THE "), searches[1].clone()];
    assert_eq!(world.turn_rewards(PROMPT, &taken), Ok(Some(vec![0.5, -1.0, 0.5])));
    assert_eq!(aspect(&world, "repeated", PROMPT, &taken), 1.0 / 3.0);
    assert_eq!(aspect(&world, "found", PROMPT, &taken), 1.0);
    let nothing = turns(&["search: x", "search: y", "search: x"]);
    assert_eq!(world.turn_rewards(PROMPT, &nothing), Ok(Some(vec![0.0, 0.0, -1.0])));
    assert_eq!((aspect(&world, "repeated", PROMPT, &nothing), aspect(&world, "found", PROMPT, &nothing)), (1.0 / 3.0, 0.0));
    // In the other order they gain as much.
    let backwards = [searches[1].clone(), searches[0].clone()];
    assert_eq!(world.turn_rewards(PROMPT, &backwards), Ok(Some(vec![0.5, 0.5])));
    assert_eq!(world.turn_rewards(PROMPT, &turns(&["search: friend of Ann"])), Ok(Some(vec![0.0])));
}

#[test]
fn one_search_too_many_ends_the_episode() {
    let world = lookup();
    let (searches, answer) = chased(&world, PROMPT);
    let mut taken = turns(&["search: a", "search: b", "search: c"]);
    taken.push(searches[0].clone());
    assert_eq!(world.observe(PROMPT, &taken).unwrap().unwrap(), found(&world, PROMPT, "teacher of Ann"));
    let answered = [taken.clone(), vec![format!("answer: {answer}")]].concat();
    assert_eq!(world.verdict(PROMPT, &answered), Ok(Verdict::Correct));
    taken.push(searches[1].clone());
    assert_eq!((world.observe(PROMPT, &taken), world.verdict(PROMPT, &taken)), (Ok(None), Ok(Verdict::Wrong)));
    // It is not done: nothing is found by it.
    assert_eq!((aspect(&world, "searches", PROMPT, &taken), aspect(&world, "found", PROMPT, &taken)), (4.0, 0.5));
    taken.push(format!("answer: {answer}"));
    assert_eq!(world.verdict(PROMPT, &taken), Ok(Verdict::Wrong));
    assert_eq!(world.turn_rewards(PROMPT, &taken), Ok(Some(vec![0.0, 0.0, 0.0, 0.5, 0.0, 0.0])));
    assert_eq!(world.verdict(PROMPT, &taken[..2]), Ok(Verdict::Wrong), "cut before its end");
}

#[test]
fn the_split_is_by_question() {
    let world = hops(&[1, 2, 3]);
    let (train, test) = world.split(0.25, 5).unwrap();
    assert_eq!((train.len(), test.len()), (210, 70));
    let sides: BTreeMap<&str, usize> = train.iter().chain(&test).map(|task| (task.prompt.as_str(), task.id)).collect();
    assert_eq!(sides.len(), 280);
    assert!(train.is_sorted_by_key(|task| task.id) && test.is_sorted_by_key(|task| task.id));
    assert_eq!(world.split(0.25, 5), world.split(0.25, 5));
    assert_ne!(world.split(0.25, 5), world.split(0.25, 6));
    assert!(world.split(0.001, 5).is_err() && world.split(1.0, 5).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn gains_sum_to_what_was_found(task in 0usize..280, picks in prop::collection::vec(0usize..8, 0..5)) {
        let world = Lookup::new(LookupConfig { hops: vec![1, 2, 3], ..LookupConfig::default() }).unwrap();
        let prompt = &world.tasks()[task].prompt;
        let (searches, _) = chased(&world, prompt);
        let other = ["search: home of Ben", "search: friend of Cal", "search: x", "search:", "search: Pet of Dan"];
        let pick = |i: &usize| searches.get(*i).cloned().unwrap_or_else(|| other[*i % 5].to_owned());
        let taken: Vec<String> = picks.iter().map(pick).collect();
        let kept = &taken[..taken.len().min(4)];
        let distinct: BTreeSet<String> = kept.iter().map(|turn| turn.to_lowercase()).collect();
        let needed = searches.iter().filter(|search| distinct.contains(&search.to_lowercase())).count();
        let gain = needed as f64 / searches.len() as f64;
        let redundancy = (kept.len() - distinct.len()) as f64;
        let sum: f64 = world.turn_rewards(prompt, &taken).unwrap().unwrap().iter().sum();
        prop_assert!((sum - (gain - redundancy)).abs() < 1e-9);
        prop_assert!((aspect(&world, "found", prompt, &taken) - gain).abs() < 1e-9 && gain <= 1.0);
        prop_assert_eq!(aspect(&world, "searches", prompt, &taken), kept.len() as f64);
        let share = Episodes::aspect(&world, "repeated", prompt, &taken).unwrap();
        prop_assert_eq!(share, (!kept.is_empty()).then(|| redundancy / kept.len() as f64));
    }
}
