//! Corpora of episodes: their form, and how good they are.

use std::collections::BTreeMap;

use tropism_data::record::{Sample, Text};
use tropism_rewards::Verdict;
use tropism_worlds::{AgentTask, AgentWorld, Difficulty, Lookup, LookupConfig, Slips, Sokoban, SokobanConfig, WorldError};

use super::{aspect, lookup, sokoban, worlds};

fn prompt(sample: &Sample) -> &str {
    let Text::Chat(messages) = &sample.prompt else { panic!("not a conversation") };
    assert!(messages.len() == 1 && messages[0].role == "user");
    &messages[0].content
}

/// The policy's turns, with what the world said in between as it says it now.
fn turns(world: &dyn AgentWorld, sample: &Sample) -> Vec<String> {
    let Text::Chat(messages) = &sample.completion else { panic!("not a conversation") };
    let (prompt, episodes) = (prompt(sample), world.episodes().unwrap());
    let mut turns = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        if i % 2 == 0 {
            assert_eq!(message.role, "assistant");
            turns.push(message.content.clone());
            assert_eq!(episodes.observe(prompt, &turns).unwrap().is_none(), i + 1 == messages.len());
        } else {
            assert_eq!(message.role, "user");
            assert_eq!(episodes.observe(prompt, &turns).unwrap().as_ref(), Some(&message.content));
        }
    }
    assert_eq!(messages.len() % 2, 1, "ends with a turn of the policy");
    turns
}

fn share(of: impl Iterator<Item = bool>) -> f64 {
    let all: Vec<bool> = of.collect();
    all.iter().filter(|is| **is).count() as f64 / all.len() as f64
}

/// Share of the samples that are solved.
fn solved(world: &dyn AgentWorld, samples: &[Sample]) -> f64 {
    let verdict = |sample| world.episodes().unwrap().verdict(prompt(sample), &turns(world, sample)).unwrap();
    share(samples.iter().map(|sample| verdict(sample) == Verdict::Correct))
}

#[test]
fn corpora_are_episodes_of_the_given_tasks() {
    for world in worlds() {
        let (train, _) = world.split(0.25, 1).unwrap();
        let corpus = world.demonstrations(&train, 1000, 4).unwrap();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, sample) in corpus.iter().enumerate() {
            assert_eq!(*sample.source.file, format!("world:{}", world.name()));
            assert_eq!((sample.source.row, sample.source.line), (index + 1, None));
            assert!(sample.tools.is_empty());
            let taken = turns(&*world, sample);
            let verdict = world.episodes().unwrap().verdict(prompt(sample), &taken).unwrap();
            assert!(matches!(verdict, Verdict::Correct | Verdict::Wrong), "{taken:?}");
            *counts.entry(prompt(sample)).or_default() += 1;
        }
        assert_eq!(counts.len(), train.len());
        let rounds = 1000 / train.len();
        assert!(train.iter().all(|task| (rounds..=rounds + 1).contains(&counts[task.prompt.as_str()])));
        assert_eq!(corpus, world.demonstrations(&train, 1000, 4).unwrap());
        assert_ne!(corpus, world.demonstrations(&train, 1000, 5).unwrap());
    }
}

#[test]
fn demonstrations_of_boxes_are_mediocre() {
    let world = sokoban();
    let corpus = world.demonstrations(world.tasks(), 5000, 1).unwrap();
    let rate = solved(&world, &corpus);
    println!("sokoban: {rate}");
    assert!((0.78..0.85).contains(&rate), "{rate}");
    let lost = |sample| aspect(&world, "deadlocked", prompt(sample), &turns(&world, sample)) == 1.0;
    let lost = share(corpus.iter().map(lost));
    println!("sokoban deadlocked: {lost}");
    assert!(lost > 0.0 && lost < 1.0 - rate, "{lost}");
    assert!(corpus.iter().all(|sample| aspect(&world, "bumps", prompt(sample), &turns(&world, sample)) == 0.0));
}

#[test]
fn without_slips_boxes_go_the_shortest_way() {
    let world = Sokoban::new(SokobanConfig { slips: 0.0, walls: 1, ..SokobanConfig::default() }).unwrap();
    let corpus = world.demonstrations(world.tasks(), 600, 1).unwrap();
    assert_eq!(solved(&world, &corpus), 1.0);
    for sample in &corpus {
        assert_eq!(Some(turns(&world, sample).len()), world.shortest(prompt(sample)));
    }
    let wild = Sokoban::new(SokobanConfig { slips: 1.0, ..SokobanConfig::default() }).unwrap();
    let rate = solved(&wild, &wild.demonstrations(wild.tasks(), 2000, 1).unwrap());
    println!("sokoban at random: {rate}");
    assert!(rate < 0.25, "{rate}");
}

#[test]
fn demonstrations_of_searches_are_mediocre() {
    let world = lookup();
    let corpus = world.demonstrations(world.tasks(), 5000, 1).unwrap();
    let rate = solved(&world, &corpus);
    println!("lookup: {rate}");
    assert!((0.45..0.55).contains(&rate), "{rate}");
    // The kinds, as they can be told apart from outside.
    let measured = |name: &str, value: f64| {
        share(corpus.iter().map(|sample| world.aspect_of(name, prompt(sample), &turns(&world, sample)) == Some(value)))
    };
    let near = |got: f64, expected: f64| assert!((got - expected).abs() < 0.02, "{got} for {expected}");
    near(measured("searches", 0.0), 0.15);
    near(measured("searches", 1.0), 0.20);
    near(measured("searches", 3.0), 0.15);
    near(measured("repeated", 1.0 / 3.0), 0.15);
    near(measured("found", 1.0), 0.45);
    // After the first of two searches, or with the other value at the second; the other relation finds neither.
    near(measured("found", 0.5), 0.20 + 0.10);
}

/// Short for the aspect of an episode, which may not apply.
trait AspectOf {
    fn aspect_of(&self, name: &str, prompt: &str, turns: &[String]) -> Option<f64>;
}

impl AspectOf for Lookup {
    fn aspect_of(&self, name: &str, prompt: &str, turns: &[String]) -> Option<f64> {
        tropism_rewards::Episodes::aspect(self, name, prompt, turns).unwrap()
    }
}

#[test]
fn slips_of_searches_are_what_they_are_called() {
    let none = Slips { early: 0.0, guess: 0.0, repeated: 0.0, wrong: 0.0 };
    let all = |slips: Slips| {
        let world = Lookup::new(LookupConfig { hops: vec![1, 2, 3], slips, ..LookupConfig::default() }).unwrap();
        let corpus = world.demonstrations(world.tasks(), 1400, 3).unwrap();
        let told = |sample: &Sample| {
            let (prompt, turns) = (prompt(sample).to_owned(), turns(&world, sample));
            let hops = world.facts(&prompt).unwrap().len() as f64;
            let aspects = ["found", "searches", "solved"].map(|name| aspect(&world, name, &prompt, &turns));
            (hops, aspects, world.aspect_of("repeated", &prompt, &turns))
        };
        corpus.iter().map(told).collect::<Vec<_>>()
    };
    let right = all(none.clone());
    assert!(right.iter().all(|(hops, told, repeated)| *told == [1.0, *hops, 1.0] && *repeated == Some(0.0)));
    let repeated = all(Slips { repeated: 1.0, ..none.clone() });
    assert!(repeated.iter().all(|(h, told, again)| *told == [1.0, h + 1.0, 1.0] && *again == Some(1.0 / (h + 1.0))));
    let guess = all(Slips { guess: 1.0, ..none.clone() });
    assert!(guess.iter().all(|(_, told, _)| told[..2] == [0.0, 0.0]));
    // One word of eight.
    assert!((share(guess.iter().map(|one| one.1[2] == 1.0)) - 0.125).abs() < 0.03);
    let early = all(Slips { early: 1.0, ..none.clone() });
    assert!(
        early.iter().all(|(h, told, _)| told[1] == f64::from(u8::from(*h > 1.0)) && (told[0] - told[1] / h).abs() < 1e-9)
    );
    assert!((share(early.iter().map(|one| one.1[2] == 1.0)) - 0.125).abs() < 0.03);
    let wrong = all(Slips { wrong: 1.0, ..none });
    assert!(wrong.iter().all(|(hops, told, _)| told[1] == *hops && told[0] < 1.0));
    assert!(share(wrong.iter().map(|one| one.1[2] == 1.0)) < 0.15);
}

#[test]
fn tasks_of_another_world_are_refused() {
    let stranger = AgentTask { id: 0, prompt: "What is the pet of Nobody?".into(), difficulty: Difficulty::Easy };
    for world in worlds() {
        let error = world.demonstrations(std::slice::from_ref(&stranger), 3, 1).unwrap_err();
        assert!(matches!(&error, WorldError::UnknownTask { prompt, .. } if *prompt == stranger.prompt), "{error}");
        assert!(error.to_string().contains(&format!("world `{}`", world.name())));
        assert!(matches!(world.demonstrations(&[], 3, 1), Err(WorldError::NoTasks { .. })));
        assert!(world.demonstrations(world.tasks(), 0, 1).unwrap().is_empty());
    }
}
