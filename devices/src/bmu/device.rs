//! The function as a whole: identity, capabilities, reset, errors, interrupts, quiesce.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bmu::claims::{Claims, PoolId, PortalId};
use crate::bmu::errors::ErrorBits;
use crate::bmu::identity::{Capabilities, check_alive, read_at, read_identity};
use crate::bmu::regs;
use crate::bus::{BusError, Transport};
use crate::family::life::{self, ResetSteps, expect_reset};
use crate::family::{Identity, OpenError, OpenReset, ResetError, SetupError, sized_bar};
use crate::pci;
use crate::reg::{Reg, Word, access};
use crate::wait::{TimedOut, wait_for};
use crate::words::Words;

/// The first error that the device recorded (SPEC 4.4).
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct ErrorRecord {
    /// Its kind, as a bit.
    pub kind: ErrorBits,
    /// Where it happened: 0 register path, 1 release ring, 2 acquire ring or status line, 3 configuration, 4 injected.
    pub source: u8,
    /// The pool concerned.
    pub pool: u16,
    /// The portal concerned, where the source is a ring.
    pub portal: u16,
    /// The offending address or value.
    pub address: u64,
}

/// A BMU that was identified, reset and enabled.
///
/// Shared by all pools and portals on it; every method may be called from any thread.
pub struct Bmu<T: Transport> {
    transport: Arc<T>,
    control: Words<T::Bar>,
    operation: Words<T::Bar>,
    capabilities: Capabilities,
    identity: Identity,
    claims: Mutex<Claims>,
}

impl<T: Transport> Bmu<T> {
    /// Identifies the device behind `transport`, resets it, verifies the reset, and enables it and its bus mastering.
    ///
    /// Blocks for a reset, at most the device's CAP_TIMEOUT and what the transport needs for it.
    pub fn open(transport: Arc<T>, reset: OpenReset) -> Result<Bmu<T>, OpenError> {
        pci::identity(&*transport)?;
        // A former owner may have left the device running: keep it from memory until it was reset.
        pci::set_bus_master(&*transport, false)?;
        let control = sized_bar(&*transport, regs::CONTROL_BAR, regs::CONTROL_BAR_SIZE)?;
        let operation = sized_bar(&*transport, regs::OPERATION_BAR, regs::OPERATION_BAR_SIZE)?;
        let capabilities = read_identity(&control)?;
        let words = |bar| Words::new(bar, capabilities.halves_only);
        let bmu = Bmu {
            transport,
            control: words(control),
            operation: words(operation),
            identity: capabilities.identity(),
            capabilities,
            claims: Mutex::default(),
        };
        bmu.reset(reset)?;
        check_alive(&bmu.control)?;
        bmu.start()?;
        Ok(bmu)
    }

    /// Returns what the device can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Returns what the device is and can do, in terms that every kind of device has.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the transport.
    pub fn transport(&self) -> &Arc<T> {
        &self.transport
    }

    /// Returns the control registers' BAR.
    pub fn control(&self) -> &Words<T::Bar> {
        &self.control
    }

    /// Returns the operation pages' BAR.
    pub fn operation(&self) -> &Words<T::Bar> {
        &self.operation
    }

    /// Resets the device and leaves it disabled, until [`Bmu::start`]: refused while pools or portals are in use.
    ///
    /// The reset is verified by RESET_COUNT and by what it must have cleared.
    pub fn reset(&self, kind: OpenReset) -> Result<(), ResetError> {
        self.refuse_while_in_use()?;
        let steps = ResetSteps {
            soft: || regs::RESET.write(&self.control, regs::RESET_KEY),
            flr: true,
            count: || self.read(regs::RESET_COUNT).map(Some),
            counter: regs::RESET_COUNT.row(),
            until: "STATUS.READY after a reset",
            ready: || self.status_bit(regs::status::READY),
            timeout: self.capabilities.timeout,
        };
        life::reset(&*self.transport, kind, steps)?;
        self.check_clean()?;
        let mut claims = self.claims();
        claims.pools.stuck = 0;
        claims.portals.stuck = 0;
        Ok(())
    }

    /// Turns bus mastering on and enables the lists.
    pub fn start(&self) -> Result<(), BusError> {
        pci::set_bus_master(&*self.transport, true)?;
        regs::CONTROL.write(&self.control, regs::control::ENABLE.mask() as u32)
    }

    /// Stops all DMA of the device and takes its right to it away, then resets it and verifies that.
    ///
    /// Refused while pools or portals are in use. The order is SPEC 9.1's.
    pub fn close(&self) -> Result<(), ResetError> {
        self.refuse_while_in_use()?;
        self.quiesce()?;
        life::stop_dma(&*self.transport, self.capabilities.timeout)?;
        self.reset(OpenReset::Best)
    }

    /// Asks the device to start no more DMA, and waits until none is under way.
    pub fn quiesce(&self) -> Result<(), ResetError> {
        let value = regs::control::QUIESCE.set(self.read(regs::CONTROL)?.into(), 1);
        regs::CONTROL.write(&self.control, value as u32)?;
        self.wait("STATUS.QUIESCED", || {
            self.status_bit(regs::status::QUIESCED)
        })
    }

    /// Lets a quiesced device go on.
    pub fn resume(&self) -> Result<(), BusError> {
        let value = regs::control::QUIESCE.set(self.read(regs::CONTROL)?.into(), 0);
        regs::CONTROL.write(&self.control, value as u32)
    }

    /// Reads which kinds of error happened since they were cleared.
    pub fn errors(&self) -> Result<ErrorBits, BusError> {
        self.read(regs::ERR_STATUS).map(ErrorBits)
    }

    /// Clears `errors` in the device's status.
    pub fn clear_errors(&self, errors: ErrorBits) -> Result<(), BusError> {
        regs::ERR_STATUS.write(&self.control, errors.0)
    }

    /// Reads the first recorded error, and empties the record if there is one.
    pub fn take_error_record(&self) -> Result<Option<ErrorRecord>, BusError> {
        let record = self.read(regs::ERR_RECORD)?;
        if regs::err_record::VALID.of(record) == 0 {
            return Ok(None);
        }
        let address = self.read(regs::ERR_ADDRESS)?;
        regs::ERR_RECORD_CLEAR.write(&self.control, 1)?;
        Ok(Some(ErrorRecord {
            kind: ErrorBits(1 << regs::err_record::KIND.of(record)),
            source: regs::err_record::SOURCE.of(record) as u8,
            pool: regs::err_record::POOL.of(record) as u16,
            portal: regs::err_record::PORTAL.of(record) as u16,
            address,
        }))
    }

    /// Reads how many errors of each kind happened since the reset; the index is the kind.
    pub fn error_counts(&self) -> Result<[u32; 9], BusError> {
        let mut counts = [0; 9];
        for (kind, count) in counts.iter_mut().enumerate() {
            *count = self.read_at(regs::ERR_COUNT, kind as u16)?;
        }
        Ok(counts)
    }

    /// Lets errors raise `vector` and returns its interrupt. Which kinds do is set with [`Bmu::enable_errors`].
    pub fn error_interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        regs::ERR_VECTOR.write(&self.control, vector.into())?;
        self.interrupt(vector)
    }

    /// Sets which kinds of error raise the error vector.
    pub fn enable_errors(&self, errors: ErrorBits) -> Result<(), BusError> {
        regs::ERR_ENABLE_CLEAR
            .write(&self.control, regs::error_enable_clear::KINDS.mask() as u32)?;
        regs::ERR_ENABLE_SET.write(&self.control, errors.0)
    }

    /// Returns how many interrupt vectors there are to use: those of the device, as far as the transport has them. A
    /// machine may have fewer, and tell it when the first is enabled.
    pub fn vectors(&self) -> Result<u16, BusError> {
        life::vectors(&*self.transport, self.capabilities.vectors)
    }

    /// Enables interrupt `vector`, in the function and in the device, and returns it.
    pub fn interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        let irq = life::interrupt(&*self.transport, self.capabilities.vectors, vector)?;
        self.enable_vector(vector, true)?;
        Ok(irq)
    }

    /// Lets the device send `vector`, or makes it keep the vector pending (SPEC 8).
    pub fn enable_vector(&self, vector: u16, on: bool) -> Result<(), BusError> {
        let bit = 1 << (vector % 32);
        if on {
            regs::IRQ_ENABLE_SET.write(&self.control, bit)
        } else {
            regs::IRQ_ENABLE_CLEAR.write(&self.control, bit)
        }
    }

    /// Makes the device raise `vector`.
    pub fn trigger(&self, vector: u16) -> Result<(), BusError> {
        regs::IRQ_TRIGGER.write(&self.control, vector.into())
    }

    /// Reads a control register; all ones where the magic number reads all ones too is [`BusError::Gone`].
    pub fn read<A: access::PureRead, W: Word>(&self, reg: Reg<A, W>) -> Result<W, BusError> {
        self.read_at(reg, 0)
    }

    /// Reads register `index` of an array of control registers, as [`Bmu::read`].
    pub fn read_at<A: access::PureRead, W: Word>(
        &self,
        reg: Reg<A, W>,
        index: u16,
    ) -> Result<W, BusError> {
        read_at(&self.control, reg, index)
    }

    /// Takes a pool that nobody uses.
    pub(crate) fn claim_pool(&self) -> Result<PoolId, SetupError> {
        let count = self.capabilities.pools;
        self.claims()
            .pools
            .take(count)
            .map(PoolId)
            .ok_or(SetupError::AllInUse {
                what: "pools",
                count,
            })
    }

    /// Takes a portal that nobody uses.
    pub(crate) fn claim_portal(&self) -> Result<PortalId, SetupError> {
        let count = self.capabilities.portals;
        self.claims()
            .portals
            .take(count)
            .map(PortalId)
            .ok_or(SetupError::AllInUse {
                what: "portals",
                count,
            })
    }

    /// Gives a pool back: for others to use where the device let go of it (`clean`), else after a reset.
    pub(crate) fn release_pool(&self, id: PoolId, clean: bool) {
        self.claims().pools.release(id.0, clean);
    }

    /// Gives a portal back, as [`Bmu::release_pool`].
    pub(crate) fn release_portal(&self, id: PortalId, clean: bool) {
        self.claims().portals.release(id.0, clean);
    }

    /// Waits for `look`, at most for the device's own timeout.
    pub(crate) fn wait<R, E: From<TimedOut>>(
        &self,
        what: &'static str,
        look: impl FnMut() -> Result<Option<R>, E>,
    ) -> Result<R, E> {
        wait_for(&*self.transport, what, self.capabilities.timeout, look)
    }

    /// Waits until the list of a pool that was disabled is empty, at most for the time that the device says (SPEC 5.3).
    ///
    /// # Errors
    ///
    /// That it is not, or that the device can't be asked.
    pub fn await_emptied(&self, pool: u16) -> Result<(), SetupError> {
        let Some(limit) = self.capabilities.emptying else {
            return Ok(());
        };
        let what = "end of POOL_STATUS.BUSY after a pool was disabled";
        wait_for(&*self.transport, what, limit, || {
            let status = self.read_at(regs::POOL_STATUS, pool)?;
            Ok::<_, SetupError>((regs::pool_status::BUSY.of(status.into()) == 0).then_some(()))
        })
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        // Two bit maps are never half changed.
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse_while_in_use(&self) -> Result<(), ResetError> {
        let claims = self.claims();
        let (pools, portals) = (
            claims.pools.live.count_ones(),
            claims.portals.live.count_ones(),
        );
        if pools + portals > 0 {
            Err(ResetError::InUse {
                what: format!("{pools} pools and {portals} portals"),
            })
        } else {
            Ok(())
        }
    }

    fn status_bit(&self, bit: crate::reg::Field) -> Result<Option<()>, ResetError> {
        Ok((bit.of(self.read(regs::STATUS)?.into()) != 0).then_some(()))
    }

    /// Verifies that the reset has left no pool and no portal enabled and CONTROL at its reset value.
    fn check_clean(&self) -> Result<(), ResetError> {
        expect_reset("CONTROL", self.read(regs::CONTROL)?)?;
        for pool in 0..self.capabilities.pools {
            expect_reset(
                format!("POOL_STATUS[{pool}]"),
                self.read_at(regs::POOL_STATUS, pool)?,
            )?;
        }
        for portal in 0..self.capabilities.portals {
            expect_reset(
                format!("PORTAL_STATUS[{portal}]"),
                self.read_at(regs::PORTAL_STATUS, portal)?,
            )?;
        }
        Ok(())
    }
}

impl<T: Transport> Drop for Bmu<T> {
    /// Takes the device's right to DMA away, whatever state it is in. An orderly end is [`Bmu::close`].
    fn drop(&mut self) {
        let _ = pci::set_bus_master(&*self.transport, false);
    }
}

impl<T: Transport> fmt::Debug for Bmu<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bmu")
            .field("device", &self.transport.name())
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}
