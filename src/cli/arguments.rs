//! What the verbs about the machine share: which tree they look at, and which function is meant.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::Args;
use hwpool::address::{Address, AddressError, shown};
use hwpool::host::bind::Journals;
use hwpool::host::{Reason, Tree};
use hwpool::vfio::{Bdf, Options};

use super::exit::Usage;

/// Which machine is looked at.
#[derive(Debug, Args)]
pub(super) struct Machine {
    /// Look at a directory with sys, proc, dev and etc instead of the running system. For tests.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide = true,
        global = true
    )]
    root: PathBuf,
}

impl Machine {
    pub(super) fn tree(&self) -> Tree {
        Tree::at(&self.root)
    }
}

/// Where bindings are remembered.
#[derive(Debug, Args)]
pub(super) struct JournalArg {
    /// Directory of the journals, which recover reads [default: /run/hwpool].
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
}

impl JournalArg {
    pub(super) fn journals(&self, tree: &Tree) -> Journals {
        let default = || tree.path("/run/hwpool");
        Journals::at(&self.journal.clone().unwrap_or_else(default))
    }
}

/// Reasons that shall not count.
#[derive(Debug, Args)]
pub(super) struct Overrides {
    #[arg(long = "override", value_name = "REASON", help = overrides())]
    pub(super) reasons: Vec<Reason>,
}

fn overrides() -> String {
    let known = Reason::ALL.map(Reason::word).join(", ");
    format!(
        "Go on in spite of this reason, and of this one only; may be given several times: {known}"
    )
}

/// Reads `0000:01:00.0` or `vfio:0000:01:00.0`, whose options must make sense although they are not needed here.
pub(super) fn bdf(text: &str) -> anyhow::Result<Bdf> {
    let usage = |error: &dyn Display| Usage(error.to_string());
    let name = match text.starts_with("vfio:") {
        true => {
            let address: Address = text
                .parse()
                .map_err(|error| usage(&error as &AddressError))?;
            Options::parse(&address.options).map_err(|error| usage(&error))?;
            address.target
        }
        false => shown(text).into_owned(),
    };
    let bdf = name.parse::<Bdf>();
    Ok(bdf.map_err(|error| usage(&error))?)
}

/// Finds the number of a user.
pub(super) fn user(tree: &Tree, name: &str) -> anyhow::Result<u32> {
    let message = || Usage(format!("no user `{name}` in /etc/passwd: give the number"));
    tree.user(name).ok_or_else(|| message().into())
}

/// Reads a size: bytes, or with K, M or G.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let bits = match &text[digits.len()..] {
        "" => 0,
        "k" | "K" | "kB" | "KiB" => 10,
        "M" | "MB" | "MiB" => 20,
        "G" | "GB" | "GiB" => 30,
        unit => return Err(format!("no unit `{unit}`: write 2M, 1G, 2048K or bytes")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is no size: write 2M, 1G, 2048K or bytes"))?;
    number
        .checked_mul(1 << bits)
        .ok_or_else(|| format!("`{text}` is too much"))
}

/// Returns a path as text, for documents.
pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}
