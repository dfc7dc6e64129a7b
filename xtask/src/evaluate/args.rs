//! What can be typed after `cargo xtask evaluate`.
use clap::{Args, Subcommand};
use std::path::PathBuf;
use tropism_evaluation::Bootstrap;

/// The commands of `evaluate`.
#[derive(Debug, Subcommand)]
pub enum EvaluateCommand {
    /// Rank models by responses and verdicts: win rates, length-controlled win rates, ratings
    Leaderboard(LeaderboardArgs),
    /// Put two runs side by side on their common held-out prompts and pairs
    Compare(CompareArgs),
    /// Look into one run: displacement, ranking, calibration, lengths, repetition
    Diagnose(DiagnoseArgs),
}

/// Where figures go beside the table that is printed.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Write all figures to a JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report with plots, one file that loads nothing
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// How intervals are resampled.
#[derive(Debug, Args)]
pub struct ResampleArgs {
    /// Bootstrap resamples
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub resamples: usize,
    /// Seed of the resamples
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl ResampleArgs {
    /// As the library wants it.
    pub(super) fn bootstrap(&self) -> Bootstrap {
        Bootstrap { resamples: self.resamples, seed: self.seed, ..Bootstrap::default() }
    }
}

/// Arguments of `evaluate leaderboard`.
#[derive(Debug, Args)]
#[command(after_help = "\
The folder holds one of two layouts; files may end in .gz or .zst.

  judgments.jsonl   {\"prompt\": ID, \"a\": MODEL, \"b\": MODEL, \"score\": 0..1}   how far a wins; 0.5 is a tie
  responses.jsonl   {\"prompt\": ID, \"model\": MODEL, \"text\": TEXT}            for lengths

  responses.jsonl   {\"instruction\": TEXT, \"responses\": [{\"model\": MODEL, \"text\": TEXT, \"preference\": 0..1}]}
                    preference: how far the model wins against the baseline, whose own are all 0.5
  instruction_difficulty.csv (index, difficulty), leaderboard.csv (published figures): used where they are

Examples:
  cargo xtask evaluate leaderboard --data ../shared/data/alpaca-eval --html board.html
  cargo xtask evaluate leaderboard --data mine --baseline base-model --json board.json")]
pub struct LeaderboardArgs {
    /// Folder with responses and verdicts
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Model that the others are compared with [default: the one whose preferences are all 0.5, or the one most judged]
    #[arg(long, value_name = "MODEL")]
    pub baseline: Option<String>,
    /// Weight of the data against the L1 penalty of the length-controlled fit
    #[arg(long, value_name = "C", default_value_t = 100.0)]
    pub lc_c: f64,
    /// Resamples of the length-controlled fit, each of which fits every model anew; 0 leaves its intervals out
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub lc_resamples: usize,
    /// resamples
    #[command(flatten)]
    pub resample: ResampleArgs,
    /// where figures go
    #[command(flatten)]
    pub to: OutputArgs,
}

/// Arguments of `evaluate compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Answers are compared by the world's exact reward, or by the judge that a TOML file describes:

  endpoint = \"http://localhost:8000/v1\"   # any OpenAI-compatible server
  model = \"qwen2.5-7b-instruct\"
  template = \"pairwise\"                   # or \"letter\", \"rating\", or a table with system, user and reply
  orders = \"conservative\"                 # both orders, a win needs both verdicts; or \"average\", \"one\"
  workers = 4
  key_env = \"JUDGE_KEY\"                   # environment variable that holds the key, where one is needed

Verdicts are appended to a file as they come; the same command goes on where it was interrupted.

Examples:
  cargo xtask evaluate compare runs/dpo-seed0 runs/simpo-seed0 --html compare.html
  cargo xtask evaluate compare runs/my-seed0 runs/my-seed0 --stage-a sft --stage-b dpo
  cargo xtask evaluate compare runs/a runs/b --judge judge.toml --verdicts verdicts.jsonl")]
pub struct CompareArgs {
    /// Folder of one run
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Folder of another
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Stage of A [default: the last]
    #[arg(long, value_name = "NAME")]
    pub stage_a: Option<String>,
    /// Stage of B [default: the last]
    #[arg(long, value_name = "NAME")]
    pub stage_b: Option<String>,
    /// Judge instead of the exact reward
    #[arg(long, value_name = "FILE.toml")]
    pub judge: Option<PathBuf>,
    /// File that keeps the judge's verdicts [default: verdicts.jsonl in A's folder]
    #[arg(long, value_name = "FILE", requires = "judge")]
    pub verdicts: Option<PathBuf>,
    /// resamples
    #[command(flatten)]
    pub resample: ResampleArgs,
    /// where figures go
    #[command(flatten)]
    pub to: OutputArgs,
}

/// Arguments of `evaluate diagnose`.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Stage to look into [default: the last]
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// Bins of the reliability curve
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub bins: usize,
    /// resamples
    #[command(flatten)]
    pub resample: ResampleArgs,
    /// where figures go
    #[command(flatten)]
    pub to: OutputArgs,
}
