//! Where log lines go: to stderr, and while a view has the terminal, behind it.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// Lines that wait until the terminal is free; `None`: they don't wait.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Most bytes that wait; what comes later is lost.
const MOST: usize = 64 << 10;

/// Writes log lines.
#[derive(Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *HELD.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(held) if held.len() + bytes.len() <= MOST => held.extend_from_slice(bytes),
            Some(_) => {}
            None => return io::stderr().write(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Has log lines wait until it is dropped.
#[derive(Debug)]
pub(super) struct Held;

/// Has log lines wait where they would go to the terminal.
pub(super) fn hold() -> Held {
    if io::stderr().is_terminal() {
        *HELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }
    Held
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = io::stderr().write_all(&held.unwrap_or_default());
    }
}
