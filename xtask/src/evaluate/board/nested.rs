//! The layout of AlpacaEval data: all responses to an instruction on one line, each with its preference.
use super::columns::Csv;
use super::data::{Board, ModelRows, Published, choose, share};
use crate::error::XtaskError;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tropism_data::read::read_rows;
use tropism_evaluation::LengthWeights;

#[derive(Deserialize)]
struct Line {
    // not used, but a file without it is of another layout
    #[serde(rename = "instruction")]
    _instruction: String,
    responses: Vec<Response>,
}

#[derive(Deserialize)]
struct Response {
    model: String,
    text: String,
    preference: f64,
}

pub(super) fn read(folder: &Path, responses: &Path, asked: Option<&str>) -> Result<Board, XtaskError> {
    let lines: Vec<Line> = read_rows(responses)?;
    let names: BTreeSet<&str> = lines.iter().flat_map(|l| l.responses.iter().map(|r| r.model.as_str())).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let baseline = choose(responses, asked, &names, even(&lines, &names))?;
    let mut models: BTreeMap<&str, ModelRows> = names.iter().map(|n| (*n, ModelRows::default())).collect();
    let mut battles = vec![];
    for (i, line) in lines.iter().enumerate() {
        let place = || format!("{}, row {}", responses.display(), i + 1);
        let Some(base) = line.responses.iter().find(|r| r.model == baseline) else {
            let problem = format!("{}: there is no response of the baseline {baseline}", place());
            return Err(XtaskError::usage(problem, "every row needs one; remove the row, or name another --baseline"));
        };
        for response in &line.responses {
            let score = share(response.preference, || format!("{}, {}", place(), response.model), "preference")?;
            let Some(rows) = models.get_mut(response.model.as_str()) else { continue };
            let length = response.text.chars().count();
            if rows.scores.insert(i, score).is_some() {
                let problem = format!("{}: {} stands there twice", place(), response.model);
                return Err(XtaskError::usage(problem, "keep one response of each model"));
            }
            rows.lengths.insert(i, length);
            rows.differences.insert(i, base.text.chars().count() as f64 - length as f64);
            if response.model != baseline {
                battles.push((response.model.clone(), baseline.to_owned(), score));
            }
        }
    }
    models.remove(baseline);
    let named = |(name, rows): (&str, ModelRows)| ModelRows { name: name.to_owned(), ..rows };
    Ok(Board {
        baseline: baseline.to_owned(),
        prompts: lines.len(),
        difficulty: difficulty(folder, lines.len())?,
        models: models.into_iter().map(named).collect(),
        battles,
        published: published(folder)?,
    })
}

/// The one model whose preferences are all even.
fn even<'a>(lines: &[Line], names: &[&'a str]) -> Option<&'a str> {
    let all_even = |name: &str| {
        let mut own = lines.iter().flat_map(|l| &l.responses).filter(|r| r.model == name);
        own.all(|r| r.preference == 0.5)
    };
    let mut even = names.iter().filter(|n| all_even(n));
    let first = even.next().copied();
    first.filter(|_| even.next().is_none())
}

/// A file that need not be there.
fn there(folder: &Path, name: &str) -> Option<PathBuf> {
    Some(folder.join(name)).filter(|p| p.is_file())
}

fn difficulty(folder: &Path, prompts: usize) -> Result<Option<Vec<f64>>, XtaskError> {
    let Some(path) = there(folder, "instruction_difficulty.csv") else { return Ok(None) };
    let csv = Csv::read(&path)?;
    let (index, value) = (csv.column("index")?, csv.column("difficulty")?);
    let mut found = BTreeMap::new();
    for row in csv.rows() {
        found.insert(row.count(index)?, row.number(value)?);
    }
    if found.keys().copied().ne(0..prompts) {
        let problem = format!("{} has {} indices, not those of {prompts} prompts from 0", path.display(), found.len());
        return Err(XtaskError::usage(problem, "give one row per line of responses.jsonl"));
    }
    Ok(Some(found.into_values().collect()))
}

fn published(folder: &Path) -> Result<BTreeMap<String, Published>, XtaskError> {
    let Some(path) = there(folder, "leaderboard.csv") else { return Ok(BTreeMap::new()) };
    let csv = Csv::read(&path)?;
    let model = csv.column("model")?;
    let [rate, se, lc] = ["win_rate", "standard_error", "length_controlled_winrate"].map(|n| csv.column(n));
    let [length, difficulty, own] = ["glm_length", "glm_difficulty", "glm_model"].map(|n| csv.column(n));
    let (rate, se, lc, chars) = (rate?, se?, lc?, csv.column("avg_length")?);
    let (length, difficulty, own) = (length?, difficulty?, own?);
    let mut out = BTreeMap::new();
    for row in csv.rows() {
        let weights =
            LengthWeights { length: row.number(length)?, difficulty: row.number(difficulty)?, model: row.number(own)? };
        let published = Published {
            win_rate: row.number(rate)?,
            standard_error: row.number(se)?,
            lc_win_rate: row.number(lc)?,
            length: row.count(chars)?,
            weights,
        };
        out.insert(row.text(model).to_owned(), published);
    }
    Ok(out)
}
