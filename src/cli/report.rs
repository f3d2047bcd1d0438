//! `hwpool report`, and the options of `hwpool bringup` that say where a report goes and in which form.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use hwpool::report::{INDENT, Report, SCHEMA, html, junit, text};

use super::exit::Usage;
use super::output::{self, Colour, Output};

/// Make a page, XML or text out of the JSON of a bring-up.
///
/// Exit code 1 where the board of the report was not proved.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hwpool report board.json
  hwpool report board.json --report html --out board.html --compare model.json")]
pub(crate) struct ReportArgs {
    /// What `hwpool bringup --json` printed.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    reporting: Reporting,
}

/// The form of a report.
#[derive(Debug, Copy, Clone, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Lines for people.
    Text,
    /// One JSON document.
    Json,
    /// XML as build servers read it.
    Junit,
    /// One page that needs nothing else, with plots.
    Html,
}

#[derive(Debug, Args)]
pub(super) struct Reporting {
    /// Form of the report [default: by the ending of --out].
    #[arg(long, value_enum, value_name = "FORM")]
    report: Option<Format>,
    /// Write the report to this file, whole or not at all, and print as usual; without it the report is what is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// JSON of another run, shown beside this one in html: such as the model's beside the board's.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

pub(crate) fn run(args: &ReportArgs, output: Output) -> anyhow::Result<bool> {
    let sink = args.reporting.sink(output)?;
    let report = read(&args.file)?;
    if sink.is_text() {
        output::write(&output.fold(&text(&report), INDENT))?;
    }
    sink.write_file_or_form(&report)?;
    Ok(report.is_good())
}

impl Reporting {
    /// Finds mistakes before anything is run.
    pub(super) fn sink(&self, output: Output) -> anyhow::Result<Sink> {
        let by_ending = self.out.as_deref().map(of_ending);
        let form = match (self.report, by_ending) {
            (Some(form), _) => Some(form),
            (None, Some(form)) => Some(form?),
            (None, None) => None,
        };
        if self.compare.is_some() && form != Some(Format::Html) {
            return Err(Usage("--compare goes with --report html".into()).into());
        }
        if output.is_json() && self.out.is_none() && form.is_some_and(|form| form != Format::Json) {
            let message = "--json and --report would print two documents: add --out FILE for the report, or leave one out";
            return Err(Usage(message.into()).into());
        }
        if let Some(directory) = self.out.as_deref().and_then(Path::parent) {
            let is_there = directory.as_os_str().is_empty() || directory.is_dir();
            if !is_there {
                return Err(Usage(format!("--out: no directory {}", directory.display())).into());
            }
        }
        Ok(Sink {
            form,
            out: self.out.clone(),
            beside: self.compare.as_deref().map(read).transpose()?,
            output,
        })
    }
}

fn of_ending(path: &Path) -> anyhow::Result<Format> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html" | "htm") => Ok(Format::Html),
        Some("json") => Ok(Format::Json),
        Some("xml") => Ok(Format::Junit),
        Some("txt" | "log") => Ok(Format::Text),
        _ => Err(Usage(format!(
            "--out {}: say --report text, json, junit or html",
            path.display()
        ))
        .into()),
    }
}

fn read(path: &Path) -> anyhow::Result<Report> {
    let wrong = |error: String| Usage(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("not the JSON of a bring-up: {error}")))?;
    match report.schema == SCHEMA {
        true => Ok(report),
        false => Err(wrong(format!("its schema is {}, not {SCHEMA}", report.schema)).into()),
    }
}

/// Where a report goes.
pub(super) struct Sink {
    form: Option<Format>,
    out: Option<PathBuf>,
    beside: Option<Report>,
    output: Output,
}

impl Sink {
    /// Tells whether lines for people are what is printed.
    pub(super) fn is_text(&self) -> bool {
        let is_file = self.form.is_none() || self.out.is_some();
        is_file && !self.output.is_json()
    }

    /// Writes the report of a run whose lines were printed, if any are.
    pub(super) fn write(&self, report: &Report) -> anyhow::Result<()> {
        if self.is_text() {
            let good = report.is_good();
            let colour = if good { Colour::Good } else { Colour::Bad };
            let counts = self.output.paint(colour, &report.counts());
            self.output.line(format!("{}: {counts}", report.device))?;
        }
        self.write_file_or_form(report)
    }

    /// Writes everything but lines for people.
    fn write_file_or_form(&self, report: &Report) -> anyhow::Result<()> {
        if let Some(form) = self.form {
            let text = self.render(report, form)?;
            match &self.out {
                Some(path) => replace(path, &text)?,
                None => return output::write(&text),
            }
        }
        match self.output.is_json() {
            true => output::write(&self.render(report, Format::Json)?),
            false => Ok(()),
        }
    }

    fn render(&self, report: &Report, form: Format) -> anyhow::Result<String> {
        Ok(match form {
            Format::Text => text(report),
            Format::Json => serde_json::to_string_pretty(report)? + "\n",
            Format::Junit => junit(report),
            Format::Html => html(report, self.beside.as_ref()),
        })
    }
}

/// Writes a file whole or not at all: whoever reads it meanwhile finds the old one. What is no file, such as a pipe, is
/// written to.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
    let write = || -> anyhow::Result<()> {
        if is_special {
            return Ok(fs::write(path, text)?);
        }
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}
