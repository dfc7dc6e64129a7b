//! Cached keys and values of one layer in pages of a fixed number of tokens.
use super::Heads;
use crate::error::{OpsError, same};
use crate::scalar::Scalar;

/// Tokens of a page.
pub const PAGE: usize = 32;

/// Keys and values of one layer. A sequence is a list of page numbers, so sequences may share pages; who owns which page is
/// the caller's business.
///
/// Within a page each head's keys lie as `[dim][token]`, so that a query's scores with all tokens are made side by side, and
/// its values as `[token][dim]`.
#[derive(Clone, Debug)]
pub struct Pages<E> {
    heads: Heads,
    /// per page: keys, then values, each head by head
    pages: Vec<Box<[E]>>,
}

/// A cached sequence: its pages, all full but the last, and its tokens, the new one included.
#[derive(Clone, Copy, Debug)]
pub struct Paged<'a> {
    /// pages in order, `len / PAGE` rounded up
    pub pages: &'a [usize],
    /// number of tokens
    pub len: usize,
}

impl<E: Scalar> Pages<E> {
    /// No page yet.
    pub fn new(heads: Heads) -> Self {
        Pages { heads, pages: vec![] }
    }

    /// Number of pages.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there is no page.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub(super) fn width(&self) -> usize {
        self.heads.kv_width()
    }

    /// Adds a page; it gets the next number.
    pub fn add_page(&mut self) {
        self.pages.push(vec![E::zero(); 2 * PAGE * self.width()].into_boxed_slice());
    }

    /// Writes one token's keys (after the rotary embedding) and values, `kv_heads * dim` numbers each.
    ///
    /// # Errors
    /// Sizes that disagree, a page or a place in it that does not exist.
    pub fn write(&mut self, page: usize, place: usize, keys: &[E], values: &[E]) -> Result<(), OpsError> {
        let (d, width) = (self.heads.dim, self.width());
        same("cache", "keys of a token", width, keys.len())?;
        same("cache", "values of a token", width, values.len())?;
        crate::error::below("cache", &[place], PAGE, None)?;
        crate::error::below("cache", &[page], self.pages.len(), None)?;
        let (k, v) = self.pages[page].split_at_mut(PAGE * width);
        for (i, &x) in keys.iter().enumerate() {
            k[i * PAGE + place] = x;
        }
        for (head, x) in values.chunks_exact(d).enumerate() {
            v[(head * PAGE + place) * d..][..d].copy_from_slice(x);
        }
        Ok(())
    }

    /// Copies a whole page onto another.
    ///
    /// # Errors
    /// A page that does not exist.
    pub fn copy(&mut self, from: usize, to: usize) -> Result<(), OpsError> {
        crate::error::below("cache", &[from, to], self.pages.len(), None)?;
        if from != to {
            let (a, b) = self.pages.split_at_mut(from.max(to));
            let (low, high) = (&mut a[from.min(to)], &mut b[0]);
            if from < to { high.copy_from_slice(low) } else { low.copy_from_slice(high) }
        }
        Ok(())
    }

    /// One head's keys: a line of tokens per dimension.
    pub(super) fn keys(&self, page: usize, head: usize) -> &[[E; PAGE]] {
        let d = self.heads.dim;
        &self.pages[page].as_chunks::<PAGE>().0[head * d..(head + 1) * d]
    }

    /// One head's values, token by token.
    pub(super) fn values(&self, page: usize, head: usize) -> &[E] {
        let d = self.heads.dim;
        &self.pages[page][PAGE * (self.width() + head * d)..][..PAGE * d]
    }
}
