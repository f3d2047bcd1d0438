//! What may come once a buffer is said once, and counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often something came that is logged the first time only.
#[derive(Debug, Default)]
pub(crate) struct Often(AtomicU64);

impl Often {
    /// Counts one more; tells whether it is the first since the last [`Often::take`].
    pub(crate) fn is_first(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Takes the count where it is more than the one that was logged.
    pub(crate) fn take(&self) -> Option<u64> {
        let count = self.0.swap(0, Ordering::Relaxed);
        (count > 1).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_the_rest_are_counted() {
        let often = Often::default();
        assert_eq!(often.take(), None);
        assert!(often.is_first());
        assert_eq!(often.take(), None, "that one was logged");
        assert!(often.is_first() && !often.is_first() && !often.is_first());
        assert_eq!(often.take(), Some(3));
        assert!(often.is_first(), "another round begins");
    }
}
