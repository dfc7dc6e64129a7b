//! What holds of every world that answers back, whatever is said to it.

use proptest::prelude::*;
use tropism_rewards::{JUDGED_CHARACTERS, Reward, RewardError, Verdict};
use tropism_worlds::AgentWorld;

use super::{turns, worlds};

/// Turns that make sense in one world or the other, and any others.
fn turn() -> impl Strategy<Value = String> {
    let sensible = [
        "up",
        "Down.",
        "left",
        " right ",
        "search: teacher of Ann",
        "search: pet of Ben",
        "Search: THE friend of Ann.",
        "search:",
        "answer: cat",
        "answer: farm",
        "answer:",
    ];
    prop_oneof![8 => prop::sample::select(sensible.to_vec()).prop_map(str::to_owned), 1 => ".{0,40}", 1 => any::<String>()]
}

/// Everything that a world says of an episode.
fn told(world: &dyn AgentWorld, prompt: &str, turns: &[String]) -> (Verdict, Option<f64>, Vec<Option<f64>>) {
    let episodes = world.episodes().unwrap();
    let aspects = episodes.aspects().iter().map(|name| episodes.aspect(name, prompt, turns).unwrap()).collect();
    (episodes.verdict(prompt, turns).unwrap(), episodes.score(prompt, turns).unwrap(), aspects)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn episodes_are_played_again_alike(task in 0usize..280, taken in prop::collection::vec(turn(), 0..12)) {
        for world in worlds() {
            let prompt = &world.tasks()[task].prompt;
            let episodes = world.episodes().unwrap();
            let padded = format!("\n {prompt}\t");
            let mut over = None;
            for n in 1..=taken.len() {
                let said = episodes.observe(prompt, &taken[..n]).unwrap();
                prop_assert_eq!(&said, &episodes.observe(&padded, &taken[..n]).unwrap());
                prop_assert!(over.is_none() || said.is_none(), "spoke after the end");
                if said.is_none() && over.is_none() {
                    over = Some(n);
                }
            }
            let told_all = told(&*world, prompt, &taken);
            if let Some(n) = over {
                // The end stands, whatever is said after it.
                prop_assert_eq!(&told(&*world, prompt, &taken[..n]), &told_all);
            } else {
                prop_assert_eq!(told_all.0, Verdict::Wrong);
            }
            let solved = episodes.aspect("solved", prompt, &taken).unwrap();
            prop_assert_eq!(solved == Some(1.0), told_all.0 == Verdict::Correct);
            prop_assert_eq!(told_all.1, told_all.0.score());
            let rewards = episodes.turn_rewards(prompt, &taken).unwrap().unwrap();
            prop_assert_eq!(rewards.len(), taken.len());
            prop_assert!(rewards.iter().all(|reward| reward.is_finite()));
            for n in 0..taken.len() {
                let first = episodes.turn_rewards(prompt, &taken[..n]).unwrap().unwrap();
                prop_assert_eq!(&first[..], &rewards[..n]);
            }
        }
    }

    #[test]
    fn a_completion_is_an_episode_of_one_turn(task in 0usize..280, turn in turn()) {
        for world in worlds() {
            let prompt = &world.tasks()[task].prompt;
            let (verdict, score, aspects) = told(&*world, prompt, std::slice::from_ref(&turn));
            prop_assert_eq!(world.judge(prompt, &turn, None), Ok(Some(verdict)));
            prop_assert_eq!(Reward::score(&*world, prompt, &turn, None), Ok(score));
            let names = Reward::aspects(&*world);
            let single: Vec<Option<f64>> = names.iter().map(|name| Reward::aspect(&*world, name, prompt, &turn).unwrap()).collect();
            prop_assert_eq!(single, aspects);
        }
    }

    #[test]
    fn unknown_prompts_are_named(prompt in any::<String>()) {
        for world in worlds() {
            let episodes = world.episodes().unwrap();
            let taken = turns(&["up"]);
            let error = episodes.observe(&prompt, &taken).unwrap_err();
            let known = matches!(&error, RewardError::UnknownPrompt { reward, .. } if reward == world.name());
            prop_assert!(known && error.to_string().contains("none of the world's tasks"), "{}", error);
            prop_assert_eq!(episodes.verdict(&prompt, &taken), Err(error.clone()));
            prop_assert_eq!(episodes.turn_rewards(&prompt, &taken), Err(error.clone()));
            prop_assert_eq!(episodes.aspect("solved", &prompt, &taken), Err(error.clone()));
            prop_assert_eq!(Reward::score(&*world, &prompt, "up", None), Err(error));
        }
    }
}

#[test]
fn long_turns_are_unreadable_and_cost_little() {
    let fillers = [" ", "x", "語", "search: teacher of Ann\n", "answer: cat "];
    for world in worlds() {
        let prompt = &world.tasks()[0].prompt;
        let episodes = world.episodes().unwrap();
        for filler in fillers {
            for start in ["up", "search: teacher of Ann", "answer: cat"] {
                let long = [format!("{start}{}", filler.repeat(3_000_000 / filler.len()))];
                assert_eq!(episodes.observe(prompt, &long), Ok(None));
                assert_eq!(episodes.verdict(prompt, &long), Ok(Verdict::Unreadable));
            }
        }
        let endless = vec!["up".to_owned(); 200_000];
        assert_eq!(episodes.observe(prompt, &endless), Ok(None));
        assert_eq!(episodes.turn_rewards(prompt, &endless).unwrap().unwrap().len(), 200_000);
    }
}

#[test]
fn a_turn_just_short_enough_is_read() {
    let padded = |turn: &str, length: usize| format!("{turn}{}", " ".repeat(length - turn.len()));
    let [boxes, questions] = <[_; 2]>::try_from(worlds()).unwrap();
    for (world, turn) in [(boxes, "up"), (questions, "search: teacher of Ann")] {
        let prompt = &world.tasks()[0].prompt;
        let verdict = |length| world.judge(prompt, &padded(turn, length), None).unwrap().unwrap();
        assert_eq!(verdict(JUDGED_CHARACTERS), Verdict::Wrong);
        assert_eq!(verdict(JUDGED_CHARACTERS + 1), Verdict::Unreadable);
    }
}

#[test]
fn unknown_aspects_say_nothing_and_no_turns_are_a_beginning() {
    for world in worlds() {
        let episodes = world.episodes().unwrap();
        let prompt = &world.tasks()[0].prompt;
        assert_eq!(episodes.aspect("beauty", prompt, &turns(&["up"])), Ok(None));
        assert_eq!(episodes.observe(prompt, &[]), Ok(Some(prompt.clone())));
        assert_eq!(told(&*world, prompt, &[]).0, Verdict::Wrong);
    }
}
