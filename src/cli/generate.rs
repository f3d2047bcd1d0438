//! `hwpool generate`: man pages and completions, made from the command line itself.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory, Subcommand};
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Output};

/// Make man pages, or completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print completions for a shell.
    #[command(
        after_help = "Example: hwpool generate completions bash >/etc/bash_completion.d/hwpool"
    )]
    Completions {
        /// The shell.
        #[arg(value_enum, value_name = "SHELL")]
        shell: Shell,
    },
    /// Write a man page for each verb, and one for all.
    #[command(after_help = "Example: hwpool generate man /usr/local/share/man/man1")]
    Man {
        /// Directory that they are written to; it is there already.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

pub(crate) fn run(args: &Generate, output: Output) -> anyhow::Result<()> {
    match &args.what {
        What::Completions { shell } => completions(*shell, output),
        What::Man { directory } => man(directory, output),
    }
}

fn completions(shell: Shell, output: Output) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hwpool", &mut script);
    let script = String::from_utf8(script).context("the completions are no text")?;
    output.print(
        || json!({ "schema": "hwpool.generate/1", "shell": shell.to_string(), "script": script }),
        || script.clone(),
    )
}

fn man(directory: &Path, output: Output) -> anyhow::Result<()> {
    let mut command = Cli::command();
    command.build();
    let mut written = Vec::new();
    write_pages(&command, directory, &mut written)?;
    output.print(
        || json!({ "schema": "hwpool.generate/1", "files": written }),
        || written.iter().map(|path| format!("{path}\n")).collect(),
    )
}

/// Writes the page of a command and those of the verbs below it; what is hidden from help has none.
fn write_pages(
    command: &clap::Command,
    directory: &Path,
    written: &mut Vec<String>,
) -> anyhow::Result<()> {
    let page = clap_mangen::Man::new(command.clone())
        .source(concat!("hwpool ", env!("CARGO_PKG_VERSION")))
        .manual("hwpool");
    let path = page.generate_to(directory);
    let path = path.with_context(|| format!("can't write to {}", directory.display()))?;
    written.push(path.display().to_string());
    shown_verbs(command).try_for_each(|verb| write_pages(verb, directory, written))
}

fn shown_verbs(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    let verbs = command.get_subcommands();
    verbs.filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// Calls `each` with every command that has no verbs below it, and what it is called.
    fn leaves(command: &clap::Command, name: &str, each: &mut dyn FnMut(&clap::Command, &str)) {
        let verbs: Vec<_> = shown_verbs(command).collect();
        for verb in &verbs {
            leaves(verb, &format!("{name} {}", verb.get_name()), each);
        }
        if verbs.is_empty() {
            each(command, name);
        }
    }

    #[test]
    fn every_verb_has_an_example_that_is_its_own() {
        let mut count = 0;
        leaves(&Cli::command(), "hwpool", &mut |command, name| {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            assert!(
                help.contains("Example") && help.contains(name),
                "{name}: {help}"
            );
            count += 1;
        });
        assert!(count > 15);
    }

    #[test]
    fn examples_are_understood() {
        leaves(&Cli::command(), "hwpool", &mut |command, name| {
            let help = command.get_after_help().map(ToString::to_string);
            for line in help.unwrap_or_default().lines() {
                let Some(at) = line.find("hwpool ") else {
                    continue;
                };
                let example = line[at..].split([',', '>']).next().unwrap_or_default();
                let words = example
                    .split_whitespace()
                    .map(|word| word.trim_matches('\''));
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{name}: {example}: {}", parsed.unwrap_err());
            }
        });
    }

    #[test]
    fn help_fits_a_screen() {
        let asked = |option| Cli::try_parse_from(["hwpool", option]).unwrap_err();
        let help = asked("--help").to_string();
        assert!(help.trim_end().lines().count() <= 24, "{help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
        assert_eq!(help, asked("-h").to_string(), "-h says as much as --help");
    }
}
