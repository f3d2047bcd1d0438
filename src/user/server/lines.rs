//! Interrupt lines: which eventfd listens to which interrupt.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::errno::Errno;
use crate::user::sync::lock;

/// Kinds of interrupts of a PCI function: INTx, MSI, MSI-X, error and request.
pub(super) const KINDS: u32 = 5;

/// The interrupts of a device, with the eventfds that its client gave.
///
/// Any thread of the device may raise them; an interrupt that nobody listens to is lost, as on hardware.
#[derive(Debug)]
pub struct Lines {
    kinds: [Mutex<Vec<Line>>; KINDS as usize],
}

#[derive(Debug, Default)]
struct Line {
    eventfd: Option<OwnedFd>,
    masked: bool,
    /// Fired while masked.
    pending: bool,
}

impl Line {
    /// Signals the eventfd. A counter that is full already says enough.
    fn fire(&mut self) {
        if self.masked {
            self.pending = true;
        } else if let Some(eventfd) = &self.eventfd
            && has_room(eventfd)
        {
            let _ = nix::unistd::write(eventfd, &1u64.to_ne_bytes());
        }
    }

    fn mask(&mut self, masked: bool) {
        self.masked = masked;
        if !masked && std::mem::take(&mut self.pending) {
            self.fire();
        }
    }
}

/// Tells whether a write would not block, for a full counter would stop the device. The client shares the flags of the
/// open file: one that blocks in its reads would get EAGAIN there if these writes were made not to block.
fn has_room(eventfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(eventfd.as_fd(), PollFlags::POLLOUT)];
    let ready = poll(&mut fds, PollTimeout::ZERO);
    ready.is_ok()
        && fds[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLOUT))
}

impl Lines {
    /// Makes as many lines of each kind as `counts` says: INTx, MSI, MSI-X, error, request.
    pub fn new(counts: [u32; 5]) -> Lines {
        Lines {
            kinds: counts.map(|count| Mutex::new((0..count).map(|_| Line::default()).collect())),
        }
    }

    /// Returns how many lines of a kind there are; 0 for an unknown one.
    pub fn count(&self, kind: u32) -> u32 {
        self.kind(kind).map_or(0, |lines| lines.len() as u32)
    }

    /// Raises an interrupt; one that is not there is ignored.
    pub fn fire(&self, kind: u32, line: u32) {
        if let Some(mut lines) = self.kind(kind)
            && let Some(line) = lines.get_mut(line as usize)
        {
            line.fire();
        }
    }

    /// Tells whether the client listens to a line.
    pub fn is_heard(&self, kind: u32, line: u32) -> bool {
        self.kind(kind).is_some_and(|lines| {
            lines
                .get(line as usize)
                .is_some_and(|line| line.eventfd.is_some())
        })
    }

    /// Gives eventfds to the lines from `start` on.
    pub(super) fn assign(
        &self,
        kind: u32,
        start: u32,
        eventfds: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        let range = start..start.saturating_add(eventfds.len() as u32);
        let mut eventfds = eventfds.into_iter();
        self.each(kind, range, |line, _| line.eventfd = eventfds.next())
    }

    /// Closes the eventfds of a range.
    pub(super) fn release(&self, kind: u32, range: Range<u32>) -> Result<(), Errno> {
        self.each(kind, range, |line, _| *line = Line::default())
    }

    /// Raises those of a range that `chosen` names by their number in it.
    pub(super) fn fire_some(
        &self,
        kind: u32,
        range: Range<u32>,
        chosen: impl Fn(usize) -> bool,
    ) -> Result<(), Errno> {
        self.each(kind, range, |line, i| {
            if chosen(i) {
                line.fire();
            }
        })
    }

    /// Masks or unmasks those of a range that `chosen` names by their number in it.
    pub(super) fn mask_some(
        &self,
        kind: u32,
        range: Range<u32>,
        masked: bool,
        chosen: impl Fn(usize) -> bool,
    ) -> Result<(), Errno> {
        self.each(kind, range, |line, i| {
            if chosen(i) {
                line.mask(masked);
            }
        })
    }

    /// Closes every eventfd.
    pub(super) fn release_all(&self) {
        for kind in 0..KINDS {
            let _ = self.release(kind, 0..self.count(kind));
        }
    }

    fn kind(&self, kind: u32) -> Option<MutexGuard<'_, Vec<Line>>> {
        let lines = self.kinds.get(kind as usize)?;
        Some(lock(lines))
    }

    fn each(
        &self,
        kind: u32,
        range: Range<u32>,
        mut act: impl FnMut(&mut Line, usize),
    ) -> Result<(), Errno> {
        let mut lines = self.kind(kind).ok_or(Errno::EINVAL)?;
        let range = range.start as usize..range.end as usize;
        let lines = lines.get_mut(range).ok_or(Errno::EINVAL)?;
        for (i, line) in lines.iter_mut().enumerate() {
            act(line, i);
        }
        Ok(())
    }
}
