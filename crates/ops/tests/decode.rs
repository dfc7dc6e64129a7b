//! The sampler's attention over pages: against attention over whole sequences, and shared pages against separate ones.
#![allow(clippy::unwrap_used)]
mod common;
use common::{Matrix, matrix, random};
use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_ops::*;

/// A cache whose sequence i holds the first `lengths[i]` rows of k and v, on pages of its own.
fn filled(k: &Matrix, v: &Matrix, lengths: &[usize], heads: Heads) -> (Pages<f64>, Vec<Vec<usize>>) {
    let (mut cache, width) = (Pages::new(heads), heads.kv_heads * heads.dim);
    let mut pages = vec![];
    for &len in lengths {
        let mut own = vec![];
        for t in 0..len {
            if t % PAGE == 0 {
                own.push(cache.len());
                cache.add_page();
            }
            let at = t * width..(t + 1) * width;
            cache.write(own[t / PAGE], t % PAGE, &data(k)[at.clone()], &data(v)[at]).unwrap();
        }
        pages.push(own);
    }
    (cache, pages)
}

fn paged<'a>(pages: &'a [Vec<usize>], lengths: &[usize]) -> Vec<Paged<'a>> {
    pages.iter().zip(lengths).map(|(pages, &len)| Paged { pages, len }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_cached_step_equals_the_last_row(seed in 0u64..1000, groups in 1usize..6, kv_heads in 1usize..3, dim in 1usize..40,
            lengths in prop::collection::vec(1usize..100, 1..5)) {
        let (dev, heads) = (Cpu::default(), Heads { heads: groups * kv_heads, kv_heads, dim: 2 * dim });
        let (n, wide, width) = (100, heads.heads * heads.dim, kv_heads * heads.dim);
        let (q, k, v) = (matrix(&dev, seed, n, wide), matrix(&dev, seed + 1, n, width), matrix(&dev, seed + 2, n, width));
        let all = attention(q.clone(), k.clone(), v.clone(), &Tree::sequences(&[n]).unwrap(), heads).unwrap().as_vec();
        let (cache, pages) = filled(&k, &v, &lengths, heads);
        let last: Vec<usize> = lengths.iter().map(|l| l - 1).collect();
        let step = decode_attention(&rows(q, &last).unwrap(), &cache, &paged(&pages, &lengths), heads).unwrap().as_vec();
        for (found, at) in step.chunks(wide).zip(last) {
            for (a, b) in found.iter().zip(&all[at * wide..]) {
                prop_assert!((a - b).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn shared_pages_give_the_same_bits(seed in 0u64..1000, common in 0usize..3, heads in 1usize..4,
            tails in prop::collection::vec(1usize..70, 1..20)) {
        let (dev, heads) = (Cpu::default(), Heads { heads, kv_heads: 1, dim: 34 });
        let lengths: Vec<usize> = tails.iter().map(|t| common * PAGE + t).collect();
        let n = lengths.iter().max().copied().unwrap();
        let (k, v) = (matrix(&dev, seed + 1, n, 34), matrix(&dev, seed + 2, n, 34));
        let (cache, mut pages) = filled(&k, &v, &lengths, heads);
        let q = matrix(&dev, seed, tails.len(), heads.heads * 34);
        let alone: Vec<f64> = (0..tails.len()).flat_map(|i| {
            let one = Paged { pages: &pages[i], len: lengths[i] };
            decode_attention(&rows(q.clone(), &[i]).unwrap(), &cache, &[one], heads).unwrap().as_vec()
        }).collect();
        for i in 1..tails.len() {
            let first = pages[0][..common].to_vec();
            pages[i][..common].copy_from_slice(&first);
        }
        prop_assert_eq!(decode_attention(&q, &cache, &paged(&pages, &lengths), heads).unwrap().as_vec(), alone);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let heads = Heads { heads: 6, kv_heads: 3, dim: 64 };
    let lengths = [90, 1, 64, 65, 90, 33];
    let run = |threads| {
        with_threads(threads, || {
            let dev = Cpu::default();
            let (k, v) = (matrix(&dev, 1, 90, 192), matrix(&dev, 2, 90, 192));
            let (cache, pages) = filled(&k, &v, &lengths, heads);
            decode_attention(&matrix(&dev, 3, 6, 384), &cache, &paged(&pages, &lengths), heads).unwrap().as_vec()
        })
        .unwrap()
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn products_by_row_equal_products() {
    let (dev, wide) = (Cpu::default(), |x: &Matrix| x.as_vec());
    let (x, w, r) = (matrix(&dev, 1, 9, 37), matrix(&dev, 2, 21, 37), matrix(&dev, 3, 9, 21));
    let found = wide(&linear_add(x.clone(), &w, r.clone(), Precision::FullByRow).unwrap());
    for (a, b) in found.iter().zip(wide(&linear_add(x, &w, r, Precision::Full).unwrap())) {
        assert!((a - b).abs() < 1e-13);
    }
}

#[test]
fn wrong_caches_are_errors_that_say_so() {
    let (dev, heads) = (Cpu::default(), Heads { heads: 2, kv_heads: 1, dim: 4 });
    let mut cache: Pages<f64> = Pages::new(heads);
    assert!(cache.is_empty());
    cache.add_page();
    let row = random(1, 4);
    assert!(cache.write(0, PAGE, &row, &row).is_err());
    assert!(cache.write(1, 0, &row, &row).is_err());
    assert!(cache.write(0, 0, &row[1..], &row).is_err());
    assert!(cache.copy(0, 1).is_err());
    let error = |pages: &[usize], len| {
        decode_attention(&matrix(&dev, 1, 1, 8), &cache, &[Paged { pages, len }], heads).unwrap_err().to_string()
    };
    assert!(error(&[0], PAGE + 1).contains("pages of a sequence"));
    assert!(error(&[0], 0).contains("tokens of a sequence"));
    assert!(error(&[1], 1).contains("index 1"));
}
