//! Figures that need the whole distribution over the vocabulary at each token.

/// A figure per token of the next-token distributions of several models, such as a divergence.
///
/// Logits of all tokens over the whole vocabulary are too many to keep. So the figure reads them chunk by chunk: in each of
/// its [`passes`](Self::passes) it is shown all chunks of a token's logits in order, the same ids of every model at once, and
/// keeps what it needs in [`Token`](Self::Token): log-sum-exps first, then sums that need these. In the end it gives
/// [`value`](Self::value), and, chunk by chunk again, the gradient in the logits of the model that is trained.
///
/// Model 0 is the one that is trained; the others are constants. All numbers are f64; logits must be finite.
///
/// ```
/// use tropism_core::VocabularyFigure;
///
/// /// The largest logit of the trained model.
/// struct Largest;
///
/// impl VocabularyFigure for Largest {
///     type Token = f64;
///     fn models(&self) -> usize { 1 }
///     fn passes(&self) -> usize { 1 }
///     fn start(&self) -> f64 { f64::NEG_INFINITY }
///     fn read(&self, _: usize, token: &mut f64, logits: &[&[f64]]) {
///         *token = logits[0].iter().copied().fold(*token, f64::max);
///     }
///     fn value(&self, token: &f64) -> f64 { *token }
///     fn slopes(&self, token: &f64, logits: &[&[f64]], slopes: &mut [f64]) {
///         slopes.iter_mut().zip(logits[0]).for_each(|(s, z)| *s = f64::from(u8::from(z == token)));
///     }
/// }
/// assert_eq!(Largest.of_row(&[&[1.0, 3.0, 2.0]]), (3.0, vec![0.0, 1.0, 0.0]));
/// ```
pub trait VocabularyFigure: Send + Sync + 'static {
    /// What is known of one token so far.
    type Token: Clone + Send + Sync + 'static;

    /// How many models' logits are read.
    fn models(&self) -> usize;

    /// How often all chunks are read; at least 1.
    fn passes(&self) -> usize;

    /// A token before the first pass.
    fn start(&self) -> Self::Token;

    /// Takes in a chunk of each model's logits.
    fn read(&self, pass: usize, token: &mut Self::Token, logits: &[&[f64]]);

    /// The figure, after the last pass.
    fn value(&self, token: &Self::Token) -> f64;

    /// Writes the gradient of the figure in a chunk of model 0's logits, after the last pass.
    fn slopes(&self, token: &Self::Token, logits: &[&[f64]], slopes: &mut [f64]);

    /// A token's figure, and its gradient in model 0's logits, from one chunk that holds the whole vocabulary.
    fn of_row(&self, logits: &[&[f64]]) -> (f64, Vec<f64>) {
        let mut token = self.start();
        (0..self.passes()).for_each(|pass| self.read(pass, &mut token, logits));
        let mut slopes = vec![0.0; logits.first().map_or(0, |row| row.len())];
        self.slopes(&token, logits, &mut slopes);
        (self.value(&token), slopes)
    }
}
