//! The result of an evaluation, and its three forms: table, JSON, report.
use super::args::OutputArgs;
use crate::error::XtaskError;
use crate::experiment::folder::{json, put};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use tropism_evaluation::{Figure, Method};
use tropism_report::{Better, Cell, Evaluation, MetricRow, Plot, Table, number, write_evaluation};

/// Figures, tables and plots.
#[derive(Default)]
pub(super) struct Output {
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) summary: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
    pub(super) figures: Vec<Named>,
    pub(super) tables: Vec<Table>,
    pub(super) plots: Vec<Plot>,
    /// what JSON holds beside figures
    pub(super) more: Map<String, Value>,
}

/// A figure with its name.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) figure: Figure,
    pub(super) better: Option<Better>,
}

impl Output {
    /// Adds a figure.
    pub(super) fn figure(&mut self, name: impl Into<String>, figure: Figure, better: Option<Better>) {
        self.figures.push(Named { name: name.into(), figure, better });
    }

    /// Adds a fact.
    pub(super) fn fact(&mut self, label: &str, text: impl ToString) {
        self.summary.push((label.to_owned(), text.to_string()));
    }

    /// Adds facts, notes and figures of another output.
    pub(super) fn merge(&mut self, other: Output) {
        self.summary.extend(other.summary);
        self.notes.extend(other.notes);
        self.figures.extend(other.figures);
        self.more.extend(other.more);
    }

    /// Prints the tables and writes the files that were asked for.
    pub(super) fn deliver(self, to: &OutputArgs) -> Result<(), XtaskError> {
        print!("{}", self.text());
        if let Some(path) = &to.json {
            let (folder, name) = split(path)?;
            put(&folder, &name, &json(&self.json())?)?;
            println!("figures: {}", path.display());
        }
        if let Some(path) = &to.html {
            let (folder, name) = split(path)?;
            write_evaluation(&self.report(), folder.join(name))?;
            println!("report: {}", path.display());
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let figure = |f: &Named| {
            let mut entry = serde_json::to_value(f.figure).unwrap_or_default();
            entry["name"] = f.name.clone().into();
            entry
        };
        let mut all = Map::new();
        all.insert("kind".into(), self.kind.into());
        all.insert("title".into(), self.title.clone().into());
        all.insert("summary".into(), self.summary.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect());
        all.insert("notes".into(), self.notes.clone().into());
        all.insert("figures".into(), self.figures.iter().map(figure).collect());
        all.extend(self.more.clone());
        Value::Object(all)
    }

    fn report(&self) -> Evaluation {
        let row = |f: &Named| {
            let mut row = MetricRow::new(f.name.clone(), f.figure.value).with_n(f.figure.n as u64);
            if f.figure.method != Method::None {
                row = row.with_interval(f.figure.low, f.figure.high);
            }
            let row = row.with_method(f.figure.method.to_string());
            match f.better {
                Some(better) => row.with_better(better),
                None => row,
            }
        };
        Evaluation {
            kind: self.kind.into(),
            title: self.title.clone(),
            summary: self.summary.clone(),
            notes: self.notes.clone(),
            figures: self.figures.iter().map(row).collect(),
            tables: self.tables.clone(),
            plots: self.plots.clone(),
        }
    }

    /// What is printed.
    fn text(&self) -> String {
        let mut out = format!("{}: {}\n", self.kind, self.title);
        for (label, text) in &self.summary {
            out += &format!("  {label}: {text}\n");
        }
        for note in &self.notes {
            out += &format!("  note: {note}\n");
        }
        let columns = ["figure", "value", "interval", "n", "method"].map(str::to_owned);
        let row = |f: &Named| {
            let interval = format!("{} to {}", number(f.figure.low), number(f.figure.high));
            let interval = if f.figure.method == Method::None { String::new() } else { interval };
            let method = f.figure.method.to_string();
            [f.name.clone(), number(f.figure.value), interval, f.figure.n.to_string(), method].to_vec()
        };
        if !self.figures.is_empty() {
            out += &grid(&columns, &self.figures.iter().map(row).collect::<Vec<_>>());
        }
        for table in self.tables.iter().filter(|t| !t.rows.is_empty()) {
            let rows: Vec<Vec<String>> = table.rows.iter().map(|r| r.iter().map(cell).collect()).collect();
            out += &format!("\n{}\n{}", table.title, grid(&table.columns, &rows));
        }
        out
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Number(value) => number(*value),
        Cell::Fixed(value, decimals) => format!("{value:.decimals$}"),
        Cell::Interval(value, low, high) => format!("{} [{}, {}]", number(*value), number(*low), number(*high)),
        Cell::Empty => String::new(),
    }
}

/// Columns of equal width: the first to the left, the others to the right.
fn grid(columns: &[String], rows: &[Vec<String>]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().filter_map(|r| r.get(i)).chain(columns.get(i));
        cells.map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &[String]| {
        let one = |(i, cell): (usize, &String)| match i {
            0 => format!("{cell:<width$}", width = widths[0]),
            _ => format!("  {cell:>width$}", width = widths.get(i).copied().unwrap_or(0)),
        };
        cells.iter().enumerate().map(one).collect::<String>().trim_end().to_owned() + "\n"
    };
    line(columns) + &rows.iter().map(|r| line(r)).collect::<String>()
}

/// Folder and name of a file to be written.
fn split(path: &Path) -> Result<(PathBuf, String), XtaskError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().filter(|_| folder.is_dir()) else {
        let problem = format!("{} cannot be written: there is no folder {}", path.display(), folder.display());
        return Err(XtaskError::usage(problem, "make the folder first, or give another file"));
    };
    Ok((folder.to_owned(), name.to_string_lossy().into_owned()))
}
