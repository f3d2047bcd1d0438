//! Who holds a lock, as the kernel lists them.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::sys::stat::{major, minor};

use super::Tree;

/// Returns the process that holds the `flock` of a file; `None` where the kernel doesn't tell, as of a process outside
/// of this container.
pub(crate) fn flock_holder(tree: &Tree, file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let (device, inode) = (metadata.dev(), metadata.ino());
    let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    let locks = tree.text("/proc/locks")?;
    locks.lines().find_map(|line| holder(line, &place))
}

/// Reads `1: FLOCK  ADVISORY  WRITE 1234 00:1b:77 0 EOF`. Who waits has an arrow in its line.
fn holder(line: &str, place: &str) -> Option<u32> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, _, pid, at, ..] if at == place => pid.parse().ok().filter(|pid| *pid > 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_told_from_others() {
        let held = "1: FLOCK  ADVISORY  WRITE 1234 00:1b:77 0 EOF";
        assert_eq!(holder(held, "00:1b:77"), Some(1234));
        for other in [
            "1: FLOCK  ADVISORY  WRITE 1234 00:1b:78 0 EOF",
            "1: POSIX  ADVISORY  WRITE 1234 00:1b:77 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 1234 00:1b:77 0 EOF",
            "1: FLOCK  ADVISORY  WRITE -1 00:1b:77 0 EOF",
            "1: FLOCK",
            "",
        ] {
            assert_eq!(holder(other, "00:1b:77"), None, "{other}");
        }
    }
}
