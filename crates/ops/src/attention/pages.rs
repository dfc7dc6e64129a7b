//! Cached keys and values of one layer in pages of a fixed number of tokens.
use super::Heads;
use crate::bf16::to_bf16;
use crate::error::{OpsError, same};
use crate::scalar::Scalar;
use crate::simd::{fetch, simd};

/// Tokens of a page.
pub const PAGE: usize = 32;

/// Keys and values of one layer. A sequence is a list of page numbers, so sequences may share pages; who owns which page is
/// the caller's business.
///
/// Numbers are kept as they are or rounded to bf16 ([`Pages::rounded`]), which halves what a step reads; products and sums
/// are in the tensors' type in either case.
///
/// Within a page each head's keys lie as `[dim][token]`, so that a query's scores with all tokens are made side by side, and
/// its values as `[token][dim]`.
#[derive(Clone, Debug)]
pub struct Pages<E> {
    heads: Heads,
    pages: Store<E>,
}

/// Per page: keys, then values, each head by head.
#[derive(Clone, Debug)]
enum Store<E> {
    Whole(Vec<Box<[E]>>),
    Half(Vec<Box<[u16]>>),
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
        Pages { heads, pages: Store::Whole(vec![]) }
    }

    /// No page yet; keys and values are rounded to bf16.
    pub fn rounded(heads: Heads) -> Self {
        Pages { heads, pages: Store::Half(vec![]) }
    }

    /// Number of pages.
    pub fn len(&self) -> usize {
        match &self.pages {
            Store::Whole(pages) => pages.len(),
            Store::Half(pages) => pages.len(),
        }
    }

    /// Whether there is no page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn width(&self) -> usize {
        self.heads.kv_width()
    }

    /// Adds a page; it gets the next number.
    pub fn add_page(&mut self) {
        let size = 2 * PAGE * self.width();
        match &mut self.pages {
            Store::Whole(pages) => pages.push(vec![E::zero(); size].into_boxed_slice()),
            Store::Half(pages) => pages.push(vec![0; size].into_boxed_slice()),
        }
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
        crate::error::below("cache", &[page], self.len(), None)?;
        match &mut self.pages {
            Store::Whole(pages) => put(&mut pages[page], place, d, (keys, values), |x| x),
            Store::Half(pages) => put(&mut pages[page], place, d, (keys, values), |x| to_bf16(x.f() as f32)),
        }
        Ok(())
    }

    /// Copies a whole page onto another.
    ///
    /// # Errors
    /// A page that does not exist.
    pub fn copy(&mut self, from: usize, to: usize) -> Result<(), OpsError> {
        crate::error::below("cache", &[from, to], self.len(), None)?;
        match &mut self.pages {
            Store::Whole(pages) => copy(pages, from, to),
            Store::Half(pages) => copy(pages, from, to),
        }
        Ok(())
    }

    /// One head's keys: a line of tokens per dimension. `room` takes them where they are kept in another form.
    pub(super) fn keys<'a>(&'a self, page: usize, head: usize, room: &'a mut Vec<E>) -> &'a [[E; PAGE]] {
        let d = self.heads.dim;
        self.numbers(page, head * d * PAGE, d * PAGE, room).as_chunks::<PAGE>().0
    }

    /// One head's values of the first `n` tokens, token by token. `room` as in [`Pages::keys`].
    pub(super) fn values<'a>(&'a self, page: usize, head: usize, n: usize, room: &'a mut Vec<E>) -> &'a [E] {
        let d = self.heads.dim;
        self.numbers(page, PAGE * (self.width() + head * d), n * d, room)
    }

    /// Asks for one head's keys or values of a page, which will be read next.
    pub(super) fn fetch(&self, page: usize, head: usize, values: bool) {
        let each = self.heads.dim * PAGE;
        let from = if values { PAGE * self.width() } else { 0 } + head * each;
        match &self.pages {
            Store::Whole(pages) => fetch(&pages[page][from..from + each]),
            Store::Half(pages) => fetch(&pages[page][from..from + each]),
        }
    }

    fn numbers<'a>(&'a self, page: usize, from: usize, n: usize, room: &'a mut Vec<E>) -> &'a [E] {
        match &self.pages {
            Store::Whole(pages) => &pages[page][from..from + n],
            Store::Half(pages) => {
                room.resize(n.max(room.len()), E::zero());
                widen(&pages[page][from..from + n], &mut room[..n]);
                &room[..n]
            }
        }
    }
}

/// Puts one token's keys and values into its place of a page.
fn put<E: Copy, S>(page: &mut [S], place: usize, d: usize, (keys, values): (&[E], &[E]), form: impl Fn(E) -> S) {
    let (k, v) = page.split_at_mut(PAGE * keys.len());
    for (line, &x) in k.chunks_exact_mut(PAGE).zip(keys) {
        line[place] = form(x);
    }
    for (head, x) in v.chunks_exact_mut(PAGE * d).zip(values.chunks_exact(d)) {
        head[place * d..][..d].iter_mut().zip(x).for_each(|(to, &x)| *to = form(x));
    }
}

fn copy<S: Copy>(pages: &mut [Box<[S]>], from: usize, to: usize) {
    if from != to {
        let (a, b) = pages.split_at_mut(from.max(to));
        let (low, high) = (&mut a[from.min(to)], &mut b[0]);
        if from < to { high.copy_from_slice(low) } else { low.copy_from_slice(high) }
    }
}

simd! {
    /// bf16 to the tensors' type
    fn widen<E>(from: &[u16], to: &mut [E]) {
        for (to, &bits) in to.iter_mut().zip(from) { *to = E::of_bf16(bits); }
    }
}
