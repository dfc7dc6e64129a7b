//! The outcome as a table for people.

use std::fmt::{self, Display, Formatter};

use tropism_evaluation::Figure;

use super::Outcome;

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = |names: &mut dyn Iterator<Item = &str>| names.map(str::len).max().unwrap_or(0);
        let names = width(&mut self.figures.iter().map(|m| m.name.as_str()));
        let values =
            width(&mut self.figures.iter().map(|m| interval(&m.estimate)).collect::<Vec<_>>().iter().map(|s| s.as_str()));
        for m in &self.figures {
            writeln!(f, "{:names$}  {:values$}  {}", m.name, interval(&m.estimate), m.unit)?;
        }
        writeln!(
            f,
            "mean over {} {} with 95 % interval\n",
            self.runs.len(),
            if self.runs.len() == 1 { "run" } else { "seeds" }
        )?;
        let statements = width(&mut self.relations.iter().map(|r| r.statement.as_str()));
        for r in &self.relations {
            writeln!(
                f,
                "{:statements$}  {:16}  difference {}",
                r.statement,
                r.verdict.to_string(),
                interval(&r.difference)
            )?;
        }
        Ok(())
    }
}

fn interval(e: &Figure) -> String {
    format!("{} [{}, {}]", number(e.value), number(e.low), number(e.high))
}

/// Four digits behind the point, or a power of ten where they would show nothing.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e5).contains(&size) { format!("{value:.4}") } else { format!("{value:.2e}") }
}
