//! DMA of every width and kind, compared byte by byte with what AXI says of it.

#[path = "../common/mod.rs"]
mod common;

mod axi;
mod chance;
mod engine;

use std::collections::BTreeSet;

use axi::{Burst, Kind, Memory, Transaction};
use common::{Served, can_build, design, serve_run};
use engine::{Engine, Log, MOST, MOST_BEATS, Overtaken, Raw};
use hwpool_rtl::axi::Rule;
use hwpool_rtl::{Fault, Run};

/// Where the engines' memory begins, how much each has, and how far apart they are.
const START: u64 = 0x40_0000;
const SIZE: u64 = 0x4000;
const APART: u64 = 0x1_0000;

/// The engines with their memory, as it is and as it should be.
struct Bench {
    served: Served,
    engines: Vec<Engine>,
    files: Vec<common::Memory>,
    models: Vec<Memory>,
}

impl Bench {
    fn new(seed: Option<u64>, threads: u32) -> Bench {
        let design = design("tests/designs/traffic.toml");
        let run = Run {
            seed,
            threads,
            ..Run::default()
        };
        let served = serve_run(&design, run);
        let engines = Engine::all(&design);
        let models: Vec<Memory> = engines.iter().map(memory_of).collect();
        let files = models.iter().map(|model| {
            let file = served.map(model.start, SIZE);
            file.write(model.start, &model.bytes);
            file
        });
        Bench {
            files: files.collect(),
            served,
            engines,
            models,
        }
    }

    /// Has every engine do its program, all at the same time, and checks what came of it.
    fn run(&mut self, programs: &[Vec<Transaction>], pauses: u32) -> Vec<(Log, Overtaken)> {
        for (engine, program) in self.engines.iter().zip(programs) {
            engine.program(&self.served, program, pauses);
        }
        self.engines[0].go(&self.served);
        for engine in &self.engines {
            engine.finish(&self.served);
        }
        assert_eq!(self.served.monitor.fault(), None);
        let mut all = Vec::new();
        for (engine, program) in self.engines.iter().zip(programs) {
            let log = engine.log(&self.served, program);
            let model = &mut self.models[engine.number];
            let overtaken = engine.check(program, &log, model);
            let found = self.files[engine.number].read(model.start, SIZE as usize);
            same(engine, program, model, &found);
            all.push((log, overtaken));
        }
        all
    }
}

/// Memory without two words alike near each other.
fn memory_of(engine: &Engine) -> Memory {
    let mut rng = fastrand::Rng::with_seed(engine.bus);
    Memory {
        start: START + APART * engine.number as u64,
        bytes: (0..SIZE).map(|_| rng.u8(..)).collect(),
    }
}

fn same(engine: &Engine, program: &[Transaction], model: &Memory, found: &[u8]) {
    let differs = model.bytes.iter().zip(found).position(|(a, b)| a != b);
    if let Some(at) = differs {
        panic!(
            "on {} bytes: {:#x} holds {:#x}, and not {:#x}, after {program:x?}",
            engine.bus,
            model.start + at as u64,
            found[at],
            model.bytes[at]
        );
    }
}

/// Does random programs under a seed of the bridge's; returns all logs, and the cycles that it took.
fn by_chance(seed: u64, threads: u32, rounds: u32) -> (Bench, Vec<(Log, Overtaken)>, u64) {
    eprintln!("seed {seed}");
    let mut bench = Bench::new(Some(seed), threads);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut all = Vec::new();
    for _ in 0..rounds {
        let programs = bench.engines.iter().zip(&bench.models);
        let programs: Vec<_> = programs
            .map(|(engine, model)| chance::program(&mut rng, engine, model))
            .collect();
        let pauses = if rng.bool() { rng.u32(..) } else { 0 };
        all.extend(bench.run(&programs, pauses));
    }
    let cycles = bench.served.monitor.settled();
    (bench, all, cycles)
}

#[test]
fn programs_by_chance_do_what_axi_says() {
    if !can_build() {
        return;
    }
    let (mut several, mut single) = (Overtaken::default(), Overtaken::default());
    for seed in 0..8 {
        let (bench, all, _) = by_chance(seed, 1, 6);
        for ((_, overtaken), engine) in all.iter().zip(bench.engines.iter().cycle()) {
            let sum = match engine.outstanding {
                1 => &mut single,
                _ => &mut several,
            };
            sum.reads += overtaken.reads;
            sum.writes += overtaken.writes;
        }
    }
    eprintln!("out of order: {several:?}");
    assert!(several.reads > 100 && several.writes > 5, "{several:?}");
    assert_eq!(single, Overtaken::default(), "`outstanding = 1`");
}

#[test]
fn a_design_of_threads_does_the_same_in_the_same_cycles() {
    if !can_build() {
        return;
    }
    let ((_, alone, cycles), (_, together, same)) = (by_chance(3, 1, 3), by_chance(3, 2, 3));
    assert!(alone == together, "the logs differ");
    assert_eq!(cycles, same);
}

#[test]
fn an_assertion_that_fails_in_a_thread_is_named() {
    if !can_build() {
        return;
    }
    for threads in [1, 2] {
        let bench = Bench::new(None, threads);
        bench.engines[4].overfill(&bench.served);
        let fault = bench.served.monitor.fault();
        let fault = fault.expect("it has ended").to_string();
        assert!(fault.contains("an assertion failed, at "), "{fault}");
        assert!(fault.contains("traffic_engine.sv"), "{fault}");
    }
}

/// Bursts of every size, kind and length that a bus has, from aligned and other places, and up to the end of a page.
fn every_burst(engine: &Engine, start: u64) -> Vec<Burst> {
    let sizes = (0..=engine.bus.trailing_zeros()).map(|bits| 1 << bits);
    let mut bursts = Vec::new();
    for size in sizes {
        let offsets = BTreeSet::from([0, 1, size, engine.bus - 1]);
        for offset in offsets {
            let address = start + offset;
            let aligned = address / size * size;
            let burst = |kind, address, length| Burst {
                address,
                length,
                size,
                kind,
            };
            bursts.extend([1, 2, 16].map(|length| burst(Kind::Fixed, address, length)));
            bursts.extend([2, 4, 8, 16].map(|length| burst(Kind::Wrap, aligned, length)));
            bursts.extend([1, 2, 17].map(|length| burst(Kind::Incr, address, length)));
        }
        let length = (4096 / size).min(256);
        bursts.push(Burst {
            kind: Kind::Incr,
            address: start + 4096 - length * size,
            length,
            size,
        });
    }
    bursts
}

/// Cuts transactions into programs.
fn programs(all: Vec<Transaction>) -> Vec<Vec<Transaction>> {
    let mut programs: Vec<Vec<Transaction>> = Vec::new();
    for transaction in all {
        let beats = |program: &[Transaction]| program.iter().map(|t| t.burst.length).sum::<u64>();
        match programs.last_mut() {
            Some(program)
                if program.len() < MOST
                    && beats(program) + transaction.burst.length <= MOST_BEATS =>
            {
                program.push(transaction);
            }
            _ => programs.push(vec![transaction]),
        }
    }
    programs
}

#[test]
fn every_size_kind_and_length_at_every_width() {
    if !can_build() {
        return;
    }
    let mut bench = Bench::new(Some(1), 1);
    for writes in [true, false] {
        let lists = bench
            .engines
            .iter()
            .zip(&bench.models)
            .map(|(engine, model)| {
                let bursts = every_burst(engine, model.start).into_iter().zip(1..);
                let transactions = bursts.map(|(burst, n)| Transaction {
                    writes,
                    id: 1,
                    burst,
                    seed: (n * 0x9e3779) & 0xff_ffff,
                    holes: n % 3 == 0,
                });
                programs(transactions.collect())
            });
        let lists: Vec<_> = lists.collect();
        let most = lists.iter().map(Vec::len).max().unwrap();
        for n in 0..most {
            let round: Vec<Vec<Transaction>> = lists
                .iter()
                .map(|list| list.get(n).cloned().unwrap_or_default())
                .collect();
            bench.run(&round, 0);
        }
    }
}

#[test]
fn lanes_of_a_few_reads_as_the_specification_draws_them() {
    if !can_build() {
        return;
    }
    // On 64 bits, of memory whose bytes are their addresses.
    type Row = (&'static str, (u64, u64, u64, Kind), &'static [[u8; 8]]);
    let rows: [Row; 5] = [
        (
            "narrow",
            (6, 3, 1, Kind::Incr),
            &[
                [0, 0, 0, 0, 0, 0, 6, 0],
                [0, 0, 0, 0, 0, 0, 0, 7],
                [8, 0, 0, 0, 0, 0, 0, 0],
            ],
        ),
        (
            "unaligned",
            (7, 3, 4, Kind::Incr),
            &[
                [0, 0, 0, 0, 0, 0, 0, 7],
                [8, 9, 10, 11, 0, 0, 0, 0],
                [0, 0, 0, 0, 12, 13, 14, 15],
            ],
        ),
        (
            "wrapping",
            (24, 4, 8, Kind::Wrap),
            &[
                [24, 25, 26, 27, 28, 29, 30, 31],
                [0, 1, 2, 3, 4, 5, 6, 7],
                [8, 9, 10, 11, 12, 13, 14, 15],
                [16, 17, 18, 19, 20, 21, 22, 23],
            ],
        ),
        (
            "wrapping and narrow",
            (12, 4, 4, Kind::Wrap),
            &[
                [0, 0, 0, 0, 12, 13, 14, 15],
                [0, 1, 2, 3, 0, 0, 0, 0],
                [0, 0, 0, 0, 4, 5, 6, 7],
                [8, 9, 10, 11, 0, 0, 0, 0],
            ],
        ),
        (
            "fixed and unaligned",
            (5, 2, 4, Kind::Fixed),
            &[[0, 0, 0, 0, 0, 5, 6, 7], [0, 0, 0, 0, 0, 5, 6, 7]],
        ),
    ];
    let bench = Bench::new(None, 1);
    let (engine, start) = (bench.engines[1], bench.models[1].start);
    let counted: Vec<u8> = (0..64).collect();
    bench.files[1].write(start, &counted);
    for (name, (offset, length, size, kind), expected) in rows {
        let transaction = Transaction {
            writes: false,
            id: 9,
            burst: Burst {
                address: start + offset,
                length,
                size,
                kind,
            },
            seed: 0,
            holes: false,
        };
        engine.program(&bench.served, &[transaction], 0);
        engine.go(&bench.served);
        engine.finish(&bench.served);
        let found: Vec<Vec<u8>> = (0..length).map(|n| engine.row(&bench.served, n)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn without_a_seed_answers_come_in_order() {
    if !can_build() {
        return;
    }
    let mut bench = Bench::new(None, 1);
    let mut rng = fastrand::Rng::with_seed(77);
    for _ in 0..10 {
        let programs = bench.engines.iter().zip(&bench.models);
        let programs: Vec<_> = programs
            .map(|(engine, model)| chance::program(&mut rng, engine, model))
            .collect();
        for (_, overtaken) in bench.run(&programs, 0) {
            assert_eq!(overtaken, Overtaken::default());
        }
    }
}

/// What AXI forbids: how many beats, of which size, of which kind, from where in a page; then the rule and the signal.
const FORBIDDEN: [(u64, Size, u64, u64, Rule, &str); 16] = [
    (1, Size::Bus, 2, 0, Rule::BurstKind, "len"),
    (3, Size::Bus, 2, 0, Rule::BurstKind, "len"),
    (5, Size::Byte, 2, 0, Rule::BurstKind, "len"),
    (32, Size::Byte, 2, 0, Rule::BurstKind, "len"),
    (256, Size::Byte, 2, 0, Rule::BurstKind, "len"),
    (4, Size::Bus, 2, 1, Rule::WrapAligned, "addr"),
    (4, Size::Half, 2, 3, Rule::WrapAligned, "addr"),
    (17, Size::Bus, 0, 0, Rule::BurstKind, "len"),
    (256, Size::Byte, 0, 0, Rule::BurstKind, "len"),
    (1, Size::Bus, 3, 0, Rule::BurstKind, "burst"),
    (2, Size::Bus, 1, 4095, Rule::FourKib, "addr"),
    (2, Size::Half, 1, 4094, Rule::FourKib, "addr"),
    (256, Size::Byte, 1, 4096 - 255, Rule::FourKib, "addr"),
    (1, Size::Twice, 1, 0, Rule::BeatWidth, "size"),
    (1, Size::Most, 1, 0, Rule::BeatWidth, "size"),
    (2, Size::Twice, 2, 0, Rule::BeatWidth, "size"),
];

/// The size of a beat, as its bus has it.
#[derive(Debug, Copy, Clone)]
enum Size {
    Byte,
    Half,
    Bus,
    Twice,
    /// 128 bytes.
    Most,
}

impl Size {
    fn on(self, bus: u64) -> u64 {
        let bits = u64::from(bus.trailing_zeros());
        match self {
            Size::Byte => 0,
            Size::Half => bits - 1,
            Size::Bus => bits,
            Size::Twice => bits + 1,
            Size::Most => 7,
        }
    }
}

/// Has one engine do one thing that ends the design; returns the rule, the port and the signal.
fn broken(number: usize, raw: Raw) -> (Rule, String, String) {
    let bench = Bench::new(Some(number as u64), 1);
    let engine = bench.engines[number];
    engine.program_raw(&bench.served, &[raw], 0);
    engine.go_wrong(&bench.served);
    match bench.served.monitor.fault() {
        Some(Fault::Violation(found)) => (found.rule, found.port, found.signal),
        other => panic!("{raw:x?}: {other:?}"),
    }
}

#[test]
fn what_axi_forbids_is_named_at_every_width() {
    if !can_build() {
        return;
    }
    for engine in Engine::all(&design("tests/designs/traffic.toml")) {
        let port = format!("m{}_", 8 * engine.bus);
        let raw = |writes, len, size, burst, offset| Raw {
            writes,
            address: START + offset,
            len,
            size,
            burst,
            id: 1,
            seed: 0,
            holes: false,
            stray: false,
        };
        for (writes, channel) in [(false, "ar"), (true, "aw")] {
            for (length, size, burst, offset, rule, name) in FORBIDDEN {
                let raw = raw(writes, length - 1, size.on(engine.bus), burst, offset);
                let signal = format!("{port}{channel}{name}");
                let found = broken(engine.number, raw);
                assert_eq!(found, (rule, port.clone(), signal), "{raw:x?}");
            }
        }
        let narrow = Raw {
            stray: true,
            ..raw(true, 1, Size::Half.on(engine.bus), 1, 0)
        };
        let found = broken(engine.number, narrow);
        let expected = (Rule::StrobesInBeat, port.clone(), format!("{port}wstrb"));
        assert_eq!(found, expected, "{narrow:x?}");
    }
}
