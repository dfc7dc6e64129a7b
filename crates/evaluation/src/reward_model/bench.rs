//! The sums of RewardBench, RewardBench 2 and RM-Bench.
use crate::error::{EvaluationError, finite, same_length};
use crate::figures::{share, shares};
use crate::stats::Figure;
use serde::Serialize;

/// RewardBench's sections with their subsets and the number of examples by which it weights them; `math-prm` counts 984
/// although it has 447 rows.
///
/// # Source
/// Lambert et al. 2024; allenai/reward-bench, constants.py.
pub const REWARD_BENCH: [(&str, &[(&str, usize)]); 4] = [
    (
        "Chat",
        &[
            ("alpacaeval-easy", 100),
            ("alpacaeval-length", 95),
            ("alpacaeval-hard", 95),
            ("mt-bench-easy", 28),
            ("mt-bench-med", 40),
        ],
    ),
    (
        "Chat Hard",
        &[
            ("mt-bench-hard", 37),
            ("llmbar-natural", 100),
            ("llmbar-adver-neighbor", 134),
            ("llmbar-adver-GPTInst", 92),
            ("llmbar-adver-GPTOut", 47),
            ("llmbar-adver-manual", 46),
        ],
    ),
    (
        "Safety",
        &[
            ("refusals-dangerous", 100),
            ("refusals-offensive", 100),
            ("xstest-should-refuse", 154),
            ("xstest-should-respond", 250),
            ("donotanswer", 136),
        ],
    ),
    (
        "Reasoning",
        &[
            ("math-prm", 984),
            ("hep-cpp", 164),
            ("hep-go", 164),
            ("hep-java", 164),
            ("hep-js", 164),
            ("hep-python", 164),
            ("hep-rust", 164),
        ],
    ),
];

/// A section's score: mean accuracy of its subsets, weighted by their examples.
///
/// # Errors
/// No subsets, slices of unequal length, shares outside 0 … 1, no examples at all.
///
/// ```
/// use tropism_evaluation::reward_model::reward_bench_section;
///
/// let chat = reward_bench_section(&[0.96, 0.80, 0.90, 1.0, 0.875], &[100, 95, 95, 28, 40])?;
/// assert!((chat - 0.895251).abs() < 1e-6);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn reward_bench_section(accuracies: &[f64], examples: &[usize]) -> Result<f64, EvaluationError> {
    shares("accuracies", accuracies)?;
    same_length("numbers of examples", accuracies.len(), examples.len())?;
    let total: usize = examples.iter().sum();
    if total == 0 {
        return Err(EvaluationError::Empty { what: "the section" });
    }
    Ok(accuracies.iter().zip(examples).map(|(a, &n)| a * n as f64).sum::<f64>() / total as f64)
}

/// Scores of the four sections and their mean, from the accuracy of every subset by name.
///
/// # Errors
/// A subset without an accuracy, an accuracy outside 0 … 1.
pub fn reward_bench_final(accuracy: impl Fn(&str) -> Option<f64>) -> Result<([f64; 4], f64), EvaluationError> {
    let mut sections = [0.0; 4];
    for (score, (_, subsets)) in sections.iter_mut().zip(REWARD_BENCH) {
        let missing = |name: &str| EvaluationError::Undefined {
            what: "RewardBench",
            problem: format!("subset `{name}` has no accuracy; the score needs all 23"),
        };
        let found = subsets.iter().map(|(name, _)| accuracy(name).ok_or_else(|| missing(name)));
        let examples: Vec<usize> = subsets.iter().map(|(_, n)| *n).collect();
        *score = reward_bench_section(&found.collect::<Result<Vec<_>, _>>()?, &examples)?;
    }
    Ok((sections, sections.iter().sum::<f64>() / 4.0))
}

/// Share of prompts whose right answer has a larger reward than every wrong one (RewardBench 2 has three). `rewards` holds
/// the right answer first; a tie is a failure.
///
/// # Errors
/// No prompts, a prompt without a wrong answer, values that are not finite.
///
/// # Source
/// Malik et al. 2025, "RewardBench 2".
pub fn best_of_n_accuracy(rewards: &[&[f64]]) -> Result<Figure, EvaluationError> {
    for (index, prompt) in rewards.iter().enumerate() {
        finite("rewards", prompt)?;
        if prompt.len() < 2 {
            let problem = "it has one answer; give the right one and at least one wrong one".to_owned();
            return Err(EvaluationError::Row { what: "rewards", index, problem });
        }
    }
    let right = rewards.iter().filter(|p| p[1..].iter().all(|wrong| p[0] > *wrong)).count();
    share("prompts", right, rewards.len())
}

/// Accuracies of RM-Bench's style matrix.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RmBench {
    /// chosen plainer than rejected: mean above the diagonal
    pub hard: f64,
    /// same style: mean of the diagonal
    pub normal: f64,
    /// chosen more elaborate: mean below the diagonal
    pub easy: f64,
    /// mean of all nine
    pub average: f64,
}

/// Summary of accuracies by style, rows the chosen answer's and columns the rejected one's, from plain to elaborate.
///
/// # Errors
/// Shares outside 0 … 1.
///
/// # Source
/// Liu et al. 2025, "RM-Bench"; THU-KEG/RM-Bench.
pub fn rm_bench(accuracy: &[[f64; 3]; 3]) -> Result<RmBench, EvaluationError> {
    shares("accuracies", accuracy.as_flattened())?;
    let mean = |keep: fn(usize, usize) -> bool| {
        let cells = (0..9).filter(|c| keep(c / 3, c % 3)).map(|c| accuracy[c / 3][c % 3]);
        let (sum, n) = cells.fold((0.0, 0.0), |(s, n), a| (s + a, n + 1.0));
        sum / n
    };
    Ok(RmBench {
        hard: mean(|chosen, rejected| chosen < rejected),
        normal: mean(|chosen, rejected| chosen == rejected),
        easy: mean(|chosen, rejected| chosen > rejected),
        average: mean(|_, _| true),
    })
}
