//! Two stages side by side on the same held-out prompts.
use super::result::{Answer, ComparisonResult, StageResult};
use crate::config::Comparison;
use crate::error::XtaskError;
use std::collections::BTreeMap;
use tropism_evaluation::{Figure, clustered_mean, mean_interval, win_rate_by_prompt};
use tropism_rewards::{Circle, STYLES};

/// 1 for right answers, 0 for others; nothing where answers have no verdict.
pub(super) fn right(answers: &[Answer]) -> Option<Vec<f64>> {
    answers.iter().map(|a| a.verdict.map(|v| f64::from(u8::from(v.is_correct())))).collect()
}

/// Exact rewards; nothing where there are none.
pub(super) fn exact(answers: &[Answer]) -> Option<Vec<f64>> {
    answers.iter().map(|a| a.reward).collect()
}

fn length(answers: &[Answer]) -> Option<Vec<f64>> {
    Some(answers.iter().map(|a| a.written() as f64).collect())
}

/// The same prompts in the same order: whether answers can be paired.
fn paired(ours: &[Answer], theirs: &[Answer]) -> bool {
    !ours.is_empty() && ours.iter().map(|a| a.prompt).eq(theirs.iter().map(|a| a.prompt))
}

/// Mean difference of a number of both sides' answers, prompts drawn whole.
fn gain(
    ours: &[Answer],
    theirs: &[Answer],
    number: fn(&[Answer]) -> Option<Vec<f64>>,
) -> Result<Option<Figure>, XtaskError> {
    let both = paired(ours, theirs).then(|| number(ours).zip(number(theirs))).flatten();
    let Some((a, b)) = both else { return Ok(None) };
    let gains: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let prompts: Vec<usize> = ours.iter().map(|a| a.prompt).collect();
    Ok(Some(clustered_mean(&gains, &prompts)?))
}

/// What our share of right answers is more than theirs.
pub(super) fn accuracy_gain(ours: &[Answer], theirs: &[Answer]) -> Result<Option<Figure>, XtaskError> {
    gain(ours, theirs, right)
}

/// The share of comparisons that we win by the exact reward, all our answers to a prompt against all of theirs.
pub(super) fn win_rate(ours: &[Answer], theirs: &[Answer]) -> Result<Option<Figure>, XtaskError> {
    let both = paired(ours, theirs).then(|| exact(ours).zip(exact(theirs))).flatten();
    let Some((a, b)) = both else { return Ok(None) };
    let prompts: Vec<usize> = ours.iter().map(|a| a.prompt).collect();
    Ok(Some(win_rate_by_prompt(&a, &b, &prompts)?.rate))
}

/// Shares of a judge's styles by prompt.
fn shares(result: &StageResult) -> Option<Vec<[f64; 3]>> {
    let columns: Vec<&Vec<f64>> = STYLES.iter().map(|s| result.values.get(&format!("style/{s}"))).collect::<Option<_>>()?;
    Some((0..columns[0].len()).map(|i| [columns[0][i], columns[1][i], columns[2][i]]).collect())
}

/// The comparisons that a configuration asks for, of stages that are done.
pub(super) fn compare(
    wanted: &[Comparison],
    results: &[StageResult],
    judge: Option<&Circle>,
) -> Result<Vec<ComparisonResult>, XtaskError> {
    let find = |name: &str| results.iter().find(|r| r.name == name);
    let mut out = vec![];
    for Comparison { stage, baseline } in wanted {
        let Some((ours, theirs)) = find(stage).zip(find(baseline)) else { continue };
        let (a, b) = (&ours.answers[..], &theirs.answers[..]);
        let figures = [
            ("win_rate", win_rate(a, b)?),
            ("accuracy_gain", accuracy_gain(a, b)?),
            ("reward_gain", gain(a, b, exact)?),
            ("completions/mean_length_gain", gain(a, b, length)?),
        ];
        let mut metrics: BTreeMap<String, Figure> =
            figures.into_iter().filter_map(|(name, f)| Some((name.to_owned(), f?))).collect();
        for (name, values) in &ours.values {
            let Some(others) = theirs.values.get(name).filter(|o| o.len() == values.len()) else { continue };
            let gains: Vec<f64> = values.iter().zip(others).map(|(a, b)| a - b).collect();
            metrics.insert(format!("{name}_gain"), mean_interval(&gains)?);
        }
        if let Some((a, b)) = judge.and_then(|_| shares(ours).zip(shares(theirs))).filter(|(a, b)| a.len() == b.len()) {
            let rates: Vec<f64> = a.iter().zip(&b).filter_map(|(a, b)| Some(judge?.win_rate(*a, *b))).collect();
            metrics.insert("judge/win_rate".into(), mean_interval(&rates)?);
        }
        out.push(ComparisonResult { stage: stage.clone(), baseline: baseline.clone(), metrics });
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tropism_rewards::Verdict;

    fn stage(name: &str, right: [bool; 4], rewards: [f64; 4], tokens: usize) -> StageResult {
        let verdict = |r| Some(if r { Verdict::Correct } else { Verdict::Wrong });
        let answer = |i: usize| Answer {
            given: vec![],
            turns: vec![],
            prompt: i / 2,
            text: String::new(),
            tokens: vec![0; tokens],
            finished: true,
            reward: Some(rewards[i]),
            verdict: verdict(right[i]),
        };
        let (metrics, answers) = (BTreeMap::new(), (0..4).map(answer).collect());
        let values = BTreeMap::from([("extra".to_owned(), rewards[..2].to_vec())]);
        StageResult { name: name.into(), method: "sft".into(), seconds: 0.0, steps: 0, tokens: 0, metrics, answers, values }
    }

    #[test]
    fn stages_are_compared_prompt_by_prompt_and_one_way_round_is_the_other_s_opposite() {
        let a = stage("a", [true, true, true, false], [1.0, 1.0, 1.0, 0.0], 5);
        let b = stage("b", [false, true, false, false], [0.0, 1.0, 0.0, 0.0], 3);
        let wanted = |stage: &str, baseline: &str| Comparison { stage: stage.into(), baseline: baseline.into() };
        let found = compare(&[wanted("a", "b"), wanted("b", "a")], &[a, b], None).unwrap();
        let value = |i: usize, name: &str| found[i].metrics[name].value;
        assert_eq!(value(0, "accuracy_gain"), 0.5);
        assert_eq!(value(0, "reward_gain"), 0.5);
        assert_eq!(value(0, "completions/mean_length_gain"), 2.0);
        assert_eq!(value(0, "extra_gain"), 0.5);
        // of each prompt four comparisons, ties by half: (2 + 2/2) / 4 and (2 + 2/2) / 4
        assert_eq!(value(0, "win_rate"), 0.75);
        assert_eq!(value(0, "win_rate") + value(1, "win_rate"), 1.0);
        assert_eq!(value(0, "accuracy_gain"), -value(1, "accuracy_gain"));
    }

    #[test]
    fn what_cannot_be_paired_has_no_figure() {
        let a = stage("a", [true; 4], [1.0; 4], 5);
        let mut b = stage("b", [true; 4], [1.0; 4], 5);
        b.answers.truncate(2);
        b.values.clear();
        let found = compare(&[Comparison { stage: "a".into(), baseline: "b".into() }], &[a, b], None).unwrap();
        assert!(found[0].metrics.is_empty());
    }
}
