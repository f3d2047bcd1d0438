//! 64-bit registers by halves (SPEC 2.1): what a page keeps between the two.

use hwpool_devices::bmu::{Bmu, ErrorBits, regs};
use hwpool_devices::bus::{Bar, BusError, Transport};
use hwpool_devices::reg::Register;

use crate::bringup::Failure;
use crate::bringup::general::device::{low_base, stride};
use crate::bringup::symptom::{Blame, Symptom, ensure};

/// Bytes from the low half of a register to the high one.
const HIGH: u64 = 4;

/// Frees and allocates by halves in two pools, one between the halves of the other, and frees between the halves of an
/// allocation: each has its own. With one pool that is all there is to see.
pub(super) fn interleaved<T: Transport>(bmu: &Bmu<T>) -> Result<(), Failure> {
    let limits = &bmu.identity().limits;
    let (low, stride) = (low_base(limits).0, stride(limits));
    // Another one in both halves, where addresses have two.
    let other = match limits.address_width > 32 {
        true => (1 << 32) + 2 * stride,
        false => low + 2 * stride,
    };
    let last = bmu.capabilities().pools - 1;
    let pages = [(last, low), (last.saturating_sub(1), other)];
    let pages = &pages[..1 + usize::from(last > 0)];
    let pages: Vec<Page<'_, T>> = pages.iter().map(|&page| Page::new(bmu, page)).collect();
    let seen = pages
        .iter()
        .try_for_each(Page::enable)
        .and_then(|()| mix(&pages, stride));
    let off = |page: &Page<'_, T>| regs::POOL_CONTROL.write_at(bmu.control(), page.pool, 0);
    pages.iter().try_for_each(off)?;
    seen
}

fn mix<T: Transport>(pages: &[Page<'_, T>], stride: u64) -> Result<(), Failure> {
    for page in pages {
        page.write(regs::POOL_FREE.row(), 0, page.base)?;
    }
    for page in pages {
        page.write(regs::POOL_FREE.row(), HIGH, page.base >> 32)?;
    }
    for page in pages {
        page.holds(1)?;
        page.write(regs::POOL_FREE.row(), 0, page.base + stride)?;
    }
    let read = |at| pages.iter().map(move |page| page.read(at));
    let lows = read(0).collect::<Result<Vec<_>, _>>()?;
    let highs = read(HIGH).collect::<Result<Vec<_>, _>>()?;
    for (page, (low, high)) in pages.iter().zip(lows.into_iter().zip(highs)) {
        let (pool, gave) = (page.pool, low | high << 32);
        let freed = page.base;
        ensure!(gave == freed, Mixed::Gave { pool, gave, freed });
    }
    for page in pages {
        page.write(regs::POOL_FREE.row(), HIGH, page.base >> 32)?;
        page.holds(1)?;
    }
    Ok(())
}

/// The page of a pool of two buffers.
struct Page<'a, T: Transport> {
    bmu: &'a Bmu<T>,
    pool: u16,
    base: u64,
}

impl<'a, T: Transport> Page<'a, T> {
    fn new(bmu: &'a Bmu<T>, (pool, base): (u16, u64)) -> Page<'a, T> {
        Page { bmu, pool, base }
    }

    fn enable(&self) -> Result<(), Failure> {
        let (control, pool) = (self.bmu.control(), self.pool);
        let stride = stride(&self.bmu.identity().limits);
        let objects = self.bmu.capabilities().buffers.min(2);
        self.bmu.await_emptied(pool)?;
        regs::POOL_BASE.write_at(control, pool, self.base)?;
        regs::POOL_END.write_at(control, pool, self.base + 2 * stride)?;
        regs::POOL_STRIDE.write_at(control, pool, stride as u32)?;
        regs::POOL_CAPACITY.write_at(control, pool, objects as u32)?;
        let enable = regs::pool_control::ENABLE.mask() as u32;
        regs::POOL_CONTROL.write_at(control, pool, enable)?;
        let found = regs::POOL_CONTROL.read_at(control, pool)?;
        ensure!(found == enable, Mixed::NotEnabled { pool, found });
        Ok(())
    }

    /// Writes one half of a register of the page.
    fn write(&self, row: &Register, half: u64, value: u64) -> Result<(), BusError> {
        let bar = self.bmu.operation().whole();
        bar.write32(row.offset_of(self.pool) + half, value as u32)
    }

    /// Reads one half of POOL_ALLOC.
    fn read(&self, half: u64) -> Result<u64, BusError> {
        let at = regs::POOL_ALLOC.row().offset_of(self.pool) + half;
        self.bmu.operation().whole().read32(at).map(u64::from)
    }

    fn holds(&self, expected: u32) -> Result<(), Failure> {
        let (control, pool) = (self.bmu.control(), self.pool);
        let held = regs::POOL_AVAILABLE.read_at(control, pool)?;
        let errors = ErrorBits(regs::POOL_ERROR.read_at(control, pool)?);
        let is_right = held == expected && errors.0 == 0;
        ensure!(is_right, Mixed::Freed { pool, held, errors });
        Ok(())
    }
}

/// What is wrong with halves.
#[derive(Debug, thiserror::Error)]
enum Mixed {
    #[error("POOL_CONTROL[{pool}] reads {found:#x} after a valid configuration was enabled")]
    NotEnabled { pool: u16, found: u32 },
    #[error(
        "pool {pool} holds {held} buffers and reports {errors} after one was freed by halves, with others between them"
    )]
    Freed {
        pool: u16,
        held: u32,
        errors: ErrorBits,
    },
    #[error(
        "pool {pool} gave {gave:#x} by halves, with others between them, and {freed:#x} was freed"
    )]
    Gave { pool: u16, gave: u64, freed: u64 },
}

impl Symptom for Mixed {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            Mixed::NotEnabled { .. } => &[
                "the device takes a correct configuration for a wrong one: its error bit says which part",
            ],
            Mixed::Freed { .. } | Mixed::Gave { .. } => &[
                "one register keeps the half of all pages, or of both directions: each page needs two of its own",
            ],
        })
    }
}
