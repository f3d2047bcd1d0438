//! Why nothing was bound or unbound, and what went wrong on the way.

use std::io;
use std::path::PathBuf;

use super::objection::Objection;
use super::state::Missing;
use crate::machine::Bdf;

/// Why nothing was bound or unbound, or what went wrong on the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No such function.
    #[error("no PCI function {bdf}: `hwpool devices --all` lists those that there are")]
    NoFunction {
        /// The function.
        bdf: Bdf,
    },
    /// A bridge belongs to the kernel.
    #[error("{bdf} is a bridge: what is behind it would be cut off")]
    Bridge {
        /// The function.
        bdf: Bdf,
    },
    /// The driver is not there.
    #[error(
        "no driver {driver} in the kernel: `modprobe {driver}`, then again; nothing was changed"
    )]
    NoDriver {
        /// The driver.
        driver: String,
    },
    /// Something speaks against it.
    #[error("{device} is not touched: {}", list(objections))]
    Refused {
        /// The function.
        device: Bdf,
        /// What speaks against it.
        objections: Vec<Objection>,
    },
    /// An earlier binding was cut off.
    #[error("an earlier binding of {device} was interrupted: `hwpool recover {device}` puts back what was there ({path})", path = path.display())]
    Interrupted {
        /// The function.
        device: Bdf,
        /// The journal.
        path: PathBuf,
    },
    /// A journal tells of functions that are not there.
    #[error(
        "{}; put the board back and recover again, or `hwpool recover {device} --forget` drops what was kept of it",
        list(missing)
    )]
    Missing {
        /// The function.
        device: Bdf,
        /// Those that are not there.
        missing: Vec<Missing>,
    },
    /// The function has been bound to something else since.
    #[error("{device} was bound to another driver ({}) since hwpool bound it: `hwpool recover {device}` puts back what was there before",
            driver.as_deref().unwrap_or("none"))]
    Moved {
        /// The function.
        device: Bdf,
        /// Its driver now.
        driver: Option<String>,
    },
    /// Another process binds or unbinds.
    #[error("another hwpool{} is at work, and has locked {path}: let it finish; --wait SECONDS waits for it",
            holder.map_or(String::new(), |pid| format!(" (process {pid})")), path = path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// The process, where the kernel tells.
        holder: Option<u32>,
    },
    /// The kernel's files can't be written here.
    #[error(
        "{path} is on a file system that is mounted read-only, as in a container: nothing was changed; run hwpool on the host, or in a container with a /sys that can be written (--privileged)"
    )]
    ReadOnly {
        /// The first file that would be written.
        path: String,
    },
    /// Whether there are journals, or what one says, can't be learned.
    #[error("{path}: the journals can't be read: only root may; --journal names another directory", path = path.display())]
    Unreadable {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A journal can't be written.
    #[error("{path}: the journal can't be kept: only root may write there; --journal names another directory", path = path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// All is as it was, and the journal is still there.
    #[error("what was there before is put back, but {path} can't be removed: do that before the next binding", path = path.display())]
    Remains {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file that should be a journal is none.
    #[error("{path} is no journal of this version of hwpool: look into it, put the driver back by hand, remove it", path = path.display())]
    JournalText {
        /// The file.
        path: PathBuf,
    },
    /// The kernel refused a step.
    #[error("`{step}` failed")]
    Step {
        /// The step.
        step: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A function does not have the driver that it was given.
    #[error("{bdf} should be on {wanted} and is on {}: {why}", found.as_deref().unwrap_or("no driver"))]
    Verify {
        /// The function.
        bdf: Bdf,
        /// The driver that it should have.
        wanted: String,
        /// The driver that it has.
        found: Option<String>,
        /// Why probably, and what to do.
        why: String,
    },
    /// A function that was in no IOMMU group got none when it was probed.
    #[error(
        "{bdf} got no IOMMU group when it was probed, although this machine has an IOMMU: `hwpool doctor` says why"
    )]
    NoGroup {
        /// The function.
        bdf: Bdf,
    },
    /// The IOMMU group that a function got has another one in it, which is in use.
    #[error(
        "{bdf} got IOMMU group {group}, which is not viable for {stranger} in it: now that it is known, `hwpool bind {bdf} --whole-group` binds both"
    )]
    Strangers {
        /// The function.
        bdf: Bdf,
        /// Its group.
        group: u32,
        /// A function that is on another driver.
        stranger: Bdf,
    },
    /// Something failed before it changed anything.
    #[error("nothing was changed")]
    Unchanged {
        /// What failed.
        source: Box<BindError>,
    },
    /// Something failed, and all was put back.
    #[error("what had been changed was changed back")]
    PutBack {
        /// What failed.
        source: Box<BindError>,
    },
    /// Something failed, and putting it back failed, too.
    #[error(
        "{device} is left as it is, because putting it back failed, too ({again}): then `hwpool recover {device}`"
    )]
    Stuck {
        /// The function.
        device: Bdf,
        /// What failed first.
        source: Box<BindError>,
        /// What failed when it was put back.
        again: Box<BindError>,
    },
}

fn list(items: &[impl ToString]) -> String {
    let lines: Vec<_> = items.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
