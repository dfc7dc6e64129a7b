//! Curves of a stage, grouped into charts.

use crate::chart::{COLOURS, Line, draw};
use crate::html::Html;
use crate::{Curve, ReportError};

/// Figures with a scale of their own, which would flatten or be flattened by the rest of their group.
const ALONE: [&str; 2] = ["accuracies", "ties"];
/// Groups that come first, in this order.
const FIRST: [&str; 3] = ["loss", "rewards", "logps"];

/// Writes one chart per group.
pub(crate) fn curves(html: &mut Html, curves: &[Curve]) -> Result<(), ReportError> {
    if curves.is_empty() {
        html.markup("<p class=\"quiet\">No curves were recorded.</p>\n");
        return Ok(());
    }
    html.markup("<div class=\"charts\">\n");
    for (title, members) in grouped(curves) {
        panel(html, title, &members)?;
    }
    html.markup("</div>\n");
    Ok(())
}

/// Groups in the order of the page, each with its curves in the order given.
fn grouped(curves: &[Curve]) -> Vec<(&str, Vec<&Curve>)> {
    let mut groups: Vec<(&str, Vec<&Curve>)> = Vec::new();
    for curve in curves {
        let name = group(&curve.name);
        match groups.iter_mut().find(|(n, _)| *n == name) {
            Some((_, members)) => members.push(curve),
            None => groups.push((name, vec![curve])),
        }
    }
    groups.sort_by_key(|(name, _)| FIRST.iter().position(|f| f == name).unwrap_or(FIRST.len()));
    groups
}

/// The chart that a curve belongs to.
fn group(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some((group, last)) if !ALONE.contains(&last) => group,
        _ => name,
    }
}

fn panel(html: &mut Html, title: &str, members: &[&Curve]) -> Result<(), ReportError> {
    let names: Vec<&str> = members.iter().map(|c| c.name.as_str()).collect();
    let lines: Vec<Line> = members.iter().map(|c| Line::of(&c.points)).collect();
    html.markup("<figure>\n").element("<figcaption>", title, "</figcaption>\n");
    match draw(&names, &lines)? {
        Some(svg) => html.drawing(&svg),
        None => html.markup("<p class=\"quiet\">No finite points.</p>\n"),
    };
    if members.len() > 1 {
        legend(html, title, &names);
    }
    notes(html, &names, &lines);
    html.markup("</figure>\n");
    Ok(())
}

/// Names of the curves beside their colours, without the part that the title says.
fn legend(html: &mut Html, title: &str, names: &[&str]) {
    html.markup("<ul class=\"legend\">");
    for (name, (_, colour)) in names.iter().zip(COLOURS.iter().cycle()) {
        let short = name.strip_prefix(title).and_then(|n| n.strip_prefix('/')).unwrap_or(name);
        html.markup("<li><i style=\"background:").text(colour).element("\"></i>", short, "</li>");
    }
    html.markup("</ul>\n");
}

/// What the drawing does not show by itself.
fn notes(html: &mut Html, names: &[&str], lines: &[Line]) {
    for (name, line) in names.iter().zip(lines).filter(|(_, line)| line.skipped > 0) {
        let plural = if line.skipped == 1 { "point" } else { "points" };
        let note = format!("{name}: {} {plural} skipped, not finite or beyond 1e30", line.skipped);
        html.element("<p class=\"note\">", &note, "</p>\n");
    }
    if lines.iter().any(Line::is_smoothed) {
        html.markup("<p class=\"quiet\">Pale: as recorded. Strong: moving mean.</p>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_prefix_with_own_scales_apart() {
        let names = ["lr", "logps/chosen", "rewards/chosen", "rewards/accuracies", "rewards/rejected", "loss"];
        let curves: Vec<Curve> = names.iter().map(|n| Curve { name: (*n).into(), points: vec![] }).collect();
        let groups: Vec<(&str, usize)> = grouped(&curves).into_iter().map(|(n, m)| (n, m.len())).collect();
        let want = [("loss", 1), ("rewards", 2), ("logps", 1), ("lr", 1), ("rewards/accuracies", 1)];
        assert_eq!(groups, want);
    }
}
