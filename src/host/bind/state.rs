//! What binding changes of a function, as it is and as it shall be, and the steps from one to the other.

use std::fmt;

use serde_json::{Value, json};

use crate::machine::{Bdf, Function, Tree, directory, is_vfio};

/// All that binding changes of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// The function.
    pub bdf: Bdf,
    /// Its vendor and device id, which binding does not change: another device may be at the address later.
    pub ids: (u16, u16),
    /// Its driver.
    pub driver: Option<String>,
    /// The only driver that may bind it.
    pub driver_override: Option<String>,
    /// Virtual functions that are on.
    pub vfs: u32,
    /// Device nodes of VFIO that are there, with the user who owns each.
    pub owners: Vec<(String, u32)>,
}

impl State {
    /// Reads it; `None` where there is no such function.
    pub fn read(tree: &Tree, bdf: Bdf) -> Option<State> {
        let function = Function::read(tree, bdf)?;
        Some(State::of(tree, &function))
    }

    /// Returns that of a function that was read.
    pub(super) fn of(tree: &Tree, function: &Function) -> State {
        let nodes = function.possible_nodes().into_iter();
        let owners = nodes.filter_map(|path| {
            let uid = tree.permissions(&path)?.uid;
            Some((path, uid))
        });
        State {
            bdf: function.bdf,
            ids: (function.vendor, function.device),
            owners: owners.collect(),
            driver: function.driver.clone(),
            driver_override: function.driver_override.clone(),
            vfs: function.sriov.enabled,
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "function": self.bdf.to_string(), "ids": self.ids,
            "driver": self.driver, "driver_override": self.driver_override,
            "vfs": self.vfs, "owners": self.owners,
        })
    }

    /// Reads what [`State::json`] made; `None` where it is something else.
    pub(super) fn from_json(value: &Value) -> Option<State> {
        let name = |key: &str| match &value[key] {
            Value::Null => Some(None),
            Value::String(name) => Some(Some(name.clone())),
            _ => None,
        };
        let owner = |pair: &Value| {
            let uid = u32::try_from(pair[1].as_u64()?).ok()?;
            Some((pair[0].as_str()?.to_string(), uid))
        };
        let owners = value["owners"].as_array()?.iter().map(owner);
        let id = |index: usize| u16::try_from(value["ids"][index].as_u64()?).ok();
        Some(State {
            bdf: value["function"].as_str()?.parse().ok()?,
            ids: (id(0)?, id(1)?),
            driver: name("driver")?,
            driver_override: name("driver_override")?,
            vfs: value["vfs"].as_u64()?.try_into().ok()?,
            owners: owners.collect::<Option<_>>()?,
        })
    }
}

/// A function that a journal tells of, and that is not there to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Its address.
    pub bdf: Bdf,
    /// Vendor and device id that it had.
    pub was: (u16, u16),
    /// Those of the device that is at the address now, if one is.
    pub found: Option<(u16, u16)>,
}

impl Missing {
    /// Looks for the function of a state; `None` where it is still there.
    pub(super) fn of(tree: &Tree, before: &State) -> Option<Missing> {
        let function = Function::read(tree, before.bdf);
        let found = function.map(|function| (function.vendor, function.device));
        (found != Some(before.ids)).then_some(Missing {
            bdf: before.bdf,
            was: before.ids,
            found,
        })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bdf, (vendor, device)) = (self.bdf, self.was);
        write!(f, "{bdf} was {vendor:04x}:{device:04x}, and ")?;
        match self.found {
            None => f.write_str("is gone"),
            Some((vendor, device)) => write!(
                f,
                "another device is there now, {vendor:04x}:{device:04x}, which is left alone"
            ),
        }
    }
}

/// A function that the kernel has found anew since hwpool bound it: it was removed and found again, or the device
/// behind it was programmed again. Nothing is left of that binding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Renewed {
    /// Its address.
    pub bdf: Bdf,
    /// Vendor and device id that it had.
    pub was: (u16, u16),
    /// Those that it has now.
    pub now: (u16, u16),
}

impl Renewed {
    /// Compares a function with its state before a binding; `None` where it is as that binding left it, or
    /// as somebody else has made it since.
    pub(super) fn of(before: &State, now: &State) -> Option<Renewed> {
        let is_other = before.ids != now.ids;
        // What is found anew has no driver named, and at most the one that the kernel chose at first.
        let is_unnamed =
            now.driver_override.is_none() || now.driver_override == before.driver_override;
        let is_on_own = now.driver.is_none() || now.driver == before.driver;
        (is_other || (is_unnamed && is_on_own)).then_some(Renewed {
            bdf: now.bdf,
            was: before.ids,
            now: now.ids,
        })
    }
}

impl fmt::Display for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bdf, (vendor, device)) = (self.bdf, self.was);
        match self.was == self.now {
            true => write!(
                f,
                "{bdf} was removed and found again since it was bound: it is bound again"
            ),
            false => write!(
                f,
                "{bdf} was {vendor:04x}:{device:04x} when it was bound, and is {:04x}:{:04x} now: it is bound as a new \
                 one, and what was kept of the old one goes",
                self.now.0, self.now.1
            ),
        }
    }
}

/// A function that is not given back yet, as the binding of another one needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Its address.
    pub bdf: Bdf,
    /// The function whose binding needs it.
    pub needed_by: Bdf,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bdf, by) = (self.bdf, self.needed_by);
        write!(
            f,
            "{bdf} stays as it is: the binding of {by} needs their group whole, and `hwpool unbind {by}` gives it back, too"
        )
    }
}

/// The driver that a function shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This one, or none.
    Exactly(Option<String>),
    /// The one that the kernel chooses, or none where it has none: not VFIO's.
    Any,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wanted::Exactly(Some(driver)) => driver,
            Wanted::Exactly(None) => "no driver",
            Wanted::Any => "a driver of its own, if there is one",
        })
    }
}

/// What a function shall be.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) bdf: Bdf,
    pub(super) driver: Wanted,
    pub(super) driver_override: Option<String>,
    pub(super) vfs: u32,
    pub(super) owners: Vec<(String, u32)>,
}

impl Goal {
    /// On `driver`, and no other may have it.
    pub(super) fn on_driver(bdf: Bdf, driver: &str) -> Goal {
        Goal {
            bdf,
            driver: Wanted::Exactly(Some(driver.into())),
            driver_override: Some(driver.into()),
            vfs: 0,
            owners: Vec::new(),
        }
    }

    /// On no driver: all that VFIO wants of a bridge, which it does not take.
    pub(super) fn without_driver(now: &State) -> Goal {
        Goal {
            driver: Wanted::Exactly(None),
            ..Goal::again(now)
        }
    }

    /// As it was.
    pub(super) fn again(before: &State) -> Goal {
        Goal {
            bdf: before.bdf,
            driver: Wanted::Exactly(before.driver.clone()),
            driver_override: before.driver_override.clone(),
            vfs: before.vfs,
            owners: before.owners.clone(),
        }
    }

    /// Returns the steps that lead here. They rest on what is, so that they can be asked for again after a crash.
    pub(super) fn steps(&self, now: &State) -> Vec<Step> {
        let bdf = self.bdf;
        let (mut steps, named) = self.driver_steps(now);
        if named != self.driver_override {
            let driver = self.driver_override.clone();
            steps.push(Step::Override { bdf, driver });
        }
        let is_unbound = steps.iter().any(|step| step.unbinds().is_some());
        if self.vfs > now.vfs || (self.vfs > 0 && is_unbound) {
            let count = self.vfs;
            steps.push(Step::Vfs { bdf, count });
        }
        let changed = self.owners.iter().filter(|owner| {
            let same_path = now.owners.iter().find(|(path, _)| *path == owner.0);
            same_path.is_some_and(|now| now.1 != owner.1)
        });
        steps.extend(changed.map(|(path, uid)| Step::Own {
            path: path.clone(),
            uid: *uid,
        }));
        steps
    }

    /// Returns the steps that change the driver, and which one is named then as the only one.
    fn driver_steps(&self, now: &State) -> (Vec<Step>, Option<String>) {
        let bdf = self.bdf;
        let named = now.driver_override.clone();
        if self.driver == Wanted::Exactly(now.driver.clone()) {
            return (Vec::new(), named);
        }
        let mut steps = Vec::new();
        // Named before the function is free, so that no other driver takes it meanwhile.
        let wanted = match &self.driver {
            Wanted::Exactly(Some(driver)) => Some(driver.clone()),
            Wanted::Exactly(None) => named.clone(),
            Wanted::Any => None,
        };
        if wanted != named {
            let driver = wanted.clone();
            steps.push(Step::Override { bdf, driver });
        }
        if let Some(driver) = now.driver.clone() {
            steps.push(Step::Unbind { bdf, driver });
        }
        if self.driver != Wanted::Exactly(None) {
            steps.push(Step::Probe { bdf });
        }
        let driver = self.driver.clone();
        steps.push(Step::Verify { bdf, driver });
        (steps, wanted)
    }
}

/// One change, or one look whether the changes before it have worked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Names the only driver that may bind a function, or lets all.
    Override {
        /// The function.
        bdf: Bdf,
        /// The driver.
        driver: Option<String>,
    },
    /// Takes a function from its driver.
    Unbind {
        /// The function.
        bdf: Bdf,
        /// The driver that it has now.
        driver: String,
    },
    /// Lets the kernel look for a driver.
    Probe {
        /// The function.
        bdf: Bdf,
    },
    /// Reads which driver a function has, and fails where it is not the wanted one.
    Verify {
        /// The function.
        bdf: Bdf,
        /// The driver that it shall have.
        driver: Wanted,
    },
    /// Looks whether VFIO can take the group of a function, which got one when it was probed.
    VerifyGroup {
        /// The function.
        bdf: Bdf,
    },
    /// Switches virtual functions on.
    Vfs {
        /// The physical function.
        bdf: Bdf,
        /// How many.
        count: u32,
    },
    /// Gives a device node to a user.
    Own {
        /// The node.
        path: String,
        /// Number of the user.
        uid: u32,
    },
    /// Gives the nodes that VFIO has made for a function to a user.
    OwnNodes {
        /// The function.
        bdf: Bdf,
        /// Node of its group, as far as it is known already.
        group: Option<String>,
        /// Number of the user.
        uid: u32,
    },
}

impl Step {
    /// Returns the file of sysfs and what is written to it, of a step that writes.
    pub fn write(&self) -> Option<(String, String)> {
        match self {
            Step::Override { bdf, driver } => Some((
                format!("{}/driver_override", directory(*bdf)),
                driver.clone().unwrap_or_default() + "\n",
            )),
            Step::Unbind { bdf, driver } => Some((
                format!("/sys/bus/pci/drivers/{driver}/unbind"),
                bdf.to_string(),
            )),
            Step::Probe { bdf } => Some(("/sys/bus/pci/drivers_probe".into(), bdf.to_string())),
            Step::Vfs { bdf, count } => Some((
                format!("{}/sriov_numvfs", directory(*bdf)),
                count.to_string(),
            )),
            Step::Verify { .. }
            | Step::VerifyGroup { .. }
            | Step::Own { .. }
            | Step::OwnNodes { .. } => None,
        }
    }

    /// Returns the function that a step takes from its driver.
    pub(super) fn unbinds(&self) -> Option<Bdf> {
        match self {
            Step::Unbind { bdf, .. } => Some(*bdf),
            _ => None,
        }
    }

    /// Returns the function that a step takes from its driver, or from whoever uses it without one.
    pub(super) fn takes(&self) -> Option<Bdf> {
        match self {
            Step::Unbind { bdf, .. } | Step::Probe { bdf } => Some(*bdf),
            _ => None,
        }
    }
}

/// As a line of shell.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((path, value)) = self.write() {
            return match value.trim() {
                "" => write!(f, "echo > {path}"),
                value => write!(f, "echo {value} > {path}"),
            };
        }
        match self {
            Step::Verify { bdf, driver } => write!(f, "# verify that {bdf} is on {driver}"),
            Step::VerifyGroup { bdf } => write!(
                f,
                "# verify that {bdf} has got an IOMMU group, which VFIO can take"
            ),
            Step::Own { path, uid } => write!(f, "chown {uid} {path}"),
            Step::OwnNodes { bdf, group, uid } => {
                let group = group.as_deref().unwrap_or("(the node of its group)");
                write!(
                    f,
                    "chown {uid} {group}  # and the node of {bdf} below /dev/vfio/devices, if any"
                )
            }
            _ => Ok(()),
        }
    }
}

/// Looks whether a function has the driver that it shall have.
pub(super) fn has_driver(tree: &Tree, bdf: Bdf, wanted: &Wanted) -> Result<(), Option<String>> {
    let driver = tree.function(bdf).driver();
    let good = match wanted {
        Wanted::Exactly(wanted) => driver == *wanted,
        Wanted::Any => !driver.as_deref().is_some_and(is_vfio),
    };
    good.then_some(()).ok_or(driver)
}
