//! What one seed measured.

/// One measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// what was measured, of which method: `length(dpo)`
    pub name: String,
    /// its unit, such as `tokens` or `nats`; empty for shares and plain numbers
    pub unit: &'static str,
    /// the value
    pub value: f64,
}

/// The figures of one seed, in the order in which a reader wants them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a figure behind the others.
    pub fn push(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.0.push(Figure { name: name.into(), unit, value });
    }

    /// The value of a figure.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter().find(|f| f.name == name).map(|f| f.value)
    }

    /// All figures in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Figure> {
        self.0.iter()
    }

    /// Whether names and units are the same in the same order.
    pub(crate) fn same_names(&self, other: &Self) -> bool {
        let names = |f: &Self| f.iter().map(|f| (f.name.clone(), f.unit)).collect::<Vec<_>>();
        names(self) == names(other)
    }
}
