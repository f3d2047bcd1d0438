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
    /// Columns of the terminal; none where text goes elsewhere.
    width: Option<usize>,
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
            width: terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into()),
        }
    }

    /// Tells whether a program reads along: then nothing but the document goes to stdout.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Tells whether colours are wanted.
    pub(crate) fn is_coloured(&self) -> bool {
        self.colour
    }

    /// Returns the columns of the terminal; `None` where text goes elsewhere.
    pub(crate) fn width(&self) -> Option<u16> {
        self.width
            .map(|width| u16::try_from(width).unwrap_or(u16::MAX))
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

    /// Breaks lines at spaces where the terminal is narrower than they are; what goes on begins at column `indent`, or
    /// where the terminal is too narrow for that, further to the left.
    pub(crate) fn fold(&self, text: &str, indent: usize) -> String {
        match self.width {
            None => text.to_string(),
            Some(width) => text
                .split_inclusive('\n')
                .map(|line| fold(line, width, indent))
                .collect(),
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

fn fold(line: &str, width: usize, indent: usize) -> String {
    let rest = line.trim_start_matches(' ');
    let begin = " ".repeat(line.len() - rest.len());
    // A column of a table stays one on a terminal of 80.
    let most = if width >= 72 {
        width * 2 / 5
    } else {
        width / 3
    };
    let indent = " ".repeat(indent.min(most));
    let options = textwrap::Options::new(width)
        .initial_indent(&begin)
        .subsequent_indent(&indent)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(rest, options)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_at_spaces_and_words_stay_whole() {
        let text =
            "pass   portal.unique  each buffer\n           a /very/long/path/indeed 1\n\nend";
        let output = |width| Output {
            json: false,
            colour: true,
            width,
        };
        assert_eq!(output(None).fold(text, 11), text);
        assert_eq!(
            output(Some(24)).fold(text, 11),
            "pass   portal.unique\n        each buffer\n           a\n        /very/long/path/indeed\n        1\n\nend"
        );
        let row = format!("{:28}{}\n", "ok      memlock", "word ".repeat(14));
        let folded = output(Some(80)).fold(&row, 28);
        let second = folded.lines().nth(1).expect("two lines");
        assert_eq!(second.find("word"), Some(28), "{folded}");
        let painted = output(None).paint(Colour::Pale, "1234 6789");
        assert_eq!(
            output(Some(9)).fold(&painted, 0),
            painted,
            "colours take no room"
        );
    }
}
