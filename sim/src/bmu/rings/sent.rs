//! What portals send to host memory, and whether they may.

use crate::bmu::device::Bmu;
use crate::faults::FaultKind;
use crate::iommu::Span;
use crate::violation::ViolationKind;
use crate::world::{Sent, Ticket, World};

/// What a portal sends to host memory.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Acquire entries, next to each other, from that one on.
    Entries { first: u32 },
    /// A status line; the portal becomes disabled when the last has arrived.
    Status { last: bool },
}

impl Kind {
    pub(super) fn ticket(self, portal: usize, epoch: u64) -> Ticket {
        let kind = match self {
            Kind::Status { last } => u64::from(last),
            Kind::Entries { first } => 2 | u64::from(first) << 32,
        };
        Ticket {
            channel: portal as u16,
            epoch,
            kind,
        }
    }

    fn from_ticket(ticket: Ticket) -> Kind {
        match ticket.kind & 2 {
            0 => Kind::Status {
                last: ticket.kind & 1 != 0,
            },
            _ => Kind::Entries {
                first: (ticket.kind >> 32) as u32,
            },
        }
    }
}

impl Bmu {
    /// Writes a word into the middle of a buffer, if memory is mapped there.
    pub(in crate::bmu) fn write_buffer(&self, world: &World, pool_id: usize, address: u64) {
        let pool = &self.pools[pool_id];
        if (pool.base..pool.end).contains(&address) && world.is_master() {
            let middle = address + u64::from(pool.stride / 2);
            let _ = store(&mut Span::new(middle, 8), world, &[address]);
        }
    }

    /// Tells whether the device knows of a write that is refused now (SPEC 6.7).
    pub(super) fn sees_refusal(&self, world: &World) -> bool {
        self.config.write_faults || !world.is_master()
    }

    /// Something that a portal has sent arrives in host memory, or can't.
    pub(in crate::bmu) fn land(&mut self, world: &mut World, sent: Sent) {
        let Sent {
            iova,
            words,
            ticket,
        } = sent;
        let portal_id = usize::from(ticket.channel);
        if self.portals[portal_id].epoch != ticket.epoch {
            // Sent in an earlier life, before the reset: it was on the wire.
            let _ = store(&mut Span::new(iova, words.len() as u64 * 8), world, &words);
        } else {
            match Kind::from_ticket(ticket) {
                Kind::Entries { first } => self.land_entries(world, portal_id, first, &words),
                Kind::Status { last } => self.land_status(world, portal_id, iova, &words, last),
            }
        }
        world.recycle(words);
    }
}

/// A write is refused and nobody tells the device: the bench alone knows.
pub(super) fn lose(world: &mut World, portal: usize, sent: Sent) {
    let place = format!("IOVA {:#x} of portal {portal}", sent.iova);
    world.violation(ViolationKind::DmaRefused, place, sent.iova);
    world.recycle(sent.words);
}

/// Tells whether the device may use the bus for a portal now.
pub(super) fn may_dma(world: &mut World, portal: u16) -> bool {
    if !world.is_master() {
        let place = format!("portal {portal}");
        world.violation(ViolationKind::BusMasterOff, place, 0);
        return false;
    }
    let spoiled = (world.faults).hit(FaultKind::DmaFault, "PORTAL_DOORBELL", portal);
    !world.gone && spoiled.is_none()
}

/// Stores words at the start of a span, in rising order.
pub(super) fn store(span: &mut Span, world: &World, words: &[u64]) -> Option<()> {
    let view = span
        .at(&world.iommu, 0)
        .filter(|v| v.len >= words.len() * 8)?;
    view.store_all(words).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_tells_what_was_sent() {
        for kind in [
            Kind::Entries { first: 0 },
            Kind::Entries { first: u32::MAX },
            Kind::Status { last: false },
            Kind::Status { last: true },
        ] {
            assert_eq!(Kind::from_ticket(kind.ticket(3, 7)), kind);
        }
    }
}
