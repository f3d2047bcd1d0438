//! What drivers of all kinds do alike with a device as a whole: reads that tell a device that is gone, and resets that
//! are verified.

use std::time::Duration;

use crate::bus::{Bar, BusError, Transport};
use crate::family::{Breach, OpenError, OpenReset, ResetError};
use crate::pci;
use crate::reg::{Reg, Register, Word, access};
use crate::wait::wait_for;

/// Reads a register and tells a device that is gone from one that says all ones: then `witness`, which never reads so,
/// reads all ones too.
pub(crate) fn read_alive<A: access::PureRead, W: Word>(
    bar: &impl Bar,
    reg: Reg<A, W>,
    index: u16,
    witness: &Register,
) -> Result<W, BusError> {
    let value = reg.read_at(bar, index)?;
    match value == W::ALL_ONES {
        true => prove_alive(bar, &reg.row().name, witness).map(|()| value),
        false => Ok(value),
    }
}

/// Fails where `witness` reads all ones, as `register` did.
#[cold]
pub(crate) fn prove_alive(
    bar: &impl Bar,
    register: &str,
    witness: &Register,
) -> Result<(), BusError> {
    match witness.read_raw(bar, 0)? == witness.all_ones() {
        false => Ok(()),
        true => Err(BusError::Gone {
            evidence: format!("{register} and {} read all ones", witness.name),
        }),
    }
}

/// Fails as [`prove_alive`] does, with what that means for a list whose `register` handed out all ones.
#[cold]
pub(crate) fn still_there(
    bar: &impl Bar,
    register: &'static str,
    witness: &'static Register,
) -> Result<(), Breach> {
    prove_alive(bar, register, witness).map_err(|error| match error {
        BusError::Gone { .. } => Breach::Gone {
            register,
            witness: &witness.name,
        },
        error => error.into(),
    })
}

/// Proves that writes reach a device: its scratch register keeps them. It is left as a reset leaves it, 0 where that is not
/// known.
pub(crate) fn keeps_writes(
    bar: &impl Bar,
    scratch: &'static Register,
    witness: &Register,
) -> Result<(), OpenError> {
    let after = scratch.reset.unwrap_or(0);
    for pattern in [0x5555_5555, 0x2aaa_aaaa, 0x1234_5678, after] {
        let written = pattern & scratch.bits;
        scratch.poke(bar, 0, written)?;
        let found = scratch.read_raw(bar, 0)?;
        if found == scratch.all_ones() {
            prove_alive(bar, &scratch.name, witness)?;
        }
        if found != written {
            return Err(OpenError::NotAlive {
                register: &scratch.name,
                bar: scratch.bar(),
                expected: "the same",
                written: written as u32,
                found: found as u32,
            });
        }
    }
    Ok(())
}

/// How one device is reset by its own register, and how its reset shows.
pub(crate) struct ResetSteps<S, C, R> {
    /// Starts a soft reset.
    pub(crate) soft: S,
    /// A function level reset does the same.
    pub(crate) flr: bool,
    /// Reads what every reset changes, such as their count; `None` where nothing shows them.
    pub(crate) count: C,
    /// The register of that.
    pub(crate) counter: &'static Register,
    /// Looks whether the reset is over.
    pub(crate) ready: R,
    /// What it looks for, in words.
    pub(crate) until: &'static str,
    /// The time that the device may take.
    pub(crate) timeout: Duration,
}

/// Resets a device, waits until that is over, and sees that it was counted.
pub(crate) fn reset<T, S, C, R>(
    transport: &T,
    kind: OpenReset,
    steps: ResetSteps<S, C, R>,
) -> Result<(), ResetError>
where
    T: Transport,
    S: FnOnce() -> Result<(), BusError>,
    C: Fn() -> Result<Option<u32>, BusError>,
    R: FnMut() -> Result<Option<()>, ResetError>,
{
    let before = (steps.count)()?;
    let kind = match kind {
        OpenReset::Best if steps.flr && pci::has_flr(transport)? => {
            transport.reset()?;
            // Such a reset clears Command (PCIe); a kernel puts it back, another peer need not.
            pci::enable_memory(transport)?;
            "the function level reset"
        }
        _ => {
            (steps.soft)()?;
            "the soft reset"
        }
    };
    wait_for(transport, steps.until, steps.timeout, steps.ready)?;
    match (steps.count)()? {
        Some(after) if before == Some(after) => Err(ResetError::NoEffect {
            kind,
            register: steps.counter.name.clone(),
            after,
        }),
        _ => Ok(()),
    }
}

/// Returns how many interrupt vectors there are to use: the `offered` ones, as far as the transport has them. A machine may
/// have fewer, and tell it when the first is enabled.
pub(crate) fn vectors(transport: &impl Transport, offered: u16) -> Result<u16, BusError> {
    Ok(offered.min(transport.irq_count()?))
}

/// Enables interrupt `vector` in the function.
pub(crate) fn interrupt<T: Transport>(
    transport: &T,
    offered: u16,
    vector: u16,
) -> Result<T::Irq, BusError> {
    let count = vectors(transport, offered)?;
    match vector < count {
        true => transport.irq(vector),
        false => Err(BusError::NoVector { vector, count }),
    }
}

/// Takes the right to DMA away, waits until none is under way, and fails where either can't be had.
pub(crate) fn stop_dma<T: Transport>(transport: &T, timeout: Duration) -> Result<(), ResetError> {
    if pci::set_bus_master(transport, false)? {
        return Err(ResetError::BusMasterStuck);
    }
    pci::wait_transactions_done::<T, ResetError>(transport, timeout)
}

/// Fails where a register is not at the value that a reset leaves.
pub(crate) fn expect_reset(
    register: impl Into<String>,
    value: impl Into<u64>,
) -> Result<(), ResetError> {
    match value.into() {
        0 => Ok(()),
        value => Err(ResetError::NotClean {
            register: register.into(),
            value,
            expected: 0,
        }),
    }
}
