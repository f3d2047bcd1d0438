//! Calls that the kernel may keep for minutes: the log says so while it does.
//!
//! Opening a function of VFIO resets it, and so does closing it. The kernel then waits for a function that does not answer,
//! after each way of resetting it that it tries, in naps that double until one is longer than `PCIE_RESET_READY_POLL_MS`,
//! 60 s (`pci_dev_wait`). These naps are `msleep`, and whoever comes second waits for a mutex, or for the function's
//! configuration space: none of that hears a signal, so that not even SIGKILL ends the process before the kernel is done.
//! Unbinding waits for those who have the function open, and goes on with that after a signal
//! (`vfio_unregister_group_dev`).

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::{Bdf, Tree};

/// How long a call goes on before it is spoken of.
pub(crate) const LONG: Duration = Duration::from_secs(2);
/// What the naps of `pci_dev_wait` add up to, rounded up.
pub(crate) const NO_ANSWER: Duration = Duration::from_secs(66);

/// Lives as long as a call, and logs a line if that is long.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Nothing is sent: the thread hears that it is dropped.
    _ends: Sender<()>,
}

impl Watch {
    /// Watches a call that has the kernel do something, such as "opening", to a function of a tree that may not answer.
    pub(crate) fn of(tree: &Tree, bdf: Bdf, doing: &'static str) -> Watch {
        let tree = tree.clone();
        Watch::after(LONG, move || {
            tracing::warn!("{}", waiting_for(&tree, bdf, doing))
        })
    }

    fn after(time: Duration, say: impl FnOnce() + Send + 'static) -> Watch {
        let (ends, ended) = channel();
        let wait = move || {
            if ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                say();
            }
        };
        // Where there can be no thread, the call is made all the same.
        let _ = thread::Builder::new().name("slow call".into()).spawn(wait);
        Watch { _ends: ends }
    }
}

fn waiting_for(tree: &Tree, bdf: Bdf, doing: &str) -> String {
    let ways = tree.function(bdf).text("reset_method");
    let ways = ways.map(|ways| format!(" ({})", ways.trim().replace(' ', ", ")));
    format!(
        "the kernel has been {doing} {bdf} for {LONG:?}: it waits up to {NO_ANSWER:?} for a function that does not answer, \
         once for each way of resetting it{}, and until then no signal ends this process, not even SIGKILL",
        ways.unwrap_or_default()
    )
}

/// A file of a function, which the kernel may take long to close.
#[derive(Debug)]
pub(crate) struct SlowToClose<F> {
    bdf: Bdf,
    file: F,
    /// Begins when `file` is about to be closed and ends after it, as the last field.
    closing: Option<Watch>,
}

impl<F> SlowToClose<F> {
    pub(crate) fn new(bdf: Bdf, file: F) -> SlowToClose<F> {
        SlowToClose {
            bdf,
            file,
            closing: None,
        }
    }
}

impl<F> std::ops::Deref for SlowToClose<F> {
    type Target = F;
    fn deref(&self) -> &F {
        &self.file
    }
}

impl<F> Drop for SlowToClose<F> {
    fn drop(&mut self) {
        self.closing = Some(Watch::of(&Tree::running(), self.bdf, "closing"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::directory;
    use crate::machine::testing::FakeMachine;
    use std::sync::Mutex;
    use std::sync::mpsc::Receiver;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn bdf() -> Bdf {
        "0000:01:00.0".parse().unwrap()
    }

    #[test]
    fn a_call_that_takes_long_is_spoken_of_while_it_does() {
        let (heard, said) = channel();
        let watch = Watch::after(Duration::ZERO, move || heard.send(()).unwrap());
        assert_eq!(said.recv_timeout(PATIENCE), Ok(()));
        drop(watch);
    }

    #[test]
    fn a_call_that_ends_in_time_is_not() {
        let (heard, said) = channel::<()>();
        drop(Watch::after(PATIENCE, move || heard.send(()).unwrap()));
        let end = said.recv_timeout(PATIENCE);
        assert_eq!(end, Err(RecvTimeoutError::Disconnected), "the thread ends");
    }

    #[test]
    fn the_line_names_the_function_and_the_ways_of_resetting_it() {
        let machine = FakeMachine::new();
        machine.function(bdf(), 7, Some("vfio-pci"));
        let said = || waiting_for(&machine.tree(), bdf(), "opening");
        assert!(said().contains("opening 0000:01:00.0 for 2s"), "{}", said());
        assert!(!said().contains("resetting it ("), "{}", said());
        let file = format!("{}/reset_method", directory(bdf()));
        machine.write(&file, "flr bus\n");
        assert!(said().contains("resetting it (flr, bus),"), "{}", said());
    }

    /// Hands on what is logged.
    struct Ear(Mutex<Sender<String>>);

    impl Visit for Ear {
        fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
            let ear = self.0.get_mut().unwrap();
            let _ = ear.send(format!("{value:?}"));
        }
    }

    impl Subscriber for Ear {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let ear = self.0.lock().unwrap().clone();
            event.record(&mut Ear(Mutex::new(ear)));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// A file whose closing takes until it is spoken of.
    struct Stuck(Receiver<String>, Sender<String>);

    impl Drop for Stuck {
        fn drop(&mut self) {
            let is_told = |line: &String| line.contains("closing 0000:01:00.0");
            let lines = std::iter::from_fn(|| self.0.recv_timeout(PATIENCE).ok());
            let _ = lines
                .filter(is_told)
                .take(1)
                .try_for_each(|line| self.1.send(line));
        }
    }

    #[test]
    fn closing_is_spoken_of_while_the_file_is_being_closed() {
        let (ear, lines) = channel();
        // For all threads of this process: it is the watch's thread that logs.
        tracing::subscriber::set_global_default(Ear(Mutex::new(ear))).unwrap();
        let (told, said) = channel();
        drop(SlowToClose::new(bdf(), Stuck(lines, told)));
        assert!(said.recv().is_ok_and(|line| line.contains("SIGKILL")));
    }
}
