//! `cargo xtask evaluate` over the command line.
#![allow(clippy::unwrap_used)]
mod common;
#[allow(dead_code)]
#[path = "../../crates/evaluation/tests/judge/server.rs"]
mod server;

use common::{TINY, run, text};
use serde_json::Value;
use server::{Do, Server};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Runs of the tiny world, made once: two that differ in beta, one of another world, one of another seed.
struct Runs {
    dir: tempfile::TempDir,
}

impl Runs {
    fn get() -> &'static Runs {
        static RUNS: OnceLock<Runs> = OnceLock::new();
        RUNS.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("tiny.toml");
            fs::write(&file, TINY).unwrap();
            let made = |name: &str, sets: &[&str]| {
                let out = dir.path().join(name);
                let mut args = vec!["experiment", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
                sets.iter().for_each(|s| args.extend(["--set", s]));
                let done = run(&args);
                assert!(done.status.success(), "{}", text(&done.stderr));
            };
            made("one", &[]);
            made("two", &["stages.dpo.objective.beta=1.0"]);
            made("elsewhere", &["world.arithmetic.max_operand=7"]);
            Runs { dir }
        })
    }

    fn path(name: &str) -> PathBuf {
        Self::get().dir.path().join(name)
    }
}

fn evaluate(args: &[&str]) -> (bool, String) {
    let done = run(&[&["evaluate"], args].concat());
    let said = text(&done.stdout) + &text(&done.stderr);
    assert!(!said.contains("panicked"), "{said}");
    (done.status.success(), said)
}

/// An evaluation that has to be refused, in one message with these parts.
#[track_caller]
fn refuses(args: &[&str], parts: &[&str]) {
    let (ok, said) = evaluate(args);
    assert!(!ok, "{said}");
    parts.iter().for_each(|p| assert!(said.contains(p), "`{p}` is not in: {said}"));
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Every figure lies in its interval.
fn sound(figures: &Value) {
    for f in figures.as_array().unwrap() {
        let get = |k: &str| f[k].as_f64().unwrap_or_else(|| panic!("{k} of {f}"));
        assert!(get("low") <= get("value") && get("value") <= get("high"), "{f}");
        assert!(f["n"].is_u64() && f["method"]["interval"].is_string() && f["name"].is_string(), "{f}");
    }
}

#[test]
fn two_runs_side_by_side() {
    let out = tempfile::tempdir().unwrap();
    let (data, page) = (out.path().join("c.json"), out.path().join("c.html"));
    let (a, b) = (Runs::path("one"), Runs::path("two"));
    let paths =
        [a.to_str().unwrap(), b.to_str().unwrap(), "--json", data.to_str().unwrap(), "--html", page.to_str().unwrap()];
    let (ok, said) = evaluate(&[&["compare"], &paths[..]].concat());
    assert!(ok && said.contains("win rate of A") && said.contains("Side by side") && said.contains("p (Holm)"), "{said}");
    let found = json(&data);
    sound(&found["figures"]);
    let wins: u64 = ["wins", "ties", "losses"].iter().map(|k| found["win_rate"][*k].as_u64().unwrap()).sum();
    assert_eq!(wins, 6, "{found}");
    let names: Vec<&str> = found["side_by_side"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    for name in ["reward", "completions/length", "ranking/accuracy", "rewards/accuracies", "logps/chosen, change"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(found["summary"]["common held-out pairs"], "30");
    for row in found["side_by_side"].as_array().unwrap() {
        assert!(row["p_holm"].as_f64() >= row["test"]["p"].as_f64(), "{row}");
    }
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && html.contains("Win rate") && html.contains("Margins"));

    // sides exchanged: the rates add up to 1
    let swapped = out.path().join("s.json");
    assert!(evaluate(&["compare", paths[1], paths[0], "--json", swapped.to_str().unwrap()]).0);
    let rate = |v: &Value| v["win_rate"]["rate"]["value"].as_f64().unwrap();
    assert!((rate(&found) + rate(&json(&swapped)) - 1.0).abs() < 1e-12);
    // two stages of one run
    assert!(evaluate(&["compare", paths[0], paths[0], "--stage-a", "model", "--stage-b", "dpo"]).0);
}

#[test]
fn a_judge_decides() {
    // prefers the longer answer, wherever it stands
    let script = |_: usize, r: &server::Seen| {
        let part = |name: &str| {
            let (open, close) = (format!("<answer_{name}>"), format!("</answer_{name}>"));
            r.user().split(&open).nth(1).unwrap().split(&close).next().unwrap().len()
        };
        Do::Say(match part("A").cmp(&part("B")) {
            std::cmp::Ordering::Greater => "[[A]]".into(),
            std::cmp::Ordering::Less => "[[B]]".into(),
            std::cmp::Ordering::Equal => "[[C]]".into(),
        })
    };
    let server = Server::start(script);
    let out = tempfile::tempdir().unwrap();
    let at = |name: &str| out.path().join(name);
    fs::write(at("judge.toml"), format!("endpoint = \"{}\"\nmodel = \"m\"\n", server.endpoint)).unwrap();
    let (a, b) = (Runs::path("one"), Runs::path("two"));
    let (judge, verdicts, data) = (at("judge.toml"), at("v.jsonl"), at("c.json"));
    let args = ["compare", a.to_str().unwrap(), b.to_str().unwrap(), "--judge", judge.to_str().unwrap()];
    let args = [&args[..], &["--verdicts", verdicts.to_str().unwrap(), "--json", data.to_str().unwrap()]].concat();
    let (ok, said) = evaluate(&args);
    assert!(ok && said.contains("position bias of the judge"), "{said}");
    let (first, asked) = (json(&data), server.seen().len());
    assert!(asked > 0 && fs::read_to_string(&verdicts).unwrap().lines().count() == asked);
    // again: nothing is asked
    assert!(evaluate(&args).0);
    assert_eq!((server.seen().len(), &json(&data)["win_rate"]), (asked, &first["win_rate"]));

    fs::write(at("bad.toml"), "model = \"m\"\nendpoint = \"http://127.0.0.1:9\"\nretries = 0\nstop_after = 2\n").unwrap();
    let bad = at("bad.toml");
    let gone = at("none.jsonl");
    let args = ["compare", a.to_str().unwrap(), b.to_str().unwrap(), "--judge", bad.to_str().unwrap()];
    refuses(&[&args[..], &["--verdicts", gone.to_str().unwrap()]].concat(), &["127.0.0.1:9", "run again"]);
}

#[test]
fn one_run_looked_into() {
    let out = tempfile::tempdir().unwrap();
    let (data, page) = (out.path().join("d.json"), out.path().join("d.html"));
    let run = Runs::path("one");
    let args = ["diagnose", run.to_str().unwrap(), "--json", data.to_str().unwrap(), "--html", page.to_str().unwrap()];
    let (ok, said) = evaluate(&args);
    assert!(ok, "{said}");
    let found = json(&data);
    sound(&found["figures"]);
    let names: Vec<&str> = found["figures"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    for name in ["ranking accuracy", "change of chosen, nats", "calibration error of rewards", "repetition of 4-grams"] {
        assert!(names.contains(&name), "{names:?}");
    }
    // the same pairs, the same figure as the run itself has
    let summary = json(&run.join("summary.json"));
    let ours = found["figures"].as_array().unwrap().iter().find(|f| f["name"] == "ranking accuracy").unwrap();
    assert_eq!(ours["value"], summary["final"]["ranking/accuracy"]["value"]);
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("Reliability of rewards") && html.contains("Reward against divergence"));
    // the model at the start has no reference
    let (ok, said) = evaluate(&["diagnose", run.to_str().unwrap(), "--stage", "model"]);
    assert!(ok && said.contains("no displacement"), "{said}");
}

#[test]
fn runs_that_cannot_be_used() {
    let one = Runs::path("one");
    let one = one.to_str().unwrap();
    refuses(&["diagnose", "nowhere"], &["nowhere", "no such folder"]);
    let empty = tempfile::tempdir().unwrap();
    refuses(&["diagnose", empty.path().to_str().unwrap()], &["no run folder", "config.toml"]);
    refuses(&["diagnose", one, "--stage", "dop"], &["no stage `dop`", "did you mean `dpo`", "model, sft, dpo"]);
    let elsewhere = Runs::path("elsewhere");
    refuses(&["compare", one, elsewhere.to_str().unwrap()], &["different data", "worlds differ"]);
    refuses(&["compare", one, one], &["both sides", "--stage-a"]);
    refuses(&["compare", one, one, "--stage-a", "sft", "--judge", "nowhere.toml"], &["nowhere.toml"]);
    refuses(&["diagnose", one, "--html", "nowhere/page.html"], &["nowhere", "make the folder first"]);
    refuses(&["diagnose", one, "--resamples", "3"], &["resamples", "100"]);

    // a copy with things missing or broken
    let copy = empty.path().join("copy");
    let stage = copy.join("stages/dpo");
    fs::create_dir_all(&stage).unwrap();
    fs::copy(Path::new(one).join("config.toml"), copy.join("config.toml")).unwrap();
    let copied = copy.to_str().unwrap();
    refuses(&["diagnose", copied], &["`dpo` is not done", "--resume"]);
    fs::copy(Path::new(one).join("stages/dpo/result.json"), stage.join("result.json")).unwrap();
    refuses(&["diagnose", copied], &["prompts.jsonl", "run the experiment again"]);
    fs::copy(Path::new(one).join("prompts.jsonl"), copy.join("prompts.jsonl")).unwrap();
    fs::write(stage.join("pairs.jsonl"), "{\"source\": \"x\"}\n").unwrap();
    refuses(&["diagnose", copied], &["pairs.jsonl, line 1", "chosen_logps"]);
    let row = "{\"source\":\"x\",\"chosen_logps\":-1e999,\"rejected_logps\":-2,\"chosen_tokens\":1,\"rejected_tokens\":1}\n";
    fs::write(stage.join("pairs.jsonl"), row).unwrap();
    refuses(&["diagnose", copied], &["pairs.jsonl, line 1"]);
    fs::copy(Path::new(one).join("stages/dpo/pairs.jsonl"), stage.join("pairs.jsonl")).unwrap();
    fs::write(copy.join("prompts.jsonl"), "{\"prompt\":99,\"text\":\"other\"}\n").unwrap();
    refuses(&["compare", one, copied], &["prompts.jsonl", "there is no prompt 0"]);
    let others: String = (0..6).map(|i| format!("{{\"prompt\":{i},\"text\":\"other {i}\"}}\n")).collect();
    fs::write(copy.join("prompts.jsonl"), others).unwrap();
    refuses(&["compare", one, copied], &["no held-out prompt in common"]);
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, content)| fs::write(dir.path().join(name), content).unwrap());
    dir
}

/// Verdicts of three models on eight prompts.
fn judgments() -> String {
    let line =
        |p: usize, a: &str, b: &str, s: f64| format!("{{\"prompt\":{p},\"a\":\"{a}\",\"b\":\"{b}\",\"score\":{s}}}\n");
    let one = |p: usize| {
        line(p, "big", "base", if p < 6 { 1.0 } else { 0.0 })
            + &line(p, "base", "small", if p < 5 { 1.0 } else { 0.5 * (p % 2) as f64 })
            + &line(p, "small", "big", if p < 3 { 0.75 } else { 0.25 })
    };
    (0..8).map(one).collect()
}

#[test]
fn a_leaderboard_of_ones_own() {
    let text_of =
        |p: usize, m: &str, n: usize| format!("{{\"prompt\":{p},\"model\":\"{m}\",\"text\":\"{}\"}}\n", "é".repeat(n + p));
    let responses: String =
        (0..8).map(|p| text_of(p, "base", 10) + &text_of(p, "big", 20 + 3 * p) + &text_of(p, "small", 5 + p % 3)).collect();
    let dir = folder(&[("judgments.jsonl", &judgments()), ("responses.jsonl", &responses)]);
    let (data, page) = (dir.path().join("b.json"), dir.path().join("b.html"));
    let path = dir.path().to_str().unwrap();
    let files = ["--json", data.to_str().unwrap(), "--html", page.to_str().unwrap()];
    let (ok, said) = evaluate(&[&["leaderboard", "--data", path, "--baseline", "base"], &files[..]].concat());
    // eight verdicts can be told apart by length alone: there is no fit, and it is said
    assert!(ok && said.contains("Ratings") && said.contains("no length-controlled fit of"), "{said}");
    let found = json(&data);
    sound(&found["figures"]);
    let models = found["models"].as_array().unwrap();
    let rate = |i: usize| models[i]["win"]["rate"]["value"].as_f64().unwrap();
    assert_eq!((&models[0]["name"], rate(0), rate(1)), (&"big".into(), 0.75, (0.5 + 1.0 + 0.5) / 8.0));
    assert_eq!((&models[0]["length"], &models[1]["length"]), (&34.into(), &9.into()));
    assert_eq!(found["ratings"].as_array().unwrap().len(), 3);
    assert!(fs::read_to_string(page).unwrap().contains("Length against win rate"));
    // without responses there are no lengths, and it still works
    let plain = folder(&[("judgments.jsonl", &judgments())]);
    assert!(evaluate(&["leaderboard", "--data", plain.path().to_str().unwrap(), "--baseline", "base"]).0);
}

#[test]
fn leaderboards_that_cannot_be_made() {
    let board = |files: &[(&str, &str)], parts: &[&str]| {
        let dir = folder(files);
        refuses(&["leaderboard", "--data", dir.path().to_str().unwrap()], parts);
    };
    refuses(&["leaderboard", "--data", "nowhere"], &["nowhere", "no such folder"]);
    board(&[], &["neither responses.jsonl nor judgments.jsonl"]);
    board(
        &[("judgments.jsonl", "{\"prompt\":1,\"a\":\"x\",\"score\":1}\n")],
        &["judgments.jsonl, line 1", "missing field `b`"],
    );
    let wrong = "{\"prompt\":1,\"a\":\"x\",\"b\":\"y\",\"score\":1.5}\n";
    board(&[("judgments.jsonl", wrong)], &["judgments.jsonl, row 1", "`score` is 1.5", "0.5: a tie"]);
    board(&[("judgments.jsonl", "{\"prompt\":1,\"a\":\"x\",\"b\":\"x\",\"score\":1}\n")], &["row 1", "both x"]);
    board(&[("judgments.jsonl", "{\"prompt\":\n")], &["judgments.jsonl, line 1", "not valid JSON"]);
    let even = "{\"prompt\":1,\"a\":\"x\",\"b\":\"y\",\"score\":1}\n";
    board(&[("judgments.jsonl", even)], &["which model is the baseline", "--baseline", "x, y"]);

    let row = |preference: &str| {
        let of = |m: &str, p: &str| format!("{{\"model\":\"{m}\",\"text\":\"t\",\"preference\":{p}}}");
        format!("{{\"instruction\":\"i\",\"responses\":[{},{}]}}\n", of("base", "0.5"), of("mine", preference))
    };
    board(&[("responses.jsonl", &row("\"high\""))], &["responses.jsonl, line 1", "f64"]);
    board(&[("responses.jsonl", &row("1.7"))], &["responses.jsonl, row 1, mine", "`preference` is 1.7"]);
    board(&[("responses.jsonl", "{\"prompt\":1}\n")], &["missing field `instruction`"]);
    let good = row("0.25") + &row("0.75");
    let missing = ("leaderboard.csv", "model,win_rate\nmine,50\n");
    board(&[("responses.jsonl", &good), missing], &["leaderboard.csv has no column `standard_error`", "model, win_rate"]);
    let csv = "index,difficulty\n0,0.5\n1,high\n";
    board(&[("responses.jsonl", &good), ("instruction_difficulty.csv", csv)], &["line 3", "`difficulty` is `high`"]);
    let short = ("instruction_difficulty.csv", "index,difficulty\n0,0.5\n");
    board(&[("responses.jsonl", &good), short], &["1 indices", "2 prompts"]);
    let dir = folder(&[("responses.jsonl", &good)]);
    let path = dir.path().to_str().unwrap();
    refuses(&["leaderboard", "--data", path, "--baseline", "bese"], &["no model `bese`", "did you mean `base`"]);
}

/// The published figures of all 25 models.
#[test]
fn the_published_leaderboard() {
    let root = std::env::var_os("TROPISM_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root).join("alpaca-eval");
    if !data.is_dir() {
        println!("skipped: {} is not there", data.display());
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("b.json");
    let (ok, said) = evaluate(&["leaderboard", "--data", data.to_str().unwrap(), "--json", file.to_str().unwrap()]);
    assert!(ok, "{said}");
    let found = json(&file);
    let figure = |name: &str| found["published"][name].as_f64().unwrap();
    assert_eq!((figure("models"), figure("same_length")), (25.0, 25.0));
    assert!(
        figure("win_rate") < 1e-6 && figure("standard_error") < 1e-6 && figure("lc_weights") < 1e-6,
        "{}",
        found["published"]
    );
    assert!(figure("lc_fit_mean") < 0.95 && figure("lc_fit_max") < 2.65, "{}", found["published"]);
    assert!(figure("lc_fit_spearman") > 0.995, "{}", found["published"]);
}
