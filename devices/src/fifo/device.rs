//! The function as a whole: identity, reset, interrupt.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::bus::{Bar, BusError, Transport};
use crate::family::life::{self, ResetSteps, expect_reset, read_alive};
use crate::family::{
    Claim, Fact, Identity, Limits, OpenError, OpenReset, ResetError, SetupError, check_identity,
    sized_bar,
};
use crate::fifo::about::{ABOUT, REGISTER};
use crate::fifo::regs;
use crate::pci;
use crate::reg::{Field, Reg, Word, access};

/// How long a reset may take (SPEC 6).
const TIMEOUT: Duration = Duration::from_millis(10);
/// The device has one queue.
pub(super) const QUEUES: u16 = 1;

/// A FIFO that was identified, reset and enabled. Every method may be called from any thread.
pub struct Fifo<T: Transport> {
    transport: Arc<T>,
    bar: T::Bar,
    identity: Identity,
    queue: Mutex<Claim>,
}

impl<T: Transport> Fifo<T> {
    /// Identifies the device behind `transport`, resets it, verifies the reset, and enables it and its bus mastering,
    /// which its interrupt needs.
    ///
    /// Blocks for a reset.
    pub fn open(transport: Arc<T>, reset: OpenReset) -> Result<Fifo<T>, OpenError> {
        pci::identity(&*transport)?;
        pci::set_bus_master(&*transport, false)?;
        let bar = sized_bar(&*transport, regs::BAR, regs::BAR_SIZE)?;
        let identity = read_identity(&bar)?;
        let fifo = Fifo {
            transport,
            bar,
            identity,
            queue: Mutex::default(),
        };
        fifo.reset(reset)?;
        life::keeps_writes(&fifo.bar, regs::SCRATCH.row(), ABOUT.alive)?;
        fifo.start()?;
        Ok(fifo)
    }

    /// Returns what the device is and can do.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the transport.
    pub fn transport(&self) -> &Arc<T> {
        &self.transport
    }

    /// Returns the registers' BAR.
    pub fn bar(&self) -> &T::Bar {
        &self.bar
    }

    /// Resets the device and leaves it disabled, until [`Fifo::start`]: refused while the queue is in use.
    pub fn reset(&self, kind: OpenReset) -> Result<(), ResetError> {
        self.refuse_while_in_use()?;
        self.reset_now(kind)?;
        self.claim().stuck = 0;
        Ok(())
    }

    /// Resets the device, verified by RESET_COUNT and by what it must have cleared.
    pub(super) fn reset_now(&self, kind: OpenReset) -> Result<(), ResetError> {
        let steps = ResetSteps {
            soft: || regs::RESET.write(&self.bar, regs::RESET_KEY),
            flr: true,
            count: || self.read(regs::RESET_COUNT).map(Some),
            counter: regs::RESET_COUNT.row(),
            until: "STATUS.READY after a reset",
            ready: || {
                let ready = regs::status::READY.of(self.read(regs::STATUS)?.into());
                Ok((ready != 0).then_some(()))
            },
            timeout: TIMEOUT,
        };
        life::reset(&*self.transport, kind, steps)?;
        expect_reset("CONTROL", self.read(regs::CONTROL)?)?;
        expect_reset("LEVEL", self.read(regs::LEVEL)?)
    }

    /// Turns bus mastering on and lets the queue work.
    pub fn start(&self) -> Result<(), BusError> {
        pci::set_bus_master(&*self.transport, true)?;
        self.set_control(regs::control::ENABLE, true)
    }

    /// Stops the queue, takes the right to send interrupts away, and resets the device. Refused while the queue is in use.
    pub fn close(&self) -> Result<(), ResetError> {
        self.refuse_while_in_use()?;
        self.set_control(regs::control::ENABLE, false)?;
        life::stop_dma(&*self.transport, TIMEOUT)?;
        self.reset(OpenReset::Best)
    }

    /// Returns how many interrupt vectors there are to use.
    pub fn vectors(&self) -> Result<u16, BusError> {
        life::vectors(&*self.transport, self.identity.limits.vectors)
    }

    /// Enables the interrupt, in the function and in the device, and returns it; the only vector is 0.
    pub fn interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        let irq = life::interrupt(&*self.transport, self.identity.limits.vectors, vector)?;
        self.set_control(regs::control::IRQ_ENABLE, true)?;
        Ok(irq)
    }

    /// Makes the device raise its interrupt, by the event that raises it.
    pub fn trigger(&self) -> Result<(), BusError> {
        let low = regs::event::LOW.mask() as u32;
        regs::EVENT.write(&self.bar, low)?;
        regs::EVENT_SET.write(&self.bar, low)
    }

    /// Reads a register; all ones where the identity reads all ones too is [`BusError::Gone`].
    pub fn read<A: access::PureRead, W: Word>(&self, reg: Reg<A, W>) -> Result<W, BusError> {
        read(&self.bar, reg)
    }

    /// Takes the queue into use.
    pub(super) fn claim_queue(&self) -> Result<(), SetupError> {
        let taken = self.claim().take(QUEUES);
        taken.map(|_| ()).ok_or(SetupError::AllInUse {
            what: "queues",
            count: QUEUES,
        })
    }

    /// Gives the queue back: for others to use where it is empty (`clean`), else after a reset.
    pub(super) fn release_queue(&self, clean: bool) {
        self.claim().release(0, clean);
    }

    fn claim(&self) -> MutexGuard<'_, Claim> {
        // A bit map is never half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse_while_in_use(&self) -> Result<(), ResetError> {
        match self.claim().live {
            0 => Ok(()),
            _ => Err(ResetError::InUse {
                what: "the queue and its buffers".into(),
            }),
        }
    }

    fn set_control(&self, bit: Field, on: bool) -> Result<(), BusError> {
        let control = bit.set(self.read(regs::CONTROL)?.into(), on.into());
        regs::CONTROL.write(&self.bar, control as u32)
    }
}

impl<T: Transport> Drop for Fifo<T> {
    /// Takes the device's right to send interrupts away. An orderly end is [`Fifo::close`].
    fn drop(&mut self) {
        let _ = pci::set_bus_master(&*self.transport, false);
    }
}

/// Reads a register and tells a device that is gone (SPEC 2).
fn read<A: access::PureRead, W: Word>(bar: &impl Bar, reg: Reg<A, W>) -> Result<W, BusError> {
    read_alive(bar, reg, 0, ABOUT.alive)
}

/// Reads what the device behind `transport` is and can do. Writes nothing and resets nothing.
pub(super) fn identify<T: Transport>(transport: &T) -> Result<Identity, OpenError> {
    read_identity(&sized_bar(transport, regs::BAR, regs::BAR_SIZE)?)
}

/// Checks identity and version, and only then looks at anything else.
fn read_identity(bar: &impl Bar) -> Result<Identity, OpenError> {
    check_identity(bar, &ABOUT)?;
    let version = read(bar, regs::VERSION)?.into();
    let (major, minor) = (
        regs::version::MAJOR.of(version) as u32,
        regs::version::MINOR.of(version) as u32,
    );
    if major != regs::VERSION_MAJOR {
        return Err(OpenError::Version {
            major,
            minor,
            known: regs::VERSION_MAJOR,
        });
    }
    let depth = read(bar, regs::DEPTH)?;
    if !(1..=regs::MAX_DEPTH).contains(&depth) {
        return Err(OpenError::Capability {
            section: "3",
            register: "DEPTH",
            value: depth.into(),
            rule: "1 to 2^24 numbers",
        });
    }
    Ok(describe(minor, depth))
}

fn describe(minor: u32, depth: u32) -> Identity {
    let specification = format!("1.{minor}");
    Identity {
        limits: Limits {
            lists: QUEUES,
            vectors: 1,
            objects: depth.into(),
            objects_by: "DEPTH".into(),
            // Addresses never pass through the device: any will do.
            stride: 64..=1 << 62,
            power_of_two: false,
            address_width: 64,
            timeout: TIMEOUT,
            ways: vec![REGISTER.name],
        },
        counts: Vec::new(),
        absent: Vec::new(),
        halves: false,
        facts: vec![
            ("specification", Fact::Text(specification.clone().into())),
            ("depth", Fact::Number(depth.into())),
            ("vectors", Fact::Number(1)),
            ("timeout_ms", Fact::Number(TIMEOUT.as_millis() as u64)),
        ],
        rows: vec![
            ("FIFO", format!("specification {specification}")),
            ("has", "1 queue, 1 vector".into()),
            ("queue", format!("up to {depth} numbers of buffers")),
        ],
    }
}

impl<T: Transport> fmt::Debug for Fifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fifo")
            .field("device", &self.transport.name())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
