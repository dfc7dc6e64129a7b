//! The page as a whole.

use super::model::{Evaluation, Plot, PlotKind};
use super::tables;
use crate::chart::COLOURS;
use crate::html::Html;
use crate::{ReportError, metrics, page, plots};

/// Renders an evaluation as one self-contained HTML page.
///
/// ```
/// use tropism_report::{Bar, Evaluation, Plot, PlotKind, render_evaluation};
/// let bar = |label: &str, value| Bar { label: label.into(), value, interval: Some((value - 0.1, value + 0.1)) };
/// let plot = Plot {
///     title: "Win rates".into(),
///     note: String::new(),
///     x: "win rate".into(),
///     y: String::new(),
///     kind: PlotKind::Bars(vec![bar("a", 0.6), bar("b", 0.3)], Some(0.5)),
/// };
/// let html = render_evaluation(&Evaluation { title: "Mine".into(), plots: vec![plot], ..Evaluation::default() })?;
/// assert!(html.contains("Win rates") && html.contains("<svg"));
/// # Ok::<(), tropism_report::ReportError>(())
/// ```
///
/// # Errors
/// [`ReportError::Chart`] when a plot cannot be drawn.
pub fn render_evaluation(evaluation: &Evaluation) -> Result<String, ReportError> {
    let mut html = Html::default();
    page::head(&mut html, &evaluation.title);
    html.element("<header>\n<p class=\"label\">", &evaluation.kind, "</p>\n");
    html.element("<h1>", &evaluation.title, "</h1>\n");
    if let Some(main) = evaluation.figures.first() {
        metrics::headline(&mut html, main, None);
    }
    for note in &evaluation.notes {
        html.element("<p class=\"note\">", note, "</p>\n");
    }
    if !evaluation.summary.is_empty() {
        html.facts(&evaluation.summary);
    }
    html.markup("</header>\n");
    if !evaluation.figures.is_empty() {
        html.markup("<section><h2>Figures</h2>\n");
        metrics::table(&mut html, &evaluation.figures);
        html.markup("</section>\n");
    }
    if !evaluation.plots.is_empty() {
        html.markup("<section><div class=\"charts large\">\n");
        evaluation.plots.iter().try_for_each(|plot| figure(&mut html, plot))?;
        html.markup("</div></section>\n");
    }
    for table in evaluation.tables.iter().filter(|t| !t.rows.is_empty()) {
        html.element("<section><h2>", &table.title, "</h2>\n");
        tables::table(&mut html, table);
        html.markup("</section>\n");
    }
    html.markup("</main>\n</body>\n</html>\n");
    Ok(html.finish())
}

fn figure(html: &mut Html, plot: &Plot) -> Result<(), ReportError> {
    html.markup("<figure>\n").element("<figcaption>", &plot.title, "</figcaption>\n");
    let drawn = plots::draw(plot)?;
    match &drawn.svg {
        Some(svg) => html.drawing(svg),
        None => html.markup("<p class=\"quiet\">Nothing to draw.</p>\n"),
    };
    if let PlotKind::Histogram(samples) = &plot.kind {
        html.markup("<ul class=\"legend\">");
        for (sample, (_, colour)) in samples.iter().zip(COLOURS.iter().cycle()) {
            html.markup("<li><i style=\"background:").text(colour).element("\"></i>", &sample.name, "</li>");
        }
        html.markup("</ul>\n");
    }
    if !plot.note.is_empty() {
        html.element("<p class=\"quiet\">", &plot.note, "</p>\n");
    }
    if drawn.left_out > 0 {
        let note = format!("{} left out: not finite, or beyond 1e30", drawn.left_out);
        html.element("<p class=\"note\">", &note, "</p>\n");
    }
    html.markup("</figure>\n");
    Ok(())
}
