//! `cargo xtask bench`: speed and memory, one JSON line per run.
//!
//! Absolute figures belong to a machine and an hour; run a peer in turn with the bench and keep the ratio.
mod bootstrap;
mod dpo;
mod generate;
mod grpo;
mod ops;
mod prepare;
mod sft;

use crate::cli::{BenchCommand, Dtype};
use crate::error::XtaskError;
use serde_json::Value;
use std::path::Path;
use tropism_lm::{Decoder, Loaded, load};
use tropism_ops::Precision;

/// Carries out `cargo xtask bench …`.
///
/// # Errors
/// A model or data file that cannot be used.
pub fn command(command: &BenchCommand) -> Result<(), XtaskError> {
    let line = match command {
        BenchCommand::Dpo(args) => on_threads(args.common.threads, || dpo::run(args))?,
        BenchCommand::Grpo(args) => on_threads(args.common.threads, || grpo::run(args))?,
        BenchCommand::Generate(args) => on_threads(args.common.threads, || generate::run(args))?,
        BenchCommand::Sft(args) => on_threads(args.threads, || sft::run(args))?,
        BenchCommand::Bootstrap(args) => on_threads(args.threads, || bootstrap::run(args))?,
        BenchCommand::Prepare(args) => on_threads(args.threads, || prepare::run(args))?,
        BenchCommand::Ops(args) => on_threads(args.threads, || ops::run(args))?,
    };
    println!("{line}");
    Ok(())
}

fn on_threads(threads: usize, f: impl FnOnce() -> Result<Value, XtaskError> + Send) -> Result<Value, XtaskError> {
    tropism_ops::with_threads(threads, f).map_err(tropism_lm::LmError::from)?
}

fn model(folder: &Path) -> Result<Decoder<Loaded, f32>, XtaskError> {
    Ok(load(folder, |c| Ok(Loaded::new(c)))?)
}

fn precision(dtype: Dtype) -> Result<Precision, XtaskError> {
    match dtype {
        Dtype::F32 => Ok(Precision::Full),
        Dtype::Int8 => Err(XtaskError::usage("int8 is for weights that are read only", "take --dtype f32 or bf16")),
        Dtype::Bf16 if Precision::has_bf16() => Ok(Precision::Bf16),
        Dtype::Bf16 => {
            let problem = "this processor has no bf16 products, so bf16 would measure f32";
            Err(XtaskError::usage(problem, "take --dtype f32"))
        }
    }
}

fn name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "f32",
        Dtype::Bf16 => "bf16",
        Dtype::Int8 => "int8",
    }
}

/// Most memory that the process has held so far, in MiB; none where the system does not say.
fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}

fn rounded(values: impl IntoIterator<Item = f64>, digits: i32) -> Vec<f64> {
    let unit = 10f64.powi(digits);
    values.into_iter().map(|v| (v * unit).round() / unit).collect()
}
