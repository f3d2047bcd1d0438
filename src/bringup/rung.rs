//! A rung: what it is called, what it rests on, and how it checks; and what it works on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hwpool_devices::bus::Transport;
use hwpool_devices::family::{About, Choice as DriverChoice, Described, OpenReset, Rejected};
use hwpool_devices::pci;
use hwpool_devices::reg::Register;

use super::choice::Named;
use super::symptom::{Blame, Symptom};
use super::within::Budget;
use super::{Class, Evidence, Failure, Options};
use crate::device::{AnyModule, Session, who};

/// Has another process drive the device, kills it in the middle of its traffic, and opens the device again.
///
/// Gets the transport, which nobody else holds, since a function has one owner at a time; returns it, opened again, and
/// what it has to say. Without a transport the climb ends.
pub type Kill<'a, T> =
    Box<dyn FnMut(Arc<T>, &mut Evidence) -> (Option<Arc<T>>, Result<(), Failure>) + 'a>;

/// How a rung checks. What it finds wrong is a [`Symptom`] of its own, or the error of a driver or of the machine as it is.
pub(super) type Check<T> =
    for<'a, 'b> fn(&'a mut Board<'b, T>, &'a mut Evidence) -> Result<(), Failure>;

/// A rung of the ladder.
pub(super) struct Rung<T: Transport> {
    pub(super) named: Named,
    /// What it proves, in a few words.
    pub(super) title: &'static str,
    pub(super) check: Check<T>,
    /// It must pass again after an owner of the device was killed.
    pub(super) again: bool,
}

/// Makes a rung: its number, id, class, the ids of those that it needs, its title and its check.
pub(super) fn rung<T: Transport>(
    number: u8,
    id: &'static str,
    class: Class,
    needs: &'static [&'static str],
    title: &'static str,
    check: Check<T>,
) -> Rung<T> {
    let named = Named {
        number,
        id,
        class,
        needs,
    };
    Rung {
        named,
        title,
        check,
        again: false,
    }
}

impl<T: Transport> Rung<T> {
    /// Has it pass again after an owner of the device was killed.
    pub(super) fn again(self) -> Rung<T> {
        Rung {
            again: true,
            ..self
        }
    }
}

/// What the rungs work on.
pub(super) struct Board<'a, T: Transport> {
    pub(super) options: Options,
    /// Gone only while another process has the device, and for good when it could not be opened after.
    pub(super) transport: Option<Arc<T>>,
    /// What is known of the kind of device, or why no module knows it.
    pub(super) module: Result<Arc<AnyModule<T>>, Vec<Rejected>>,
    /// The driver, from the reset rung on.
    pub(super) session: Option<Session<T>>,
    pub(super) kill: Option<Kill<'a, T>>,
    /// The rungs that must pass again after an owner was killed.
    pub(super) again: Vec<(&'static str, Check<T>)>,
    /// The time that the climb has.
    pub(super) budget: Arc<Budget>,
}

impl<T: Transport> Board<'_, T> {
    pub(super) fn session(&self) -> Result<&Session<T>, Failure> {
        let session = self.session.as_ref();
        session.ok_or_else(|| BoardSymptom::NotOpened.into())
    }

    pub(super) fn transport(&self) -> Result<&Arc<T>, Failure> {
        let transport = self.transport.as_ref();
        transport.ok_or_else(|| BoardSymptom::NotOpenedAgain.into())
    }

    /// Returns the module that drives the device.
    pub(super) fn module(&self) -> Result<&Arc<AnyModule<T>>, Failure> {
        self.module.as_ref().map_err(|rejected| {
            let who = self.transport.as_ref().map(|transport| who(&**transport));
            let rejected = rejected.clone();
            let who = who.unwrap_or_default();
            BoardSymptom::Unknown { who, rejected }.into()
        })
    }

    /// Returns what is known of the kind of device.
    pub(super) fn about(&self) -> Result<&About, Failure> {
        Ok(self.module()?.about())
    }

    /// Returns the description of a device that is known by one.
    pub(super) fn described(&self) -> Option<&'static Described> {
        match self.options.driver {
            DriverChoice::Described(described) => Some(described),
            _ => None,
        }
    }

    /// Tells whether a reset puts a register back. Of a described device one may leave what its lists share, and one that
    /// nothing resets is emptied by pops.
    pub(super) fn is_reset(&self, row: &Register, kind: OpenReset) -> Result<bool, Failure> {
        let Some(described) = self.described() else {
            return Ok(true);
        };
        let description = described.description;
        let is_best = kind == OpenReset::Best || description.reset.writes.is_empty();
        let by_function = is_best && pci::has_flr(&**self.transport()?)?;
        Ok(description.is_reset(row, by_function))
    }

    /// Opens the device anew with its driver.
    pub(super) fn open(&self) -> Result<Session<T>, Failure> {
        Ok(Session::with(&**self.module()?, self.transport()?.clone())?)
    }

    /// Fails where somebody ends the climb; `done` says how far the rung got.
    pub(super) fn go_on(&self, done: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.options.stop.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Failure::Ended(format!(
                "ended {}; nothing was wrong until then",
                done()
            ))),
        }
    }
}

/// What stands in the way of any rung.
#[derive(Debug, thiserror::Error)]
pub(super) enum BoardSymptom {
    #[error("the device was not opened")]
    NotOpened,
    #[error("the device was not opened again")]
    NotOpenedAgain,
    #[error(
        "hwpool does not know this device ({who}){}; a driver can be named: ?driver=NAME",
        reasons(rejected)
    )]
    Unknown {
        who: String,
        rejected: Vec<Rejected>,
    },
}

fn reasons(rejected: &[Rejected]) -> String {
    rejected.iter().map(|no| format!("; {no}")).collect()
}

impl Symptom for BoardSymptom {
    fn blame(&self) -> Blame {
        match self {
            // A rung below told why.
            BoardSymptom::NotOpened | BoardSymptom::NotOpenedAgain => Blame::UNKNOWN,
            BoardSymptom::Unknown { .. } => Blame::Device(&[
                "it is another device, or a board with ids of its own whose logic is not loaded",
                "it is of a kind that hwpool has no module for",
            ]),
        }
    }
}
