//! Rung 2: the device says what it is.

use hwpool_devices::bus::Transport;
use hwpool_devices::pci;
use hwpool_devices::reg::Register;

use super::device;
use crate::bringup::driver;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// Reads what identifies the device, or where nothing does, what shows that it is there; the version of its specification,
/// and its capabilities, each of which must be legal. Writes nothing.
pub(super) fn identity<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let (transport, about) = (board.transport()?, board.about()?);
    let row = about.identity.map_or(about.alive, |(row, _)| row);
    let register = device::name(row);
    let read = |row: &Register| row.read_raw(&transport.bar(row.bar())?, 0);
    let found = read(row)?;
    evidence.hex(register, found);
    let bar = row.bar();
    ensure!(
        found != row.all_ones(),
        IdentitySymptom::AllOnes { register, bar }
    );
    if let Some((_, expected)) = about.identity {
        let found = found as u32;
        ensure!(
            found == expected,
            IdentitySymptom::Stranger {
                register,
                found,
                expected
            }
        );
    }
    if let Some((row, known)) = about.version {
        let version = read(row)? as u32;
        let (major, minor) = (version >> 16, version & 0xffff);
        evidence.text("specification", format_args!("{major}.{minor}"));
        ensure!(known == major, IdentitySymptom::Version { major, minor });
    }
    if let Some(row) = about.maker {
        evidence.hex(device::name(row), read(row)?);
    }
    let says = board.module()?.identify(&**transport)?.limits.vectors;
    let vectors = pci::msix(&**transport)?.map_or(says, |msix| msix.vectors);
    ensure!(vectors == says, IdentitySymptom::Vectors { vectors, says });
    Ok(())
}

/// What is wrong with what the device says of itself.
#[derive(Debug, thiserror::Error)]
enum IdentitySymptom {
    #[error("{register} reads all ones: nobody answers behind BAR {bar}")]
    AllOnes { register: &'static str, bar: u8 },
    #[error(
        "{register} reads {found:#010x} instead of {expected:#010x}: wrong BAR, wrong board or wrong bitstream"
    )]
    Stranger {
        register: &'static str,
        found: u32,
        expected: u32,
    },
    #[error("the MSI-X table has {vectors} vectors, and the device says {says}")]
    Vectors { vectors: u16, says: u16 },
    #[error("specification {major}.{minor} is not known")]
    Version { major: u32, minor: u32 },
}

impl Symptom for IdentitySymptom {
    fn blame(&self) -> Blame {
        match self {
            IdentitySymptom::AllOnes { .. } => Blame::Gone,
            IdentitySymptom::Stranger { found, .. } => driver::stranger(*found),
            IdentitySymptom::Version { major, .. } => driver::version(*major),
            IdentitySymptom::Vectors { .. } => Blame::Device(&[
                "the endpoint's MSI-X table size is not set as the logic behind it was built",
            ]),
        }
    }
}
