//! How readily the bridge takes part in handshakes: at once, or as a seed has it.

use fastrand::Rng;

/// The pace of handshakes.
#[derive(Debug, Clone)]
pub(crate) struct Pace(Option<Rng>);

impl Pace {
    /// Always ready.
    pub(crate) fn steady() -> Pace {
        Pace(None)
    }

    /// Ready now and then; the same seed is ready in the same cycles.
    pub(crate) fn seeded(seed: u64) -> Pace {
        Pace(Some(Rng::with_seed(seed)))
    }

    /// Returns another pace that depends on the same seed and not on how this one goes on.
    pub(crate) fn fork(&mut self) -> Pace {
        Pace(self.0.as_mut().map(Rng::fork))
    }

    /// Returns the cycles to wait before VALID or READY: mostly few, at times many, so that queues run full.
    pub(crate) fn delay(&mut self) -> u32 {
        let Some(rng) = &mut self.0 else { return 0 };
        match rng.u32(0..16) {
            0..8 => 0,
            8..15 => rng.u32(1..5),
            _ => rng.u32(5..40),
        }
    }

    /// Tells whether READY is 1 in a cycle in which nobody asks yet.
    pub(crate) fn is_early(&mut self) -> bool {
        self.0.as_mut().is_none_or(Rng::bool)
    }

    /// Chooses one of several; without a seed the first.
    pub(crate) fn choose(&mut self, count: usize) -> usize {
        match &mut self.0 {
            Some(rng) if count > 1 => rng.usize(0..count),
            _ => 0,
        }
    }
}
