//! Writing to the kernel's files, with a limit for how long that may take.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::machine::{LONG, NO_ANSWER};

/// How long the kernel may take for one write. Drivers take seconds to let go of a device.
const LIMIT: Duration = Duration::from_secs(30);

/// Whatever changes the system: the kernel, or something in its place that reacts as it does.
pub trait Writer {
    /// Writes `value` by one call to a file that is there.
    ///
    /// # Errors
    ///
    /// What the kernel said, and [`io::ErrorKind::TimedOut`] where it said nothing for too long.
    fn write(&mut self, path: &Path, value: &str) -> io::Result<()>;

    /// Makes a user the owner of a file, whose group stays.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    fn own(&mut self, path: &Path, uid: u32) -> io::Result<()>;
}

/// The running kernel, or a tree of plain files, in which nothing reacts.
#[derive(Debug, Default)]
pub struct Kernel(());

impl Writer for Kernel {
    /// Unbinding waits for those who use a function, so that it happens on a thread, which is left behind after 30
    /// seconds.
    fn write(&mut self, path: &Path, value: &str) -> io::Result<()> {
        let (done, result) = channel();
        let (to, what) = (path.to_path_buf(), value.to_string());
        let write = move || {
            // Nobody listens any more after the limit.
            let _ = done.send(write_once(&to, &what));
        };
        thread::Builder::new()
            .name("sysfs write".into())
            .spawn(write)?;
        let mut answer = result.recv_timeout(LONG);
        if matches!(answer, Err(RecvTimeoutError::Timeout)) {
            tracing::warn!("{}", slow(path, value));
            answer = result.recv_timeout(LIMIT - LONG);
        }
        match answer {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the kernel has not answered for {} s", LIMIT.as_secs()),
            )),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread ended")),
        }
    }

    fn own(&mut self, path: &Path, uid: u32) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(uid), None)
    }
}

/// Says what a write waits for.
fn slow(path: &Path, value: &str) -> String {
    let (path, value) = (path.display().to_string(), value.trim());
    let what = format!("the kernel has not taken {value:?} for {path} for {LONG:?}");
    match path.contains("/sys/bus/pci/") {
        true => format!(
            "{what}: a driver waits for those who use a function, and up to {NO_ANSWER:?} for one that does not answer. \
             hwpool gives up after {LIMIT:?}, but not even SIGKILL ends it before the kernel is done"
        ),
        false => format!("{what}: hwpool gives up after {LIMIT:?}"),
    }
}

/// sysfs takes a value by one call, and is never given a file that it has not made.
fn write_once(path: &Path, value: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    let length = file.write(value.as_bytes())?;
    match length == value.len() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "took {length} of {} bytes",
            value.len()
        ))),
    }
}
