//! The number of rows of every strategy in closed form, over random lists with ties.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::Strategy;
use tropism_data::construct::*;

use crate::support::{list, scores};

/// Sizes of the groups of equal scores.
fn groups(values: &[f64]) -> Vec<usize> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    values.iter().for_each(|value| *counts.entry((value * 2.0) as i64).or_default() += 1);
    counts.into_values().collect()
}

fn pairs_of(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// What holds for every pair of every strategy that sorts by score.
fn sound(links: &Links, values: &[f64]) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::new();
    for link in &links.links {
        prop_assert!(values[link.chosen] >= values[link.rejected]);
        prop_assert_ne!(link.chosen, link.rejected);
        prop_assert_eq!(link.gap, values[link.chosen] - values[link.rejected]);
        prop_assert_eq!(link.tie, link.gap == 0.0);
        prop_assert!(seen.insert((link.chosen.min(link.rejected), link.chosen.max(link.rejected))), "a pair stands twice");
    }
    Ok(())
}

fn ties() -> impl Strategy<Value = Ties> {
    prop_oneof![Just(Ties::Drop), Just(Ties::HalfLabel), Just(Ties::Keep(0.5))]
}

proptest! {
    #[test]
    fn best_against_worst(values in scores(), ties in ties()) {
        let links = best_worst(&list(&values), &BestWorst { ties, tie_margin: 0.0 });
        sound(&links, &values)?;
        let kept = values.len() > 1 && (groups(&values).len() > 1 || ties != Ties::Drop);
        prop_assert_eq!(links.links.len(), usize::from(kept));
        prop_assert_eq!(links.ties, usize::from(values.len() > 1 && !kept));
        if let [link] = links.links[..] {
            prop_assert!(values.iter().all(|&v| v <= values[link.chosen] && v >= values[link.rejected]));
        }
    }

    #[test]
    fn best_against_a_random_one(values in scores(), seed in any::<u64>(), ties in ties()) {
        let lower = BestRandom { rejected: Rejected::Lower, ties, tie_margin: 0.0 };
        let links = best_random(&list(&values), &lower, seed);
        sound(&links, &values)?;
        prop_assert_eq!(links.links.len(), usize::from(groups(&values).len() > 1));
        prop_assert!(links.links.iter().all(|link| !link.tie));
        let any = BestRandom { rejected: Rejected::Any, ..lower };
        let links = best_random(&list(&values), &any, seed);
        sound(&links, &values)?;
        prop_assert_eq!(links.links.len() + links.ties, usize::from(values.len() > 1));
        prop_assert_eq!(best_random(&list(&values), &any, seed), links);
    }

    #[test]
    fn every_pair(values in scores()) {
        let n = values.len();
        let tied: usize = groups(&values).into_iter().map(pairs_of).sum();
        let dropped = all_pairs(&list(&values), &AllPairs::default());
        sound(&dropped, &values)?;
        prop_assert_eq!((dropped.links.len(), dropped.ties), (pairs_of(n) - tied, tied));
        for ties in [Ties::HalfLabel, Ties::Keep(0.25)] {
            let kept = all_pairs(&list(&values), &AllPairs { ties, tie_margin: 0.0 });
            sound(&kept, &values)?;
            prop_assert_eq!((kept.links.len(), kept.ties), (pairs_of(n), 0));
            prop_assert_eq!(kept.links.iter().filter(|link| link.tie).count(), tied);
        }
    }

    #[test]
    fn neighbours(values in scores()) {
        let distinct = groups(&values).len();
        let dropped = adjacent(&list(&values), &Adjacent::default());
        sound(&dropped, &values)?;
        prop_assert_eq!(dropped.links.len(), distinct.saturating_sub(1));
        prop_assert_eq!(dropped.ties, values.len() - distinct);
        let total: f64 = dropped.links.iter().map(|link| link.gap).sum();
        let span = values.iter().copied().fold(f64::MIN, f64::max) - values.iter().copied().fold(f64::MAX, f64::min);
        prop_assert!(values.is_empty() || (total - span).abs() < 1e-12);
        let kept = adjacent(&list(&values), &Adjacent { ties: Ties::HalfLabel, tie_margin: 0.0 });
        prop_assert_eq!(kept.links.len(), values.len().saturating_sub(1));
    }

    #[test]
    fn gaps_within_bounds(values in scores(), min in 1u8..4, wide in prop::option::of(0u8..3)) {
        let (min, max) = (f64::from(min) / 2.0, wide.map(|wide| f64::from(min + wide) / 2.0));
        let links = margin(&list(&values), &Margin { min, max });
        sound(&links, &values)?;
        let gaps = (0..values.len()).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| (values[i] - values[j]).abs());
        prop_assert_eq!(links.links.len(), gaps.filter(|&gap| gap >= min && max.is_none_or(|max| gap <= max)).count());
    }

    #[test]
    fn top_against_bottom(values in scores(), top in 1usize..4, bottom in 1usize..4) {
        let all = TopBottom { top, bottom, ties: Ties::HalfLabel, ..TopBottom::default() };
        let links = top_bottom(&list(&values), &all);
        sound(&links, &values)?;
        let enough = values.len() >= top + bottom;
        prop_assert_eq!(links.links.len(), if enough { top * bottom } else { 0 });
        let matched = TopBottom { pairs: Meeting::Matched, bottom: top, ..all };
        let links = top_bottom(&list(&values), &matched);
        prop_assert_eq!(links.links.len(), if values.len() >= 2 * top { top } else { 0 });
        prop_assert!(links.links.windows(2).all(|w| w[0].gap >= w[1].gap));
    }

    #[test]
    fn ranked_pairs_in_stages(values in scores(), responses in prop::option::of(2usize..6)) {
        let options = Curry { responses, ties: Ties::HalfLabel, ..Curry::default() };
        let links = curry(&list(&values), &options);
        sound(&links, &values)?;
        let used = responses.unwrap_or(values.len());
        let count = if values.len() < used.max(2) { 0 } else { used - 1 };
        prop_assert_eq!(links.links.len(), count);
        prop_assert!(links.links.windows(2).all(|w| w[0].gap >= w[1].gap));
        prop_assert!(links.links.iter().enumerate().all(|(i, link)| link.stage == Some(i)));
        prop_assert!(links.links.windows(2).all(|w| w[0].chosen == w[1].chosen || values[w[0].chosen] == values[w[1].chosen]));
        let dropped = curry(&list(&values), &Curry { ties: Ties::Drop, ..options });
        prop_assert_eq!(dropped.links.len() + dropped.ties, count);
        prop_assert_eq!(dropped.links.len(), links.links.iter().filter(|link| !link.tie).count());
    }

    #[test]
    fn curry_does_not_depend_on_the_order_of_responses(values in prop::collection::btree_set(-20i32..20, 2..8), turn in 0usize..8) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let mut turned = values.clone();
        turned.rotate_left(turn % values.len());
        let of = |values: &[f64]| {
            let links = curry(&list(values), &Curry::default()).links;
            links.iter().map(|l| (l.stage, values[l.chosen] as i64, values[l.rejected] as i64)).collect::<Vec<_>>()
        };
        prop_assert_eq!(of(&values), of(&turned));
    }

    #[test]
    fn rankings(values in scores(), size in prop::option::of(2usize..6), seed in any::<u64>()) {
        let made = ranking(&list(&values), &Ranking { size, ..Ranking::default() }, seed);
        prop_assert_eq!(made.is_ok(), values.len() >= size.unwrap_or(2).max(2));
        let Ok(ranked) = made else { return Ok(()) };
        prop_assert_eq!(ranked.order.len(), size.unwrap_or(values.len()));
        prop_assert!(ranked.order.windows(2).all(|w| values[w[0]] >= values[w[1]]));
        prop_assert_eq!(ranked.order.iter().collect::<BTreeSet<_>>().len(), ranked.order.len());
        // best and worst are always among them
        prop_assert!(values.iter().all(|&v| v <= values[ranked.order[0]] && v >= values[*ranked.order.last().unwrap()]));
    }

    #[test]
    fn grades_of_rankings(values in prop::collection::vec(-8i32..8, 2..9), best in 1usize..4) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let of = |relevance| ranking(&list(&values), &Ranking { relevance: Some(relevance), size: None }, 1).unwrap().relevance.unwrap();
        prop_assert_eq!(of(Relevance::Best(best)).iter().sum::<f64>(), best.min(values.len()) as f64);
        let above = of(Relevance::AboveLowest);
        prop_assert!(above.windows(2).all(|w| w[0] >= w[1]) && above.last() == Some(&0.0));
        let graded = of(Relevance::Grades(vec![-2.0, 2.0]));
        let expected = values.iter().filter(|&&v| v >= -2.0).count() + values.iter().filter(|&&v| v >= 2.0).count();
        prop_assert_eq!(graded.iter().sum::<f64>(), expected as f64);
    }

    #[test]
    fn verdicts(values in scores(), low in -2i32..1, width in 1i32..3) {
        let of = |verdict| unpaired(&list(&values), &Unpaired { verdict });
        let count = |test: &dyn Fn(f64) -> bool| values.iter().filter(|&&v| test(v)).count();
        let good = |rows: &[(usize, bool)]| rows.iter().filter(|(_, good)| *good).count();
        let all = of(Verdict::Positive);
        prop_assert_eq!((all.len(), good(&all)), (values.len(), count(&|v| v > 0.0)));
        let (low, high) = (f64::from(low), f64::from(low + width));
        let between = of(Verdict::Between(low, high));
        prop_assert_eq!((between.len() - good(&between), good(&between)), (count(&|v| v <= low), count(&|v| v >= high)));
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let above = of(Verdict::AboveMean);
        prop_assert_eq!((above.len() - good(&above), good(&above)), (count(&|v| v < mean), count(&|v| v > mean)));
        let extremes = of(Verdict::Extremes);
        prop_assert_eq!((extremes.len(), good(&extremes)), if groups(&values).len() > 1 { (2, 1) } else { (0, 0) });
    }

    #[test]
    fn groups_for_policy_gradients(values in scores(), size in prop::option::of(1usize..6), seed in any::<u64>()) {
        let options = Groups { size, zero_variance: ZeroVariance::Keep };
        let made = group(&list(&values), &options, seed);
        prop_assert_eq!(made.is_ok(), values.len() >= size.unwrap_or(0));
        let Ok(members) = made else { return Ok(()) };
        prop_assert_eq!(members.len(), size.unwrap_or(values.len()));
        prop_assert!(members.windows(2).all(|w| w[0] < w[1]));
        let varied = members.iter().map(|&i| (values[i] * 2.0) as i64).collect::<BTreeSet<_>>().len() > 1;
        let strict = group(&list(&values), &Groups { zero_variance: ZeroVariance::Drop, ..options }, seed);
        prop_assert_eq!(strict.is_ok(), varied);
    }

    #[test]
    fn pairs_of_an_aspect(rows in prop::collection::vec((-3i32..3, -3i32..3), 0..7), weight in 0u8..4) {
        let (a, b): (Vec<f64>, Vec<f64>) = rows.iter().map(|&(a, b)| (f64::from(a), f64::from(b))).unzip();
        let weight = f64::from(weight) / 2.0;
        let options = AspectPairs { others: [("b".to_owned(), weight)].into(), ..AspectPairs::default() };
        let (pairs, links) = aspect_pairs(&list(&a), &["b", "a"], &[&b, &a], &options);
        prop_assert_eq!(&links, &all_pairs(&list(&a), &AllPairs::default()));
        prop_assert_eq!(pairs.len(), links.links.len());
        for pair in pairs {
            let (w, l) = (pair.link.chosen, pair.link.rejected);
            prop_assert_eq!(pair.others, [weight * b[w], weight * b[l]]);
            prop_assert_eq!(pair.margins, vec![b[w] - b[l], pair.link.gap]);
        }
    }

    #[test]
    fn samples_by_direction(rows in prop::collection::vec((-9i32..9, -9i32..9), 0..7), grid in 1usize..5, scale in 1u8..5, seed in any::<u64>()) {
        let (a, b): (Vec<f64>, Vec<f64>) = rows.iter().map(|&(a, b)| (f64::from(a), f64::from(b))).unzip();
        for angles in [Angles::Grid(grid), Angles::Drawn(grid)] {
            let options = Directions { angles, ..Directions::default() };
            let kept = directions("k", [&a, &b], &options, seed).unwrap();
            prop_assert_eq!(kept.len(), if rows.is_empty() { 0 } else { grid });
            // a constant per prompt changes no choice
            let moved: Vec<f64> = a.iter().map(|a| a + f64::from(scale)).collect();
            let again = directions("k", [&moved, &b], &options, seed).unwrap();
            for (one, two) in kept.iter().zip(&again) {
                let [x, y] = one.direction;
                prop_assert!((x * x + y * y - 1.0).abs() < 1e-12 && y.abs() <= x + 1e-12);
                let reward = |i: usize| x * a[i] + y * b[i];
                prop_assert!((0..a.len()).all(|i| reward(i) <= one.rewards[0] + 1e-9));
                prop_assert!((reward(two.best) - one.rewards[0]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn joint_pairs(sizes in prop::collection::vec(0usize..5, 0..12), each in prop::option::of(1usize..4), seed in any::<u64>()) {
        let values: Vec<Vec<f64>> = sizes.iter().enumerate().map(|(i, &n)| (0..n).map(|j| (3 * i + j) as f64 % 5.0).collect()).collect();
        let keys: Vec<String> = (0..values.len()).map(|i| i.to_string()).collect();
        let lists: Vec<Scores<'_>> = keys.iter().zip(&values).map(|(key, values)| Scores::new(key, values).unwrap()).collect();
        let options = Joint { responses: each, ties: Ties::HalfLabel, ..Joint::default() };
        let made = joint(&lists, &options, seed);
        let used: Vec<usize> = sizes.iter().map(|&n| each.map_or(n, |each| n.min(each))).collect();
        let (n, most) = (used.iter().sum::<usize>(), used.iter().copied().max().unwrap_or(0));
        let expected = if most <= n / 2 { n / 2 } else { n - most };
        prop_assert_eq!((made.links.len(), made.alone), (expected, n - 2 * expected));
        let mut seen = BTreeSet::new();
        for link in &made.links {
            prop_assert_ne!(link.chosen.0, link.rejected.0);
            prop_assert!(seen.insert(link.chosen) && seen.insert(link.rejected), "an instance stands twice");
            prop_assert!(values[link.chosen.0][link.chosen.1] >= values[link.rejected.0][link.rejected.1]);
        }
        prop_assert_eq!(&joint(&lists, &options, seed), &made);
        let dropped = joint(&lists, &Joint { ties: Ties::Drop, ..options }, seed);
        prop_assert_eq!(dropped.links.len() + dropped.ties, expected);
    }

    #[test]
    fn pairs_by_origin(rows in prop::collection::vec((0usize..3, -2i32..3, 0usize..8), 0..8)) {
        let models = ["me", "big", "other"];
        let values: Vec<f64> = rows.iter().map(|row| f64::from(row.1)).collect();
        let written: Vec<Origin<'_>> = rows.iter().map(|&(m, _, characters)| Origin { model: Some(models[m]), characters }).collect();
        let long = |model: usize| (0..rows.len()).filter(|&i| rows[i].0 == model && rows[i].2 >= 5).collect::<Vec<_>>();
        let (own, teacher) = (long(0), long(1));
        let differ = |of: &[usize]| of.iter().any(|&i| values[i] != values[of[0]]);
        let of = |arm| {
            let teachers = if arm == Arm::SelfScored { vec![] } else { vec!["big".to_owned()] };
            origins(&list(&values), &written, &Origins { arm, policy: "me".into(), teachers, ..Origins::default() })
        };
        let made = of(Arm::SelfScored);
        sound(&made, &values)?;
        prop_assert_eq!(made.links.len(), usize::from(own.len() > 1 && differ(&own)));
        let both = !own.is_empty() && !teacher.is_empty();
        let plain = of(Arm::Teacher).links;
        prop_assert_eq!(plain.len(), usize::from(both));
        prop_assert!(plain.iter().all(|link| (link.chosen, link.rejected) == (teacher[0], own[0])));
        let scored = of(Arm::TeacherScored).links;
        prop_assert_eq!(scored.len(), usize::from(both));
        for link in scored {
            prop_assert!(link.gap >= 0.0);
            prop_assert!(link.gap > 0.0 || link.chosen == teacher[0]);
        }
        let mixed = of(Arm::Mixed);
        sound(&mixed, &values)?;
        let all = [own, teacher].concat();
        prop_assert_eq!(mixed.links.len(), usize::from(both && differ(&all)));
    }

    #[test]
    fn right_and_wrong_traces(labels in prop::collection::vec(any::<bool>(), 0..8)) {
        let values: Vec<f64> = labels.iter().map(|&right| f64::from(u8::from(right))).collect();
        let right = labels.iter().filter(|&&right| right).count();
        let wrong = labels.len() - right;
        for (pairs, count) in [(Traced::First, right.min(wrong).min(1)), (Traced::All, right * wrong)] {
            let sets = traces(&list(&values), &Traces { pairs, ..Traces::default() });
            sound(&sets.links, &values)?;
            prop_assert_eq!((sets.positives.len(), sets.links.links.len()), (right, count));
        }
    }

    #[test]
    fn segments_of_pairs(texts in prop::collection::vec("[ab]{0,2}(\n[ab]{1,2}){0,3}", 0..6), min_shared in 0usize..3) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let values: Vec<f64> = (0..texts.len()).map(|i| (i % 3) as f64).collect();
        let (found, _) = segments(&list(&values), &texts, &Segments { min_shared, ..Segments::default() });
        let parts: Vec<Vec<&str>> = texts.iter().map(|text| text.split_inclusive('\n').collect()).collect();
        let parting = |i: usize, j: usize| {
            let shared = parts[i].iter().zip(&parts[j]).take_while(|(a, b)| a == b).count();
            values[i] != values[j] && shared >= min_shared && shared < parts[i].len().min(parts[j].len())
        };
        let expected = (0..texts.len()).flat_map(|i| (0..i).map(move |j| (i, j))).filter(|&(i, j)| parting(i, j)).count();
        prop_assert_eq!(found.len(), expected);
    }

    #[test]
    fn pairs_by_information(logs in prop::collection::vec((-9.0f64..0.0, -9.0f64..0.0), 0..6), pairs in 1usize..5, seed in any::<u64>()) {
        let (policy, reference): (Vec<f64>, Vec<f64>) = logs.into_iter().unzip();
        let logps = Sampled { policy: &policy, reference: &reference, proposal: &reference };
        let options = Information { pairs, ..Information::default() };
        let made = information("k", &logps, &options, seed).unwrap();
        prop_assert_eq!(made.links.len() + made.ties, if policy.len() > 1 { pairs } else { 0 });
        prop_assert!(made.links.iter().all(|link| link.chosen != link.rejected));
        prop_assert_eq!(information("k", &logps, &options, seed).unwrap(), made);
    }
}
