//! What a child of `fork` does with its parent's pools: nothing, and it is told so.

use super::{Witness, unique};
use crate::device::Device;
use crate::pool::{
    Buffer, CloseError, GiveFault, Pool, PoolError, RawError, RawPool, Slot, Worker, WorkerError,
};

/// Runs `child` in a child of this process, and fails where it fails there.
///
/// The child has this thread alone: it must wait for no lock that another test may have held, so it prints nothing.
fn in_child(child: impl FnOnce() -> Result<(), u8>) {
    // SAFETY: the child runs what the test says, which waits for nobody, and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: ends a child that waits for ever.
        unsafe { libc::alarm(20) };
        let code = child().err().unwrap_or(0);
        // SAFETY: ends the child, without what this process would do at its end.
        unsafe { libc::_exit(code.into()) };
    }
    let mut status = 0;
    // SAFETY: waits for the child that was just made.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(
        libc::WIFEXITED(status),
        "the child was ended by a signal: {status}"
    );
    let line = libc::WEXITSTATUS(status);
    assert_eq!(line, 0, "step {line} went wrong in the child");
}

/// A step of a child.
fn step(number: u8, is_right: bool) -> Result<(), u8> {
    if is_right { Ok(()) } else { Err(number) }
}

/// Pools over every kind of backend, with the devices that they need.
fn everywhere(test: impl Fn(&dyn Fn(&str) -> Pool)) {
    for backend in ["ring", "stack", "bmu", "bmu-registers"] {
        for cache in [0, 8] {
            test(&|name| {
                let pool = Pool::builder(name).objects(64).size(64).cache(cache);
                let pool = match backend.starts_with("bmu") {
                    true => pool.device(&Device::open("sim:bmu?mode=stepped").unwrap()),
                    false => pool,
                };
                pool.backend(backend).build().unwrap()
            });
        }
    }
}

fn refuses_takes(pool: &Pool, worker: &mut Worker) -> Result<(), u8> {
    let mut slots: Vec<Slot> = Vec::with_capacity(64);
    step(1, matches!(pool.take(), Err(PoolError::OtherProcess)))?;
    step(2, matches!(pool.take_slot(), Err(PoolError::OtherProcess)))?;
    step(3, matches!(worker.take(), Err(PoolError::OtherProcess)))?;
    step(
        4,
        matches!(worker.take_slot(), Err(PoolError::OtherProcess)),
    )?;
    for n in [0, 1, 5, 60] {
        step(
            5,
            matches!(pool.take_into(&mut slots, n), Err(PoolError::OtherProcess)),
        )?;
        let taken = worker.take_into(&mut slots, n);
        step(6, matches!(taken, Err(PoolError::OtherProcess)))?;
    }
    step(7, slots.is_empty())
}

#[test]
fn a_child_takes_nothing_of_its_parents() {
    everywhere(|make| {
        let pool = make("forked");
        let mut worker = pool.worker("parent").unwrap();
        let out = worker.take().unwrap().unwrap(); // and the cache is full
        for checked in [false, true] {
            pool.set_checked(checked);
            in_child(|| refuses_takes(&pool, &mut worker));
        }
        let mut all = vec![out];
        while let Some(buffer) = worker.take().unwrap() {
            assert!(all.iter().all(|other| other.index() != buffer.index()));
            all.push(buffer);
        }
        assert_eq!(all.len(), 64);
        drop((all, worker));
        assert!(pool.close().unwrap().is_clean());
    });
}

/// What the parent has when it forks. The child takes it out of its copy, so that the parent still has it.
struct Parents {
    pool: Option<Pool>,
    worker: Option<Worker>,
    buffers: Vec<Buffer>,
    slots: Vec<Slot>,
}

impl Parents {
    fn of(pool: Pool) -> Parents {
        let mut worker = pool.worker("parent").unwrap();
        let mut slots = Vec::new();
        assert!(worker.take_into(&mut slots, 4).unwrap());
        let mut buffers: Vec<Buffer> = [(); 4].map(|()| worker.take().unwrap().unwrap()).into();
        buffers.iter_mut().for_each(|buffer| buffer.fill(7));
        let (pool, worker) = (Some(pool), Some(worker));
        Parents {
            pool,
            worker,
            buffers,
            slots,
        }
    }

    /// Tries everything that gives, asks and ends.
    fn end_in_child(&mut self) -> Result<(), u8> {
        let mut worker = self.worker.take().ok_or(1)?;
        let pool = self.pool.take().ok_or(2)?;
        let is_told = |fault: &GiveFault| matches!(fault, GiveFault::OtherProcess);
        let mut slot = || self.slots.pop().ok_or(3);
        let error = pool.give_slot(slot()?).err().ok_or(4)?;
        step(5, is_told(&error.fault) && error.returned.is_some())?;
        let error = worker.give_slot(slot()?).err().ok_or(6)?;
        step(7, is_told(&error.fault) && error.returned.is_some())?;
        step(
            8,
            pool.give_all(&mut self.slots)
                .is_err_and(|fault| is_told(&fault)),
        )?;
        step(
            9,
            worker
                .give_all(&mut self.slots)
                .is_err_and(|fault| is_told(&fault)),
        )?;
        step(10, self.slots.len() == 2 && worker.flush().is_err())?;
        let mut buffer = || self.buffers.pop().ok_or(11);
        let error = worker.give(buffer()?).err().ok_or(12)?;
        let mut first = error.returned.ok_or(13)?;
        step(14, first.is_empty() && first.bytes_mut().is_empty())?;
        drop(first); // to the cache, if anywhere
        let told = pool.worker("child").err().ok_or(15)?;
        step(16, matches!(told, WorkerError::OtherProcess { .. }))?;
        step(17, pool.stats().free == 0 && pool.count() == 0)?;
        pool.set_checked(true);
        pool.walk(|_| ());
        drop(worker);
        drop(buffer()?); // past all caches, if anywhere
        let told = pool.close().err().ok_or(18)?;
        step(19, matches!(told, CloseError::OtherProcess { .. }))?;
        drop(pool);
        self.buffers.clear(); // the last traces of it
        Ok(())
    }
}

#[test]
fn a_child_gives_and_ends_nothing_of_its_parents() {
    everywhere(|make| {
        let mut ours = Parents::of(make("forked"));
        let witness = Witness::of(ours.pool.as_ref().unwrap());
        in_child(|| ours.end_in_child());
        let (pool, mut worker) = (ours.pool.unwrap(), ours.worker.unwrap());
        assert!(ours.buffers.iter().all(|buffer| buffer[..] == [7; 64]));
        assert_eq!(pool.in_use(), 8);
        worker.give_all(&mut ours.slots).unwrap();
        drop((worker, ours.buffers));
        let report = pool.close().unwrap();
        assert!(report.is_clean(), "{report}");
        drop(pool);
        assert!(!witness.memory_exists());
    });
}

/// Another thread may hold a lock while this one forks, and there is none in the child to give it back.
#[test]
fn a_child_waits_for_no_lock_of_its_parents() {
    everywhere(|make| {
        let pool = make("forked");
        let mut worker = pool.worker("parent").ok();
        let mut handle = Some(pool.clone());
        let roster = pool.shared().roster();
        in_child(|| {
            step(1, pool.worker("child").is_err())?;
            step(2, pool.stats().free == 0)?;
            pool.set_checked(true);
            pool.walk(|_| ());
            drop(worker.take());
            let told = handle.take().ok_or(3)?.close();
            step(4, matches!(told, Err(CloseError::OtherProcess { .. })))
        });
        drop((roster, worker, handle));
        assert!(pool.close().unwrap().is_clean());
    });
}

#[test]
fn a_child_makes_pools_of_its_own() {
    let parents = Pool::builder("forked").objects(8).size(64).build().unwrap();
    in_child(|| {
        let pool = Pool::builder("child").objects(8).size(64).build();
        let pool = pool.map_err(|_| 1)?;
        let mut worker = pool.worker("child").map_err(|_| 2)?;
        let mut buffer = worker.take().map_err(|_| 3)?.ok_or(4)?;
        buffer.fill(1);
        drop(buffer);
        drop(worker);
        step(5, pool.close().is_ok_and(|report| report.is_clean()))?;
        step(6, matches!(parents.take(), Err(PoolError::OtherProcess)))
    });
    assert!(parents.close().unwrap().is_clean());
}

fn raw_in_child(pool: &mut Option<RawPool>, out: u32) -> Result<(), u8> {
    let pool = pool.take().ok_or(1)?;
    let told = pool.dequeue(&mut [0]);
    step(2, matches!(told, Err(PoolError::OtherProcess)))?;
    let told = pool.enqueue(&[out]);
    step(
        3,
        matches!(told, Err(RawError::Give(PoolError::OtherProcess))),
    )?;
    step(4, pool.count() == 0)?;
    let told = pool.close().err().ok_or(5)?;
    step(6, matches!(told, CloseError::OtherProcess { .. }))
}

#[test]
fn a_raw_pool_is_its_process_alone() {
    let device = Device::open("sim:bmu?mode=stepped").unwrap();
    for (backend, checked) in [
        ("ring", false),
        ("ring", true),
        ("stack", false),
        ("bmu", false),
    ] {
        let pool = Pool::builder(&unique("raw")).objects(8).size(64);
        let pool = pool.backend(backend).device(&device).checked(checked);
        let mut pool = Some(pool.build_raw().unwrap());
        pool.as_ref().unwrap().enqueue(&[0, 1, 2, 3]).unwrap();
        in_child(|| raw_in_child(&mut pool, 5));
        let pool = pool.unwrap();
        assert!(pool.dequeue(&mut [0; 4]).unwrap());
        assert!(!pool.dequeue(&mut [0]).unwrap());
        assert_eq!(pool.close().unwrap().returned, 0);
    }
}
