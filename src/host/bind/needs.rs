//! What more than one binding needs.
//!
//! VFIO takes a group only while each of its functions is away from its driver, so bindings in one group need each
//! other's functions. Each notes all that it needs, with the state from before the first of them, and a function is
//! given back with the last binding that needs it.

use super::error::BindError;
use super::journal::{Journals, Record};
use super::state::{Goal, Kept, Missing, State};
use crate::host::usage::Reason;
use crate::machine::{Bdf, Function, Tree};

/// Returns the functions of a group, the named one first.
pub(super) fn members(device: &Function) -> Vec<Bdf> {
    let others = device.group.iter().flat_map(|group| &group.others);
    std::iter::once(device.bdf)
        .chain(others.map(|member| member.bdf))
        .collect()
}

/// Returns what the journal of a binding must tell of: what it told of, what is bound now (`before`), and of a group
/// that VFIO can take (`is_whole`) those functions that other bindings have taken.
pub(super) fn notes(
    tree: &Tree,
    records: &[Record],
    device: &Function,
    before: &[State],
    is_whole: bool,
) -> Vec<State> {
    let own = records.iter().find(|record| record.device == device.bdf);
    let mut notes = own.map_or(Vec::new(), |record| record.before.clone());
    let is_taken = |bdf: &Bdf| is_whole && records.iter().any(|record| record.has(*bdf));
    let taken = members(device).into_iter().filter(is_taken);
    let taken = taken.filter_map(|bdf| State::read(tree, bdf));
    for state in before.iter().cloned().chain(taken) {
        let is_noted = |note: &State| note.bdf == state.bdf && note.ids == state.ids;
        if !notes.iter().any(is_noted) {
            // Another device was at this address.
            notes.retain(|note| note.bdf != state.bdf);
            notes.push(before_all(records, state));
        }
    }
    notes
}

/// Returns the state from before all bindings of a function that is in state `now`.
fn before_all(records: &[Record], now: State) -> State {
    let states = || records.iter().flat_map(|record| &record.before);
    let is_same = |state: &&State| state.bdf == now.bdf && state.ids == now.ids;
    if let Some(state) = states().find(is_same) {
        return state.clone();
    }
    // The node of a group belongs to all of its functions.
    let owners = states().flat_map(|state| &state.owners);
    let original = |(path, uid)| {
        let noted = owners.clone().find(|(noted, _)| *noted == path);
        (path, noted.map_or(uid, |(_, uid)| *uid))
    };
    State {
        owners: now.owners.into_iter().map(original).collect(),
        ..now
    }
}

/// Takes what other bindings than that of `lead` need out of `goals`, unless that is overridden.
pub(super) fn kept(
    tree: &Tree,
    journals: &Journals,
    lead: Bdf,
    goals: &mut Vec<Goal>,
    overrides: &[Reason],
) -> Result<Vec<Kept>, BindError> {
    if overrides.contains(&Reason::Group) {
        return Ok(Vec::new());
    }
    let mut others = journals.all()?;
    others.retain(|record| record.device != lead);
    let mut kept = Vec::new();
    goals.retain(|goal| {
        // Who needed another device at this address has no need of the one that is there now.
        let is_it = |state: &State| state.bdf == goal.bdf && Missing::of(tree, state).is_none();
        let needing = others.iter().find(|record| record.before.iter().any(is_it));
        kept.extend(needing.map(|record| Kept {
            bdf: goal.bdf,
            needed_by: record.device,
        }));
        needing.is_none()
    });
    let states = || others.iter().flat_map(|record| &record.before);
    let is_shared = |path: &str| states().any(|state| state.owners.iter().any(|(p, _)| p == path));
    for goal in goals {
        goal.owners.retain(|(path, _)| !is_shared(path));
    }
    Ok(kept)
}
