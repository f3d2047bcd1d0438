//! Ctrl-C and SIGTERM: long verbs stop early and report what they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Set once the user wants the command to end.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Catches Ctrl-C and SIGTERM from now on. A second one ends the process at once.
    pub(crate) fn on_signal() -> anyhow::Result<Stop> {
        Stop::on_signal_do(|| ())
    }

    /// As [`Stop::on_signal`], and has another thread do something at the first signal.
    pub(crate) fn on_signal_do(act: impl Fn() + Send + 'static) -> anyhow::Result<Stop> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            act();
        })
        .context("can't catch Ctrl-C")?;
        Ok(Stop(stop))
    }

    /// Tells whether to end.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
