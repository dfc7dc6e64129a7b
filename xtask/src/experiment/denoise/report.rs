//! What people see of such a run.
use super::folder::{Folder, Stage, text};
use crate::error::XtaskError;
use crate::experiment::show::curves;
use tropism_report::{Better, MetricRow, PictureForm, PictureSet, Pictures, Report, StageReport};
use tropism_trainer::denoise::{DenoiseExperiment, DiffusionWorld, Picture};

/// Figures in the order of their weight, and which direction is the good one.
const ORDER: [(&str, Option<Better>); 6] = [
    ("reward", Some(Better::Higher)),
    ("win_rate", Some(Better::Higher)),
    ("distance", Some(Better::Lower)),
    ("energy_distance", None),
    ("mmd", None),
    ("diversity", None),
];

/// Figures that are means over samples or pairs, which have an interval.
const WITH_INTERVAL: [&str; 3] = ["reward", "win_rate", "distance"];

fn rows(stages: &[Stage], i: usize) -> Vec<MetricRow> {
    let row = |(name, better): &(&str, Option<Better>)| {
        let e = stages[i].measured.metrics.get(*name)?;
        let shown = match (*name, i.checked_sub(1)) {
            ("win_rate", Some(before)) => format!("win_rate over {}", stages[before].name),
            _ => (*name).to_owned(),
        };
        let row = MetricRow::new(shown, e.value).with_n(e.n as u64);
        let row = if WITH_INTERVAL.contains(name) { row.with_interval(e.low, e.high) } else { row };
        Some(match better {
            Some(better) => row.with_better(*better),
            None => row,
        })
    };
    ORDER.iter().filter_map(row).collect()
}

/// Figures by stage.
pub(super) fn table(stages: &[Stage]) -> String {
    let mut out = format!("{:18}", "");
    out.extend(stages.iter().map(|s| format!("{:>30}", s.name)));
    for (name, _) in ORDER {
        out += &format!("\n{name:18}");
        for s in stages {
            let cell = s.measured.metrics.get(name).map(|e| match WITH_INTERVAL.contains(&name) {
                true => format!("{:.3} [{:.3}, {:.3}]", e.value, e.low, e.high),
                false => format!("{:.3}", e.value),
            });
            out += &format!("{:>30}", cell.unwrap_or_default());
        }
    }
    out
}

fn pictures(config: &DenoiseExperiment, stages: &[Stage]) -> Result<Pictures, XtaskError> {
    let (world, _) = config.build()?;
    let form = match world.picture() {
        Picture::Point => PictureForm::Points,
        Picture::Image { frames, height, width } => PictureForm::Images { frames, height, width },
        Picture::Boxes => PictureForm::Boxes,
    };
    let set = |s: &Stage| {
        let shown = s.measured.shown.len().min(s.measured.rewards.len());
        let mean = s.measured.rewards[..shown].iter().sum::<f64>() / shown.max(1) as f64;
        PictureSet {
            stage: s.name.clone(),
            samples: s.measured.shown.clone(),
            note: format!("mean reward of these {shown}: {mean:.2}"),
        }
    };
    Ok(Pictures {
        title: "Samples".into(),
        note: "What the world draws, then what the network makes of the same noise after each stage.".into(),
        form,
        sets: stages.iter().map(set).collect(),
    })
}

/// Writes `report.html`.
pub(super) fn write(folder: &Folder, config: &DenoiseExperiment, stages: &[Stage]) -> Result<(), XtaskError> {
    let lines = folder.lines()?;
    let stage = |(i, s): (usize, &Stage)| StageReport {
        name: s.name.clone(),
        method: s.method.clone(),
        metrics: rows(stages, i),
        curves: curves(&lines, &s.name),
    };
    let seconds: f64 = stages.iter().map(|s| s.seconds).sum();
    let fact = |label: &str, value: String| (label.to_owned(), value);
    let report = Report {
        experiment: config.name.clone(),
        seed: config.seed,
        summary: vec![
            fact("samples measured", config.evaluation.samples.to_string()),
            fact("moves of the sampler", config.evaluation.moves.to_string()),
            fact("pairs", stages.iter().map(|s| s.pairs).sum::<usize>().to_string()),
            fact("training time", format!("{seconds:.1} s")),
        ],
        config_toml: text(config)?,
        stages: stages.iter().enumerate().map(stage).collect(),
        final_metrics: stages.len().checked_sub(1).map_or(vec![], |last| rows(stages, last)),
        pictures: vec![pictures(config, stages)?],
        ..Report::default()
    };
    Ok(tropism_report::write(&report, folder.path().join("report.html"))?)
}
