//! Register files.

use crate::error::Wrong;
use crate::found::RegisterFile;

/// Why a register file tells no registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImportError {
    /// What it says can't be.
    Wrong {
        /// Line and column, where the format tells.
        place: Option<(usize, usize)>,
        /// What is wrong.
        why: String,
    },
}

impl ImportError {
    /// Makes an error that names the file.
    pub(crate) fn into_wrong(self, file: &str) -> Wrong {
        let ImportError::Wrong { place, why } = self;
        Wrong {
            file: file.into(),
            place,
            key: "registers.file".into(),
            why,
        }
    }
}

/// Reads the registers of a file, or those of one of its blocks.
pub(crate) fn parse(_text: &str, _block: Option<&str>) -> Result<RegisterFile, ImportError> {
    Err(ImportError::Wrong {
        place: None,
        why: "this program was built without readers of register files".into(),
    })
}
