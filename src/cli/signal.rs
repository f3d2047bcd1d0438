//! What ends a verb early: Ctrl-C, SIGTERM, and the kernel that wants the device back. Long verbs stop and report what
//! they have.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hwpool::devices::bus::BusError;
use hwpool::vfio::{Notice, Notices};

use super::exit::REFUSED;

/// Exit status of a command that a second signal ended: 128 and the number of SIGINT, as shells count.
const INTERRUPTED: i32 = 130;
/// How long a verb may take to close a device whose link broke; then the process ends as it is.
const GRACE: Duration = Duration::from_secs(8);
/// How long before the kernel asks again for a device that it wants back the process ends as it is.
const MARGIN: Duration = Duration::from_secs(2);

/// Set once the command shall end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    wanted: Arc<AtomicBool>,
    /// What the kernel said about which device.
    notice: Arc<Mutex<Option<String>>>,
}

impl Stop {
    /// Catches Ctrl-C and SIGTERM from now on. A second one ends the process at once, with exit status 130.
    pub(crate) fn on_signal() -> anyhow::Result<Stop> {
        Stop::on_signal_do(|| ())
    }

    /// As [`Stop::on_signal`], and has another thread do something at the first signal.
    pub(crate) fn on_signal_do(act: impl FnOnce() + Send + 'static) -> anyhow::Result<Stop> {
        let stop = Stop::default();
        let mut signals = Signals::of(&stop, act);
        ctrlc::set_handler(move || {
            if signals.another() == Verdict::AtOnce {
                std::process::exit(INTERRUPTED);
            }
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
        let started = Instant::now();
        if !is_closed_by(deadline(notice, started), |left| notices.wait(left)) {
            let waited = started.elapsed();
            tracing::error!("{name}: not closed within {waited:.1?}; the kernel takes it");
            std::process::exit(REFUSED.into());
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

/// The signals that came, which is not whether the command shall end: after a notice of the kernel's the first Ctrl-C
/// still lets it close its device.
struct Signals<F> {
    wanted: Arc<AtomicBool>,
    act: Option<F>,
}

/// What a signal asks for.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    InOrder,
    AtOnce,
}

impl<F: FnOnce() + Send + 'static> Signals<F> {
    fn of(stop: &Stop, act: F) -> Signals<F> {
        Signals {
            wanted: stop.flag(),
            act: Some(act),
        }
    }

    /// Takes a signal. What is done at the first has a thread of its own, so that nothing keeps the second from being
    /// seen.
    fn another(&mut self) -> Verdict {
        let Some(act) = self.act.take() else {
            return Verdict::AtOnce;
        };
        self.wanted.store(true, Ordering::Relaxed);
        std::thread::spawn(act);
        Verdict::InOrder
    }
}

/// Returns until when a device may be closed after `notice`.
fn deadline(notice: Notice, now: Instant) -> Instant {
    match notice {
        Notice::ReleaseRequested { until } => until.checked_sub(MARGIN).unwrap_or(now),
        _ => now + GRACE,
    }
}

/// Waits for the device to be closed. What else is told meanwhile, such as that its link broke when it was pulled out,
/// changes nothing.
fn is_closed_by(
    deadline: Instant,
    wait: impl Fn(Duration) -> Result<Option<Notice>, BusError>,
) -> bool {
    loop {
        match wait(deadline.saturating_duration_since(Instant::now())) {
            Ok(Some(Notice::Closed)) => return true,
            Ok(Some(_)) if Instant::now() < deadline => {}
            Ok(_) => return false,
            Err(error) => {
                tracing::warn!("not told of the device's end: {error}");
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Tells some notices one after the other, then nothing.
    fn told(notices: &[Notice]) -> impl Fn(Duration) -> Result<Option<Notice>, BusError> {
        let left = RefCell::new(notices.to_vec());
        move |_| {
            let mut left = left.borrow_mut();
            Ok((!left.is_empty()).then(|| left.remove(0)))
        }
    }

    #[test]
    fn the_second_signal_ends_at_once_although_the_first_is_still_at_work() {
        let stop = Stop::default();
        let (done, at_work) = std::sync::mpsc::channel();
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let mut signals = Signals::of(&stop, move || {
            let _ = blocked.recv_timeout(Duration::from_secs(5));
            let _ = done.send(());
        });
        assert_eq!(signals.another(), Verdict::InOrder);
        assert!(stop.is_wanted());
        assert_eq!(signals.another(), Verdict::AtOnce);
        assert!(at_work.try_recv().is_err(), "nobody waited for the first");
        drop(release);
    }

    #[test]
    fn the_first_signal_after_a_notice_still_lets_the_device_be_closed() {
        let stop = Stop::default();
        stop.flag().store(true, Ordering::Relaxed);
        let mut signals = Signals::of(&stop, || ());
        assert_eq!(signals.another(), Verdict::InOrder);
    }

    #[test]
    fn a_second_notice_is_no_deadline() {
        let soon = Instant::now() + Duration::from_secs(60);
        let again = Notice::ReleaseRequested { until: soon };
        let many = [Notice::FatalError, again, Notice::Closed];
        assert!(is_closed_by(soon, told(&many)));
        assert!(!is_closed_by(soon, told(&many[..2])), "nothing followed");
    }

    #[test]
    fn a_deadline_that_is_over_ends_the_wait() {
        let always = |_| Ok(Some(Notice::FatalError));
        assert!(!is_closed_by(Instant::now(), always));
    }

    #[test]
    fn the_kernel_is_not_kept_waiting_longer_than_it_said() {
        let now = Instant::now();
        let until = now + Duration::from_secs(10);
        let asked = deadline(Notice::ReleaseRequested { until }, now);
        assert_eq!(asked, until - MARGIN);
        assert_eq!(deadline(Notice::FatalError, now), now + GRACE);
    }
}
