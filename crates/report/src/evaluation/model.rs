//! What the page of an evaluation shows, as plain data.

use crate::MetricRow;

/// Everything on the page. Empty parts are left out of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// What kind of evaluation it is, in a word or two.
    pub kind: String,
    /// The page's title.
    pub title: String,
    /// Facts as label and text: data, judge, options.
    pub summary: Vec<(String, String)>,
    /// What a reader should know before reading the figures.
    pub notes: Vec<String>,
    /// Figures with their intervals; the first is the headline.
    pub figures: Vec<MetricRow>,
    /// Tables in their order.
    pub tables: Vec<Table>,
    /// Plots in their order.
    pub plots: Vec<Plot>,
}

/// A table with a title.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Its title.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows, each with a cell per column.
    pub rows: Vec<Vec<Cell>>,
    /// What the columns mean, below the table.
    pub note: String,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text, to the left.
    Text(String),
    /// A number; NaN is shown as missing.
    Number(f64),
    /// A number with so many decimals.
    Fixed(f64, usize),
    /// A number with its interval.
    Interval(f64, f64, f64),
    /// Nothing.
    Empty,
}

/// A plot with a title.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// Its title.
    pub title: String,
    /// What is drawn, below the plot.
    pub note: String,
    /// What the horizontal axis says.
    pub x: String,
    /// What the vertical axis says.
    pub y: String,
    /// The drawing.
    pub kind: PlotKind,
}

/// The drawings there are.
#[derive(Clone, Debug, PartialEq)]
pub enum PlotKind {
    /// Horizontal bars with intervals, in the order given, and a line across at a value.
    Bars(Vec<Bar>, Option<f64>),
    /// Counts of values, a colour for each sample, over common bins.
    Histogram(Vec<Sample>),
    /// Accuracy against confidence, beside the diagonal where both are equal.
    Reliability(Vec<Bin>),
    /// Points with labels, and a line through some of them.
    Points(Vec<Dot>, Vec<(f64, f64)>),
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its label.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// Lower and upper end of the interval.
    pub interval: Option<(f64, f64)>,
}

/// One sample of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// Its values; those that are not finite are left out and counted.
    pub values: Vec<f64>,
}

/// One bin of a reliability curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Mean confidence.
    pub confidence: f64,
    /// Share that is right.
    pub accuracy: f64,
    /// Interval of the share.
    pub interval: Option<(f64, f64)>,
    /// Observations.
    pub count: usize,
}

/// One point.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// Its label.
    pub label: String,
    /// Horizontal place.
    pub x: f64,
    /// Vertical place.
    pub y: f64,
    /// Interval of the vertical place.
    pub interval: Option<(f64, f64)>,
    /// Whether it stands out, as points of a Pareto front do.
    pub strong: bool,
}
