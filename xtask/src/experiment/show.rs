//! What people see: the plan at the start, a table at the end, the report.
use super::folder::RunFolder;
use super::prepare::Prepared;
use super::result::{ComparisonResult, StageResult};
use crate::error::XtaskError;
use serde_json::Value;
use tropism_evaluation::Figure;
use tropism_report::{Better, ComparisonReport, Curve, MetricRow, Report, SampleAnswer, SampleRow, StageReport};
use tropism_trainer::{AnyStage, Precision};
use tropism_worlds::ASPECTS;

/// A few lines on what is about to run.
pub(super) fn plan(p: &Prepared) -> String {
    let s = p.model.config().sizes;
    let mut out = format!(
        "{}: seed {}, model of {} parameters ({} layers, hidden {}, vocabulary {})\n",
        p.config.name,
        p.config.seed,
        grouped(p.model.parameters()),
        s.layers,
        s.hidden,
        s.vocab
    );
    for (part, a) in &p.audit {
        out += &format!("  {part}: {} read, {} kept", a.read, a.kept);
        out += &if a.dropped_count() > 0 { format!(", dropped: {}\n", a.reasons()) } else { "\n".into() };
    }
    for stage in &p.config.stages {
        let (rows, what) = match stage {
            // `prepare` has looked at them
            AnyStage::Rows(s) => (p.rows(s).map_or(0, |rows| rows.len()), "rows"),
            AnyStage::RewardModel(s) => (p.pairs_of(s).map_or(0, |rows| rows.len()), "rows"),
            AnyStage::Distil(s) if !s.objective.on_policy() => (p.pairs_of(s).map_or(0, |rows| rows.len()), "rows"),
            AnyStage::OnlinePreference(s) | AnyStage::RejectionSampling(s) => (p.asked(s).len(), "prompts"),
            _ => (p.questions.len(), "prompts"),
        };
        out += &format!("  stage {}: {}, {rows} {what}, {} steps\n", stage.name(), stage.method(), stage.steps(rows));
        if stage.precision() == Precision::Bf16 && !tropism_ops::Precision::has_bf16() {
            out += "    precision bf16: this processor has no bf16 products, products are f32\n";
        }
        if let (Precision::Bf16, Some(note)) = (stage.precision(), tropism_ops::Precision::bf16_note()) {
            out += &format!("    precision bf16: {note}\n");
        }
    }
    out
}

fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|c| std::str::from_utf8(c).ok()).collect();
    groups.join(",")
}

/// Metrics by stage.
pub(super) fn table(results: &[StageResult]) -> String {
    let mut names: Vec<&String> = results.iter().flat_map(|r| r.metrics.keys()).collect();
    names.sort();
    names.dedup();
    let mut out = format!("{:28}", "");
    out.extend(results.iter().map(|r| format!("{:>30}", r.name)));
    for name in names {
        out += &format!("\n{name:28}");
        for r in results {
            let cell = r.metrics.get(name).map(|e| format!("{:.3} [{:.3}, {:.3}]", e.value, e.low, e.high));
            out += &format!("{:>30}", cell.unwrap_or_default());
        }
    }
    out
}

/// Stages against their baselines, a line for each figure.
pub(super) fn comparisons(all: &[ComparisonResult]) -> String {
    let mut out = String::new();
    for c in all {
        out += &format!("\n{} against {}\n", c.stage, c.baseline);
        for (name, e) in &c.metrics {
            let range = format!("{:.3} [{:.3}, {:.3}]", e.value, e.low, e.high);
            out += &format!("  {name:28}{range:>30}\n");
        }
    }
    out
}

fn better(name: &str) -> Option<Better> {
    let higher =
        ["win_rate", "reward", "rewards/accuracies", "rewards/margins", "ranking/accuracy", "ranking/accuracy_normalized"];
    // further figures of episodes may be better either way
    let aspect = name.strip_prefix("aspects/").map(|a| a.trim_end_matches("_gain"));
    let good = aspect.is_some_and(|a| ASPECTS.contains(&a) || ["found", "solved"].contains(&a));
    if higher.contains(&name) || name.starts_with("accuracy") || good || name == "reward_gain" {
        return Some(Better::Higher);
    }
    (name == "completions/clipped_ratio").then_some(Better::Lower)
}

/// The metrics of stage `i`; a win rate is named with the stage that it was won over.
fn rows(results: &[StageResult], i: usize) -> Vec<MetricRow> {
    let shown = |name: &str| match (name, i.checked_sub(1)) {
        ("win_rate" | "accuracy_gain", Some(before)) => format!("{name} over {}", results[before].name),
        _ => name.to_owned(),
    };
    // the headline first
    let rank = |n: &str| {
        ["accuracy", "accuracy_gain", "win_rate", "reward", "rewards/accuracies"].iter().position(|h| *h == n).unwrap_or(9)
    };
    let mut all: Vec<_> = results[i].metrics.iter().collect();
    all.sort_by_key(|(n, _)| rank(n));
    all.into_iter().map(|(name, e)| row(shown(name), e, better(name))).collect()
}

fn row(name: String, e: &Figure, better: Option<Better>) -> MetricRow {
    let row = MetricRow::new(name, e.value).with_interval(e.low, e.high).with_n(e.n as u64);
    match better {
        Some(b) => row.with_better(b),
        None => row,
    }
}

fn compared(c: &ComparisonResult) -> ComparisonReport {
    let metrics = c.metrics.iter().map(|(name, e)| row(name.clone(), e, better(name))).collect();
    ComparisonReport { stage: c.stage.clone(), baseline: c.baseline.clone(), metrics }
}

/// The curves of one stage, from the metrics file.
pub(super) fn curves(lines: &[Value], stage: &str) -> Vec<Curve> {
    let mut curves: Vec<Curve> = vec![];
    for line in lines.iter().filter(|l| l["stage"] == stage) {
        let step = line["step"].as_f64().unwrap_or(0.0);
        for (name, value) in line.as_object().into_iter().flatten() {
            let (Some(value), false) = (value.as_f64(), ["step", "epoch", "num_tokens"].contains(&name.as_str())) else {
                continue;
            };
            match curves.iter_mut().find(|c| c.name == *name) {
                Some(c) => c.points.push((step, value)),
                None => curves.push(Curve { name: name.clone(), points: vec![(step, value)] }),
            }
        }
    }
    curves
}

fn samples(p: &Prepared, results: &[StageResult]) -> Vec<SampleRow> {
    let answer = |r: &StageResult, i: usize| {
        let a = r.answers.iter().find(|a| a.prompt == i)?;
        Some(SampleAnswer { stage: r.name.clone(), text: a.text.clone(), reward: a.reward })
    };
    let shown = p.prompts.iter().take(p.config.evaluation.shown).enumerate();
    shown
        .map(|(i, prompt)| SampleRow {
            prompt: prompt.text.clone(),
            answers: results.iter().filter_map(|r| answer(r, i)).collect(),
        })
        .collect()
}

fn facts(p: &Prepared, results: &[StageResult]) -> Vec<(String, String)> {
    let s = p.model.config().sizes;
    let seconds: f64 = results.iter().map(|r| r.seconds).sum();
    let tokens: usize = results.iter().map(|r| r.tokens).sum();
    let data = p.config.data.path.as_ref().map_or("embedded world".to_owned(), |d| d.display().to_string());
    [
        ("model", format!("{} parameters, {} layers, hidden {}", grouped(p.model.parameters()), s.layers, s.hidden)),
        ("tokenizer", format!("{} entries", p.tokenizer.vocab_size())),
        ("data", data),
        ("training pairs", grouped(p.pairs.len())),
        ("held-out pairs", grouped(p.test.len())),
        ("training time", format!("{seconds:.1} s")),
        ("tokens", grouped(tokens)),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .to_vec()
}

fn audit(p: &Prepared) -> Vec<(String, String)> {
    let mut out = vec![];
    for (part, a) in &p.audit {
        out.push((part.clone(), format!("{} read, {} kept", a.read, a.kept)));
        for (what, rows) in
            a.dropped.iter().map(|(k, r)| (format!("dropped: {k}"), r)).chain(a.notes.iter().map(|(k, r)| (k.clone(), r)))
        {
            out.push((format!("{part}, {what}"), rows.count.to_string()));
        }
        if a.cut.items.count > 0 {
            out.push((format!("{part}, cut to length"), format!("{} rows, {} tokens", a.cut.items.count, a.cut.tokens)));
        }
    }
    out
}

/// Writes `report.html`.
pub(super) fn write_report(
    run: &RunFolder,
    p: &Prepared,
    results: &[StageResult],
    comparisons: &[ComparisonResult],
) -> Result<(), XtaskError> {
    let path = run.metrics();
    let text = std::fs::read_to_string(&path).map_err(XtaskError::io(&path))?;
    let lines: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let stage = |(i, r): (usize, &StageResult)| StageReport {
        name: r.name.clone(),
        method: r.method.clone(),
        metrics: rows(results, i),
        curves: curves(&lines, &r.name),
    };
    let report = Report {
        experiment: p.config.name.clone(),
        seed: p.config.seed,
        summary: facts(p, results),
        config_toml: p.config.to_toml()?,
        stages: results.iter().enumerate().map(stage).collect(),
        final_metrics: results.len().checked_sub(1).map_or(vec![], |last| rows(results, last)),
        comparisons: comparisons.iter().map(compared).collect(),
        samples: samples(p, results),
        pictures: vec![],
        audit: audit(p),
    };
    Ok(tropism_report::write(&report, run.path().join("report.html"))?)
}
