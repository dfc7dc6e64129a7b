//! Intervals hold the truth as often as they say; resamples depend on the seed alone.
use crate::common::{normal, uniform};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tropism_evaluation::*;

const RUNS: usize = 2000;

/// Share of 2000 runs whose interval holds `truth`, within 2 points of 0.95.
#[track_caller]
fn covers(truth: f64, seed: u64, interval: impl Fn(&mut ChaCha8Rng) -> Figure) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let hits = (0..RUNS).filter(|_| !interval(&mut rng).excludes(truth)).count();
    let share = hits as f64 / RUNS as f64;
    assert!((share - 0.95).abs() <= 0.02, "covers {share}");
}

fn sample(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| normal(rng)).collect()
}

/// Verdicts: won with 0.5, tied with 0.1.
fn verdicts(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    let verdict = |u: f64| if u < 0.5 { 1.0 } else { f64::from(u8::from(u < 0.6)) * 0.5 };
    (0..n).map(|_| verdict(uniform(rng))).collect()
}

#[test]
fn student_of_few() {
    covers(0.0, 1, |rng| mean_interval(&sample(rng, 5)).unwrap());
}

#[test]
fn normal_of_many() {
    covers(0.0, 2, |rng| normal_interval(&sample(rng, 200), 0.95).unwrap());
}

#[test]
fn wilson_of_a_share() {
    covers(0.3, 3, |rng| wilson((0..60).filter(|_| uniform(rng) < 0.3).count(), 60).unwrap());
}

#[test]
fn bootstraps_of_a_win_rate() {
    for (seed, kind) in [(4, BootstrapKind::Percentile), (5, BootstrapKind::Bca)] {
        covers(0.55, seed, |rng| {
            let x = verdicts(rng, 200);
            Bootstrap { resamples: 1000, seed: rng.get_word_pos() as u64, kind, ..Bootstrap::default() }.mean(&x).unwrap()
        });
    }
}

#[test]
fn bootstraps_of_a_mean_of_reals() {
    for (seed, kind) in [(6, BootstrapKind::Percentile), (7, BootstrapKind::Bca)] {
        covers(0.0, seed, |rng| {
            let x = sample(rng, 100);
            Bootstrap { resamples: 500, seed: rng.get_word_pos() as u64, kind, ..Bootstrap::default() }.mean(&x).unwrap()
        });
    }
}

#[test]
fn bootstrap_over_clusters() {
    // 60 prompts with 4 answers that share most of their spread
    let clusters: Vec<usize> = (0..240).map(|i| i / 4).collect();
    covers(0.0, 8, |rng| {
        let shared = sample(rng, 60);
        let x: Vec<f64> = clusters.iter().map(|&c| shared[c] + 0.3 * normal(rng)).collect();
        let b = Bootstrap { resamples: 400, seed: rng.get_word_pos() as u64, ..Bootstrap::default() };
        b.clustered_mean(&x, &clusters).unwrap()
    });
}

#[test]
fn ratings_by_their_information() {
    let truth = [0.6, 0.0, -0.6];
    let options = BradleyTerry { bootstrap: None, ..BradleyTerry::default() };
    let centred = options.scale.per_nat() * 0.6 + 1000.0;
    covers(centred, 12, |rng| {
        let battles: Vec<Battle> = (0..180)
            .map(|i| ([(0, 1), (1, 2), (2, 0)][i % 3], uniform(rng)))
            .map(|((a, b), u)| Battle { a, b, score: f64::from(u8::from(u < sigmoid(truth[a] - truth[b]))) })
            .collect();
        bradley_terry(3, &battles, &options).unwrap().ratings[0].rating
    });
}

#[test]
fn kappa_of_two_raters() {
    // three labels; the second rater repeats the first with 0.6, else draws anew: kappa is 0.6
    let label = |u: f64| [0.5, 0.8].iter().filter(|e| u > **e).count();
    covers(0.6, 13, |rng| {
        let a: Vec<usize> = (0..200).map(|_| label(uniform(rng))).collect();
        let b: Vec<usize> = a.iter().map(|&a| if uniform(rng) < 0.6 { a } else { label(uniform(rng)) }).collect();
        cohen_kappa(&a, &b).unwrap().unwrap()
    });
}

#[test]
fn clusters_are_drawn_whole() {
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    let shared = sample(&mut rng, 50);
    let clusters: Vec<usize> = (0..200).map(|i| i % 50).collect();
    let x: Vec<f64> = clusters.iter().map(|&c| shared[c] + 0.2 * normal(&mut rng)).collect();
    let b = Bootstrap { resamples: 20_000, ..Bootstrap::default() };
    let drawn = b.clusters(&clusters, |rows| rows.iter().map(|&i| x[i]).sum::<f64>() / rows.len() as f64).unwrap();
    let means = b.clustered_mean(&x, &clusters).unwrap();
    assert_eq!((drawn.n, means.n), (50, 50));
    assert!((drawn.low - means.low).abs() < 0.01 && (drawn.high - means.high).abs() < 0.01, "{drawn} {means}");
}

#[test]
fn drawing_counts_and_drawing_rows_agree_in_law() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let x = verdicts(&mut rng, 150);
    let b = Bootstrap { resamples: 40_000, ..Bootstrap::default() };
    let counts = b.mean(&x).unwrap();
    let rows = b.rows(x.len(), |rows| rows.iter().map(|&i| x[i]).sum::<f64>() / x.len() as f64).unwrap();
    assert!((counts.low - rows.low).abs() < 0.004 && (counts.high - rows.high).abs() < 0.004, "{counts} {rows}");
}

#[test]
fn resamples_do_not_depend_on_threads() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let (x, y) = (sample(&mut rng, 500), verdicts(&mut rng, 500));
    let clusters: Vec<usize> = (0..500).map(|i| i / 4).collect();
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        // many levels, so that a change of any resample shows
        let at = |level: f64| {
            let b = Bootstrap { seed: 11, level, ..Bootstrap::default() };
            let median = b.statistic(&x, |x| quantile(x, 0.5).unwrap()).unwrap();
            let drawn = b.clusters(&clusters, |rows| rows.iter().map(|&i| x[i]).sum::<f64>() / rows.len() as f64).unwrap();
            [b.mean(&x).unwrap(), b.mean(&y).unwrap(), median, drawn]
        };
        pool.install(|| [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99].map(at))
    };
    let one = all(1);
    assert_eq!(one, all(2));
    assert_eq!(one, all(5));
    let other = Bootstrap { seed: 12, ..Bootstrap::default() }.mean(&x).unwrap();
    let same = one[6][0];
    assert_ne!((same.low, same.high), (other.low, other.high));
}
