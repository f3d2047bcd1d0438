//! What the state tables of pools and portals forbid (SPEC 4.6, 4.7, 5, 6.1), tried by registers alone. CONTROL.ENABLE is 0
//! throughout, so that no portal is served and none touches memory: its rings lie at addresses of nobody's.

use std::borrow::Cow;

use hwpool_devices::bmu::{Bmu, ErrorBits, regs};
use hwpool_devices::bus::{Bar, BusError, Transport};
use hwpool_devices::family::{Limits, OpenReset};
use hwpool_devices::reg::{Field, Register};
use hwpool_devices::words::Words;

use crate::bringup::Failure;
use crate::bringup::general::device::{low_base, stride};
use crate::bringup::symptom::{Blame, Symptom, ensure};

/// Where rings would lie, far enough from each other for the largest.
const RINGS: [u64; 3] = [0x100_0000, 0x200_0000, 0x300_0000];
const ENABLE: u32 = 1;
const RUNNING: u32 = 1;
const STOPPING: u32 = 2;

/// Tries what a pool must refuse; returns how much that was.
pub(super) fn pools<T: Transport>(bmu: &Bmu<T>) -> Result<u64, Failure> {
    Ok(unserved(bmu, States::try_pools)? + busy(bmu)?)
}

/// Tries what a portal must refuse; returns how much that was.
///
/// # Panics
///
/// Where the device has no portals.
pub(super) fn portals<T: Transport>(bmu: &Bmu<T>) -> Result<u64, Failure> {
    unserved(bmu, |states| {
        states.try_portals(bmu.capabilities().portals - 1)
    })
}

/// Enables a pool at once after it was disabled, where its list takes time: that is refused until BUSY is 0 (SPEC 5.3).
fn busy<T: Transport>(bmu: &Bmu<T>) -> Result<u64, Failure> {
    if bmu.capabilities().emptying.is_none() {
        return Ok(0);
    }
    unserved(bmu, |states| {
        states.write_all(&states.pool_registers(), states.pool)?;
        states.enable_pool()?;
        let tried = states.enables_busy()?;
        bmu.await_emptied(states.pool)?;
        states.enable_pool()?;
        Ok(tried)
    })
}

/// Has something tried while nothing is served, and resets the device after.
fn unserved<'a, T: Transport>(
    bmu: &'a Bmu<T>,
    attempt: impl FnOnce(&States<'a, Words<T::Bar>>) -> Result<u64, Failure>,
) -> Result<u64, Failure> {
    let can = bmu.capabilities();
    let states = States {
        control: bmu.control(),
        operation: bmu.operation(),
        limits: &bmu.identity().limits,
        smallest_ring: can.ring_log2.0,
        register_path: can.register_path,
        natural_align: can.natural_align,
        is_settled: can.is_settled(),
        pool: can.pools - 1,
    };
    bmu.await_emptied(states.pool)?;
    regs::CONTROL.write(bmu.control(), 0)?;
    let tried = attempt(&states);
    // Whatever happened, what follows finds a device in order.
    bmu.reset(OpenReset::Soft)?;
    bmu.start()?;
    tried
}

/// A device on which nothing is open, by its registers.
struct States<'a, B> {
    control: &'a B,
    operation: &'a B,
    limits: &'a Limits,
    smallest_ring: u32,
    register_path: bool,
    natural_align: bool,
    /// Whether what 1.0 left open is settled.
    is_settled: bool,
    /// The pool that is used.
    pool: u16,
}

impl<B: Bar> States<'_, B> {
    /// Tries what a pool must refuse; returns how much that was.
    fn try_pools(&self) -> Result<u64, Failure> {
        let tried = self.invalid_pools()?;
        self.enable_pool()?;
        let locked = self.locked(&self.pool_registers(), self.pool, regs::POOL_ERROR.row())?;
        Ok(tried + locked + self.disabled_free()?)
    }

    /// Tries what a portal must refuse, and its pool for its sake; returns how much that was.
    fn try_portals(&self, portal: u16) -> Result<u64, Failure> {
        self.write_all(&self.pool_registers(), self.pool)?;
        self.configure_portal(portal)?;
        self.refuses_portal(portal, "a portal of a disabled pool")?;
        self.is_disabled_doorbell(portal, "a doorbell of a disabled portal")?;
        self.enable_pool()?;
        Ok(2 + self.invalid_portals(portal)? + self.portal_in_use(portal)?)
    }

    /// A valid range of one buffer.
    fn pool_registers(&self) -> [(&'static Register, u64); 4] {
        let (base, stride) = (low_base(self.limits).0, stride(self.limits));
        [
            (regs::POOL_BASE.row(), base),
            (regs::POOL_END.row(), base + stride),
            (regs::POOL_STRIDE.row(), stride),
            (regs::POOL_CAPACITY.row(), 1),
        ]
    }

    fn portal_registers(&self) -> [(&'static Register, u64); 7] {
        let log2 = u64::from(self.smallest_ring);
        [
            (regs::PORTAL_POOL.row(), self.pool.into()),
            (regs::PORTAL_SIZES.row(), log2 | log2 << 8),
            (regs::PORTAL_RELEASE_BASE.row(), RINGS[0]),
            (regs::PORTAL_ACQUIRE_BASE.row(), RINGS[1]),
            (regs::PORTAL_STATUS_BASE.row(), RINGS[2]),
            (regs::PORTAL_CREDITS.row(), 1),
            (regs::PORTAL_HYSTERESIS.row(), 1),
        ]
    }

    /// Each rule of SPEC 5.1 broken alone.
    fn invalid_pools(&self) -> Result<u64, Failure> {
        let [base, end, stride, capacity] = self.pool_registers();
        let wrong = [
            (base.0, 0),
            (base.0, base.1 + 32),
            (end.0, base.1),
            (end.0, end.1 + 64 * u64::from(stride.1 > 64)),
            (stride.0, stride.1 + 32),
            (capacity.0, 0),
            (capacity.0, 2),
        ];
        self.write_all(&self.pool_registers(), self.pool)?;
        let mut tried = 0;
        for (row, value) in wrong {
            let right = self
                .pool_registers()
                .into_iter()
                .find(|(r, _)| r.name == row.name);
            let (_, right) = right.expect("it is one of them");
            if value == right {
                continue; // buffers of 64 bytes have no odd end
            }
            row.poke(self.control, self.pool, value)?;
            if self.may_move(row, self.pool, value)? {
                continue;
            }
            let what = Invalid { row, value };
            regs::POOL_CONTROL.write_at(self.control, self.pool, ENABLE)?;
            let found = regs::POOL_CONTROL.read_at(self.control, self.pool)?;
            let of = Accepted::new(regs::POOL_CONTROL.row(), found, what.to_string());
            ensure!(found == 0, StateSymptom::Accepted(of));
            self.expect(
                regs::POOL_ERROR.row(),
                self.pool,
                what.to_string(),
                regs::error::CONFIG,
            )?;
            row.poke(self.control, self.pool, right)?;
            tried += 1;
        }
        Ok(tried + self.odd_stride()? + self.natural_of_refused()?)
    }

    /// Enables the pool while its list is being emptied; it may be done already.
    fn enables_busy(&self) -> Result<u64, Failure> {
        let is_busy = || -> Result<bool, BusError> {
            let status = regs::POOL_STATUS.read_at(self.control, self.pool)?;
            Ok(regs::pool_status::BUSY.of(status.into()) != 0)
        };
        regs::POOL_CONTROL.write_at(self.control, self.pool, 0)?;
        regs::POOL_CONTROL.write_at(self.control, self.pool, ENABLE)?;
        let found = regs::POOL_CONTROL.read_at(self.control, self.pool)?;
        if !is_busy()? {
            regs::POOL_CONTROL.write_at(self.control, self.pool, 0)?;
            return Ok(0);
        }
        let what = "a pool whose list is being emptied";
        let of = Accepted::new(regs::POOL_CONTROL.row(), found, what.into());
        ensure!(found == 0, StateSymptom::Accepted(of));
        let errors = regs::POOL_ERROR.row();
        self.expect(errors, self.pool, what.into(), regs::error::CONFIG)?;
        Ok(1)
    }

    /// A stride of one and a half times a power of two, on a device that takes powers only.
    fn odd_stride(&self) -> Result<u64, Failure> {
        let [base, _, stride, _] = self.pool_registers();
        let odd = stride.1 + stride.1 / 2;
        let is_else_valid = odd.is_multiple_of(64) && self.limits.stride.contains(&odd);
        if !self.limits.power_of_two || !is_else_valid {
            return Ok(0);
        }
        regs::POOL_END.write_at(self.control, self.pool, base.1 + odd)?;
        regs::POOL_STRIDE.write_at(self.control, self.pool, odd as u32)?;
        regs::POOL_CONTROL.write_at(self.control, self.pool, ENABLE)?;
        let found = regs::POOL_CONTROL.read_at(self.control, self.pool)?;
        let (row, value) = (stride.0, odd);
        let what = Invalid { row, value }.to_string();
        let of = Accepted::new(regs::POOL_CONTROL.row(), found, what.clone());
        ensure!(found == 0, StateSymptom::Accepted(of));
        let errors = regs::POOL_ERROR.row();
        self.expect(errors, self.pool, what, regs::error::CONFIG)?;
        self.write_all(&self.pool_registers(), self.pool)?;
        Ok(1)
    }

    /// A disabled pool keeps NATURAL_ALIGN of an enable that is refused (SPEC 4.6).
    fn natural_of_refused(&self) -> Result<u64, Failure> {
        if !self.is_settled || !self.natural_align {
            return Ok(0);
        }
        let natural = regs::pool_control::NATURAL_ALIGN.mask() as u32;
        regs::POOL_CAPACITY.write_at(self.control, self.pool, 0)?;
        regs::POOL_CONTROL.write_at(self.control, self.pool, natural | ENABLE)?;
        let found = regs::POOL_CONTROL.read_at(self.control, self.pool)?;
        ensure!(found == natural, StateSymptom::Natural { found });
        let what = "an enable with NATURAL_ALIGN and a POOL_CAPACITY of 0";
        let row = regs::POOL_ERROR.row();
        self.expect(row, self.pool, what.into(), regs::error::CONFIG)?;
        regs::POOL_CONTROL.write_at(self.control, self.pool, 0)?;
        self.write_all(&self.pool_registers(), self.pool)?;
        Ok(1)
    }

    /// Tells whether a device that may, as 1.0 can be read, keeps less of an address than was written.
    fn may_move(&self, row: &Register, index: u16, value: u64) -> Result<bool, BusError> {
        Ok(!self.is_settled && row.read_raw(self.control, index)? != value)
    }

    /// Rules of SPEC 6.2 broken one by one, with a pool that is enabled.
    fn invalid_portals(&self, portal: u16) -> Result<u64, Failure> {
        let wrong = [
            (regs::PORTAL_SIZES.row(), 2 | 2 << 8),
            (regs::PORTAL_RELEASE_BASE.row(), RINGS[0] + 8),
            (regs::PORTAL_ACQUIRE_BASE.row(), RINGS[1] + 32),
            (regs::PORTAL_STATUS_BASE.row(), 0),
            (regs::PORTAL_CREDITS.row(), 0),
            (regs::PORTAL_CREDITS.row(), (1 << self.smallest_ring) + 1),
            (regs::PORTAL_HYSTERESIS.row(), 0),
            (
                regs::PORTAL_HYSTERESIS.row(),
                (1 << self.smallest_ring) / 2 + 1,
            ),
        ];
        for (row, value) in wrong {
            row.poke(self.control, portal, value)?;
            if !self.may_move(row, portal, value)? {
                self.refuses_portal(portal, &Invalid { row, value }.to_string())?;
            }
            self.configure_portal(portal)?;
        }
        Ok(wrong.len() as u64)
    }

    /// A portal that runs, and one that stops and may not yet.
    fn portal_in_use(&self, portal: u16) -> Result<u64, Failure> {
        self.start(portal)?;
        let mut tried = self.locked(&self.portal_registers(), portal, regs::PORTAL_ERROR.row())?;
        regs::POOL_CONTROL.write_at(self.control, self.pool, 0)?;
        let what = "disabling a pool that a portal serves";
        let found = regs::POOL_CONTROL.read_at(self.control, self.pool)?;
        let of = Accepted::new(regs::POOL_CONTROL.row(), found, what.into());
        ensure!(found == ENABLE, StateSymptom::Accepted(of));
        self.expect(
            regs::POOL_ERROR.row(),
            self.pool,
            what.into(),
            regs::error::CONFIG,
        )?;
        regs::PORTAL_CONTROL.write_at(self.control, portal, 0)?;
        self.state(portal, STOPPING, "is stopped while CONTROL.ENABLE is 0")?;
        self.refuses_portal(portal, "a portal that stops still")?;
        self.state(portal, STOPPING, "was refused to start again")?;
        self.is_disabled_doorbell(portal, "a doorbell of a portal that stops")?;
        tried += 3;
        Ok(tried)
    }

    fn start(&self, portal: u16) -> Result<(), Failure> {
        regs::PORTAL_CONTROL.write_at(self.control, portal, ENABLE)?;
        self.state(portal, RUNNING, "was enabled with a valid configuration")
    }

    fn state(&self, portal: u16, expected: u32, after: &'static str) -> Result<(), Failure> {
        let found = regs::PORTAL_STATUS.read_at(self.control, portal)?;
        let symptom = StateSymptom::State {
            portal,
            found,
            expected,
            after,
        };
        ensure!(found == expected, symptom);
        Ok(())
    }

    fn configure_portal(&self, portal: u16) -> Result<(), BusError> {
        self.write_all(&self.portal_registers(), portal)
    }

    fn write_all(&self, registers: &[(&Register, u64)], index: u16) -> Result<(), BusError> {
        let mut all = registers.iter();
        all.try_for_each(|(row, value)| row.poke(self.control, index, *value))
    }

    fn enable_pool(&self) -> Result<(), Failure> {
        regs::POOL_CONTROL.write_at(self.control, self.pool, ENABLE)?;
        let found = regs::POOL_CONTROL.read_at(self.control, self.pool)?;
        let pool = self.pool;
        ensure!(found == ENABLE, StateSymptom::NotEnabled { pool, found });
        Ok(())
    }

    fn refuses_portal(&self, portal: u16, what: &str) -> Result<(), Failure> {
        regs::PORTAL_CONTROL.write_at(self.control, portal, ENABLE)?;
        let found = regs::PORTAL_CONTROL.read_at(self.control, portal)?;
        let of = Accepted::new(regs::PORTAL_CONTROL.row(), found, what.into());
        ensure!(found == 0, StateSymptom::Accepted(of));
        self.expect(
            regs::PORTAL_ERROR.row(),
            portal,
            what.into(),
            regs::error::CONFIG,
        )
    }

    /// Writes another value to each, and sees the old one kept and CONFIG.
    fn locked(
        &self,
        registers: &[(&'static Register, u64)],
        index: u16,
        errors: &'static Register,
    ) -> Result<u64, Failure> {
        for (row, value) in registers {
            let written = match row.width {
                8 => value + 64,
                _ => value ^ 1,
            };
            row.poke(self.control, index, written)?;
            let (place, found) = (row.place(index), row.read_raw(self.control, index)?);
            ensure!(
                found == *value,
                StateSymptom::Written {
                    place,
                    written,
                    found
                }
            );
            let what = format!("{written:#x} in {place} while it is locked");
            self.expect(errors, index, what, regs::error::CONFIG)?;
        }
        Ok(registers.len() as u64)
    }

    /// While CONTROL.ENABLE is 0 no free is taken.
    fn disabled_free(&self) -> Result<u64, Failure> {
        if !self.register_path {
            return Ok(0);
        }
        let (pool, base) = (self.pool, low_base(self.limits).0);
        regs::POOL_FREE.write_at(self.operation, pool, base)?;
        let what = "a free while CONTROL.ENABLE is 0";
        self.expect(
            regs::POOL_ERROR.row(),
            pool,
            what.into(),
            regs::error::DISABLED,
        )?;
        let found = regs::POOL_AVAILABLE.read_at(self.control, pool)?;
        let of = Accepted::new(regs::POOL_AVAILABLE.row(), found, what.into());
        ensure!(found == 0, StateSymptom::Accepted(of));
        Ok(1)
    }

    fn is_disabled_doorbell(&self, portal: u16, what: &str) -> Result<(), Failure> {
        regs::PORTAL_DOORBELL.write_at(self.operation, portal, 1)?;
        self.expect(
            regs::PORTAL_ERROR.row(),
            portal,
            what.into(),
            regs::error::DISABLED,
        )
    }

    /// Expects one kind of error of the pool's or portal's, and clears it.
    fn expect(
        &self,
        row: &'static Register,
        index: u16,
        what: String,
        kind: Field,
    ) -> Result<(), Failure> {
        let found = row.read_raw(self.control, index)?;
        row.poke(self.control, index, found)?;
        let (is_right, place) = (found == kind.mask(), row.place(index));
        let (found, kind) = (ErrorBits(found as u32), kind.name);
        ensure!(
            is_right,
            StateSymptom::Silent {
                what,
                place,
                found,
                kind
            }
        );
        Ok(())
    }
}

/// A value that makes a configuration invalid.
#[derive(Debug, thiserror::Error)]
#[error("{} {value:#x}", row.name)]
struct Invalid {
    row: &'static Register,
    value: u64,
}

/// Something forbidden that was done.
#[derive(Debug)]
struct Accepted {
    register: &'static Register,
    found: u32,
    what: String,
}

impl Accepted {
    fn new(register: &'static Register, found: u32, what: String) -> Accepted {
        Accepted {
            register,
            found,
            what,
        }
    }
}

/// What is wrong with how a device keeps to its states.
#[derive(Debug, thiserror::Error)]
enum StateSymptom {
    #[error("{} was accepted: {} reads {:#x}", .0.what, .0.register.name, .0.found)]
    Accepted(Accepted),
    #[error("{what}: {place} has {found} instead of {kind}")]
    Silent {
        what: String,
        place: String,
        found: ErrorBits,
        kind: Cow<'static, str>,
    },
    #[error("{place} is locked and went to {found:#x} when {written:#x} was written")]
    Written {
        place: String,
        written: u64,
        found: u64,
    },
    #[error("POOL_CONTROL[{pool}] reads {found:#x} after a valid configuration was enabled")]
    NotEnabled { pool: u16, found: u32 },
    #[error(
        "POOL_CONTROL reads {found:#x} and not 0x2 after an enable with NATURAL_ALIGN was refused"
    )]
    Natural { found: u32 },
    #[error("PORTAL_STATUS[{portal}] is {found} and not {expected} when the portal {after}")]
    State {
        portal: u16,
        found: u32,
        expected: u32,
        after: &'static str,
    },
}

impl Symptom for StateSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            StateSymptom::Accepted(_) => &[
                "the device does not check what it is asked against its configuration and state (SPEC 5, 6.1)",
            ],
            StateSymptom::Silent { .. } => &[
                "the error is not reported in the register of its pool or portal, or another one is",
            ],
            StateSymptom::Written { .. } => &[
                "the register's write enable does not depend on whether its pool or portal is in use",
            ],
            StateSymptom::NotEnabled { .. } => &[
                "the bit that enables the list or the portal is a constant, or writes to it are lost",
                "the device takes a correct configuration for a wrong one: its error bit says which part",
            ],
            StateSymptom::Natural { .. } => {
                &["a refused enable holds back NATURAL_ALIGN too, or the bit is a constant"]
            }
            StateSymptom::State { .. } => &[
                "the state machine of the portal leaves a state too early, or PORTAL_STATUS is a constant",
            ],
        })
    }
}
