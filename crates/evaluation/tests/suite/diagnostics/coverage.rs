//! Intervals of correlations cover the truth as often as they say.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tropism_evaluation::Figure;
use tropism_evaluation::ranking::{kendall, pearson, spearman};
use tropism_evaluation::safety::roc;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let mut u = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    (-2.0 * (1.0 - u()).ln()).sqrt() * (std::f64::consts::TAU * u()).cos()
}

#[test]
fn correlations_and_areas() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let r = 0.5f64;
    let pi = std::f64::consts::PI;
    // of a bivariate normal distribution, and of two normal ones at distance 1
    let truths = [r, 6.0 / pi * (r / 2.0).asin(), 2.0 / pi * r.asin(), 0.760_249_938_906_522_8];
    let mut covered = [0; 4];
    for _ in 0..2000 {
        let x: Vec<f64> = (0..40).map(|_| normal(&mut rng)).collect();
        let y: Vec<f64> = x.iter().map(|x| r * x + (1.0 - r * r).sqrt() * normal(&mut rng)).collect();
        let far: Vec<f64> = (0..40).map(|_| 1.0 + normal(&mut rng)).collect();
        let found: [Figure; 4] = [
            pearson(&x, &y).unwrap(),
            spearman(&x, &y).unwrap(),
            kendall(&x, &y).unwrap().tau_b,
            roc(&x, &far).unwrap().auc,
        ];
        covered.iter_mut().zip(found).zip(truths).for_each(|((c, f), t)| *c += usize::from(!f.excludes(t)));
    }
    assert!(covered.iter().all(|c| (1860..=1940).contains(c)), "{covered:?} of 2000");
}
