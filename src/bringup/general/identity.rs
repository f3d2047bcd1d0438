//! Rung 2: the device says what it is.

use hwpool_devices::bus::Transport;

use super::device;
use crate::bringup::driver;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Reads magic and version; writes nothing.
pub(super) fn identity<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let transport = &**board.transport()?;
    let (register, found) = device::witness(transport)?;
    evidence.hex(register, found);
    ensure!(found != u32::MAX, IdentitySymptom::AllOnes { register });
    ensure!(
        found == device::WITNESS,
        IdentitySymptom::Stranger { register, found }
    );
    let (major, minor, implementation) = device::version(&device::control(transport)?)?;
    evidence.text("specification", format_args!("{major}.{minor}"));
    ensure!(
        major == device::MAJOR,
        IdentitySymptom::Version { major, minor }
    );
    evidence.hex("IMPLEMENTATION", implementation);
    Ok(())
}

/// What is wrong with what the device says of itself.
#[derive(Debug, thiserror::Error)]
enum IdentitySymptom {
    #[error("{register} reads all ones: nobody answers behind BAR 0")]
    AllOnes { register: &'static str },
    #[error(
        "{register} reads {found:#010x} instead of {:#010x}: wrong BAR, wrong board or wrong bitstream",
        device::WITNESS
    )]
    Stranger { register: &'static str, found: u32 },
    #[error("specification {major}.{minor} is not known")]
    Version { major: u32, minor: u32 },
}

impl Symptom for IdentitySymptom {
    fn blame(&self) -> Blame {
        match self {
            IdentitySymptom::AllOnes { .. } => Blame::Gone,
            IdentitySymptom::Stranger { found, .. } => driver::stranger(*found),
            IdentitySymptom::Version { major, .. } => driver::version(*major),
        }
    }
}
