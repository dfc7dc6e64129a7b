//! Pages of keys and values, shared by reference count.
use crate::error::LmError;
use tropism_ops::{Heads, PAGE, Paged, Pages, Scalar};

/// A cached sequence.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    pub(super) pages: Vec<usize>,
    pub(super) len: usize,
}

impl Sequence {
    /// Its first `len` tokens.
    pub(super) fn paged(&self, len: usize) -> Paged<'_> {
        Paged { pages: &self.pages[..len.div_ceil(PAGE)], len }
    }
}

/// Where a token's keys and values go: page and place in it.
pub(super) type Place = (usize, usize);

/// The pages of all layers. Page i of every layer belongs together; a page that nobody holds any more is used again.
pub(super) struct Cache<E> {
    layers: Vec<Pages<E>>,
    holders: Vec<usize>,
    free: Vec<usize>,
}

impl<E: Scalar> Cache<E> {
    /// `rounded`: keys and values in bf16.
    pub(super) fn new(layers: usize, heads: Heads, rounded: bool) -> Self {
        let pages = if rounded { Pages::rounded(heads) } else { Pages::new(heads) };
        Cache { layers: vec![pages; layers], holders: vec![], free: vec![] }
    }

    pub(super) fn layer(&self, layer: usize) -> &Pages<E> {
        &self.layers[layer]
    }

    /// Number of pages that exist.
    #[cfg(test)]
    pub(super) fn pages(&self) -> usize {
        self.holders.len()
    }

    fn page(&mut self) -> usize {
        let page = self.free.pop().unwrap_or_else(|| {
            self.layers.iter_mut().for_each(Pages::add_page);
            self.holders.push(0);
            self.holders.len() - 1
        });
        self.holders[page] = 1;
        page
    }

    /// Makes room for one more token of a sequence. A last page that others hold too is copied first: so sequences part.
    pub(super) fn append(&mut self, sequence: &mut Sequence) -> Result<Place, LmError> {
        let place = sequence.len % PAGE;
        if place == 0 {
            let page = self.page();
            sequence.pages.push(page);
        } else if let Some(last) = sequence.pages.last_mut().filter(|p| self.holders[**p] > 1) {
            let (old, new) = (*last, self.page());
            self.layers.iter_mut().try_for_each(|layer| layer.copy(old, new))?;
            self.holders[old] -= 1;
            *last = new;
        }
        sequence.len += 1;
        Ok((sequence.pages.last().copied().unwrap_or_default(), place))
    }

    /// Writes rows of keys and values of one layer, a row per place.
    pub(super) fn write(&mut self, layer: usize, places: &[Place], keys: &[E], values: &[E]) -> Result<(), LmError> {
        let width = keys.len() / places.len().max(1);
        for ((&(page, place), k), v) in places.iter().zip(keys.chunks_exact(width)).zip(values.chunks_exact(width)) {
            self.layers[layer].write(page, place, k, v)?;
        }
        Ok(())
    }

    /// A second sequence on the same pages.
    pub(super) fn fork(&mut self, sequence: &Sequence) -> Sequence {
        sequence.pages.iter().for_each(|&p| self.holders[p] += 1);
        Sequence { pages: sequence.pages.clone(), len: sequence.len }
    }

    /// Gives a sequence's pages back.
    pub(super) fn release(&mut self, sequence: &mut Sequence) {
        for page in sequence.pages.drain(..) {
            self.holders[page] -= 1;
            if self.holders[page] == 0 {
                self.free.push(page);
            }
        }
        sequence.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_share_full_pages_and_part_on_the_last() -> Result<(), LmError> {
        let mut cache: Cache<f32> = Cache::new(2, Heads { heads: 1, kv_heads: 1, dim: 2 }, false);
        let mut a = Sequence::default();
        for _ in 0..PAGE + 3 {
            cache.append(&mut a)?;
        }
        let mut b = cache.fork(&a);
        assert_eq!(cache.append(&mut b)?, (2, 3));
        assert_eq!((&a.pages[..], &b.pages[..]), (&[0, 1][..], &[0, 2][..]));
        // the first is alone on its last page again
        assert_eq!(cache.append(&mut a)?, (1, 3));
        cache.release(&mut a);
        assert_eq!((cache.holders.as_slice(), cache.free.as_slice()), (&[1, 0, 1][..], &[1][..]));
        cache.release(&mut b);
        let mut c = Sequence::default();
        cache.append(&mut c)?;
        assert_eq!(cache.pages(), 3);
        Ok(())
    }
}
