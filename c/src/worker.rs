//! Workers: attached, flushed, detached.

use std::ffi::{c_char, c_int};

use hwpool::pool::{GiveFault, WorkerError};

use crate::abi::{self, hwpool_pool};
use crate::failure::{Failure, guarded};
use crate::handles;
use crate::pool::Pool;
use crate::shell::Shell;
use crate::status::Status;
use crate::text::required;

/// # Safety
/// As `hwpool.h` says: a string, and a place for a worker.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_worker_attach(
    pool: *mut hwpool_pool,
    name: *const c_char,
    worker: *mut *mut Shell,
) -> c_int {
    guarded(|| {
        let pool = handles::find::<Pool>(pool)?;
        // SAFETY: null, or a string by the caller's promise.
        let name = unsafe { required(name, "the worker's name") }?;
        // SAFETY: null, or a place for a worker by the caller's promise.
        let place = unsafe { abi::place(worker) }?;
        let new = pool.pool.worker(name);
        let new = new.map_err(|error| not_attached(&error))?;
        let shell = Shell::new(&pool, new).ok_or_else(|| {
            Failure::new(
                Status::Argument,
                "objects of the pool are 4 GiB apart, or more",
            )
        })?;
        let shell = Box::into_raw(Box::new(shell));
        handles::attach(shell.addr());
        place.write(shell);
        Ok(Status::Ok)
    })
}

/// # Safety
/// As `hwpool.h` says: if it is a worker of this thread, nothing else uses it meanwhile.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_worker_flush(worker: *mut Shell) -> c_int {
    guarded(|| {
        handles::check_worker(worker.addr())?;
        // SAFETY: it is a worker of this thread, and nothing else uses it meanwhile, by the caller's promise.
        let shell = unsafe { &mut *worker };
        let flushed = shell.worker.flush();
        flushed.map_err(|fault| not_flushed(&fault))?;
        Ok(Status::Ok)
    })
}

/// # Safety
/// As `hwpool.h` says: if it is a worker of this thread, nothing uses it any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_worker_detach(worker: *mut Shell) -> c_int {
    guarded(|| {
        handles::detach(worker.addr())?;
        // SAFETY: it came from `hwpool_worker_attach` on this thread, and was struck out just now, by this call alone.
        drop(unsafe { Box::from_raw(worker) });
        Ok(Status::Ok)
    })
}

fn not_attached(error: &WorkerError) -> Failure {
    let status = match error {
        WorkerError::Closed { .. } => Status::Closed,
        WorkerError::OtherProcess { .. } => Status::Forked,
        WorkerError::NoMemory { .. } => Status::Memory,
        WorkerError::AlreadyOnThread { .. } => Status::Thread,
        WorkerError::TooManyNames { .. } => Status::Limit,
        _ => Status::Internal,
    };
    Failure::of(status, error)
}

fn not_flushed(fault: &GiveFault) -> Failure {
    let status = match fault {
        GiveFault::OtherProcess => Status::Forked,
        GiveFault::Poisoned { .. } => Status::Poisoned,
        GiveFault::Refused { .. } => Status::Refused,
        _ => Status::Internal,
    };
    Failure::of(status, fault)
}
