//! `hwpool describe import`: the first description of a register file.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use hwpool::describe::{self, DescribeError, Draft, Format};
use serde_json::{Value, json};

use super::document::{SCHEMA, mistake};
use crate::cli::arguments::text;
use crate::cli::exit::{Usage, say};
use crate::cli::output::Output;

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The register file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Block of registers that is taken: a CSR bank, a peripheral, a memory map or an address block [default: all].
    #[arg(long, value_name = "NAME")]
    block: Option<String>,
    /// What the register file has to be; anything else is refused [default: told by how it begins].
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Wanted>,
    /// Write the description to this file, which must not be there yet, instead of stdout.
    #[arg(short, long, value_name = "FILE.toml")]
    output: Option<PathBuf>,
}

/// A format, as the command line names it.
#[derive(Debug, Copy, Clone, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// csr.json of LiteX.
    Csr,
    /// CMSIS-SVD.
    Svd,
    /// IP-XACT, which SystemRDL's `peakrdl ip-xact` writes too.
    IpXact,
}

impl Wanted {
    fn of(format: Format) -> Wanted {
        match format {
            Format::CsrJson => Wanted::Csr,
            Format::Svd => Wanted::Svd,
            Format::IpXact => Wanted::IpXact,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Wanted::Csr => "csr",
            Wanted::Svd => "svd",
            Wanted::IpXact => "ip-xact",
        }
    }
}

pub(super) fn run(args: &Import, output: Output) -> anyhow::Result<()> {
    let registers = describe::register_file(&args.file).map_err(Usage::of)?;
    let named = args.named()?;
    let block = args.block.as_deref();
    let draft = describe::draft(&registers, &named, block).map_err(|wrong| {
        // By the name that was given, not the one from elsewhere.
        let file = text(&args.file);
        Usage::of(describe::Wrong { file, ..wrong })
    })?;
    args.refuse_other(draft.format)?;
    let name = args.output.as_deref().map_or("(stdout)".into(), text);
    let questions = describe::check_text(&draft.text, &name, &|_| Ok(registers.clone()));
    let questions = questions.err().unwrap_or_default();
    if let Some(path) = &args.output {
        create(path, &draft.text)?;
    }
    output.print(
        || args.json(&draft, &questions),
        || match &args.output {
            Some(path) => format!("wrote {}\n", path.display()),
            None => draft.text.clone(),
        },
    )?;
    args.say(&draft, &questions);
    Ok(())
}

impl Import {
    fn refuse_other(&self, format: Format) -> Result<(), Usage> {
        let found = Wanted::of(format);
        match self.format {
            Some(wanted) if wanted != found => Err(Usage(format!(
                "{} is {}, and --format says {}",
                self.file.display(),
                found.word(),
                wanted.word()
            ))),
            _ => Ok(()),
        }
    }

    /// Returns how the description names the register file: from where the description lies.
    fn named(&self) -> anyhow::Result<String> {
        let directory = self.output.as_deref().and_then(Path::parent);
        let named = match directory.filter(|directory| !directory.as_os_str().is_empty()) {
            Some(directory) if self.file.is_relative() => from(directory, &self.file)?,
            _ => self.file.clone(),
        };
        let message = || Usage(format!("{}: its name is no text", self.file.display()));
        Ok(named.to_str().ok_or_else(message)?.to_owned())
    }

    fn json(&self, draft: &Draft, questions: &[DescribeError]) -> Value {
        json!({
            "schema": SCHEMA, "file": self.output.as_deref().map(text), "format": Wanted::of(draft.format).word(),
            "blocks": draft.blocks, "guesses": draft.guesses,
            "questions": questions.iter().map(mistake).collect::<Vec<_>>(), "description": draft.text,
        })
    }

    /// Says on stderr what the register file did not tell.
    fn say(&self, draft: &Draft, questions: &[DescribeError]) {
        let file = self.file.display();
        if draft.blocks.len() > 1 && self.block.is_none() {
            let blocks = draft.blocks.join(", ");
            say(&format!(
                "{file} has the blocks {blocks}: --block NAME takes one, and its registers by their own names"
            ));
        }
        if !draft.guesses.is_empty() {
            let (count, guesses) = (draft.guesses.len(), draft.guesses.join(", "));
            say(&format!("{count} guessed, see the comments: {guesses}"));
        }
        let open: Vec<&str> = questions
            .iter()
            .filter_map(|error| match error {
                DescribeError::Wrong(wrong) => Some(wrong.key.as_str()),
                DescribeError::Unreadable { .. } => None,
            })
            .collect();
        if !open.is_empty() {
            let (count, keys) = (open.len(), open.join(", "));
            let way = match &self.output {
                Some(path) => format!(
                    "`hwpool describe check {}` says what each asks",
                    path.display()
                ),
                None => "the comments ask them".into(),
            };
            say(&format!("{count} left open, a \"?\" each: {keys}; {way}"));
        }
    }
}

/// Returns the way from a directory to a file.
fn from(directory: &Path, file: &Path) -> anyhow::Result<PathBuf> {
    let real = |path: &Path| {
        let real = path.canonicalize();
        real.map_err(|error| Usage(format!("{}: {error}", path.display())))
    };
    let (directory, file) = (real(directory)?, real(file)?);
    let common = directory
        .components()
        .zip(file.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = directory.components().skip(common).map(|_| "..");
    let up: PathBuf = up.collect();
    Ok(up.join(file.components().skip(common).collect::<PathBuf>()))
}

/// Writes a file whole or not at all, and over no other: answers to questions may be in it.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let write = || -> anyhow::Result<()> {
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}
