//! What a report shows, as plain data.

use serde::{Deserialize, Serialize};

/// Everything on the page. Empty parts are left out of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    /// Name of the experiment; the page's title.
    pub experiment: String,
    /// Seed of the run.
    pub seed: u64,
    /// Facts about the run as label and text: model size, data, time.
    pub summary: Vec<(String, String)>,
    /// The resolved configuration.
    pub config_toml: String,
    /// Stages in the order in which they ran.
    pub stages: Vec<StageReport>,
    /// Metrics of the final model; the first is the headline.
    pub final_metrics: Vec<MetricRow>,
    /// Stages against baselines.
    pub comparisons: Vec<ComparisonReport>,
    /// Prompts with the answers of several stages side by side.
    pub samples: Vec<SampleRow>,
    /// Samples of the stages as pictures.
    pub pictures: Vec<Pictures>,
    /// The data audit as label and text: what was kept, dropped, cut.
    pub audit: Vec<(String, String)>,
}

/// One stage of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageReport {
    /// Name of the stage in the configuration.
    pub name: String,
    /// Its training method.
    pub method: String,
    /// Metrics of the model after the stage.
    pub metrics: Vec<MetricRow>,
    /// Training curves. Names with a common part before `/` share a chart.
    pub curves: Vec<Curve>,
}

/// A stage against a baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComparisonReport {
    /// The stage.
    pub stage: String,
    /// What it is compared with.
    pub baseline: String,
    /// Win rate, and differences of metrics.
    pub metrics: Vec<MetricRow>,
}

/// A metric with its interval, where there is one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricRow {
    /// Name of the metric.
    pub name: String,
    /// Its value; NaN (`null` in JSON) is shown as missing.
    #[serde(with = "nullable")]
    pub value: f64,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// Number of observations.
    pub n: Option<u64>,
    /// Which direction is the good one, where there is one.
    pub better: Option<Better>,
    /// How value and interval were computed, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// The good direction of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Higher is better.
    Higher,
    /// Lower is better.
    Lower,
}

/// A training curve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Curve {
    /// Name of the figure, for instance `loss` or `rewards/chosen`.
    pub name: String,
    /// Step and value; values that are not finite (`null` in JSON) or beyond ±1e30 are skipped with
    /// a note.
    #[serde(with = "nullable_points")]
    pub points: Vec<(f64, f64)>,
}

/// Samples of several stages, drawn alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pictures {
    /// What is shown.
    pub title: String,
    /// What to look for.
    pub note: String,
    /// How a sample's numbers become a picture.
    pub form: PictureForm,
    /// The samples of each stage.
    pub sets: Vec<PictureSet>,
}

/// How the numbers of a sample become a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureForm {
    /// The first two are a place in the plane.
    #[default]
    Points,
    /// Grey cells from −1 (paper) to 1 (ink), frame by frame, row by row; a clip is a strip of its frames.
    Images {
        /// Frames; 1 for a still.
        frames: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// Horizontal middle and width of boxes of height 1, from below.
    Boxes,
}

/// The samples of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PictureSet {
    /// The stage.
    pub stage: String,
    /// Its samples; those with a number that is not finite are left out.
    pub samples: Vec<Vec<f64>>,
    /// A line below them.
    pub note: String,
}

/// A prompt and what the stages answer to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleRow {
    /// The prompt.
    pub prompt: String,
    /// Answers in the order of the stages.
    pub answers: Vec<SampleAnswer>,
}

/// The answer of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleAnswer {
    /// The stage that answers.
    pub stage: String,
    /// The answer.
    pub text: String,
    /// Its reward, where it was scored.
    pub reward: Option<f64>,
}

impl MetricRow {
    /// A metric without interval.
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value, ..Self::default() }
    }

    /// Sets the interval.
    #[must_use]
    pub fn with_interval(self, low: f64, high: f64) -> Self {
        Self { low: Some(low), high: Some(high), ..self }
    }

    /// Sets the number of observations.
    #[must_use]
    pub fn with_n(self, n: u64) -> Self {
        Self { n: Some(n), ..self }
    }

    /// Sets the method.
    #[must_use]
    pub fn with_method(self, method: impl Into<String>) -> Self {
        Self { method: Some(method.into()), ..self }
    }

    /// Sets the good direction.
    #[must_use]
    pub fn with_better(self, better: Better) -> Self {
        Self { better: Some(better), ..self }
    }
}

/// NaN as `null`: JSON has no other way to say it, and writes it so by itself.
mod nullable {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(*value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(d)?.unwrap_or(f64::NAN))
    }
}

/// The same for curves.
mod nullable_points {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(points: &[(f64, f64)], s: S) -> Result<S::Ok, S::Error> {
        points.serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(f64, f64)>, D::Error> {
        let points = Vec::<(Option<f64>, Option<f64>)>::deserialize(d)?;
        let nan = |v: Option<f64>| v.unwrap_or(f64::NAN);
        Ok(points.into_iter().map(|(step, value)| (nan(step), nan(value))).collect())
    }
}
