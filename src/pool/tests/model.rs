//! Random histories of a pool against a plain reference: a set of what is out.
//!
//! Properties: a take succeeds exactly where there is enough within reach; what is taken was in (uniqueness) and is an
//! object (range, alignment); what is in plus what is out is everything (conservation); the cache keeps its limit; the
//! report at the end lists exactly what is out. A failure prints its seed and its shortest history.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::pool::{Buffer, Pool, Slot, Worker};

#[derive(Debug, Clone)]
enum Op {
    Take(usize),
    TakeDirect(usize),
    TakeBuffer,
    Give(usize),
    GiveDirect(usize),
    DropBuffer(usize),
    Flush,
    Attach,
    Detach,
    Check(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0usize..30).prop_map(Op::Take),
        2 => (0usize..30).prop_map(Op::TakeDirect),
        3 => Just(Op::TakeBuffer),
        5 => (0usize..30).prop_map(Op::Give),
        2 => (0usize..30).prop_map(Op::GiveDirect),
        3 => any::<usize>().prop_map(Op::DropBuffer),
        1 => Just(Op::Flush),
        2 => Just(Op::Attach),
        1 => Just(Op::Detach),
        1 => any::<bool>().prop_map(Op::Check),
    ]
}

/// The pool, what the test holds of it, and the reference.
struct History {
    pool: Pool,
    worker: Option<Worker>,
    slots: Vec<Slot>,
    buffers: Vec<Buffer>,
    out: BTreeSet<u32>,
}

impl History {
    fn cached(&self) -> usize {
        self.worker.as_ref().map_or(0, Worker::cached)
    }

    /// Objects that a take through the worker, or past it, can reach.
    fn free(&self, past_worker: bool) -> usize {
        let free = self.pool.objects() as usize - self.out.len();
        if past_worker {
            free - self.cached()
        } else {
            free
        }
    }

    fn is_new(&mut self, index: u32) -> Result<(), TestCaseError> {
        prop_assert!(index < self.pool.objects());
        prop_assert!(self.out.insert(index), "object {} was out already", index);
        Ok(())
    }

    fn take(&mut self, n: usize, direct: bool) -> Result<(), TestCaseError> {
        let had = self.slots.len();
        let within = self.free(direct || self.worker.is_none());
        let got = match &mut self.worker {
            Some(worker) if !direct => worker.take_into(&mut self.slots, n),
            _ => self.pool.take_into(&mut self.slots, n),
        };
        prop_assert_eq!(
            got.unwrap(),
            n <= within,
            "take of {} with {} in reach",
            n,
            within
        );
        prop_assert_eq!(self.slots.len(), if n <= within { had + n } else { had });
        for at in had..self.slots.len() {
            let slot = &self.slots[at];
            prop_assert_eq!(self.pool.bytes(slot).as_ptr().addr() % 64, 0);
            self.is_new(slot.index())?;
        }
        Ok(())
    }

    fn give(&mut self, n: usize, direct: bool) {
        let n = n.min(self.slots.len());
        for slot in &self.slots[self.slots.len() - n..] {
            self.out.remove(&slot.index());
        }
        match &mut self.worker {
            Some(worker) if !direct => worker.give_from(&mut self.slots, n),
            _ => self.pool.give_from(&mut self.slots, n),
        }
        .unwrap();
    }

    fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::Take(n) => self.take(n, false)?,
            Op::TakeDirect(n) => self.take(n, true)?,
            Op::Give(n) => self.give(n, false),
            Op::GiveDirect(n) => self.give(n, true),
            Op::TakeBuffer => {
                let within = self.free(self.worker.is_none());
                let buffer = match &mut self.worker {
                    Some(worker) => worker.take(),
                    None => self.pool.take(),
                };
                if let Some(buffer) = buffer.unwrap() {
                    self.is_new(buffer.index())?;
                    self.buffers.push(buffer);
                } else {
                    prop_assert_eq!(within, 0);
                }
            }
            Op::DropBuffer(which) if !self.buffers.is_empty() => {
                let buffer = self.buffers.swap_remove(which % self.buffers.len());
                self.out.remove(&buffer.index());
                drop(buffer);
            }
            Op::DropBuffer(_) => {}
            Op::Flush => {
                if let Some(worker) = &mut self.worker {
                    worker.flush().unwrap();
                    prop_assert_eq!(worker.cached(), 0);
                }
            }
            Op::Attach if self.worker.is_none() => {
                self.worker = Some(self.pool.worker("model").unwrap())
            }
            Op::Attach => {}
            Op::Detach => self.worker = None,
            Op::Check(on) => self.pool.set_checked(on),
        }
        Ok(())
    }
}

fn run(objects: u32, cache: usize, backend: &str, ops: &[Op]) -> Result<(), TestCaseError> {
    let cache = cache.min(objects as usize);
    let pool = Pool::builder("model")
        .objects(objects)
        .size(64)
        .cache(cache)
        .backend(backend)
        .build()
        .unwrap();
    let mut history = History {
        pool,
        worker: None,
        slots: Vec::new(),
        buffers: Vec::new(),
        out: BTreeSet::new(),
    };
    for op in ops {
        history.apply(op)?;
        prop_assert!(history.cached() <= cache);
        prop_assert_eq!(history.pool.in_use() as usize, history.out.len());
        let stats = history.pool.stats();
        prop_assert_eq!(stats.taken - stats.given, history.out.len() as u64);
    }
    let report = history.pool.close().unwrap();
    prop_assert_eq!(
        report
            .out
            .iter()
            .map(|out| out.index)
            .collect::<BTreeSet<_>>(),
        history.out.clone()
    );
    prop_assert_eq!(
        report
            .holders
            .iter()
            .map(|holder| holder.balance())
            .sum::<i64>(),
        history.out.len() as i64
    );
    // Give all back, late, so that the pool's tag can be used again.
    history.give(usize::MAX, true);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_pool_behaves_as_a_set(
        objects in 1u32..60,
        cache in 0usize..20,
        backend in prop_oneof![Just("ring"), Just("stack")],
        ops in prop::collection::vec(op(), 1..if cfg!(miri) { 20 } else { 120 }),
    ) {
        run(objects, cache, backend, &ops)?;
    }
}
