//! Why a register file can't be used.

use crate::error::Wrong;

/// Why a register file tells no registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Line and column, where the format tells.
    pub(super) place: Option<(usize, usize)>,
    /// The key of the description that asks for what is not there.
    pub(super) key: &'static str,
    /// What is wrong.
    pub(super) why: String,
}

impl Refused {
    /// Makes an error of the file, at a place.
    pub(crate) fn new(place: Option<(usize, usize)>, why: impl Into<String>) -> Refused {
        Refused {
            place,
            key: "registers.file",
            why: why.into(),
        }
    }

    /// Tells whether the file lacks the block that was asked for.
    pub(crate) fn is_of_block(&self) -> bool {
        self.key == "registers.block"
    }

    /// Makes an error that names the file.
    pub(crate) fn into_wrong(self, file: &str) -> Wrong {
        Wrong {
            file: file.into(),
            place: self.place,
            key: self.key.into(),
            why: self.why,
        }
    }
}
