//! Rung 0: the machine, as `hwpool doctor` sees it.

use hwpool_devices::bus::Transport;

use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom};
use crate::bringup::{Evidence, Failure};
use crate::host::doctor::{Row, Verdict};

/// Finds that nothing in the machine blocks the device.
pub(super) fn ready<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let Some(rows) = &board.options.host else {
        return Err(Failure::Skip(
            "no kernel driver is between: nothing of the machine is needed".into(),
        ));
    };
    let of = |verdict| rows.iter().filter(move |row| row.verdict == verdict);
    for verdict in [Verdict::Ok, Verdict::Warn, Verdict::Unknown] {
        evidence.count(verdict.word(), of(verdict).count() as u64);
    }
    for row in of(Verdict::Warn) {
        evidence.text(row.id, row.evidence.join("; "));
    }
    let blocks: Vec<String> = of(Verdict::Block).map(text).collect();
    match blocks.is_empty() {
        true => Ok(()),
        false => Err(MachineSymptom::Blocks(blocks.join("; ")).into()),
    }
}

/// What is wrong with the machine.
#[derive(Debug, thiserror::Error)]
enum MachineSymptom {
    #[error("{0}")]
    Blocks(String),
}

impl Symptom for MachineSymptom {
    fn blame(&self) -> Blame {
        match self {
            MachineSymptom::Blocks(_) => Blame::Machine(&[
                "the machine is not set up for this device: `hwpool doctor` says the same, and what to do",
            ]),
        }
    }
}

fn text(row: &Row) -> String {
    let mut text = format!("{}: {}", row.id, row.evidence.join(", "));
    if let Some(cause) = &row.cause {
        text += &format!(": {cause}");
    }
    for remedy in &row.remedy {
        text += &format!("; do: {remedy}");
    }
    text
}
