//! Doing what a plan says, with a way back from every step.

use nix::sys::statvfs::{FsFlags, statvfs};

use super::error::BindError;
use super::ids::why;
use super::journal::{Journal, Journals, Lock};
use super::plan::{After, Plan};
use super::state::{self, State, Step};
use crate::host::writer::Writer;
use crate::machine::{Bdf, Function, Tree};

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
        self.need_writable(tree)?;
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

    /// In a container the kernel's files are often mounted read-only.
    fn need_writable(&self, tree: &Tree) -> Result<(), BindError> {
        let paths = self.steps.iter().filter_map(Step::write);
        let is_read_only = |(path, _): &(String, _)| {
            let mount = statvfs(&tree.path(path));
            mount.is_ok_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY))
        };
        match paths.into_iter().find(is_read_only) {
            Some((path, _)) => Err(BindError::ReadOnly { path }),
            None => Ok(()),
        }
    }

    fn run_or_put_back(
        &self,
        tree: &Tree,
        writer: &mut dyn Writer,
        journals: &Journals,
        keep: bool,
    ) -> Result<(), BindError> {
        let mut journal = journals.create(self.device, &self.notes)?;
        let result = self.run(tree, writer, Some(&mut journal));
        let Err(source) = result else {
            return match keep {
                true => journal.done(),
                false => journals.remove(self.device),
            };
        };
        let source = Box::new(source);
        journal.turn_back();
        let back = self.backwards(tree);
        let again = back.run(tree, writer, Some(&mut journal));
        let forget = || match &self.earlier {
            Some(before) => journals.restore(self.device, before),
            None => journals.remove(self.device),
        };
        match again.and_then(|()| forget()) {
            Ok(()) if back.steps.is_empty() => Err(BindError::Unchanged { source }),
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

/// Looks at the group that a function has got.
fn verify_group(tree: &Tree, bdf: Bdf) -> Result<(), BindError> {
    let group = Function::read(tree, bdf).and_then(|function| function.group);
    let group = group.filter(|group| !group.noiommu);
    let group = group.ok_or(BindError::NoGroup { bdf })?;
    match group.strangers().first() {
        None => Ok(()),
        Some(stranger) => Err(BindError::Strangers {
            bdf,
            group: group.number,
            stranger: stranger.bdf,
        }),
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
                why: why(tree, *bdf, driver, found.as_deref()),
                found,
            })
        }
        Step::VerifyGroup { bdf } => verify_group(tree, *bdf),
        // The last function of a group that leaves VFIO takes the group's node along.
        Step::Own { path, .. } if tree.permissions(path).is_none() => Ok(()),
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
