//! Where built designs are kept, and by which name they are found again.

use std::env;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::error::BuildError;

/// Returns the folder of everything that was built: `$XDG_CACHE_HOME`, or `.cache` in the home, and `hwpool/rtl` in it.
pub(super) fn root() -> Result<PathBuf, BuildError> {
    let of = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    Ok(cache.ok_or(BuildError::NoCache)?.join("hwpool/rtl"))
}

/// Makes a name of all that a build depends on.
pub(super) fn name<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps two parts from being taken for one.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
