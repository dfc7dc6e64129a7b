//! AlpacaEval 2's rows, from `TROPISM_DATA`.
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tropism_evaluation::{LengthRows, LengthWeights};

const BASELINE: &str = "gpt4_1106_preview";

/// A row of the leaderboard.
pub(crate) struct Published {
    pub(crate) name: String,
    pub(crate) win_rate: f64,
    pub(crate) standard_error: f64,
    /// won, lost, tied
    pub(crate) counts: [usize; 3],
    pub(crate) discrete_win_rate: f64,
    pub(crate) avg_length: usize,
    pub(crate) length_controlled: f64,
    pub(crate) lc_standard_error: Option<f64>,
    pub(crate) weights: LengthWeights,
}

struct Answers {
    scores: Vec<f64>,
    lengths: Vec<usize>,
    differences: Vec<f64>,
}

pub(crate) struct AlpacaEval {
    pub(crate) published: Vec<Published>,
    pub(crate) difficulty: Vec<f64>,
    answers: BTreeMap<String, Answers>,
}

impl AlpacaEval {
    /// The data, read once; `None` where they are missing, with a note of it.
    pub(crate) fn load() -> Option<&'static Self> {
        static READ: OnceLock<Option<AlpacaEval>> = OnceLock::new();
        READ.get_or_init(Self::read).as_ref()
    }

    fn read() -> Option<Self> {
        let root = std::env::var_os("TROPISM_DATA")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from)
            .join("alpaca-eval");
        if !root.is_dir() {
            println!("skipped: {} is missing; set TROPISM_DATA", root.display());
            return None;
        }
        let text = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
        let published = text("leaderboard.csv").lines().skip(1).map(published).collect();
        let difficulty =
            text("instruction_difficulty.csv").lines().skip(1).map(|l| number(l.split(',').nth(1).unwrap())).collect();
        let file = std::fs::File::open(root.join("responses.jsonl.gz")).unwrap();
        let mut answers: BTreeMap<String, (Vec<f64>, Vec<usize>)> = BTreeMap::new();
        for line in BufReader::new(GzDecoder::new(file)).lines() {
            let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
            for response in row["responses"].as_array().unwrap() {
                let entry = answers.entry(response["model"].as_str().unwrap().to_owned()).or_default();
                entry.0.push(response["preference"].as_f64().unwrap());
                entry.1.push(response["text"].as_str().unwrap().chars().count());
            }
        }
        let baseline = answers[BASELINE].1.clone();
        let finish = |(name, (scores, lengths)): (String, (Vec<f64>, Vec<usize>))| {
            let differences = baseline.iter().zip(&lengths).map(|(b, l)| *b as f64 - *l as f64).collect();
            (name, Answers { scores, lengths, differences })
        };
        Some(Self { published, difficulty, answers: answers.into_iter().map(finish).collect() })
    }

    pub(crate) fn scores(&self, model: &str) -> &[f64] {
        &self.answers[model].scores
    }

    pub(crate) fn lengths(&self, model: &str) -> &[usize] {
        &self.answers[model].lengths
    }

    pub(crate) fn rows(&self, model: &str) -> LengthRows<'_> {
        let a = &self.answers[model];
        LengthRows { scores: &a.scores, length_differences: &a.differences, difficulty: &self.difficulty }
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn published(line: &str) -> Published {
    let f: Vec<&str> = line.split(',').collect();
    let count = |i: usize| f[i].parse::<usize>().unwrap();
    Published {
        name: f[0].to_owned(),
        win_rate: number(f[1]),
        standard_error: number(f[2]),
        counts: [count(3), count(4), count(5)],
        discrete_win_rate: number(f[7]),
        avg_length: count(8),
        length_controlled: number(f[9]),
        lc_standard_error: (!f[10].is_empty()).then(|| number(f[10])),
        weights: LengthWeights { length: number(f[11]), difficulty: number(f[12]), model: number(f[13]) },
    }
}
