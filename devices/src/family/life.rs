//! What drivers of all kinds do alike with a device as a whole: reads that tell a device that is gone, and resets that
//! are verified.

use std::time::Duration;

use crate::bus::{Bar, BusError, Transport};
use crate::family::{Breach, OpenReset, ResetError};
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

/// Tells what broke the trust in a list whose `register` handed out all ones: the device is gone, or, as `witness` in
/// `bar` shows that it is not, `else_` did.
#[cold]
pub(crate) fn all_ones(
    bar: &impl Bar,
    register: &'static str,
    witness: &'static Register,
    else_: Breach,
) -> Breach {
    match prove_alive(bar, register, witness) {
        Err(BusError::Gone { .. }) => Breach::Gone {
            register,
            witness: &witness.name,
        },
        Err(error) => error.into(),
        Ok(()) => else_,
    }
}

/// How one device is reset by its own register, and how its reset shows.
pub(crate) struct ResetSteps<S, C, R> {
    /// Starts a soft reset.
    pub(crate) soft: S,
    /// Reads the count of resets.
    pub(crate) count: C,
    /// The register that counts them.
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
    C: Fn() -> Result<u32, BusError>,
    R: FnMut() -> Result<Option<()>, ResetError>,
{
    let before = (steps.count)()?;
    let kind = match kind {
        OpenReset::Best if pci::has_flr(transport)? => {
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
    let after = (steps.count)()?;
    match after == before {
        true => Err(ResetError::NoEffect {
            kind,
            register: steps.counter.name.clone(),
            after,
        }),
        false => Ok(()),
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
