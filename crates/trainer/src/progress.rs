//! The bar on the terminal.
use crate::metrics::StepMetrics;
use indicatif::{ProgressBar, ProgressStyle};

/// Shows steps, rate, time left, loss and reward accuracy on stderr; silent where that is no terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar of `total` steps that starts at `done`.
    pub fn new(stage: &str, total: usize, done: usize) -> Self {
        let bar = ProgressBar::new(total as u64);
        let form = "{prefix:>10} {bar:30} {pos}/{len} {per_sec} left {eta} {msg}";
        bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(stage.to_owned());
        bar.set_position(done as u64);
        bar.reset_eta();
        Progress(bar)
    }

    /// A bar that is never drawn.
    pub fn hidden() -> Self {
        Progress(ProgressBar::hidden())
    }

    /// After a step.
    pub fn step(&self, m: &StepMetrics) {
        let accuracy = m.figures.get("rewards/accuracies").and_then(serde_json::Value::as_f64);
        let accuracy = accuracy.map_or(String::new(), |a| format!(", accuracy {a:.2}"));
        self.0.set_message(format!("loss {:.4}{accuracy}", m.loss));
        self.0.inc(1);
    }

    /// At the end.
    pub fn finish(&self) {
        self.0.finish();
    }
}
