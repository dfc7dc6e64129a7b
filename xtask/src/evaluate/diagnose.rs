//! `cargo xtask evaluate diagnose`: what one stage of a run did.
use super::args::DiagnoseArgs;
use super::output::Output;
use super::pairs::{PairColumns, difference};
use super::runs::RunData;
use crate::error::XtaskError;
use crate::experiment::{Answer, StageResult};
use serde_json::json;
use tropism_evaluation::likelihood::{ScoredPairs, displacement, ranking_report};
use tropism_evaluation::pareto::pareto_front;
use tropism_evaluation::reward_model::{Binning, calibration, pair_confidence};
use tropism_evaluation::text::{distinct_n, ending_loop, length_bias, length_stats, repetition_n};
use tropism_evaluation::{Figure, wilson};
use tropism_report::{Better, Bin, Cell, Dot, Plot, PlotKind, Sample, Table};

pub(super) fn diagnose(args: &DiagnoseArgs) -> Result<Output, XtaskError> {
    let run = RunData::read(&args.run, args.stage.as_deref())?;
    let mut out = Output { kind: "Diagnosis", title: run.label.clone(), ..Output::default() };
    out.fact("experiment", &run.config.name);
    out.fact("method", &run.stage.method);
    out.fact("held-out pairs", run.pairs.len());
    out.fact("answers", run.stage.answers.len());
    if run.pairs.is_empty() && run.stage.answers.is_empty() {
        let problem = format!("{} has neither answers nor scored pairs", run.label);
        let help = "run with evaluation.prompts and evaluation.pairs above 0; older versions kept no pairs";
        return Err(XtaskError::usage(problem, help));
    }
    if run.pairs.is_empty() {
        out.notes.push("no figures of pairs: this stage has no pairs.jsonl".into());
    } else {
        pairs(args, &PairColumns::of(run.pairs.iter()), &mut out)?;
    }
    if !run.stage.answers.is_empty() {
        answers(&run.stage.answers, &mut out)?;
    }
    stages(&run.stages()?, &mut out)?;
    Ok(out)
}

/// Ranking, displacement, rewards and their calibration.
fn pairs(args: &DiagnoseArgs, columns: &PairColumns, out: &mut Output) -> Result<(), XtaskError> {
    let mut scored = ScoredPairs::new(&columns.chosen, &columns.rejected)?
        .with_tokens(&columns.chosen_tokens, &columns.rejected_tokens)?;
    if let Some([chosen, rejected]) = &columns.reference {
        scored = scored.with_reference(chosen, rejected)?;
    }
    let report = ranking_report(&scored)?;
    out.figure("ranking accuracy", report.accuracy, Some(Better::Higher));
    let mut optional = |name: &str, figure: Option<Figure>, better| {
        if let Some(figure) = figure {
            out.figure(name, figure, better);
        }
    };
    optional("ranking accuracy per token", report.accuracy_normalized, Some(Better::Higher));
    optional("ranking accuracy of the reference", report.reference_accuracy, None);
    optional("log-ratio accuracy", report.reward_accuracy, Some(Better::Higher));
    optional("log-ratio margin, nats", report.reward_margin, Some(Better::Higher));
    let flips = report.flips.as_ref();
    optional("wrong pairs of the reference set right", flips.and_then(|f| f.flip_rate), Some(Better::Higher));
    optional("right pairs of the reference unlearnt", flips.and_then(|f| f.unlearnt_rate), Some(Better::Lower));
    let lengths = |margins| length_bias(&columns.chosen_tokens, &columns.rejected_tokens, margins);
    out.figure("share whose chosen is longer", lengths(None)?.chosen_longer, None);
    let margins = columns.reward_margins().unwrap_or_else(|| columns.margins());
    // where all lengths or all margins are the same there is no correlation
    if let Some(correlation) = lengths(Some(&margins[..])).ok().and_then(|l| l.margin_correlation) {
        out.figure("correlation of length and margin", correlation, None);
    }
    let mut margins = vec![Sample { name: "policy".into(), values: scored.margins() }];
    if let Some(values) = scored.reference_margins() {
        margins.push(Sample { name: "reference".into(), values });
    }
    out.plots.push(histogram("Margins", "log-probability of chosen minus rejected, nats", margins));
    displaced(&scored, columns, out)?;
    if let Some(margins) = columns.reward_margins() {
        calibrated(args, &margins, out)?;
    }
    Ok(())
}

/// Where training moved the likelihood of the pairs.
fn displaced(scored: &ScoredPairs<'_>, columns: &PairColumns, out: &mut Output) -> Result<(), XtaskError> {
    let Some([chosen, rejected]) = &columns.reference else {
        out.notes.push("no displacement: the model at the start has no reference".into());
        return Ok(());
    };
    let moved = displacement(scored)?;
    out.figure("change of chosen, nats", moved.chosen, Some(Better::Higher));
    out.figure("change of rejected, nats", moved.rejected, None);
    if let Some([won, lost]) = moved.per_token {
        out.figure("change of chosen, nats per token", won, Some(Better::Higher));
        out.figure("change of rejected, nats per token", lost, None);
    }
    out.figure("share whose chosen fell", moved.chosen_fell, Some(Better::Lower));
    out.figure("share whose both sides fell", moved.both_fell, Some(Better::Lower));
    if moved.chosen.high < 0.0 {
        out.notes.push("likelihood displacement: chosen completions have become less likely".into());
    }
    let samples = [("chosen", &columns.chosen, chosen), ("rejected", &columns.rejected, rejected)];
    let sample =
        |(name, now, then): (&str, &Vec<f64>, &Vec<f64>)| Sample { name: name.into(), values: difference(now, then) };
    let title = "Change of log-probabilities";
    out.plots.push(histogram(title, "policy minus reference, nats", samples.map(sample).to_vec()));
    Ok(())
}

/// Whether σ(reward margin) can be taken as a probability.
fn calibrated(args: &DiagnoseArgs, margins: &[f64], out: &mut Output) -> Result<(), XtaskError> {
    let (confidence, correct) = pair_confidence(margins);
    if confidence.is_empty() {
        out.notes.push("no calibration: all reward margins are 0".into());
        return Ok(());
    }
    let found = calibration(&confidence, &correct, Binning::EqualWidth(args.bins), args.resample.bootstrap())?;
    out.figure("calibration error of rewards", found.ece, Some(Better::Lower));
    out.figure("Brier score of rewards", found.brier, Some(Better::Lower));
    let bin = |b: &tropism_evaluation::reward_model::ReliabilityBin| Bin {
        confidence: b.confidence,
        accuracy: b.accuracy.value,
        interval: Some((b.accuracy.low, b.accuracy.high)),
        count: b.accuracy.n,
    };
    out.plots.push(Plot {
        title: "Reliability of rewards".into(),
        note: "Confidence is σ of the reward margin's size; circles grow with the pairs in a bin, on the line both agree."
            .into(),
        x: "confidence that the higher reward is right".into(),
        y: "share right".into(),
        kind: PlotKind::Reliability(found.curve.iter().map(bin).collect()),
    });
    out.more.insert("reliability".into(), serde_json::to_value(&found.curve).unwrap_or_default());
    Ok(())
}

/// Lengths, repetition, variety, rewards.
fn answers(answers: &[Answer], out: &mut Output) -> Result<(), XtaskError> {
    let own: Vec<Vec<u32>> = answers.iter().map(Answer::own_tokens).collect();
    let tokens: Vec<&[u32]> = own.iter().map(Vec::as_slice).collect();
    let lengths: Vec<usize> = tokens.iter().map(|t| t.len()).collect();
    let stats = length_stats(&lengths, None)?;
    out.figure("answer length, tokens", stats.mean, None);
    out.figure("median length, tokens", Figure::exact(stats.median, lengths.len()), None);
    let cut = answers.iter().filter(|a| !a.finished).count();
    out.figure("share cut off", wilson(cut, answers.len())?, Some(Better::Lower));
    out.figure("repetition of 4-grams", repetition_n(&tokens, 4)?, Some(Better::Lower));
    let stuck = tokens.iter().filter(|t| ending_loop(t, 16, 4).is_some()).count();
    out.figure("share that ends in a loop", wilson(stuck, answers.len())?, Some(Better::Lower));
    for n in [1, 2] {
        // answers of one token have no pair of tokens
        if let Ok(distinct) = distinct_n(&tokens, n) {
            out.figure(format!("distinct-{n}"), Figure::exact(distinct.rate, distinct.total), Some(Better::Higher));
        }
    }
    let values = lengths.iter().map(|l| *l as f64).collect();
    out.plots.push(histogram("Length of answers", "tokens", vec![Sample { name: "answers".into(), values }]));
    if let Some(rewards) = answers.iter().map(|a| a.reward).collect::<Option<Vec<f64>>>() {
        out.plots.push(histogram("Rewards", "exact reward", vec![Sample { name: "answers".into(), values: rewards }]));
    }
    Ok(())
}

/// The whole run: each stage with its figures, and the front of reward against divergence.
fn stages(all: &[StageResult], out: &mut Output) -> Result<(), XtaskError> {
    let mut names: Vec<&String> = all.iter().flat_map(|r| r.metrics.keys()).collect();
    names.sort();
    names.dedup();
    let cell = |stage: &StageResult, name: &str| {
        stage.metrics.get(name).map_or(Cell::Empty, |e| Cell::Interval(e.value, e.low, e.high))
    };
    let row = |name: &&String| {
        std::iter::once(Cell::Text((*name).clone())).chain(all.iter().map(|s| cell(s, name))).collect::<Vec<_>>()
    };
    out.tables.push(Table {
        title: "Stages".into(),
        columns: std::iter::once("metric".to_owned()).chain(all.iter().map(|s| s.name.clone())).collect(),
        rows: names.iter().map(row).collect(),
        note: "As the run measured them, with 95 % intervals.".into(),
    });
    front(all, out)
}

/// Reward against KL divergence, where at least two stages have both.
fn front(all: &[StageResult], out: &mut Output) -> Result<(), XtaskError> {
    let place = |s: &StageResult| {
        // the start diverges from nothing
        let kl = s.metrics.get("kl").map(|e| e.value).or_else(|| (s.name == "model").then_some(0.0))?;
        let reward = s.metrics.get("reward")?;
        Some((s.name.clone(), kl, reward.value, (reward.low, reward.high)))
    };
    let places: Vec<_> = all.iter().filter_map(place).collect();
    if places.len() < 2 {
        return Ok(());
    }
    let best = pareto_front(&places.iter().map(|(_, kl, reward, _)| vec![-kl, *reward]).collect::<Vec<_>>())?;
    let dot = |(i, (label, x, y, interval)): (usize, &(String, f64, f64, (f64, f64)))| Dot {
        label: label.clone(),
        x: *x,
        y: *y,
        interval: Some(*interval),
        strong: best.contains(&i),
    };
    let mut line: Vec<(f64, f64)> = best.iter().map(|&i| (places[i].1, places[i].2)).collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    out.more.insert("pareto_front".into(), json!(best.iter().map(|&i| &places[i].0).collect::<Vec<_>>()));
    out.plots.push(Plot {
        title: "Reward against divergence".into(),
        note: "Each stage's divergence from its own reference; the line joins stages that no other one beats in both."
            .into(),
        x: "KL to the reference, nats per answer".into(),
        y: "reward".into(),
        kind: PlotKind::Points(places.iter().enumerate().map(dot).collect(), line),
    });
    Ok(())
}

fn histogram(title: &str, x: &str, samples: Vec<Sample>) -> Plot {
    Plot { title: title.into(), note: String::new(), x: x.into(), y: "count".into(), kind: PlotKind::Histogram(samples) }
}
