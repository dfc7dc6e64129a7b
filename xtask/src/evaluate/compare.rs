//! `cargo xtask evaluate compare`: two runs on what they have in common.
use super::args::CompareArgs;
use super::judge;
use super::output::Output;
use super::pairs::{PairColumns, difference};
use super::runs::{RunData, same_data, same_pairs};
use crate::error::XtaskError;
use crate::experiment::Answer;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tropism_evaluation::judge::{JudgePair, Verdicts, judge_pairs};
use tropism_evaluation::text::repetition_n;
use tropism_evaluation::{Bootstrap, Test, WinRate, holm, mean_interval, paired_t, sign_test, wilson};
use tropism_report::{Bar, Better, Cell, Plot, PlotKind, Sample, Table};

/// Tokens of the n-grams whose repetition is measured.
const REPEAT: usize = 4;

/// An answer of each run to the same prompt.
struct Both<'a> {
    /// counts the common prompts
    prompt: usize,
    text: &'a str,
    a: &'a Answer,
    b: &'a Answer,
}

/// A figure of both runs on the same rows.
struct Paired {
    name: &'static str,
    a: Vec<f64>,
    b: Vec<f64>,
    test: Test,
    method: &'static str,
}

pub(super) fn compare(args: &CompareArgs) -> Result<Output, XtaskError> {
    let a = RunData::read(&args.a, args.stage_a.as_deref())?;
    let b = RunData::read(&args.b, args.stage_b.as_deref())?;
    if args.a == args.b && a.stage.name == b.stage.name {
        let problem = format!("both sides are {}", a.label);
        return Err(XtaskError::usage(problem, "give two runs, or two stages by --stage-a and --stage-b"));
    }
    same_data(&a, &b)?;
    let common = common(&a, &b)?;
    let mut out = Output { kind: "Comparison", title: format!("{} against {}", a.label, b.label), ..Output::default() };
    out.fact("A", &a.label);
    out.fact("B", &b.label);
    let prompts = common.last().map_or(0, |c| c.prompt + 1);
    out.fact("common prompts", prompts);
    out.fact("answers compared", common.len());
    win_rate(args, &a, &common, &mut out)?;
    let mut rows = answers(&common)?;
    rows.extend(scored_pairs(&a, &b, &mut out)?);
    side_by_side(&rows, &mut out)?;
    histograms(&rows, &mut out);
    Ok(out)
}

/// Answers to common prompts, the k-th of one run beside the k-th of the other.
fn common<'a>(a: &'a RunData, b: &'a RunData) -> Result<Vec<Both<'a>>, XtaskError> {
    let mut theirs: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
    for answer in &b.stage.answers {
        theirs.entry(b.prompt(answer.prompt)?).or_default().push(answer);
    }
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out = vec![];
    for answer in &a.stage.answers {
        let text = a.prompt(answer.prompt)?;
        let k = taken.entry(text).or_default();
        let Some(other) = theirs.get(text).and_then(|list| list.get(*k)) else { continue };
        *k += 1;
        let fresh = numbers.len();
        out.push(Both { prompt: *numbers.entry(text).or_insert(fresh), text, a: answer, b: other });
    }
    if out.is_empty() {
        let problem = format!("{} and {} have no held-out prompt in common", a.path.display(), b.path.display());
        let help = "compare runs with the same data, data.test_fraction and seed, and evaluation.prompts above 0";
        return Err(XtaskError::usage(problem, help));
    }
    out.sort_by_key(|c| c.prompt);
    Ok(out)
}

/// How often A wins, by the exact reward or by a judge.
fn win_rate(args: &CompareArgs, a: &RunData, common: &[Both<'_>], out: &mut Output) -> Result<(), XtaskError> {
    let (bootstrap, mut judge) = (args.resample.bootstrap(), Output::default());
    let (scores, prompts): (Vec<f64>, Vec<usize>) = match &args.judge {
        Some(path) => {
            let verdicts = ask(args, path, a, common)?;
            describe(&verdicts, &bootstrap, &mut judge)?;
            verdicts.scores().map(|(i, score)| (score, common[i].prompt)).unzip()
        }
        None => exact(a, common)?,
    };
    if scores.is_empty() {
        return Err(XtaskError::usage("the judge gave no verdict at all", "read why in the file of its verdicts"));
    }
    let rate = WinRate::by_prompt(&scores, &prompts, &bootstrap)?;
    out.fact("judge", args.judge.as_ref().map_or("exact reward".to_owned(), |p| p.display().to_string()));
    out.figure("win rate of A", rate.rate, Some(Better::Higher));
    if let Some(decided) = rate.decided {
        out.figure("won of those decided", decided, Some(Better::Higher));
    }
    // the headline comes first, what is known of the judge after it
    out.merge(judge);
    let n = rate.wins + rate.ties + rate.losses;
    let bar = |label: &str, count: usize| {
        let share = wilson(count, n)?;
        Ok(Bar { label: label.into(), value: share.value, interval: Some((share.low, share.high)) })
    };
    let bars = [("A wins", rate.wins), ("tie", rate.ties), ("B wins", rate.losses)];
    let bars = bars.into_iter().map(|(l, c)| bar(l, c)).collect::<Result<Vec<_>, XtaskError>>()?;
    out.plots.push(Plot {
        title: "Win rate".into(),
        note: format!("Shares of {n} comparisons, with Wilson's 95 % intervals for each share by itself."),
        x: "share".into(),
        y: String::new(),
        kind: PlotKind::Bars(bars, None),
    });
    out.more.insert("win_rate".into(), serde_json::to_value(rate).unwrap_or_default());
    Ok(())
}

/// Scores by the exact reward that the runs kept.
fn exact(a: &RunData, common: &[Both<'_>]) -> Result<(Vec<f64>, Vec<usize>), XtaskError> {
    let score = |c: &Both| {
        let (x, y) = c.a.reward.zip(c.b.reward)?;
        Some((x.partial_cmp(&y).map_or(0.5, |o| 0.5 + 0.5 * f64::from(o as i8)), c.prompt))
    };
    let found: Option<Vec<(f64, usize)>> = common.iter().map(score).collect();
    let problem = || format!("the answers of {} have no exact reward", a.path.display());
    let help = "give a judge: --judge FILE.toml (see --help), or compare runs on the embedded world";
    Ok(found.ok_or_else(|| XtaskError::usage(problem(), help))?.into_iter().unzip())
}

fn ask(args: &CompareArgs, path: &std::path::Path, a: &RunData, common: &[Both<'_>]) -> Result<Verdicts, XtaskError> {
    let (judge, options) = judge::read(path)?;
    let journal: PathBuf = args.verdicts.clone().unwrap_or_else(|| a.path.join("verdicts.jsonl"));
    let pair = |(i, c): (usize, &Both)| JudgePair {
        id: format!("prompt {}, answer {i}", c.prompt),
        prompt: c.text.to_owned(),
        a: c.a.text.clone(),
        b: c.b.text.clone(),
    };
    let pairs: Vec<JudgePair> = common.iter().enumerate().map(pair).collect();
    let mut shown = 0;
    let progress = |done: usize, total: usize| {
        // twenty lines at most
        if done * 20 / total.max(1) > shown {
            shown = done * 20 / total.max(1);
            eprintln!("judge: {done} of {total}");
        }
    };
    Ok(judge_pairs(&judge, &pairs, &options, Some(&journal), progress)?)
}

fn describe(verdicts: &Verdicts, bootstrap: &Bootstrap, out: &mut Output) -> Result<(), XtaskError> {
    out.fact("questions asked", verdicts.asked);
    out.fact("answered by an earlier run", verdicts.resumed);
    out.fact("equal answers, not asked", verdicts.identical);
    if let Some(position) = verdicts.position_bias(bootstrap)? {
        out.figure("position bias of the judge", position.bias, None);
        out.figure("consistency of the judge", position.consistency, Some(Better::Higher));
        if position.p < 0.05 {
            out.notes.push(format!("the judge looks at the order of the answers (sign test, p = {:.2e})", position.p));
        }
        out.more.insert("position".into(), serde_json::to_value(position).unwrap_or_default());
    }
    if verdicts.missing() > 0 {
        let why = verdicts.pairs.iter().find_map(|p| p.failure.as_deref()).unwrap_or_default();
        out.notes.push(format!("{} pairs have no verdict and are left out, such as: {why}", verdicts.missing()));
    }
    Ok(())
}

/// Figures of answers, a row per prompt.
fn answers(common: &[Both<'_>]) -> Result<Vec<Paired>, XtaskError> {
    let prompts = common.last().map_or(0, |c| c.prompt + 1);
    let means = |f: &dyn Fn(&Answer) -> f64| {
        let mut sums = vec![(0.0, 0.0, 0.0); prompts];
        for c in common {
            let s = &mut sums[c.prompt];
            *s = (s.0 + f(c.a), s.1 + f(c.b), s.2 + 1.0);
        }
        sums.into_iter().map(|(a, b, n)| (a / n, b / n)).unzip::<f64, f64, Vec<_>, Vec<_>>()
    };
    let mut rows = vec![];
    let mut row = |name, (a, b): (Vec<f64>, Vec<f64>)| -> Result<(), XtaskError> {
        if a.len() > 1 {
            rows.push(Paired { name, test: paired_t(&a, &b)?, a, b, method: "paired t" });
        }
        Ok(())
    };
    if common.iter().all(|c| c.a.reward.is_some() && c.b.reward.is_some()) {
        row("reward", means(&|x| x.reward.unwrap_or_default()))?;
    }
    row("completions/length", means(&|x| x.written() as f64))?;
    row("completions/finished", means(&|x| f64::from(u8::from(x.finished))))?;
    let repeated = |x: &Answer| repetition_n(&[&x.own_tokens()[..]], REPEAT).map_or(0.0, |f| f.value);
    row("completions/repetition_4", means(&repeated))?;
    Ok(rows)
}

/// Figures of held-out pairs that both runs scored.
fn scored_pairs(a: &RunData, b: &RunData, out: &mut Output) -> Result<Vec<Paired>, XtaskError> {
    if a.pairs.is_empty() || b.pairs.is_empty() {
        out.notes.push("held-out pairs are not compared: a run has no pairs.jsonl".into());
        return Ok(vec![]);
    }
    if !same_pairs(a, b) {
        out.notes.push("held-out pairs are not compared: runs of other seeds or worlds draw other pairs".into());
        return Ok(vec![]);
    }
    let theirs: BTreeMap<&str, _> = b.pairs.iter().map(|p| (p.source.as_str(), p)).collect();
    let (x, y): (Vec<_>, Vec<_>) = a.pairs.iter().filter_map(|p| Some((p, *theirs.get(p.source.as_str())?))).unzip();
    out.fact("common held-out pairs", x.len());
    if x.len() < 2 {
        return Ok(vec![]);
    }
    let (x, y) = (PairColumns::of(x.iter().copied()), PairColumns::of(y.iter().copied()));
    let above = |m: Vec<f64>| m.into_iter().map(|m| f64::from(u8::from(m > 0.0))).collect::<Vec<_>>();
    let signs = |name, a: Vec<f64>, b: Vec<f64>| -> Result<Paired, XtaskError> {
        let (a, b) = (above(a), above(b));
        Ok(Paired { name, test: sign_test(&a, &b)?, a, b, method: "exact sign" })
    };
    let means = |name, a: Vec<f64>, b: Vec<f64>| -> Result<Paired, XtaskError> {
        Ok(Paired { name, test: paired_t(&a, &b)?, a, b, method: "paired t" })
    };
    let mut rows = vec![
        signs("ranking/accuracy", x.margins(), y.margins())?,
        signs("ranking/accuracy_normalized", x.margins_per_token(), y.margins_per_token())?,
        means("logps/margin", x.margins(), y.margins())?,
        means("logps/chosen", x.chosen.clone(), y.chosen.clone())?,
    ];
    if let Some((m, n)) = x.reward_margins().zip(y.reward_margins()) {
        rows.push(signs("rewards/accuracies", m, n)?);
    }
    if let (Some([r, _]), Some([s, _])) = (&x.reference, &y.reference) {
        rows.push(means("logps/chosen, change", difference(&x.chosen, r), difference(&y.chosen, s))?);
    }
    Ok(rows)
}

/// The table of both runs, with p-values corrected for the number of rows.
fn side_by_side(rows: &[Paired], out: &mut Output) -> Result<(), XtaskError> {
    if rows.is_empty() {
        return Ok(());
    }
    let adjusted = holm(&rows.iter().map(|r| r.test.p).collect::<Vec<_>>())?;
    let mut table = Table {
        title: "Side by side".into(),
        columns: ["figure", "A", "B", "A − B", "n", "p", "p (Holm)", "test"].map(str::to_owned).to_vec(),
        rows: vec![],
        note: "Means with Student's 95 % intervals over prompts or pairs; tests are paired and two-sided, and Holm's \
               correction counts every row of this table."
            .into(),
    };
    let mut data = vec![];
    for (row, p) in rows.iter().zip(adjusted) {
        let (a, b, d) = (mean_interval(&row.a)?, mean_interval(&row.b)?, row.test.difference);
        table.rows.push(vec![
            Cell::Text(row.name.into()),
            Cell::Interval(a.value, a.low, a.high),
            Cell::Interval(b.value, b.low, b.high),
            Cell::Interval(d.value, d.low, d.high),
            Cell::Text(row.a.len().to_string()),
            Cell::Number(row.test.p),
            Cell::Number(p),
            Cell::Text(row.method.into()),
        ]);
        data.push(json!({"name": row.name, "a": a, "b": b, "test": row.test, "by": row.method, "p_holm": p}));
    }
    out.tables.push(table);
    out.more.insert("side_by_side".into(), data.into());
    Ok(())
}

fn histograms(rows: &[Paired], out: &mut Output) {
    let shown = [
        ("reward", "Reward by prompt", "mean exact reward of a prompt's answers"),
        ("completions/length", "Length by prompt", "mean tokens of a prompt's answers"),
        ("logps/margin", "Margins of held-out pairs", "log-probability of chosen minus rejected, nats"),
    ];
    for (name, title, x) in shown {
        let Some(row) = rows.iter().find(|r| r.name == name) else { continue };
        let samples = [("A", &row.a), ("B", &row.b)];
        out.plots.push(Plot {
            title: title.into(),
            note: String::new(),
            x: x.into(),
            y: "count".into(),
            kind: PlotKind::Histogram(
                samples.map(|(name, values)| Sample { name: name.into(), values: values.clone() }).to_vec(),
            ),
        });
    }
}
