//! What the command line prints: text for people or one JSON document for programs, on stdout; all else on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use hwpool::report::Tone;
use serde_json::Value;

/// Where a verb's result goes.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
}

/// The colours of verdicts.
#[derive(Debug, Copy, Clone)]
pub(crate) enum Colour {
    Good,
    Bad,
    Pale,
}

impl From<Tone> for Colour {
    fn from(tone: Tone) -> Colour {
        match tone {
            Tone::Good => Colour::Good,
            Tone::Bad => Colour::Bad,
            Tone::Pale => Colour::Pale,
        }
    }
}

impl Output {
    /// Prints JSON, or text with colours where stdout is a terminal and NO_COLOR is unset or empty.
    pub(crate) fn new(json: bool) -> Output {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Output {
            json,
            colour: !unwanted && io::stdout().is_terminal(),
        }
    }

    /// Tells whether a program reads along: then nothing but the document goes to stdout.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the result in the form that was asked for.
    pub(crate) fn print(
        &self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            let document =
                serde_json::to_string_pretty(&json()).context("the result is no JSON")?;
            write(&format!("{document}\n"))
        } else {
            write(&text())
        }
    }

    /// Prints a line for people at once; nothing where a program reads along.
    pub(crate) fn line(&self, line: impl Display) -> anyhow::Result<()> {
        if self.json {
            Ok(())
        } else {
            write(&format!("{line}\n"))
        }
    }

    /// Colours `text` where colours are wanted.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Good => "32",
            Colour::Bad => "1;31",
            Colour::Pale => "2",
        };
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// Writes to stdout. A reader that has gone away wants no more: that is an end, not an error.
pub(super) fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => result.context("can't write to stdout"),
    }
}

/// The reader of stdout has closed it.
#[derive(Debug, thiserror::Error)]
#[error("the reader of stdout has closed it")]
pub(crate) struct ReaderGone;
