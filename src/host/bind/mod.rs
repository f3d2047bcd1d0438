//! Takes functions from their drivers for VFIO, and gives them back exactly as they were.
//!
//! | file | idea |
//! | --- | --- |
//! | `state.rs` | what is, what shall be, and the steps from one to the other |
//! | `plan.rs` | the steps of a command, and what speaks against them |
//! | `journal.rs` | what was before, kept on disk before anything is changed |
//! | `udev.rs` | the rules that make a binding last |
//!
//! A plan is made from what is there now, so it can be made again after an interruption at any step: `recover` makes
//! one from the state in the journal. Order of a binding: the driver is named (`driver_override`) while the old one
//! still has the function, so that no third driver can take it in between; then it is unbound and probed.

mod journal;
mod plan;
mod state;
mod udev;

use std::io;
use std::path::PathBuf;

pub use journal::{Journals, Lock, Record};
pub use plan::{Missing, Objection, Plan, Request};
pub use state::{State, Step, Wanted};
pub use udev::rules as udev_rules;

use super::Writer;
use crate::machine::{Bdf, Tree};
use journal::Journal;
use plan::After;

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
    #[error("another hwpool binds or unbinds at the moment ({path} is locked): wait for it", path = path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
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
    #[error("{bdf} should be on {wanted} and is on {}: the driver refused it; dmesg says why", found.as_deref().unwrap_or("no driver"))]
    Verify {
        /// The function.
        bdf: Bdf,
        /// The driver that it should have.
        wanted: String,
        /// The driver that it has.
        found: Option<String>,
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

impl Plan {
    /// Does what the plan says, each step after it has been noted in the journal. The plan was made under `lock`.
    ///
    /// Blocks as long as drivers take.
    ///
    /// # Errors
    ///
    /// [`BindError::Refused`] before anything is changed. Of a binding that fails on its way all is put back, which
    /// [`BindError::PutBack`] says; one that gives back keeps its journal, and can be tried again.
    pub fn execute(
        &self,
        tree: &Tree,
        writer: &mut dyn Writer,
        journals: &Journals,
        _lock: &Lock,
    ) -> Result<(), BindError> {
        if !self.objections.is_empty() {
            return Err(BindError::Refused {
                device: self.device,
                objections: self.objections.clone(),
            });
        }
        match self.after {
            After::Nothing => self.run(tree, writer, None),
            After::Forget if self.steps.is_empty() => journals.remove(self.device),
            After::Forget => {
                self.run(tree, writer, journals.reopen(self.device).as_mut())?;
                journals.remove(self.device)
            }
            After::Stay if self.steps.is_empty() => Ok(()),
            After::Stay => self.run(tree, writer, journals.reopen(self.device).as_mut()),
            After::Keep => self.run_or_put_back(tree, writer, journals, true),
            After::Drop => self.run_or_put_back(tree, writer, journals, false),
        }
    }

    fn run_or_put_back(
        &self,
        tree: &Tree,
        writer: &mut dyn Writer,
        journals: &Journals,
        keep: bool,
    ) -> Result<(), BindError> {
        let mut journal = journals.create(self.device, &self.before)?;
        let result = self.run(tree, writer, Some(&mut journal));
        let Err(source) = result else {
            return match keep {
                true => journal.done(),
                false => journals.remove(self.device),
            };
        };
        let source = Box::new(source);
        journal.turn_back();
        let again = self.backwards(tree).run(tree, writer, Some(&mut journal));
        match again.and_then(|()| journals.remove(self.device)) {
            Ok(()) => Err(BindError::PutBack { source }),
            Err(again) => Err(BindError::Stuck {
                device: self.device,
                source,
                again: Box::new(again),
            }),
        }
    }

    fn run(
        &self,
        tree: &Tree,
        writer: &mut dyn Writer,
        mut journal: Option<&mut Journal>,
    ) -> Result<(), BindError> {
        for step in &self.steps {
            if let Some(journal) = &mut journal {
                journal.step(step)?;
            }
            run_step(step, tree, writer)?;
        }
        Ok(())
    }
}

fn run_step(step: &Step, tree: &Tree, writer: &mut dyn Writer) -> Result<(), BindError> {
    let failed = |source| BindError::Step {
        step: step.to_string(),
        source,
    };
    if let Some((path, value)) = step.write() {
        return writer.write(&tree.path(&path), &value).map_err(failed);
    }
    match step {
        Step::Verify { bdf, driver } => {
            state::has_driver(tree, *bdf, driver).map_err(|found| BindError::Verify {
                bdf: *bdf,
                wanted: driver.to_string(),
                found,
            })
        }
        Step::Own { path, uid } => writer.own(&tree.path(path), *uid).map_err(failed),
        Step::OwnNodes { bdf, uid, .. } => {
            let nodes = State::read(tree, *bdf).map(|state| state.owners);
            let nodes = nodes
                .into_iter()
                .flatten()
                .filter(|(_, owner)| owner != uid);
            for (path, _) in nodes {
                writer.own(&tree.path(&path), *uid).map_err(failed)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
