//! `hwpool generate`: man pages and completions, made from the command line itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command, Subcommand};
use clap_complete::Shell;
use serde_json::json;

use super::output::Output;

/// Make man pages, or completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool generate completions bash")]
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
        /// Directory that they are written to; it is made where it is missing.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Makes what is asked for from the whole command line.
pub(crate) fn run(args: &Generate, whole: Command, output: Output) -> anyhow::Result<()> {
    match &args.what {
        What::Completions { shell } => completions(*shell, &whole, output),
        What::Man { directory } => man(directory, whole, output),
    }
}

fn completions(shell: Shell, whole: &Command, output: Output) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(whole), "hwpool", &mut script);
    let script = String::from_utf8(script).context("the completions are no text")?;
    output.print(
        || json!({ "schema": "hwpool.generate/1", "shell": shell.to_string(), "script": script }),
        || script.clone(),
    )
}

/// Returns what help shows of a command: completions would offer the rest, too.
fn shown(command: &Command) -> Command {
    let arguments = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set());
    let copy = Command::new(command.get_name().to_string())
        .args(arguments.cloned())
        .subcommands(shown_verbs(command).map(shown))
        .disable_help_subcommand(true);
    let copy = match command.get_version() {
        Some(version) => copy.version(version.to_string()),
        None => copy,
    };
    match command.get_about() {
        Some(about) => copy.about(about.clone()),
        None => copy,
    }
}

fn man(directory: &Path, mut whole: Command, output: Output) -> anyhow::Result<()> {
    whole.build();
    let made = fs::create_dir_all(directory);
    made.with_context(|| format!("can't make the directory {}", directory.display()))?;
    let mut written = Vec::new();
    write_pages(&whole, directory, &mut written)?;
    output.print(
        || json!({ "schema": "hwpool.generate/1", "files": written }),
        || written.iter().map(|path| format!("{path}\n")).collect(),
    )
}

/// Writes the page of a command and those of the verbs below it; what is hidden from help has none.
fn write_pages(
    command: &Command,
    directory: &Path,
    written: &mut Vec<String>,
) -> anyhow::Result<()> {
    let page = clap_mangen::Man::new(command.clone())
        .source(concat!("hwpool ", env!("CARGO_PKG_VERSION")))
        .manual("hwpool");
    let mut text = Vec::new();
    page.render(&mut text).context("the page can't be made")?;
    let text = String::from_utf8(text).context("the page is no text")?;
    let path = directory.join(page.get_filename());
    let kept = fs::write(&path, keep_lines(&text));
    kept.with_context(|| format!("can't write {}", path.display()))?;
    written.push(path.display().to_string());
    shown_verbs(command).try_for_each(|verb| write_pages(verb, directory, written))
}

/// Keeps the lines of what stands below the options as they are: a page would make one paragraph of them.
fn keep_lines(page: &str) -> String {
    const EXTRA: &str = ".SH EXTRA\n";
    let Some((before, extra)) = page.split_once(EXTRA) else {
        return page.into();
    };
    let (lines, after) = extra.split_at(extra.find("\n.SH ").map_or(extra.len(), |at| at + 1));
    let name = match lines.starts_with("Example") {
        true => "EXAMPLES",
        false => "NOTES",
    };
    format!("{before}.SH {name}\n.nf\n{lines}.fi\n{after}")
}

fn shown_verbs(command: &Command) -> impl Iterator<Item = &Command> {
    let verbs = command.get_subcommands();
    verbs.filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::Cli;
    use super::*;

    /// Calls `each` with every command but the whole, and what it is called.
    fn verbs(command: &Command, name: &str, each: &mut dyn FnMut(&Command, &str)) {
        for verb in shown_verbs(command) {
            let name = format!("{name} {}", verb.get_name());
            verbs(verb, &name, each);
            each(verb, &name);
        }
    }

    #[test]
    fn every_verb_has_an_example_that_is_its_own() {
        let mut count = 0;
        verbs(&Cli::command(), "hwpool", &mut |command, name| {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            assert!(
                help.contains("Example") && help.contains(name),
                "{name}: {help}"
            );
            count += 1;
        });
        assert!(count > 20);
    }

    #[test]
    fn examples_are_understood() {
        verbs(&Cli::command(), "hwpool", &mut |command, name| {
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
