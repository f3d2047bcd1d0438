//! What ends a verb early: Ctrl-C, SIGTERM, and the kernel that wants the device back. Long verbs stop and report what
//! they have.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hwpool::vfio::{Notice, Notices};

use super::REFUSED;

/// How long a verb may take to close a device that the kernel wants back; then the process ends as it is. The kernel
/// asks every ten seconds, so this is over before it asks again.
const GRACE: Duration = Duration::from_secs(8);

/// Set once the command shall end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    wanted: Arc<AtomicBool>,
    /// What the kernel said about which device.
    notice: Arc<Mutex<Option<String>>>,
}

impl Stop {
    /// Catches Ctrl-C and SIGTERM from now on. A second one ends the process at once.
    pub(crate) fn on_signal() -> anyhow::Result<Stop> {
        Stop::on_signal_do(|| ())
    }

    /// As [`Stop::on_signal`], and has another thread do something at the first signal.
    pub(crate) fn on_signal_do(act: impl Fn() + Send + 'static) -> anyhow::Result<Stop> {
        let stop = Stop::default();
        let seen = stop.wanted.clone();
        ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            act();
        })
        .context("can't catch Ctrl-C")?;
        Ok(stop)
    }

    /// Ends the command, too, when the kernel wants the device `name` back or reports that its link broke, until the
    /// device is closed.
    pub(crate) fn on_notice(&self, name: &str, notices: Option<Notices>) {
        let Some(notices) = notices else { return };
        let (stop, name) = (self.clone(), name.to_string());
        std::thread::spawn(move || stop.watch(&name, &notices));
    }

    /// Waits for the first notice, and after it for the device to be closed.
    fn watch(&self, name: &str, notices: &Notices) {
        let forever = Duration::from_secs(24 * 3600);
        let notice = loop {
            match notices.wait(forever) {
                Ok(None) => {}
                Ok(Some(Notice::Closed)) => return,
                Ok(Some(notice)) => break notice,
                Err(error) => return tracing::warn!("{name}: not told of its removal: {error}"),
            }
        };
        let mut said = self.notice.lock().unwrap_or_else(PoisonError::into_inner);
        said.get_or_insert_with(|| format!("{name}: {notice}"));
        drop(said);
        self.wanted.store(true, Ordering::Relaxed);
        tracing::warn!("{name}: {notice}: closing it");
        match notices.wait(GRACE) {
            Ok(Some(Notice::Closed)) => {}
            _ => {
                tracing::error!("{name}: not closed within {GRACE:?}; the kernel takes it");
                std::process::exit(REFUSED.into());
            }
        }
    }

    /// Waits for so long or until the command shall end; tells whether it shall.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        /// How late an end may be noticed.
        const LOOK: Duration = Duration::from_millis(50);
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.is_wanted() || left.is_zero() {
                return self.is_wanted();
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    /// Tells whether to end.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Returns what is set once the command shall end.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.wanted.clone()
    }

    /// Fails where it was the kernel that ended the command.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let said = self.notice.lock().unwrap_or_else(PoisonError::into_inner);
        match &*said {
            Some(notice) => bail!("{notice}"),
            None => Ok(()),
        }
    }
}
