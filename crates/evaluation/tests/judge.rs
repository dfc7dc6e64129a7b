//! Judges against a server that misbehaves, and runs that go on where they were interrupted.
#![allow(clippy::unwrap_used)]
#[path = "judge/server.rs"]
mod server;

use server::{Do, Seen, Server};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tropism_evaluation::judge::http::{HttpConfig, HttpJudge};
use tropism_evaluation::judge::template::Template;
use tropism_evaluation::judge::*;

/// Waits of milliseconds.
fn config(server: &Server) -> HttpConfig {
    HttpConfig {
        endpoint: server.endpoint.clone(),
        model: "judge-1".into(),
        timeout_ms: 120,
        connect_timeout_ms: 100,
        retries: 3,
        backoff_ms: 4,
        backoff_max_ms: 16,
        retry_after_max_ms: 400,
        ..HttpConfig::default()
    }
}

fn pairs(n: usize) -> Vec<JudgePair> {
    let pair = |i: usize| JudgePair {
        id: i.to_string(),
        prompt: format!("prompt {i}."),
        a: format!("good answer {i}."),
        b: format!("bad answer {i}."),
    };
    (0..n).map(pair).collect()
}

/// Prefers the good answer, wherever it stands.
fn honest(request: &Seen) -> Do {
    let user = request.user();
    let good_first = user.find("good").unwrap() < user.find("bad").unwrap();
    Do::Say(format!("Reasons.\n{}", if good_first { "[[A]]" } else { "[[B]]" }))
}

fn options() -> RunOptions {
    RunOptions { workers: 3, stop_after: 4, ..RunOptions::default() }
}

fn run(judge: &dyn Judge, pairs: &[JudgePair], journal: &Path) -> Result<Verdicts, JudgeError> {
    judge_pairs(judge, pairs, &options(), Some(journal), |_, _| {})
}

/// How often each question got a usable reply.
fn answered(journal: &Path) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for line in fs::read_to_string(journal).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line.get("choice").is_some() {
            *count.entry(line["key"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    count
}

#[test]
fn a_server_that_misbehaves_and_dies_half_way() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("verdicts.jsonl");
    let pairs = pairs(20);
    let trouble = |n: usize, request: &Seen| match n {
        1 => Do::Hang(Duration::from_millis(200)),
        3 => Do::Refuse(429, "Retry-After: 0.05\r\n", "{\"error\":\"slow down\"}".into()),
        5 => Do::Refuse(500, "", "oops".into()),
        7 => Do::Raw("{\"choices\": [{\"message\": {\"cont".into()),
        9 => Do::Raw("{\"choices\": []}".into()),
        11 => Do::Break,
        25.. => Do::Die,
        _ => honest(request),
    };
    let server = Server::start(trouble);
    let stopped = run(&HttpJudge::new(config(&server)).unwrap(), &pairs, &journal).unwrap_err();
    let JudgeError::Stopped { done, total, .. } = &stopped else { panic!("{stopped}") };
    let (done, total) = (*done, *total);
    assert!(total == 40 && done > 10 && done < 25, "{stopped}");
    assert!(stopped.to_string().contains("run again"), "{stopped}");
    let first = answered(&journal);
    assert!(first.len() == done && first.values().all(|n| *n == 1));

    // the server comes back, at another address
    let healthy = Server::start(|_, request| honest(request));
    let judge = HttpJudge::new(config(&healthy)).unwrap();
    let verdicts = run(&judge, &pairs, &journal).unwrap();
    assert_eq!((verdicts.asked, verdicts.resumed, healthy.seen().len()), (40 - done, done, 40 - done));
    assert_eq!((verdicts.tally(), verdicts.missing()), ([20, 0, 0], 0));
    assert_eq!((verdicts.position.bias(), verdicts.position.consistency()), (Some(0.0), Some(1.0)));
    let both = answered(&journal);
    assert!(both.len() == 40 && both.values().all(|n| *n == 1), "no question has two verdicts");

    // a third run asks nothing at all
    let again = run(&judge, &pairs, &journal).unwrap();
    assert_eq!((again.asked, again.resumed, healthy.seen().len()), (0, 40, 40 - done));
    assert_eq!(again.pairs, verdicts.pairs);
}

#[test]
fn a_torn_last_line_is_removed_and_a_broken_one_named() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("verdicts.jsonl");
    let judge = ExactReward::new("length", |_: &str, a: &str| -(a.len() as f64)).tie_within(0.5);
    let pairs = pairs(5);
    let whole = run(&judge, &pairs, &journal).unwrap();
    let text = fs::read_to_string(&journal).unwrap();
    assert_eq!((whole.asked, whole.tally()), (5, [0, 0, 5]));
    // cut anywhere in the last line: one question is asked again, and the file ends as it did
    let start = text[..text.len() - 1].rfind('\n').unwrap() + 1;
    for cut in [start + 1, start + 30, text.len() - 1] {
        fs::write(&journal, &text[..cut]).unwrap();
        let again = run(&judge, &pairs, &journal).unwrap();
        assert_eq!((again.asked, again.resumed), (1, 4), "cut at {cut}");
        assert_eq!(again.pairs, whole.pairs);
        let lines = |t: &str| t.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(lines(&fs::read_to_string(&journal).unwrap()), lines(&text));
    }
    // zeros at the end, as a machine without power leaves them
    fs::write(&journal, format!("{text}\0\0\0\0")).unwrap();
    assert_eq!(run(&judge, &pairs, &journal).unwrap().resumed, 5);
    let second = text.find('\n').unwrap() + 1;
    fs::write(&journal, format!("{}broken\n{}", &text[..second], &text[second..])).unwrap();
    let said = run(&judge, &pairs, &journal).unwrap_err().to_string();
    assert!(said.contains("verdicts.jsonl, line 2") && said.contains("remove the line"), "{said}");
}

#[test]
fn two_runs_do_not_share_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("verdicts.jsonl");
    let inner = Mutex::new(None);
    let judge = ExactReward::new("outer", |_: &str, _: &str| {
        let other = ExactReward::new("inner", |_: &str, _: &str| 0.0);
        inner.lock().unwrap().get_or_insert_with(|| run(&other, &pairs(1), &journal).unwrap_err().to_string());
        0.0
    });
    run(&judge, &pairs(2), &journal).unwrap();
    assert!(inner.lock().unwrap().as_ref().unwrap().contains("another run"));
}

#[test]
fn replies_are_kept_by_content() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| honest(request));
    let cached = HttpConfig { cache: Some(dir.path().join("replies")), ..config(&server) };
    let judge = |c: &HttpConfig| HttpJudge::new(c.clone()).unwrap();
    let ask = |judge: &HttpJudge| judge_pairs(judge, &pairs(3), &options(), None, |_, _| {}).unwrap();
    let (first, second) = (judge(&cached), judge(&cached));
    let one = ask(&first);
    assert_eq!((first.cached(), server.seen().len()), (0, 6));
    assert_eq!(ask(&second).pairs, one.pairs);
    assert_eq!((second.cached(), server.seen().len()), (6, 6));
    // whatever may change a verdict makes another question
    let mut others = vec![
        HttpConfig { model: "judge-2".into(), ..cached.clone() },
        HttpConfig { temperature: 0.5, ..cached.clone() },
        HttpConfig { template: Template { system: String::new(), ..Template::pairwise() }, ..cached.clone() },
        HttpConfig { max_tokens: 7, ..cached.clone() },
        HttpConfig { seed: Some(1), ..cached.clone() },
    ];
    others.push(cached.clone());
    others[5].extra.insert("top_p".into(), 0.5.into());
    for (i, other) in others.iter().enumerate() {
        ask(&judge(other));
        assert_eq!(server.seen().len(), 6 * (i + 2));
    }
    // and what may not does not
    let patient = judge(&HttpConfig { retries: 9, timeout_ms: 9000, ..cached.clone() });
    ask(&patient);
    assert_eq!(patient.cached(), 6);
    // a damaged file is no reply
    let file = walk(cached.cache.as_deref().unwrap()).into_iter().next().unwrap();
    fs::write(&file, "{\"text\": \"[[A").unwrap();
    let asked = server.seen().len();
    (0..8).for_each(|_| drop(ask(&judge(&cached))));
    assert!(server.seen().len() <= asked + 1);
    assert!(walk(dir.path()).iter().all(|p| p.extension().is_some_and(|e| e == "json")));
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut out = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(walk(&path)) } else { out.push(path) }
    }
    out
}

#[test]
fn waits_that_the_server_asks_for() {
    let script = |n: usize, r: &Seen| match n {
        0 => Do::Refuse(429, "Retry-After: 0.08\r\n", String::new()),
        1 => Do::Refuse(503, "retry-after-ms: 60\r\nRetry-After: 9\r\n", String::new()),
        _ => honest(r),
    };
    let server = Server::start(script);
    let judge = HttpJudge::new(config(&server)).unwrap();
    judge.judge(Question { prompt: "p", a: "good", b: "bad" }).unwrap();
    let at: Vec<Instant> = server.seen().iter().map(|s| s.at).collect();
    assert!(at[1] - at[0] >= Duration::from_millis(78) && at[2] - at[1] >= Duration::from_millis(58));

    let server = Server::start(|_, _| Do::Refuse(429, "Retry-After: 3600\r\n", String::new()));
    let failure = HttpJudge::new(config(&server)).unwrap().judge(Question { prompt: "p", a: "good", b: "bad" }).unwrap_err();
    assert_eq!((failure.kind, server.seen().len()), (FailureKind::NotAnswered, 1));
    assert!(failure.reason.contains("3600"), "{failure}");
}

#[test]
fn failures_and_what_they_mean() {
    let ask = |script: fn(usize, &Seen) -> Do| {
        let server = Server::start(script);
        let said = HttpJudge::new(config(&server)).unwrap().judge(Question { prompt: "p", a: "good", b: "bad" });
        (said.unwrap_err(), server.seen().len())
    };
    let (failure, tries) = ask(|_, _| Do::Say("I would rather not say.".into()));
    assert_eq!((failure.kind, tries), (FailureKind::NoVerdict, 1));
    let (failure, tries) = ask(|_, _| Do::Refuse(500, "", "out of memory".into()));
    assert_eq!((failure.kind, tries), (FailureKind::NotAnswered, 4));
    assert!(failure.reason.contains("500: out of memory (after 4 tries)"), "{failure}");
    let (failure, tries) = ask(|_, _| Do::Refuse(400, "", "context length exceeded".into()));
    assert_eq!((failure.kind, tries), (FailureKind::NotAnswered, 1));
    let (failure, tries) = ask(|_, _| Do::Refuse(404, "", "no such model".into()));
    assert_eq!((failure.kind, tries), (FailureKind::Setup, 1));
    let (failure, tries) = ask(|_, _| Do::Refuse(302, "Location: http://127.0.0.1:1/\r\n", String::new()));
    assert_eq!((failure.kind, tries), (FailureKind::Setup, 1));
    let (failure, _) = ask(|_, _| Do::Hang(Duration::from_millis(300)));
    assert_eq!(failure.kind, FailureKind::NotAnswered);
    // a reply without a verdict is kept: it would come again
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Do::Say("hm".into()));
    let judge = HttpJudge::new(config(&server)).unwrap();
    for _ in 0..2 {
        let verdicts = run(&judge, &pairs(6), &dir.path().join("v.jsonl")).unwrap();
        assert_eq!((verdicts.missing(), server.seen().len()), (6, 12));
        assert!(verdicts.pairs[0].failure.as_ref().unwrap().contains("hm"));
    }
}

#[test]
fn letters_and_ratings() {
    let weigh = |_: usize, r: &Seen| {
        assert_eq!((&r.body["logprobs"], &r.body["top_logprobs"]), (&true.into(), &20.into()));
        Do::Weigh(if r.user().find("good").unwrap() < r.user().find("bad").unwrap() {
            vec![("A", 0.6), ("B", 0.2), ("C", 0.1)]
        } else {
            vec![("B", 0.5), ("A", 0.5)]
        })
    };
    let server = Server::start(weigh);
    let judge = HttpJudge::new(HttpConfig { template: Template::letter(), ..config(&server) }).unwrap();
    let options = RunOptions { orders: Orders::Both(SwapRule::Mean), ..options() };
    let found = judge_pairs(&judge, &pairs(1), &options, None, |_, _| {}).unwrap();
    assert!((found.pairs[0].score.unwrap() - 0.625).abs() < 1e-12, "{found:?}");
    assert_eq!((found.position.first, found.position.ties, found.position.consistent), (1, 1, 0));

    let rate = |_: usize, r: &Seen| Do::Say(if r.user().contains("good") { "[[8]]" } else { "fine [[3]]" }.into());
    let server = Server::start(rate);
    let judge = HttpJudge::new(HttpConfig { template: Template::rating(), ..config(&server) }).unwrap();
    assert_eq!(judge.rate("p", "good"), Ok(8.0));
    let found = judge_pairs(&judge, &pairs(2), &options, None, |_, _| {}).unwrap();
    // one question per answer, no second order
    assert_eq!((found.tally(), found.asked, server.seen().len()), ([2, 0, 0], 2, 5));
}

#[test]
fn requests_are_spaced() {
    let server = Server::start(|_, r| honest(r));
    let judge = HttpJudge::new(HttpConfig { requests_per_minute: Some(6000.0), ..config(&server) }).unwrap();
    let start = Instant::now();
    judge_pairs(&judge, &pairs(4), &options(), None, |_, _| {}).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(70), "eight requests, 10 ms apart");
}

/// Keeps all records.
struct Log(Mutex<Vec<String>>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(format!("{} {}", record.target(), record.args()));
    }
    fn flush(&self) {}
}

static LOG: Log = Log(Mutex::new(vec![]));

/// The key of this test's environment, set by the runner of the test below.
const KEY: &str = "sk-sesame-0123456789";

/// Cargo gives every test binary this variable: as good a key as any, and tests need not change the environment.
const VARIABLE: &str = "TROPISM_TEST_JUDGE_KEY";

#[test]
fn keys_are_never_shown() {
    // a process of its own, so that the variable is set before any thread starts
    if std::env::var(VARIABLE).is_err() {
        let me = std::env::current_exe().unwrap();
        let out = std::process::Command::new(me)
            .args(["keys_are_never_shown", "--exact", "--nocapture"])
            .env(VARIABLE, KEY)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && text.contains("1 passed"), "{text}");
        assert!(!text.contains("sesame"), "{text}");
        return;
    }
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let dir = tempfile::tempdir().unwrap();
    let echo = |n: usize, r: &Seen| match n {
        0 => Do::Refuse(500, "", format!("you sent {}", r.head)),
        1 => Do::Say(format!("your key is {KEY}. [[A]]")),
        2 => Do::Say(format!("no verdict, but {KEY}")),
        _ => Do::Refuse(401, "", format!("{{\"error\": \"bad key {KEY}\"}}")),
    };
    let server = Server::start(echo);
    let config = HttpConfig { key_env: Some(VARIABLE.into()), cache: Some(dir.path().join("replies")), ..config(&server) };
    let judge = HttpJudge::new(config.clone()).unwrap();
    let options = RunOptions { orders: Orders::One, workers: 1, ..options() };
    let journal = dir.path().join("v.jsonl");
    let stopped = judge_pairs(&judge, &pairs(4), &options, Some(&journal), |_, _| {}).unwrap_err();
    assert!(server.seen()[0].head.contains(&format!("uthorization: Bearer {KEY}")), "{}", server.seen()[0].head);
    println!("{stopped}\n{judge:?}\n{config:?}\n{}", judge.identity());
    assert!(stopped.to_string().contains("401") && stopped.to_string().contains("[key]"), "{stopped}");
    let files = walk(dir.path());
    assert_eq!(files.len(), 3, "two replies and the verdicts");
    for file in files {
        assert!(!fs::read_to_string(&file).unwrap().contains("sesame"), "{}", file.display());
    }
    let records = LOG.0.lock().unwrap().join("\n");
    assert!(records.contains("ureq") && !records.contains("sesame"), "{records}");
    // the library would write headers into its trace log
    log::set_max_level(log::LevelFilter::Trace);
    let asked = server.seen().len();
    let failure = judge.judge(Question { prompt: "p", a: "good", b: "bad" }).unwrap_err();
    assert_eq!((failure.kind, server.seen().len()), (FailureKind::Setup, asked));
    assert!(failure.reason.contains("trace"), "{failure}");
    // another header
    log::set_max_level(log::LevelFilter::Off);
    let server = Server::start(|_, r| honest(r));
    let other = HttpConfig { key_header: Some("api-key".into()), endpoint: server.endpoint.clone(), cache: None, ..config };
    HttpJudge::new(other).unwrap().judge(Question { prompt: "p", a: "good", b: "bad" }).unwrap();
    assert!(server.seen()[0].head.to_lowercase().contains(&format!("api-key: {KEY}")));
}

#[test]
fn a_key_that_is_not_there() {
    let config = HttpConfig { model: "m".into(), key_env: Some("TROPISM_NO_SUCH_KEY".into()), ..HttpConfig::default() };
    let said = HttpJudge::new(config).unwrap_err().to_string();
    assert!(said.contains("key_env") && said.contains("TROPISM_NO_SUCH_KEY"), "{said}");
}
