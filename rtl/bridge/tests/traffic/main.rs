//! DMA of every width and kind, compared byte by byte with what AXI says of it.

#[path = "../common/mod.rs"]
mod common;

mod axi;
mod chance;
mod engine;

use axi::{Memory, Transaction};
use common::{Served, can_build, design, serve_run};
use engine::{Engine, Log, Overtaken};
use hwpool_rtl::Run;

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

fn sum(all: &[(Log, Overtaken)], engines: &[Engine], several: bool) -> Overtaken {
    let mut sum = Overtaken::default();
    for ((_, overtaken), engine) in all.iter().zip(engines) {
        if (engine.outstanding > 1) == several {
            sum.reads += overtaken.reads;
            sum.writes += overtaken.writes;
        }
    }
    sum
}

#[test]
fn programs_by_chance_do_what_axi_says() {
    if !can_build() {
        return;
    }
    let (mut several, mut single) = (Overtaken::default(), Overtaken::default());
    let add = |to: &mut Overtaken, more: Overtaken| {
        to.reads += more.reads;
        to.writes += more.writes;
    };
    for seed in 0..8 {
        eprintln!("seed {seed}");
        let mut bench = Bench::new(Some(seed), 1);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..6 {
            let programs = bench.engines.iter().zip(&bench.models);
            let programs: Vec<_> = programs
                .map(|(engine, model)| chance::program(&mut rng, engine, model))
                .collect();
            let pauses = if rng.bool() { rng.u32(..) } else { 0 };
            let all = bench.run(&programs, pauses);
            add(&mut several, sum(&all, &bench.engines, true));
            add(&mut single, sum(&all, &bench.engines, false));
        }
    }
    eprintln!("out of order: {several:?}");
    assert!(several.reads > 100 && several.writes > 5, "{several:?}");
    assert_eq!(single, Overtaken::default(), "one at a time");
}
