//! What changed over a rung that the rung itself did not look at.

use hwpool_devices::bmu::regs;
use hwpool_devices::bus::Transport;
use hwpool_devices::pci;
use hwpool_devices::reg::Register;

use crate::report::Delta;

/// Registers that tell what happened to the device: pure reads all.
fn watched() -> [&'static Register; 5] {
    [
        regs::STATUS.row(),
        regs::RESET_COUNT.row(),
        regs::ERR_STATUS.row(),
        regs::ERR_COUNT.row(),
        regs::IRQ_PENDING.row(),
    ]
}

/// Values at one moment, by name; what can't be read is left out.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    registers: Vec<(String, u64)>,
    aer: Vec<(String, u64)>,
}

impl Snapshot {
    /// Reads the error status of the link, and the registers where the device is `known` to be what it should be.
    pub(super) fn take<T: Transport>(transport: &T, known: bool) -> Snapshot {
        Snapshot {
            registers: if known {
                registers(transport)
            } else {
                Vec::new()
            },
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

fn registers<T: Transport>(transport: &T) -> Vec<(String, u64)> {
    let Ok(bar) = transport.bar(regs::CONTROL_BAR) else {
        return Vec::new();
    };
    let mut values = Vec::new();
    for row in watched() {
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
