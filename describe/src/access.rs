//! What reads and writes of each register do, by what the description uses it for.

use hwpool_devices::description::{Clear, Description, Pop, Write};
use hwpool_devices::reg::Access;

use crate::rows::Row;

/// Settles the access of each register: what a file says of it, refined by its use, or its use alone.
pub(crate) fn settle(rows: &[Row], description: &mut Description) {
    for (register, row) in rows.iter().enumerate() {
        let uses = Uses::of(description, register);
        description.registers[register].access = match row.stated {
            Some(stated) => uses.refine(stated),
            None => uses.alone(),
        };
    }
}

/// What a description uses a register for.
struct Uses {
    popped: bool,
    pushed: bool,
    written: bool,
    kept: bool,
    looked_at: bool,
    cleared: Option<Clear>,
    raised: bool,
}

impl Uses {
    fn of(d: &Description, register: usize) -> Uses {
        let takes = !matches!(d.pop, Pop::Acknowledge { .. });
        let is_popped = d.pop.from().registers().any(|r| r == register);
        let irq = d.interrupt.as_ref();
        let kept = (d.enable.iter().map(|set| set.bits.register))
            .chain(irq.and_then(|irq| irq.enable).map(|set| set.bits.register))
            .chain(irq.and_then(|irq| irq.threshold).map(|bits| bits.register))
            .chain(d.scratch);
        let looked_at = (d.level.map(|bits| bits.register))
            .into_iter()
            .chain(d.identity.map(|(register, _)| register))
            .chain([d.alive]);
        let pending = irq.and_then(|irq| irq.pending.map(|bits| (bits.register, irq.clear)));
        let sticky = d
            .full
            .sticky
            .map(|test| (test.bits.register, Clear::WriteOne));
        let mut cleared = pending.into_iter().chain(sticky);
        Uses {
            popped: is_popped && takes,
            pushed: d.push.to.registers().any(|r| r == register),
            written: writes(d).any(|write| write.register == register),
            kept: kept.into_iter().any(|r| r == register),
            looked_at: (is_popped && !takes) || looked_at.into_iter().any(|r| r == register),
            cleared: cleared.find(|(r, _)| *r == register).map(|(_, how)| how),
            raised: irq.is_some_and(|irq| irq.raise.is_some_and(|bits| bits.register == register)),
        }
    }

    /// Returns what the use tells, where no file says anything.
    fn alone(&self) -> Access {
        let written = self.pushed || self.written;
        match self {
            Uses { popped: true, .. } if written => Access::BothEffects,
            Uses { popped: true, .. } => Access::ReadEffect,
            Uses {
                cleared: Some(how), ..
            } => match how {
                Clear::WriteOne => Access::WriteOneToClear,
                Clear::WriteZero => Access::ReadWrite,
                Clear::Read => Access::ReadEffect,
                Clear::Itself => Access::ReadOnly,
            },
            Uses { raised: true, .. } => Access::WriteOneToSet,
            Uses { kept: true, .. } => Access::ReadWrite,
            Uses {
                looked_at: true, ..
            } if written => Access::ReadWrite,
            _ if written => Access::WriteOnly,
            _ => Access::ReadOnly,
        }
    }

    /// Returns what a file says, with the effects that it left out: few formats can name those.
    fn refine(&self, stated: Access) -> Access {
        let takes = self.popped || self.cleared == Some(Clear::Read);
        match stated {
            Access::ReadOnly if takes && self.pushed => Access::BothEffects,
            Access::ReadOnly if takes => Access::ReadEffect,
            Access::ReadWrite if takes => Access::BothEffects,
            Access::ReadEffect if self.pushed => Access::BothEffects,
            Access::ReadWrite if self.cleared == Some(Clear::WriteOne) => Access::WriteOneToClear,
            stated => stated,
        }
    }
}

/// Returns every write of a whole register that is no value.
fn writes(d: &Description) -> impl Iterator<Item = &Write> {
    let acknowledge = match &d.pop {
        Pop::Acknowledge { then, .. } => Some(then),
        Pop::Read { .. } | Pop::LengthFirst { .. } => None,
    };
    let then = acknowledge.into_iter().chain(&d.push.then);
    then.chain(&d.reset.writes)
}
