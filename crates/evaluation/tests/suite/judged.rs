//! Win rates, Arena-Hard, MT-Bench, positions, agreement, tables of pairs.
use crate::common::{all_close, close, golden, list, normal, numbers, uniform};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tropism_evaluation::*;

const SCORES: [f64; 10] = [1.0, 1.0, 0.5, 0.0, 1.0, 1.0, 0.0, 0.5, 1.0, 0.0];

fn boot() -> Bootstrap {
    Bootstrap::default()
}

#[test]
fn win_rate_of_verdicts() {
    let w = WinRate::of(&SCORES, &boot()).unwrap();
    assert_eq!((w.wins, w.ties, w.losses), (5, 2, 3));
    close(w.rate.value, 0.6, 1e-12);
    close(w.standard_error, 0.145297, 1e-6);
    let d = w.decided.unwrap();
    all_close(&[d.value, d.low, d.high], &[0.625, 0.305742, 0.863156], 1e-6);
    all_close(&w.fastchat_rates(), &[0.5, 0.3, 0.6], 1e-12);
    let turned = WinRate::of(&SCORES.map(|s| 1.0 - s), &boot()).unwrap();
    close(turned.rate.value, 0.4, 1e-12);
    assert_eq!(WinRate::of(&[0.5; 4], &boot()).unwrap().decided, None);
    // a judge's probabilities: 0.7 counts as won in the discrete rate
    let soft = WinRate::of(&[0.7, 0.2, 0.5], &boot()).unwrap();
    close(soft.rate.value, 1.4 / 3.0, 1e-12);
    close(soft.discrete, 0.5, 1e-12);
    let clustered = WinRate::by_prompt(&SCORES, &[0, 0, 1, 1, 2, 2, 3, 3, 4, 4], &boot()).unwrap();
    assert_eq!((clustered.rate.n, clustered.wins), (5, 5));
    close(clustered.rate.value, 0.6, 1e-12);
}

#[test]
fn stored_preferences() {
    for (p, s) in [(1.0, 0.0), (2.0, 1.0), (1.5, 0.5), (0.0, 0.5), (1.73, 0.73)] {
        close(preference_score(p).unwrap(), s, 1e-12);
    }
    assert!(preference_score(2.5).unwrap_err().to_string().contains("preference is 2.5"));
    assert!(preference_score(f64::NAN).is_err());
    assert!(WinRate::of(&[1.5], &boot()).unwrap_err().to_string().contains("score is 1.5"));
}

#[test]
fn worked_arena_hard() {
    use ArenaVerdict::{ABetter, BBetter, BMuchBetter, Tie};
    let game = |baseline_first, model_first| ArenaGame { baseline_first, model_first };
    let games = [game(BMuchBetter, ABetter), game(Tie, ABetter), game(ABetter, BBetter)];
    let options = ArenaHard::default();
    let copies: Vec<f64> = games.iter().flat_map(|g| options.copies(g)).collect();
    let mut sorted = copies.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(sorted, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]);
    for unit in [ArenaUnit::Copies, ArenaUnit::Prompts] {
        close(arena_hard(&games, &ArenaHard { unit, ..options }).unwrap().value, 0.6875, 1e-12);
    }
    // with one opponent, Bradley and Terry's win probability is the mean
    let bt = BradleyTerry { bootstrap: None, ..BradleyTerry::default() };
    let fit = bradley_terry(2, &options.battles(&games, 1, 0), &bt).unwrap();
    close(fit.win_probability(1, 0).unwrap(), 0.6875, 1e-10);
    let read: ArenaVerdict = serde_json::from_str("\"A<<B\"").unwrap();
    assert_eq!((read, serde_json::to_string(&read).unwrap().as_str()), (BMuchBetter, "\"B>>A\""));
    assert!(arena_hard(&[], &options).unwrap_err().to_string().contains("games is empty"));
    assert!(arena_hard(&games, &ArenaHard { strong: 0, ..options }).is_err());
}

#[test]
fn copies_are_too_sure_of_themselves() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let verdict = |win: bool| if win { ArenaVerdict::AMuchBetter } else { ArenaVerdict::BMuchBetter };
    let games: Vec<ArenaGame> = (0..300)
        .map(|_| uniform(&mut rng) < 0.6)
        .map(|win| ArenaGame { model_first: verdict(win), baseline_first: verdict(!win) })
        .collect();
    let width = |unit| {
        let bootstrap = Bootstrap { resamples: 2000, level: 0.9, ..boot() };
        let f = arena_hard(&games, &ArenaHard { unit, bootstrap, ..ArenaHard::default() }).unwrap();
        f.high - f.low
    };
    // six copies of each verdict
    let ratio = width(ArenaUnit::Prompts) / width(ArenaUnit::Copies);
    assert!((ratio / 6f64.sqrt() - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn mt_bench_averages() {
    let row = |question, turn, category: &str, rating| MtBenchRow { question, turn, category: category.into(), rating };
    let rows = [
        row(81, 1, "writing", 9.0),
        row(81, 2, "writing", 7.0),
        row(101, 1, "reasoning", 4.0),
        row(101, 2, "reasoning", -1.0),
        row(111, 1, "math", 6.0),
        row(111, 2, "math", 2.0),
    ];
    let m = mt_bench(&rows, &boot()).unwrap();
    close(m.score.value, 28.0 / 5.0, 1e-12);
    close(m.turns[&1].value, 19.0 / 3.0, 1e-12);
    close(m.turns[&2].value, 4.5, 1e-12);
    close(m.categories["writing"].value, 8.0, 1e-12);
    assert_eq!((m.unparsed, m.score.n, m.turns[&2].n), (1, 3, 2));
    let bad = [row(1, 1, "math", 0.0)];
    assert!(mt_bench(&bad, &boot()).unwrap_err().to_string().contains("rows[0]: rating 0"));
    assert!(mt_bench(&[row(1, 1, "math", -1.0)], &boot()).is_err());
    let pairs = [(8.0, 7.9), (8.0, 7.8), (3.0, 3.0), (2.0, 9.0), (7.9, 8.0)];
    let found: Vec<f64> = pairs.iter().map(|&(a, b)| mt_bench_pair(a, b).unwrap()).collect();
    assert_eq!(found, [0.5, 1.0, 0.5, 0.0, 0.5]);
    assert!(mt_bench_pair(-1.0, 5.0).is_err());
}

#[test]
fn positions() {
    let (first, second) = ([1.0, 1.0, 0.0, 0.5, 1.0, 0.0], [1.0, 0.0, 0.0, 0.5, 0.5, 1.0]);
    let b = position_bias(&first, &second, &boot()).unwrap();
    // the answer shown first: 1 and 0, 1 and 1, 0 and 1, tie twice, 1 and tie, 0 and 0
    close(b.bias.value, 0.5 * (1.0 + 2.0 + 1.0 + 1.0 + 1.5 + 0.0) / 6.0 - 0.5, 1e-12);
    close(b.consistency.value, 0.5, 1e-12);
    assert_eq!((b.favours_first, b.favours_second), (2, 1));
    close(b.p, 1.0, 1e-12);
    let conservative: Vec<f64> = first.iter().zip(&second).map(|(f, s)| SwapRule::Conservative.combine(*f, *s)).collect();
    assert_eq!(conservative, [1.0, 0.5, 0.0, 0.5, 0.5, 0.5]);
    let average: Vec<f64> = first.iter().zip(&second).map(|(f, s)| SwapRule::Average.combine(*f, *s)).collect();
    assert_eq!(average, [1.0, 0.5, 0.0, 0.5, 0.75, 0.5]);
    // a judge that always takes the first answer
    let biased = position_bias(&[1.0; 12], &[0.0; 12], &boot()).unwrap();
    assert_eq!((biased.bias.value, biased.consistency.value, biased.favours_first), (0.5, 0.0, 12));
    assert!(biased.p < 0.001);
    assert!(position_bias(&[1.0], &[], &boot()).is_err());
}

#[test]
fn agreement_with_people() {
    // the worked labels of Cohen's kappa
    let (a, b) = ([0, 1, 1, 2, 0, 1, 2, 0], [0, 1, 0, 2, 0, 1, 1, 0]);
    close(cohen_kappa(&a, &b).unwrap().unwrap().value, 0.609756, 1e-6);
    let verdicts = |x: &[usize]| x.iter().map(|i| [Verdict::A, Verdict::Tie, Verdict::B][*i]).collect::<Vec<_>>();
    let found = agreement(&verdicts(&a), &verdicts(&b)).unwrap();
    close(found.all.value, 0.75, 1e-12);
    assert_eq!((found.all.n, found.decided.unwrap().n, found.decided.unwrap().value), (8, 4, 1.0));
    close(found.kappa.unwrap().value, (0.75 - 0.359375) / (1.0 - 0.359375), 1e-12);
    for c in list(&golden("ratings.json")["kappa"]) {
        let labels = |v| numbers(v).iter().map(|l| *l as usize).collect::<Vec<_>>();
        let k = cohen_kappa(&labels(&c["a"]), &labels(&c["b"])).unwrap().unwrap();
        close(k.value, c["kappa"].as_f64().unwrap(), 1e-12);
        close((k.high - k.value) / 1.959963984540054, c["se"].as_f64().unwrap(), 1e-12);
    }
    assert_eq!(cohen_kappa(&[1, 1], &[1, 1]).unwrap(), None);
    assert!(cohen_kappa::<u8>(&[], &[]).is_err());
    use Verdict::{A, B, Tie};
    assert_eq!(
        [majority(&[A, A, B]).unwrap(), majority(&[A, B]).unwrap(), majority(&[A, B, Tie, Tie]).unwrap()],
        [A, Tie, Tie]
    );
    assert!(majority(&[]).is_err());
    let m = mutual_agreement(&[vec![A, A, B], vec![B, B], vec![A]]).unwrap();
    close(m.value, 0.5 * (1.0 / 3.0 + 1.0), 1e-12);
    assert_eq!(m.n, 2);
    assert!(mutual_agreement(&[vec![A]]).is_err());
}

#[test]
fn tables_of_pairs() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut column = |by: f64| (0..200).map(|_| normal(&mut rng) + by).collect::<Vec<_>>();
    let models = [column(0.0), column(0.0), column(0.0), column(1.0)];
    let scores: Vec<&[f64]> = models.iter().map(Vec::as_slice).collect();
    for test in [PairedTest::T, PairedTest::Sign, PairedTest::Wilcoxon, PairedTest::SignFlip { draws: 2000, seed: 1 }] {
        let all = compare_all(&scores, test).unwrap();
        assert_eq!(all.len(), 6);
        for c in &all {
            assert!(c.test.p <= c.benjamini_hochberg && c.benjamini_hochberg <= c.holm, "{c:?}");
            assert_eq!(c.holm < 0.05, c.b == 3, "{test:?} {c:?}");
        }
        let with = compare_with(&scores, 3, test).unwrap();
        assert_eq!(with.iter().map(|c| (c.a, c.b)).collect::<Vec<_>>(), [(0, 3), (1, 3), (2, 3)]);
        assert!(with[0].test.difference.value < -0.7);
    }
    assert!(compare_all(&scores[..1], PairedTest::T).unwrap_err().to_string().contains("models is 1"));
    assert!(compare_with(&scores, 4, PairedTest::T).is_err());
    assert!(compare_all(&[&[1.0, 2.0], &[1.0]], PairedTest::T).unwrap_err().to_string().contains("scores of a model"));
}

#[test]
fn paired_errors_are_smaller_where_outcomes_go_together() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let shared: Vec<f64> = (0..300).map(|_| normal(&mut rng)).collect();
    let mut with = |by: f64| shared.iter().map(|s| s + by + 0.5 * normal(&mut rng)).collect::<Vec<_>>();
    let (a, b) = (with(0.1), with(0.0));
    let t = paired_t(&a, &b).unwrap();
    let paired = t.difference.value / t.statistic;
    assert!(paired < 0.6 * standard_error(&a).unwrap().hypot(standard_error(&b).unwrap()));
}
