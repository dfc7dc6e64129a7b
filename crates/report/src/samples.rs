//! Prompts with the answers of the stages side by side.

use crate::SampleRow;
use crate::format::number;
use crate::html::Html;

/// Writes the samples, one block per prompt.
pub(crate) fn samples(html: &mut Html, rows: &[SampleRow]) {
    for row in rows {
        html.markup("<article class=\"sample\">\n");
        html.element("<div class=\"prompt\"><span class=\"label\">Prompt</span><pre>", &row.prompt, "</pre></div>\n");
        html.markup("<div class=\"answers\">\n");
        for answer in &row.answers {
            html.element("<div class=\"answer\"><p class=\"label\">", &answer.stage, "");
            if let Some(reward) = answer.reward {
                html.element(" <span class=\"reward\">reward ", &number(reward), "</span>");
            }
            html.markup("</p>");
            if answer.text.is_empty() {
                html.markup("<p class=\"quiet\">(empty answer)</p></div>\n");
            } else {
                html.element("<pre>", &answer.text, "</pre></div>\n");
            }
        }
        html.markup("</div>\n</article>\n");
    }
}
