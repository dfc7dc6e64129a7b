//! Strategies over records.

use std::collections::BTreeSet;

use tropism_data::build::{BuildOptions, build};
use tropism_data::construct::dataset::Kind;
use tropism_data::construct::records::{ScoreBy, construct};
use tropism_data::construct::*;
use tropism_data::curriculum::{Curriculum, Difficulty};
use tropism_data::record::{Message, Record, Response, Source, Text};

use crate::support::{record, records, response};

fn texts(of: &[Text]) -> Vec<&str> {
    of.iter()
        .map(|text| match text {
            Text::Plain(text) => text.as_str(),
            Text::Chat(messages) => messages[0].content.as_str(),
        })
        .collect()
}

#[test]
fn what_takes_no_part_is_counted() {
    let mut first = record(1, &[3.0, 1.0, 2.0]);
    first.responses[1].content = Text::empty();
    first.responses.push(Response { content: first.responses[0].content.clone(), ..response("", 0.5) });
    let second = record(2, &[1.0]);
    let made = construct(&[first.clone(), second], &AllPairs::default().into(), &ScoreBy::Score, 0).unwrap();
    // of responses 0, 2 and 3 (the text of 0 again)
    assert_eq!(made.rows.len(), 2);
    let audit = &made.audit;
    assert_eq!((audit.prompts, audit.used, audit.rows), (2, 1, 2));
    assert_eq!(audit.ignored["empty response"].rows, [1]);
    assert_eq!(audit.left_out["identical sides"].rows, [1]);
    assert_eq!(audit.skipped["too few responses"].rows, [2]);
    first.responses[0].score = None;
    let error = construct(&[first], &AllPairs::default().into(), &ScoreBy::Auto, 0).unwrap_err().to_string();
    assert!(error.contains("neither score nor rank nor label"), "{error}");
}

#[test]
fn nothing_left_says_why() {
    let error = construct(&records(&[vec![1.0, 1.0], vec![2.0]]), &BestWorst::default().into(), &ScoreBy::Auto, 0);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("none of 2 prompts") && error.contains("tie: 1") && error.contains("too few responses: 1"),
        "{error}"
    );
}

#[test]
fn scores_come_from_the_figure_asked_for() {
    let mut one = record(1, &[0.0, 1.0]);
    for (i, response) in one.responses.iter_mut().enumerate() {
        response.rank = Some(1.0 + i as f64);
        response.label = Some(i == 1);
        response.aspects = [("a".to_owned(), 5.0 - i as f64), ("b".to_owned(), 4.0 * i as f64)].into();
    }
    let chosen = |by: ScoreBy| {
        let made = construct(std::slice::from_ref(&one), &BestWorst::default().into(), &by, 0).unwrap();
        made.rows.rows[0].parts[0].response
    };
    assert_eq!(chosen(ScoreBy::Auto), 1);
    assert_eq!(chosen(ScoreBy::Rank), 0);
    assert_eq!(chosen(ScoreBy::Label), 1);
    assert_eq!(chosen(ScoreBy::Aspect("a".into())), 0);
    assert_eq!(chosen(ScoreBy::MeanAspects), 1);
    assert_eq!(chosen(ScoreBy::Length), 1);
}

#[test]
fn prompts_depend_on_no_other_prompt() {
    let lists: Vec<Vec<f64>> = (0..12).map(|i| (0..6).map(|j| ((5 * i + j * j) % 4) as f64).collect()).collect();
    let all = records(&lists);
    for strategy in [
        BestRandom { rejected: Rejected::Any, ..BestRandom::default() }.into(),
        tropism_data::construct::Strategy::from(Ranking { size: Some(4), relevance: None }),
        Groups { size: Some(3), ..Groups::default() }.into(),
    ] {
        let of = |records: &[Record]| {
            let rows = construct(records, &strategy, &ScoreBy::Auto, 3).unwrap().rows;
            (0..rows.len()).map(|row| rows.item(row, records)).collect::<Vec<_>>()
        };
        let (few, many) = (of(&all[5..]), of(&all));
        assert!(few.iter().all(|item| many.contains(item)), "{}", strategy.name());
    }
}

#[test]
fn directions_are_told_in_the_system_message() {
    let mut one = record(1, &[0.0, 0.0]);
    one.prompt = Text::Chat(vec![Message::new("system", "Be kind."), Message::new("user", "Hi")]);
    for (i, response) in one.responses.iter_mut().enumerate() {
        response.content = Text::Chat(vec![Message::new("assistant", i.to_string())]);
        response.aspects = [("help".to_owned(), i as f64), ("words".to_owned(), -3.0 * i as f64)].into();
    }
    let aspects = ["help".to_owned(), "words".to_owned()];
    let options = Directions { aspects, angles: Angles::Grid(2), ..Directions::default() };
    let made = construct(std::slice::from_ref(&one), &options.clone().into(), &ScoreBy::Auto, 0).unwrap();
    assert_eq!((made.rows.kind, made.rows.len()), (Kind::Samples, 2));
    let item = made.rows.item(1, std::slice::from_ref(&one));
    assert_eq!(texts(&item.completions), ["0"]);
    let Text::Chat(prompt) = &item.prompt else { panic!("not a chat") };
    assert!(prompt[0].content.starts_with("Be kind.\n\nYou are") && prompt[0].content.contains("help*71 + words*71"));
    let made =
        construct(std::slice::from_ref(&one), &Directions { pairs: true, ..options }.into(), &ScoreBy::Auto, 0).unwrap();
    assert_eq!((made.rows.kind, made.rows.len()), (Kind::Pairs, 2));
}

#[test]
fn joint_pairs_have_two_prompts() {
    let all = records(&[vec![1.0], vec![2.0], vec![2.0]]);
    let options = Joint { ties: Ties::HalfLabel, ..Joint::default() };
    let made = construct(&all, &options.into(), &ScoreBy::Auto, 4).unwrap();
    let item = made.rows.item(0, &all);
    assert_eq!((made.rows.kind, made.rows.len(), made.audit.used), (Kind::Joint, 1, 2));
    assert_ne!(Some(&item.prompt), item.rejected_prompt.as_ref());
    assert_eq!(made.audit.left_out["an instance without partner"].count, 1);
    // two records of one prompt are no joint pair
    let twin = vec![record(1, &[1.0]), Record { source: Source::row("made up", 2), ..record(1, &[2.0]) }];
    let error = construct(&twin, &Joint::default().into(), &ScoreBy::Auto, 4).unwrap_err().to_string();
    assert!(error.contains("the same prompt on both sides: 1"), "{error}");
}

#[test]
fn segments_continue_the_prompt() {
    let mut one = record(1, &[]);
    one.responses = vec![response("a\nb\nc", 1.0), response("a\nd", 0.0)];
    let made = construct(std::slice::from_ref(&one), &Segments::default().into(), &ScoreBy::Auto, 0).unwrap();
    let item = made.rows.item(0, std::slice::from_ref(&one));
    assert_eq!(texts(std::slice::from_ref(&item.prompt)), ["prompt 1:a\n"]);
    assert_eq!(texts(&item.completions), ["b\n", "d"]);
    one.prompt = Text::Chat(vec![Message::new("user", "q")]);
    let error = construct(&[one], &Segments::default().into(), &ScoreBy::Auto, 0).unwrap_err().to_string();
    assert!(error.contains("give plain text"), "{error}");
}

#[test]
fn information_reads_aspects() {
    let mut one = record(1, &[0.0; 4]);
    for (i, response) in one.responses.iter_mut().enumerate() {
        let reference = -1.0 - i as f64;
        response.aspects = [("logps/policy".to_owned(), -2.0), ("logps/reference".to_owned(), reference)].into();
    }
    let options = Information { beta: 0.5, pairs: 9, ..Information::default() };
    let made = construct(std::slice::from_ref(&one), &options.into(), &ScoreBy::Auto, 0).unwrap();
    assert_eq!(made.rows.len() + made.audit.left_out.values().map(|rows| rows.count).sum::<usize>(), 9);
    one.responses[2].aspects.clear();
    let error = construct(&[one], &Information::default().into(), &ScoreBy::Auto, 0).unwrap_err().to_string();
    assert!(error.contains("row 1") && error.contains("no aspect `logps/policy`"), "{error}");
}

#[test]
fn traces_give_two_sets() {
    let made =
        construct(&records(&[vec![1.0, 0.0, 1.0], vec![1.0], vec![0.0]]), &Traces::default().into(), &ScoreBy::Auto, 0);
    let made = made.unwrap();
    assert_eq!((made.rows.len(), made.positives.unwrap().len(), made.audit.used), (1, 3, 2));
}

#[test]
fn columns_of_records_and_aspects_go_along() {
    let mut all = records(&[vec![1.0, 2.0], vec![4.0, 3.0]]);
    for (row, record) in all.iter_mut().enumerate() {
        record.numbers = [("strength".to_owned(), row as f64)].into();
        record.responses.iter_mut().for_each(|r| r.aspects = [("reward".to_owned(), r.score.unwrap() / 2.0)].into());
    }
    let by_reward = Curriculum { by: Difficulty::RewardGap, ..Curriculum::default() };
    let options = BuildOptions { carry: vec!["reward".into()], curriculum: Some(by_reward), ..BuildOptions::default() };
    let built = build(all.clone(), &options).unwrap();
    let rows = built.part("train").unwrap();
    assert_eq!(rows.columns["strength"].iter().sum::<f64>(), 1.0);
    assert_eq!(rows.columns["reward/chosen"].iter().sum::<f64>(), 3.0);
    let missing = BuildOptions { carry: vec!["honesty".into()], ..options.clone() };
    let error = build(all.clone(), &missing).unwrap_err().to_string();
    assert!(error.contains("no aspect `honesty` to carry"), "{error}");
    let error = build(all, &BuildOptions { carry: vec![], ..options }).unwrap_err().to_string();
    assert!(error.contains("`curriculum.by` is reward/chosen") && error.contains("`score_gap`"), "{error}");
}

#[test]
fn splits_keep_prompts_together_and_test_rows_clean() {
    let lists: Vec<Vec<f64>> = (0..60).map(|i| vec![f64::from(i % 3), 3.0, -1.0]).collect();
    let controls = tropism_data::construct::controls::Controls { label_noise: 0.5, ..Default::default() };
    let options = BuildOptions {
        construct: AllPairs::default().into(),
        test_fraction: Some(0.3),
        controls,
        curriculum: Some(Curriculum::default()),
        ..BuildOptions::default()
    };
    let built = build(records(&lists), &options).unwrap();
    let (train, test) = (built.part("train").unwrap(), built.part("test").unwrap());
    let prompts = |rows: &tropism_data::construct::dataset::Dataset| {
        (0..rows.len()).map(|row| rows.item(row, &built.records).prompt.key()).collect::<BTreeSet<_>>()
    };
    assert!(prompts(train).is_disjoint(&prompts(test)));
    assert_eq!(prompts(train).len() + prompts(test).len(), 60);
    assert_eq!(train.len() + test.len(), 180);
    assert!(train.columns["flipped"].contains(&1.0) && !test.columns.contains_key("flipped"));
    let gaps = &train.columns["score_gap"];
    assert!(gaps.windows(2).all(|w| w[0] >= w[1]));
    assert_eq!(build(records(&lists), &options).unwrap(), built);
}
