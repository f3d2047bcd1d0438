//! The model's clock: virtual time that goes from one thing to the next, or real time.

use std::time::Duration;

use super::{Model, QUANTUM};
use crate::world::Task;

impl Model {
    /// Returns the model's time: virtual when stepped, else real.
    pub fn now(&self) -> Duration {
        match self.w.instant {
            true => self.start.elapsed(),
            false => Duration::from_nanos(self.w.now / 1000),
        }
    }

    /// Advances virtual time to the next thing that happens, or by a small step that grows while nothing does.
    pub fn relax(&mut self) {
        if self.w.instant {
            self.poll();
            return;
        }
        let step = self.w.now + self.quantum;
        match self.next_at() {
            Some(at) => {
                self.quantum = QUANTUM.0;
                self.run_until(at.max(self.w.now));
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
        self.run_until(at.max(self.w.now));
    }

    fn next_at(&self) -> Option<u64> {
        let posted = self.posted.front().map(|p| p.at);
        let sent = self.w.upstream.front().map(|(at, _)| *at);
        let task = self.w.agenda.peek().map(|entry| entry.0.0);
        [posted, sent, task].into_iter().flatten().min()
    }

    /// Lets everything happen that falls due up to `until`, in order of time.
    pub(super) fn run_until(&mut self, until: u64) {
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.w.now = self.w.now.max(at);
            if self.posted.front().is_some_and(|p| p.at == at) {
                if let Some(p) = self.posted.pop_front() {
                    self.perform_write(p.bar, p.offset, p.width, p.value);
                }
            } else if self.w.upstream.front().is_some_and(|(t, _)| *t == at) {
                if let Some((_, item)) = self.w.upstream.pop_front() {
                    self.bmu.deliver(&mut self.w, item);
                }
            } else if let Some(entry) = self.w.agenda.pop() {
                self.run_task(entry.0.2);
            }
        }
        self.w.now = self.w.now.max(until);
    }

    pub(super) fn run_task(&mut self, task: Task) {
        if !self.w.gone {
            self.bmu.run(&mut self.w, task);
        }
    }

    /// Takes real time over into the model's clock.
    pub(super) fn tick(&mut self) {
        self.w.now = u64::try_from(self.start.elapsed().as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(1000);
    }
}
