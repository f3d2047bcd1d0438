//! Instructions that the core operations of a pool take, counted by valgrind's callgrind: a figure that does not move
//! with the machine's load. Compares with `baseline.txt`; `--bless` writes that file anew.
//!
//! The program runs itself under valgrind. There it does each operation so many times within [`counted`], before and
//! after which callgrind starts and writes out a count.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use hwpool::Pool;
use hwpool::device::Device;
use hwpool::pool::{Batch, Slot, Worker};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Rounds of each operation: enough that what is around them is nothing.
const ROUNDS: u64 = 4000;

/// How far a count may be from the baseline: libraries of other versions copy and compare in other ways.
const TOLERANCE: f64 = 0.05;

const BASELINE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/instructions/baseline.txt"
);

/// What this program is called with under valgrind.
const COUNTED: &str = "--counted";

type Operation = Box<dyn FnMut()>;

/// Every operation by its name: one round is a take and a give.
fn operations() -> Outcome<Vec<(&'static str, Operation)>> {
    Ok(vec![
        ("take and give 1, hot", hot::<1>(worker("ring", 512)?)),
        ("take and give 8, hot", hot::<8>(worker("ring", 512)?)),
        ("take and give 32, hot", hot::<32>(worker("ring", 512)?)),
        ("take and drop a buffer", buffer(worker("ring", 512)?)),
        ("2048 by 32, ring", keep::<32>(worker("ring", 512)?)),
        ("2048 by 32, stack", keep::<32>(worker("stack", 512)?)),
        ("32 without cache, ring", hot::<32>(worker("ring", 0)?)),
        ("32 without cache, stack", hot::<32>(worker("stack", 0)?)),
        ("32 without worker, ring", direct::<32>(pool("ring", 0)?)),
        ("32 through a portal", hot::<32>(portal()?)),
        (
            "take and give 8, checked",
            checked::<8>(pool("ring", 512)?)?,
        ),
    ])
}

fn pool(backend: &str, cache: usize) -> Outcome<Pool> {
    let pool = Pool::builder("counted").objects(8191).size(64);
    Ok(pool.backend(backend).cache(cache).build()?)
}

fn worker(backend: &str, cache: usize) -> Outcome<Worker> {
    Ok(pool(backend, cache)?.worker("counted")?)
}

/// The stepped model is counted too: what it does is the same each time.
fn portal() -> Outcome<Worker> {
    let device = Device::open("sim:bmu?mode=stepped")?;
    let pool = Pool::builder("counted").objects(8191).size(64);
    let pool = pool.backend("bmu").device(&device).cache(0).build()?;
    Ok(pool.worker("counted")?)
}

fn hot<const N: usize>(mut worker: Worker) -> Operation {
    let mut batch = Batch::<N>::new();
    Box::new(move || {
        let taken = worker.take_into(&mut batch, N);
        assert!(taken.expect("the pool is sound"), "the pool has enough");
        worker.give_from(&mut batch, N).expect("the pool is sound");
    })
}

fn buffer(mut worker: Worker) -> Operation {
    Box::new(move || drop(worker.take().expect("the pool is sound")))
}

/// More at once than a cache has.
fn keep<const N: usize>(mut worker: Worker) -> Operation {
    const KEEP: usize = 2048;
    let mut slots: Vec<Slot> = Vec::with_capacity(KEEP);
    Box::new(move || {
        while slots.len() < KEEP {
            let taken = worker.take_into(&mut slots, N);
            assert!(taken.expect("the pool is sound"), "the pool has enough");
        }
        while !slots.is_empty() {
            worker.give_from(&mut slots, N).expect("the pool is sound");
        }
    })
}

fn direct<const N: usize>(pool: Pool) -> Operation {
    let mut batch = Batch::<N>::new();
    Box::new(move || {
        let taken = pool.take_into(&mut batch, N);
        assert!(taken.expect("the pool is sound"), "the pool has enough");
        pool.give_from(&mut batch, N).expect("the pool is sound");
    })
}

fn checked<const N: usize>(pool: Pool) -> Outcome<Operation> {
    pool.set_checked(true);
    Ok(hot::<N>(pool.worker("counted")?))
}

/// What is counted; callgrind looks for it by this name.
#[inline(never)]
fn counted(operation: &mut dyn FnMut()) {
    for _ in 0..ROUNDS {
        operation();
    }
}

fn main() -> Outcome<()> {
    if env::args().any(|argument| argument == COUNTED) {
        for (_, mut operation) in operations()? {
            (0..ROUNDS).for_each(|_| operation()); // faults and lazy bindings happen here
            counted(&mut operation);
        }
        return Ok(());
    }
    let counts = count()?;
    if env::args().any(|argument| argument == "--bless") {
        fs::write(BASELINE, lines(&counts))?;
        return Ok(());
    }
    compare(&counts, &fs::read_to_string(BASELINE)?)
}

/// Runs this program under callgrind, and returns the instructions of a round of each operation.
fn count() -> Outcome<Vec<(&'static str, f64)>> {
    let directory = tempfile::tempdir()?;
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--quiet",
            "--zero-before=instructions::counted",
            "--dump-after=instructions::counted",
        ])
        .arg(format!(
            "--callgrind-out-file={}",
            directory.path().join("out").display()
        ))
        .arg(env::current_exe()?)
        .arg(COUNTED)
        .output()
        .map_err(|error| {
            format!("valgrind can't be run ({error}); it is in the package valgrind")
        })?;
    if !output.status.success() {
        return Err(format!(
            "valgrind: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    let names = operations()?.into_iter().map(|(name, _)| name);
    names
        .enumerate()
        .map(|(at, name)| {
            Ok((
                name,
                instructions(&directory.path().join(format!("out.{}", at + 1)))?,
            ))
        })
        .collect()
}

/// Reads the count of a file that callgrind wrote.
fn instructions(path: &Path) -> Outcome<f64> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("callgrind's {}: {error}", path.display()))?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .ok_or("callgrind wrote no total")?;
    Ok(total.trim().parse::<f64>()? / ROUNDS as f64)
}

fn lines(counts: &[(&str, f64)]) -> String {
    let mut text = String::new();
    for (name, count) in counts {
        writeln!(text, "{count:8.1}  {name}").expect("strings take all");
    }
    text
}

/// Fails where a count is not what the baseline says, whichever way: else the next one who is slower goes unseen.
fn compare(counts: &[(&str, f64)], baseline: &str) -> Outcome<()> {
    let mut off = 0;
    for (name, count) in counts {
        let expected: f64 = baseline
            .lines()
            .find_map(|line| {
                line.trim_start()
                    .split_once("  ")
                    .filter(|(_, of)| of == name)
            })
            .ok_or_else(|| format!("the baseline has no {name:?}; --bless writes it anew"))?
            .0
            .parse()?;
        let change = count / expected - 1.0;
        let bad = change.abs() > TOLERANCE;
        off += u32::from(bad);
        let verdict = if bad { "OFF" } else { "ok" };
        println!(
            "{name:<26} {count:8.1} instructions, baseline {expected:8.1}, {:+.1} %  {verdict}",
            100.0 * change
        );
    }
    if off > 0 {
        return Err(format!("{off} counts are off by more than {} %; where that is meant, cargo bench --bench instructions -- --bless", 100.0 * TOLERANCE).into());
    }
    Ok(())
}
