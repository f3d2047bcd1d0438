//! The queue in SystemVerilog and its model are one device: the same random accesses read the same, and interrupt alike.

mod common;

use std::time::Duration;

use common::{can_build, design, serve};
use hwpool::devices::bus::{Bar, Irq, Transport};
use hwpool::devices::fifo::regs;
use hwpool::devices::pci;
use hwpool::sim::{InProcess, SimConfig};
use hwpool_rtl::{Run, open};

/// Few numbers, so that the queue is often full and often empty; no power of two.
const DEPTH: u32 = 5;
const SEEDS: u64 = 20;
const ACCESSES: u32 = 1000;

/// What is done to both.
#[derive(Debug, Copy, Clone)]
enum Step {
    Read(u64),
    Write(u64, u32),
    Flr,
}

/// Of the registers, and a few places where there is none.
const END: u64 = 0x44;

fn step(rng: &mut fastrand::Rng) -> Step {
    let offset = 4 * rng.u64(0..END / 4);
    let number = rng.u32(0..DEPTH + 2);
    match rng.u32(0..100) {
        0 => Step::Flr,
        1 => Step::Write(regs::RESET.row().offset_of(0), regs::RESET_KEY),
        // Enabled most of the time, or nothing would happen.
        2..15 => Step::Write(
            regs::CONTROL.row().offset_of(0),
            rng.choice([0, 1, 3, 3]).unwrap(),
        ),
        15..35 => Step::Write(regs::PUSH.row().offset_of(0), number),
        35..50 => Step::Read(regs::POP.row().offset_of(0)),
        50..58 => Step::Write(regs::THRESHOLD.row().offset_of(0), number),
        58..64 => Step::Write(regs::EVENT.row().offset_of(0), rng.u32(0..2)),
        64..70 => Step::Write(regs::EVENT_SET.row().offset_of(0), rng.u32(0..2)),
        70..76 => Step::Write(offset, rng.u32(..)),
        _ => Step::Read(offset),
    }
}

/// A device with its interrupt.
struct Twin<T: Transport> {
    device: T,
    bar: T::Bar,
    irq: T::Irq,
}

impl<T: Transport> Twin<T> {
    fn new(device: T) -> Self {
        pci::enable_memory(&device).unwrap();
        pci::set_bus_master(&device, true).unwrap();
        let (bar, irq) = (device.bar(0).unwrap(), device.irq(0).unwrap());
        Self { device, bar, irq }
    }

    /// Does a step; returns what was read, and how many interrupts came of it.
    fn does(&self, step: Step) -> (u32, u64) {
        let read = match step {
            Step::Read(offset) => self.bar.read32(offset).unwrap(),
            Step::Write(offset, value) => {
                self.bar.write32(offset, value).unwrap();
                0
            }
            Step::Flr => {
                self.device.reset().unwrap();
                pci::enable_memory(&self.device).unwrap();
                pci::set_bus_master(&self.device, true).unwrap();
                0
            }
        };
        // A read pushes writes ahead of it, and waits for a reset's end.
        while self.bar.read32(regs::STATUS.row().offset_of(0)).unwrap() & 1 == 0 {}
        (read, self.irq.wait(Duration::ZERO).unwrap())
    }
}

#[test]
fn the_queue_and_its_model_are_one_device() {
    if !can_build() {
        return;
    }
    let mut shape = design("../fifo/fifo.toml");
    shape.sources.parameters.push(format!("DEPTH={DEPTH}"));
    shape.idle_after = 16;
    let (mut fired, mut taken) = (0, 0);
    for seed in 0..SEEDS {
        let served = serve(&shape, (seed % 2 == 1).then_some(seed));
        let mut config = SimConfig::new("fifo").unwrap();
        config.set("depth", &DEPTH.to_string()).unwrap();
        let model = Twin::new(InProcess::open("fifo", "sim:fifo", config).unwrap());
        let hardware = Twin::new(served.client);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut before = Vec::new();
        for _ in 0..ACCESSES {
            let step = step(&mut rng);
            before.push(step);
            let (modelled, (read, messages)) = (model.does(step), hardware.does(step));
            assert_eq!(
                (read, messages),
                modelled,
                "seed {seed}: hardware, and model, after {before:x?}"
            );
            fired += messages;
            taken += u32::from(read >> 31 != 0 && matches!(step, Step::Read(_)));
        }
        assert_eq!(served.monitor.fault(), None);
    }
    assert!(
        fired > 50 && taken > 200,
        "{fired} interrupts, {taken} numbers: too little happens"
    );
}

/// A host comes long after power-up: the sweep of the queue must be over, whoever had the processor.
#[test]
fn a_design_has_its_reset_behind_it_when_it_is_opened() {
    if !can_build() {
        return;
    }
    let opened = open(&design("../fifo/fifo.toml"), Run::default()).unwrap();
    assert_eq!(opened.monitor.cycles(), opened.monitor.settled());
}
