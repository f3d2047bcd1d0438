//! Interrupts: an eventfd a vector, and those by which the kernel itself speaks to the process.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hwpool_devices::bus::{BusError, Irq};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use vfio_bindings::bindings::vfio as v;

use super::device::Device;
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
    ReleaseRequested,
    /// The function's link reported an error that it does not recover from.
    FatalError,
    /// This process closed the function: nothing follows.
    Closed,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Notice::ReleaseRequested => {
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
    device: Arc<Device>,
    index: u32,
    /// Vectors are enabled one by one; else room for all is made with the first.
    grows: bool,
    vectors: Mutex<Vec<Option<Arc<EventFd>>>>,
}

impl Interrupts {
    /// Learns what the function has, and enables nothing.
    pub(super) fn new(device: Arc<Device>) -> Interrupts {
        let info = |index| sys::irq_info(device.fd(), index).ok();
        let usable = |index| {
            info(index).filter(|info| info.count > 0 && info.flags & v::VFIO_IRQ_INFO_EVENTFD != 0)
        };
        let found =
            usable(v::VFIO_PCI_MSIX_IRQ_INDEX).or_else(|| usable(v::VFIO_PCI_MSI_IRQ_INDEX));
        let found = found.unwrap_or_default();
        // PCI allows 2048 vectors.
        let count = found.count.min(2048) as usize;
        Interrupts {
            index: found.index,
            grows: found.flags & v::VFIO_IRQ_INFO_NORESIZE == 0,
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
        match is_first && !self.grows {
            true => self.enable(0, &alone(vector, count, fd))?,
            false => self.enable(vector.into(), &[fd])?,
        }
        *slot = Some(Arc::clone(&event));
        Ok(VfioIrq { event })
    }

    fn enable(&self, start: u32, fds: &[RawFd]) -> Result<(), BusError> {
        let call = "VFIO_DEVICE_SET_IRQS";
        match sys::set_irqs(self.device.fd(), self.index, start, fds) {
            Ok(0) => Ok(()),
            // Fewer than asked for.
            Ok(_) => Err(bus_error(call, Errno::ENOSPC)),
            Err(errno) => Err(bus_error(call, errno)),
        }
    }
}

/// The legacy interrupt of a function: a level that the device holds until its cause is gone, so the kernel masks it
/// each time that it fires. Disabled when it is dropped.
#[derive(Debug)]
pub struct Intx {
    device: Arc<Device>,
    event: EventFd,
}

impl Intx {
    pub(super) fn enable(device: &Arc<Device>) -> Result<Intx, BusError> {
        let index = v::VFIO_PCI_INTX_IRQ_INDEX;
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
        let _ = sys::set_irqs(self.device.fd(), v::VFIO_PCI_INTX_IRQ_INDEX, 0, &[]);
    }
}

/// Lists descriptors for `count` vectors of which one has its eventfd.
fn alone(vector: u16, count: u16, fd: RawFd) -> Vec<RawFd> {
    (0..count)
        .map(|n| if n == vector { fd } else { -1 })
        .collect()
}

/// The interrupts by which the kernel speaks to the process that drives a function.
///
/// Clones hear the same notices, each by one of them alone. They do not keep the function open, so that a thread that
/// waits for notices stands in nobody's way.
#[derive(Debug, Clone)]
pub struct Notices {
    armed: Arc<[(Notice, EventFd)]>,
}

impl Notices {
    /// Arms those that the function has. One that can't be armed is left out: the function works without.
    pub(super) fn arm(device: &Device) -> Result<Notices, BusError> {
        let kinds = [
            (Notice::ReleaseRequested, v::VFIO_PCI_REQ_IRQ_INDEX),
            (Notice::FatalError, v::VFIO_PCI_ERR_IRQ_INDEX),
        ];
        let arm = |(notice, index)| {
            let info = sys::irq_info(device.fd(), index).ok()?;
            let event = new_event().ok().filter(|_| info.count == 1)?;
            let armed = sys::set_irqs(device.fd(), index, 0, &[event.as_raw_fd()]);
            armed.is_ok().then_some((notice, event))
        };
        let armed = kinds.into_iter().filter_map(arm);
        Ok(Notices {
            armed: armed.chain([(Notice::Closed, new_event()?)]).collect(),
        })
    }

    /// Waits for the first, at most `timeout`; `None` where none came. After [`Notice::Closed`] every call returns it
    /// at once.
    ///
    /// A process that is asked to release the function should close it soon: until then whoever unbinds or unplugs
    /// it waits, and the kernel asks again every ten seconds (drivers/vfio/vfio_main.c, `vfio_unregister_group_dev`).
    ///
    /// # Errors
    ///
    /// [`BusError::Os`] where waiting fails.
    pub fn wait(&self, timeout: Duration) -> Result<Option<Notice>, BusError> {
        let fds: Vec<_> = self.armed.iter().map(|(_, event)| event.as_fd()).collect();
        let ready = wait_any(&fds, timeout)?;
        for ((notice, event), ready) in self.armed.iter().zip(ready) {
            // Not taken, so that every waiter hears of it.
            let is_for_all = *notice == Notice::Closed;
            if ready && (is_for_all || take(event)? > 0) {
                return Ok(Some(*notice));
            }
        }
        Ok(None)
    }

    /// Tells all waiters that nothing follows.
    pub(super) fn close(&self) {
        for (_, event) in self.armed.iter().filter(|(n, _)| *n == Notice::Closed) {
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
        // Rounded up: a wait that is woken early would be a timeout that came early.
        let millis = left.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
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

    #[test]
    fn notices_are_told_apart() {
        let kinds = [Notice::ReleaseRequested, Notice::FatalError, Notice::Closed];
        let notices = Notices {
            armed: kinds.map(|kind| (kind, new_event().unwrap())).into(),
        };
        assert_eq!(notices.wait(Duration::ZERO), Ok(None));
        notices.armed[1].1.write(1).unwrap();
        assert_eq!(
            notices.wait(Duration::from_secs(60)),
            Ok(Some(Notice::FatalError))
        );
        assert_eq!(notices.wait(Duration::ZERO), Ok(None));
        let another = notices.clone();
        notices.close();
        for waiter in [&notices, &another] {
            assert_eq!(
                waiter.wait(Duration::from_secs(60)),
                Ok(Some(Notice::Closed))
            );
        }
    }

    #[test]
    fn kernels_that_do_not_grow_get_room_for_all_vectors_at_once() {
        assert_eq!(alone(1, 3, 9), [-1, 9, -1]);
    }
}
