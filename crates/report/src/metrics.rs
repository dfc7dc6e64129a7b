//! Metrics with their intervals.

use std::fmt::Write;

use crate::format::number;
use crate::html::Html;
use crate::{Better, MetricRow, Report};

/// Writes a table of metrics with interval bars.
pub(crate) fn table(html: &mut Html, rows: &[MetricRow]) {
    html.markup("<div class=\"wide\"><table>\n<thead><tr><th>Metric</th><th class=\"n\">Value</th>");
    html.markup("<th class=\"n\">Interval</th><th></th><th class=\"n\">n</th>");
    let methods = rows.iter().any(|row| row.method.is_some());
    html.markup(if methods { "<th>Method</th>" } else { "" }).markup("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.element("<tr><td>", &row.name, "").markup(arrow(row.better)).markup("</td>");
        html.element("<td class=\"n\"><b>", &number(row.value), "</b></td>");
        html.element("<td class=\"n\">", &interval(row).unwrap_or_default(), "</td>");
        html.markup("<td class=\"bar\">").drawing(&bar(row)).markup("</td>");
        let n = row.n.map(|n| n.to_string()).unwrap_or_default();
        html.element("<td class=\"n\">", &n, "</td>");
        if methods {
            html.element("<td class=\"quiet\">", row.method.as_deref().unwrap_or_default(), "</td>");
        }
        html.markup("</tr>\n");
    }
    html.markup("</tbody></table></div>\n");
}

/// The headline: a metric, large, and where it stood before.
pub(crate) fn headline(html: &mut Html, main: &MetricRow, before: Option<String>) {
    html.element("<div class=\"headline\"><p class=\"label\">", &main.name, "");
    html.markup(arrow(main.better)).element("</p><p class=\"figure\">", &number(main.value), "</p>");
    let mut line = Vec::new();
    if let Some(interval) = interval(main) {
        line.push(format!("interval {interval}"));
    }
    if let Some(n) = main.n {
        line.push(format!("n = {n}"));
    }
    line.extend(before);
    html.element("<p class=\"quiet\">", &line.join(" · "), "</p></div>\n");
}

/// Where a metric stood after the first stage that has it.
pub(crate) fn before(report: &Report, main: &MetricRow) -> Option<String> {
    report.stages.iter().find_map(|stage| {
        let row = stage.metrics.iter().find(|row| row.name == main.name)?;
        Some(format!("{} after {}", number(row.value), stage.name))
    })
}

/// The interval as text.
fn interval(row: &MetricRow) -> Option<String> {
    let end = |v: Option<f64>| v.map_or("…".into(), number);
    (row.low.is_some() || row.high.is_some()).then(|| format!("{} to {}", end(row.low), end(row.high)))
}

/// A mark for the good direction.
fn arrow(better: Option<Better>) -> &'static str {
    match better {
        Some(Better::Higher) => " <span class=\"quiet\" title=\"higher is better\">↑</span>",
        Some(Better::Lower) => " <span class=\"quiet\" title=\"lower is better\">↓</span>",
        None => "",
    }
}

/// The value as a dot and the interval as a bar on an axis; empty when a number is missing.
///
/// Shares are drawn on an axis from 0 to 1; anything else on one that holds 0 and the interval.
fn bar(row: &MetricRow) -> String {
    let (low, high) = (row.low.unwrap_or(row.value), row.high.unwrap_or(row.value));
    let numbers = [low, high, row.value];
    if numbers.iter().any(|v| !v.is_finite() || v.abs() > 1e150) {
        return String::new();
    }
    let start = numbers.iter().fold(0.0, |m: f64, v| m.min(*v));
    let end = numbers.iter().fold(if start < 0.0 { 0.0 } else { f64::MIN_POSITIVE }, |m, v| v.max(m));
    let end = if start == 0.0 && end <= 1.0 { 1.0 } else { end };
    let place = |v: f64| 4.0 + 132.0 * (v - start) / (end - start);
    let mut svg = String::from("<svg viewBox=\"0 0 140 14\" aria-hidden=\"true\">");
    let zero = place(0.0);
    let (left, width) = (place(low), (place(high) - place(low)).max(1.0));
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<line x1=\"4\" x2=\"136\" y1=\"7\" y2=\"7\" class=\"axis\"/>\
         <line x1=\"{zero:.1}\" x2=\"{zero:.1}\" y1=\"2\" y2=\"12\" class=\"axis\"/>\
         <rect x=\"{left:.1}\" y=\"4\" width=\"{width:.1}\" height=\"6\" rx=\"2\" class=\"span\"/>\
         <circle cx=\"{:.1}\" cy=\"7\" r=\"3.5\" class=\"dot\"/></svg>",
        place(row.value)
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_on_their_axis() {
        for (value, low, high) in
            [(0.5, 0.4, 0.6), (0.0, 0.0, 0.0), (-3.0, -5.0, -1.0), (2.0, -1.0, 40.0), (1e-300, 0.0, 1e-299)]
        {
            let svg = bar(&MetricRow::new("m", value).with_interval(low, high));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            let cx: f64 =
                svg.split("cx=\"").nth(1).and_then(|s| s.split('"').next()).map_or(-1.0, |s| s.parse().unwrap_or(-1.0));
            assert!((4.0..=136.0).contains(&cx), "{svg}");
        }
        assert_eq!(bar(&MetricRow::new("m", f64::NAN)), "");
        assert_eq!(bar(&MetricRow::new("m", 1.0).with_interval(0.0, f64::INFINITY)), "");
    }
}
