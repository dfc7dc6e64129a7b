//! What the output of a network means.

/// What the output of a network means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise `ε` in `x_t = √ᾱ x₀ + √(1−ᾱ) ε`.
    #[default]
    Noise,
    /// The data `x₀`.
    Data,
    /// `v = √ᾱ ε − √(1−ᾱ) x₀`.
    V,
    /// The velocity `ε − x₀` of a flow, `x_t = (1−t) x₀ + t ε`.
    Velocity,
}
