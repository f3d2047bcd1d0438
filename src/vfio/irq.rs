//! Interrupts: an eventfd a vector, and those by which the kernel itself speaks to the process.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hwpool_devices::bus::{BusError, Irq};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use vfio_bindings::bindings::vfio as abi;

use super::device::DeviceFd;
use super::error::bus_error;
use super::sys;

/// An interrupt vector of a [`Function`](super::Function).
#[derive(Debug)]
pub struct VfioIrq {
    event: Arc<EventFd>,
}

impl Irq for VfioIrq {
    fn wait(&self, timeout: Duration) -> Result<u64, BusError> {
        wait_any(&[self.event.as_fd()], timeout)?;
        take(&self.event)
    }
}

/// What the kernel tells the process that drives a function.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The function is wanted back: it is being unbound or unplugged, and that waits until this process closes it.
    ReleaseRequested {
        /// When the kernel asks again, as it does every ten seconds (drivers/vfio/vfio_main.c,
        /// `vfio_unregister_group_dev`); it never takes the function by force. Counted from when this process first heard
        /// of it: a request that is repeated moves it no further.
        until: Instant,
    },
    /// The function's link reported an error that it does not recover from.
    FatalError,
    /// This process closed the function: nothing follows.
    Closed,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Notice::ReleaseRequested { .. } => {
                "the kernel wants the function back: it is being unbound or unplugged"
            }
            Notice::FatalError => {
                "the link reported an error that it does not recover from (`dmesg` tells more): reset the function"
            }
            Notice::Closed => "the function was closed",
        })
    }
}

/// The message interrupts of a function: MSI-X, or MSI where it has no MSI-X.
pub(super) struct Interrupts {
    device: Arc<DeviceFd>,
    index: u32,
    /// Vectors are enabled one by one; else room for all is made with the first.
    grows: bool,
    vectors: Mutex<Vec<Option<Arc<EventFd>>>>,
}

impl Interrupts {
    /// Learns what the function has, and enables nothing.
    pub(super) fn new(device: Arc<DeviceFd>) -> Interrupts {
        let info = |index| sys::irq_info(device.fd(), index).ok();
        let usable = |index| {
            info(index)
                .filter(|info| info.count > 0 && info.flags & abi::VFIO_IRQ_INFO_EVENTFD != 0)
        };
        let found =
            usable(abi::VFIO_PCI_MSIX_IRQ_INDEX).or_else(|| usable(abi::VFIO_PCI_MSI_IRQ_INDEX));
        let found = found.unwrap_or_default();
        // PCI allows 2048 vectors.
        let count = found.count.min(2048) as usize;
        Interrupts {
            index: found.index,
            grows: found.flags & abi::VFIO_IRQ_INFO_NORESIZE == 0,
            vectors: Mutex::new(vec![None; count]),
            device,
        }
    }

    pub(super) fn count(&self) -> u16 {
        self.vectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len() as u16
    }

    /// Enables a vector, or returns the counter that it has.
    ///
    /// Where room for all is made with the first and the machine has less, the function has fewer from then on.
    pub(super) fn vector(&self, vector: u16) -> Result<VfioIrq, BusError> {
        let mut vectors = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        let count = vectors.len() as u16;
        let is_first = vectors.iter().all(Option::is_none);
        let slot = vectors
            .get_mut(usize::from(vector))
            .ok_or(BusError::NoVector { vector, count })?;
        if let Some(event) = slot {
            return Ok(VfioIrq {
                event: Arc::clone(event),
            });
        }
        let event = Arc::new(new_event()?);
        let fd = event.as_raw_fd();
        let set = |start, fds: &[RawFd]| {
            sys::set_irqs(self.device.fd(), self.index, start, fds)
                .map_err(|errno| bus_error(SET_IRQS, errno))
        };
        let room = match is_first && !self.grows {
            true => first_of(vector, count, fd, |fds| set(0, fds))?,
            false => all(set(vector.into(), &[fd])?).map(|()| count)?,
        };
        vectors.truncate(room.into());
        vectors[usize::from(vector)] = Some(Arc::clone(&event));
        Ok(VfioIrq { event })
    }
}

const SET_IRQS: &str = "VFIO_DEVICE_SET_IRQS";

/// Enables one vector and makes room for all `count`, or for as many as the machine has left: tells how many.
fn first_of(
    vector: u16,
    count: u16,
    fd: RawFd,
    set: impl Fn(&[RawFd]) -> Result<i32, BusError>,
) -> Result<u16, BusError> {
    let room = set(&alone(vector, count, fd))?;
    let Some(fewer) = u16::try_from(room).ok().filter(|fewer| *fewer > 0) else {
        return Ok(count);
    };
    if fewer <= vector || fewer >= count {
        return Err(bus_error(SET_IRQS, Errno::ENOSPC));
    }
    tracing::warn!(
        "the function offers {count} interrupt vectors and the machine has {fewer} left for it: {fewer} are used; \
         others' drivers, unbound or with fewer queues, set more free"
    );
    all(set(&alone(vector, fewer, fd))?).map(|()| fewer)
}

/// Refuses an answer that says how many vectors could be had instead.
fn all(room: i32) -> Result<(), BusError> {
    match room {
        0 => Ok(()),
        _ => Err(bus_error(SET_IRQS, Errno::ENOSPC)),
    }
}

/// The legacy interrupt of a function: a level that the device holds until its cause is gone, so the kernel masks it
/// each time that it fires. Disabled when it is dropped.
#[derive(Debug)]
pub struct Intx {
    device: Arc<DeviceFd>,
    event: EventFd,
}

impl Intx {
    pub(super) fn enable(device: &Arc<DeviceFd>) -> Result<Intx, BusError> {
        let index = abi::VFIO_PCI_INTX_IRQ_INDEX;
        let info = sys::irq_info(device.fd(), index)
            .map_err(|errno| bus_error("VFIO_DEVICE_GET_IRQ_INFO", errno))?;
        if info.count == 0 {
            return Err(BusError::NoVector {
                vector: 0,
                count: 0,
            });
        }
        let event = new_event()?;
        sys::set_irqs(device.fd(), index, 0, &[event.as_raw_fd()])
            .map_err(|errno| bus_error("VFIO_DEVICE_SET_IRQS", errno))?;
        let device = Arc::clone(device);
        Ok(Intx { device, event })
    }

    /// Lets it fire again; to be called once the device no longer holds it, or it fires at once.
    ///
    /// # Errors
    ///
    /// [`BusError::Os`] where the kernel refuses.
    pub fn unmask(&self) -> Result<(), BusError> {
        sys::unmask_intx(self.device.fd()).map_err(|errno| bus_error("VFIO_DEVICE_SET_IRQS", errno))
    }
}

impl Irq for Intx {
    fn wait(&self, timeout: Duration) -> Result<u64, BusError> {
        wait_any(&[self.event.as_fd()], timeout)?;
        take(&self.event)
    }
}

impl Drop for Intx {
    fn drop(&mut self) {
        // Best effort: closing the function disables it, too.
        let _ = sys::set_irqs(self.device.fd(), abi::VFIO_PCI_INTX_IRQ_INDEX, 0, &[]);
    }
}

/// Lists descriptors for `count` vectors of which one has its eventfd.
fn alone(vector: u16, count: u16, fd: RawFd) -> Vec<RawFd> {
    (0..count)
        .map(|n| if n == vector { fd } else { -1 })
        .collect()
}

/// How long the kernel waits for a function before it asks again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The interrupts by which the kernel speaks to the process that drives a function.
///
/// Each clone hears every notice, those before it was made, too. Threads that share one clone share what it hears. They
/// do not keep the function open, so that a thread that waits for notices stands in nobody's way.
#[derive(Debug)]
pub struct Notices {
    source: Arc<Source>,
    /// What this clone has not heard yet; made by its first wait, which can say why it fails.
    epoll: OnceLock<Epoll>,
}

#[derive(Debug)]
struct Source {
    /// Nobody reads these: an eventfd that counts on wakes every clone at every count.
    armed: Vec<(Kind, EventFd)>,
    /// When somebody first heard that the function is wanted back.
    asked: OnceLock<Instant>,
}

/// A [`Notice`] without what is known once it is heard.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Kind {
    ReleaseRequested,
    FatalError,
    Closed,
}

impl Clone for Notices {
    fn clone(&self) -> Notices {
        Notices::of(Arc::clone(&self.source))
    }
}

impl Notices {
    /// Arms those that the function has. One that can't be armed is left out: the function works without.
    pub(super) fn arm(device: &DeviceFd) -> Result<Notices, BusError> {
        let kinds = [
            (Kind::ReleaseRequested, abi::VFIO_PCI_REQ_IRQ_INDEX),
            (Kind::FatalError, abi::VFIO_PCI_ERR_IRQ_INDEX),
        ];
        let arm = |(kind, index)| {
            let info = sys::irq_info(device.fd(), index).ok()?;
            let event = new_event().ok().filter(|_| info.count == 1)?;
            let armed = sys::set_irqs(device.fd(), index, 0, &[event.as_raw_fd()]);
            armed.is_ok().then_some((kind, event))
        };
        let armed = kinds.into_iter().filter_map(arm);
        let armed = armed.chain([(Kind::Closed, new_event()?)]).collect();
        let asked = OnceLock::new();
        Ok(Notices::of(Arc::new(Source { armed, asked })))
    }

    fn of(source: Arc<Source>) -> Notices {
        let epoll = OnceLock::new();
        Notices { source, epoll }
    }

    /// Waits for the next, at most `timeout`; `None` where none came. After [`Notice::Closed`] every call returns it
    /// at once.
    ///
    /// A process that is asked to release the function should close it soon: until then whoever unbinds or unplugs
    /// it waits.
    ///
    /// # Errors
    ///
    /// [`BusError::Os`] where waiting fails.
    pub fn wait(&self, timeout: Duration) -> Result<Option<Notice>, BusError> {
        let started = Instant::now();
        let epoll = self.epoll()?;
        // One at a time: what else is ready stays so.
        let mut heard = [EpollEvent::empty()];
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            let limit = millis(left);
            match epoll.wait(
                &mut heard,
                EpollTimeout::try_from(limit).unwrap_or(EpollTimeout::MAX),
            ) {
                Ok(0) if started.elapsed() < timeout => {}
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(self.notice(heard[0].data() as usize)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(bus_error("epoll_wait", errno)),
            }
        }
    }

    /// Returns what tells this clone what it has not heard yet.
    fn epoll(&self) -> Result<&Epoll, BusError> {
        if let Some(epoll) = self.epoll.get() {
            return Ok(epoll);
        }
        let error = |errno| bus_error("epoll", errno);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(error)?;
        for (index, (kind, event)) in self.source.armed.iter().enumerate() {
            // A level for what stays so; else the edge, which each clone hears once for each count.
            let flags = match kind {
                Kind::Closed => EpollFlags::EPOLLIN,
                _ => EpollFlags::EPOLLIN | EpollFlags::EPOLLET,
            };
            let interest = EpollEvent::new(flags, index as u64);
            epoll.add(event, interest).map_err(error)?;
        }
        Ok(self.epoll.get_or_init(|| epoll))
    }

    fn notice(&self, index: usize) -> Option<Notice> {
        Some(match self.source.armed.get(index)?.0 {
            Kind::ReleaseRequested => Notice::ReleaseRequested {
                until: *self.source.asked.get_or_init(Instant::now) + PATIENCE,
            },
            Kind::FatalError => Notice::FatalError,
            Kind::Closed => Notice::Closed,
        })
    }

    /// Tells all waiters that nothing follows.
    pub(super) fn close(&self) {
        let armed = self.source.armed.iter();
        for (_, event) in armed.filter(|(kind, _)| *kind == Kind::Closed) {
            // An eventfd refuses a one only when its counter is full, and then it wakes waiters as well.
            let _ = event.write(1);
        }
    }
}

fn new_event() -> Result<EventFd, BusError> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    EventFd::from_value_and_flags(0, flags).map_err(|errno| bus_error("eventfd", errno))
}

/// Takes the count of an eventfd: 0 where nothing happened.
fn take(event: &EventFd) -> Result<u64, BusError> {
    match event.read() {
        Ok(count) => Ok(count),
        Err(Errno::EAGAIN) => Ok(0),
        Err(errno) => Err(bus_error("read of an eventfd", errno)),
    }
}

/// Waits until one of the descriptors is readable or `timeout` is over; signals do not end it. Tells which are.
fn wait_any(fds: &[BorrowedFd<'_>], timeout: Duration) -> Result<Vec<bool>, BusError> {
    let mut fds: Vec<_> = fds
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    let started = Instant::now();
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        let timeout = PollTimeout::try_from(millis(left)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) if started.elapsed() < left => {}
            Ok(_) => {
                let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
                return Ok(fds.iter().map(ready).collect());
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(bus_error("poll", errno)),
        }
    }
}

/// Returns a time in milliseconds, rounded up: a wait that is woken early would be a timeout that came early.
fn millis(time: Duration) -> i32 {
    time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_counts_since_it_was_last_looked_at() {
        let event = Arc::new(new_event().unwrap());
        let irq = VfioIrq {
            event: Arc::clone(&event),
        };
        assert_eq!(irq.wait(Duration::ZERO), Ok(0));
        event.write(1).unwrap();
        event.write(1).unwrap();
        assert_eq!(irq.wait(Duration::from_secs(60)), Ok(2));
        assert_eq!(irq.wait(Duration::ZERO), Ok(0));
    }

    #[test]
    fn a_wait_lasts_its_timeout_and_no_less() {
        let irq = VfioIrq {
            event: Arc::new(new_event().unwrap()),
        };
        let started = Instant::now();
        assert_eq!(irq.wait(Duration::from_micros(2_500)), Ok(0));
        assert!(started.elapsed() >= Duration::from_micros(2_500));
    }

    const LONG: Duration = Duration::from_secs(60);

    fn notices() -> Notices {
        let kinds = [Kind::ReleaseRequested, Kind::FatalError, Kind::Closed];
        Notices::of(Arc::new(Source {
            armed: kinds.map(|kind| (kind, new_event().unwrap())).into(),
            asked: OnceLock::new(),
        }))
    }

    impl Notices {
        /// Does what the kernel does.
        fn raise(&self, kind: Kind) {
            let mut armed = self.source.armed.iter();
            let (_, event) = armed.find(|(armed, _)| *armed == kind).unwrap();
            event.write(1).unwrap();
        }
    }

    #[test]
    fn notices_are_told_apart() {
        let notices = notices();
        assert_eq!(notices.wait(Duration::ZERO), Ok(None));
        notices.raise(Kind::FatalError);
        assert_eq!(notices.wait(LONG), Ok(Some(Notice::FatalError)));
        assert_eq!(notices.wait(Duration::ZERO), Ok(None));
        let another = notices.clone();
        notices.close();
        for waiter in [&notices, &another, &notices] {
            let heard = std::iter::repeat_with(|| waiter.wait(LONG));
            let mut heard = heard.skip_while(|heard| *heard == Ok(Some(Notice::FatalError)));
            assert_eq!(heard.next(), Some(Ok(Some(Notice::Closed))));
        }
    }

    #[test]
    fn each_clone_hears_every_notice() {
        let first = notices();
        let second = first.clone();
        for round in 0..2 {
            first.raise(Kind::FatalError);
            for waiter in [&first, &second] {
                let heard = waiter.wait(LONG);
                assert_eq!(heard, Ok(Some(Notice::FatalError)), "round {round}");
                assert_eq!(waiter.wait(Duration::ZERO), Ok(None), "round {round}");
            }
        }
        let late = first.clone();
        assert_eq!(late.wait(LONG), Ok(Some(Notice::FatalError)));
    }

    #[test]
    fn threads_that_wait_are_all_woken() {
        let notices = notices();
        let waiters = [(); 4].map(|()| {
            let notices = notices.clone();
            std::thread::spawn(move || notices.wait(LONG))
        });
        notices.raise(Kind::FatalError);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Ok(Some(Notice::FatalError)));
        }
    }

    #[test]
    fn a_request_for_release_has_one_deadline_for_all() {
        let notices = notices();
        let before = Instant::now();
        notices.raise(Kind::ReleaseRequested);
        let first = notices.wait(LONG).unwrap();
        let Some(Notice::ReleaseRequested { until }) = first else {
            panic!("{first:?}");
        };
        assert!(before + PATIENCE <= until && until <= Instant::now() + PATIENCE);
        notices.raise(Kind::ReleaseRequested);
        assert_eq!(notices.wait(LONG), Ok(first), "asked again");
        assert_eq!(notices.clone().wait(LONG), Ok(first));
    }

    #[test]
    fn where_the_machine_has_fewer_vectors_fewer_are_used() {
        /// A kernel that has so many, and what it was asked.
        fn asked(vector: u16, left: usize) -> (Result<u16, BusError>, Vec<Vec<RawFd>>) {
            let calls = std::cell::RefCell::new(vec![]);
            let room = first_of(vector, 4, 9, |fds| {
                calls.borrow_mut().push(fds.to_vec());
                Ok(if fds.len() > left { left as i32 } else { 0 })
            });
            (room, calls.into_inner())
        }
        assert_eq!(asked(1, 4), (Ok(4), vec![vec![-1, 9, -1, -1]]));
        let fewer = vec![vec![-1, 9, -1, -1], vec![-1, 9]];
        assert_eq!(asked(1, 2), (Ok(2), fewer));
        let (none, _) = asked(2, 2);
        assert!(
            matches!(none, Err(BusError::Os { errno: 28, .. })),
            "{none:?}"
        );
        let odd = first_of(0, 4, 9, |_| Ok(3));
        assert!(odd.is_err(), "a kernel that takes its word back");
    }

    #[test]
    fn kernels_that_do_not_grow_get_room_for_all_vectors_at_once() {
        assert_eq!(alone(1, 3, 9), [-1, 9, -1]);
    }
}
