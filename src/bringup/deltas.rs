//! What changed over a rung that the rung itself did not look at.

use hwpool_devices::bus::Transport;
use hwpool_devices::pci;
use hwpool_devices::reg::Register;

use crate::report::Delta;

/// Values at one moment, by name; what can't be read is left out.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    registers: Vec<(String, u64)>,
    aer: Vec<(String, u64)>,
}

impl Snapshot {
    /// Reads the error status of the link, and the registers that are `watched`, pure reads all.
    pub(super) fn take<T: Transport>(transport: &T, watched: &[&Register]) -> Snapshot {
        Snapshot {
            registers: registers(transport, watched),
            aer: aer(transport),
        }
    }

    /// Returns what is different in `after`, of registers and of the link's error status: bits, a kind of error each,
    /// which stay set and count nothing.
    pub(super) fn changes(&self, after: &Snapshot) -> (Vec<Delta>, Vec<Delta>) {
        (
            changes(&self.registers, &after.registers),
            changes(&self.aer, &after.aer),
        )
    }
}

fn registers<T: Transport>(transport: &T, watched: &[&Register]) -> Vec<(String, u64)> {
    let mut values = Vec::new();
    for row in watched {
        let Ok(bar) = transport.bar(row.bar()) else {
            continue;
        };
        for index in 0..row.count() {
            if let Some(Ok(value)) = row.peek(&bar, index) {
                values.push((row.place(index), value));
            }
        }
    }
    values
}

fn aer<T: Transport>(transport: &T) -> Vec<(String, u64)> {
    match pci::aer_status(transport) {
        Ok(Some(status)) => vec![
            ("uncorrectable status".into(), status.uncorrectable.into()),
            ("correctable status".into(), status.correctable.into()),
        ],
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn changes(before: &[(String, u64)], after: &[(String, u64)]) -> Vec<Delta> {
    let changed = after.iter().filter_map(|(name, after)| {
        let (_, before) = before.iter().find(|(known, _)| known == name)?;
        (before != after).then(|| Delta {
            name: name.clone(),
            before: *before,
            after: *after,
        })
    });
    changed.collect()
}
