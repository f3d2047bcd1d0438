//! Rung 14: the device after its owner was killed.

use std::io;
use std::time::Duration;

use hwpool_devices::bus::Transport;

use crate::bringup::rung::{Board, BoardSymptom};
use crate::bringup::symptom::{Blame, Causes, Symptom, message};
use crate::bringup::{Evidence, Failure};
use crate::device::DeviceError;

/// Kills an owner, and has the rungs of lists pass again.
pub(super) fn killed<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let Some(kill) = &mut board.kill else {
        return Err(Failure::Skip(
            "there is no other process that could own the device".into(),
        ));
    };
    if let Some(session) = board.session.take() {
        session.driver.close()?;
    }
    let Some(transport) = board.transport.take() else {
        return Err(BoardSymptom::NotOpened.into());
    };
    let (transport, result) = kill(transport, evidence);
    board.transport = transport.clone();
    if transport.is_some() {
        board.session = Some(board.open()?);
    }
    result?;
    passes_again(board, evidence)
}

fn passes_again<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let again = board.again.clone();
    let mut ids = Vec::new();
    for (id, check) in &again {
        match check(board, &mut Evidence::default()) {
            Ok(()) => ids.push(*id),
            Err(Failure::Skip(_)) => {}
            Err(Failure::Fail(symptom)) => return Err(Again(symptom).into()),
            Err(ended) => return Err(ended),
        }
    }
    evidence.text("passed again", ids.join(", "));
    Ok(())
}

/// A rung that passed before fails now that an owner was killed.
#[derive(Debug, thiserror::Error)]
#[error("{}", message(&**.0))]
struct Again(Box<dyn Symptom>);

impl Symptom for Again {
    fn blame(&self) -> Blame {
        after_a_death(self.0.blame())
    }
}

/// Returns what is to blame for a failure on the model that another process serves. That of this climb is not gone: it is
/// in this process.
fn of_served(blame: Blame) -> Blame {
    match blame {
        Blame::Gone => {
            Blame::Machine(&["the other process, which serves the model, has ended or hangs"])
        }
        blame => after_a_death(blame),
    }
}

/// Returns what is to blame where a rung that passed before fails, by what it looks like.
fn after_a_death(blame: Blame) -> Blame {
    match blame {
        // Whatever it looks like: what changed is that somebody died.
        Blame::Device(_) => Blame::Device(LEFT_BEHIND),
        blame => blame,
    }
}

const LEFT_BEHIND: Causes = &[
    "the reset at open leaves something behind of an owner that died",
    "DMA of the dead owner's rings was still under way",
];

/// Why an owner could not be killed, or the device not be used after.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerSymptom {
    /// The machine refused a process or a file.
    #[error(transparent)]
    Os(#[from] io::Error),
    /// The device can't be opened again.
    #[error(transparent)]
    Open(#[from] DeviceError),
    /// The model that the killed process had can't be opened again.
    #[error(transparent)]
    OpenServed(DeviceError),
    /// The other process did not get as far as it should.
    #[error("the other process did not say `{words}` within {time:?}")]
    Silent {
        /// What it should have said.
        words: String,
        /// How long it was waited for.
        time: Duration,
    },
    /// The other process ended before it was killed.
    #[error("the other process ended by itself: {said}")]
    Ended {
        /// Its last lines.
        said: String,
    },
    /// The address leads to a device of another kind than before.
    #[error("{address} is another device now")]
    Another {
        /// The address.
        address: String,
    },
    /// A rung fails on the served model that the killed process had.
    #[error("{id}: {message}")]
    NotInOrder {
        /// The rung.
        id: String,
        /// What it says.
        message: String,
        /// What is to blame, as that rung judges.
        blame: Blame,
    },
}

impl Symptom for OwnerSymptom {
    fn blame(&self) -> Blame {
        match self {
            OwnerSymptom::Os(_) => Blame::Machine(&[
                "the machine refuses this program another process or a file: its limits, or what it runs in",
            ]),
            OwnerSymptom::Open(error) => error.blame(),
            OwnerSymptom::Silent { .. } => Blame::Machine(&[
                "the device or the machine is too slow for this rung, or the other process hangs",
            ]),
            OwnerSymptom::Ended { .. } => Blame::Machine(&[
                "another process can't open or drive the device: the message has what it said",
            ]),
            OwnerSymptom::Another { .. } => {
                Blame::Machine(&["somebody changed what stands behind the address meanwhile"])
            }
            OwnerSymptom::OpenServed(error) => of_served(error.blame()),
            OwnerSymptom::NotInOrder { blame, .. } => of_served(*blame),
        }
    }
}
