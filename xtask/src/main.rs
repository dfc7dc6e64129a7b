//! The command line of the workspace: `cargo xtask …`.
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    tropism_ops::keep_freed_memory();
    let level = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).init();
    // messages stay on one line, so that paths and keys can be searched for and copied
    let plain = |_: &_| Box::new(miette::MietteHandlerOpts::new().wrap_lines(false).build()) as _;
    if let Err(e) = miette::set_hook(Box::new(plain)) {
        tracing::warn!("{e}");
    }
    match tropism_xtask::run(tropism_xtask::cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{:?}", miette::Report::new(e));
            ExitCode::FAILURE
        }
    }
}
