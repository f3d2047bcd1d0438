//! The life of a portal: configuration, states, stop (SPEC 6.1, 6.2).

use super::state::{Portal, PortalConfig};
use crate::bmu::claims::PoolId;
use crate::bmu::device::Bmu;
use crate::bmu::errors::ErrorBits;
use crate::bmu::regs::{self, PortalState};
use crate::bus::{BusError, DmaBuffer, Transport};
use crate::family::{Breach, SetupError};
use crate::reg::{Reg, access};

impl<T: Transport, D: DmaBuffer> Portal<T, D> {
    #[cold]
    pub(super) fn halted(&self) -> Breach {
        let errors = self.bmu.read_at(regs::PORTAL_ERROR, self.id.0);
        let value = self.bmu.read_at(regs::PORTAL_ERROR_ADDRESS, self.id.0);
        match (errors, value) {
            (Ok(errors), Ok(value)) => Breach::Halted {
                of: self.id.to_string(),
                errors: ErrorBits(errors).into(),
                value,
            },
            (Err(error), _) | (_, Err(error)) => error.into(),
        }
    }

    /// Disables the portal and waits until the device has stopped serving it.
    pub(super) fn stop(&mut self) -> Result<(), Breach> {
        let state = self.state()?;
        if state == PortalState::Halted {
            return Err(self.halted());
        }
        self.write(regs::PORTAL_CONTROL, 0)?;
        self.bmu
            .wait("stop of the portal", || match self.state()? {
                PortalState::Disabled => Ok(Some(())),
                PortalState::Halted => Err(self.halted()),
                _ => Ok(None),
            })?;
        self.enabled = false;
        self.await_last_line().inspect_err(|_| self.silent = true)
    }

    /// Waits for the status line after which the device writes no more: its memory goes then (SPEC 6.1). It was written
    /// before the state was, so that nobody waits for a device that is as specified.
    fn await_last_line(&self) -> Result<(), Breach> {
        self.bmu.wait("last status line of the portal", || {
            Ok(self.rings.status().stopped.then_some(()))
        })
    }

    /// Disables the portal whatever state it is in: one that halts while it stops is disabled by another write, and has no
    /// last status line.
    fn disable(&self) -> Result<(), Breach> {
        let mut halts = !matches!(self.state()?, PortalState::Running | PortalState::Stopping);
        self.write(regs::PORTAL_CONTROL, 0)?;
        let look = || match self.state()? {
            PortalState::Disabled => Ok(Some(())),
            PortalState::Halted => {
                halts = true;
                self.write(regs::PORTAL_CONTROL, 0)?;
                Ok::<_, Breach>(None)
            }
            _ => Ok(None),
        };
        self.bmu.wait("stop of the portal", look)?;
        match halts {
            true => Ok(()),
            false => self.await_last_line(),
        }
    }

    pub(super) fn state(&self) -> Result<PortalState, BusError> {
        let status = self.bmu.read_at(regs::PORTAL_STATUS, self.id.0)?;
        Ok(PortalState::of(status))
    }

    pub(super) fn configure(
        &mut self,
        pool: PoolId,
        config: &PortalConfig,
    ) -> Result<(), SetupError> {
        let base = self.rings.memory().iova().0;
        let layout = config.layout;
        let (release, acquire) = layout.log2();
        let sizes = regs::portal_sizes::RELEASE_LOG2.set(0, release.into())
            | regs::portal_sizes::ACQUIRE_LOG2.set(0, acquire.into());
        self.forget()?;
        self.write(regs::PORTAL_POOL, pool.number().into())?;
        self.write(regs::PORTAL_SIZES, sizes as u32)?;
        self.write64(regs::PORTAL_RELEASE_BASE, base)?;
        self.write64(
            regs::PORTAL_ACQUIRE_BASE,
            base + layout.acquire_offset() as u64,
        )?;
        self.write64(
            regs::PORTAL_STATUS_BASE,
            base + layout.status_offset() as u64,
        )?;
        self.write(regs::PORTAL_CREDITS, config.credits)?;
        self.write(regs::PORTAL_HYSTERESIS, config.hysteresis)?;
        self.write(
            regs::PORTAL_CONTROL,
            regs::portal_control::ENABLE.mask() as u32,
        )?;
        self.enabled = true;
        let control = self.bmu.read_at(regs::PORTAL_CONTROL, self.id.0)?;
        if regs::portal_control::ENABLE.of(control.into()) != 0 {
            return Ok(());
        }
        // It stays `enabled` for the drop: a device that runs it nevertheless must not do so in memory of others.
        let errors = ErrorBits(self.bmu.read_at(regs::PORTAL_ERROR, self.id.0)?);
        let value = self.bmu.read_at(regs::PORTAL_ERROR_ADDRESS, self.id.0)?;
        self.write(regs::PORTAL_ERROR, errors.0)?;
        Err(SetupError::Refused {
            of: self.id.to_string(),
            errors: errors.into(),
            value,
        })
    }

    /// Clears what the last portal of this number left: its interrupt, its event and its errors.
    fn forget(&self) -> Result<(), BusError> {
        self.write(regs::PORTAL_EVENT_ENABLE, 0)?;
        self.write(regs::PORTAL_EVENT, regs::PORTAL_EVENT.row().bits as u32)?;
        self.write(regs::PORTAL_ERROR, regs::PORTAL_ERROR.row().bits as u32)
    }

    pub(super) fn write<A: access::Write>(
        &self,
        reg: Reg<A, u32>,
        value: u32,
    ) -> Result<(), BusError> {
        reg.write_at(self.bmu.control(), self.id.0, value)
    }

    fn write64(&self, reg: Reg<access::Rw, u64>, value: u64) -> Result<(), BusError> {
        reg.write_at(self.bmu.control(), self.id.0, value)
    }
}

impl<T: Transport, D: DmaBuffer> Drop for Portal<T, D> {
    /// Disables the portal, waits for it, and gives its number back; the rings' memory goes after that.
    ///
    /// A portal that does not stop is never used again before a reset. Its memory may be unmapped all the same: the
    /// IOMMU then keeps the device from it.
    fn drop(&mut self) {
        let stopped = !self.silent && (!self.enabled || self.disable().is_ok());
        self.bmu.release_portal(self.id, stopped);
    }
}

/// Checks a configuration against the device and SPEC 6.2 before anything is written.
pub(super) fn check<T: Transport>(
    bmu: &Bmu<T>,
    config: &PortalConfig,
    memory: &impl DmaBuffer,
) -> Result<(), SetupError> {
    let within = |what, value: u64, low: u64, high: u64| {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(SetupError::Invalid {
            what,
            value,
            allowed: format!("{low} to {high}"),
        })
    };
    let (min, max) = bmu.capabilities().ring_log2;
    let (release, acquire) = config.layout.log2();
    within(
        "log2 of the release ring",
        release.into(),
        min.into(),
        max.into(),
    )?;
    within(
        "log2 of the acquire ring",
        acquire.into(),
        min.into(),
        max.into(),
    )?;
    let acquire_entries = config.layout.acquire_entries();
    let smaller = acquire_entries.min(config.layout.release_entries());
    within("credits", config.credits.into(), 1, acquire_entries.into())?;
    within(
        "status hysteresis",
        config.hysteresis.into(),
        1,
        (smaller / 2).into(),
    )?;
    let base = memory.iova().0;
    if base == 0 || !base.is_multiple_of(regs::RING_ALIGN) {
        let allowed = "a multiple of 64, not 0".to_string();
        return Err(SetupError::Invalid {
            what: "address of the rings",
            value: base,
            allowed,
        });
    }
    Ok(())
}
