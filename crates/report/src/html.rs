//! A writer that cannot forget to escape.

use std::borrow::Cow;

/// A page in the making: markup is literal, text is escaped.
#[derive(Default)]
pub(crate) struct Html {
    out: String,
}

impl Html {
    /// Appends markup, which only this crate writes.
    pub(crate) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Appends a drawing made by this crate, whose texts are already escaped.
    pub(crate) fn drawing(&mut self, svg: &str) -> &mut Self {
        self.out.push_str(svg);
        self
    }

    /// Appends text from anywhere.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.out.push_str(&escape(text));
        self
    }

    /// Appends an element that holds text only.
    pub(crate) fn element(&mut self, open: &'static str, text: &str, close: &'static str) -> &mut Self {
        self.markup(open).text(text).markup(close)
    }

    /// Two columns of label and text.
    pub(crate) fn facts(&mut self, facts: &[(String, String)]) {
        self.markup("<dl class=\"facts\">\n");
        for (label, text) in facts {
            self.element("<div><dt>", label, "</dt>").element("<dd>", text, "</dd></div>\n");
        }
        self.markup("</dl>\n");
    }

    /// The finished page.
    pub(crate) fn finish(self) -> String {
        self.out
    }
}

/// Escapes for element content and quoted attributes; control characters become U+FFFD, for HTML has no form for them.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let special = |c: char| matches!(c, '<' | '>' | '&' | '"' | '\'') || (c.is_control() && !"\n\t".contains(c));
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn escapes_what_html_reads() {
        assert_eq!(escape("<a href=\"x\">&'</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
        assert_eq!(escape("line\n\ttab\0\u{1b}[0m"), "line\n\ttab\u{fffd}\u{fffd}[0m");
        assert_eq!(escape("Grüße, 世界 🌱"), "Grüße, 世界 🌱");
    }
}
