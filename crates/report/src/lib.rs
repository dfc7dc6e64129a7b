//! The self-contained HTML reports of runs and of evaluations.
//!
//! [`Report`] is plain data that the runner fills; [`render`] turns it into one HTML page and [`write()`] puts that page
//! into a file. [`Evaluation`], [`render_evaluation`] and [`write_evaluation`] do the same for win rates, tables and plots.
//! A page loads nothing: no script, font, picture or style sheet from elsewhere. Curves are inline SVG, colours follow the
//! reader's light or dark preference, and all text is escaped. The same report always gives the same bytes. Nothing is
//! computed here beyond what drawing needs; metrics arrive with their intervals.
//!
//! ```
//! use tropism_report::{Curve, MetricRow, Report, StageReport, render};
//!
//! let report = Report {
//!     experiment: "tiny <dpo>".into(),
//!     seed: 7,
//!     stages: vec![StageReport {
//!         name: "align".into(),
//!         method: "dpo".into(),
//!         curves: vec![Curve { name: "loss".into(), points: vec![(0.0, 0.69), (1.0, 0.61)] }],
//!         ..StageReport::default()
//!     }],
//!     final_metrics: vec![MetricRow::new("win rate", 0.61).with_interval(0.55, 0.67).with_n(200)],
//!     ..Report::default()
//! };
//! let html = render(&report)?;
//! assert!(html.contains("tiny &lt;dpo&gt;") && html.contains("<svg"));
//! # Ok::<(), tropism_report::ReportError>(())
//! ```

mod chart;
mod error;
mod evaluation;
mod format;
mod html;
mod metrics;
mod model;
mod page;
mod panels;
mod pictures;
mod plots;
mod samples;
mod write;

pub use error::ReportError;
pub use evaluation::{Bar, Bin, Cell, Dot, Evaluation, Plot, PlotKind, Sample, Table, render_evaluation};
pub use format::number;
pub use model::{
    Better, ComparisonReport, Curve, MetricRow, PictureForm, PictureSet, Pictures, Report, SampleAnswer, SampleRow,
    StageReport,
};
pub use page::render;
pub use write::{write, write_evaluation};
