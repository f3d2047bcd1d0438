//! What all mempools of the process did: one line at exit, for those who want to see that objects came through here.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::drain::Drained;

static MADE: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);
static PUT: AtomicU64 = AtomicU64::new(0);
static GOT: AtomicU64 = AtomicU64::new(0);
static FAILED_GETS: AtomicU64 = AtomicU64::new(0);
static REFUSED_PUTS: AtomicU64 = AtomicU64::new(0);
static STILL_OUT: AtomicU64 = AtomicU64::new(0);

/// Counts a mempool that was made.
pub(crate) fn made() {
    MADE.fetch_add(1, Ordering::Relaxed);
}

/// Counts a mempool that was freed.
pub(crate) fn freed() {
    FREED.fetch_add(1, Ordering::Relaxed);
}

/// Counts objects that were put, or a refusal.
pub(crate) fn put(objects: usize, done: bool) {
    match done {
        true => PUT.fetch_add(objects as u64, Ordering::Relaxed),
        false => REFUSED_PUTS.fetch_add(1, Ordering::Relaxed),
    };
}

/// Counts objects that were got, or a failure.
pub(crate) fn got(objects: usize, done: bool) {
    match done {
        true => GOT.fetch_add(objects as u64, Ordering::Relaxed),
        false => FAILED_GETS.fetch_add(1, Ordering::Relaxed),
    };
}

/// Takes back what DPDK's gets counted while it freed a mempool, which no application made.
pub(crate) fn drained(drained: Drained) {
    GOT.fetch_sub(drained.found.into(), Ordering::Relaxed);
    FAILED_GETS.fetch_sub(drained.missing.into(), Ordering::Relaxed);
}

/// Counts objects that were out when their mempool was freed.
pub(crate) fn still_out(objects: u32) {
    STILL_OUT.fetch_add(objects.into(), Ordering::Relaxed);
}

/// Returns the line.
pub(crate) fn line() -> String {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "HWPOOL: {} mempools made, {} freed, {} objects put, {} got, {} failed gets, {} refused puts, {} still out when freed",
        read(&MADE),
        read(&FREED),
        read(&PUT),
        read(&GOT),
        read(&FAILED_GETS),
        read(&REFUSED_PUTS),
        read(&STILL_OUT)
    )
}

/// Prints the line to stderr where `HWPOOL_STATS` asks for it.
#[cfg(not(test))]
pub(crate) extern "C" fn print() {
    // At exit nobody must hear of a panic, nor of a stderr that is closed.
    let _ = std::panic::catch_unwind(|| {
        if crate::config::is_on(crate::config::STATS) {
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", line()));
        }
    });
}
