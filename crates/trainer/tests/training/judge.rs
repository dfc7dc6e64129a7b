//! A judge behind a chat endpoint as a reward: scores, comparisons, failures.
use super::chat::{Do, Seen, Server};
use super::online::{environment, length, prompts};
use super::{model, weights};
use std::time::{Duration, Instant};
use tropism_objectives::{Dpo, MahDpo, Objective};
use tropism_trainer::*;

fn stage(reward: WeightedReward) -> Stage<FreshOptions> {
    let mut options = FreshOptions::new(Objective::from(Dpo::default()), "judge", reward);
    (options.rollout.group, options.rollout.max_new_tokens) = (4, 8);
    let mut stage = Stage::of("fresh", options, 1e-2);
    (stage.batch_size, stage.epochs, stage.max_steps) = (5, 100, Some(3));
    stage
}

const RATES: &str = "template = { user = '{prompt}\nis answered\n{answer}', reply = { rating = { low = 0, high = 10 } } }";
const COMPARES: &str = "template = { user = '{prompt}\nis answered\n{a}\nor\n{b}', reply = 'marked' }";

fn judge(server: &Server, more: &str) -> WeightedReward {
    let more = more.replace('\n', "\\n").replace('\'', "\"");
    let settings = format!("endpoint = '{}', model = 'm', retries = 1, backoff_ms = 1", server.endpoint);
    toml::from_str(&format!("function = {{ type = 'judge', {settings}, {more} }}")).unwrap()
}

/// Characters beyond three: what the reward `length` takes off.
fn over(line: &str) -> usize {
    line.chars().count().saturating_sub(3)
}

fn lines(seen: &Seen) -> Vec<String> {
    seen.user().split('\n').map(str::to_owned).collect()
}

fn trained(stage: &Stage<FreshOptions>) -> Result<(Vec<f64>, Vec<StepMetrics>), String> {
    let (start, rows) = (model::<f64>(1), prompts(9));
    let mut run = FreshRun::new(stage, &rows, start.clone(), Some(start), environment(), 3).map_err(|e| e.to_string())?;
    let mut seen = vec![];
    while let Some(m) = run.next_step().map_err(|e| e.to_string())? {
        seen.push(m);
    }
    Ok((weights(run.policy()), seen))
}

fn figure(m: &StepMetrics, name: &str) -> f64 {
    m.figures[name].as_f64().unwrap()
}

#[test]
fn a_judge_s_ratings_are_rewards() {
    let server = Server::start(|_, seen| Do::Say(format!("[[{}]]", 10 - over(&lines(seen)[2]))));
    let (found, seen) = trained(&stage(judge(&server, RATES))).unwrap();
    // pairs are the best against the worst, which the length ranks alike
    let (want, by_length) = trained(&stage(length())).unwrap();
    assert!(found == want && found != weights(&model::<f64>(1)));
    // one question for each completion: nine prompts in steps of five and four, and five again
    assert_eq!(server.seen().len(), 4 * (5 + 4 + 5));
    for (a, b) in seen.iter().zip(&by_length) {
        let want = 1.0 + figure(b, "rewards/judge/mean");
        assert!((figure(a, "rewards/judge/mean") - want).abs() < 1e-12, "{want}");
        assert_eq!(figure(a, "rewards/judge/failed") + figure(a, "rewards/judge/timed_out"), 0.0);
    }
}

#[test]
fn a_judge_that_compares_gives_win_rates_in_the_group() {
    let server = Server::start(|_, seen| {
        let lines = lines(seen);
        let mark = match over(&lines[2]).cmp(&over(&lines[4])) {
            std::cmp::Ordering::Less => "A",
            std::cmp::Ordering::Equal => "C",
            std::cmp::Ordering::Greater => "B",
        };
        Do::Say(format!("So be it. [[{mark}]]"))
    });
    let (found, seen) = trained(&stage(judge(&server, COMPARES))).unwrap();
    assert!(found == trained(&stage(length())).unwrap().0);
    // everyone against the three others, shown first
    assert_eq!(server.seen().len(), 4 * 3 * (5 + 4 + 5));
    // who wins takes from who loses
    seen.iter().for_each(|m| assert!((figure(m, "rewards/judge/mean") - 0.5).abs() < 1e-12));
    // a judge who always takes the first answer prefers nobody
    let first = Server::start(|_, _| Do::Say("[[A]]".into()));
    let (found, seen) = trained(&stage(judge(&first, COMPARES))).unwrap();
    assert!(found == weights(&model::<f64>(1)) && seen.iter().all(|m| figure(m, "rows") == 0.0));
}

#[test]
fn a_judge_is_bounded_in_time_and_its_failures_are_counted() {
    let slow = Server::start(|n, _| match n {
        3 => Do::Hang(Duration::from_secs(3)),
        7 => Do::Say("I would rather not.".into()),
        _ => Do::Say("[[4]]".into()),
    });
    let mut patient = stage(judge(&slow, RATES));
    patient.objective.rollout.rating = RatingOptions { timeout_s: 0.4, max_failed: 0.2, ..RatingOptions::default() };
    patient.max_steps = Some(1);
    let clock = Instant::now();
    let (_, seen) = trained(&patient).unwrap();
    assert!(clock.elapsed() < Duration::from_secs(3), "{:?}", clock.elapsed());
    assert_eq!((figure(&seen[0], "rewards/judge/timed_out"), figure(&seen[0], "rewards/judge/failed")), (0.05, 0.05));
    for (server, part) in [
        (Server::start(|_, _| Do::Refuse(401, "", "no".into())), "status 401, the key is not accepted"),
        (Server::start(|_, _| Do::Say("[[11]]".into())), "11"),
        (Server::start(|_, _| Do::Die), "after 2 tries"),
    ] {
        for template in [RATES, COMPARES] {
            let said = trained(&stage(judge(&server, template))).unwrap_err();
            let count = "`judge` has no result for 20 of 20 completions, more than rollout.rating.max_failed allows";
            assert!(said.contains(count), "{said}");
            assert!(said.contains(part) || template == COMPARES, "{said}");
        }
    }
}

#[test]
fn settings_that_cannot_be_are_named() {
    let said = |more: &str| {
        let text = format!("function = {{ type = 'judge', {more} }}");
        let reward = toml::from_str::<WeightedReward>(&text).map_err(|e| e.to_string());
        reward.and_then(|r| stage(r).check().map_err(|e| e.to_string())).unwrap_err()
    };
    assert!(said("model = ''").contains("`judge` that cannot be used") && said("model = ''").contains("model"));
    assert!(said("model = 'm', template = 'ratings'").contains("there is no template `ratings`; there are pairwise"));
    assert!(said("model = 'm', tempelate = 'rating'").contains("unknown field `tempelate`"));
    assert!(said("model = 'm', endpoint = 'nowhere'").contains("http://"));
    let key = said("model = 'm', key_env = 'TROPISM_NO_SUCH_KEY'");
    assert!(key.contains("`TROPISM_NO_SUCH_KEY`") && key.contains("key_env"), "{key}");
    let rating: WeightedReward = toml::from_str("function = { type = 'judge', model = 'm', template = 'rating' }").unwrap();
    stage(rating.clone()).check().unwrap();
    let pairwise: WeightedReward = toml::from_str("function = { type = 'judge', model = 'm' }").unwrap();
    stage(pairwise.clone()).check().unwrap();
    // a recipe that is written comes back
    let any: AnyStage = AnyStage::OnlinePreference(stage(rating.clone()));
    assert_eq!(toml::from_str::<AnyStage>(&toml::to_string(&any).unwrap()).unwrap(), any);
    // who compares a group cannot compare it with others
    let mut given = stage(pairwise);
    given.objective.data_completions = true;
    assert!(given.check().unwrap_err().to_string().contains("`rewards` has a judge"));
    let mut heads = stage(rating);
    heads.objective.objective = MahDpo::default().into();
    heads.objective.heads = Some(HeadOptions::default());
    assert!(heads.check().unwrap_err().to_string().contains("`judge` of a judge, who is not asked"));
}
