//! What a command would do, and what speaks against it.

use super::error::BindError;
use super::journal::{Journals, Record};
use super::needs::{self, notes};
use super::objection::{Objection, against_group, against_taking};
use super::state::{Goal, Kept, Missing, Renewed, State, Step, Wanted};
use crate::host::usage::Reason;
use crate::machine::{Bdf, Function, Tree, blocks_group, is_vfio};

/// A binding that is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The function.
    pub device: Bdf,
    /// The driver that it shall have.
    pub driver: String,
    /// Number of the user who shall own the device nodes.
    pub owner: Option<u32>,
    /// Bind all members of the group that are in the way, too.
    pub whole_group: bool,
    /// Reasons that do not count.
    pub overrides: Vec<Reason>,
}

/// What happens to the journal.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum After {
    /// It has none, or stays as it is.
    Nothing,
    /// A new one is made, and stays.
    Keep,
    /// A new one is made, and goes at the end.
    Drop,
    /// The one that there is goes at the end.
    Forget,
    /// The one that there is stays, as not all that it tells of could be put back.
    Stay,
}

/// The steps of a command.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// The function that was named.
    pub device: Bdf,
    /// The steps, in order; none where all is as it shall be.
    pub steps: Vec<Step>,
    /// What speaks against it and was not overridden.
    pub objections: Vec<Objection>,
    /// What was overridden.
    pub overridden: Vec<Objection>,
    /// Functions that should be given back and are not there.
    pub missing: Vec<Missing>,
    /// Functions that are not given back, as other bindings need them.
    pub kept: Vec<Kept>,
    /// Functions that were bound before and found anew by the kernel since.
    pub renewed: Vec<Renewed>,
    /// The states before.
    pub before: Vec<State>,
    /// What a new journal tells of: states from before all bindings.
    pub(super) notes: Vec<State>,
    /// What the journal told of that the new one takes the place of.
    pub(super) earlier: Option<Vec<State>>,
    pub(super) after: After,
}

impl Plan {
    /// Plans a binding. Changes nothing.
    ///
    /// # Errors
    ///
    /// Where there is no way to do it, whatever is overridden.
    pub fn bind(tree: &Tree, journals: &Journals, request: &Request) -> Result<Plan, BindError> {
        let device = read(tree, request.device)?;
        if device.is_bridge() {
            return Err(BindError::Bridge { bdf: device.bdf });
        }
        need_driver(tree, &request.driver)?;
        let records = journals.all()?;
        let renewed = check_earlier(tree, &records, &device, request, journals)?;
        let functions = bound_together(tree, &device, request);
        let mut before = Vec::new();
        let mut steps = Vec::new();
        for function in &functions {
            let state = State::of(tree, function);
            let goal = match function.is_bridge() {
                true => Goal::without_driver(&state),
                false => Goal::on_driver(function.bdf, &request.driver),
            };
            steps.extend(goal.steps(&state));
            before.push(state);
        }
        let group_comes = is_vfio(&request.driver) && group_comes(tree, &device, request);
        steps.extend(group_comes.then_some(Step::VerifyGroup { bdf: device.bdf }));
        steps.extend(own_nodes(&device, &before[0], request));
        let mut objections = against_taking(tree, &functions, &steps);
        let mut is_whole = false;
        if is_vfio(&request.driver) {
            let against = match group_comes {
                true => Vec::new(),
                false => against_group(&device, &functions),
            };
            is_whole = against.is_empty();
            objections.extend(against);
        } else {
            objections.retain(|objection| !objection.reason.is_of_driving());
        }
        let notes = notes(tree, &records, &device, &before, is_whole);
        let own = records.iter().find(|record| record.device == device.bdf);
        let earlier = own.map(|record| record.before.clone());
        let is_noted = match &earlier {
            Some(earlier) => *earlier == notes,
            None => records.iter().all(|record| !record.has(device.bdf)),
        };
        let after = match steps.is_empty() && is_noted {
            true => After::Nothing,
            false => After::Keep,
        };
        let overrides = &request.overrides;
        Ok(Plan {
            notes,
            earlier,
            renewed,
            ..plan(device.bdf, steps, objections, overrides, before, after)
        })
    }

    /// Plans to give a function back: to what was there before it was bound, by its journal; without one to the driver
    /// that the kernel chooses. `driver` chooses another. Changes nothing.
    ///
    /// # Errors
    ///
    /// Where there is no way to do it, whatever is overridden.
    pub fn unbind(
        tree: &Tree,
        journals: &Journals,
        device: Bdf,
        driver: Option<&str>,
        overrides: &[Reason],
    ) -> Result<Plan, BindError> {
        let function = read(tree, device)?;
        let record = journals.of(device)?;
        let missing = record.as_ref().map(|record| missing(tree, record));
        let missing = missing.unwrap_or_default();
        need_same(&missing, device)?;
        let (lead, mut goals, after) = match &record {
            Some(record) => {
                let goals = record.before.iter().map(Goal::again).collect();
                (record.device, goals, After::Forget)
            }
            None if driver.is_none() && was_never_bound(&function) => {
                (device, Vec::new(), After::Nothing)
            }
            None => (device, vec![anything(&function)], After::Drop),
        };
        for goal in goals.iter_mut().filter(|goal| goal.bdf == device) {
            if let Some(driver) = driver {
                goal.driver = Wanted::Exactly(Some(driver.into()));
            }
        }
        let kept = needs::kept(tree, journals, lead, &mut goals, overrides)?;
        let plan = back(tree, lead, goals, missing, overrides, after)?;
        Ok(Plan { kept, ..plan })
    }

    /// Plans to put back what a journal says was there before. `None` where there is no journal of the function: it
    /// is not bound by hwpool. The journal stays where not all of its functions are there. Changes nothing.
    ///
    /// # Errors
    ///
    /// Where there is no way to do it, whatever is overridden.
    pub fn recover(
        tree: &Tree,
        journals: &Journals,
        device: Bdf,
        overrides: &[Reason],
    ) -> Result<Option<Plan>, BindError> {
        let Some(record) = journals.of(device)? else {
            return Ok(None);
        };
        let lead = record.device;
        let mut goals = record.before.iter().map(Goal::again).collect();
        let missing = missing(tree, &record);
        let kept = needs::kept(tree, journals, lead, &mut goals, overrides)?;
        let plan = back(tree, lead, goals, missing, overrides, After::Forget)?;
        Ok(Some(Plan { kept, ..plan }))
    }

    /// Lets the journal go although functions that it tells of are missing.
    pub fn forgetting(mut self) -> Plan {
        if self.after == After::Stay {
            self.after = After::Forget;
        }
        self
    }

    /// Tells whether there is nothing to do, not even to a journal.
    pub fn is_nothing(&self) -> bool {
        self.steps.is_empty() && !matches!(self.after, After::Keep | After::Forget)
    }

    /// Tells whether something is missing, and the journal kept for it.
    pub fn is_incomplete(&self) -> bool {
        self.after == After::Stay
    }

    /// Returns the functions that a binding needs away from their drivers, the named one first.
    pub fn functions(&self) -> impl Iterator<Item = Bdf> {
        let others = self.notes.iter().map(|state| state.bdf);
        let lead = self.device;
        std::iter::once(lead).chain(others.filter(move |bdf| *bdf != lead))
    }

    /// Returns the way back from whatever is now to what was before the plan.
    pub(super) fn backwards(&self, tree: &Tree) -> Plan {
        let goals: Vec<_> = self.before.iter().map(Goal::again).collect();
        let steps = goals.iter().rev().filter_map(|goal| {
            let now = State::read(tree, goal.bdf)?;
            Some(goal.steps(&now))
        });
        Plan {
            steps: steps.flatten().collect(),
            ..self.clone()
        }
    }
}

/// Returns the functions of a journal that are not there any more.
fn missing(tree: &Tree, record: &Record) -> Vec<Missing> {
    let states = record.before.iter();
    states
        .filter_map(|before| Missing::of(tree, before))
        .collect()
}

/// Refuses to take a device for the one that a journal tells of at the same address, which is missing then.
fn need_same(missing: &[Missing], device: Bdf) -> Result<(), BindError> {
    match missing.iter().find(|missing| missing.bdf == device) {
        None => Ok(()),
        Some(missing) => Err(BindError::Missing {
            device,
            missing: vec![missing.clone()],
        }),
    }
}

/// Plans to reach `goals`, the last first: what was bound last is given back first. Nothing is done to what is missing.
fn back(
    tree: &Tree,
    device: Bdf,
    mut goals: Vec<Goal>,
    missing: Vec<Missing>,
    overrides: &[Reason],
    after: After,
) -> Result<Plan, BindError> {
    goals.retain(|goal| missing.iter().all(|missing| missing.bdf != goal.bdf));
    let after = match missing.is_empty() {
        true => after,
        false => After::Stay,
    };
    let mut before = Vec::new();
    let mut steps = Vec::new();
    let mut functions = Vec::new();
    for goal in goals.iter().rev() {
        let function = read(tree, goal.bdf)?;
        let state = State::of(tree, &function);
        let its_steps = goal.steps(&state);
        if let (Wanted::Exactly(Some(driver)), false) = (&goal.driver, its_steps.is_empty()) {
            need_driver(tree, driver)?;
        }
        steps.extend(its_steps);
        before.push(state);
        functions.push(function);
    }
    let mut objections = against_taking(tree, &functions, &steps);
    objections.retain(|objection| !objection.reason.is_lasting());
    Ok(Plan {
        missing,
        ..plan(device, steps, objections, overrides, before, after)
    })
}

fn plan(
    device: Bdf,
    steps: Vec<Step>,
    objections: Vec<Objection>,
    overrides: &[Reason],
    before: Vec<State>,
    after: After,
) -> Plan {
    let (overridden, objections) = objections
        .into_iter()
        .partition(|objection| overrides.contains(&objection.reason));
    Plan {
        device,
        steps,
        objections,
        overridden,
        missing: Vec::new(),
        kept: Vec::new(),
        renewed: Vec::new(),
        notes: before.clone(),
        earlier: None,
        before,
        after,
    }
}

/// Returns the functions that are bound, the named one first.
fn bound_together(tree: &Tree, device: &Function, request: &Request) -> Vec<Function> {
    let mut functions = vec![device.clone()];
    if let (true, Some(group)) = (request.whole_group, &device.group) {
        let strangers = group.strangers().into_iter();
        functions.extend(strangers.filter_map(|member| Function::read(tree, member.bdf)));
    }
    functions
}

/// Refuses to build on a binding of the group that was cut off, or of the function that is not as it was left. One that
/// the kernel has found anew is bound again.
fn check_earlier(
    tree: &Tree,
    records: &[Record],
    device: &Function,
    request: &Request,
    journals: &Journals,
) -> Result<Vec<Renewed>, BindError> {
    let own = records.iter().filter(|record| record.has(device.bdf));
    let mut cut_off = own.clone().filter(|record| !record.is_done);
    cut_off.try_for_each(|record| need_same(&missing(tree, record), device.bdf))?;
    let members = needs::members(device);
    let concerned = |record: &&Record| members.iter().any(|bdf| record.has(*bdf));
    let mut concerned = records.iter().filter(concerned);
    if let Some(record) = concerned.find(|record| !record.is_done) {
        return Err(BindError::Interrupted {
            device: record.device,
            path: journals.path(record.device),
        });
    }
    let now = State::of(tree, device);
    let before = own.flat_map(|record| &record.before);
    let mut before = before.filter(|state| state.bdf == device.bdf).peekable();
    let is_same = |state: &State| state.ids == now.ids;
    let is_bound = device.driver.as_deref() == Some(&request.driver);
    let Some(first) = before.peek().copied() else {
        return Ok(Vec::new());
    };
    // Of two bindings that tell of it, the later one may know the device that is there now.
    let before = before.find(|state| is_same(state)).unwrap_or(first);
    match Renewed::of(before, &now) {
        _ if is_bound && is_same(before) => Ok(Vec::new()),
        Some(renewed) => Ok(vec![renewed]),
        None => Err(BindError::Moved {
            device: device.bdf,
            driver: device.driver.clone(),
        }),
    }
}

/// Tells whether a function can be in no group yet: the IOMMU's driver came after the kernel had found it, and gives it
/// one when a driver is first looked for.
fn group_comes(tree: &Tree, device: &Function, request: &Request) -> bool {
    device.group.is_none()
        && device.driver.is_none()
        && !tree.names("/sys/class/iommu").is_empty()
        && !request.overrides.contains(&Reason::NoIommu)
}

/// Tells whether there is nothing to give back: a function has a driver of its own, or nobody ever named one.
fn was_never_bound(function: &Function) -> bool {
    match &function.driver {
        Some(driver) => blocks_group(driver),
        None => function.driver_override.is_none(),
    }
}

/// Nodes come with the binding, owned by root, unless another function of the group has brought its node before.
fn own_nodes(device: &Function, state: &State, request: &Request) -> Option<Step> {
    let uid = request.owner?;
    let is_bound = device.driver.as_deref() == Some(&request.driver);
    let is_owned = is_bound && state.owners.iter().all(|(_, owner)| *owner == uid);
    (!is_owned).then(|| Step::OwnNodes {
        bdf: device.bdf,
        group: device.group.as_ref().map(|group| group.path()),
        uid,
    })
}

/// A function without a journal goes to whatever driver the kernel has for it.
fn anything(function: &Function) -> Goal {
    Goal {
        bdf: function.bdf,
        driver: Wanted::Any,
        driver_override: None,
        vfs: 0,
        owners: Vec::new(),
    }
}

fn read(tree: &Tree, bdf: Bdf) -> Result<Function, BindError> {
    Function::read(tree, bdf).ok_or(BindError::NoFunction { bdf })
}

/// A driver that is not there is found out before anything is unbound.
fn need_driver(tree: &Tree, driver: &str) -> Result<(), BindError> {
    let is_name = !driver.is_empty() && !driver.contains('/') && !driver.starts_with('.');
    if is_name && tree.exists(&format!("/sys/bus/pci/drivers/{driver}")) {
        return Ok(());
    }
    Err(BindError::NoDriver {
        driver: driver.into(),
    })
}
