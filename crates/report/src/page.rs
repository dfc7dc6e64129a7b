//! The page as a whole.

use crate::format::number;
use crate::html::Html;
use crate::pictures;
use crate::{Report, ReportError, StageReport, metrics, panels, samples};

const STYLE: &str = include_str!("style.css");

/// Renders a report as one self-contained HTML page.
///
/// # Errors
/// [`ReportError::Chart`] when a chart cannot be drawn.
pub fn render(report: &Report) -> Result<String, ReportError> {
    let mut html = Html::default();
    head(&mut html, title(report));
    top(&mut html, report);
    stages_overview(&mut html, &report.stages);
    if !report.final_metrics.is_empty() {
        html.markup("<section><h2>Final metrics</h2>\n");
        metrics::table(&mut html, &report.final_metrics);
        html.markup("</section>\n");
    }
    if !report.comparisons.is_empty() {
        html.markup("<section><h2>Comparisons</h2>\n");
        for c in &report.comparisons {
            html.element("<h3>", &format!("{} against {}", c.stage, c.baseline), "</h3>\n");
            metrics::table(&mut html, &c.metrics);
        }
        html.markup("</section>\n");
    }
    pictures::pictures(&mut html, &report.pictures);
    for stage in &report.stages {
        stage_section(&mut html, stage)?;
    }
    bottom(&mut html, report);
    html.markup("</main>\n</body>\n</html>\n");
    Ok(html.finish())
}

/// Head and styles. The policy forbids the page to load anything, whatever a text in it may try.
pub(crate) fn head(html: &mut Html, title: &str) {
    html.markup("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.markup("<meta name=\"color-scheme\" content=\"light dark\">\n");
    html.markup("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
    html.element("<title>", title, "</title>\n");
    html.markup("<style>\n").markup(STYLE).markup("</style>\n</head>\n<body>\n<main>\n");
}

fn title(report: &Report) -> &str {
    if report.experiment.is_empty() { "Untitled run" } else { &report.experiment }
}

/// Title, headline and facts.
fn top(html: &mut Html, report: &Report) {
    html.markup("<header>\n<p class=\"label\">Run report</p>\n");
    html.element("<h1>", title(report), "</h1>\n");
    let methods: Vec<&str> = report.stages.iter().map(|s| s.method.as_str()).collect();
    let mut line = format!("seed {}", report.seed);
    if !methods.is_empty() {
        line = format!("{} · {line}", methods.join(" → "));
    }
    html.element("<p class=\"quiet\">", &line, "</p>\n");
    if let Some(main) = report.final_metrics.first() {
        metrics::headline(html, main, metrics::before(report, main));
    }
    if !report.summary.is_empty() {
        html.facts(&report.summary);
    }
    html.markup("</header>\n");
}

/// A table with a row per stage and a column per metric.
fn stages_overview(html: &mut Html, stages: &[StageReport]) {
    if stages.is_empty() {
        return;
    }
    let mut names: Vec<&str> = Vec::new();
    for row in stages.iter().flat_map(|s| &s.metrics) {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    html.markup("<section><h2>Stages</h2>\n<div class=\"wide\"><table>\n<thead><tr>");
    html.markup("<th>Stage</th><th>Method</th><th class=\"n\">Last step</th>");
    for name in &names {
        html.element("<th class=\"n\">", name, "</th>");
    }
    html.markup("</tr></thead>\n<tbody>\n");
    for stage in stages {
        html.element("<tr><td><b>", &stage.name, "</b></td>");
        html.element("<td>", &stage.method, "</td>");
        html.element("<td class=\"n\">", &last_step(stage).map_or("–".into(), number), "</td>");
        for name in &names {
            let value = stage.metrics.iter().find(|row| row.name == *name);
            html.element("<td class=\"n\">", &value.map_or("–".into(), |row| number(row.value)), "</td>");
        }
        html.markup("</tr>\n");
    }
    html.markup("</tbody></table></div></section>\n");
}

/// The largest step of any curve.
fn last_step(stage: &StageReport) -> Option<f64> {
    let steps = stage.curves.iter().flat_map(|c| &c.points).map(|p| p.0);
    steps.filter(|s| s.is_finite()).reduce(f64::max)
}

/// Metrics and curves of one stage.
fn stage_section(html: &mut Html, stage: &StageReport) -> Result<(), ReportError> {
    html.element("<section><h2>", &stage.name, " ");
    html.element("<span class=\"tag\">", &stage.method, "</span></h2>\n");
    if !stage.metrics.is_empty() {
        metrics::table(html, &stage.metrics);
    }
    panels::curves(html, &stage.curves)?;
    html.markup("</section>\n");
    Ok(())
}

/// Samples, audit and configuration.
fn bottom(html: &mut Html, report: &Report) {
    if !report.samples.is_empty() {
        html.markup("<section><h2>Sample answers</h2>\n");
        samples::samples(html, &report.samples);
        html.markup("</section>\n");
    }
    if !report.audit.is_empty() {
        html.markup("<section><h2>Data audit</h2>\n");
        html.facts(&report.audit);
        html.markup("</section>\n");
    }
    if !report.config_toml.is_empty() {
        html.markup("<section><details><summary>Resolved configuration</summary>");
        html.element("<pre>", &report.config_toml, "</pre></details></section>\n");
    }
}
