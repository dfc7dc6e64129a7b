//! Tokens as people see them, with or without colour.
use std::io::IsTerminal;

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// Escape sequences.
    Ansi,
    /// Marks between tokens.
    Plain,
}

/// What a run of tokens is in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Read, not trained.
    Prompt,
    /// Trained towards.
    Good,
    /// Trained away from.
    Bad,
}

impl Paint {
    /// Colour on a terminal, unless `NO_COLOR` is set to something or the terminal is `dumb`.
    pub(super) fn detect() -> Self {
        let var = |name| std::env::var(name).unwrap_or_default();
        Self::choose(std::io::stdout().is_terminal(), &var("NO_COLOR"), &var("TERM"))
    }

    fn choose(terminal: bool, no_color: &str, term: &str) -> Self {
        if terminal && no_color.is_empty() && term != "dumb" { Self::Ansi } else { Self::Plain }
    }

    /// A heading.
    pub(super) fn heading(self, text: &str) -> String {
        match self {
            Self::Ansi => format!("\x1b[1m{text}\x1b[0m"),
            Self::Plain => format!("== {text} =="),
        }
    }

    /// Tokens one after the other: neighbours in two shades, or with `|` between them. Line breaks are shown and kept.
    pub(super) fn tokens(self, tokens: &[String], role: Role) -> String {
        let shown = |token: &String| token.replace('\r', "␍").replace('\n', "⏎\n").replace('\t', "⇥");
        match self {
            Self::Plain => tokens.iter().map(shown).collect::<Vec<_>>().join("|"),
            Self::Ansi => {
                let shades = match role {
                    Role::Prompt => ["\x1b[2m", "\x1b[2;4m"],
                    Role::Good => ["\x1b[32m", "\x1b[32;4m"],
                    Role::Bad => ["\x1b[31m", "\x1b[31;4m"],
                };
                let painted = |(i, token): (usize, &String)| format!("{}{}\x1b[0m", shades[i % 2], shown(token));
                tokens.iter().enumerate().map(painted).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_where_it_is_wanted() {
        assert_eq!(Paint::choose(true, "", "xterm"), Paint::Ansi);
        for (terminal, no_color, term) in [(false, "", "xterm"), (true, "1", "xterm"), (true, "", "dumb")] {
            assert_eq!(Paint::choose(terminal, no_color, term), Paint::Plain);
        }
    }

    #[test]
    fn borders_of_tokens_are_seen() {
        let tokens = ["a\n".to_owned(), "b".to_owned()];
        assert_eq!(Paint::Plain.tokens(&tokens, Role::Prompt), "a⏎\n|b");
        assert_eq!(Paint::Ansi.tokens(&tokens, Role::Good), "\x1b[32ma⏎\n\x1b[0m\x1b[32;4mb\x1b[0m");
    }
}
