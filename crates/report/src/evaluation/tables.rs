//! Tables of any columns.

use super::model::{Cell, Table};
use crate::format::number;
use crate::html::Html;

/// Writes a table with its note.
pub(super) fn table(html: &mut Html, table: &Table) {
    html.markup("<div class=\"wide\"><table>\n<thead><tr>");
    let left = |column: usize| table.rows.iter().all(|row| matches!(row.get(column), Some(Cell::Text(_) | Cell::Empty)));
    for (i, name) in table.columns.iter().enumerate() {
        html.markup(if left(i) { "<th>" } else { "<th class=\"n\">" }).text(name).markup("</th>");
    }
    html.markup("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.markup("<tr>");
        for cell in row {
            one(html, cell);
        }
        html.markup("</tr>\n");
    }
    html.markup("</tbody></table></div>\n");
    if !table.note.is_empty() {
        html.element("<p class=\"quiet\">", &table.note, "</p>\n");
    }
}

fn one(html: &mut Html, cell: &Cell) {
    match cell {
        Cell::Text(text) => html.element("<td>", text, "</td>"),
        Cell::Number(value) => html.element("<td class=\"n\">", &number(*value), "</td>"),
        Cell::Fixed(value, decimals) => html.element("<td class=\"n\">", &format!("{value:.decimals$}"), "</td>"),
        Cell::Interval(value, low, high) => {
            html.element("<td class=\"n\"><b>", &number(*value), "</b>");
            html.element(" <span class=\"quiet\">", &format!("{} to {}", number(*low), number(*high)), "</span></td>")
        }
        Cell::Empty => html.markup("<td></td>"),
    };
}
