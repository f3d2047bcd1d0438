//! The model's clock: virtual time that goes from one thing to the next, or real time.

use std::time::Duration;

use super::{Model, QUANTUM};
use crate::world::Upstream;

impl Model {
    /// Returns the model's time: virtual when stepped, else real.
    pub fn now(&self) -> Duration {
        match self.world.instant {
            true => self.start.elapsed(),
            false => Duration::from_nanos(self.world.now / 1000),
        }
    }

    /// Advances virtual time to the next thing that happens, or by a small step that grows while nothing does.
    pub fn relax(&mut self) {
        if self.world.instant {
            self.poll();
            return;
        }
        let step = self.world.now + self.quantum;
        match self.next_at() {
            Some(at) => {
                self.quantum = QUANTUM.0;
                self.run_until(at.max(self.world.now));
            }
            None => {
                self.quantum = (self.quantum * 2).min(QUANTUM.1);
                self.run_until(step);
            }
        }
    }

    /// Advances virtual time to the next thing that happens, but not beyond `deadline`.
    pub(crate) fn step_towards(&mut self, deadline: Duration) {
        let deadline = u64::try_from(deadline.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(1000);
        let at = self.next_at().unwrap_or(u64::MAX).min(deadline);
        self.run_until(at.max(self.world.now));
    }

    fn next_at(&self) -> Option<u64> {
        let posted = self.posted.front().map(|p| p.at);
        let sent = self.world.upstream.front().map(|(at, _)| *at);
        let tasks = [self.logic.next_at(), self.alive_at];
        [posted, sent].into_iter().chain(tasks).flatten().min()
    }

    /// Lets everything happen that falls due up to `until`, in order of time.
    pub(super) fn run_until(&mut self, until: u64) {
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.world.now = self.world.now.max(at);
            if self.posted.front().is_some_and(|p| p.at == at) {
                if let Some(p) = self.posted.pop_front() {
                    self.perform_write(p.bar, p.offset, p.width, p.value);
                }
            } else if self.world.upstream.front().is_some_and(|(t, _)| *t == at) {
                match self.world.upstream.pop_front() {
                    Some((_, Upstream::Write(sent))) => self.logic.deliver(&mut self.world, sent),
                    Some((_, Upstream::Message { vector })) => self.world.arrive(vector),
                    None => {}
                }
            } else if self.logic.next_at() == Some(at) {
                self.logic.run_next(&mut self.world);
            } else {
                self.alive_at = None;
            }
        }
        self.world.now = self.world.now.max(until);
    }

    /// Takes real time over into the model's clock.
    pub(super) fn tick(&mut self) {
        self.world.now = u64::try_from(self.start.elapsed().as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(1000);
    }
}
