//! The cases: who does what, against whom, and what is to be reached.

use std::sync::Arc;
use std::time::Instant;

use hwpool::Pool;
use hwpool::device::Device;
use hwpool::dma::{Memory, MemoryRequest};
use hwpool::pool::{Batch, Worker};

use crate::Outcome;
use crate::measure::{Case, Run, Slice, pin, timed, unpin, woken};
use crate::ours::{self, BATCH, KEEP};
use crate::pair::{Lane, Rally, pair};
use crate::rte::{OBJECTS, Rte, RtePool, SIZE};

const RING: &str = "ring_mp_mc, cache 512";
const STACK: &str = "stack, cache 512";
const BARE_RING: &str = "ring_mp_mc";
const OURS: &str = "hwpool";

type Make = fn(&'static str, Option<Rte>) -> Outcome<Case>;

/// Every case by its id, in the order of the table.
pub(crate) const ALL: [(&str, Make); 24] = [
    ("hot_1", |id, rte| hot::<1>(id, "n = 1, hot", rte, 0.45)),
    ("hot_8", |id, rte| hot::<8>(id, "n = 8, hot", rte, 0.50)),
    ("hot_32", |id, rte| hot::<32>(id, "n = 32, hot", rte, 0.55)),
    ("keep_8", |id, rte| keep::<8>(id, "keep 2048, n = 8", rte)),
    ("keep_32", |id, rte| {
        keep::<32>(id, "keep 2048, n = 32", rte)
    }),
    ("pair_32", two_threads),
    ("first_line_32", first_line),
    ("random", random),
    ("bare_32", bare),
    ("create", create),
    ("bytes", bytes),
    ("limit_32", limit),
    ("buffer", buffer),
    ("scale", scale),
    ("two_pools", two_pools),
    ("statistics_1", |id, _| {
        statistics::<1>(id, "one more counter, n = 1, hot")
    }),
    ("statistics_8", |id, _| {
        statistics::<8>(id, "one more counter, n = 8, hot")
    }),
    ("statistics_32", |id, _| {
        statistics::<32>(id, "one more counter, n = 32, hot")
    }),
    ("spread_32", |id, _| {
        spread::<32>(id, "writing to 32, spread")
    }),
    ("spread_512", |id, _| {
        spread::<512>(id, "writing to 512, spread")
    }),
    ("checked_hot", |id, _| {
        let least = ours::least_checks(ours::worker("ring", 512)?);
        let case = Case::new(id, "checked, n = 32, hot", 32);
        checked(case.side(LEAST, least), ours::hot::<32>)
    }),
    ("checked_keep", |id, _| {
        let case = Case::new(id, "checked, keep 2048, n = 32", KEEP as u64);
        checked(case, ours::keep::<32>)
    }),
    ("portal_32", portal),
    ("line", line),
];

/// What any check of each object comes down to.
const LEAST: &str = "unchecked, 3 accesses more an object";

/// Sets the targets against later DPDKs than 22.11: there is one, that their shorter way for single objects is beaten.
pub(crate) fn newer(case: Case) -> Case {
    let target = match case.id {
        "hot_1" => Some(0.75),
        _ if case.against == RING || case.against == BARE_RING => None,
        _ => case.at_most,
    };
    let against = case.against;
    case.against(against, target)
}

/// Makes a pool of DPDK's, if DPDK is there.
fn rte_pool(rte: Option<Rte>, ops: &str, cache: u32) -> Outcome<Option<RtePool>> {
    rte.map(|rte| rte.pool(ops, OBJECTS, SIZE, cache))
        .transpose()
}

/// Adds a side that is the loop `id` of the shim. The pool moves into the side.
fn rte_side(case: Case, name: &'static str, pool: Option<RtePool>) -> Case {
    let Some(pool) = pool else { return case };
    let mut rounds = pool.rounds(case.id);
    case.side(name, move |n| {
        let _owned = &pool;
        rounds(n)
    })
}

fn hot<const N: usize>(
    id: &'static str,
    what: &'static str,
    rte: Option<Rte>,
    at_most: f64,
) -> Outcome<Case> {
    let case = Case::new(id, what, N as u64)
        .against(RING, at_most)
        .side("copy of the handles", ours::memcpy::<N>())
        .side("ArrayQueue", ours::queue_hot::<N>(ours::queue()));
    let case = rte_side(case, STACK, rte_pool(rte, "stack", 512)?);
    let case = rte_side(case, RING, rte_pool(rte, "ring_mp_mc", 512)?);
    let batches = ours::hot::<N>(ours::worker("ring", 512)?);
    // One slot comes quickest by value, more of them where they lie.
    Ok(match N {
        1 => case
            .side("hwpool, batches", batches)
            .side(OURS, ours::slots(ours::worker("ring", 512)?)),
        _ => case.side(OURS, batches),
    })
}

/// Takes 2048 before it gives any back: the caches miss.
fn keep<const N: usize>(id: &'static str, what: &'static str, rte: Option<Rte>) -> Outcome<Case> {
    let case = Case::new(id, what, KEEP as u64)
        .against(RING, 0.50)
        .side("ArrayQueue", ours::queue_keep(ours::queue()))
        .side(
            "hwpool, stack",
            ours::keep::<N>(ours::worker("stack", 512)?),
        );
    let case = rte_side(case, STACK, rte_pool(rte, "stack", 512)?);
    let case = rte_side(case, RING, rte_pool(rte, "ring_mp_mc", 512)?);
    Ok(case.side(OURS, ours::keep::<N>(ours::worker("ring", 512)?)))
}

/// What users do with objects, against what users of DPDK do.
fn first_line(id: &'static str, rte: Option<Rte>) -> Outcome<Case> {
    const MBUFS: &str = "rte_pktmbuf, cache 512";
    let mut case = Case::new(id, "first lines written, n = 32", 32).against(MBUFS, None);
    if let Some(rte) = rte {
        case = rte_side(case, MBUFS, Some(rte.packets(OBJECTS, 512)?));
    }
    Ok(case.side(OURS, ours::first_lines(ours::worker("ring", 512)?)))
}

/// One thread takes, another gives.
fn two_threads(id: &'static str, rte: Option<Rte>) -> Outcome<Case> {
    let lane = Arc::new(Lane::new(|| [0; BATCH]));
    let (queue, berths) = (ours::queue(), Arc::clone(&lane));
    let there = {
        let queue = Arc::clone(&queue);
        move || ours::queue_consume(queue, lane)
    };
    let mut case = Case::new(id, "producer, consumer, n = 32", BATCH as u64)
        .against(RING, 0.60)
        .run(
            "ArrayQueue",
            pair(ours::queue_produce(queue, berths), there),
        );
    for (name, ops) in [(STACK, "stack"), (RING, "ring_mp_mc")] {
        let Some((rte, pool)) = rte.zip(rte_pool(rte, ops, 512)?) else {
            continue;
        };
        let mut produce = pool.rounds("produce");
        let pool = Arc::new(pool);
        let shared = Arc::clone(&pool);
        let here = move |n| {
            let _owned = &pool;
            produce(n)
        };
        let there = move || {
            rte.adopt_thread();
            shared.rounds("consume")
        };
        case = case.run(name, pair(here, there));
    }
    let pool = ours::pool("ring", OBJECTS, 512)?;
    let lane = Arc::new(Lane::new(Batch::new));
    let here = ours::produce(pool.worker("producer")?, Arc::clone(&lane));
    let there = move || ours::consume(pool.worker("consumer").expect("a second thread"), lane);
    Ok(case.run(OURS, pair(here, there)))
}

/// Up to 64 at a time, as an even spread of pseudorandom numbers says.
fn random(id: &'static str, rte: Option<Rte>) -> Outcome<Case> {
    let mut state = 1u32;
    let pattern: Vec<u32> = std::iter::repeat_with(|| {
        // Numerical Recipes' generator; its upper bits are good enough here.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 26) + 1
    })
    .take(256)
    .collect();
    let pattern: &'static [u32] = pattern.leak();
    let sum: u32 = pattern.iter().sum();
    let mut case = Case::new(id, "random n up to 64, hot", sum.into()).against(RING, None);
    for (name, ops) in [(STACK, "stack"), (RING, "ring_mp_mc")] {
        if let Some(pool) = rte_pool(rte, ops, 512)? {
            let mut rounds = pool.random(pattern);
            case = case.side(name, move |n| {
                let _owned = &pool;
                rounds(n)
            });
        }
    }
    Ok(case.side(OURS, ours::random(ours::worker("ring", 512)?, pattern)))
}

/// Without caches.
fn bare(id: &'static str, rte: Option<Rte>) -> Outcome<Case> {
    let case = Case::new(id, "no cache, n = 32", 32)
        .against(BARE_RING, 0.60)
        .side("hwpool, stack", ours::hot::<32>(ours::worker("stack", 0)?));
    let pool = |ops| rte_pool(rte, ops, 0);
    let case = renamed(case, "hot_32", "stack", pool("stack")?);
    let case = renamed(case, "hot_32", BARE_RING, pool("ring_mp_mc")?);
    Ok(case.side(OURS, ours::hot::<32>(ours::worker("ring", 0)?)))
}

/// As [`rte_side`], with another loop than the case is called by.
fn renamed(case: Case, rounds: &str, name: &'static str, pool: Option<RtePool>) -> Case {
    let Some(pool) = pool else { return case };
    let mut rounds = pool.rounds(rounds);
    case.run(
        name,
        timed(move |n| {
            let _owned = &pool;
            rounds(n)
        }),
    )
}

/// Objects of the pools that are made to be looked at.
const MILLION: u32 = 1_000_000;

/// What it takes to make a pool, with its memory.
fn create(id: &'static str, rte: Option<Rte>) -> Outcome<Case> {
    let mut case = Case::new(id, "creating 1 million objects", MILLION.into())
        .against(BARE_RING, 0.50)
        .single_rounds("ns", 7);
    let memory = MemoryRequest::new(MILLION as usize * SIZE as usize);
    case = case.run(
        "hwpool's memory alone",
        on_all(making(move || Ok(Memory::allocate(&memory)?))),
    );
    if let Some(rte) = rte {
        let make = move || rte.pool("ring_mp_mc", MILLION, SIZE, 512);
        case = case.run(BARE_RING, making(make));
    }
    let ours = making(|| ours::pool("ring", MILLION, 512));
    Ok(case.run(OURS, on_all(ours)))
}

/// Has slices run on all processors, as a program does before it binds its threads; DPDK has bound its own.
fn on_all(mut run: Run) -> Run {
    Box::new(move |rounds| {
        unpin();
        let slice = run(rounds);
        pin(0);
        slice
    })
}

/// Makes slices in which one pool is made; it goes after them.
fn making<P>(make: impl Fn() -> Outcome<P> + 'static) -> Run {
    Box::new(move |_| {
        let started = Instant::now();
        let pool = make().expect("there is memory for a large pool");
        let amount = started.elapsed().as_nanos() as f64;
        drop(pool);
        Slice {
            amount,
            // Seconds long, so that the scheduler always takes something.
            disturbed: false,
        }
    })
}

/// What a pool keeps besides its objects' own bytes.
fn bytes(id: &'static str, rte: Option<Rte>) -> Outcome<Case> {
    let objects = u64::from(MILLION) * u64::from(SIZE);
    let amount = |bytes: u64| Slice {
        amount: bytes as f64,
        disturbed: false,
    };
    let mut case = Case::new(id, "bytes kept beyond the object", MILLION.into())
        .against(BARE_RING, 0.10)
        .single_rounds("B", 1);
    if let Some(rte) = rte {
        case = case.run(
            BARE_RING,
            Box::new(move |_| {
                let before = rte.allocated();
                let _pool = rte
                    .pool("ring_mp_mc", MILLION, SIZE, 512)
                    .expect("there is memory for a large pool");
                amount(rte.allocated() - before - objects)
            }),
        );
    }
    Ok(case.run(
        OURS,
        Box::new(move |_| {
            let before = ours::allocated();
            let pool = ours::pool("ring", MILLION, 512).expect("there is memory for a large pool");
            amount(ours::allocated() - before + pool.memory().len() as u64 - objects)
        }),
    ))
}

/// How far from the limit.
fn limit(id: &'static str, _: Option<Rte>) -> Outcome<Case> {
    Ok(Case::new(id, "n = 32, hot, against a copy", 32)
        .against("copy of the handles", 1.5)
        .side("copy of the handles", ours::memcpy::<32>())
        .side(OURS, ours::hot::<32>(ours::worker("ring", 512)?)))
}

/// Owned buffers against slots.
fn buffer(id: &'static str, _: Option<Rte>) -> Outcome<Case> {
    Ok(Case::new(id, "owned Buffer, n = 1", 1)
        .against("slots", 1.5)
        .side("slots", ours::hot::<1>(ours::worker("ring", 512)?))
        .side(OURS, ours::buffers(ours::worker("ring", 512)?)))
}

/// Objects of the largest pool that is measured, and of the smallest.
const MANY: u32 = 16_000_000;
const FEW: u32 = 1000;

/// What the number of objects costs.
fn scale(id: &'static str, _: Option<Rte>) -> Outcome<Case> {
    let few = ours::pool("ring", FEW, 512)?.worker("bench")?;
    let many = ours::pool_of("ring", MANY, 64, 512)?.worker("bench")?;
    Ok(Case::new(id, "16 million objects, n = 32", 32)
        .against("1 thousand objects", 1.25)
        .side("1 thousand objects", ours::hot::<32>(few))
        .side(OURS, ours::hot::<32>(many)))
}

/// What a second thread with a pool of its own adds: twice the work in about the same time.
fn two_pools(id: &'static str, _: Option<Rte>) -> Outcome<Case> {
    let mut alone = ours::hot::<32>(ours::worker("ring", 512)?);
    let here = ours::hot::<32>(ours::worker("ring", 512)?);
    let there = || ours::hot::<32>(ours::worker("ring", 512).expect("there is memory"));
    Ok(Case::new(id, "two threads, two pools, n = 32", 64)
        .against("one thread", 1.0 / 1.9)
        .side("one thread", move |rounds| alone(2 * rounds))
        .run(OURS, pair(here, there)))
}

/// What statistics cost. They can't be switched off, so the price of one counter more stands for that of the one there is.
fn statistics<const N: usize>(id: &'static str, what: &'static str) -> Outcome<Case> {
    Ok(Case::new(id, what, N as u64)
        .against("as it is", 1.03)
        .side("as it is", ours::hot::<N>(ours::worker("ring", 512)?))
        .side(OURS, ours::counted::<N>(ours::worker("ring", 512)?)))
}

/// What it brings where objects don't lie a power of two apart. The write is that of a packet's first bytes.
fn spread<const N: usize>(id: &'static str, what: &'static str) -> Outcome<Case> {
    let worker = |spread| -> Outcome<Worker> {
        let pool = Pool::builder("bench").objects(OBJECTS).size(SIZE as usize);
        Ok(pool.spread(spread).cache(512).build()?.worker("bench")?)
    };
    Ok(Case::new(id, what, N as u64)
        .against("2048 bytes apart", None)
        .side("2048 bytes apart", ours::written::<N>(worker(false)?))
        .side(OURS, ours::written::<N>(worker(true)?)))
}

/// What checked mode costs.
fn checked<Rounds: FnMut(u64) + 'static>(
    case: Case,
    rounds: fn(Worker) -> Rounds,
) -> Outcome<Case> {
    let worker = ours::worker("ring", 512)?;
    worker.pool().set_checked(true);
    Ok(case
        .against("unchecked", 1.15)
        .side("unchecked", rounds(ours::worker("ring", 512)?))
        .side(OURS, rounds(worker)))
}

const AIM: &str = "100 million pairs a second";

/// Through the rings of a modelled device, without caches. The model's thread has the other processor.
fn portal(id: &'static str, _: Option<Rte>) -> Outcome<Case> {
    /// Rounds that wake the model's thread, and fill what lies between it and this one.
    const IDLE: u64 = 500;
    let aim = |rounds: u64| Slice {
        amount: 10.0 * 32.0 * rounds as f64,
        disturbed: false,
    };
    let stepped = ours::portal(&Device::open("sim:bmu?mode=stepped")?)?;
    pin(1); // where the thread goes that is started here
    let device = Device::open("sim:bmu?mode=threaded");
    pin(0);
    let device = device?;
    let (threaded, checked) = (ours::portal(&device)?, ours::portal(&device)?);
    checked.pool().set_checked(true);
    Ok(Case::new(id, "portal, no cache, n = 32", 32)
        .against(AIM, 1.0)
        .run(AIM, Box::new(aim))
        .side("hwpool, model stepped", ours::hot::<32>(stepped))
        .run("hwpool, checked", woken(IDLE, ours::hot::<32>(checked)))
        .run(OURS, woken(IDLE, ours::hot::<32>(threaded))))
}

/// What a portal can't be faster than: a cache line to the other processor and back.
fn line(id: &'static str, _: Option<Rte>) -> Outcome<Case> {
    let rally = Arc::new(Rally::default());
    let back = Arc::clone(&rally);
    let there = move || {
        move |rounds| {
            for _ in 0..rounds {
                back.answer();
            }
        }
    };
    let here = move |rounds| {
        for _ in 0..rounds {
            rally.serve();
        }
    };
    Ok(Case::new(id, "a cache line there and back", 1).run("line", pair(here, there)))
}
