//! What all worlds draw alike: the split of their tasks, and the order of a corpus.

use std::sync::Arc;

use tropism_data::record::{Message, Source, Text};
use tropism_data::stream::Stream;

use crate::WorldError;

/// Tasks split at random into training and test tasks, each in the order of `tasks`.
pub(crate) fn split<T: Clone>(
    world: &'static str,
    tasks: &[T],
    test_fraction: f64,
    seed: u64,
) -> Result<(Vec<T>, Vec<T>), WorldError> {
    if !(test_fraction > 0.0 && test_fraction < 1.0) {
        let (value, expected) = (test_fraction.to_string(), "between 0 and 1, both excluded");
        return Err(WorldError::BadValue { world, key: "test_fraction", value, expected });
    }
    let size = (test_fraction * tasks.len() as f64).round() as usize;
    if size == 0 || size >= tasks.len() {
        return Err(WorldError::EmptySide { world, fraction: test_fraction, tasks: tasks.len() });
    }
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    Stream::new(seed, &format!("{world}/split")).shuffle(&mut order);
    let mut in_test = vec![false; order.len()];
    for &index in &order[..size] {
        in_test[index] = true;
    }
    let side = |test: bool| tasks.iter().zip(&in_test).filter(|pair| *pair.1 == test).map(|pair| pair.0.clone()).collect();
    Ok((side(false), side(true)))
}

/// `n` tasks: all of them in a shuffled order, then again in another one, and so on.
pub(crate) fn rounds<'a, T>(
    world: &'static str,
    tasks: &'a [T],
    n: usize,
    stream: &mut Stream,
) -> Result<Vec<&'a T>, WorldError> {
    if tasks.is_empty() {
        return Err(WorldError::NoTasks { world });
    }
    let mut order = Vec::with_capacity(n);
    while order.len() < n {
        let mut round: Vec<&T> = tasks.iter().collect();
        stream.shuffle(&mut round);
        round.truncate(n - order.len());
        order.append(&mut round);
    }
    Ok(order)
}

/// The name under which a world's records stand, in place of a file.
pub(crate) fn file(world: &str) -> Arc<str> {
    Arc::from(format!("world:{world}"))
}

/// Where a drawn record stands.
pub(crate) fn source(file: &Arc<str>, index: usize) -> Source {
    Source { file: Arc::clone(file), row: index + 1, line: None }
}

/// A conversation of one message.
pub(crate) fn message(role: &str, content: &str) -> Text {
    Text::Chat(vec![Message::new(role, content)])
}
