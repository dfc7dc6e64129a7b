//! The random streams of stages that sample, which stages may share.
use crate::stage::Stage;
use tropism_data::stream::Stream;

/// Where several stages name the same `stream`, each step begins with streams of the step's own: then arms draw alike in every step,
/// however many draws an arm made before. The order of the prompts depends on seed and epoch alone, so that stages with as many
/// prompts and the same `batch_size` see the same ones (but where dynamic sampling asks for more).
impl<O> Stage<O> {
    /// The stream for `what` at the beginning of the stage.
    pub(crate) fn stream(&self, seed: u64, what: &str) -> Stream {
        Stream::new(seed, &format!("{}/{what}", self.stream.as_ref().unwrap_or(&self.name)))
    }

    /// Sets a stream to where `step`, from 0, begins, where it is shared; a stream of the stage's own goes on.
    pub(crate) fn at_step(&self, stream: &mut Stream, what: &str, step: usize) {
        if let Some(name) = &self.stream {
            *stream = Stream::new(stream.state().seed, &format!("{name}/{what}/{step}"));
        }
    }
}
