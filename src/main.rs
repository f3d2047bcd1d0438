//! The command line of hwpool; see `hwpool --help`.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if std::env::args_os().len() <= 1 {
        return cli::greet();
    }
    let arguments = cli::Cli::parse();
    log_to_stderr(arguments.verbose);
    cli::finish(cli::run(arguments))
}

/// Warnings always, more with each `-v`. A line that can't be written is lost: where stderr is full or its reader has
/// gone, saying so there, as the subscriber would, ends the thread by a panic.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| cli::Log)
        .log_internal_errors(false)
        .without_time()
        .init();
}
