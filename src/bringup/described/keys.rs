//! Which keys of a description may be wrong where a driver or a general rung fails: by the type of what it met.

use std::error::Error;

use hwpool_devices::bus::BusError;
use hwpool_devices::family::{Breach, OpenError, PathError, ResetError, SetupError};

use crate::bringup::symptom::{Causes, Symptom};

/// Returns which keys may be wrong where a rung fails: by the type of what it met, else by what the rung looks at; empty where
/// none has to do with it.
pub(in crate::bringup) fn keys(rung: &str, symptom: &dyn Symptom) -> Causes {
    match by_type(symptom) {
        [] => by_rung(rung),
        causes => causes,
    }
}

/// Returns which keys a general rung looks at.
fn by_rung(id: &str) -> Causes {
    match id {
        "pci.function" => &["description: `at.bar` or `at.size` is another"],
        "regs.identity" => &[
            "description: `identity.value` or `identity.register` is another, or `at.bar` or `at.base`",
        ],
        "regs.scratch" => {
            &["description: `scratch` names another register, or more bits than it keeps"]
        }
        "regs.access" => &[
            "description: the `reset`, `access` or `bits` of a register is another, or it belongs to `never`",
        ],
        "irq.vectors" => {
            &["description: `interrupt.enable`, `interrupt.raise` or `interrupt.vector` is another"]
        }
        _ => &[],
    }
}

fn by_type(symptom: &dyn Symptom) -> Causes {
    let mut error: Option<&(dyn Error + 'static)> = Some(symptom);
    while let Some(found) = error {
        let causes = of(found);
        if !causes.is_empty() {
            return causes;
        }
        error = found.source();
    }
    &[]
}

fn of(error: &(dyn Error + 'static)) -> Causes {
    if let Some(error) = error.downcast_ref::<OpenError>() {
        return open(error);
    }
    if let Some(error) = error.downcast_ref::<ResetError>() {
        return reset(error);
    }
    if let Some(error) = error.downcast_ref::<SetupError>() {
        return setup(error);
    }
    match error.downcast_ref::<PathError>() {
        Some(PathError::Poisoned { breach, .. }) => path(breach),
        _ => &[],
    }
}

fn open(error: &OpenError) -> Causes {
    match error {
        OpenError::Stranger { .. } => &[
            "description: `identity.value` or `identity.register` is another, or `at.bar` or `at.base`",
        ],
        OpenError::NotAlive { .. } => &["description: `scratch` names another register"],
        OpenError::BarSize { .. } => &["description: `at.bar` or `at.size` is another"],
        OpenError::Bus(BusError::NoBar { .. }) => &["description: `at.bar` is another"],
        OpenError::Bus(BusError::OutOfRange { .. }) => {
            &["description: a register lies past the end of the BAR: `at.base`, `at.size`"]
        }
        OpenError::Otherwise { key: "depth", .. } => {
            &["description: `depth` names another register or field, or `value.bits` are too few"]
        }
        OpenError::Otherwise { .. } => {
            &["description: `interrupt.vector` is another, or the function has fewer vectors"]
        }
        OpenError::Reset(error) => reset(error),
        _ => &[],
    }
}

fn reset(error: &ResetError) -> Causes {
    match error {
        ResetError::TimedOut(_) => &[
            "description: `reset.until` names another register or value, or `reset.within-ms` is too short",
        ],
        ResetError::NoEffect { .. } => &[
            "description: `reset.count` names another register or field, or `reset.write` writes another value or register",
            "description: the `reset` of the register that is named is another: this reset does not put it back",
            "description: `reset.until` is another, so that the look comes too early",
            "description: `reset.flr` is true, and a function level reset does not reach the logic",
        ],
        ResetError::NotEmptied { breach, .. } => path(breach),
        ResetError::NotClean { .. } => &[
            "description: `level`, `empty.flag`, `empty.is`, `fill` or `depth` is another: the list is taken for one that is not reset",
            "description: `reset` leaves something that `reset.keeps` does not tell of, or `reset.write` is another",
        ],
        _ => &[],
    }
}

fn setup(error: &SetupError) -> Causes {
    match error {
        SetupError::Contents { breach, .. } => path(breach),
        SetupError::NotEmpty { .. } => &[
            "description: `fill` is reset, or `reset` leaves entries that its `keeps` does not tell of",
            "description: `level` or `empty` is another",
        ],
        SetupError::ReadBack { .. } | SetupError::Refused { .. } => {
            &["description: `enable` names another register or field"]
        }
        _ => &[],
    }
}

fn path(breach: &Breach) -> Causes {
    match breach {
        Breach::NoSuchNumber { .. } | Breach::OutOfRange { .. } | Breach::Misaligned { .. } => &[
            "description: `value.bits`, `value.first` or `value.shift` is another, or `at.halves`",
            "description: `empty` is another: what stands for \"none\" is taken for a value",
        ],
        Breach::Duplicate { .. } => &[
            "description: `pop.then` is missing, so that a read only looks",
            "description: `empty` is another: an old value is read again for \"none\"",
        ],
        Breach::Dropped { .. } => &["description: `depth` is too large: a push was dropped"],
        Breach::Length { .. } => {
            &["description: `pop.length` or `pop.expect` is another, or `push.then`"]
        }
        Breach::Endless { .. } => &[
            "description: `empty` is another: what stands for \"none\" is taken for a value",
            "description: `pop.then` is missing, so that a read only looks",
        ],
        Breach::Lost { .. } => &[
            "description: `depth` is too large, so that pushes are dropped",
            "description: `empty` is another: a value is taken for \"none\"",
        ],
        Breach::BadCount { .. } => &[
            "description: `level`, `pop.length` or `full.vacancy` names another register or field",
        ],
        _ => &[],
    }
}
