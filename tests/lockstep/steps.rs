//! The steps, and what both devices must say after each.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hwpool::devices::bmu::regs::PortalState;
use hwpool::devices::bmu::{Capabilities, regs};
use hwpool::devices::reg::{Register, Scope};

use crate::board::{Board, Diary, comes};
use crate::held::Held;
use crate::portal::Portal;

/// Registers that are not compared: they tell of the maker, or of its time.
const OWN: [&str; 3] = ["IMPLEMENTATION", "CAP_TIMEOUT", "CAP_EMPTYING"];
/// Registers whose writes are steps of their own.
const STEPS: [&str; 5] = [
    "CONTROL",
    "RESET",
    "POOL_CONTROL",
    "PORTAL_CONTROL",
    "PORTAL_DOORBELL",
];
/// How long what follows of an access may take.
const MOMENT: Duration = Duration::from_millis(100);
const STOPPED: u64 = 1 << 34;
const HALTED: u64 = 1 << 33;

pub(crate) type Found<T = ()> = Result<T, String>;

type Step = fn(&mut Lockstep) -> Found;

/// What is done, and how often.
const KINDS: [(u32, Step); 16] = [
    (60, Lockstep::write_register),
    (12, Lockstep::write_half),
    (12, Lockstep::enable_pool),
    (8, Lockstep::disable_pool),
    (60, Lockstep::allocate),
    (70, Lockstep::free),
    (10, Lockstep::free_two_by_halves),
    (6, Lockstep::forget_errors),
    (4, Lockstep::control),
    (1, Lockstep::reset),
    (10, Lockstep::start_portal),
    (40, Lockstep::give),
    (30, Lockstep::take),
    (4, Lockstep::stop_portal),
    (3, Lockstep::halt_portal),
    (2, Lockstep::ring_disabled),
];

pub(crate) struct Lockstep {
    boards: [Box<dyn Board>; 2],
    has: Capabilities,
    /// Pages of portals are memory, which a disabled portal may not look at (SPEC 3.2).
    has_memory_pages: bool,
    rng: Rng,
    seed: u64,
    /// RESET_COUNT of each at the beginning.
    resets: [u64; 2],
    /// Pools that are enabled, as each device has them.
    pools: Vec<Option<[Held; 2]>>,
    portals: Vec<Option<Portal>>,
    /// Values that were written and differ, since they name buffers.
    written: HashSet<(u64, u64)>,
    diary: Diary,
}

impl Lockstep {
    pub(crate) fn new(
        boards: [Box<dyn Board>; 2],
        has: Capabilities,
        has_memory_pages: bool,
        seed: u64,
    ) -> Lockstep {
        let count = |board: &dyn Board| board.read(regs::RESET_COUNT.row(), 0);
        Lockstep {
            resets: [count(&*boards[0]), count(&*boards[1])],
            pools: (0..has.pools).map(|_| None).collect(),
            portals: (0..has.portals).map(|_| None).collect(),
            rng: Rng::with_seed(seed),
            written: HashSet::new(),
            diary: Diary::default(),
            boards,
            has,
            has_memory_pages,
            seed,
        }
    }

    pub(crate) fn run(mut self, steps: u64) -> Found {
        let sum: u32 = KINDS.iter().map(|(weight, _)| weight).sum();
        for number in 0..steps {
            let mut left = self.rng.u32(0..sum);
            let kind = KINDS.iter().find(|(weight, _)| {
                let is_it = left < *weight;
                left = left.wrapping_sub(*weight);
                is_it
            });
            let (_, step) = kind.expect("one of them");
            let done = step(&mut self)
                .and_then(|()| self.settle())
                .and_then(|()| self.look(number % 64 == 63));
            done.map_err(|difference| {
                format!(
                    "seed {}, step {number}: {difference}; the steps before:\n  {}",
                    self.seed,
                    self.diary.told()
                )
            })?;
        }
        let [_, accesses] = self.each(|board| board.accesses());
        eprintln!(
            "seed {}: {steps} steps, {accesses} accesses of the device",
            self.seed
        );
        Ok(())
    }

    // ---- both at once ----------------------------------------------------------------------

    fn each<R>(&self, act: impl Fn(&dyn Board) -> R) -> [R; 2] {
        [act(&*self.boards[0]), act(&*self.boards[1])]
    }

    fn write(&self, row: &Register, index: u16, value: u64) {
        self.diary
            .note(format!("{} = {value:#x}", row.place(index)));
        self.each(|board| board.write(row, index, value));
    }

    /// Writes what names a buffer, which is another one on either device.
    fn write_each(&mut self, row: &Register, index: u16, values: [u64; 2]) {
        self.diary.note(format!(
            "{} = {:#x}, {:#x}",
            row.place(index),
            values[0],
            values[1]
        ));
        self.written.insert(values.into());
        for (board, value) in self.boards.iter().zip(values) {
            board.write(row, index, value);
        }
    }

    fn waits(&self, what: &str, is_so: impl Fn(&dyn Board) -> bool) -> Found {
        match self.each(|board| comes(board, &is_so)) {
            [true, true] => Ok(()),
            came => Err(format!("{what}: model and device came to it: {came:?}")),
        }
    }

    /// Reads a register of both; fails where they differ. What follows of an access may take a moment: an event of a portal, say.
    fn same(&self, row: &Register, index: u16) -> Found<u64> {
        let until = self.each(|board| board.now() + MOMENT);
        loop {
            let values = self.each(|board| board.read(row, index));
            let [model, device] = values;
            if self.is_same(row, values) {
                return Ok(model);
            }
            if self.each(|board| board.now()) > until {
                return Err(format!(
                    "{} reads {model:#x} of the model and {device:#x} of the device",
                    row.place(index)
                ));
            }
            self.each(|board| board.relax());
        }
    }

    fn is_same(&self, row: &Register, [model, device]: [u64; 2]) -> bool {
        let counted = |value: u64, side: usize| value.wrapping_sub(self.resets[side]);
        match &*row.name {
            "RESET_COUNT" => counted(model, 0) == counted(device, 1),
            name if OWN.contains(&name) => true,
            name if name.ends_with("_ADDRESS") => self.is_same_buffer(model, device),
            _ => model == device,
        }
    }

    fn is_same_buffer(&self, model: u64, device: u64) -> bool {
        model == device || self.written.contains(&(model, device))
    }

    /// Compares some registers, or all, and the messages.
    fn look(&mut self, at_all: bool) -> Found {
        let looked = |row: &&Register| row.access.is_pure_read();
        let rows: Vec<&Register> = regs::TABLE.iter().filter(looked).collect();
        if !at_all {
            for _ in 0..2 {
                let row = rows[self.rng.usize(..rows.len())];
                let index = self.rng.u16(..row.count());
                self.same(row, index)?;
            }
            return Ok(());
        }
        for row in rows {
            let count = self.count(row);
            (0..count).try_for_each(|index| self.same(row, index).map(drop))?;
        }
        for vector in 0..self.has.vectors {
            let deadline = Instant::now() + Duration::from_secs(20);
            while let [model, device] = self.each(|board| board.fired(vector))
                && model != device
            {
                if Instant::now() > deadline {
                    return Err(format!(
                        "vector {vector} fired {model} times in the model and {device} times in the device"
                    ));
                }
                self.each(|board| board.relax());
            }
        }
        Ok(())
    }

    /// Returns how many of a register the device has.
    fn count(&self, row: &Register) -> u16 {
        match row.scope() {
            Scope::Pool => self.has.pools,
            Scope::Portal => self.has.portals,
            _ => row.count(),
        }
    }

    // ---- registers -------------------------------------------------------------------------

    fn value(&mut self, row: &Register) -> u64 {
        let value = match self.rng.u8(0..6) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.rng.u32(0..64),
            3 => self.rng.u64(0..16),
            4 => self.rng.u64(..) & self.rng.u64(..),
            _ => self.rng.u64(..),
        };
        value & self.kept(row)
    }

    /// Returns the bits that a register must keep. Of these two higher ones are the device's choice (SPEC 4.6).
    fn kept(&self, row: &Register) -> u64 {
        match &*row.name {
            "POOL_BASE" | "POOL_END" if self.has.address_width < 63 => {
                row.bits & ((2 << self.has.address_width) - 1)
            }
            _ => row.bits,
        }
    }

    fn writable(&mut self) -> Option<(&'static Register, u16)> {
        let rows: Vec<&Register> = regs::TABLE
            .iter()
            .filter(|row| row.access.is_writable() && !STEPS.contains(&&*row.name))
            .filter(|row| &*row.name != "POOL_FREE")
            .collect();
        let row = rows[self.rng.usize(..rows.len())];
        let count = self.count(row);
        let index = self.rng.u16(..count.max(1));
        let serves = self.portals.iter().flatten();
        let is_served = serves.map(|portal| portal.pool).any(|pool| pool == index);
        let is_threshold = matches!(&*row.name, "POOL_LOW" | "POOL_HIGH");
        (count > 0 && !(is_threshold && is_served)).then_some((row, index))
    }

    fn write_register(&mut self) -> Found {
        if let Some((row, index)) = self.writable() {
            let value = self.value(row);
            self.write(row, index, value);
        }
        Ok(())
    }

    /// Writes and reads half of a register of 64 bits.
    fn write_half(&mut self) -> Found {
        let is_high = self.rng.bool();
        let Some((row, index)) = self.writable().filter(|(row, _)| row.width == 8) else {
            return Ok(());
        };
        if !self.has.halves {
            return Ok(());
        }
        let value = (self.value(row) >> if is_high { 32 } else { 0 }) as u32;
        self.diary
            .note(format!("{} half {is_high} = {value:#x}", row.place(index)));
        self.each(|board| board.write_half(row, index, is_high, value));
        for is_high in [false, true] {
            let [model, device] = self.each(|board| board.read_half(row, index, is_high));
            if model != device {
                return Err(format!(
                    "half {is_high} of {} reads {model:#x} of the model and {device:#x} of the device",
                    row.place(index)
                ));
            }
        }
        Ok(())
    }

    fn control(&mut self) -> Found {
        if self.portals.iter().any(Option::is_some) {
            return Ok(());
        }
        let enable = u64::from(self.rng.u8(0..4) > 0);
        let quiesce = u64::from(self.rng.u8(0..4) == 0) << 1;
        self.write(regs::CONTROL.row(), 0, enable | quiesce);
        self.waits("QUIESCED", |board| {
            regs::status::QUIESCED.of(board.read(regs::STATUS.row(), 0)) == u64::from(quiesce != 0)
        })
    }

    fn reset(&mut self) -> Found {
        let key = match self.rng.bool() {
            true => regs::RESET_KEY.into(),
            false => self.rng.u64(..) & u64::from(u32::MAX),
        };
        self.write(regs::RESET.row(), 0, key);
        if key != u64::from(regs::RESET_KEY) {
            return Ok(());
        }
        self.waits("READY", |board| {
            regs::status::READY.of(board.read(regs::STATUS.row(), 0)) == 1
        })?;
        self.pools.fill(None);
        self.portals.fill(None);
        self.written.clear();
        // So that not all that follows finds it off.
        self.write(regs::CONTROL.row(), 0, 1);
        Ok(())
    }

    // ---- pools -----------------------------------------------------------------------------

    fn enable_pool(&mut self) -> Found {
        let pool = self.rng.u16(..self.has.pools);
        if self.pools[usize::from(pool)].is_some() {
            return Ok(());
        }
        let (least, most) = self.has.stride;
        let stride = match self.has.power_of_two {
            true => {
                1 << self
                    .rng
                    .u32(least.trailing_zeros()..=most.trailing_zeros().min(14))
            }
            false => 64 * self.rng.u64(least.div_ceil(64)..=most.min(1 << 14) / 64),
        };
        let most = self.has.buffers.min(48);
        let count = self.rng.u64(1..=most);
        // High halves that are not 0, where there is room for them.
        let high = if self.has.address_width >= 40 {
            0x12 << 32
        } else {
            0
        };
        let base = high + 0x4000_0000 + u64::from(pool) * 0x1000_0000;
        let base = base.next_multiple_of(stride);
        let capacity = if self.rng.bool() {
            count
        } else {
            self.rng.u64(1..=count)
        };
        let natural = u64::from(self.has.natural_align && self.rng.bool());
        for (row, value) in [
            (regs::POOL_BASE.row(), base),
            (regs::POOL_END.row(), base + count * stride),
            (regs::POOL_STRIDE.row(), stride),
            (regs::POOL_CAPACITY.row(), capacity),
        ] {
            self.write(row, pool, value);
        }
        if self.rng.u8(0..3) == 0 {
            self.spoil(pool);
        }
        self.write(regs::POOL_CONTROL.row(), pool, 1 | natural << 1);
        let control = self.same(regs::POOL_CONTROL.row(), pool)?;
        if regs::pool_control::ENABLE.of(control) == 1 {
            let read = |row| self.same(row, pool);
            let (base, end) = (read(regs::POOL_BASE.row())?, read(regs::POOL_END.row())?);
            let stride = read(regs::POOL_STRIDE.row())?;
            let mut held = Held::new(base, end, stride);
            held.is_natural = regs::pool_control::NATURAL_ALIGN.of(control) == 1;
            held.is_whole = read(regs::POOL_CAPACITY.row())? == (end - base) / stride;
            let low = self.rng.u64(0..=1 + count / 4);
            self.write(regs::POOL_LOW.row(), pool, low);
            let high = self.rng.u64(low..=count.max(low));
            self.write(regs::POOL_HIGH.row(), pool, high);
            self.pools[usize::from(pool)] = Some([held.clone(), held]);
        }
        Ok(())
    }

    /// Writes something else into one register of a pool's configuration, near to what is valid.
    fn spoil(&mut self, pool: u16) {
        let rows = [
            regs::POOL_BASE.row(),
            regs::POOL_END.row(),
            regs::POOL_STRIDE.row(),
            regs::POOL_CAPACITY.row(),
        ];
        let row = rows[self.rng.usize(..rows.len())];
        let is = self.boards[0].read(row, pool);
        let value = match self.rng.u8(0..5) {
            0 => 0,
            1 => is ^ 1 << self.rng.u32(0..8),
            2 => is.wrapping_add(64) & row.bits,
            3 => is.wrapping_sub(64) & row.bits,
            _ => is & !0xfff,
        };
        self.write(row, pool, value & self.kept(row));
    }

    fn disable_pool(&mut self) -> Found {
        let pool = self.rng.u16(..self.has.pools);
        let natural = u64::from(self.has.natural_align && self.rng.bool());
        self.write(regs::POOL_CONTROL.row(), pool, natural << 1);
        if regs::pool_control::ENABLE.of(self.same(regs::POOL_CONTROL.row(), pool)?) == 0 {
            self.pools[usize::from(pool)] = None;
        }
        self.waits("the end of POOL_STATUS.BUSY", |board| {
            regs::pool_status::BUSY.of(board.read(regs::POOL_STATUS.row(), pool)) == 0
        })
    }

    fn allocate(&mut self) -> Found {
        let pool = self.rng.u16(..self.has.pools);
        self.diary.note(format!("POOL_ALLOC[{pool}]"));
        let [model, device] = self.each(|board| board.read(regs::POOL_ALLOC.row(), pool));
        if (model == 0) != (device == 0) {
            return Err(format!(
                "POOL_ALLOC[{pool}] gives {model:#x} of the model and {device:#x} of the device"
            ));
        }
        match model {
            0 => Ok(()),
            _ => self.moved(pool, [model, device], false),
        }
    }

    /// Notes that a buffer came into the list of each device, or went out of it.
    fn moved(&mut self, pool: u16, addresses: [u64; 2], inside: bool) -> Found {
        let held = self.pools[usize::from(pool)].as_mut();
        let held = held.ok_or(format!(
            "pool {pool} is disabled, and gives {addresses:#x?}"
        ))?;
        for (held, address) in held.iter_mut().zip(addresses) {
            if !held.moved(address, inside) {
                return Err(format!(
                    "pool {pool}: {address:#x} can't become inside: {inside}"
                ));
            }
        }
        Ok(())
    }

    fn free(&mut self) -> Found {
        let pool = self.rng.u16(..self.has.pools);
        let addresses = self.address(pool);
        let before = self.same(regs::POOL_AVAILABLE.row(), pool)?;
        let was = self.portals_at(pool);
        self.write_each(regs::POOL_FREE.row(), pool, addresses);
        if was {
            // What it took shows when it has settled.
            return self.freed_under_portal(pool, addresses);
        }
        match self.same(regs::POOL_AVAILABLE.row(), pool)? {
            after if after == before => Ok(()),
            after if after == before + 1 => self.moved(pool, addresses, true),
            after => Err(format!("POOL_AVAILABLE went from {before} to {after}")),
        }
    }

    /// Frees into two pools, whose halves come between each other.
    fn free_two_by_halves(&mut self) -> Found {
        let (one, other) = (
            self.rng.u16(..self.has.pools),
            self.rng.u16(..self.has.pools),
        );
        let is_served = self.portals_at(one) || self.portals_at(other);
        if !self.has.halves || one == other || is_served {
            return Ok(());
        }
        let row = regs::POOL_FREE.row();
        let pools = [one, other].map(|pool| (pool, self.address(pool)));
        let before = [one, other].map(|pool| self.same(regs::POOL_AVAILABLE.row(), pool));
        for is_high in [false, true] {
            for (pool, addresses) in pools {
                self.diary.note(format!(
                    "POOL_FREE[{pool}] half {is_high} = {addresses:#x?}"
                ));
                for (board, address) in self.boards.iter().zip(addresses) {
                    let half = address >> if is_high { 32 } else { 0 };
                    board.write_half(row, pool, is_high, half as u32);
                }
            }
        }
        for ((pool, addresses), before) in pools.into_iter().zip(before) {
            self.written.insert(addresses.into());
            if self.same(regs::POOL_AVAILABLE.row(), pool)? > before? {
                self.moved(pool, addresses, true)?;
            }
        }
        Ok(())
    }

    /// Clears errors, so that a next one is the first.
    fn forget_errors(&mut self) -> Found {
        self.write(regs::ERR_STATUS.row(), 0, regs::ERR_STATUS.row().bits);
        self.write(regs::ERR_RECORD_CLEAR.row(), 0, 1);
        for pool in 0..self.has.pools {
            let row = regs::POOL_ERROR.row();
            self.write(row, pool, row.bits);
        }
        Ok(())
    }

    fn portals_at(&self, pool: u16) -> bool {
        self.portals
            .iter()
            .flatten()
            .any(|portal| portal.pool == pool)
    }

    /// A buffer of a pool that a portal serves came back, if it was out.
    fn freed_under_portal(&mut self, pool: u16, addresses: [u64; 2]) -> Found {
        let is_enabled = regs::control::ENABLE.of(self.boards[0].read(regs::CONTROL.row(), 0)) == 1;
        if let (Some(held), true) = (self.pools[usize::from(pool)].as_mut(), is_enabled) {
            for (held, address) in held.iter_mut().zip(addresses) {
                held.moved(address, true);
            }
        }
        Ok(())
    }

    /// Returns an address to free: mostly of a buffer that is out, else one that must be refused.
    fn address(&mut self, pool: u16) -> [u64; 2] {
        let wild = self.rng.u64(..) & ((1 << 40) - 1);
        let Some(held) = self.pools[usize::from(pool)].clone() else {
            return [wild; 2];
        };
        let (end, stride) = (held[0].end(), held[0].stride);
        let kind = self.rng.u8(0..10);
        let is_inside = kind == 0;
        let count = held[0].count(is_inside);
        if count > 0 && kind < 6 {
            let rank = self.rng.usize(..count);
            let within = match held[0].is_natural && self.rng.bool() {
                true => self.rng.u64(..stride),
                false => 0,
            };
            return [0, 1].map(|side| held[side].at(is_inside, rank) + within);
        }
        let one = match kind {
            6 => held[0].base - 64,
            7 => end,
            8 if !held[0].is_natural => held[0].base + self.rng.u64(1..stride),
            9 if self.has.address_width < 64 => held[0].base | 1 << self.has.address_width,
            _ => wild,
        };
        [one; 2]
    }

    // ---- portals ---------------------------------------------------------------------------

    fn start_portal(&mut self) -> Found {
        if self.has.portals == 0 || self.boards[0].read(regs::CONTROL.row(), 0) != 1 {
            return Ok(());
        }
        let number = self.rng.u16(..self.has.portals);
        let pool = self.rng.u16(..self.has.pools);
        let is_whole = self.pools[usize::from(pool)]
            .as_ref()
            .is_none_or(|held| held[0].is_whole);
        if self.portals[usize::from(number)].is_some() || self.portals_at(pool) || !is_whole {
            return Ok(());
        }
        let (least, most) = self.has.ring_log2;
        let mut log2 = || self.rng.u32(least..=most.min(6));
        let log2 = [log2(), log2()];
        let credits = self.rng.u32(1..=1 << log2[1]);
        let hysteresis = self.rng.u32(1..=1 << (log2[0].min(log2[1]) - 1));
        self.each(|board| Portal::clear(number, board));
        let [release, acquire, line] = Portal::places(number).map(|at| at + crate::board::MEMORY);
        self.write(regs::POOL_LOW.row(), pool, 0);
        for (row, value) in [
            (regs::PORTAL_POOL.row(), pool.into()),
            (regs::PORTAL_SIZES.row(), (log2[0] | log2[1] << 8).into()),
            (regs::PORTAL_RELEASE_BASE.row(), release),
            (regs::PORTAL_ACQUIRE_BASE.row(), acquire),
            (regs::PORTAL_STATUS_BASE.row(), line),
            (regs::PORTAL_CREDITS.row(), credits.into()),
            (regs::PORTAL_HYSTERESIS.row(), hysteresis.into()),
        ] {
            self.write(row, number, value);
        }
        if self.rng.u8(0..4) == 0 {
            self.spoil_portal(number, log2);
        }
        self.write(regs::PORTAL_CONTROL.row(), number, 1);
        if self.same(regs::PORTAL_CONTROL.row(), number)? == 1 {
            let portal = Portal {
                number,
                pool,
                log2,
                credits,
                tail: 0,
                head: 0,
                seen: [0; 2],
            };
            let started = portal.clone();
            self.portals[usize::from(number)] = Some(portal);
            self.waits("the first status line", |board| started.line(board)[3] > 0)?;
        }
        Ok(())
    }

    /// Makes a portal's configuration wrong in one place, always.
    fn spoil_portal(&mut self, number: u16, log2: [u32; 2]) {
        let (least, most) = self.has.ring_log2;
        let bases = [
            regs::PORTAL_RELEASE_BASE.row(),
            regs::PORTAL_ACQUIRE_BASE.row(),
            regs::PORTAL_STATUS_BASE.row(),
        ];
        let base = bases[self.rng.usize(..3)];
        let half = 1u64 << (log2[0].min(log2[1]) - 1);
        let (row, value) = match self.rng.u8(0..7) {
            0 => (base, 0),
            1 => (base, crate::board::MEMORY + 8),
            2 => (regs::PORTAL_CREDITS.row(), 0),
            3 => (regs::PORTAL_CREDITS.row(), (1 << log2[1]) + 1),
            4 => (regs::PORTAL_HYSTERESIS.row(), half + 1),
            5 => (
                regs::PORTAL_SIZES.row(),
                ((least - 1) | (least << 8)).into(),
            ),
            _ => (regs::PORTAL_SIZES.row(), (least | ((most + 1) << 8)).into()),
        };
        self.write(row, number, value);
    }

    /// Returns one of the portals that run.
    fn running(&mut self) -> Option<Portal> {
        let running: Vec<&Portal> = self.portals.iter().flatten().collect();
        let at = self.rng.usize(..running.len().max(1));
        running.get(at).map(|portal| (*portal).clone())
    }

    fn ring(&self, portal: &Portal, tail: u32, head: u32) {
        let value = u64::from(tail) | u64::from(head) << 32;
        self.write(regs::PORTAL_DOORBELL.row(), portal.number, value);
    }

    /// Announces some buffers that are out, and now and then what is none.
    fn give(&mut self) -> Found {
        let Some(mut portal) = self.running() else {
            return Ok(());
        };
        let pool = usize::from(portal.pool);
        let out = self.pools[pool]
            .as_ref()
            .map_or(0, |held| held[0].count(false));
        let most = out.min(1 << portal.log2[0]);
        for _ in 0..self.rng.usize(..=most) {
            let entry = portal.tail;
            portal.tail = portal.tail.wrapping_add(1);
            if self.rng.u8(0..16) == 0 {
                let wild = (self.rng.u64(..) & 0xff_ffff_ffff) & !0x3f;
                self.each(|board| portal.store(board, entry, wild, false));
                continue;
            }
            let held = self.pools[pool].as_mut().expect("it is served");
            let rank = self.rng.usize(..held[0].count(false));
            let addresses = [held[0].at(false, rank), held[1].at(false, rank)];
            for (side, address) in addresses.into_iter().enumerate() {
                portal.store(&*self.boards[side], entry, address, false);
                held[side].moved(address, true);
            }
            self.written.insert(addresses.into());
        }
        self.ring(&portal, portal.tail, portal.head);
        let number = usize::from(portal.number);
        self.portals[number] = Some(portal);
        Ok(())
    }

    /// Says that some of the acquire entries are free again; whose buffers are out since they were seen.
    fn take(&mut self) -> Found {
        let Some(mut portal) = self.running() else {
            return Ok(());
        };
        let most = portal.seen[0].wrapping_sub(portal.head);
        portal.head = portal.head.wrapping_add(self.rng.u32(..=most));
        self.ring(&portal, portal.tail, portal.head);
        let number = usize::from(portal.number);
        self.portals[number] = Some(portal);
        Ok(())
    }

    /// Waits until portals have nothing to do, and notes which buffers they handed out.
    fn settle(&mut self) -> Found {
        for number in 0..self.portals.len() {
            let Some(portal) = self.portals[number].clone() else {
                continue;
            };
            // What it hands out: as much as its credits allow, and the list has.
            let held = self.pools[usize::from(portal.pool)].as_ref();
            let inside = held.map_or(0, |held| held[0].count(true)) as u32;
            let room = portal.credits - portal.seen[0].wrapping_sub(portal.head);
            let written = portal.seen[0].wrapping_add(inside.min(room));
            self.waits("a portal that has nothing to do", |board| {
                let read = |row| board.read(row, portal.number) as u32;
                let (head, tail) = (
                    read(regs::PORTAL_RELEASE_HEAD.row()),
                    read(regs::PORTAL_ACQUIRE_TAIL.row()),
                );
                (head, tail) == (portal.tail, written)
            })?;
            self.see(number)?;
        }
        Ok(())
    }

    /// Takes note of acquire entries that were written.
    fn see(&mut self, number: usize) -> Found {
        let Some(portal) = &mut self.portals[number] else {
            return Ok(());
        };
        let held = self.pools[usize::from(portal.pool)].as_mut();
        let held = held.ok_or("a portal serves a pool that is disabled")?;
        for (side, held) in held.iter_mut().enumerate() {
            let board = &*self.boards[side];
            let tail = board.read(regs::PORTAL_ACQUIRE_TAIL.row(), portal.number) as u32;
            while portal.seen[side] != tail {
                let entry = portal.seen[side];
                let is_there = |board: &dyn Board| portal.load(board, entry).is_some();
                if !comes(board, is_there) {
                    return Err(format!("portal {number}, side {side}: no entry {entry}"));
                }
                let address = portal.load(board, entry).expect("it came");
                if !held.moved(address, false) {
                    return Err(format!(
                        "portal {number}, side {side}: entry {entry} is {address:#x}, which is not in the list"
                    ));
                }
                portal.seen[side] = entry.wrapping_add(1);
            }
        }
        match portal.seen {
            [model, device] if model == device => Ok(()),
            seen => Err(format!(
                "portal {number} has written {seen:?} acquire entries"
            )),
        }
    }

    fn becomes(&self, portal: &Portal, state: PortalState) -> Found {
        self.waits("the state of a portal", |board| {
            let status = board.read(regs::PORTAL_STATUS.row(), portal.number);
            PortalState::of(status as u32) == state
        })
    }

    /// Compares the last status line of a portal, but for its number.
    fn last_line(&self, portal: &Portal, flag: u64) -> Found {
        self.waits("the last status line", |board| {
            portal.line(board)[1] & flag != 0
        })?;
        let [model, device] = self.each(|board| portal.line(board));
        match model[..3] == device[..3] {
            true => Ok(()),
            false => Err(format!(
                "the last status line of portal {} is {model:#x?} of the model and {device:#x?} of the device",
                portal.number
            )),
        }
    }

    fn stop_portal(&mut self) -> Found {
        let Some(portal) = self.running() else {
            return Ok(());
        };
        self.write(regs::PORTAL_CONTROL.row(), portal.number, 0);
        self.becomes(&portal, PortalState::Disabled)?;
        self.last_line(&portal, STOPPED)?;
        self.see(portal.number.into())?;
        self.portals[usize::from(portal.number)] = None;
        Ok(())
    }

    /// Does what must halt a portal, then disables it.
    fn halt_portal(&mut self) -> Found {
        let Some(portal) = self.running() else {
            return Ok(());
        };
        let (tail, head) = (portal.tail, portal.head);
        match self.rng.u8(0..3) {
            0 => {
                let address = self.rng.u64(..) & 0xff_ffff_ffc0;
                self.each(|board| portal.store(board, tail, address, true));
                self.ring(&portal, tail.wrapping_add(1), head);
            }
            1 => self.ring(&portal, tail.wrapping_add((1 << portal.log2[0]) + 1), head),
            _ => self.ring(&portal, tail, portal.seen[0].wrapping_add(1)),
        }
        self.becomes(&portal, PortalState::Halted)?;
        self.last_line(&portal, HALTED)?;
        self.look(true)?;
        self.write(regs::PORTAL_CONTROL.row(), portal.number, 0);
        self.becomes(&portal, PortalState::Disabled)?;
        self.see(portal.number.into())?;
        self.portals[usize::from(portal.number)] = None;
        Ok(())
    }

    fn ring_disabled(&mut self) -> Found {
        let count = self.has.portals;
        let number = self.rng.u16(..count.max(1));
        if count > 0
            && !self.has_memory_pages
            && !self.has.halves
            && self.portals[usize::from(number)].is_none()
        {
            let value = self.rng.u64(..);
            self.write(regs::PORTAL_DOORBELL.row(), number, value);
        }
        Ok(())
    }
}
