//! `hwpool describe`: descriptions of devices, checked, told in words, and begun from a register file.
//!
//! | file | idea |
//! | --- | --- |
//! | `check.rs` | every mistake of a description, with its place |
//! | `show.rs` | its registers, its meaning, and what bring-up checks by it |
//! | `meaning.rs` | what it says, in sentences |
//! | `import.rs` | the first description of a register file |
//! | `document.rs` | what documents for programs have in common |

mod check;
mod document;
mod import;
mod meaning;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use hwpool::describe;

use super::output::{self, Output};

/// Check, show or begin the description of a device.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool describe check mine.toml")]
pub(crate) struct Describe {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Name every mistake in a description, and every question that it leaves open.
    ///
    /// Each is a line FILE:LINE:COLUMN: MESSAGE on stderr. Exit code 2 where there is one, as of any verb that is given
    /// such a file.
    #[command(after_help = "Example: hwpool describe check mine.toml")]
    Check {
        /// The description.
        #[arg(value_name = "FILE.toml")]
        file: PathBuf,
    },
    /// Show what a description says: its registers, its meaning in sentences, and what bring-up will check.
    #[command(after_help = "Example: hwpool describe show mine.toml")]
    Show {
        /// The description.
        #[arg(value_name = "FILE.toml")]
        file: PathBuf,
    },
    /// Begin a description with what a register file tells: csr.json of LiteX, CMSIS-SVD or IP-XACT.
    ///
    /// What is guessed by names has a comment, and what the file can't tell is a "?" that `hwpool describe check` names.
    #[command(
        after_help = "Example: hwpool describe import csr.json --block buffers --output mine.toml"
    )]
    Import(import::Import),
    /// Print the JSON schema of descriptions, by which editors complete, explain and check.
    ///
    /// Editors with taplo, such as VS Code with Even Better TOML, take it from the first line of a description:
    /// #:schema ./hwpool.device-1.schema.json
    #[command(after_help = "Example: hwpool describe schema >hwpool.device-1.schema.json")]
    Schema,
}

pub(crate) fn run(args: &Describe, output: Output) -> anyhow::Result<()> {
    match &args.action {
        Action::Check { file } => check::run(file, output),
        Action::Show { file } => show::run(file, output),
        Action::Import(args) => import::run(args, output),
        // It is a document, whoever reads it.
        Action::Schema => output::write(describe::JSON_SCHEMA),
    }
}
